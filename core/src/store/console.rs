//! What the console reads: lists in pages, each bounded and found by an index, whatever the size of the store.

use std::collections::BTreeMap;

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};
use super::goldens::Change;
use super::inbox::{self, DeadLetter};
use crate::pipeline::process;

/// Counts stop here: beyond it "many" is all that a person needs to know.
pub const COUNT_MAX: i64 = 10_000;

/// Waiting items of the inbox that are looked at to tell whose they are.
const WAITING_MAX: i64 = 5_000;

/// The states of a delivery, the most urgent first.
pub const DELIVERY_STATES: [&str; 5] = ["dead", "sending", "pending", "done", "dropped"];

/// Deliveries by connection and state, of those that are not over or gave up; at most [`COUNT_MAX`] each.
pub fn open_deliveries<'a>(
    tx: &mut Tx<'_>,
    connections: impl IntoIterator<Item = &'a str>,
) -> Result<BTreeMap<(String, String), i64>> {
    let states = ["pending", "sending", "dead"];
    let pairs = connections.into_iter().flat_map(|name| states.map(|state| [name, state]));
    let sql = "SELECT k.k0, k.k1, (SELECT COUNT(*) FROM (SELECT 1 FROM delivery AS d
               WHERE d.connection = k.k0 AND d.state = k.k1 LIMIT ?2) AS few) FROM {keys:tt} AS k";
    let rows = tx.query_keys(sql, &Keys::texts(pairs), &[Param::Int(COUNT_MAX)], |row| {
        Ok(((row.text(0)?, row.text(1)?), row.int(2)?))
    })?;
    Ok(rows.into_iter().collect())
}

/// Whose items wait at the head of the inbox; together at most some thousands.
pub fn inbox_waiting(tx: &mut Tx<'_>) -> Result<BTreeMap<String, i64>> {
    let processed = inbox::progress(tx, process::POSITION)?;
    let sql = "SELECT connection, COUNT(*) FROM (SELECT connection FROM inbox WHERE position > ?1 ORDER BY position
               LIMIT ?2) AS head GROUP BY connection";
    counts(tx, sql, &[Param::Int(processed), Param::Int(WAITING_MAX)])
}

/// Keys that wait to be fetched, by connection; at most [`COUNT_MAX`] are counted.
pub fn fetches_waiting(tx: &mut Tx<'_>) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT connection, COUNT(*) FROM (SELECT connection FROM fetch_request LIMIT ?1) AS few
               GROUP BY connection";
    counts(tx, sql, &[Param::Int(COUNT_MAX)])
}

/// Dead letters that wait for a person, by connection; at most [`COUNT_MAX`] are counted.
pub fn letters_waiting(tx: &mut Tx<'_>) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT connection, COUNT(*) FROM (SELECT connection FROM dead_letter WHERE state = 'waiting' LIMIT ?1)
               AS few GROUP BY connection";
    counts(tx, sql, &[Param::Int(COUNT_MAX)])
}

/// Reviews that wait for a steward; at most [`COUNT_MAX`] are counted.
pub fn reviews_waiting(tx: &mut Tx<'_>) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM review WHERE state = 'waiting' LIMIT ?1) AS few";
    Ok(tx.query_opt(sql, &[Param::Int(COUNT_MAX)], |row| row.int(0))?.unwrap_or(0))
}

fn counts(tx: &mut Tx<'_>, sql: &str, params: &[Param<'_>]) -> Result<BTreeMap<String, i64>> {
    Ok(tx.query(sql, params, |row| Ok((row.text(0)?, row.int(1)?)))?.into_iter().collect())
}

/// One write, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The delivery's number.
    pub number: i64,
    /// The stream that it goes to.
    pub stream: String,
    /// The record, unless it is still to be created.
    pub external_id: Option<String>,
    /// The golden record that it comes from.
    pub golden: i64,
    /// `create`, `update` or `delete`.
    pub operation: String,
    /// One of [`DELIVERY_STATES`].
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was planned, microseconds since 1970 UTC.
    pub planned_us: i64,
    /// When it was done.
    pub done_us: Option<i64>,
    /// The names of the fields that it carries.
    pub fields: Vec<String>,
}

fn sent(row: &Row<'_>) -> Result<Sent> {
    let fields: BTreeMap<String, serde_json::Value> = serde_json::from_str(&row.text(10)?)?;
    Ok(Sent {
        number: row.int(0)?,
        stream: row.text(1)?,
        external_id: row.opt_text(2)?,
        golden: row.int(3)?,
        operation: row.text(4)?,
        state: row.text(5)?,
        attempts: row.int(6)?,
        error: row.opt_text(7)?,
        planned_us: row.int(8)?,
        done_us: row.opt_int(9)?,
        fields: fields.into_keys().collect(),
    })
}

/// Deliveries to a connection with a number below `before`, the latest first; in one state, or in all.
pub fn deliveries(
    tx: &mut Tx<'_>,
    connection: &str,
    state: Option<&str>,
    before: i64,
    count: i64,
) -> Result<Vec<Sent>> {
    let sql = "SELECT id, stream, external_id, golden, operation, state, attempts, error, planned_us, done_us, fields
               FROM delivery WHERE connection = ?1 AND state = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";
    let mut found = Vec::new();
    // The index is by state: the latest of each are merged here.
    for state in DELIVERY_STATES.into_iter().filter(|known| state.is_none_or(|wanted| wanted == *known)) {
        let params = [Param::Text(connection), Param::Text(state), Param::Int(before), Param::Int(count)];
        found.extend(tx.query(sql, &params, sent)?);
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.number));
    found.truncate(usize::try_from(count).unwrap_or(0));
    Ok(found)
}

