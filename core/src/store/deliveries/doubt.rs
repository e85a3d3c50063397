//! Creates of which nobody knows whether they were carried out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Planned, SELECT, UNDONE, read};
use crate::store::db::{Keys, Param, Result, Tx};

/// Creates of a connection that are due and were tried before, in the order in which they are claimed.
pub fn due_again(tx: &mut Tx<'_>, connection: &str, now_us: i64, count: i64) -> Result<Vec<Planned>> {
    let sql = format!(
        "{SELECT} delivery AS d WHERE d.state = 'pending' AND d.due_us <= ?2 AND d.connection = ?1
         AND d.operation = 'create' AND d.attempts > 0 ORDER BY d.id LIMIT ?3"
    );
    tx.query(&sql, &[Param::Text(connection), Param::Int(now_us), Param::Int(count)], read)
}

/// Creates of a connection through this lens that are on their way, or were tried and are to be tried again.
pub fn under_way(tx: &mut Tx<'_>, connection: &str, lens: &str) -> Result<Vec<Planned>> {
    let at = [Param::Text(connection), Param::Text(lens)];
    let sending = format!(
        "{SELECT} delivery AS d WHERE d.connection = ?1 AND d.state = 'sending' AND d.operation = 'create' AND d.lens = ?2"
    );
    let mut found = tx.query(&sending, &at, read)?;
    let again = format!(
        "{SELECT} delivery AS d WHERE d.connection = ?1 AND d.state = 'pending' AND d.operation = 'create'
         AND d.attempts > 0 AND d.lens = ?2 ORDER BY d.due_us"
    );
    found.extend(tx.query(&again, &at, read)?);
    Ok(found)
}

/// By idempotency key: when the last attempt of a create ended that may have been carried out, and of which neither an
/// answer nor a record nor a person tells.
pub fn unknown_creates(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT d.idempotency_key, MAX(COALESCE(t.ended_us, t.started_us))
        FROM {keys:i} AS k CROSS JOIN delivery AS d JOIN attempt AS t ON t.delivery = d.id
        WHERE d.golden = k.k0 AND d.operation = 'create' AND (t.outcome IS NULL OR t.outcome IN ('unknown', 'pending'))
        AND NOT EXISTS (SELECT 1 FROM receipt AS r WHERE r.delivery = d.id)
        GROUP BY d.idempotency_key";
    Ok(tx.query_keys(sql, &Keys::ints(goldens), &[], |row| Ok((row.text(0)?, row.int(1)?)))?.into_iter().collect())
}

/// A delivery has to wait until this instant, for this reason.
pub fn wait(tx: &mut Tx<'_>, number: i64, due_us: i64, why: &str) -> Result<u64> {
    let sql = "UPDATE delivery SET due_us = ?2, error = ?3 WHERE id = ?1";
    tx.execute(sql, &[Param::Int(number), Param::Int(due_us), Param::Text(why)])
}

/// A person is asked whether the record is there: the create is given up until then, and a later attempt is hers.
pub fn ask(tx: &mut Tx<'_>, one: &Planned, why: &str, now_us: i64) -> Result<()> {
    let number = Param::Int(one.delivery.number);
    tx.execute_later("UPDATE delivery SET state = 'dead', error = ?2 WHERE id = ?1", &[number, Param::Text(why)])?;
    // A create that stands in place of one that was tried was never tried itself.
    tx.execute_later(
        "INSERT INTO attempt (delivery, number, started_us, ended_us, outcome) VALUES (?1, ?2, ?3, ?3, 'asked')
         ON CONFLICT (delivery, number) DO NOTHING",
        &[number, Param::Int(i64::from(one.delivery.attempt)), Param::Int(now_us)],
    )?;
    tx.execute_later(
        "UPDATE attempt SET outcome = 'asked' WHERE (outcome IS NULL OR outcome IN ('unknown', 'pending'))
         AND delivery IN (SELECT id FROM delivery WHERE golden = ?1 AND idempotency_key = ?2)",
        &[Param::Int(one.golden), Param::Text(&one.delivery.idempotency_key)],
    )?;
    Ok(())
}

