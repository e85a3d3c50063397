//! Divergences: records that are not the same in their system and in the hub, as reconciliation found them.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::FieldName;
use serde::Serialize;

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};

/// How a record differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The system shows it and the hub never saw it, or holds it for gone.
    Unseen,
    /// The hub holds it and the system does not show it any more.
    Vanished,
    /// The system shows other values than the hub holds.
    Missed,
    /// The system holds other values than the golden record has for it, and may be written.
    Undelivered,
    /// The golden record may be created there, and was not. Its name is `golden/` and the golden record's number.
    Uncreated,
}

impl Kind {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Vanished => "vanished",
            Self::Missed => "missed",
            Self::Undelivered => "undelivered",
            Self::Uncreated => "uncreated",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "unseen" => Self::Unseen,
            "vanished" => Self::Vanished,
            "undelivered" => Self::Undelivered,
            "uncreated" => Self::Uncreated,
            _ => Self::Missed,
        }
    }
}

/// What becomes of a divergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A walk met it; it is looked at once more when what is under way has settled.
    Suspected,
    /// It was confirmed and repaired, and will be looked at again.
    Repairing,
    /// Repairs did not help, or are not allowed: a person must look at it.
    Stuck,
    /// It is the same again.
    Repaired,
}

impl State {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Repairing => "repairing",
            Self::Stuck => "stuck",
            Self::Repaired => "repaired",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "repairing" => Self::Repairing,
            "stuck" => Self::Stuck,
            "repaired" => Self::Repaired,
            _ => Self::Suspected,
        }
    }
}

/// A record that is not the same in its system and in the hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// The connection.
    pub connection: String,
    /// The stream.
    pub stream: String,
    /// The system's id.
    pub external_id: String,
    /// How it differs.
    pub kind: Kind,
    /// The canonical fields that differ; none: the whole record.
    pub fields: BTreeSet<FieldName>,
    /// What becomes of it.
    pub state: State,
    /// The cursor of the page that showed it, where one record cannot be read alone.
    #[serde(skip)]
    pub page: Option<String>,
    /// Repairs so far.
    pub tries: i64,
    /// It is looked at again once the inbox is processed up to here.
    #[serde(skip)]
    pub inbox: i64,
    /// Why it needs a person.
    pub reason: Option<String>,
    /// When it was found, microseconds since 1970 UTC.
    pub found_us: i64,
    /// When it is looked at next; of a repaired one, since when it is the same again.
    pub due_us: i64,
}

const DIVERGENCE: Insert = Insert {
    table: "divergence",
    columns: &[
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("external_id", Col::Text),
        ("kind", Col::Text),
        ("fields", Col::Text),
        ("state", Col::Text),
        ("page", Col::Text),
        ("tries", Col::Int),
        ("inbox", Col::Int),
        ("reason", Col::Text),
        ("found_us", Col::Int),
        ("due_us", Col::Int),
    ],
    conflict:
        "ON CONFLICT (connection, stream, external_id) DO UPDATE SET kind = excluded.kind, fields = excluded.fields,
               state = excluded.state, page = excluded.page, tries = excluded.tries, inbox = excluded.inbox,
               reason = excluded.reason, found_us = excluded.found_us, due_us = excluded.due_us",
};

/// Writes divergences as they stand now.
pub fn put(tx: &mut Tx<'_>, all: &[Divergence]) -> Result<()> {
    put_as(tx, &DIVERGENCE, all)
}

/// Notes what a walk met; what is known already stays as it is, unless it was repaired.
pub fn suspect(tx: &mut Tx<'_>, all: &[Divergence]) -> Result<()> {
    let keys = Keys::texts(all.iter().map(key));
    tx.execute_keys_later(
        "DELETE FROM divergence WHERE state = 'repaired' AND EXISTS (SELECT 1 FROM {keys:ttt} AS k
         WHERE k.k0 = connection AND k.k1 = stream AND k.k2 = external_id)",
        &keys,
        &[],
    )?;
    put_as(tx, &Insert { conflict: "ON CONFLICT (connection, stream, external_id) DO NOTHING", ..DIVERGENCE }, all)
}

fn put_as(tx: &mut Tx<'_>, insert: &Insert, all: &[Divergence]) -> Result<()> {
    let fields = all.iter().map(|one| serde_json::to_string(&one.fields));
    let fields: Vec<String> = fields.collect::<std::result::Result<_, _>>()?;
    let mut cells = Vec::with_capacity(all.len() * insert.columns.len());
    for (one, fields) in all.iter().zip(&fields) {
        cells.extend_from_slice(&[
            Param::Text(&one.connection),
            Param::Text(&one.stream),
            Param::Text(&one.external_id),
            Param::Text(one.kind.as_str()),
            Param::Text(fields),
            Param::Text(one.state.as_str()),
            one.page.as_deref().into(),
            Param::Int(one.tries),
            Param::Int(one.inbox),
            one.reason.as_deref().into(),
            Param::Int(one.found_us),
            Param::Int(one.due_us),
        ]);
    }
    tx.insert_later(insert, &cells)
}

/// Takes away what proved to be no divergence.
pub fn dismiss(tx: &mut Tx<'_>, all: &[Divergence]) -> Result<u64> {
    tx.execute_keys(
        "DELETE FROM divergence WHERE EXISTS (SELECT 1 FROM {keys:ttt} AS k
         WHERE k.k0 = connection AND k.k1 = stream AND k.k2 = external_id)",
        &Keys::texts(all.iter().map(key)),
        &[],
    )
}

fn key(one: &Divergence) -> [&str; 3] {
    [&one.connection, &one.stream, &one.external_id]
}

