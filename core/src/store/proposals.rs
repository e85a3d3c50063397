//! Planned changes of the rules, what stood where they wrote, and which files are in force.

use std::collections::BTreeMap;

use huiliu_mappings::value::FieldName;
use serde_json::Value;

use super::db::{Col, Insert, Param, Result, Row, Tx};

/// A planned change of the rules as stored; `basis` and `told` are JSON of [`crate::proposal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its number: the changes that it makes have the cause `apply:NUMBER`, or `undo:NUMBER`.
    pub number: i64,
    /// Digest of the deployment's files.
    pub files: String,
    /// Digest of what they say together with what ships.
    pub rules: String,
    /// Digest of the files that were in force before, if anybody noted them.
    pub former: Option<String>,
    /// Where the data stood.
    pub basis: String,
    /// What it would do.
    pub told: String,
    /// `planned`, `applying`, `applied`, `undoing` or `undone`.
    pub state: String,
    /// The replay that applies it.
    pub replay: Option<i64>,
    /// The last position of the change log when it was applied.
    pub last_change: Option<i64>,
    /// The replay that undoes it.
    pub undo: Option<i64>,
    /// Who planned it, and when (microseconds since 1970 UTC).
    pub made: (String, i64),
    /// Who applied it, and when it began.
    pub applied: Option<(String, i64)>,
    /// Who undid it, and when it began.
    pub undone: Option<(String, i64)>,
}

