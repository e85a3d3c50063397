//! The inbox on Postgres is a table of ranges of positions: room for what comes is made ahead, and what is old goes with
//! its whole range, which costs no more for a million rows than for one. On `SQLite` it is one table, and all of this
//! does nothing.

use super::{Result, StoreError, Tx};

/// A range of the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The table that holds it.
    table: String,
    /// The first position behind it.
    pub end: i64,
}

/// How long a change of the table may wait for those who read it; they are not to wait behind it for longer than this.
const WAIT: &str = "2s";

/// Positions that the table behind the last range may already have given away while a range is made.
const MARGIN: i64 = 100_000;

/// The ranges by position; empty on `SQLite`.
///
/// # Errors
/// The store failed.
pub fn ranges(tx: &mut Tx<'_>) -> Result<Vec<Range>> {
    if matches!(tx, Tx::Sqlite(_)) {
        return Ok(Vec::new());
    }
    // FOR VALUES FROM ('1') TO ('2'); the default partition has neither.
    let sql =
        "SELECT c.relname::text, (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''?(\\d+)''?\\)'))[1]::bigint
               FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'inbox'::regclass ORDER BY 2";
    let found = tx.query(sql, &[], |row| Ok((row.text(0)?, row.opt_int(1)?)))?;
    Ok(found.into_iter().filter_map(|(table, end)| Some(Range { table, end: end? })).collect())
}

/// Makes a range of `width` positions if less than half of one is left before the last range ends. Says whether it did.
///
/// # Errors
/// The store failed, or those who use the table held it for too long: a later try will do.
pub fn make_room(tx: &mut Tx<'_>, width: i64) -> Result<bool> {
    let Some(last) = ranges(tx)?.pop() else { return Ok(false) };
    let newest = tx.max("position", "inbox")?;
    if last.end - newest > width / 2 {
        return Ok(false);
    }
    tx.batch(&format!("SET LOCAL lock_timeout = '{WAIT}'"))?;
    // What came before there was room lies in the default partition, and a range must not claim it.
    let beyond = tx.max("position", "inbox_beyond")?;
    let begin = if beyond >= last.end { beyond + MARGIN } else { last.end };
    let end = begin + width;
    tx.batch(&format!("CREATE TABLE inbox_{begin} PARTITION OF inbox FOR VALUES FROM ({begin}) TO ({end})"))?;
    Ok(true)
}

/// Drops ranges that end at or before a position, and of which nothing is kept. Says how many.
///
/// # Errors
/// The store failed, or those who use the table held it for too long: a later try will do.
pub fn drop_through(
    tx: &mut Tx<'_>,
    position: i64,
    is_kept: impl Fn(&mut Tx<'_>, i64, i64) -> Result<bool>,
) -> Result<u64> {
    let all = ranges(tx)?;
    let mut begin = 0;
    let mut dropped = 0;
    // The last range is where things arrive.
    for range in all.iter().rev().skip(1).rev() {
        if range.end <= position + 1 && !is_kept(tx, begin, range.end)? {
            tx.batch(&format!("SET LOCAL lock_timeout = '{WAIT}'"))?;
            tx.batch(&format!("DROP TABLE {}", checked(&range.table)?))?;
            dropped += 1;
        }
        begin = range.end;
    }
    Ok(dropped)
}

/// A name that the store gave to one of its own tables.
fn checked(table: &str) -> Result<&str> {
    let is_ours = table.strip_prefix("inbox_").is_some_and(|rest| rest.bytes().all(|it| it.is_ascii_alphanumeric()));
    if is_ours { Ok(table) } else { Err(StoreError::Corrupt(format!("{table} is not a partition of the inbox"))) }
}

/// Whether the error only says that somebody else had the table, so that a later try will do.
pub fn is_busy(error: &StoreError) -> bool {
    matches!(error, StoreError::Postgres(error) if error.code() == Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE))
}
