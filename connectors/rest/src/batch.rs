//! Many writes in one call. What a reply does not clearly answer comes back as transient, and is then sent alone.

use huiliu_core::connector::{ConnectorError, Delivery, ExternalId, Operation, Receipt, Record, Result};
use huiliu_core::manifest::{Batch, Call, Method, Stream};
use serde_json::Value;

use crate::failure::Verb;
use crate::template::{self, Values};
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
        match items(wire, call, batch, part) {
            Ok(items) => results.extend(one_call(wire, stream, batch, part, items).await),
            Err(error) => results.extend(part.iter().map(|_| Err(alone(error.clone()).before_the_call()))),
        }
    }
    results
}

/// What each member sends; none where it cannot stand in a batch.
fn items(wire: &Wire<'_>, call: &Call, batch: &Batch, part: &[Delivery]) -> Result<Vec<Option<Value>>> {
    part.iter().map(|delivery| item(wire, call, batch, delivery)).collect()
}

/// One call for those that have an item; the others are left to be sent alone.
async fn one_call(
    wire: &Wire<'_>,
    stream: &Stream,
    batch: &Batch,
    part: &[Delivery],
    items: Vec<Option<Value>>,
) -> Vec<Result<Receipt>> {
    let sent: Vec<&Delivery> = part.iter().zip(&items).filter(|(_, item)| item.is_some()).map(|(it, _)| it).collect();
    let answered = if sent.is_empty() {
        Ok(Vec::new())
    } else {
        answers(wire, stream, batch, &sent, items.iter().flatten().cloned().collect()).await
    };
    let mut answered = answered.map(Vec::into_iter);
    let each = items.iter().map(|item| match (&mut answered, item) {
        (_, None) => Err(ConnectorError::transient("it has no value by which a batch would know it; it is sent alone")
            .before_the_call()),
        (Ok(answers), Some(_)) => {
            answers.next().unwrap_or_else(|| Err(ConnectorError::transient("it was not answered")))
        }
        (Err(error), Some(_)) => Err(alone(error.clone())),
    });
    each.collect()
}

async fn answers(
    wire: &Wire<'_>,
    stream: &Stream,
    batch: &Batch,
    part: &[&Delivery],
    items: Vec<Value>,
) -> Result<Vec<Result<Receipt>>> {
    let Some(first) = part.first() else { return Ok(Vec::new()) };
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
        list: None,
    };
    let answer = wire.send(&draft).await?;
    let list = answer.value.pointer(&batch.results).and_then(Value::as_array);
    let list = list.ok_or_else(|| {
        ConnectorError::transient(format!(
            "{}: no list of results at `{}`; each is sent alone",
            draft.what, batch.results
        ))
    })?;
    let refusals = batch.refusals.as_ref().and_then(|at| answer.value.pointer(at)?.as_array());
    let refusals = refusals.map(Vec::as_slice).unwrap_or_default();
    let is_in_order = list.len() == part.len() && batch.trace.is_none();
    let reply = Reply { wire, stream, batch, draft: &draft, answer: &answer, list, refusals, is_in_order };
    Ok(part.iter().enumerate().map(|(at, delivery)| reply.receipt(at, delivery)).collect())
}

/// What the single call would send, or the batch's own form of it, with the record's id and our mark where a batch
/// wants them. None: the form needs a value that this delivery does not have.
fn item(wire: &Wire<'_>, call: &Call, batch: &Batch, delivery: &Delivery) -> Result<Option<Value>> {
    let id = delivery.id.as_ref().map(ExternalId::as_str);
    let values = Values { id, body: Some(&delivery.body), ..wire.values() };
    let mut item = match &batch.item {
        Some(form) => match template::json_whole(form, &values)? {
            Some(item) => item,
            None => return Ok(None),
        },
        None => push::write_body(call, &values, delivery)?.unwrap_or_default(),
    };
    if let Some(trace) = &batch.trace {
        pointer::put(&mut item, &trace.item, Value::from(delivery.idempotency_key.as_str()));
    }
    if let (Some(at), Some(id)) = (&batch.id_at, id) {
        pointer::put(&mut item, at, Value::from(id));
    }
    Ok(Some(item))
}

struct Reply<'a> {
    wire: &'a Wire<'a>,
    stream: &'a Stream,
    batch: &'a Batch,
    draft: &'a Draft,
    answer: &'a Answer,
    list: &'a [Value],
    refusals: &'a [Value],
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
        if let Some(refusal) = self.refusal_of(delivery) {
            self.wire.judge(self.draft).judge_one(&self.batch.errors, refusal, &self.answer.response)?;
            return Err(unclear());
        }
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

    fn refusal_of(&self, delivery: &Delivery) -> Option<&Value> {
        let trace = self.batch.trace.as_ref()?;
        self.refusals.iter().find(|refusal| is_marked(refusal, &trace.refusal, delivery))
    }

    /// The result with our mark; else the one with the delivery's own id, else the one in its place, if that has no other id.
    fn result_of(&self, at: usize, delivery: &Delivery) -> Option<&Value> {
        if let Some(trace) = &self.batch.trace
            && let Some(marked) = self.list.iter().find(|result| is_marked(result, &trace.result, delivery))
        {
            return Some(marked);
        }
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

fn is_marked(value: &Value, at: &str, delivery: &Delivery) -> bool {
    value.pointer(at).and_then(Value::as_str) == Some(delivery.idempotency_key.as_str())
}

/// A call refused as a whole says nothing about its members: one bad record must not bury the others.
fn alone(error: ConnectorError) -> ConnectorError {
    match error {
        ConnectorError::Transient { .. }
        | ConnectorError::Unreached { .. }
        | ConnectorError::RateLimited { .. }
        | ConnectorError::Unauthorized { .. } => error,
        refused => ConnectorError::transient(format!("{refused} (refused as a whole: each is now sent alone)")),
    }
}
