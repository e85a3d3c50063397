//! Connections and streams: their state, cursors, schedules and last errors.

use std::collections::{BTreeMap, BTreeSet};

use super::db::{Bell, Col, Insert, Keys, Param, Result, Tx};
use crate::connection::State;

/// Makes a connection known: it observes first.
pub fn introduce(tx: &mut Tx<'_>, connection: &str, connector: &str, now_us: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO connection (name, connector, state, resume, changed_us) VALUES (?1, ?2, 'observing', 'observing', ?3)
         ON CONFLICT (name) DO NOTHING",
        &[Param::Text(connection), Param::Text(connector), Param::Int(now_us)],
    )
    .map(|_| ())
}

/// The states of all connections, with the reason of a pause.
pub fn states(tx: &mut Tx<'_>) -> Result<BTreeMap<String, (State, Option<String>)>> {
    let sql = "SELECT name, state, reason FROM connection ORDER BY name";
    let rows = tx.query(sql, &[], |row| Ok((row.text(0)?, (State::parse(&row.text(1)?), row.opt_text(2)?))))?;
    Ok(rows.into_iter().collect())
}

/// Whether a connection may be written now.
pub fn is_live(tx: &mut Tx<'_>, connection: &str) -> Result<bool> {
    let sql = "SELECT state FROM connection WHERE name = ?1";
    let state = tx.query_opt(sql, &[Param::Text(connection)], |row| row.text(0))?;
    Ok(state.is_some_and(|word| State::parse(&word) == State::Live))
}

/// The connections that are owed changes: live ones, and those that will be live again after a pause.
pub fn owed(tx: &mut Tx<'_>) -> Result<BTreeSet<String>> {
    let sql = "SELECT name FROM connection WHERE state = 'live' OR (state = 'paused' AND resume = 'live')";
    Ok(tx.query(sql, &[], |row| row.text(0))?.into_iter().collect())
}

/// Sets a connection's state; a pause remembers what to return to.
pub fn set_state(tx: &mut Tx<'_>, connection: &str, state: State, reason: Option<&str>, now_us: i64) -> Result<u64> {
    tx.ring(Bell::All);
    tx.execute(
        "UPDATE connection SET resume = CASE WHEN state = 'paused' THEN resume ELSE state END, state = ?2, reason = ?3,
         changed_us = ?4 WHERE name = ?1",
        &[Param::Text(connection), Param::Text(state.as_str()), reason.into(), Param::Int(now_us)],
    )
}

/// Ends a pause.
pub fn resume(tx: &mut Tx<'_>, connection: &str, now_us: i64) -> Result<u64> {
    tx.ring(Bell::All);
    tx.execute(
        "UPDATE connection SET state = resume, reason = NULL, changed_us = ?2 WHERE name = ?1 AND state = 'paused'",
        &[Param::Text(connection), Param::Int(now_us)],
    )
}

/// Keeps by how much a system's clock is ahead of ours, microseconds.
pub fn set_clock_offset(tx: &mut Tx<'_>, connection: &str, offset_us: i64) -> Result<u64> {
    let sql = "UPDATE connection SET clock_offset_us = ?2 WHERE name = ?1";
    tx.execute(sql, &[Param::Text(connection), Param::Int(offset_us)])
}

/// By how much the clocks of the systems are ahead of ours, microseconds, by connection; 0: not at all, or not measured.
pub fn clock_offsets(tx: &mut Tx<'_>) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT name, clock_offset_us FROM connection";
    Ok(tx.query(sql, &[], |row| Ok((row.text(0)?, row.int(1)?)))?.into_iter().collect())
}

