//! Links, the references that find a customer's orders, and the journal.

use super::db::{Col, Insert, Keys, Param, Result, StoreError, Tx};
use super::streams::Scan;
use crate::link::{Link, LinkKey, LinkState};

/// Held while links, blocks or golden records are written, so that nodes take turns.
pub const MEANING_LOCK: i64 = 0x7072_6f63_6501;

const COLUMNS: &str = "l.id, l.connection, l.lens, l.external_id, l.entity, l.golden, l.state, l.version, l.open";

fn select(tx: &mut Tx<'_>, joins: &str, keys: &Keys) -> Result<Vec<Link>> {
    let sql = format!("SELECT {COLUMNS} FROM {joins}");
    tx.query_keys(&sql, keys, &[], |row| {
        let number = row.int(0)?;
        let bad = |error: serde_json::Error| StoreError::Corrupt(format!("link {number}: {error}"));
        let version = row.opt_text(7)?.map(|text| serde_json::from_str(&text)).transpose().map_err(bad)?;
        Ok(Link {
            number,
            key: LinkKey { connection: row.text(1)?.into(), lens: row.text(2)?, id: row.text(3)?.into() },
            entity: row.text(4)?.into(),
            golden: row.int(5)?,
            state: LinkState::from_json(&row.text(6)?).map_err(bad)?,
            version,
            open: row.int(8)? == 1,
        })
    })
}

/// The links of these names that exist.
pub fn by_keys<'a>(tx: &mut Tx<'_>, keys: impl IntoIterator<Item = &'a LinkKey>) -> Result<Vec<Link>> {
    let keys = Keys::texts(keys.into_iter().map(|key| [key.connection.as_str(), key.lens.as_str(), key.id.as_str()]));
    select(
        tx,
        "{keys:ttt} AS k CROSS JOIN link AS l WHERE l.connection = k.k0 AND l.lens = k.k1 AND l.external_id = k.k2",
        &keys,
    )
}

/// Every link of these golden records, in the order of their numbers.
pub fn by_goldens(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>) -> Result<Vec<Link>> {
    let keys = Keys::ints(goldens);
    select(tx, "{keys:i} AS k CROSS JOIN link AS l WHERE l.golden = k.k0 ORDER BY l.id", &keys)
}

/// The links of these numbers.
pub fn by_numbers(tx: &mut Tx<'_>, numbers: impl IntoIterator<Item = i64>) -> Result<Vec<Link>> {
    let keys = Keys::ints(numbers);
    select(tx, "{keys:i} AS k CROSS JOIN link AS l WHERE l.id = k.k0", &keys)
}

/// The links of one stream.
pub struct Scope<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The lenses that read the stream.
    pub lenses: &'a [&'a str],
}

const OPEN: &str = "FROM {keys:t} AS k CROSS JOIN link AS l WHERE l.connection = ?2 AND l.lens = k.k0 AND l.open = 1";

/// Of those, what was there when the scan began and nothing was heard of since.
const UNSEEN: &str =
    "AND l.id <= ?3 AND NOT EXISTS (SELECT 1 FROM journal AS j WHERE j.link = l.id AND j.position > ?4)";

/// How many links of a stream are open.
pub fn count_open(tx: &mut Tx<'_>, scope: &Scope<'_>) -> Result<i64> {
    let keys = Keys::texts(scope.lenses.iter().map(|lens| [*lens]));
    let counts =
        tx.query_keys(&format!("SELECT COUNT(*) {OPEN}"), &keys, &[Param::Text(scope.connection)], |row| row.int(0))?;
    Ok(counts.first().copied().unwrap_or(0))
}

/// How many open links of a stream a scan did not show.
pub fn count_unseen(tx: &mut Tx<'_>, scope: &Scope<'_>, scan: &Scan) -> Result<i64> {
    let keys = Keys::texts(scope.lenses.iter().map(|lens| [*lens]));
    let params = [Param::Text(scope.connection), Param::Int(scan.link), Param::Int(scan.inbox)];
    let counts = tx.query_keys(&format!("SELECT COUNT(*) {OPEN} {UNSEEN}"), &keys, &params, |row| row.int(0))?;
    Ok(counts.first().copied().unwrap_or(0))
}

/// Open links of a stream that a scan did not show: number, lens, external id, at most `count`.
pub fn unseen(tx: &mut Tx<'_>, scope: &Scope<'_>, scan: &Scan, count: i64) -> Result<Vec<(i64, String, String)>> {
    let keys = Keys::texts(scope.lenses.iter().map(|lens| [*lens]));
    let params = [Param::Text(scope.connection), Param::Int(scan.link), Param::Int(scan.inbox), Param::Int(count)];
    let sql = format!("SELECT l.id, l.lens, l.external_id {OPEN} {UNSEEN} ORDER BY l.id LIMIT ?5");
    tx.query_keys(&sql, &keys, &params, |row| Ok((row.int(0)?, row.text(1)?, row.text(2)?)))
}

/// External ids of open links of a stream behind one, in the order of the store, at most `count`.
pub fn open_ids_after(tx: &mut Tx<'_>, scope: &Scope<'_>, id: &str, count: i64) -> Result<Vec<String>> {
    let keys = Keys::texts(scope.lenses.iter().map(|lens| [*lens]));
    let params = [Param::Text(scope.connection), Param::Text(id), Param::Int(count)];
    let sql = format!("SELECT DISTINCT l.external_id {OPEN} AND l.external_id > ?3 ORDER BY l.external_id LIMIT ?4");
    tx.query_keys(&sql, &keys, &params, |row| row.text(0))
}