const PROPOSAL: Insert = Insert {
    table: "proposal",
    columns: &[
        ("id", Col::Int),
        ("files", Col::Text),
        ("rules", Col::Text),
        ("former", Col::Text),
        ("basis", Col::Text),
        ("told", Col::Text),
        ("state", Col::Text),
        ("replay", Col::Int),
        ("last_change", Col::Int),
        ("undo", Col::Int),
        ("made_by", Col::Text),
        ("made_us", Col::Int),
        ("applied_by", Col::Text),
        ("applied_us", Col::Int),
        ("undone_by", Col::Text),
        ("undone_us", Col::Int),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET state = excluded.state, replay = excluded.replay,
               last_change = excluded.last_change, undo = excluded.undo, applied_by = excluded.applied_by,
               applied_us = excluded.applied_us, undone_by = excluded.undone_by, undone_us = excluded.undone_us",
};

/// Writes a proposal, or how far it is.
pub fn put(tx: &mut Tx<'_>, one: &Proposal) -> Result<()> {
    fn by(who: Option<&(String, i64)>) -> (Param<'_>, Param<'_>) {
        who.map_or((Param::Null, Param::Null), |(name, at_us)| (Param::Text(name), Param::Int(*at_us)))
    }
    let (applied_by, applied_us) = by(one.applied.as_ref());
    let (undone_by, undone_us) = by(one.undone.as_ref());
    let cells = [
        Param::Int(one.number),
        Param::Text(&one.files),
        Param::Text(&one.rules),
        one.former.as_deref().into(),
        Param::Text(&one.basis),
        Param::Text(&one.told),
        Param::Text(&one.state),
        one.replay.into(),
        one.last_change.into(),
        one.undo.into(),
        Param::Text(&one.made.0),
        Param::Int(one.made.1),
        applied_by,
        applied_us,
        undone_by,
        undone_us,
    ];
    tx.insert_later(&PROPOSAL, &cells)
}

const SELECT: &str = "SELECT id, files, rules, former, basis, told, state, replay, last_change, undo, made_by, made_us,
    applied_by, applied_us, undone_by, undone_us FROM proposal";

fn read(row: &Row<'_>) -> Result<Proposal> {
    Ok(Proposal {
        number: row.int(0)?,
        files: row.text(1)?,
        rules: row.text(2)?,
        former: row.opt_text(3)?,
        basis: row.text(4)?,
        told: row.text(5)?,
        state: row.text(6)?,
        replay: row.opt_int(7)?,
        last_change: row.opt_int(8)?,
        undo: row.opt_int(9)?,
        made: (row.text(10)?, row.int(11)?),
        applied: row.opt_text(12)?.zip(row.opt_int(13)?),
        undone: row.opt_text(14)?.zip(row.opt_int(15)?),
    })
}

/// One proposal.
pub fn by_number(tx: &mut Tx<'_>, number: i64) -> Result<Option<Proposal>> {
    tx.query_opt(&format!("{SELECT} WHERE id = ?1"), &[Param::Int(number)], read)
}

/// The last proposals, newest first.
pub fn latest(tx: &mut Tx<'_>, count: i64) -> Result<Vec<Proposal>> {
    tx.query(&format!("{SELECT} ORDER BY id DESC LIMIT ?1"), &[Param::Int(count)], read)
}

/// The youngest proposal that was applied after this replay began, and was not undone.
pub fn applied_after(tx: &mut Tx<'_>, replay: i64) -> Result<Option<i64>> {
    let sql = "SELECT id FROM proposal WHERE replay > ?1 AND state IN ('applying', 'applied', 'undoing')
               ORDER BY replay DESC LIMIT 1";
    tx.query_opt(sql, &[Param::Int(replay)], |row| row.int(0))
}

/// A proposal that is being applied or undone, if there is one.
pub fn under_way(tx: &mut Tx<'_>) -> Result<Option<(i64, String)>> {
    let sql = "SELECT id, state FROM proposal WHERE state IN ('applying', 'undoing') ORDER BY id LIMIT 1";
    tx.query_opt(sql, &[], |row| Ok((row.int(0)?, row.text(1)?)))
}

/// One write of an apply, with what stood there before.
#[derive(Clone, Debug, PartialEq)]
pub struct Overwritten {
    /// The proposal.
    pub proposal: i64,
    /// The golden record that it comes from.
    pub golden: i64,
    /// The connection.
    pub connection: String,
    /// The lens that wrote it.
    pub lens: String,
    /// The record; empty if the write makes one.
    pub id: String,
    /// The stream.
    pub stream: String,
    /// The canonical fields.
    pub fields: Vec<FieldName>,
    /// Pointer into the system's record: before, after.
    pub places: BTreeMap<String, (Value, Value)>,
    /// What an undo found: `kept` (none looked), `same` (it shows what it showed before), `asked` (a delivery restores
    /// it), `gone`, `made` (the apply made it), `under_way` (a write has no answer yet).
    pub fate: String,
    /// Places that somebody else edited since: they stay as they are.
    pub edited: Vec<String>,
    /// The delivery that restores the others.
    pub delivery: Option<i64>,
}

const OVERWRITTEN: Insert = Insert {
    table: "overwritten",
    columns: &[
        ("proposal", Col::Int),
        ("golden", Col::Int),
        ("connection", Col::Text),
        ("lens", Col::Text),
        ("external_id", Col::Text),
        ("stream", Col::Text),
        ("fields", Col::Text),
        ("places", Col::Text),
        ("fate", Col::Text),
        ("edited", Col::Text),
        ("delivery", Col::Int),
    ],
    conflict: "ON CONFLICT (proposal, golden, connection, lens, external_id) DO UPDATE SET fate = excluded.fate,
               edited = excluded.edited, delivery = excluded.delivery",
};

/// Writes what stood where an apply wrote, or what an undo found there.
pub fn put_overwritten(tx: &mut Tx<'_>, rows: &[Overwritten]) -> Result<()> {
    let texts: Vec<(String, String, Option<String>)> = rows
        .iter()
        .map(|row| {
            let edited = (!row.edited.is_empty()).then(|| serde_json::to_string(&row.edited)).transpose()?;
            Ok((serde_json::to_string(&row.fields)?, serde_json::to_string(&row.places)?, edited))
        })
        .collect::<Result<_>>()?;
    let mut cells = Vec::with_capacity(rows.len() * OVERWRITTEN.columns.len());
    for (row, (fields, places, edited)) in rows.iter().zip(&texts) {
        cells.extend_from_slice(&[
            Param::Int(row.proposal),
            Param::Int(row.golden),
            Param::Text(&row.connection),
            Param::Text(&row.lens),
            Param::Text(&row.id),
            Param::Text(&row.stream),
            Param::Text(fields),
            Param::Text(places),
            Param::Text(&row.fate),
            edited.as_deref().into(),
            row.delivery.into(),
        ]);
    }
    tx.insert_later(&OVERWRITTEN, &cells)
}

const ROW: &str = "SELECT proposal, golden, connection, lens, external_id, stream, fields, places, fate, edited,
    delivery FROM overwritten";

fn row(row: &Row<'_>) -> Result<Overwritten> {
    Ok(Overwritten {
        proposal: row.int(0)?,
        golden: row.int(1)?,
        connection: row.text(2)?,
        lens: row.text(3)?,
        id: row.text(4)?,
        stream: row.text(5)?,
        fields: serde_json::from_str(&row.text(6)?)?,
        places: serde_json::from_str(&row.text(7)?)?,
        fate: row.text(8)?,
        edited: row.opt_text(9)?.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text))?,
        delivery: row.opt_int(10)?,
    })
}