/// Where a stream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StreamState {
    /// Where the next pull starts.
    pub cursor: Option<String>,
    /// The next pull is due, microseconds since 1970 UTC.
    pub due_us: i64,
    /// The last successful pull.
    pub ok_us: Option<i64>,
    /// The kind of the last error, if the last pull failed.
    pub error_kind: Option<String>,
    /// The last error.
    pub error: Option<String>,
    /// Failed pulls in a row.
    pub failures: i64,
    /// Records pulled so far.
    pub records: i64,
    /// Whether the stream waits for a person.
    pub stopped: bool,
    /// Where the scan that is under way began.
    pub scan: Option<Scan>,
    /// What held the last complete scan back; only the processing of a scan and a steward change it.
    pub brake: Option<Brake>,
    /// The last position of the inbox when the stream had been read to its end for the first time; none: never yet.
    pub read_to: Option<i64>,
    /// The last read that came to its end began then, microseconds since 1970 UTC.
    pub seen_us: Option<i64>,
    /// The last position of the inbox when it ended.
    pub seen_to: Option<i64>,
    /// Creates waited for that: the golden records after this one are to be planned again. None: none waited.
    pub held: Option<i64>,
    /// The finding about drift for whose sake it is stopped.
    pub drift: Option<i64>,
}

/// The moment at which a scan began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Scan {
    /// The last position of the inbox then.
    pub inbox: i64,
    /// The last link then: younger ones cannot be missed.
    pub link: i64,
    /// When it was, microseconds since 1970 UTC; 0 where nobody asks.
    #[serde(default)]
    pub at_us: i64,
}

/// The mark that a complete scan leaves in the inbox.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// When it began.
    pub scan: Scan,
    /// The steward who lets it close more than the budget allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_by: Option<String>,
}

/// A complete scan that missed more than the budget allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Brake {
    /// The scan.
    pub scan: Scan,
    /// Open links of the stream.
    pub open: i64,
    /// Those that the scan did not show.
    pub missing: i64,
    /// When the scan ended, microseconds since 1970 UTC.
    pub at_us: i64,
}

/// How far a backfill is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Backfill {
    /// Where its next page starts.
    pub cursor: Option<String>,
    /// Where everything stood when it began.
    pub scan: Scan,
    /// Records read so far.
    pub records: i64,
    /// When it began, microseconds since 1970 UTC.
    pub started_us: i64,
    /// When it ended.
    pub done_us: Option<i64>,
}

/// The last backfill of a stream, under way or done.
pub fn backfill(tx: &mut Tx<'_>, connection: &str, stream: &str) -> Result<Option<Backfill>> {
    tx.query_opt(
        "SELECT cursor, scan, records, started_us, done_us FROM backfill WHERE connection = ?1 AND stream = ?2",
        &[Param::Text(connection), Param::Text(stream)],
        |row| {
            Ok(Backfill {
                cursor: row.opt_text(0)?,
                scan: serde_json::from_str(&row.text(1)?)?,
                records: row.int(2)?,
                started_us: row.int(3)?,
                done_us: row.opt_int(4)?,
            })
        },
    )
}

/// Backfills that are under way: connection and stream, records so far, when it began.
pub fn backfills(tx: &mut Tx<'_>) -> Result<Vec<(String, String, i64, i64)>> {
    let sql = "SELECT connection, stream, records, started_us FROM backfill WHERE done_us IS NULL ORDER BY connection, stream";
    tx.query(sql, &[], |row| Ok((row.text(0)?, row.text(1)?, row.int(2)?, row.int(3)?)))
}

const BACKFILL: Insert = Insert {
    table: "backfill",
    columns: &[
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("cursor", Col::Text),
        ("scan", Col::Text),
        ("records", Col::Int),
        ("started_us", Col::Int),
        ("done_us", Col::Int),
    ],
    conflict: "ON CONFLICT (connection, stream) DO UPDATE SET cursor = excluded.cursor, scan = excluded.scan,
               records = excluded.records, started_us = excluded.started_us, done_us = excluded.done_us",
};

/// Writes how far a backfill is: only in the transaction that holds its page.
pub fn put_backfill(tx: &mut Tx<'_>, connection: &str, stream: &str, state: &Backfill) -> Result<()> {
    let scan = serde_json::to_string(&state.scan)?;
    let cells = [
        Param::Text(connection),
        Param::Text(stream),
        state.cursor.as_deref().into(),
        Param::Text(&scan),
        Param::Int(state.records),
        Param::Int(state.started_us),
        state.done_us.into(),
    ];
    tx.insert_later(&BACKFILL, &cells)
}

