//! What replay reads and how far it is: receipts of writes, the places of links, and the replays themselves.

use std::collections::BTreeSet;

use huiliu_mappings::value::Fields;
use serde_json::Value;

use super::db::{Col, Insert, Keys, Param, Result, Row, Tx};
use super::links::JournalLine;

/// What a target stored after one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The link of the record that was written.
    pub link: i64,
    /// The delivery.
    pub delivery: i64,
    /// The position of the stage process when the answer was taken in: what it read later came later.
    pub processed: i64,
    /// The vendor's JSON of the whole record, if the reply showed it.
    pub stored: Option<String>,
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
}

const RECEIPT: Insert = Insert {
    table: "receipt",
    columns: &[
        ("link", Col::Int),
        ("delivery", Col::Int),
        ("processed", Col::Int),
        ("stored", Col::Text),
        ("at_us", Col::Int),
    ],
    // A write that was seen before its answer came has the place where it was seen: what was read since is no news.
    conflict: "ON CONFLICT (link, delivery) DO UPDATE SET processed = CASE WHEN receipt.processed < excluded.processed
               THEN receipt.processed ELSE excluded.processed END, stored = COALESCE(excluded.stored, receipt.stored)",
};

/// Keeps receipts: only in the transaction that takes them in.
pub fn keep(tx: &mut Tx<'_>, receipts: &[Receipt]) -> Result<()> {
    let mut cells = Vec::with_capacity(receipts.len() * RECEIPT.columns.len());
    for receipt in receipts {
        cells.extend_from_slice(&[
            Param::Int(receipt.link),
            Param::Int(receipt.delivery),
            Param::Int(receipt.processed),
            receipt.stored.as_deref().into(),
            Param::Int(receipt.at_us),
        ]);
    }
    tx.insert_later(&RECEIPT, &cells)
}

/// A write as it is folded: what was sent, what was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrote {
    /// The link.
    pub link: i64,
    /// The delivery.
    pub delivery: i64,
    /// See [`Receipt::processed`].
    pub processed: i64,
    /// The patch in canonical words of the day it was planned.
    pub fields: Fields,
    /// The patch in vendor words.
    pub body: Value,
    /// The vendor's JSON of the whole record, if the reply showed it.
    pub stored: Option<Value>,
    /// When it was planned, microseconds since 1970 UTC.
    pub planned_us: i64,
}

