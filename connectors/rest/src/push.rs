//! One record read, one record written.

use huiliu_core::connector::{
    ConnectorError, Delivery, ExternalId, Operation, Receipt, Record, RecordKey, Result, StreamName, Version,
};
use huiliu_core::manifest::{Auth, Call, Lookup, Manifest, Method, Precondition, Stream};
use jiff::Timestamp;
use serde_json::Value;

use crate::failure::Verb;
use crate::http::HeaderMap;
use crate::template::{self, Values};
use crate::wire::{Answer, Draft, Wire, graphql_body};
use crate::{pointer, record, version};

/// Reads one record. None: it does not exist, or says that it is deleted.
pub async fn fetch(wire: &Wire<'_>, stream: &Stream, key: &RecordKey) -> Result<Option<Record>> {
    read(wire, &key.stream, stream, key.id.as_str()).await
}

/// A record that was merged into another one that was merged itself, and so on: no person merges more often.
const MERGES_MAX: usize = 16;

/// Reads one record; of one that was merged, the record that stands for it.
async fn read(wire: &Wire<'_>, name: &StreamName, stream: &Stream, id: &str) -> Result<Option<Record>> {
    let mut id = id.to_owned();
    for _ in 0..MERGES_MAX {
        let Some(record) = read_one(wire, name, stream, &id).await? else { return Ok(None) };
        match record::merged_into(stream, &record.body).filter(|into| *into != record.id) {
            Some(into) => into.as_str().clone_into(&mut id),
            None => return Ok((!record::is_deleted(stream, &record.body)).then_some(record)),
        }
    }
    Err(ConnectorError::broken(format!("records of {name} say of each other that they were merged into the other")))
}

async fn read_one(wire: &Wire<'_>, name: &StreamName, stream: &Stream, id: &str) -> Result<Option<Record>> {
    let call = stream.fetch.as_ref().ok_or_else(|| ConnectorError::broken(format!("stream {name} has no `fetch`")))?;
    let values = Values { id: Some(id), ..wire.values() };
    let mut draft = draft(wire, call, &values, Verb::Fetch, format!("fetch from {name} of {}", wire.cx.connection))?;
    draft.body = match (&call.graphql, &call.body) {
        (Some(document), variables) => Some(graphql_body(document, filled(variables.as_ref(), &values)?)),
        (None, body) => filled(body.as_ref(), &values)?,
    };
    let answer = match wire.send(&draft).await {
        Err(ConnectorError::Gone { .. }) => return Ok(None),
        answer => answer?,
    };
    let Some(body) = inner(call, answer.value) else { return Ok(None) };
    record::record(name, stream, body).map(Some)
}

