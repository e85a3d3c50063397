//! Budgets of calls that vendors allow, by the words of who shares them. What a state says is known to `quota` alone.

use super::db::{Keys, Param, Result, Tx};

/// Held by whoever takes from budgets: there is one order for all.
const BUDGET_LOCK: i64 = 0x6875_6275_6467;

/// Waits for the turn to take from budgets.
pub fn lock(tx: &mut Tx<'_>) -> Result<()> {
    tx.lock(BUDGET_LOCK)
}

/// The database's own clock, microseconds since 1970 UTC: one for all nodes.
pub fn clock_us(tx: &mut Tx<'_>) -> Result<i64> {
    let sql = match tx {
        Tx::Sqlite(_) => "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
        Tx::Postgres(..) => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
    };
    Ok(tx.query_opt(sql, &[], |row| row.int(0))?.unwrap_or(0))
}

/// Budgets by name, with their states.
pub fn of<'a>(tx: &mut Tx<'_>, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<(String, String)>> {
    let names = Keys::texts(names.into_iter().map(|name| [name]));
    let sql = "SELECT name, state FROM quota WHERE name IN (SELECT k0 FROM {keys:t} AS k)";
    tx.query_keys(sql, &names, &[], |row| Ok((row.text(0)?, row.text(1)?)))
}

/// All budgets with their states, and when each changed last.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<(String, String, i64)>> {
    let sql = "SELECT name, state, changed_us FROM quota ORDER BY name";
    tx.query(sql, &[], |row| Ok((row.text(0)?, row.text(1)?, row.int(2)?)))
}

/// Keeps the state of a budget.
pub fn put(tx: &mut Tx<'_>, name: &str, state: &str, now_us: i64) -> Result<()> {
    let sql = "INSERT INTO quota (name, state, changed_us) VALUES (?1, ?2, ?3)
               ON CONFLICT (name) DO UPDATE SET state = excluded.state, changed_us = excluded.changed_us";
    tx.execute_later(sql, &[Param::Text(name), Param::Text(state), Param::Int(now_us)])
}
