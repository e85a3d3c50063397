//! How things stand: what waits, where, and for how long. Read by `huiliu status` and by `/metrics`.

use super::brakes::{self, Caught, Kind};
use super::db::{Param, Result, Tx};
use super::logs::{self, LogState};
use super::meter::{self, Meter};
use super::{drifts, inbox, streams};
use crate::connection::State;
use crate::pipeline::{plan, process};
use crate::store::streams::StreamState;

/// A reading of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Connections with their state, and the reason of a pause.
    pub connections: Vec<(String, State, Option<String>)>,
    /// Streams that were pulled at least once: connection, stream, state.
    pub streams: Vec<(String, String, StreamState)>,
    /// Brakes that hold arrivals back.
    pub brakes: Vec<Caught>,
    /// Logs before the inbox, as far as they were taken in.
    pub logs: Vec<LogState>,
    /// Items of the inbox that wait to be processed.
    pub inbox_waiting: i64,
    /// When the oldest of them arrived, microseconds since 1970 UTC.
    pub inbox_oldest_us: Option<i64>,
    /// Changes that wait to be planned.
    pub changes_waiting: i64,
    /// Hinted keys that wait to be fetched.
    pub fetches_waiting: i64,
    /// Deliveries that are not over (`pending`, `sending`) or that gave up (`dead`): connection, state, how many.
    pub deliveries: Vec<(String, String, i64)>,
    /// Dead letters that wait for a person: stage, how many.
    pub dead_letters: Vec<(String, i64)>,
    /// Links that wait for a steward.
    pub reviews_waiting: i64,
    /// How much of each stream was compared, and what is not the same.
    pub meters: Vec<Meter>,
    /// Findings about drift that wait for a person, and what waits for them: connection, how many findings, how many
    /// records, values and deliveries.
    pub drift: Vec<(String, i64, i64)>,
}

impl Overview {
    /// How many records of a stream the brake holds back: what would be gone includes what a complete scan did not show.
    pub fn held_back(&self, connection: &str, stream: &str, kind: Kind) -> i64 {
        let here = |it: &&Caught| (it.connection.as_str(), it.stream.as_str(), it.kind) == (connection, stream, kind);
        let held = self.brakes.iter().find(here).map_or(0, |it| it.held);
        let mut states = self.streams.iter().filter(|(known, name, _)| known == connection && name == stream);
        let unseen = states.find_map(|(.., state)| state.brake).map_or(0, |brake| brake.missing);
        if kind == Kind::Missing { held.max(unseen) } else { held }
    }
}

/// Reads how things stand. It asks indexes and positions only, except for dead letters and reviews, which are few.
pub fn read(tx: &mut Tx<'_>) -> Result<Overview> {
    let deliveries = "SELECT connection, state, COUNT(*) FROM delivery WHERE state IN ('pending', 'sending', 'dead')
                      GROUP BY connection, state ORDER BY connection, state";
    let dead_letters = "SELECT stage, COUNT(*) FROM dead_letter WHERE state = 'waiting' GROUP BY stage ORDER BY stage";
    let reviews = "SELECT COUNT(*) FROM review WHERE state = 'waiting'";
    Ok(Overview {
        fetches_waiting: inbox::fetches_waiting(tx)?,
        deliveries: tx.query(deliveries, &[], |row| Ok((row.text(0)?, row.text(1)?, row.int(2)?)))?,
        dead_letters: tx.query(dead_letters, &[], |row| Ok((row.text(0)?, row.int(1)?)))?,
        meters: meter::read(tx)?,
        reviews_waiting: tx.query_opt(reviews, &[], |row| row.int(0))?.unwrap_or(0),
        ..standing(tx)?
    })
}

/// The part of it that costs the same however much waits: connections, streams, and how far the stages are.
pub fn standing(tx: &mut Tx<'_>) -> Result<Overview> {
    let processed = inbox::progress(tx, process::POSITION)?;
    let oldest = "SELECT received_us FROM inbox WHERE position > ?1 ORDER BY position LIMIT 1";
    Ok(Overview {
        connections: streams::states(tx)?.into_iter().map(|(name, (state, reason))| (name, state, reason)).collect(),
        streams: streams::all(tx)?.into_iter().map(|((connection, name), state)| (connection, name, state)).collect(),
        brakes: brakes::caught(tx)?,
        logs: logs::all(tx)?,
        inbox_waiting: tx.max("position", "inbox")?.saturating_sub(processed).max(0),
        inbox_oldest_us: tx.query_opt(oldest, &[Param::Int(processed)], |row| row.int(0))?,
        drift: drifts::counts(tx)?,
        changes_waiting: (tx.max("position", "change_log")? - inbox::progress(tx, plan::POSITION)?).max(0),
        ..Overview::default()
    })
}

/// Whether the store answers and its schema is this version's; the error says what is wrong.
pub fn ready(tx: &mut Tx<'_>) -> Result<()> {
    tx.schema_is_known()
}
