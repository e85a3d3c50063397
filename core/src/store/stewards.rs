//! Reviews and rulings.

use std::collections::{BTreeSet, HashSet};

use huiliu_mappings::matching::Explanation;
use serde_json::Value;

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};
use super::links::KEEP;

/// Under this name the store counts the commands that stewards gave: what a stage computed from before one is void.
pub const COMMANDS: &str = "stewards";

/// A link that waits for a steward: is it one of these customers?
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Review {
    /// Its number.
    pub number: i64,
    /// The link.
    pub link: i64,
    /// The golden record it has meanwhile.
    pub golden: i64,
    /// The customers it may be, best first.
    pub candidates: Vec<(i64, Explanation)>,
    /// When, microseconds since 1970 UTC.
    pub made_us: i64,
}

const REVIEW: Insert = Insert {
    table: "review",
    columns: &[
        ("id", Col::Int),
        ("link", Col::Int),
        ("golden", Col::Int),
        ("candidates", Col::Text),
        ("state", Col::Text),
        ("made_us", Col::Int),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET golden = excluded.golden, candidates = excluded.candidates, later_us = 0",
};

/// Queues reviews, and asks those that wait anew: about others, or for other reasons, so that nothing is put off any more.
pub fn put_reviews<'a>(tx: &mut Tx<'_>, reviews: impl IntoIterator<Item = &'a Review>) -> Result<()> {
    put_reviews_as(tx, &REVIEW, reviews)
}

/// Writes waiting reviews into the store of a rehearsal, those that it has stay as they are there.
pub fn lend_reviews<'a>(tx: &mut Tx<'_>, reviews: impl IntoIterator<Item = &'a Review>) -> Result<()> {
    put_reviews_as(tx, &Insert { conflict: KEEP, ..REVIEW }, reviews)
}

fn put_reviews_as<'a>(tx: &mut Tx<'_>, insert: &Insert, reviews: impl IntoIterator<Item = &'a Review>) -> Result<()> {
    let rows: Vec<(&Review, String)> = reviews
        .into_iter()
        .map(|review| (review, serde_json::to_string(&review.candidates).unwrap_or_default()))
        .collect();
    let mut cells = Vec::new();
    for (review, candidates) in &rows {
        cells.extend_from_slice(&[
            Param::Int(review.number),
            Param::Int(review.link),
            Param::Int(review.golden),
            Param::Text(candidates),
            Param::Text("waiting"),
            Param::Int(review.made_us),
        ]);
    }
    tx.insert_later(insert, &cells)
}

/// The waiting reviews, oldest first.
pub fn waiting(tx: &mut Tx<'_>, count: i64) -> Result<Vec<Review>> {
    waiting_after(tx, 0, count)
}

/// The waiting reviews behind a number, oldest first.
pub fn waiting_after(tx: &mut Tx<'_>, number: i64, count: i64) -> Result<Vec<Review>> {
    tx.query(
        "SELECT id, link, golden, candidates, made_us FROM review WHERE state = 'waiting' AND id > ?1 ORDER BY id LIMIT ?2",
        &[Param::Int(number), Param::Int(count)],
        review,
    )
}

/// The waiting reviews behind a number that nobody put off until after this moment, oldest first.
pub fn awake_after(tx: &mut Tx<'_>, number: i64, now_us: i64, count: i64) -> Result<Vec<Review>> {
    tx.query(
        "SELECT id, link, golden, candidates, made_us FROM review
         WHERE state = 'waiting' AND later_us <= ?2 AND id > ?1 ORDER BY id LIMIT ?3",
        &[Param::Int(number), Param::Int(now_us), Param::Int(count)],
        review,
    )
}

/// The waiting reviews that are put off until after this moment: number, until when.
pub fn put_off_after(tx: &mut Tx<'_>, now_us: i64, count: i64) -> Result<Vec<(i64, i64)>> {
    let sql =
        "SELECT id, later_us FROM review WHERE state = 'waiting' AND later_us > ?1 ORDER BY later_us, id LIMIT ?2";
    tx.query(sql, &[Param::Int(now_us), Param::Int(count)], |row| Ok((row.int(0)?, row.int(1)?)))
}