/// Which dead letters are meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen<'a> {
    /// Only those of this connection.
    pub connection: Option<&'a str>,
    /// Only those of this stage.
    pub stage: Option<&'a str>,
}

/// Waiting dead letters with a number below `before`, the latest first.
pub fn letters(tx: &mut Tx<'_>, chosen: Chosen<'_>, before: i64, count: i64) -> Result<Vec<DeadLetter>> {
    let mut sql = format!("{} WHERE state = 'waiting' AND id < ?1", inbox::LETTERS);
    let mut params = vec![Param::Int(before), Param::Int(count)];
    for (column, wanted) in [("connection", chosen.connection), ("stage", chosen.stage)] {
        if let Some(wanted) = wanted {
            params.push(Param::Text(wanted));
            sql += &format!(" AND {column} = ?{}", params.len());
        }
    }
    sql += " ORDER BY id DESC LIMIT ?2";
    tx.query(&sql, &params, inbox::letter)
}

/// A review's place in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Until when a steward put it off, microseconds since 1970 UTC; 0: nobody did.
    pub later_us: i64,
    /// Its number.
    pub number: i64,
}

/// A review as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place.
    pub place: Place,
    /// The link.
    pub link: i64,
    /// The golden record that it has meanwhile.
    pub golden: i64,
    /// The golden records that it may be, best first.
    pub candidates: Vec<i64>,
    /// When it was asked.
    pub made_us: i64,
}

/// Reviews that wait, after a place in the queue.
pub fn reviews(tx: &mut Tx<'_>, after: Place, count: i64) -> Result<Vec<Waiting>> {
    let sql = "SELECT later_us, id, link, golden, candidates, made_us FROM review
               WHERE state = 'waiting' AND (later_us, id) > (?1, ?2) ORDER BY later_us, id LIMIT ?3";
    tx.query(sql, &[Param::Int(after.later_us), Param::Int(after.number), Param::Int(count)], |row| {
        let candidates: Vec<(i64, serde_json::Value)> = serde_json::from_str(&row.text(4)?)?;
        Ok(Waiting {
            place: Place { later_us: row.int(0)?, number: row.int(1)? },
            link: row.int(2)?,
            golden: row.int(3)?,
            candidates: candidates.into_iter().map(|(golden, _)| golden).collect(),
            made_us: row.int(5)?,
        })
    })
}

/// The golden records that changed last, the latest first, of an entity, among the last `changes` changes.
pub fn recent(tx: &mut Tx<'_>, entity: &str, changes: i64) -> Result<Vec<i64>> {
    let sql = "SELECT golden, entity FROM change_log ORDER BY position DESC LIMIT ?1";
    let rows = tx.query(sql, &[Param::Int(changes)], |row| Ok((row.int(0)?, row.text(1)?)))?;
    let mut found = Vec::new();
    for (golden, _) in rows.into_iter().filter(|(_, known)| known == entity) {
        if !found.contains(&golden) {
            found.push(golden);
        }
    }
    Ok(found)
}

/// The changes of a golden record before a position, the latest first.
pub fn changes(tx: &mut Tx<'_>, golden: i64, before: i64, count: i64) -> Result<Vec<Change>> {
    let sql = "SELECT position, golden, entity, kind, diff, cause, at_us FROM change_log
               WHERE golden = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3";
    tx.query(sql, &[Param::Int(golden), Param::Int(before), Param::Int(count)], super::goldens::change)
}

/// Changes after a position, in order.
pub fn changes_after(tx: &mut Tx<'_>, position: i64, count: i64) -> Result<Vec<Change>> {
    let sql = "SELECT position, golden, entity, kind, diff, cause, at_us FROM change_log
               WHERE position > ?1 ORDER BY position LIMIT ?2";
    tx.query(sql, &[Param::Int(position), Param::Int(count)], super::goldens::change)
}

const CALLED: Insert = Insert {
    table: "called",
    columns: &[("name", Col::Blob), ("golden", Col::Int)],
    conflict: "ON CONFLICT (name, golden) DO NOTHING",
};

/// Enters beginnings of names. Sorted first: neighbours share pages.
pub fn enter_names(tx: &mut Tx<'_>, mut names: Vec<(&str, i64)>) -> Result<()> {
    names.sort_unstable();
    names.dedup();
    let cells: Vec<Param<'_>> =
        names.iter().flat_map(|(name, golden)| [Param::Blob(name.as_bytes()), Param::Int(*golden)]).collect();
    tx.insert_later(&CALLED, &cells)
}

/// Takes beginnings of names away.
pub fn remove_names(tx: &mut Tx<'_>, names: &[(&str, i64)]) -> Result<()> {
    for (name, golden) in names {
        let sql = "DELETE FROM called WHERE name = ?1 AND golden = ?2";
        tx.execute_later(sql, &[Param::Blob(name.as_bytes()), Param::Int(*golden)])?;
    }
    Ok(())
}

/// Golden records with a name that begins so, in the order of the names, after a name and a golden record.
pub fn called(tx: &mut Tx<'_>, start: &str, after: (&[u8], i64), count: i64) -> Result<Vec<(Vec<u8>, i64)>> {
    // No text has this byte, so every name that begins so is below it.
    let end: Vec<u8> = start.bytes().chain([0xff]).collect();
    let from = if after.0.is_empty() { (start.as_bytes(), -1) } else { after };
    let sql = "SELECT name, golden FROM called WHERE (name, golden) > (?1, ?2) AND name < ?3
               ORDER BY name, golden LIMIT ?4";
    let params = [Param::Blob(from.0), Param::Int(from.1), Param::Blob(&end), Param::Int(count)];
    tx.query(sql, &params, |row| Ok((row.blob(0)?, row.int(1)?)))
}
