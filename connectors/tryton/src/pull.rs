//! Walks a stream by id: what changed since the last walk, and now and then everything there is.
//!
//! One walk over changes asks for rows that changed themselves or have a child that did. What leaves no mark, a row or a
//! child that was deleted, is found by the complete scan that follows the first walk of each day.

use huiliu_core::connector::{ConnectorError, Cursor, Cx, Page, Received, Record, Result};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rpc::Rpc;
use crate::streams::{STAMPS, Stream, id_of};
use crate::typed;

/// Where the walks stand. Opaque to everybody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Changes up to this stamp were read; empty before the first.
    mark: String,
    /// When the last complete scan began, by our clock.
    scanned_us: i64,
    /// The walk under way.
    walk: Option<Walk>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Walk {
    kind: Kind,
    /// The last id read.
    after: u64,
    /// The newest stamp there was when a walk of several pages began: what changes during the walk is later.
    until: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// The first walk: everything, as the stream begins.
    First,
    /// What changed.
    Changes,
    /// Everything again.
    Scan,
}

/// A page of more rows than this takes longer than the server gives a request (`request.timeout`).
const PAGE_SIZE_MAX: i64 = 1000;

/// A longer overlap than a week is a mistake in the settings.
const OVERLAP_SECONDS_MAX: i64 = 7 * 86_400;

/// A deletion that is found after a month is found too late.
const SCAN_HOURS_MAX: i64 = 31 * 24;

/// One page of a stream.
pub async fn pull(rpc: &Rpc, cx: &Cx, stream: &Stream, from: Option<&Cursor>) -> Result<Page> {
    let limit = usize::try_from(number(cx, "page_size", 1, PAGE_SIZE_MAX)?).unwrap_or(usize::MAX);
    let now_us = cx.clock.now_us();
    let mut place = match from {
        Some(cursor) => read(cursor)?,
        None => Place { mark: String::new(), scanned_us: now_us, walk: Some(Walk::of(Kind::First)) },
    };
    let mut walk = place.walk.take().unwrap_or_else(|| Walk::of(Kind::Changes));
    if walk.kind != Kind::Changes && walk.until.is_none() {
        walk.until = Some(newest(rpc, cx, stream).await?);
    }
    let mut rows = page(rpc, cx, stream, &place.mark, &walk, limit).await?;
    if rows.len() >= limit && walk.until.is_none() {
        // One page is one transaction and its own newest stamp; several need one from before the first.
        walk.until = Some(newest(rpc, cx, stream).await?);
        rows = page(rpc, cx, stream, &place.mark, &walk, limit).await?;
    }
    let is_cut = rows.len() >= limit;
    let mut complete_scan = false;
    if let (true, Some(last)) = (is_cut, rows.last()) {
        walk.after = id_of(last)?;
        place.walk = Some(walk.clone());
    } else {
        let seen = rows.iter().filter_map(|row| stream.newest(row)).max();
        let reached = walk.until.as_deref().or(seen).unwrap_or_default();
        place.mark = reached.max(place.mark.as_str()).to_owned();
        complete_scan = walk.kind != Kind::Changes;
        let pause_us = number(cx, "scan_hours", 1, SCAN_HOURS_MAX)? * 3_600_000_000;
        if walk.kind == Kind::Changes && now_us.saturating_sub(place.scanned_us) >= pause_us {
            place.scanned_us = now_us;
            place.walk = Some(Walk::of(Kind::Scan));
        }
    }
    let items = rows.into_iter().map(|row| Ok(unversioned(stream.received(row)?, walk.kind)));
    let more = place.walk.is_some();
    Ok(Page { items: items.collect::<Result<_>>()?, next: Some(write(&place)), more, complete_scan })
}

impl Walk {
    fn of(kind: Kind) -> Self {
        Self { kind, after: 0, until: None }
    }
}

/// When a child alone is deleted, the newest stamp of its parent becomes an older one. A scan shows what is there now, so
/// its records must not be taken for old ones: they come without a version.
fn unversioned(received: Received, kind: Kind) -> Received {
    match received {
        Received::Record(record) if kind == Kind::Scan => Received::Record(Record { version: None, ..record }),
        other => other,
    }
}

async fn page(rpc: &Rpc, cx: &Cx, stream: &Stream, mark: &str, walk: &Walk, limit: usize) -> Result<Vec<Value>> {
    let mut domain = vec![json!(["id", ">", walk.after])];
    if walk.kind == Kind::Changes && !mark.is_empty() {
        let overlap = SignedDuration::from_secs(number(cx, "overlap_seconds", 0, OVERLAP_SECONDS_MAX)?);
        let since = mark.parse::<Timestamp>().ok().and_then(|mark| mark.checked_sub(overlap).ok());
        domain.push(changed(stream, since.ok_or_else(expired)?));
    }
    rpc.search_read(cx, stream.model, Value::Array(domain), limit, json!([["id", "ASC"]]), &stream.fields()).await
}

/// Rows that changed at or after an instant, or have a child that did.
fn changed(stream: &Stream, since: Timestamp) -> Value {
    let at = typed::datetime(since);
    let row = json!(["OR", [["write_date", ">=", at]], [["write_date", "=", null], ["create_date", ">=", at]]]);
    let mut any = vec![json!("OR"), row.clone()];
    any.extend(stream.children.iter().map(|child| json!([child.field, "where", [row]])));
    Value::Array(any)
}

/// The newest stamp of a stream's rows and their children; empty where there is none.
async fn newest(rpc: &Rpc, cx: &Cx, stream: &Stream) -> Result<String> {
    let mut newest = String::new();
    for model in stream.children.iter().map(|child| child.model).chain([stream.model]) {
        for stamp in STAMPS {
            let (domain, order) = (json!([[stamp, "!=", null]]), json!([[stamp, "DESC"]]));
            let rows = rpc.search_read(cx, model, domain, 1, order, &[stamp.to_owned()]).await?;
            if let Some(at) = rows.first().and_then(|row| row[stamp].as_str()) {
                newest = newest.max(at.to_owned());
            }
        }
    }
    Ok(newest)
}

fn number(cx: &Cx, setting: &str, min: i64, max: i64) -> Result<i64> {
    let value = cx.setting(setting)?.parse().ok().filter(|value| (min..=max).contains(value));
    value.ok_or_else(|| {
        ConnectorError::broken(format!(
            "config.{setting} of connection {} must be a whole number from {min} to {max}",
            cx.connection
        ))
    })
}

fn read(cursor: &Cursor) -> Result<Place> {
    serde_json::from_str(cursor.as_str()).map_err(|_| expired())
}

fn expired() -> ConnectorError {
    ConnectorError::CursorExpired {
        detail: "the stored cursor is not one of this connector; the stream starts from the beginning".to_owned(),
    }
}

fn write(place: &Place) -> Cursor {
    Cursor::from(json!(place).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let walk = Walk { kind: Kind::Scan, after: 7, until: Some("2026-02-03T04:05:06.000007Z".to_owned()) };
        let place = Place { mark: String::new(), scanned_us: 9, walk: Some(walk) };
        assert_eq!(read(&write(&place)), Ok(place));
        assert_eq!(read(&Cursor::from("7")).unwrap_err().kind(), "cursor_expired");
    }
}