/// What is lent never takes the place of what a rehearsal made of it.
pub(super) const KEEP: &str = "ON CONFLICT DO NOTHING";

const LINK: Insert = Insert {
    table: "link",
    columns: &[
        ("id", Col::Int),
        ("connection", Col::Text),
        ("lens", Col::Text),
        ("external_id", Col::Text),
        ("entity", Col::Text),
        ("golden", Col::Int),
        ("state", Col::Text),
        ("version", Col::Text),
        ("open", Col::Int),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET golden = excluded.golden, state = excluded.state,
               version = excluded.version, open = excluded.open",
};

/// Writes links, new and changed.
pub fn put<'a>(tx: &mut Tx<'_>, links: impl IntoIterator<Item = &'a Link>) -> Result<()> {
    put_as(tx, &LINK, links)
}

/// Writes links into the store of a rehearsal, those that it has stay as they are there.
pub fn lend<'a>(tx: &mut Tx<'_>, links: impl IntoIterator<Item = &'a Link>) -> Result<()> {
    put_as(tx, &Insert { conflict: KEEP, ..LINK }, links)
}

fn put_as<'a>(tx: &mut Tx<'_>, insert: &Insert, links: impl IntoIterator<Item = &'a Link>) -> Result<()> {
    let rows: Vec<(&Link, String, Option<String>)> = links
        .into_iter()
        .map(|link| (link, link.state.to_json(), link.version.as_ref().and_then(|it| serde_json::to_string(it).ok())))
        .collect();
    let mut cells = Vec::with_capacity(rows.len() * LINK.columns.len());
    for (link, state, version) in &rows {
        cells.extend_from_slice(&[
            Param::Int(link.number),
            Param::Text(link.key.connection.as_str()),
            Param::Text(&link.key.lens),
            Param::Text(link.key.id.as_str()),
            Param::Text(link.entity.as_str()),
            Param::Int(link.golden),
            Param::Text(state),
            version.as_deref().into(),
            Param::Int(i64::from(link.open)),
        ]);
    }
    tx.insert_later(insert, &cells)
}

const REFERENCE: Insert = Insert {
    table: "reference",
    columns: &[("hash", Col::Int), ("link", Col::Int)],
    conflict: "ON CONFLICT (hash, link) DO NOTHING",
};

/// Writes references: hash and link.
pub fn put_references(tx: &mut Tx<'_>, references: &[(i64, i64)]) -> Result<()> {
    let cells: Vec<Param<'_>> =
        references.iter().flat_map(|&(hash, link)| [Param::Int(hash), Param::Int(link)]).collect();
    tx.insert_later(&REFERENCE, &cells)
}

/// Links that refer to any of these hashes.
pub fn referring(tx: &mut Tx<'_>, hashes: impl IntoIterator<Item = i64>) -> Result<Vec<i64>> {
    let sql = "SELECT DISTINCT r.link FROM {keys:i} AS k CROSS JOIN reference AS r WHERE r.hash = k.k0 ORDER BY r.link";
    tx.query_keys(sql, &Keys::ints(hashes), &[], |row| row.int(0))
}

/// Outcomes of arrivals whose content was not taken in.
pub const NOT_TAKEN_IN: [&str; 8] =
    ["stale", "overtaken", "told_gone", "told_back", "missing", "deleted", "parked", "held"];

/// One line of a record's history.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct JournalLine {
    /// The link.
    pub link: i64,
    /// The inbox position.
    pub position: i64,
    /// `created`, `linked`, `changed`, `echo`, `review`, or one of [`NOT_TAKEN_IN`].
    pub outcome: String,
    /// Issues and reasons, as JSON.
    pub detail: Option<String>,
}

const JOURNAL: Insert = Insert {
    table: "journal",
    columns: &[("link", Col::Int), ("position", Col::Int), ("outcome", Col::Text), ("detail", Col::Text)],
    conflict: "ON CONFLICT (link, position) DO NOTHING",
};

/// Writes what became of arrivals.
pub fn journal(tx: &mut Tx<'_>, lines: &[JournalLine]) -> Result<()> {
    let mut cells = Vec::with_capacity(lines.len() * JOURNAL.columns.len());
    for line in lines {
        cells.extend_from_slice(&[
            Param::Int(line.link),
            Param::Int(line.position),
            Param::Text(&line.outcome),
            line.detail.as_deref().into(),
        ]);
    }
    tx.insert_later(&JOURNAL, &cells)
}

/// A link's history, oldest first, the last `count` lines.
pub fn history(tx: &mut Tx<'_>, link: i64, count: i64) -> Result<Vec<JournalLine>> {
    let mut lines = tx.query(
        "SELECT link, position, outcome, detail FROM journal WHERE link = ?1 ORDER BY position DESC LIMIT ?2",
        &[Param::Int(link), Param::Int(count)],
        |row| {
            Ok(JournalLine {
                link: row.int(0)?,
                position: row.int(1)?,
                outcome: row.text(2)?,
                detail: row.opt_text(3)?,
            })
        },
    )?;
    lines.reverse();
    Ok(lines)
}
