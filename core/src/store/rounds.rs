//! The rounds of reconciliation: how far each is, what it saw, and what it may cost.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::value::FieldName;
use serde::{Deserialize, Serialize};

use super::db::{Col, Insert, Keys, Param, Result, Tx};
use super::streams::Scan;

/// What a round does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It walks over the pages of the system.
    Pages,
    /// It walks over the links that the hub holds.
    Links,
    /// It walks over the golden records that may be created there.
    Goldens,
    /// It is over; the next one begins when it is due.
    #[default]
    Rest,
}

impl Phase {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pages => "pages",
            Self::Links => "links",
            Self::Goldens => "goldens",
            Self::Rest => "rest",
        }
    }

    fn parse(word: &str) -> Self {
        match word {
            "pages" => Self::Pages,
            "links" => Self::Links,
            "goldens" => Self::Goldens,
            _ => Self::Rest,
        }
    }
}

/// What a round compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records.
    pub records: i64,
    /// Values of each canonical field.
    pub fields: BTreeMap<FieldName, i64>,
    /// Whether its pages showed all that there is.
    #[serde(default)]
    pub complete: bool,
    /// Whether its pages showed keys without content: then each record is read alone.
    #[serde(default)]
    pub keys_only: bool,
}

/// How far the round over a stream is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// 1 for the first.
    pub number: i64,
    /// What it does next.
    pub phase: Phase,
    /// Where it goes on: a connector's cursor, or the external id of the last link.
    pub cursor: Option<String>,
    /// Where everything stood when it began.
    pub scan: Scan,
    /// What it compared so far.
    pub tally: Tally,
    /// When it began, microseconds since 1970 UTC.
    pub started_us: i64,
    /// Not before this instant.
    pub due_us: i64,
    /// Failed calls in a row.
    pub failures: i64,
    /// What went wrong last.
    pub error: Option<String>,
    /// What the last whole round compared.
    pub last: Option<Tally>,
    /// When that ended.
    pub last_us: Option<i64>,
}

/// The rounds of all streams by connection and stream.
pub fn rounds(tx: &mut Tx<'_>) -> Result<BTreeMap<(String, String), Round>> {
    let sql =
        "SELECT connection, stream, number, phase, cursor, scan, tally, started_us, due_us, failures, error, last,
               last_us FROM reconcile_round";
    let rows = tx.query(sql, &[], |row| {
        let round = Round {
            number: row.int(2)?,
            phase: Phase::parse(&row.text(3)?),
            cursor: row.opt_text(4)?,
            scan: serde_json::from_str(&row.text(5)?)?,
            tally: serde_json::from_str(&row.text(6)?)?,
            started_us: row.int(7)?,
            due_us: row.int(8)?,
            failures: row.int(9)?,
            error: row.opt_text(10)?,
            last: row.opt_text(11)?.map(|text| serde_json::from_str(&text)).transpose()?,
            last_us: row.opt_int(12)?,
        };
        Ok(((row.text(0)?, row.text(1)?), round))
    })?;
    Ok(rows.into_iter().collect())
}

const ROUND: Insert = Insert {
    table: "reconcile_round",
    columns: &[
        ("connection", Col::Text),
        ("stream", Col::Text),
        ("number", Col::Int),
        ("phase", Col::Text),
        ("cursor", Col::Text),
        ("scan", Col::Text),
        ("tally", Col::Text),
        ("started_us", Col::Int),
        ("due_us", Col::Int),
        ("failures", Col::Int),
        ("error", Col::Text),
        ("last", Col::Text),
        ("last_us", Col::Int),
    ],
    conflict: "ON CONFLICT (connection, stream) DO UPDATE SET number = excluded.number, phase = excluded.phase,
               cursor = excluded.cursor, scan = excluded.scan, tally = excluded.tally, started_us = excluded.started_us,
               due_us = excluded.due_us, failures = excluded.failures, error = excluded.error, last = excluded.last,
               last_us = excluded.last_us",
};

/// Writes how far a round is: only in the transaction that holds what its step found.
pub fn put_round(tx: &mut Tx<'_>, connection: &str, stream: &str, round: &Round) -> Result<()> {
    let (scan, tally) = (serde_json::to_string(&round.scan)?, serde_json::to_string(&round.tally)?);
    let last = round.last.as_ref().map(serde_json::to_string).transpose()?;
    let cells = [
        Param::Text(connection),
        Param::Text(stream),
        Param::Int(round.number),
        Param::Text(round.phase.as_str()),
        round.cursor.as_deref().into(),
        Param::Text(&scan),
        Param::Text(&tally),
        Param::Int(round.started_us),
        Param::Int(round.due_us),
        Param::Int(round.failures),
        round.error.as_deref().into(),
        last.as_deref().into(),
        round.last_us.into(),
    ];
    tx.insert_later(&ROUND, &cells)
}

