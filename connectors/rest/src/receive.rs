//! What a verified webhook call means, by the manifest alone.

use huiliu_core::connector::{ConnectorError, ExternalId, Received, Result, StreamName, Verified};
use huiliu_core::manifest::{Carries, Manifest, Route, Webhook};
use serde_json::Value;

use crate::{pointer, record, version};

/// What a call brings. A topic that is not listed brings nothing.
pub fn receive(manifest: &Manifest, request: &Verified) -> Result<Vec<Received>> {
    let missing = || ConnectorError::broken("this connector declares no webhook");
    let webhook = manifest.webhook.as_ref().ok_or_else(missing)?;
    let route = webhook.route.as_ref().ok_or_else(missing)?;
    let by = Source::parse(&route.by).map_err(ConnectorError::broken)?;
    let raw = &request.request;
    let from_header = match by {
        Source::Header(name) => Some(raw.header(&name.to_ascii_lowercase()).unwrap_or_default()),
        Source::Body(_) | Source::Stream(_) => None,
    };
    // A header that names a foreign topic ends it before anything is parsed.
    if from_header.is_some_and(|topic| target(route, topic).is_none()) {
        return Ok(Vec::new());
    }
    let body: Value = serde_json::from_slice(&raw.body)
        .map_err(|_| ConnectorError::broken("the webhook's body is not JSON; compare the manifest with the sender"))?;
    let events = match body {
        Value::Array(events) => events,
        event => vec![event],
    };
    let mut received = Vec::with_capacity(events.len());
    for event in events {
        let target = match by {
            Source::Stream(name) => Some((name, Says::Shown)),
            Source::Header(_) => target(route, from_header.unwrap_or_default()),
            Source::Body(at) => event.pointer(at).and_then(pointer::text).and_then(|topic| target(route, &topic)),
        };
        if let Some((stream, says)) = target {
            if says == Says::Merged {
                received.extend(merges(webhook, stream, &event)?);
                continue;
            }
            let is_delete = says == Says::Gone;
            let more = more_keys(webhook, stream, &event);
            match one(manifest, webhook, stream, is_delete, event) {
                // What names further records may have none of its own.
                Ok(Received::Poke { .. }) if !more.is_empty() => {}
                first => received.push(first?),
            }
            received.extend(more);
        }
    }
    Ok(received)
}

/// Where a call says what it is about.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// A header.
    Header(&'a str),
    /// A JSON pointer into the body.
    Body(&'a str),
    /// Every call belongs to this stream.
    Stream(&'a str),
}

impl<'a> Source<'a> {
    /// Reads `header:NAME`, `body:/pointer`, `stream:NAME`.
    pub fn parse(by: &'a str) -> std::result::Result<Self, String> {
        match by.split_once(':') {
            Some(("header", name)) if !name.is_empty() => Ok(Self::Header(name)),
            Some(("body", at)) if at.starts_with('/') => Ok(Self::Body(at)),
            Some(("stream", name)) if !name.is_empty() => Ok(Self::Stream(name)),
            _ => Err(format!("`{by}` is no way to route; there are header:NAME, body:/pointer, stream:NAME")),
        }
    }
}

/// What a topic says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The record is there.
    Shown,
    /// It is gone.
    Gone,
    /// It is one with another.
    Merged,
}

/// The stream of a topic, and what the topic says.
fn target<'r>(route: &'r Route, topic: &str) -> Option<(&'r str, Says)> {
    let lists = [(&route.merges, Says::Merged), (&route.deletes, Says::Gone), (&route.topics, Says::Shown)];
    lists.into_iter().find_map(|(topics, says)| Some((topics.get(topic)?.as_str(), says)))
}

/// Who was merged into whom.
fn merges(webhook: &Webhook, stream: &str, event: &Value) -> Result<Vec<Received>> {
    let lost = || ConnectorError::broken(format!("a webhook for {stream} tells a merge and not of whom"));
    let rule = webhook.merge.as_ref().ok_or_else(lost)?;
    let shows = |at: &str| event.pointer(at).and_then(pointer::text);
    if rule.when.as_ref().is_some_and(|when| shows(&when.at).as_ref() != Some(&when.equals)) {
        return Ok(Vec::new());
    }
    let key = |id: String| match webhook.key_form.get(stream) {
        Some(form) if !has_form(form, &id) => ExternalId::from(form.replace("{id}", &id)),
        _ => ExternalId::from(id),
    };
    let into = shows(&rule.into).filter(|id| !id.is_empty()).map(key).ok_or_else(lost)?;
    let from = ids(event, &rule.from).into_iter().map(key).filter(|id| *id != into);
    Ok(from.map(|id| Received::Merged { stream: StreamName::from(stream), id, into: into.clone() }).collect())
}

/// Whether an id is written for the API already.
fn has_form(form: &str, id: &str) -> bool {
    let ends = form.split_once("{id}");
    ends.is_some_and(|(start, end)| !start.is_empty() && id.starts_with(start) && id.ends_with(end))
}

/// The ids at these places; a list counts with each of its items.
fn ids(event: &Value, at: &[String]) -> std::collections::BTreeSet<String> {
    let named = at.iter().filter_map(|at| event.pointer(at));
    let each = named.flat_map(|value| value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice));
    each.filter_map(pointer::text).filter(|id| !id.is_empty()).collect()
}

/// Hints to the further records that an event names.
fn more_keys(webhook: &Webhook, stream: &str, event: &Value) -> Vec<Received> {
    let ids = ids(event, &webhook.more_keys);
    ids.into_iter().map(|id| Received::Hint { stream: StreamName::from(stream), id: ExternalId::from(id) }).collect()
}

fn one(manifest: &Manifest, webhook: &Webhook, stream: &str, is_delete: bool, mut event: Value) -> Result<Received> {
    let name = StreamName::from(stream);
    let declared = manifest
        .stream(stream)
        .ok_or_else(|| ConnectorError::broken(format!("the webhook routes to the unknown stream {stream}")))?;
    let body = match &webhook.record {
        Some(at) => event.pointer_mut(at).map(Value::take),
        None => Some(event),
    };
    let lost =
        || ConnectorError::broken(format!("a webhook for {stream} holds no record or no id where the manifest says"));
    let body = body.unwrap_or_default();
    let told = match &webhook.key {
        Some(at) => body.pointer(at).and_then(pointer::text).filter(|id| !id.is_empty()),
        None => record::id(&declared, &body),
    };
    let id = told.map(|id| match webhook.key_form.get(stream) {
        Some(form) => ExternalId::from(form.replace("{id}", &id)),
        None => ExternalId::from(id),
    });
    let carries = webhook.carries == Carries::Record;
    if let (true, Some(id), Some(into)) = (carries, &id, record::merged_into(&declared, &body)) {
        return Ok(Received::Merged { stream: name, id: id.clone(), into });
    }
    if is_delete || (carries && record::is_deleted(&declared, &body)) {
        // A deletion counts without its recency too.
        let version = version::of_record(&declared, &body).unwrap_or_default();
        return Ok(Received::Deleted { stream: name, id: id.ok_or_else(lost)?, version });
    }
    match (webhook.carries, id) {
        (Carries::Hint, Some(id)) => Ok(Received::Hint { stream: name, id }),
        (Carries::Hint, None) => Ok(Received::Poke { stream: name }),
        (Carries::Record, Some(id)) => {
            let version = version::of_record(&declared, &body)?;
            Ok(Received::Record(huiliu_core::connector::Record { stream: name, id, version, body }))
        }
        (Carries::Record, None) => Err(lost()),
    }
}