/// The waiting reviews of these links.
pub fn waiting_of(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<Vec<Review>> {
    let sql = "SELECT r.id, r.link, r.golden, r.candidates, r.made_us FROM {keys:i} AS k CROSS JOIN review AS r
               WHERE r.link = k.k0 AND r.state = 'waiting'";
    tx.query_keys(sql, &Keys::ints(links), &[], review)
}

fn review(row: &Row<'_>) -> Result<Review> {
    Ok(Review {
        number: row.int(0)?,
        link: row.int(1)?,
        golden: row.int(2)?,
        candidates: serde_json::from_str(&row.text(3)?)?,
        made_us: row.int(4)?,
    })
}

/// Pairs of links that a steward ruled to be different, lower number first, among these links.
pub fn ruled_apart(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<HashSet<(i64, i64)>> {
    let sql = "SELECT r.link_a, r.link_b FROM {keys:i} AS k CROSS JOIN ruling AS r
               WHERE r.link_a = k.k0 AND r.verdict = 'different'";
    let pairs = tx.query_keys(sql, &Keys::ints(links), &[], |row| Ok((row.int(0)?, row.int(1)?)))?;
    Ok(pairs.into_iter().collect())
}

/// Pairs of links that a steward ruled to be the same, with at least one of these links: given link first.
pub fn ruled_same(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<Vec<(i64, i64)>> {
    let keys = Keys::ints(links);
    let mut pairs = Vec::new();
    for (mine, other) in [("link_a", "link_b"), ("link_b", "link_a")] {
        let sql = format!(
            "SELECT r.{mine}, r.{other} FROM {{keys:i}} AS k CROSS JOIN ruling AS r
             WHERE r.{mine} = k.k0 AND r.verdict = 'same'"
        );
        pairs.extend(tx.query_keys(&sql, &keys, &[], |row| Ok((row.int(0)?, row.int(1)?)))?);
    }
    Ok(pairs)
}

/// What a steward did.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Command {
    /// Its number; 0 before it is written.
    pub number: i64,
    /// `decide`, `later`, `link`, `split`, `pin`, `unpin`, `release`, `conflict`, `pause`, `resume`, `retry`.
    pub what: String,
    /// What it was about.
    pub detail: Value,
    /// Who did it.
    pub made_by: String,
    /// Why.
    pub why: String,
    /// The first change of the change log that it made, 0 if it made none.
    pub change: i64,
    /// When, microseconds since 1970 UTC.
    pub made_us: i64,
}

/// Keeps a command under the next number.
pub fn put_command(tx: &mut Tx<'_>, command: &Command) -> Result<()> {
    let number = tx.max("id", "command")? + 1;
    tx.execute(
        "INSERT INTO command (id, what, detail, made_by, why, change, made_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &[
            Param::Int(number),
            Param::Text(&command.what),
            Param::Text(&command.detail.to_string()),
            Param::Text(&command.made_by),
            Param::Text(&command.why),
            Param::Int(command.change),
            Param::Int(command.made_us),
        ],
    )
    .map(drop)
}

/// The last commands, newest first.
pub fn commands(tx: &mut Tx<'_>, count: i64) -> Result<Vec<Command>> {
    tx.query(
        "SELECT id, what, detail, made_by, why, change, made_us FROM command ORDER BY id DESC LIMIT ?1",
        &[Param::Int(count)],
        |row| {
            Ok(Command {
                number: row.int(0)?,
                what: row.text(1)?,
                detail: serde_json::from_str(&row.text(2)?)?,
                made_by: row.text(3)?,
                why: row.text(4)?,
                change: row.int(5)?,
                made_us: row.int(6)?,
            })
        },
    )
}

const HOME: Insert = Insert {
    table: "home",
    columns: &[("link", Col::Int), ("golden", Col::Int), ("home", Col::Int)],
    conflict: "ON CONFLICT (link, golden) DO UPDATE SET home = excluded.home",
};

/// Notes which record links had before another one absorbed it: link, the absorbing record, the former one.
pub fn put_homes(tx: &mut Tx<'_>, homes: &[(i64, i64, i64)]) -> Result<()> {
    let cells: Vec<Param<'_>> = homes
        .iter()
        .flat_map(|&(link, golden, home)| [Param::Int(link), Param::Int(golden), Param::Int(home)])
        .collect();
    tx.insert_later(&HOME, &cells)
}

/// Notes which links were with a record when it absorbed others: link, record. What is known of a link before stays.
pub fn put_stays(tx: &mut Tx<'_>, stays: &[(i64, i64)]) -> Result<()> {
    let cells: Vec<Param<'_>> =
        stays.iter().flat_map(|&(link, golden)| [Param::Int(link), Param::Int(golden), Param::Int(golden)]).collect();
    tx.insert_later(&Insert { conflict: KEEP, ..HOME }, &cells)
}

/// Which records these links had: link, the record that absorbed it or whose it was then, the record before.
pub fn homes(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<Vec<(i64, i64, i64)>> {
    let sql = "SELECT h.link, h.golden, h.home FROM {keys:i} AS k CROSS JOIN home AS h WHERE h.link = k.k0";
    tx.query_keys(sql, &Keys::ints(links), &[], |row| Ok((row.int(0)?, row.int(1)?, row.int(2)?)))
}

const CONTEST: Insert = Insert { table: "contest", columns: &[("link", Col::Int)], conflict: KEEP };

/// Which of these links are tied to somebody who is somebody else.
pub fn contested(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<Vec<i64>> {
    let sql = "SELECT c.link FROM {keys:i} AS k CROSS JOIN contest AS c WHERE c.link = k.k0";
    tx.query_keys(sql, &Keys::ints(links), &[], |row| row.int(0))
}

/// Notes that these links are tied to somebody who is somebody else, and that those are not any more.
pub fn put_contested(tx: &mut Tx<'_>, tied: &BTreeSet<i64>, freed: &BTreeSet<i64>) -> Result<()> {
    let cells: Vec<Param<'_>> = tied.iter().map(|link| Param::Int(*link)).collect();
    tx.insert_later(&CONTEST, &cells)?;
    let sql = "DELETE FROM contest WHERE link IN (SELECT k.k0 FROM {keys:i} AS k)";
    tx.execute_keys_later(sql, &Keys::ints(freed.iter().copied()), &[])
}

const RULING: Insert = Insert {
    table: "ruling",
    columns: &[
        ("link_a", Col::Int),
        ("link_b", Col::Int),
        ("verdict", Col::Text),
        ("made_by", Col::Text),
        ("made_us", Col::Int),
    ],
    conflict: "ON CONFLICT (link_a, link_b) DO UPDATE SET verdict = excluded.verdict, made_by = excluded.made_by,
               made_us = excluded.made_us",
};

/// Rules for pairs of links, `same` or `different`; the last word counts.
pub fn rule(tx: &mut Tx<'_>, pairs: &[(i64, i64)], verdict: &str, made_by: &str, made_us: i64) -> Result<()> {
    let mut cells = Vec::with_capacity(pairs.len() * RULING.columns.len());
    for (a, b) in pairs {
        cells.extend_from_slice(&[
            Param::Int(*a.min(b)),
            Param::Int(*a.max(b)),
            Param::Text(verdict),
            Param::Text(made_by),
            Param::Int(made_us),
        ]);
    }
    tx.insert_later(&RULING, &cells)
}

/// Takes back rulings of difference for these pairs.
pub fn withdraw(tx: &mut Tx<'_>, pairs: &[(i64, i64)]) -> Result<()> {
    for (a, b) in pairs {
        tx.execute_later(
            "DELETE FROM ruling WHERE link_a = ?1 AND link_b = ?2 AND verdict = 'different'",
            &[Param::Int(*a.min(b)), Param::Int(*a.max(b))],
        )?;
    }
    Ok(())
}

/// One review, with its state: `waiting`, `same` or `different`.
pub fn review_by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<(Review, String)>> {
    tx.query_opt(
        "SELECT id, link, golden, candidates, made_us, state FROM review WHERE id = ?1",
        &[Param::Int(number)],
        |row| Ok((review(row)?, row.text(5)?)),
    )
}

/// Closes a review.
pub fn close_review(tx: &mut Tx<'_>, number: i64, state: &str, decided_by: &str, now_us: i64) -> Result<()> {
    tx.execute(
        "UPDATE review SET state = ?2, decided_by = ?3, decided_us = ?4 WHERE id = ?1",
        &[Param::Int(number), Param::Text(state), Param::Text(decided_by), Param::Int(now_us)],
    )
    .map(drop)
}

/// Puts a waiting review off until then: it comes after those that nobody put off.
pub fn put_off(tx: &mut Tx<'_>, number: i64, until_us: i64) -> Result<()> {
    let sql = "UPDATE review SET later_us = ?2 WHERE id = ?1 AND state = 'waiting'";
    tx.execute_later(sql, &[Param::Int(number), Param::Int(until_us)])
}
