//! Whose turn it is to renew a token, and renewals that were begun.

use super::db::{Param, Result, Tx};

/// Held by whoever looks whose turn it is.
const RENEWAL_LOCK: i64 = 0x6875_7265_6e65;

/// A turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub holder: String,
    /// Until then, by the database's clock, microseconds since 1970 UTC.
    pub until_us: i64,
    /// A digest of the refresh token that was sent away and the instant (`DIGEST@MICROSECONDS`), if nobody noted what came of
    /// it.
    pub asked: Option<String>,
}

/// Waits until nobody else looks.
pub fn lock(tx: &mut Tx<'_>) -> Result<()> {
    tx.lock(RENEWAL_LOCK)
}

/// The turn for a token.
pub fn turn(tx: &mut Tx<'_>, connection: &str, name: &str) -> Result<Option<Turn>> {
    let sql = "SELECT holder, until_us, asked FROM renewal WHERE connection = ?1 AND name = ?2";
    tx.query_opt(sql, &[Param::Text(connection), Param::Text(name)], |row| {
        Ok(Turn { holder: row.text(0)?, until_us: row.int(1)?, asked: row.opt_text(2)? })
    })
}

/// Puts a turn in place of the former one.
pub fn put(tx: &mut Tx<'_>, connection: &str, name: &str, turn: &Turn) -> Result<()> {
    let sql = "INSERT INTO renewal (connection, name, holder, until_us, asked) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (connection, name) DO UPDATE SET
               holder = excluded.holder, until_us = excluded.until_us, asked = excluded.asked";
    let Turn { holder, until_us, asked } = turn;
    let asked = asked.as_deref().into();
    let row = [Param::Text(connection), Param::Text(name), Param::Text(holder), Param::Int(*until_us), asked];
    tx.execute_later(sql, &row)
}
