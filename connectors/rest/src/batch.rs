//! Many writes in one call. What a reply does not clearly answer comes back as transient, and is then sent alone.

use huiliu_core::connector::{ConnectorError, Delivery, ExternalId, Operation, Receipt, Record, Result};
use huiliu_core::manifest::{Batch, Call, Method, Stream};
use serde_json::Value;

use crate::failure::Verb;
use crate::template::Values;
use crate::wire::{Answer, Draft, Wire};
use crate::{pointer, push, record};

/// Carries out deliveries of one stream and operation, in calls of at most the declared size; each is answered in its
/// place.
pub async fn push_many(wire: &Wire<'_>, stream: &Stream, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
    let call = deliveries.first().and_then(|first| match first.operation {
        Operation::Create => stream.create.as_ref(),
        Operation::Update => stream.update.as_ref(),
        Operation::Delete => stream.delete.as_ref(),
    });
    let mut results = Vec::with_capacity(deliveries.len());
    let Some((call, batch)) = call.and_then(|call| Some((call, call.batch.as_deref()?))) else {
        for delivery in deliveries {
            results.push(push::push(wire, stream, delivery).await);
        }
        return results;
    };
    for part in deliveries.chunks(usize::try_from(batch.size.get()).unwrap_or(usize::MAX)) {
        match one_call(wire, stream, call, batch, part).await {
            Ok(answered) => results.extend(answered),
            Err(error) => results.extend(part.iter().map(|_| Err(alone(error.clone())))),
        }
    }
    results
}

async fn one_call(
    wire: &Wire<'_>,
    stream: &Stream,
    call: &Call,
    batch: &Batch,
    part: &[Delivery],
) -> Result<Vec<Result<Receipt>>> {
    let Some(first) = part.first() else { return Ok(Vec::new()) };
    let mut items = Vec::with_capacity(part.len());
    for delivery in part {
        items.push(item(wire, call, batch, delivery)?);
    }
    let mut body = Value::Null;
    pointer::put(&mut body, &batch.items, Value::Array(items));
    let (name, word) = (&first.stream, first.operation.as_str());
    let draft = Draft {
        what: format!("{word} of {} in {name} of {}", part.len(), wire.cx.connection),
        verb: Verb::Push(first.operation),
        method: batch.method,
        url: wire.url(Some(&batch.path), &batch.params, &Values::of(wire.cx))?,
        headers: Vec::new(),
        body: (batch.method != Method::Get).then_some(body),
        graphql: false,
        idempotency_key: None,
    };
    let answer = wire.send(&draft).await?;
    let list = answer.value.pointer(&batch.results).and_then(Value::as_array);
    let list = list.ok_or_else(|| {
        ConnectorError::transient(format!(
            "{}: no list of results at `{}`; each is sent alone",
            draft.what, batch.results
        ))
    })?;
    let reply =
        Reply { wire, stream, batch, draft: &draft, answer: &answer, list, is_in_order: list.len() == part.len() };
    Ok(part.iter().enumerate().map(|(at, delivery)| reply.receipt(at, delivery)).collect())
}

/// What the single call would send, with the record's id where a batch wants it.
fn item(wire: &Wire<'_>, call: &Call, batch: &Batch, delivery: &Delivery) -> Result<Value> {
    let id = delivery.id.as_ref().map(ExternalId::as_str);
    let values = Values { id, body: Some(&delivery.body), ..Values::of(wire.cx) };
    let mut item = push::write_body(call, &values, delivery)?.unwrap_or_default();
    if let (Some(at), Some(id)) = (&batch.id_at, id) {
        pointer::put(&mut item, at, Value::from(id));
    }
    Ok(item)
}

struct Reply<'a> {
    wire: &'a Wire<'a>,
    stream: &'a Stream,
    batch: &'a Batch,
    draft: &'a Draft,
    answer: &'a Answer,
    list: &'a [Value],
    is_in_order: bool,
}

impl Reply<'_> {
    fn receipt(&self, at: usize, delivery: &Delivery) -> Result<Receipt> {
        let unclear = || {
            let (what, number) = (&self.draft.what, delivery.number);
            ConnectorError::transient(format!(
                "{what}: the reply does not tell about delivery {number}; it is sent alone"
            ))
        };
        let result = self.result_of(at, delivery).ok_or_else(unclear)?;
        self.wire.judge(self.draft).judge_one(&self.batch.errors, result, &self.answer.response)?;
        let body = self.record(result);
        let told = body.and_then(|body| record::id(self.stream, body)).map(ExternalId::from);
        let id = told.or_else(|| delivery.id.clone()).ok_or_else(unclear)?;
        // Only what looks like a record is what the target stored: many systems answer with id and status alone.
        let wrote = delivery.operation != Operation::Delete;
        let stored = body.filter(|body| wrote && self.batch.record.is_some() && body.is_object());
        let stored: Option<Record> =
            stored.and_then(|body| record::record(&delivery.stream, self.stream, body.clone()).ok());
        Ok(Receipt { id, version: stored.as_ref().and_then(|record| record.version.clone()), stored })
    }

    /// The result with the delivery's own id, else the one in its place, if that has no other id.
    fn result_of(&self, at: usize, delivery: &Delivery) -> Option<&Value> {
        let id_of = |result| self.record(result).and_then(|body| record::id(self.stream, body));
        let mine = delivery.id.as_ref();
        let by_id = mine.and_then(|id| self.list.iter().find(|result| id_of(result).as_deref() == Some(id.as_str())));
        by_id.or_else(|| {
            let placed = self.list.get(at).filter(|_| self.is_in_order)?;
            (mine.is_none() || id_of(placed).is_none()).then_some(placed)
        })
    }

    fn record<'v>(&self, result: &'v Value) -> Option<&'v Value> {
        match &self.batch.record {
            Some(at) => result.pointer(at).filter(|body| !pointer::is_empty(body)),
            None => Some(result),
        }
    }
}

/// A call refused as a whole says nothing about its members: one bad record must not bury the others.
fn alone(error: ConnectorError) -> ConnectorError {
    match error {
        ConnectorError::Transient { .. } | ConnectorError::RateLimited { .. } | ConnectorError::Unauthorized { .. } => {
            error
        }
        refused => ConnectorError::transient(format!("{refused} (refused as a whole: each is now sent alone)")),
    }
}
