//! Backfill: a stream read from scratch beside its live pull.
//!
//! It has a cursor of its own, which moves with its pages, so it goes on after a stop where it was; the live cursor is
//! not touched. What it brings goes the way of every record: an older version is stale, and a record without a version
//! that says something else than what was heard or written after its page was asked for is read once more, alone.

use super::{Arrived, PAGES_MAX, Pulled, unpack};
use crate::connection::{Connection, State};
use crate::connector::{ConnectorError, Cursor, JsonText, Page, StreamName};
use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::pipeline::blocking;
use crate::quota::Lane;
use crate::store::db::Result;
use crate::store::inbox;
use crate::store::streams::{self, Backfill};

/// Reads a stream from its beginning to its end, or goes on with what a stop or an error interrupted. Call it again
/// while `error` is set or `more` is true.
pub async fn backfill(engine: &Engine, connection: &Connection, stream: &StreamName) -> Result<Pulled> {
    let Some(connector) = connection.connector.clone() else { return Ok(Pulled::default()) };
    let mut pulled = Pulled::default();
    let cx = connection.cx.in_lane(Lane::Backfill);
    let (here, whose, name) = (engine.clone(), connection.clone(), stream.clone());
    let mut state = blocking(move || begin(&here, &whose, &name)).await?;
    for _ in 0..PAGES_MAX {
        let from = state.cursor.as_deref().map(Cursor::from);
        let asked_us = engine.clock.now_us();
        let (here, whose, name) = (engine.clone(), connection.clone(), stream.clone());
        match connector.pull_text(&cx, stream, from.as_ref()).await {
            Ok(page) => {
                let more = page.more;
                pulled.records += page.items.len();
                state = blocking(move || arrived(&here, &whose, &name, page, &state, asked_us)).await?;
                if !more {
                    return Ok(pulled);
                }
            }
            Err(error) => {
                pulled.error = Some(error.to_string());
                blocking(move || failed(&here, &whose, &name, &error)).await?;
                return Ok(pulled);
            }
        }
    }
    pulled.more = true;
    Ok(pulled)
}

fn begin(engine: &Engine, connection: &Connection, stream: &StreamName) -> Result<Backfill> {
    let started_us = engine.clock.now_us();
    engine.store.write(|tx| {
        let known = streams::backfill(tx, connection.name.as_str(), stream.as_str())?;
        if let Some(unfinished) = known.filter(|it| it.done_us.is_none()) {
            return Ok(unfinished);
        }
        let fresh = Backfill { cursor: None, scan: streams::here(tx)?, records: 0, started_us, done_us: None };
        streams::put_backfill(tx, connection.name.as_str(), stream.as_str(), &fresh)?;
        Ok(fresh)
    })
}

fn arrived(
    engine: &Engine,
    connection: &Connection,
    stream: &StreamName,
    page: Page<JsonText>,
    before: &Backfill,
    asked_us: i64,
) -> Result<Backfill> {
    let now_us = engine.clock.now_us();
    let (next, more) = (page.next.clone(), page.more);
    let Arrived { items, hints, records } = unpack(connection, stream, page, Some(before.scan), asked_us)?;
    let state = Backfill {
        cursor: next.map(|next| next.as_str().to_owned()).or_else(|| before.cursor.clone()),
        records: before.records + records,
        done_us: (!more).then_some(now_us),
        ..before.clone()
    };
    engine.store.write(|tx| {
        inbox::append(tx, &items)?;
        inbox::ask_fetch(tx, &hints, now_us)?;
        streams::put_backfill(tx, connection.name.as_str(), stream.as_str(), &state)?;
        point(Point::BackfillWritten);
        Ok(())
    })?;
    point(Point::BackfillCommitted);
    Ok(state)
}

fn failed(engine: &Engine, connection: &Connection, stream: &StreamName, error: &ConnectorError) -> Result<()> {
    let text = error.to_string();
    tracing::warn!(connection = %connection.name, %stream, kind = error.kind(), "backfill failed: {text}");
    let now_us = engine.clock.now_us();
    engine.store.write(|tx| match error {
        ConnectorError::Unauthorized { .. } => {
            streams::set_state(tx, connection.name.as_str(), State::Paused, Some(&text), now_us).map(drop)
        }
        ConnectorError::CursorExpired { .. } => {
            let scan = streams::here(tx)?;
            let again = Backfill { cursor: None, scan, records: 0, started_us: now_us, done_us: None };
            streams::put_backfill(tx, connection.name.as_str(), stream.as_str(), &again)
        }
        _ => Ok(()),
    })
}
