//! Budgets of what may go or change at once, and what the brake holds back.

use std::collections::BTreeMap;

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};
use crate::connector::Version;

/// What a budget is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Links that would close.
    Missing,
    /// Links whose records would say something else.
    Changing,
}

impl Kind {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changing => "changing",
        }
    }

    fn parse(word: &str) -> Self {
        if word == "changing" { Self::Changing } else { Self::Missing }
    }
}

/// Names a budget: connection, stream, kind.
pub type BudgetKey = (String, String, Kind);

/// What a budget was spent on in the hour that is running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// When the hour began, microseconds since 1970 UTC.
    pub since_us: i64,
    /// Links counted in it.
    pub links: i64,
    /// The open links of the stream when somebody last had to know.
    pub of_links: Option<i64>,
    /// Since when the brake holds, microseconds since 1970 UTC; none: it does not.
    pub caught_us: Option<i64>,
}

/// An arrival that waits for a steward, the latest of its link.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// The link.
    pub link: i64,
    /// Which budget it would overrun.
    pub key: BudgetKey,
    /// Its place in the inbox.
    pub position: i64,
    /// What it says about recency.
    pub version: Option<Version>,
    /// When it was received, microseconds since 1970 UTC.
    pub received_us: i64,
    /// Whether a steward lets it pass.
    pub released: bool,
}

/// A brake that holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Caught {
    /// The connection.
    pub connection: String,
    /// The stream.
    pub stream: String,
    /// What there was too much of.
    pub kind: Kind,
    /// Links that wait.
    pub held: i64,
    /// Open links of the stream when it caught.
    pub of_links: i64,
    /// Since when, microseconds since 1970 UTC.
    pub at_us: i64,
}

/// What was spent in these streams (connection, stream).
pub fn spent<'a>(
    tx: &mut Tx<'_>,
    streams: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<BTreeMap<BudgetKey, Spent>> {
    let keys = Keys::texts(streams.into_iter().map(|(connection, stream)| [connection, stream]));
    let sql = "SELECT b.connection, b.stream, b.kind, b.since_us, b.links, b.of_links, b.caught_us
               FROM {keys:tt} AS k CROSS JOIN budget AS b WHERE b.connection = k.k0 AND b.stream = k.k1";
    let rows = tx.query_keys(sql, &keys, &[], |row| {
        let spent =
            Spent { since_us: row.int(3)?, links: row.int(4)?, of_links: row.opt_int(5)?, caught_us: row.opt_int(6)? };
        Ok((key(row, 0)?, spent))
    })?;
    Ok(rows.into_iter().collect())
}

fn key(row: &Row<'_>, at: usize) -> Result<BudgetKey> {
    Ok((row.text(at)?, row.text(at + 1)?, Kind::parse(&row.text(at + 2)?)))
}

const BUDGET: Insert = Insert {
    table: "budget",
    columns: &[
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("kind", Col::Text),
        ("since_us", Col::Int),
        ("links", Col::Int),
        ("of_links", Col::Int),
        ("caught_us", Col::Int),
    ],
    conflict: "ON CONFLICT (connection, stream, kind) DO UPDATE SET since_us = excluded.since_us,
               links = excluded.links, of_links = excluded.of_links, caught_us = excluded.caught_us",
};

/// Writes what was spent.
pub fn put_spent(tx: &mut Tx<'_>, budgets: &BTreeMap<BudgetKey, Spent>) -> Result<()> {
    let mut cells = Vec::with_capacity(budgets.len() * BUDGET.columns.len());
    for ((connection, stream, kind), spent) in budgets {
        cells.extend_from_slice(&[
            Param::Text(connection),
            Param::Text(stream),
            Param::Text(kind.as_str()),
            Param::Int(spent.since_us),
            Param::Int(spent.links),
            spent.of_links.into(),
            spent.caught_us.into(),
        ]);
    }
    tx.insert_later(&BUDGET, &cells)
}

const HOLD: Insert = Insert {
    table: "held_back",
    columns: &[
        ("link", Col::Int),
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("kind", Col::Text),
        ("position", Col::Int),
        ("version", Col::Text),
        ("received_us", Col::Int),
        ("released", Col::Int),
    ],
    conflict: "ON CONFLICT (link) DO UPDATE SET kind = excluded.kind, position = excluded.position,
               version = excluded.version, received_us = excluded.received_us, released = excluded.released",
};

