//! One page of a stream.

use std::time::Duration;

use huiliu_core::connector::{ConnectorError, Cursor, Page, Received, Result, StreamName};
use huiliu_core::manifest::{Method, Paginate, Pull, Stream};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cursor::Position;
use crate::failure::Verb;
use crate::paging::{self, Asked};
use crate::template::{self, Values};
use crate::wire::{Draft, Wire, graphql_body};
use crate::{record, version};

/// Pages of one run. At the smallest page size met (50) this is fifty million records; a run that reads more goes in
/// circles.
const PAGES_MAX: u64 = 1_000_000;

/// Reads one page.
pub async fn page(wire: &Wire<'_>, name: &StreamName, stream: &Stream, from: Option<&Cursor>) -> Result<Page> {
    let pull = stream.pull.as_ref().ok_or_else(|| ConnectorError::broken(format!("stream {name} cannot be pulled")))?;
    let paginate = stream.paginate.clone().unwrap_or(Paginate::None {});
    let mut position = Position::open(from)?;
    let draft = draft(wire, name, pull, &paginate, &position, Verb::Pull)?;
    let answer = wire.send(&draft).await?;
    let mut reply = answer.value;
    let records = take_records(name, stream, &mut reply)?;
    let count = records.len();
    let now = wire.cx.clock.now();
    let mut items = Vec::with_capacity(count);
    for body in records {
        let item = record::received(name, stream, body)?;
        if let Some(stamp) = stamp_of(&item) {
            position.meet(stamp, now);
        }
        items.push(item);
    }
    let next = paging::next(&paginate, position.page.as_deref(), &draft.url, &answer.headers, &reply, count)?;
    let seen = fingerprint(&items);
    if seen.is_some() && seen == position.seen && next.is_some() {
        return Err(ConnectorError::broken(format!(
            "{}: two pages show the same records; check `paginate`",
            draft.what
        )));
    }
    position.seen = seen;
    position.pages += 1;
    if position.pages > PAGES_MAX {
        return Err(ConnectorError::broken(format!("{}: paging does not end", draft.what)));
    }
    let more = next.is_some();
    let complete_scan = position.full && !more;
    // Without a way to ask for changes, every run begins at the beginning.
    let mut place = next.map_or_else(|| position.clone().end(), |next| position.clone().at(next));
    if pull.since.is_none() {
        place.since = None;
    }
    Ok(Page { items, next: Some(place.cursor()?), more, complete_scan })
}

/// The call for a page.
pub fn draft(
    wire: &Wire<'_>,
    name: &StreamName,
    pull: &Pull,
    paginate: &Paginate,
    position: &Position,
    verb: Verb,
) -> Result<Draft> {
    let stamp = stamp_to_send(pull, position.since)?;
    let values = Values { cursor: position.page.as_deref(), stamp: stamp.as_deref(), ..Values::of(wire.cx) };
    let mut url = wire.url(pull.path.as_deref(), &pull.params, &values)?;
    let mut body = match &pull.body {
        Some(body) => template::json(body, &values)?,
        None => None,
    };
    let mut asked = Asked { url: &mut url, body: &mut body };
    if let (Some(since), Some(stamp)) = (&pull.since, &stamp) {
        paging::place(&mut asked, &since.param, Value::from(stamp.as_str()));
    }
    paging::ask(paginate, position.page.as_deref(), &mut asked)?;
    let (method, body) = match &pull.graphql {
        Some(document) => (Method::Post, Some(graphql_body(document, body))),
        None => (pull.method, body),
    };
    Ok(Draft {
        what: format!("pull {name} of {}", wire.cx.connection),
        verb,
        method,
        url,
        headers: Vec::new(),
        body,
        graphql: pull.graphql.is_some(),
        idempotency_key: None,
    })
}

/// The stamp as the system wants to hear it: that of the former run less the overlap, or the manifest's first one.
fn stamp_to_send(pull: &Pull, since: Option<Timestamp>) -> Result<Option<String>> {
    let Some(rule) = &pull.since else { return Ok(None) };
    let Some(since) = since else { return Ok(rule.first.clone()) };
    let early = since.saturating_sub(Duration::from_secs(rule.overlap_seconds)).unwrap_or(Timestamp::UNIX_EPOCH);
    let text = version::write(rule, early.max(Timestamp::UNIX_EPOCH))?;
    Ok(Some(rule.write.replace("{stamp}", &text)))
}

fn take_records(name: &StreamName, stream: &Stream, reply: &mut Value) -> Result<Vec<Value>> {
    let pointer = stream.records.as_deref().unwrap_or_default();
    match reply.pointer_mut(pointer).map(Value::take) {
        Some(Value::Array(list)) => Ok(list),
        // Some systems write null for a page without records.
        Some(Value::Null) => Ok(Vec::new()),
        _ => Err(ConnectorError::broken(format!(
            "the reply to pulling {name} has no list at `{pointer}`; compare `records` with the system's reply"
        ))),
    }
}

fn stamp_of(item: &Received) -> Option<Timestamp> {
    let (Received::Record(huiliu_core::connector::Record { version, .. }) | Received::Deleted { version, .. }) = item
    else {
        return None;
    };
    let version = version.as_ref().filter(|version| version.is_instant)?;
    Timestamp::from_microsecond(version.order?).ok()
}

/// Names the ids of a page, in their order.
fn fingerprint(items: &[Received]) -> Option<String> {
    let mut hash = Sha256::new();
    for item in items {
        let (Received::Record(huiliu_core::connector::Record { id, .. }) | Received::Deleted { id, .. }) = item else {
            continue;
        };
        hash.update(id.as_str().as_bytes());
        hash.update([0]);
    }
    (!items.is_empty()).then(|| hex::encode(&hash.finalize()[..8]))
}
