//! What is old: the keys of events that are known, and what arrived.

use super::db::{Keys, Param, Result, Tx};

/// A key of an event that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The connection.
    pub connection: String,
    /// What names the event there.
    pub dedupe: String,
}

/// Keys of events behind one, in their order, with the instants at which they came (microseconds since 1970 UTC).
pub fn seen_after(tx: &mut Tx<'_>, last: &Seen, count: i64) -> Result<Vec<(Seen, i64)>> {
    tx.query(
        "SELECT connection, dedupe, received_us FROM inbox_seen WHERE (connection, dedupe) > (?1, ?2)
         ORDER BY connection, dedupe LIMIT ?3",
        &[Param::Text(&last.connection), Param::Text(&last.dedupe), Param::Int(count)],
        |row| Ok((Seen { connection: row.text(0)?, dedupe: row.text(1)? }, row.int(2)?)),
    )
}

/// Forgets keys of events. One that came again meanwhile stays.
pub fn forget_seen<'a>(tx: &mut Tx<'_>, keys: impl IntoIterator<Item = &'a Seen>, before_us: i64) -> Result<u64> {
    let keys = Keys::texts(keys.into_iter().map(|it| [it.connection.as_str(), it.dedupe.as_str()]));
    let sql = "DELETE FROM inbox_seen WHERE (connection, dedupe) IN (SELECT k.k0, k.k1 FROM {keys:tt} AS k)
               AND received_us < ?2";
    tx.execute_keys(sql, &keys, &[Param::Int(before_us)])
}

/// When the first item at or behind a position was received.
fn received_at(tx: &mut Tx<'_>, position: i64) -> Result<Option<i64>> {
    let sql = "SELECT received_us FROM inbox WHERE position >= ?1 ORDER BY position LIMIT 1";
    tx.query_opt(sql, &[Param::Int(position)], |row| row.int(0))
}

/// The lowest position that is kept, 0 for an empty inbox.
pub fn lowest(tx: &mut Tx<'_>) -> Result<i64> {
    let sql = "SELECT COALESCE(MIN(position), 0) FROM inbox";
    Ok(tx.query_opt(sql, &[], |row| row.int(0))?.unwrap_or(0))
}

/// The last position before the first one that was received at or after an instant (microseconds since 1970 UTC), found by
/// halving: items come in the order of time, but for what a clock that is set back does to it.
pub fn position_before(tx: &mut Tx<'_>, instant_us: i64) -> Result<i64> {
    let (mut low, mut high) = (lowest(tx)?, tx.max("position", "inbox")? + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if received_at(tx, middle)?.is_some_and(|received_us| received_us < instant_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low - 1)
}

/// Positions that something still waits for: what the brake holds back, what drift has set aside, what failed, and what is
/// to be fetched.
const AWAITED: &str = "SELECT position AS item FROM held_back WHERE position BETWEEN ?1 AND ?2
    UNION ALL SELECT position AS item FROM parked WHERE part <> 'delivery' AND position BETWEEN ?1 AND ?2
    UNION ALL SELECT item FROM dead_letter WHERE state = 'waiting' AND stage <> 'push' AND item BETWEEN ?1 AND ?2
    UNION ALL SELECT cause AS item FROM fetch_request WHERE cause BETWEEN ?1 AND ?2";

/// Whether anything waits for an item from a position on and before another.
pub fn is_awaited(tx: &mut Tx<'_>, begin: i64, end: i64) -> Result<bool> {
    let sql = format!("SELECT 1 FROM ({AWAITED}) AS w LIMIT 1");
    Ok(tx.query_opt(&sql, &[Param::Int(begin), Param::Int(end - 1)], |_| Ok(()))?.is_some())
}

/// The position of the last of `count` items behind a position, but not behind another; none if there is none.
pub fn step(tx: &mut Tx<'_>, after: i64, through: i64, count: i64) -> Result<Option<i64>> {
    let sql = "SELECT MAX(position) FROM (SELECT position FROM inbox WHERE position > ?1 AND position <= ?2
               ORDER BY position LIMIT ?3) AS s";
    let found =
        tx.query_opt(sql, &[Param::Int(after), Param::Int(through), Param::Int(count)], |row| row.opt_int(0))?;
    Ok(found.flatten())
}

/// Deletes the items behind a position up to another for which nothing waits. Says how many.
pub fn drop_items(tx: &mut Tx<'_>, after: i64, through: i64) -> Result<u64> {
    let sql = format!("DELETE FROM inbox WHERE position BETWEEN ?1 AND ?2 AND position NOT IN ({AWAITED})");
    tx.execute(&sql, &[Param::Int(after + 1), Param::Int(through)])
}
