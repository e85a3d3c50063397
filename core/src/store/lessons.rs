//! What models of who is who are learned from: samples of links, and what stewards ruled.

use super::db::{Keys, Param, Result, Tx};

/// Numbers of open links of an entity behind a number, at most `count`: those of every so many golden records. All links of
/// a golden record are in, or none; a link without one counts for itself.
pub fn sampled_after(tx: &mut Tx<'_>, entity: &str, every: i64, number: i64, count: usize) -> Result<Vec<i64>> {
    // Numbers follow each other as records came; multiplied they say nothing of that any more.
    tx.query(
        "SELECT id FROM link WHERE id > ?1 AND entity = ?2 AND open = 1
         AND (CASE golden WHEN 0 THEN id ELSE golden END) * 2654435761 / 65536 % ?3 = 0 ORDER BY id LIMIT ?4",
        &[
            Param::Int(number),
            Param::Text(entity),
            Param::Int(every),
            Param::Int(i64::try_from(count).unwrap_or(i64::MAX)),
        ],
        |row| row.int(0),
    )
}

/// What a steward ruled of two links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Both links, the lower number first.
    pub links: (i64, i64),
    /// Whether they are one.
    pub same: bool,
    /// When, microseconds since 1970 UTC.
    pub made_us: i64,
}

/// The last rulings, newest first.
pub fn rulings(tx: &mut Tx<'_>, count: i64) -> Result<Vec<Ruling>> {
    tx.query(
        "SELECT link_a, link_b, verdict, made_us FROM ruling ORDER BY made_us DESC, link_a, link_b LIMIT ?1",
        &[Param::Int(count)],
        |row| {
            let (links, same) = ((row.int(0)?, row.int(1)?), row.text(2)? == "same");
            Ok(Ruling { links, same, made_us: row.int(3)? })
        },
    )
}

/// How many links these golden records have.
pub fn sizes(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Vec<(i64, i64)>> {
    let sql =
        "SELECT l.golden, COUNT(*) FROM {keys:i} AS k CROSS JOIN link AS l WHERE l.golden = k.k0 GROUP BY l.golden";
    tx.query_keys(sql, &Keys::ints(goldens), &[], |row| Ok((row.int(0)?, row.int(1)?)))
}