/// Where everything stands now.
pub fn here(tx: &mut Tx<'_>) -> Result<Scan> {
    Ok(Scan { inbox: tx.max("position", "inbox")?, link: tx.max("id", "link")?, at_us: 0 })
}

/// Notes that a stream was read to its end, from this instant on: only in the transaction that holds its last page.
pub fn mark_read(tx: &mut Tx<'_>, connection: &str, stream: &str, began_us: i64) -> Result<u64> {
    let here = tx.max("position", "inbox")?;
    tx.execute(
        "UPDATE stream_state SET read_to = COALESCE(read_to, ?3), seen_to = ?3, seen_us = ?4
         WHERE connection = ?1 AND stream = ?2",
        &[Param::Text(connection), Param::Text(stream), Param::Int(here), Param::Int(began_us)],
    )
}

const HELD: Insert = Insert {
    table: "stream_state",
    columns: &[("connection", Col::Text), ("stream", Col::Text), ("held", Col::Int)],
    conflict: "ON CONFLICT (connection, stream) DO UPDATE SET held = excluded.held",
};

/// Notes that creates in these streams (connection, stream) wait.
pub fn hold(tx: &mut Tx<'_>, streams: &BTreeSet<(String, String)>) -> Result<()> {
    let cells: Vec<Param<'_>> = streams
        .iter()
        .flat_map(|(connection, stream)| [Param::Text(connection), Param::Text(stream), Param::Int(0)])
        .collect();
    tx.insert_later(&HELD, &cells)
}

/// Moves on with planning what waited; none: nothing waits any more.
pub fn set_held(tx: &mut Tx<'_>, connection: &str, stream: &str, after: Option<i64>) -> Result<u64> {
    tx.execute(
        "UPDATE stream_state SET held = ?3 WHERE connection = ?1 AND stream = ?2",
        &[Param::Text(connection), Param::Text(stream), after.into()],
    )
}

/// The streams (connection, stream) whose creates waited, with the last golden record that was planned since.
pub fn held(tx: &mut Tx<'_>) -> Result<BTreeMap<(String, String), i64>> {
    let sql = "SELECT connection, stream, held FROM stream_state WHERE held IS NOT NULL";
    let rows = tx.query(sql, &[], |row| Ok(((row.text(0)?, row.text(1)?), row.int(2)?)))?;
    Ok(rows.into_iter().collect())
}

/// Sets or lifts the brake of a stream.
pub fn set_brake(tx: &mut Tx<'_>, connection: &str, stream: &str, brake: Option<Brake>) -> Result<u64> {
    let text = brake.map(|brake| serde_json::to_string(&brake)).transpose()?;
    tx.execute(
        "UPDATE stream_state SET brake = ?3 WHERE connection = ?1 AND stream = ?2",
        &[Param::Text(connection), Param::Text(stream), text.as_deref().into()],
    )
}

/// The state of every stream that was ever pulled, by connection and stream.
pub fn all(tx: &mut Tx<'_>) -> Result<BTreeMap<(String, String), StreamState>> {
    let sql = "SELECT connection, stream, cursor, due_us, ok_us, error_kind, error, failures, records, stopped,
               scan, brake, read_to, held, (SELECT MIN(d.id) FROM drift AS d WHERE d.state = 'open' AND d.policy = 'stop'
               AND d.kind <> 'refused' AND d.connection = s.connection AND d.stream = s.stream), seen_us, seen_to
               FROM stream_state AS s";
    let rows = tx.query(sql, &[], |row| {
        let state = StreamState {
            cursor: row.opt_text(2)?,
            due_us: row.int(3)?,
            ok_us: row.opt_int(4)?,
            error_kind: row.opt_text(5)?,
            error: row.opt_text(6)?,
            failures: row.int(7)?,
            records: row.int(8)?,
            stopped: row.int(9)? == 1 || row.opt_int(14)?.is_some(),
            scan: row.opt_text(10)?.map(|text| serde_json::from_str(&text)).transpose()?,
            brake: row.opt_text(11)?.map(|text| serde_json::from_str(&text)).transpose()?,
            read_to: row.opt_int(12)?,
            held: row.opt_int(13)?,
            drift: row.opt_int(14)?,
            seen_us: row.opt_int(15)?,
            seen_to: row.opt_int(16)?,
        };
        Ok(((row.text(0)?, row.text(1)?), state))
    })?;
    Ok(rows.into_iter().collect())
}