/// Carries out one delivery.
pub async fn push(wire: &Wire<'_>, stream: &Stream, delivery: &Delivery) -> Result<Receipt> {
    let operation = delivery.operation;
    let call = match operation {
        Operation::Create => &stream.create,
        Operation::Update => &stream.update,
        Operation::Delete => &stream.delete,
    };
    let (name, word) = (&delivery.stream, operation.as_str());
    let call = call.as_ref().ok_or_else(|| ConnectorError::broken(format!("stream {name} has no `{word}`")))?;
    if operation == Operation::Create
        && delivery.attempt > 1
        && let Some(lookup) = &call.lookup
        && let Some(made) = look_up(wire, stream, lookup, delivery).await?
    {
        return Ok(Receipt { id: made.id.clone(), version: made.version.clone(), stored: Some(made) });
    }
    let id = delivery.id.as_ref().map(ExternalId::as_str).or_else(|| message_id(wire, delivery));
    let values = Values { id, body: Some(&delivery.body), ..wire.values() };
    let what = format!("{word} in {name} of {} (delivery {})", wire.cx.connection, delivery.number);
    let mut draft = draft(wire, call, &values, Verb::Push(operation), what)?;
    draft.body = write_body(call, &values, delivery)?;
    draft.idempotency_key = Some(delivery.idempotency_key.clone());
    if let Some(header) = &call.idempotency_header {
        draft.headers.push((header.clone(), delivery.idempotency_key.clone()));
    }
    match call.precondition {
        Some(Precondition::ReadCompare) => {
            if let Some(done) = read_compare(wire, stream, delivery).await? {
                return Ok(done);
            }
        }
        Some(precondition) => draft.headers.extend(condition(precondition, delivery)?),
        // An earlier attempt may have been carried out, and somebody may have edited the record since.
        None if operation == Operation::Update && delivery.attempt > 1 && stream.fetch.is_some() => {
            if let Some(done) = read_compare(wire, stream, delivery).await? {
                return Ok(done);
            }
        }
        None => {}
    }
    match wire.send(&draft).await {
        // An earlier attempt may have removed it; either way it is not there, as wanted.
        Err(ConnectorError::Gone { .. }) if operation == Operation::Delete => receipt_of_delete(delivery),
        Err(error) => Err(error),
        Ok(_) if operation == Operation::Delete => receipt_of_delete(delivery),
        Ok(answer) if call.read_back => {
            let receipt = receipt(wire, stream, call, delivery, answer)?;
            // The write is done, whether or not it can be looked at.
            let stored = read(wire, &delivery.stream, stream, receipt.id.as_str()).await.ok().flatten();
            let stored = stored.filter(|record| record.id == receipt.id);
            let version = stored.as_ref().and_then(|record| record.version.clone());
            Ok(Receipt { stored, version, ..receipt })
        }
        Ok(answer) => receipt(wire, stream, call, delivery, answer),
    }
}

pub(crate) fn draft(wire: &Wire<'_>, call: &Call, values: &Values<'_>, verb: Verb, what: String) -> Result<Draft> {
    Ok(Draft {
        what,
        verb,
        method: if call.graphql.is_some() { Method::Post } else { call.method },
        url: wire.url(call.path.as_deref(), &call.params, values)?,
        headers: Vec::new(),
        body: None,
        graphql: call.graphql.is_some(),
        idempotency_key: None,
        list: None,
    })
}

fn filled(template: Option<&Value>, values: &Values<'_>) -> Result<Option<Value>> {
    template.map_or(Ok(None), |template| template::json(template, values))
}

/// What a write sends: the delivery's body, wrapped and set into the manifest's own where it says so.
pub(crate) fn write_body(call: &Call, values: &Values<'_>, delivery: &Delivery) -> Result<Option<Value>> {
    let mut own = delivery.body.clone();
    if let (Some(at), Some(id)) = (&call.id_at, &delivery.id) {
        pointer::put(&mut own, at, Value::from(id.as_str()));
    }
    let mut wrapped = own.clone();
    if let Some(wrap) = &call.wrap {
        let inside = std::mem::take(&mut wrapped);
        pointer::put(&mut wrapped, wrap, inside);
    }
    let values = Values { body: Some(&wrapped), ..*values };
    // `{record.x}` reads the delivery's own body, `{body}` stands for the wrapped one; they differ only with `wrap`.
    let template = match &call.body {
        Some(template) if call.wrap.is_some() => filled(Some(template), &values)?,
        Some(template) => filled(Some(template), &Values { body: Some(&own), ..values })?,
        None if call.graphql.is_some() || delivery.operation == Operation::Delete => None,
        None => Some(wrapped.clone()),
    };
    Ok(match &call.graphql {
        Some(document) => Some(graphql_body(document, template)),
        None => template,
    })
}

