//! Walks a stream by (change stamp, id): a place that writes elsewhere in the table cannot shift.

use huiliu_core::connector::{ConnectorError, Cursor, Cx, Page, Received, Result, StreamName};
use jiff::{SignedDuration, civil::DateTime};
use serde::{Deserialize, Serialize};

use crate::query::{self, Ask, Row};
use crate::streams::{Form, STAMP};
use crate::wire::Wire;

/// Where the walk stands. Opaque to everybody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Change stamp of the last record read, as the system wrote it.
    at: String,
    /// Its id: records of one batch share the stamp.
    id: String,
    /// Whether that was the end: the next pull then reads the overlap again.
    ended: bool,
}

/// Before any record: the system stamps a record whenever it saves it.
const BEGINNING: &str = "1900-01-01T00:00:00";

/// The vendor's largest page since patch 23.11; older ones allow 2000.
const PAGE_SIZE_MAX: usize = 10_000;

/// A longer overlap than a week is a mistake in the settings.
const OVERLAP_SECONDS_MAX: usize = 7 * 86_400;

/// One page of a stream.
pub async fn pull(wire: &Wire, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
    let form = Form::of(cx, stream)?;
    let limit = page_size(cx)?;
    let place = from.map(parse).transpose()?;
    let filter = filter(&form, place.as_ref(), number(cx, "overlap_seconds", 0, OVERLAP_SECONDS_MAX)?)?;
    let mut rows =
        query::rows(wire, cx, &form, &Ask { filter: &filter, order: &order(&form), start_row: 0, limit }).await?;
    let is_cut = rows.len() >= limit || goes_on(wire, cx, &form, &filter, rows.len()).await?;
    if is_cut {
        whole_records(wire, cx, &form, &mut rows, limit).await?;
    }
    let Some(last) = rows.last() else {
        let ended = place.map(|place| Place { ended: true, ..place });
        return Ok(Page { items: Vec::new(), next: ended.as_ref().map(write), more: false, complete_scan: false });
    };
    let next = Place {
        at: query::stamp_of(&form, last)?.to_owned(),
        id: query::id_of(&form, last)?.to_string(),
        ended: !is_cut,
    };
    if is_cut && place.as_ref().is_some_and(|place| !place.ended && !is_ahead(place, &next)) {
        return Err(ConnectorError::broken(format!(
            "{} answers a query for what follows a record with that record: its stamps cannot be compared as it shows \
             them; raise config.page_size above the number of records that changed in one second",
            form.id
        )));
    }
    let items = groups(&rows).map(|rows| query::record(&form, stream, rows).map(Received::Record));
    Ok(Page { items: items.collect::<Result<_>>()?, next: Some(write(&next)), more: is_cut, complete_scan: false })
}

/// Rows of one query, from the settings.
pub fn page_size(cx: &Cx) -> Result<usize> {
    number(cx, "page_size", 1, PAGE_SIZE_MAX)
}

fn number(cx: &Cx, setting: &str, min: usize, max: usize) -> Result<usize> {
    let value = cx.setting(setting)?.parse().ok().filter(|value| (min..=max).contains(value));
    value.ok_or_else(|| {
        ConnectorError::broken(format!(
            "config.{setting} of connection {} must be a whole number from {min} to {max}",
            cx.connection
        ))
    })
}

/// Whether a walk moves on. A server that compares more digits of a stamp than it shows would answer the same page for
/// ever.
fn is_ahead(place: &Place, next: &Place) -> bool {
    let id = |place: &Place| place.id.parse::<u64>().unwrap_or_default();
    (query::instant(&next.at), id(next)) > (query::instant(&place.at), id(place))
}

fn parse(cursor: &Cursor) -> Result<Place> {
    let place: Option<Place> = serde_json::from_str(cursor.as_str()).ok();
    // What goes into a filter is checked even though we wrote it: a cursor passes through a store and a command line.
    place.filter(|place| query::is_id(&place.id) && query::instant(&place.at).is_some()).ok_or_else(|| {
        ConnectorError::CursorExpired { detail: "the stored cursor is not one of this connector".to_owned() }
    })
}

fn write(place: &Place) -> Cursor {
    Cursor::from(serde_json::json!({ "at": place.at, "id": place.id, "ended": place.ended }).to_string())
}

fn filter(form: &Form, place: Option<&Place>, overlap_seconds: usize) -> Result<String> {
    let Some(place) = place else {
        return Ok(format!("{STAMP} >= {}", query::quote(BEGINNING)));
    };
    let at = query::quote(&place.at);
    if place.ended {
        let back = SignedDuration::from_secs(i64::try_from(overlap_seconds).unwrap_or(i64::MAX));
        let local: Option<DateTime> = place.at.parse().ok();
        let from = local.and_then(|local| local.checked_sub(back).ok()).ok_or_else(|| {
            ConnectorError::CursorExpired { detail: "the stored cursor has no readable stamp".to_owned() }
        })?;
        return Ok(format!("{STAMP} >= {}", query::quote(&from.to_string())));
    }
    Ok(format!("{STAMP} > {at} or ({STAMP} = {at} and {} > {})", form.key, place.id))
}

fn order(form: &Form) -> String {
    let entry = form.entries.as_ref().map(|entries| format!(", {} ASC", entries.key)).unwrap_or_default();
    format!("{STAMP} ASC, {} ASC{entry}", form.key)
}

/// Whether more rows follow a short page: a tenant may cap pages below what was asked for, without saying so.
async fn goes_on(wire: &Wire, cx: &Cx, form: &Form, filter: &str, read: usize) -> Result<bool> {
    if read == 0 {
        return Ok(false);
    }
    let ask = Ask { filter, order: &order(form), start_row: read, limit: 1 };
    Ok(!query::rows(wire, cx, form, &ask).await?.is_empty())
}

/// Makes the end of a cut page fall between two records: the last record is left for the next page, or read whole if
/// it fills the page alone.
async fn whole_records(wire: &Wire, cx: &Cx, form: &Form, rows: &mut Vec<Row>, limit: usize) -> Result<()> {
    let Some(last) = rows.last() else { return Ok(()) };
    if form.entries.is_none() {
        return Ok(());
    }
    let id = query::id_of(form, last)?;
    let start = rows.iter().position(|row| row.first() == last.first()).unwrap_or_default();
    if start > 0 {
        rows.truncate(start);
    } else {
        *rows = query::record_rows(wire, cx, form, &format!("{} = {id}", form.key), limit).await?;
    }
    Ok(())
}

/// The rows of each record: they follow each other.
fn groups(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    rows.chunk_by(|a, b| a.first() == b.first())
}

#[cfg(test)]
mod tests {
    use super::{Place, is_ahead};

    #[test]
    fn a_walk_moves_on_by_stamp_then_id() {
        let place = |at: &str, id: &str| Place { at: at.to_owned(), id: id.to_owned(), ended: false };
        let here = place("2023-11-15T06:13:20", "99");
        for (at, id, expected) in [
            ("2023-11-15T06:13:20", "100", true),
            ("2023-11-15T06:13:20.5", "1", true),
            ("2023-11-15T06:13:21", "1", true),
            ("2023-11-15T06:13:20", "99", false),
            ("2023-11-15T06:13:20", "98", false),
            ("2023-11-15T06:13:19", "100", false),
        ] {
            assert_eq!(is_ahead(&here, &place(at, id)), expected, "{at} {id}");
        }
    }
}