const SELECT: &str =
    "SELECT connection, stream, external_id, kind, fields, state, page, tries, inbox, reason, found_us,
                      due_us FROM divergence";

fn read(row: &Row<'_>) -> Result<Divergence> {
    Ok(Divergence {
        connection: row.text(0)?,
        stream: row.text(1)?,
        external_id: row.text(2)?,
        kind: Kind::parse(&row.text(3)?),
        fields: serde_json::from_str(&row.text(4)?)?,
        state: State::parse(&row.text(5)?),
        page: row.opt_text(6)?,
        tries: row.int(7)?,
        inbox: row.int(8)?,
        reason: row.opt_text(9)?,
        found_us: row.int(10)?,
        due_us: row.int(11)?,
    })
}

/// Divergences of a connection that are to be looked at, the longest waiting first.
pub fn due(tx: &mut Tx<'_>, connection: &str, now_us: i64, count: i64) -> Result<Vec<Divergence>> {
    let sql = format!(
        "{SELECT} WHERE connection = ?1 AND state IN ('suspected', 'repairing', 'stuck') AND due_us <= ?2
         ORDER BY due_us, stream, external_id LIMIT ?3"
    );
    tx.query(&sql, &[Param::Text(connection), Param::Int(now_us), Param::Int(count)], read)
}

/// When the next divergence of each stream of a connection is to be looked at.
pub fn next_due_us(tx: &mut Tx<'_>, connection: &str) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT stream, MIN(due_us) FROM divergence WHERE connection = ?1
               AND state IN ('suspected', 'repairing', 'stuck') GROUP BY stream";
    let rows = tx.query(sql, &[Param::Text(connection)], |row| Ok((row.text(0)?, row.int(1)?)))?;
    Ok(rows.into_iter().collect())
}

/// What needs a person in a stream (connection, stream) is looked at and repaired now: she may have mended its cause.
pub fn hurry(tx: &mut Tx<'_>, stream: (&str, &str), now_us: i64) -> Result<u64> {
    tx.execute(
        "UPDATE divergence SET due_us = ?3, tries = 0 WHERE connection = ?1 AND stream = ?2 AND state = 'stuck'",
        &[Param::Text(stream.0), Param::Text(stream.1), Param::Int(now_us)],
    )
}

/// Divergences in some states, by connection and stream; at most `count`.
pub fn in_states(tx: &mut Tx<'_>, states: &[State], count: i64) -> Result<Vec<Divergence>> {
    let sql = format!(
        "{SELECT} WHERE state IN (SELECT k0 FROM {{keys:t}} AS k) ORDER BY connection, stream, state, external_id LIMIT ?2"
    );
    tx.query_keys(&sql, &Keys::texts(states.iter().map(|it| [it.as_str()])), &[Param::Int(count)], read)
}

/// How many divergences there are by connection, stream and state.
pub fn counts(tx: &mut Tx<'_>) -> Result<BTreeMap<(String, String, State), i64>> {
    let sql = "SELECT connection, stream, state, COUNT(*) FROM divergence GROUP BY connection, stream, state";
    let rows =
        tx.query(sql, &[], |row| Ok(((row.text(0)?, row.text(1)?, State::parse(&row.text(2)?)), row.int(3)?)))?;
    Ok(rows.into_iter().collect())
}

/// How many records of a stream (connection, stream) are missing or were found missing since an instant.
pub fn vanished(tx: &mut Tx<'_>, stream: (&str, &str), since_us: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM divergence WHERE connection = ?1 AND stream = ?2 AND kind = 'vanished'
               AND (state <> 'repaired' OR found_us >= ?3)";
    let params = [Param::Text(stream.0), Param::Text(stream.1), Param::Int(since_us)];
    Ok(tx.query_opt(sql, &params, |row| row.int(0))?.unwrap_or(0))
}

/// Forgets repaired ones of a stream (connection, stream) beyond the last `kept`.
pub fn trim(tx: &mut Tx<'_>, stream: (&str, &str), kept: i64) -> Result<u64> {
    tx.execute(
        "DELETE FROM divergence WHERE connection = ?1 AND stream = ?2 AND state = 'repaired' AND external_id NOT IN
         (SELECT external_id FROM divergence WHERE connection = ?1 AND stream = ?2 AND state = 'repaired'
          ORDER BY due_us DESC, external_id LIMIT ?3)",
        &[Param::Text(stream.0), Param::Text(stream.1), Param::Int(kept)],
    )
}

/// Whether the inbox still holds something unread about a record, or a call of its system that nobody understood yet.
/// Only the next `count` items are looked at.
pub fn is_announced(tx: &mut Tx<'_>, connection: &str, id: &str, after: i64, count: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM inbox WHERE position > ?1 AND position <= ?2 AND connection = ?3
               AND (external_id = ?4 OR kind = 'webhook') LIMIT 1";
    let params = [Param::Int(after), Param::Int(after.saturating_add(count)), Param::Text(connection), Param::Text(id)];
    Ok(tx.query_opt(sql, &params, |_| Ok(()))?.is_some())
}

/// Those of these ids of a stream (connection, stream) whose content is to be read already.
pub fn being_read(tx: &mut Tx<'_>, stream: (&str, &str), ids: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let sql = "SELECT f.external_id FROM {keys:t} AS k CROSS JOIN fetch_request AS f
               WHERE f.connection = ?2 AND f.stream = ?3 AND f.external_id = k.k0";
    let keys = Keys::texts(ids.iter().map(|id| [id.as_str()]));
    let params = [Param::Text(stream.0), Param::Text(stream.1)];
    Ok(tx.query_keys(sql, &keys, &params, |row| row.text(0))?.into_iter().collect())
}