/// Holds arrivals back, each in place of a former one of its link.
pub fn hold<'a>(tx: &mut Tx<'_>, holds: impl IntoIterator<Item = &'a Hold>) -> Result<()> {
    let rows: Vec<(&Hold, Option<String>)> = holds
        .into_iter()
        .map(|hold| (hold, hold.version.as_ref().and_then(|it| serde_json::to_string(it).ok())))
        .collect();
    let mut cells = Vec::with_capacity(rows.len() * HOLD.columns.len());
    for (hold, version) in &rows {
        let (connection, stream, kind) = &hold.key;
        cells.extend_from_slice(&[
            Param::Int(hold.link),
            Param::Text(connection),
            Param::Text(stream),
            Param::Text(kind.as_str()),
            Param::Int(hold.position),
            version.as_deref().into(),
            Param::Int(hold.received_us),
            Param::Int(i64::from(hold.released)),
        ]);
    }
    tx.insert_later(&HOLD, &cells)
}

const COLUMNS: &str = "h.link, h.connection, h.stream, h.kind, h.position, h.version, h.received_us, h.released";

fn read(row: &Row<'_>) -> Result<Hold> {
    Ok(Hold {
        link: row.int(0)?,
        key: key(row, 1)?,
        position: row.int(4)?,
        version: row.opt_text(5)?.map(|text| serde_json::from_str(&text)).transpose()?,
        received_us: row.int(6)?,
        released: row.int(7)? == 1,
    })
}

/// What is held back of these links.
pub fn held_of(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, Hold>> {
    let sql = format!("SELECT {COLUMNS} FROM {{keys:i}} AS k CROSS JOIN held_back AS h WHERE h.link = k.k0");
    let held = tx.query_keys(&sql, &Keys::ints(links), &[], read)?;
    Ok(held.into_iter().map(|hold| (hold.link, hold)).collect())
}

/// What is held back of a stream and waits for a steward, by link after this one, at most `count`.
pub fn held_in(tx: &mut Tx<'_>, connection: &str, stream: &str, after: i64, count: i64) -> Result<Vec<Hold>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM held_back AS h WHERE h.connection = ?1 AND h.stream = ?2 AND h.released = 0
         AND h.link > ?3 ORDER BY h.link LIMIT ?4"
    );
    tx.query(&sql, &[Param::Text(connection), Param::Text(stream), Param::Int(after), Param::Int(count)], read)
}

/// Ends holds: their links' latest arrivals are taken in, or show what is known anyway.
pub fn end(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<u64> {
    tx.execute_keys("DELETE FROM held_back WHERE link IN (SELECT k0 FROM {keys:i} AS k)", &Keys::ints(links), &[])
}

/// Lets everything that waits in a stream pass.
pub fn release(tx: &mut Tx<'_>, connection: &str, stream: &str) -> Result<u64> {
    let sql = "UPDATE held_back SET released = 1 WHERE connection = ?1 AND stream = ?2";
    tx.execute(sql, &[Param::Text(connection), Param::Text(stream)])
}

/// Forgets everything that waits in a stream.
pub fn dismiss(tx: &mut Tx<'_>, connection: &str, stream: &str) -> Result<u64> {
    let sql = "DELETE FROM held_back WHERE connection = ?1 AND stream = ?2 AND released = 0";
    tx.execute(sql, &[Param::Text(connection), Param::Text(stream)])
}

/// Begins the budgets of a stream anew, and lifts their brakes.
pub fn reset(tx: &mut Tx<'_>, connection: &str, stream: &str, now_us: i64) -> Result<u64> {
    tx.execute(
        "UPDATE budget SET since_us = ?3, links = 0, of_links = NULL, caught_us = NULL
         WHERE connection = ?1 AND stream = ?2",
        &[Param::Text(connection), Param::Text(stream), Param::Int(now_us)],
    )
}

/// Lifts brakes under which nothing waits any more: what was too much was taken back where it came from.
pub fn lift(tx: &mut Tx<'_>) -> Result<u64> {
    tx.execute(
        "UPDATE budget SET links = 0, of_links = NULL, caught_us = NULL WHERE caught_us IS NOT NULL AND NOT EXISTS
         (SELECT 1 FROM held_back AS h WHERE h.connection = budget.connection AND h.stream = budget.stream
          AND h.kind = budget.kind AND h.released = 0)",
        &[],
    )
}

/// The brakes that hold arrivals back.
pub fn caught(tx: &mut Tx<'_>) -> Result<Vec<Caught>> {
    let sql = "SELECT b.connection, b.stream, b.kind, COALESCE(b.of_links, 0), b.caught_us, (SELECT COUNT(*)
               FROM held_back AS h WHERE h.connection = b.connection AND h.stream = b.stream AND h.kind = b.kind
               AND h.released = 0) FROM budget AS b WHERE b.caught_us IS NOT NULL
               ORDER BY b.connection, b.stream, b.kind";
    tx.query(sql, &[], |row| {
        let (connection, stream, kind) = key(row, 0)?;
        Ok(Caught { connection, stream, kind, held: row.int(5)?, of_links: row.int(3)?, at_us: row.int(4)? })
    })
}