/// The writes to these links, in the order in which their answers came.
pub fn wrote(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<Vec<Wrote>> {
    let sql = "SELECT r.link, r.processed, d.fields, d.body, r.stored, r.delivery, d.planned_us
               FROM {keys:i} AS k CROSS JOIN receipt AS r JOIN delivery AS d ON d.id = r.delivery
               WHERE r.link = k.k0 ORDER BY r.link, r.at_us, r.delivery";
    tx.query_keys(sql, &Keys::ints(links), &[], |row| {
        Ok(Wrote {
            link: row.int(0)?,
            delivery: row.int(5)?,
            processed: row.int(1)?,
            fields: serde_json::from_str(&row.text(2)?)?,
            body: serde_json::from_str(&row.text(3)?)?,
            stored: row.opt_text(4)?.map(|text| serde_json::from_str(&text)).transpose()?,
            planned_us: row.int(6)?,
        })
    })
}

/// Those of these links (number, golden record) that were written when receipts were not kept yet.
pub fn unreceipted(tx: &mut Tx<'_>, links: &[[i64; 2]]) -> Result<BTreeSet<i64>> {
    if links.is_empty() {
        return Ok(BTreeSet::new());
    }
    // What was written before a golden record was absorbed was written under its own number.
    let homes = "SELECT h.link, h.home FROM {keys:i} AS k CROSS JOIN home AS h WHERE h.link = k.k0";
    let mut pairs = links.to_vec();
    pairs.extend(
        tx.query_keys(homes, &Keys::ints(links.iter().map(|it| it[0])), &[], |row| Ok([row.int(0)?, row.int(1)?]))?,
    );
    let sql = "SELECT DISTINCT l.id FROM {keys:ii} AS k CROSS JOIN link AS l CROSS JOIN delivery AS d
               WHERE l.id = k.k0 AND d.golden = k.k1 AND d.state = 'done' AND d.connection = l.connection
               AND d.lens = l.lens AND (d.external_id = l.external_id OR d.external_id IS NULL)
               AND NOT EXISTS (SELECT 1 FROM receipt AS r WHERE r.link = l.id AND r.delivery = d.id)";
    Ok(tx.query_keys(sql, &Keys::pairs(pairs), &[], |row| row.int(0))?.into_iter().collect())
}

/// The whole history of these links, oldest first.
pub fn lines(tx: &mut Tx<'_>, links: impl IntoIterator<Item = i64>) -> Result<Vec<JournalLine>> {
    let sql = "SELECT j.link, j.position, j.outcome, j.detail FROM {keys:i} AS k CROSS JOIN journal AS j
               WHERE j.link = k.k0 ORDER BY j.link, j.position";
    tx.query_keys(sql, &Keys::ints(links), &[], |row| {
        Ok(JournalLine { link: row.int(0)?, position: row.int(1)?, outcome: row.text(2)?, detail: row.opt_text(3)? })
    })
}

/// Puts the issues of today's reading into histories.
pub fn set_details(tx: &mut Tx<'_>, lines: &[JournalLine]) -> Result<()> {
    for line in lines {
        tx.execute_later(
            "UPDATE journal SET detail = ?3 WHERE link = ?1 AND position = ?2",
            &[Param::Int(line.link), Param::Int(line.position), line.detail.as_deref().into()],
        )?;
    }
    Ok(())
}

const OF_LENSES: &str = "EXISTS (SELECT 1 FROM {keys:tt} AS k WHERE k.k0 = l.connection AND k.k1 = l.lens)";

/// Golden records after one that have a record of these connections and lenses, in order, at most `count`.
pub fn goldens_after(tx: &mut Tx<'_>, lenses: &[(String, String)], after: i64, count: i64) -> Result<Vec<i64>> {
    let sql = format!(
        "SELECT DISTINCT l.golden FROM link AS l WHERE l.golden > ?2 AND {OF_LENSES} ORDER BY l.golden LIMIT ?3"
    );
    tx.query_keys(&sql, &pairs(lenses), &[Param::Int(after), Param::Int(count)], |row| row.int(0))
}

/// Links after one that belong to no golden record, of these connections and lenses, in order, at most `count`.
pub fn loose_after(tx: &mut Tx<'_>, lenses: &[(String, String)], after: i64, count: i64) -> Result<Vec<i64>> {
    let sql =
        format!("SELECT l.id FROM link AS l WHERE l.golden = 0 AND l.id > ?2 AND {OF_LENSES} ORDER BY l.id LIMIT ?3");
    tx.query_keys(&sql, &pairs(lenses), &[Param::Int(after), Param::Int(count)], |row| row.int(0))
}

fn pairs(lenses: &[(String, String)]) -> Keys {
    Keys::texts(lenses.iter().map(|(connection, lens)| [connection.as_str(), lens.as_str()]))
}

/// A stretch of the inbox, and the last link that counts as known.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Positions after this one.
    pub after: i64,
    /// Up to this one.
    pub to: i64,
    /// Links after this one are younger than the replay.
    pub link: i64,
}