/// Links to a row of marks: 1 KiB.
const CHUNK: i64 = 8192;

const MARK: Insert = Insert {
    table: "reconcile_mark",
    columns: &[("connection", Col::Text), ("stream", Col::Text), ("chunk", Col::Int), ("bits", Col::Blob)],
    conflict: "ON CONFLICT (connection, stream, chunk) DO UPDATE SET bits = excluded.bits",
};

/// Where the bit of a link is: its chunk, the byte in it, the bit in that.
fn place(link: i64) -> (i64, usize, u8) {
    let within = link.rem_euclid(CHUNK);
    (link.div_euclid(CHUNK), usize::try_from(within / 8).unwrap_or(0), 1 << (within % 8))
}

fn chunks(tx: &mut Tx<'_>, stream: (&str, &str), links: &BTreeSet<i64>) -> Result<BTreeMap<i64, Vec<u8>>> {
    let wanted: BTreeSet<i64> = links.iter().map(|link| place(*link).0).collect();
    let sql = "SELECT m.chunk, m.bits FROM {keys:i} AS k CROSS JOIN reconcile_mark AS m
               WHERE m.connection = ?2 AND m.stream = ?3 AND m.chunk = k.k0";
    let params = [Param::Text(stream.0), Param::Text(stream.1)];
    let rows = tx.query_keys(sql, &Keys::ints(wanted), &params, |row| Ok((row.int(0)?, row.blob(1)?)))?;
    Ok(rows.into_iter().collect())
}

/// Notes that the round over a stream (connection, stream) saw these links.
pub fn mark(tx: &mut Tx<'_>, stream: (&str, &str), links: &BTreeSet<i64>) -> Result<()> {
    let mut known = chunks(tx, stream, links)?;
    for link in links {
        let (chunk, byte, bit) = place(*link);
        let bits = known.entry(chunk).or_default();
        bits.resize(bits.len().max(byte + 1), 0);
        bits[byte] |= bit;
    }
    let rows = known.iter();
    let cells: Vec<Param<'_>> = rows
        .flat_map(|(chunk, bits)| [Param::Text(stream.0), Param::Text(stream.1), Param::Int(*chunk), Param::Blob(bits)])
        .collect();
    tx.insert_later(&MARK, &cells)
}

/// Those of these links that the round did not see.
pub fn unmarked(tx: &mut Tx<'_>, stream: (&str, &str), links: &BTreeSet<i64>) -> Result<BTreeSet<i64>> {
    let known = chunks(tx, stream, links)?;
    let is_seen = |link: &i64| {
        let (chunk, byte, bit) = place(*link);
        known.get(&chunk).and_then(|bits| bits.get(byte)).is_some_and(|known| known & bit != 0)
    };
    Ok(links.iter().copied().filter(|link| !is_seen(link)).collect())
}

/// A new round has seen nothing.
pub fn unmark_all(tx: &mut Tx<'_>, stream: (&str, &str)) -> Result<u64> {
    let params = [Param::Text(stream.0), Param::Text(stream.1)];
    tx.execute("DELETE FROM reconcile_mark WHERE connection = ?1 AND stream = ?2", &params)
}

/// What the rounds of a connection cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The next call is not before this instant, microseconds since 1970 UTC.
    pub due_us: i64,
    /// Calls so far.
    pub calls: i64,
    /// Since when they are counted.
    pub since_us: i64,
}

/// The pace of a connection, once it began.
pub fn pace(tx: &mut Tx<'_>, connection: &str) -> Result<Option<Pace>> {
    let sql = "SELECT due_us, calls, since_us FROM reconcile_pace WHERE connection = ?1";
    tx.query_opt(sql, &[Param::Text(connection)], |row| {
        Ok(Pace { due_us: row.int(0)?, calls: row.int(1)?, since_us: row.int(2)? })
    })
}

const PACE: Insert = Insert {
    table: "reconcile_pace",
    columns: &[("connection", Col::Text), ("due_us", Col::Int), ("calls", Col::Int), ("since_us", Col::Int)],
    conflict: "ON CONFLICT (connection) DO UPDATE SET due_us = excluded.due_us, calls = excluded.calls",
};

/// Writes the pace of a connection: only in the transaction that holds what the calls found.
pub fn put_pace(tx: &mut Tx<'_>, connection: &str, pace: &Pace) -> Result<()> {
    let cells = [Param::Text(connection), Param::Int(pace.due_us), Param::Int(pace.calls), Param::Int(pace.since_us)];
    tx.insert_later(&PACE, &cells)
}