const STREAM: Insert = Insert {
    table: "stream_state",
    columns: &[
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("cursor", Col::Text),
        ("due_us", Col::Int),
        ("ok_us", Col::Int),
        ("error_kind", Col::Text),
        ("error", Col::Text),
        ("failures", Col::Int),
        ("records", Col::Int),
        ("stopped", Col::Int),
        ("scan", Col::Text),
    ],
    conflict: "ON CONFLICT (connection, stream) DO UPDATE SET cursor = excluded.cursor, due_us = excluded.due_us,
               ok_us = excluded.ok_us, error_kind = excluded.error_kind, error = excluded.error,
               failures = excluded.failures, records = excluded.records, stopped = excluded.stopped, scan = excluded.scan",
};

/// Writes a stream's state: a cursor only in the transaction that holds its page.
pub fn put(tx: &mut Tx<'_>, connection: &str, stream: &str, state: &StreamState) -> Result<()> {
    let scan = state.scan.map(|scan| serde_json::to_string(&scan)).transpose()?;
    let cells = [
        Param::Text(connection),
        Param::Text(stream),
        state.cursor.as_deref().into(),
        Param::Int(state.due_us),
        state.ok_us.into(),
        state.error_kind.as_deref().into(),
        state.error.as_deref().into(),
        Param::Int(state.failures),
        Param::Int(state.records),
        Param::Int(i64::from(state.stopped)),
        scan.as_deref().into(),
    ];
    tx.insert_later(&STREAM, &cells)
}

/// Brings the next pull of streams (connection, stream) forward to now: their systems say that something changed there.
pub fn bring_forward(tx: &mut Tx<'_>, streams: &BTreeSet<(String, String)>, now_us: i64) -> Result<u64> {
    for (connection, _) in streams {
        tx.ring(Bell::Read(connection.clone()));
    }
    let keys = Keys::texts(streams.iter().map(|(connection, stream)| [connection.as_str(), stream.as_str()]));
    tx.execute_keys(
        "UPDATE stream_state SET due_us = ?2 WHERE due_us > ?2
         AND EXISTS (SELECT 1 FROM {keys:tt} AS k WHERE k.k0 = connection AND k.k1 = stream)",
        &keys,
        &[Param::Int(now_us)],
    )
}

/// When a connection next has something to do, microseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errands {
    /// Whether it is paused: nothing is done there.
    pub is_paused: bool,
    /// A key to fetch.
    pub fetch_us: Option<i64>,
    /// A delivery to send, if it is live.
    pub send_us: Option<i64>,
}

impl Errands {
    /// The first of them.
    pub fn next_us(&self) -> Option<i64> {
        [self.fetch_us, self.send_us].into_iter().flatten().min()
    }
}

/// What a connection has to do next.
pub fn errands(tx: &mut Tx<'_>, connection: &str) -> Result<Errands> {
    let whose = [Param::Text(connection)];
    let state = tx.query_opt("SELECT state FROM connection WHERE name = ?1", &whose, |row| row.text(0))?;
    let state = state.map(|word| State::parse(&word));
    let sql = "SELECT MIN(due_us) FROM fetch_request WHERE connection = ?1";
    let fetch_us = tx.query_opt(sql, &whose, |row| row.opt_int(0))?.flatten();
    let send_us = if state == Some(State::Live) {
        // In the order of what is due: the first of this connection ends the search.
        let sql =
            "SELECT due_us FROM delivery WHERE state = 'pending' AND connection || '' = ?1 ORDER BY due_us LIMIT 1";
        tx.query_opt(sql, &whose, |row| row.int(0))?
    } else {
        None
    };
    Ok(Errands { is_paused: state == Some(State::Paused), fetch_us, send_us })
}

/// When a connection next has a key to fetch or, if it is live, a delivery to send.
pub fn next_errand_us(tx: &mut Tx<'_>, connection: &str) -> Result<Option<i64>> {
    Ok(errands(tx, connection)?.next_us())
}
