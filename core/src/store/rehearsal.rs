//! The store of a rehearsal: it begins to number far behind the store that the rehearsal is about, and is asked
//! afterwards what happened in it.

use std::collections::BTreeSet;

use super::db::{Keys, Param, Result, Tx};
use super::goldens::Change;

/// The last numbers that are not the rehearsal's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Of links.
    pub link: i64,
    /// Of golden records.
    pub golden: i64,
    /// Of reviews.
    pub review: i64,
    /// Of changes.
    pub change: i64,
}

/// So far behind the last numbers that the live store will not get there while a rehearsal reads it.
const AHEAD: i64 = 1_000_000_000;

/// Where a rehearsal about this store begins to number.
pub fn ends(tx: &mut Tx<'_>) -> Result<Ends> {
    Ok(Ends {
        link: tx.max("id", "link")? + AHEAD,
        golden: tx.max("id", "golden")? + AHEAD,
        review: tx.max("id", "review")? + AHEAD,
        change: tx.max("position", "change_log")? + AHEAD,
    })
}

/// Puts a mark at the end of each table, so that the next number is a new one. The marks belong to nobody.
pub fn begin(tx: &mut Tx<'_>, ends: &Ends) -> Result<()> {
    let link = "INSERT INTO link (id, connection, lens, external_id, entity, golden, state, open)
                VALUES (?1, '', '', '', '', 0, '{\"at\":0,\"said\":{}}', 0)";
    let golden = "INSERT INTO golden (id, entity, fields, merged_into, change) VALUES (?1, '', '{}', 0, 0)";
    let review = "INSERT INTO review (id, link, golden, candidates, state, made_us) VALUES (?1, 0, 0, '[]', 'mark', 0)";
    let change = "INSERT INTO change_log (position, golden, entity, kind, diff, cause, at_us)
                  VALUES (?1, 0, '', 'mark', '{}', '', 0)";
    for (sql, end) in [(link, ends.link), (golden, ends.golden), (review, ends.review), (change, ends.change)] {
        tx.execute_later(sql, &[Param::Int(end)])?;
    }
    Ok(())
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Golden records that were made, and are not found to be another one's.
    pub creates: i64,
    /// Records that joined a golden record that was there.
    pub joins: i64,
    /// Records that joined one that another record of the rehearsal made.
    pub within: i64,
    /// Golden records that were there and were found to be another one's.
    pub merges: i64,
    /// Golden records that were there and got other values.
    pub updates: i64,
    /// Arrivals that said nothing new.
    pub unchanged: i64,
    /// Questions to a steward.
    pub reviews: i64,
}

/// Counts what happened.
pub fn counts(tx: &mut Tx<'_>, ends: &Ends) -> Result<Counts> {
    let mut count = |sql: &str, end: i64| -> Result<i64> {
        Ok(tx.query_opt(sql, &[Param::Int(end)], |row| row.int(0))?.unwrap_or(0))
    };
    let linked = "SELECT COUNT(*) FROM journal AS j CROSS JOIN link AS l WHERE l.id = j.link AND j.outcome = 'linked'";
    Ok(Counts {
        creates: count("SELECT COUNT(*) FROM golden WHERE id > ?1 AND merged_into IS NULL", ends.golden)?,
        joins: count(&format!("{linked} AND l.golden <= ?1"), ends.golden)?,
        within: count(&format!("{linked} AND l.golden > ?1"), ends.golden)?,
        merges: count(
            "SELECT COUNT(DISTINCT golden) FROM change_log WHERE golden <= ?1 AND kind = 'merged'",
            ends.golden,
        )?,
        updates: count(&format!("SELECT COUNT(DISTINCT golden) FROM change_log {UPDATED}"), ends.golden)?,
        unchanged: count("SELECT COUNT(*) FROM journal WHERE outcome = 'echo' AND link > ?1", 0)?,
        reviews: count("SELECT COUNT(*) FROM review WHERE id > ?1", ends.review)?,
    })
}

const UPDATED: &str = "WHERE golden <= ?1 AND kind <> 'mark' AND kind <> 'merged' AND diff <> '{}'";

/// The first golden records that were made: number, and one of the links.
pub fn made(tx: &mut Tx<'_>, ends: &Ends, count: i64) -> Result<Vec<(i64, i64)>> {
    tx.query(
        "SELECT g.id, MIN(l.id) FROM golden AS g CROSS JOIN link AS l WHERE g.id > ?1 AND g.merged_into IS NULL
         AND l.golden = g.id GROUP BY g.id ORDER BY g.id LIMIT ?2",
        &[Param::Int(ends.golden), Param::Int(count)],
        |row| Ok((row.int(0)?, row.int(1)?)),
    )
}

/// The first records that joined a golden record that was there: link and golden record.
pub fn joined(tx: &mut Tx<'_>, ends: &Ends, count: i64) -> Result<Vec<(i64, i64)>> {
    tx.query(
        "SELECT l.id, l.golden FROM journal AS j CROSS JOIN link AS l WHERE l.id = j.link AND j.outcome = 'linked'
         AND l.golden <= ?1 ORDER BY l.id LIMIT ?2",
        &[Param::Int(ends.golden), Param::Int(count)],
        |row| Ok((row.int(0)?, row.int(1)?)),
    )
}

/// The first changes of values of golden records that were there.
pub fn updated(tx: &mut Tx<'_>, ends: &Ends, count: i64) -> Result<Vec<Change>> {
    let sql = format!(
        "SELECT position, golden, entity, kind, diff, cause, at_us FROM change_log {UPDATED} ORDER BY position LIMIT ?2"
    );
    tx.query(&sql, &[Param::Int(ends.golden), Param::Int(count)], |row| {
        Ok(Change {
            position: row.int(0)?,
            golden: row.int(1)?,
            entity: row.text(2)?.into(),
            kind: row.text(3)?,
            diff: serde_json::from_str(&row.text(4)?)?,
            cause: row.text(5)?,
            at_us: row.int(6)?,
        })
    })
}

/// Golden records that changed, behind a number, in order.
pub fn changed(tx: &mut Tx<'_>, after: i64, count: i64) -> Result<Vec<i64>> {
    tx.query(
        "SELECT DISTINCT golden FROM change_log WHERE golden > ?1 AND kind <> 'merged' ORDER BY golden LIMIT ?2",
        &[Param::Int(after), Param::Int(count)],
        |row| row.int(0),
    )
}

/// Of these links, those that something arrived for.
pub fn heard(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<BTreeSet<i64>> {
    let sql = "SELECT DISTINCT j.link FROM {keys:i} AS k CROSS JOIN journal AS j WHERE j.link = k.k0";
    Ok(tx.query_keys(sql, &Keys::ints(links), &[], |row| row.int(0))?.into_iter().collect())
}