fn condition(precondition: Precondition, delivery: &Delivery) -> Result<Option<(String, String)>> {
    let Some(version) = &delivery.base_version else { return Ok(None) };
    Ok(match precondition {
        Precondition::IfMatch => Some(("If-Match".to_owned(), entity_tag(&version.text))),
        Precondition::IfUnmodifiedSince => {
            let at = version.order.filter(|_| version.is_instant).and_then(|us| Timestamp::from_microsecond(us).ok());
            let at =
                at.ok_or_else(|| ConnectorError::broken("if_unmodified_since needs a version that is an instant"))?;
            Some(("If-Unmodified-Since".to_owned(), version::http_date(at)?))
        }
        Precondition::ReadCompare => None,
    })
}

/// RFC 9110 writes entity tags in quotes; a version that is none yet gets them.
fn entity_tag(text: &str) -> String {
    if text.starts_with('"') || text.starts_with("W/\"") { text.to_owned() } else { format!("\"{text}\"") }
}

/// Reads before a write. A receipt: an earlier attempt has done it. An error: somebody else was there.
async fn read_compare(wire: &Wire<'_>, stream: &Stream, delivery: &Delivery) -> Result<Option<Receipt>> {
    let Some(id) = &delivery.id else { return Ok(None) };
    let Some(held) = read(wire, &delivery.stream, stream, id.as_str()).await? else {
        if delivery.operation == Operation::Delete {
            return receipt_of_delete(delivery).map(Some);
        }
        return Err(ConnectorError::Gone { detail: format!("{}/{id} is no longer there", delivery.stream) });
    };
    if held.id != *id {
        return Err(ConnectorError::Conflict {
            detail: format!("{}/{id} was merged into {}; it is read and planned again", delivery.stream, held.id),
        });
    }
    let same_version = match (&held.version, &delivery.base_version) {
        (Some(held), Some(base)) => is_same(held, base),
        _ => true,
    };
    // A stamp of whole seconds does not tell a second edit within one: the fields themselves must be as they were known.
    if same_version && (delivery.base.is_null() || pointer::agrees(&held.body, &delivery.base)) {
        return Ok(None);
    }
    if delivery.attempt > 1 && delivery.operation == Operation::Update && pointer::contains(&held.body, &delivery.body)
    {
        return Ok(Some(Receipt { id: held.id.clone(), version: held.version.clone(), stored: Some(held) }));
    }
    Err(ConnectorError::Conflict {
        detail: format!("{}/{id} changed since it was read; it is read and planned again", delivery.stream),
    })
}

/// Two spellings of one instant are one version.
fn is_same(held: &Version, base: &Version) -> bool {
    match (held.order, base.order) {
        (Some(held), Some(base)) => held == base,
        _ => held.text == base.text,
    }
}

/// Whether a create that is sent again makes no second record: the system takes a key of ours or keeps a value of it
/// unique, or it can be looked for by one. A delivery without that value cannot be told from a new one.
pub fn knows_repeat(manifest: &Manifest, stream: &Stream, delivery: &Delivery) -> bool {
    let Some(call) = &stream.create else { return false };
    let has = |at: &String| delivery.body.pointer(at).is_some_and(|value| !pointer::is_empty(value));
    call.idempotency_header.is_some()
        || matches!(manifest.auth, Some(Auth::StandardWebhook { .. }))
        || record::id(stream, &delivery.body).is_some()
        || call.lookup.as_ref().is_some_and(|lookup| has(&lookup.match_at))
        || call.unique_at.iter().any(has)
}

