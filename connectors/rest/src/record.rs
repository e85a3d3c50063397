//! Records out of the vendor's JSON.

use huiliu_core::connector::{ConnectorError, ExternalId, JsonText, Received, Record, Result, StreamName};
use huiliu_core::manifest::Stream;
use serde_json::Value;

use crate::listed::Marks;
use crate::{pointer, version};

/// The id in a record, if it holds one.
pub fn id(stream: &Stream, body: &Value) -> Option<String> {
    let key = stream.key.as_deref()?;
    body.pointer(key).and_then(pointer::text).filter(|id| !id.is_empty())
}

/// A record; without an id the system does not speak as recorded.
pub fn record(name: &StreamName, stream: &Stream, body: Value) -> Result<Record> {
    let id = id(stream, &body).ok_or_else(|| {
        let key = stream.key.as_deref().unwrap_or_default();
        ConnectorError::broken(format!(
            "a record of {name} has no id at `{key}`; compare `key` with the system's reply"
        ))
    })?;
    let version = version::of_record(stream, &body)?;
    Ok(Record { stream: name.clone(), id: ExternalId::from(id), version, body })
}

/// A record, or its deletion when it says so itself or stands in a list of deletions.
pub fn received(name: &StreamName, stream: &Stream, body: Value, is_deletion: bool) -> Result<Received> {
    let record = record(name, stream, body)?;
    if let Some(into) = merged_into(stream, &record.body).filter(|into| *into != record.id) {
        return Ok(Received::Merged { stream: record.stream, id: record.id, into });
    }
    if is_deletion || is_deleted(stream, &record.body) {
        return Ok(Received::Deleted { stream: record.stream, id: record.id, version: record.version });
    }
    Ok(Received::Record(record))
}

/// The same of a record's text, which is looked into no further than that takes.
pub fn listed(
    name: &StreamName,
    stream: &Stream,
    marks: &Marks,
    text: JsonText,
    is_deletion: bool,
) -> Result<Received<JsonText>> {
    let body = marks.pick(&text).map_err(|error| {
        ConnectorError::broken(format!("a record of {name} cannot be read: {error}; look at what the system sends"))
    })?;
    Ok(received(name, stream, body, is_deletion)?.with(|_| text))
}

/// The record that stands for a deleted one, if it says so.
pub fn merged_into(stream: &Stream, body: &Value) -> Option<ExternalId> {
    let at = stream.deleted_when.as_ref()?.merged_into.as_ref().filter(|_| is_deleted(stream, body))?;
    body.pointer(at).and_then(pointer::text).filter(|id| !id.is_empty()).map(ExternalId::from)
}

/// Whether a record says that it is deleted.
pub fn is_deleted(stream: &Stream, body: &Value) -> bool {
    let Some(rule) = &stream.deleted_when else { return false };
    match (body.pointer(&rule.at), &rule.equals) {
        (None | Some(Value::Null), _) => false,
        (Some(_), None) => true,
        (Some(value), Some(wanted)) => pointer::text(value).as_ref() == Some(wanted),
    }
}