/// What an apply wrote over, behind one row, at most `count` rows.
pub fn overwritten_after(
    tx: &mut Tx<'_>,
    proposal: i64,
    after: Option<&Overwritten>,
    count: i64,
) -> Result<Vec<Overwritten>> {
    let (golden, [connection, lens, id]) =
        after.map_or((i64::MIN, [""; 3]), |it| (it.golden, [it.connection.as_str(), &it.lens, &it.id]));
    let sql = format!(
        "{ROW} WHERE proposal = ?1 AND (golden, connection, lens, external_id) > (?2, ?3, ?4, ?5)
         ORDER BY golden, connection, lens, external_id LIMIT ?6"
    );
    let [connection, lens, id] = [connection, lens, id].map(Param::Text);
    tx.query(&sql, &[Param::Int(proposal), Param::Int(golden), connection, lens, id, Param::Int(count)], row)
}

/// What somebody else edited since, and what cannot be restored, `count` rows at most.
pub fn left(tx: &mut Tx<'_>, proposal: i64, count: i64) -> Result<Vec<Overwritten>> {
    let sql = format!(
        "{ROW} WHERE proposal = ?1 AND (edited IS NOT NULL OR fate IN ('made', 'gone'))
         ORDER BY golden, connection, lens, external_id LIMIT ?2"
    );
    tx.query(&sql, &[Param::Int(proposal), Param::Int(count)], row)
}

/// In how many records somebody else edited since what an apply wrote.
pub fn count_edited(tx: &mut Tx<'_>, proposal: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM overwritten WHERE proposal = ?1 AND edited IS NOT NULL";
    Ok(tx.query_opt(sql, &[Param::Int(proposal)], |row| row.int(0))?.unwrap_or(0))
}

/// How many writes have which fate, and in which state the deliveries are that restore them.
pub fn fates(tx: &mut Tx<'_>, proposal: i64) -> Result<Vec<(String, Option<String>, i64)>> {
    let sql = "SELECT o.fate, d.state, COUNT(*) FROM overwritten AS o LEFT JOIN delivery AS d ON d.id = o.delivery
               WHERE o.proposal = ?1 GROUP BY o.fate, d.state ORDER BY o.fate, d.state";
    tx.query(sql, &[Param::Int(proposal)], |row| Ok((row.text(0)?, row.opt_text(1)?, row.int(2)?)))
}

/// Files that are or were in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Their turn.
    pub number: i64,
    /// Their digest.
    pub files: String,
    /// How often which stream is pulled: JSON of [`crate::proposal`].
    pub schedule: String,
    /// Since when, microseconds since 1970 UTC.
    pub since_us: i64,
}

const IN_FORCE: &str = "SELECT id, files, schedule, since_us FROM in_force";

fn in_force_row(row: &Row<'_>) -> Result<InForce> {
    Ok(InForce { number: row.int(0)?, files: row.text(1)?, schedule: row.text(2)?, since_us: row.int(3)? })
}

/// The files in force, if anybody noted them.
pub fn in_force(tx: &mut Tx<'_>) -> Result<Option<InForce>> {
    tx.query_opt(&format!("{IN_FORCE} ORDER BY id DESC LIMIT 1"), &[], in_force_row)
}

/// The last files in force that were others than these.
pub fn in_force_before(tx: &mut Tx<'_>, files: &str) -> Result<Option<InForce>> {
    tx.query_opt(&format!("{IN_FORCE} WHERE files <> ?1 ORDER BY id DESC LIMIT 1"), &[Param::Text(files)], in_force_row)
}

/// Nodes that start side by side note the same files, and plans that are made side by side are numbered, in turn.
const PROPOSAL_LOCK: i64 = 0x696e_666f_7263;

/// The number of the next plan: nobody else has it before this transaction ends.
pub fn next(tx: &mut Tx<'_>) -> Result<i64> {
    tx.lock(PROPOSAL_LOCK)?;
    Ok(tx.max("id", "proposal")? + 1)
}

/// Notes that these files are in force from now on. Returns their number, the old one if they are already.
pub fn come_into_force(tx: &mut Tx<'_>, files: &str, schedule: &str, now_us: i64) -> Result<i64> {
    tx.lock(PROPOSAL_LOCK)?;
    let last = in_force(tx)?;
    if let Some(last) = last.as_ref().filter(|last| last.files == files) {
        return Ok(last.number);
    }
    let number = last.map_or(0, |last| last.number) + 1;
    tx.execute_later(
        "INSERT INTO in_force (id, files, schedule, since_us) VALUES (?1, ?2, ?3, ?4)",
        &[Param::Int(number), Param::Text(files), Param::Text(schedule), Param::Int(now_us)],
    )?;
    Ok(number)
}