/// Looks for the record that an earlier attempt of this create may have made.
async fn look_up(wire: &Wire<'_>, stream: &Stream, lookup: &Lookup, delivery: &Delivery) -> Result<Option<Record>> {
    let Some(wanted) = delivery.body.pointer(&lookup.match_at).filter(|value| !pointer::is_empty(value)) else {
        return Ok(None);
    };
    let values = Values { body: Some(&delivery.body), ..wire.values() };
    let name = &delivery.stream;
    let body = match &lookup.graphql {
        Some(document) => Some(graphql_body(document, filled(lookup.body.as_ref(), &values)?)),
        None => filled(lookup.body.as_ref(), &values)?,
    };
    let draft = Draft {
        what: format!("lookup in {name} of {} (delivery {})", wire.cx.connection, delivery.number),
        verb: Verb::Fetch,
        method: if body.is_some() { Method::Post } else { Method::Get },
        url: wire.url(lookup.path.as_deref(), &lookup.params, &values)?,
        headers: Vec::new(),
        graphql: lookup.graphql.is_some(),
        body,
        idempotency_key: None,
        list: None,
    };
    let mut reply = match wire.send(&draft).await {
        // A system that is asked for one record by a value says that there is none.
        Err(ConnectorError::Gone { .. }) => return Ok(None),
        answer => answer?.value,
    };
    let records = match reply.pointer_mut(&lookup.records).map(Value::take) {
        Some(Value::Array(records)) => records,
        Some(record @ Value::Object(_)) => vec![record],
        _ => return Err(ConnectorError::broken(format!("{}: no record at `{}`", draft.what, lookup.records))),
    };
    let ours = records.into_iter().find(|record| {
        record.pointer(&lookup.match_at).is_some_and(|value| pointer::text(value) == pointer::text(wanted))
    });
    ours.map(|body| record::record(name, stream, body)).transpose()
}

/// The record in a reply, if it is there.
pub(crate) fn inner(call: &Call, mut reply: Value) -> Option<Value> {
    let found = match &call.record {
        Some(pointer) => reply.pointer_mut(pointer).map(Value::take),
        None => Some(reply),
    };
    found.filter(|value| !pointer::is_empty(value))
}

fn receipt(wire: &Wire<'_>, stream: &Stream, call: &Call, delivery: &Delivery, answer: Answer) -> Result<Receipt> {
    let Answer { value, response, .. } = answer;
    if let Some(id) = call.id.as_ref().and_then(|at| value.pointer(at)).and_then(pointer::text) {
        return Ok(Receipt { id: ExternalId::from(id), stored: None, version: None });
    }
    if let Some(body) = inner(call, value).filter(|body| record::id(stream, body).is_some()) {
        let stored = record::record(&delivery.stream, stream, body)?;
        return Ok(Receipt { id: stored.id.clone(), version: stored.version.clone(), stored: Some(stored) });
    }
    let known = delivery.id.clone().or_else(|| new_id(stream, delivery, &response.headers));
    let id = known.or_else(|| message_id(wire, delivery).map(ExternalId::from));
    let id = id.ok_or_else(|| {
        let (name, key) = (&delivery.stream, stream.key.as_deref().unwrap_or_default());
        ConnectorError::broken(format!(
            "the reply to a create in {name} tells no id at `{key}`; compare `record` and `key`"
        ))
    })?;
    Ok(Receipt { id, stored: None, version: None })
}

/// By Standard Webhooks a receiver answers nothing: it knows a record that we made by the id of the message that told.
fn message_id<'d>(wire: &Wire<'_>, delivery: &'d Delivery) -> Option<&'d str> {
    matches!(wire.manifest.auth, Some(Auth::StandardWebhook { .. })).then_some(delivery.idempotency_key.as_str())
}

/// A create's id without a record in the reply: the last part of `Location`, or the id that we chose ourselves.
fn new_id(stream: &Stream, delivery: &Delivery, headers: &HeaderMap) -> Option<ExternalId> {
    let location = headers.get("location").and_then(|value| value.to_str().ok());
    let told = location.and_then(|place| place.split(['?', '#']).next()?.trim_end_matches('/').rsplit('/').next());
    told.filter(|id| !id.is_empty())
        .map(ExternalId::from)
        .or_else(|| record::id(stream, &delivery.body).map(ExternalId::from))
}

fn receipt_of_delete(delivery: &Delivery) -> Result<Receipt> {
    let id = delivery.id.clone().ok_or_else(|| ConnectorError::broken("a delete without the record's id"))?;
    Ok(Receipt { id, stored: None, version: None })
}