/// Kept records and deletions in the streams of these lenses (connection, stream, lens) that made no link when they
/// came: position and lens, in order. Dead letters are not among them.
pub fn unread(tx: &mut Tx<'_>, lenses: &[(String, String, String)], stretch: Stretch) -> Result<Vec<(i64, String)>> {
    let keys = Keys::texts(lenses.iter().map(|it| [it.0.as_str(), it.1.as_str(), it.2.as_str()]));
    tx.query_keys(
        "SELECT i.position, k.k2 FROM inbox AS i JOIN {keys:ttt} AS k ON k.k0 = i.connection AND k.k1 = i.stream
         WHERE i.position > ?2 AND i.position <= ?3 AND (i.kind = 'record' OR (i.kind = 'deleted' AND EXISTS
           (SELECT 1 FROM link AS y WHERE y.connection = i.connection AND y.lens = k.k2 AND y.external_id = i.external_id)))
         AND NOT EXISTS (SELECT 1 FROM link AS l WHERE l.connection = i.connection AND l.lens = k.k2
           AND l.external_id = i.external_id AND l.id <= ?4)
         AND NOT EXISTS (SELECT 1 FROM dead_letter AS d WHERE d.item = i.position AND d.stage = 'process')
         ORDER BY i.position, k.k2",
        &keys,
        &[Param::Int(stretch.after), Param::Int(stretch.to), Param::Int(stretch.link)],
        |row| Ok((row.int(0)?, row.text(1)?)),
    )
}

/// A replay as stored; the texts are JSON of [`crate::replay`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Run {
    /// Its number: its changes have the cause `replay:NUMBER`.
    pub number: i64,
    /// What is read anew.
    pub scope: String,
    /// Digest of the rules.
    pub rules: String,
    /// How far it is.
    pub place: String,
    /// Counts so far.
    pub report: String,
    /// Who began it.
    pub made_by: String,
    /// When, microseconds since 1970 UTC.
    pub started_us: i64,
    /// When it ended.
    pub done_us: Option<i64>,
}

const RUN: Insert = Insert {
    table: "replay",
    columns: &[
        ("id", Col::Int),
        ("scope", Col::Text),
        ("rules", Col::Text),
        ("place", Col::Text),
        ("report", Col::Text),
        ("made_by", Col::Text),
        ("started_us", Col::Int),
        ("done_us", Col::Int),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET place = excluded.place, report = excluded.report,
               done_us = excluded.done_us",
};

/// Writes how far a replay is: only in the transaction that holds its step.
pub fn put(tx: &mut Tx<'_>, run: &Run) -> Result<()> {
    let cells = [
        Param::Int(run.number),
        Param::Text(&run.scope),
        Param::Text(&run.rules),
        Param::Text(&run.place),
        Param::Text(&run.report),
        Param::Text(&run.made_by),
        Param::Int(run.started_us),
        run.done_us.into(),
    ];
    tx.insert_later(&RUN, &cells)
}

const SELECT: &str = "SELECT id, scope, rules, place, report, made_by, started_us, done_us FROM replay";

/// The youngest unfinished replay of this scope under these rules.
pub fn unfinished(tx: &mut Tx<'_>, scope: &str, rules: &str) -> Result<Option<Run>> {
    let sql = format!("{SELECT} WHERE scope = ?1 AND rules = ?2 AND done_us IS NULL ORDER BY id DESC LIMIT 1");
    tx.query_opt(&sql, &[Param::Text(scope), Param::Text(rules)], run)
}

/// One replay.
pub fn by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<Run>> {
    tx.query_opt(&format!("{SELECT} WHERE id = ?1"), &[Param::Int(number)], run)
}

/// The last replays, newest first.
pub fn latest(tx: &mut Tx<'_>, count: i64) -> Result<Vec<Run>> {
    tx.query(&format!("{SELECT} ORDER BY id DESC LIMIT ?1"), &[Param::Int(count)], run)
}

fn run(row: &Row<'_>) -> Result<Run> {
    Ok(Run {
        number: row.int(0)?,
        scope: row.text(1)?,
        rules: row.text(2)?,
        place: row.text(3)?,
        report: row.text(4)?,
        made_by: row.text(5)?,
        started_us: row.int(6)?,
        done_us: row.opt_int(7)?,
    })
}

/// How many golden records there are up to one, for those who watch: `(up to it, in all)`.
pub fn count_goldens(tx: &mut Tx<'_>, upto: i64) -> Result<(i64, i64)> {
    let all = tx.max("id", "golden")?;
    Ok((upto.min(all), all))
}