/// Those of these deliveries about which a person was asked, and is to say so.
pub fn asked(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<BTreeSet<i64>> {
    let sql = "SELECT DISTINCT t.delivery FROM {keys:i} AS k CROSS JOIN attempt AS t
               WHERE t.delivery = k.k0 AND t.outcome = 'asked'";
    Ok(tx.query_keys(sql, &Keys::ints(numbers), &[], |row| row.int(0))?.into_iter().collect())
}

/// The records that these deliveries made have shown up: nobody needs to be asked any more.
pub fn answered(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<()> {
    let sql = "SELECT DISTINCT d.id FROM {keys:i} AS k CROSS JOIN delivery AS s
               JOIN delivery AS d ON d.golden = s.golden AND d.idempotency_key = s.idempotency_key
               WHERE s.id = k.k0 AND s.operation = 'create' AND d.state = 'dead'";
    let given_up = tx.query_keys(sql, &Keys::ints(numbers), &[], |row| row.int(0))?;
    settle(tx, given_up)
}

/// A create `d` that ended at another golden record's record.
const TAKEN: &str = "AND EXISTS (SELECT 1 FROM attempt AS t WHERE t.delivery = d.id AND t.outcome = 'taken')";

/// What a create was to make is another golden record's: nothing is made until a person has looked.
pub fn taken(tx: &mut Tx<'_>, one: &Planned) -> Result<u64> {
    let sql = "UPDATE attempt SET outcome = 'taken' WHERE delivery = ?1 AND number = ?2";
    tx.execute(sql, &[Param::Int(one.delivery.number), Param::Int(i64::from(one.delivery.attempt))])
}

/// Creates of these golden records whose place another has, as far as nobody settled it yet.
pub fn all_taken(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Vec<Planned>> {
    let sql = format!("{SELECT} {UNDONE} AND d.state = 'dead' AND d.operation = 'create' {TAKEN}");
    tx.query_keys(&sql, &Keys::ints(goldens), &[], read)
}

/// Golden records that were absorbed, each with the one that absorbed it: what was to make a record of the former and was
/// never sent is dropped, and what may have made one is the latter's, which must not make it again.
pub fn carry(tx: &mut Tx<'_>, absorbed: &[[i64; 2]]) -> Result<()> {
    tx.execute_keys_later(
        "UPDATE delivery SET state = 'dropped' WHERE state = 'pending' AND operation = 'create' AND attempts = 0
         AND golden IN (SELECT k0 FROM {keys:i} AS k)",
        &Keys::ints(absorbed.iter().map(|[lost, _]| *lost)),
        &[],
    )?;
    tx.execute_keys_later(
        "UPDATE delivery SET golden = k.k1 FROM {keys:ii} AS k WHERE golden = k.k0 AND state <> 'done'
         AND operation = 'create' AND attempts > 0",
        &Keys::pairs(absorbed.iter().copied()),
        &[],
    )?;
    // Whoever had the place and whoever wanted it may be one now.
    let sql = format!(
        "SELECT d.id FROM {UNDONE} AND d.state = 'dead' AND d.operation = 'create' {TAKEN}
         AND EXISTS (SELECT 1 FROM link AS l WHERE l.golden = d.golden AND l.connection = d.connection)"
    );
    let taken = tx.query_keys(&sql, &Keys::ints(absorbed.iter().map(|[_, into]| *into)), &[], |row| row.int(0))?;
    settle(tx, taken)
}

/// Deliveries that were given up, and need nobody any more.
pub fn settle(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<()> {
    let given_up = &Keys::ints(numbers);
    tx.execute_keys_later(
        "UPDATE delivery SET state = 'dropped' WHERE id IN (SELECT k0 FROM {keys:i} AS k)",
        given_up,
        &[],
    )?;
    tx.execute_keys_later(
        "UPDATE dead_letter SET state = 'retried' WHERE state = 'waiting' AND stage = 'push'
         AND item IN (SELECT k0 FROM {keys:i} AS k)",
        given_up,
        &[],
    )?;
    Ok(())
}
