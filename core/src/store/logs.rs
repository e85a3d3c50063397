//! Logs before the inbox: how far each was taken in.

use super::db::{Param, Result, Row, Tx};

/// How far a log was taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct LogState {
    /// Its name.
    pub name: String,
    /// Which log of this name it is: one that was made anew counts anew.
    pub identity: String,
    /// Everything up to here is in the inbox.
    pub position: i64,
    /// What marks the message at the position; 0 where there is none.
    pub anchor: i64,
    /// The last position that was seen in it.
    pub last: i64,
    /// When it was looked at last, microseconds since 1970 UTC.
    pub looked_us: i64,
    /// Why nothing of it is taken in.
    pub trouble: Option<String>,
    /// Whether a person wants it to be taken in as it is now.
    pub accepted: bool,
}

impl LogState {
    /// How many messages wait in it, as far as was seen.
    pub fn waiting(&self) -> i64 {
        (self.last - self.position).max(0)
    }
}

const STATES: &str = "SELECT name, identity, position, anchor, last, looked_us, trouble, accepted FROM intake_log";

/// Readers of a log on several nodes take turns.
const LOG_LOCK: i64 = 0x696e_626f_7802;

/// The state of a log, if it was ever taken in.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<LogState>> {
    tx.query_opt(&format!("{STATES} WHERE name = ?1"), &[Param::Text(name)], read)
}

/// The same, and nobody else writes it until this transaction ends.
pub fn hold(tx: &mut Tx<'_>, name: &str) -> Result<Option<LogState>> {
    tx.lock(LOG_LOCK)?;
    find(tx, name)
}

/// All of them.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<LogState>> {
    tx.query(&format!("{STATES} ORDER BY name"), &[], read)
}

/// Writes a state, in place of the former one.
pub fn put(tx: &mut Tx<'_>, state: &LogState) -> Result<()> {
    let sql = "INSERT INTO intake_log (name, identity, position, anchor, last, looked_us, trouble, accepted)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, position = excluded.position,
               anchor = excluded.anchor, last = excluded.last, looked_us = excluded.looked_us,
               trouble = excluded.trouble, accepted = excluded.accepted";
    let cells = [
        Param::Text(&state.name),
        Param::Text(&state.identity),
        Param::Int(state.position),
        Param::Int(state.anchor),
        Param::Int(state.last),
        Param::Int(state.looked_us),
        state.trouble.as_deref().into(),
        Param::Int(state.accepted.into()),
    ];
    tx.execute_later(sql, &cells)
}

fn read(row: &Row<'_>) -> Result<LogState> {
    Ok(LogState {
        name: row.text(0)?,
        identity: row.text(1)?,
        position: row.int(2)?,
        anchor: row.int(3)?,
        last: row.int(4)?,
        looked_us: row.int(5)?,
        trouble: row.opt_text(6)?,
        accepted: row.int(7)? == 1,
    })
}
