//! Golden records, pins and the change log.

use std::collections::BTreeMap;

use huiliu_mappings::merge::Pin;
use huiliu_mappings::value::{EntityName, FieldName, Fields};
use serde_json::Value;

use super::db::{Col, Insert, Keys, Param, Result, Row, StoreError, Tx};
use super::links::KEEP;

/// A golden record as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// Its id.
    pub id: i64,
    /// What it is.
    pub entity: EntityName,
    /// The surviving values.
    pub fields: Fields,
    /// The record that absorbed it, if one did.
    pub merged_into: Option<i64>,
    /// Position of its last change.
    pub change: i64,
}

/// These golden records.
pub fn by_ids(tx: &mut Tx<'_>, ids: impl IntoIterator<Item = i64>) -> Result<Vec<Golden>> {
    let sql = "SELECT g.id, g.entity, g.fields, g.merged_into, g.change FROM {keys:i} AS k CROSS JOIN golden AS g
               WHERE g.id = k.k0 ORDER BY g.id";
    tx.query_keys(sql, &Keys::ints(ids), &[], read)
}

/// The golden record, or the living one that absorbed it.
pub fn alive(tx: &mut Tx<'_>, mut id: i64) -> Result<i64> {
    // A record is absorbed by one with a lower number only, so this ends.
    while let Some(survivor) = by_ids(tx, [id])?.first().and_then(|it| it.merged_into) {
        id = survivor;
    }
    Ok(id)
}

/// Living golden records of an entity after an id, in order.
pub fn after(tx: &mut Tx<'_>, entity: &str, id: i64, count: i64) -> Result<Vec<Golden>> {
    tx.query(
        "SELECT id, entity, fields, merged_into, change FROM golden
         WHERE id > ?1 AND entity = ?2 AND merged_into IS NULL ORDER BY id LIMIT ?3",
        &[Param::Int(id), Param::Text(entity), Param::Int(count)],
        read,
    )
}

/// Living golden records of these entities after an id, in order: their ids.
pub fn ids_after(tx: &mut Tx<'_>, entities: &[&str], id: i64, count: i64) -> Result<Vec<i64>> {
    tx.query_keys(
        "SELECT g.id FROM golden AS g WHERE g.id > ?2 AND g.merged_into IS NULL
         AND EXISTS (SELECT 1 FROM {keys:t} AS k WHERE k.k0 = g.entity) ORDER BY g.id LIMIT ?3",
        &Keys::texts(entities.iter().map(|entity| [*entity])),
        &[Param::Int(id), Param::Int(count)],
        |row| row.int(0),
    )
}

/// For each of these golden records the living one that it belongs to.
pub fn all_alive(tx: &mut Tx<'_>, ids: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, i64>> {
    let mut now: BTreeMap<i64, i64> = ids.into_iter().map(|id| (id, id)).collect();
    // As in `alive`: one query for each merge on the longest way, which is short.
    loop {
        let known = by_ids(tx, now.values().copied().collect::<std::collections::BTreeSet<_>>())?;
        let merged: BTreeMap<i64, i64> = known.into_iter().filter_map(|it| Some((it.id, it.merged_into?))).collect();
        if merged.is_empty() {
            return Ok(now);
        }
        for id in now.values_mut() {
            *id = merged.get(id).copied().unwrap_or(*id);
        }
    }
}

fn read(row: &Row<'_>) -> Result<Golden> {
    let id = row.int(0)?;
    let fields = serde_json::from_str(&row.text(2)?).map_err(|e| StoreError::Corrupt(format!("golden {id}: {e}")))?;
    Ok(Golden { id, entity: row.text(1)?.into(), fields, merged_into: row.opt_int(3)?, change: row.int(4)? })
}

const GOLDEN: Insert = Insert {
    table: "golden",
    columns: &[
        ("id", Col::Int),
        ("entity", Col::Text),
        ("fields", Col::Text),
        ("merged_into", Col::Int),
        ("change", Col::Int),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET fields = excluded.fields, merged_into = excluded.merged_into,
               change = excluded.change",
};

/// Writes golden records, new and changed.
pub fn put<'a>(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = &'a Golden>) -> Result<()> {
    put_as(tx, &GOLDEN, goldens)
}

/// Writes golden records into the store of a rehearsal, those that it has stay as they are there.
pub fn lend<'a>(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = &'a Golden>) -> Result<()> {
    put_as(tx, &Insert { conflict: KEEP, ..GOLDEN }, goldens)
}

fn put_as<'a>(tx: &mut Tx<'_>, insert: &Insert, goldens: impl IntoIterator<Item = &'a Golden>) -> Result<()> {
    let rows: Vec<(&Golden, String)> =
        goldens.into_iter().map(|golden| (golden, serde_json::to_string(&golden.fields).unwrap_or_default())).collect();
    let mut cells = Vec::with_capacity(rows.len() * GOLDEN.columns.len());
    for (golden, fields) in &rows {
        cells.extend_from_slice(&[
            Param::Int(golden.id),
            Param::Text(golden.entity.as_str()),
            Param::Text(fields),
            golden.merged_into.into(),
            Param::Int(golden.change),
        ]);
    }
    tx.insert_later(insert, &cells)
}

/// The pins of these golden records.
pub fn pins(tx: &mut Tx<'_>, ids: impl IntoIterator<Item = i64>) -> Result<BTreeMap<i64, BTreeMap<FieldName, Pin>>> {
    let sql = "SELECT p.golden, p.field, p.value, p.made_by, p.made_us FROM {keys:i} AS k CROSS JOIN pin AS p
               WHERE p.golden = k.k0";
    let rows = tx.query_keys(sql, &Keys::ints(ids), &[], |row| {
        let value: Value = serde_json::from_str(&row.text(2)?)?;
        Ok((row.int(0)?, FieldName::from(row.text(1)?), Pin { value, by: row.text(3)?, at_us: row.int(4)? }))
    })?;
    let mut pins: BTreeMap<i64, BTreeMap<FieldName, Pin>> = BTreeMap::new();
    for (golden, field, pin) in rows {
        pins.entry(golden).or_default().insert(field, pin);
    }
    Ok(pins)
}

/// Fixes a value.
pub fn put_pin(tx: &mut Tx<'_>, golden: i64, field: &FieldName, pin: &Pin) -> Result<()> {
    tx.execute(
        "INSERT INTO pin (golden, field, value, made_by, made_us) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (golden, field) DO UPDATE SET value = excluded.value, made_by = excluded.made_by,
         made_us = excluded.made_us",
        &[
            Param::Int(golden),
            Param::Text(field.as_str()),
            Param::Text(&pin.value.to_string()),
            Param::Text(&pin.by),
            Param::Int(pin.at_us),
        ],
    )
    .map(drop)
}

/// Takes a pin away; says whether there was one.
pub fn drop_pin(tx: &mut Tx<'_>, golden: i64, field: &FieldName) -> Result<bool> {
    let sql = "DELETE FROM pin WHERE golden = ?1 AND field = ?2";
    Ok(tx.execute(sql, &[Param::Int(golden), Param::Text(field.as_str())])? == 1)
}

/// A golden record's before and after, with cause.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Change {
    /// Its place in the change log.
    pub position: i64,
    /// The golden record.
    pub golden: i64,
    /// What it is.
    pub entity: EntityName,
    /// `create`, `update`, `merge`, `split`, `empty`.
    pub kind: String,
    /// Before and after by field; null for a value that is not there.
    pub diff: BTreeMap<FieldName, (Value, Value)>,
    /// `inbox:POSITION` or `steward:NAME`.
    pub cause: String,
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
}

const CHANGE: Insert = Insert {
    table: "change_log",
    columns: &[
        ("position", Col::Int),
        ("golden", Col::Int),
        ("entity", Col::Text),
        ("kind", Col::Text),
        ("diff", Col::Text),
        ("cause", Col::Text),
        ("at_us", Col::Int),
    ],
    conflict: "",
};

/// Appends to the change log.
pub fn log(tx: &mut Tx<'_>, changes: &[Change]) -> Result<()> {
    let diffs: Vec<String> =
        changes.iter().map(|change| serde_json::to_string(&change.diff).unwrap_or_default()).collect();
    let mut cells = Vec::with_capacity(changes.len() * CHANGE.columns.len());
    for (change, diff) in changes.iter().zip(&diffs) {
        cells.extend_from_slice(&[
            Param::Int(change.position),
            Param::Int(change.golden),
            Param::Text(change.entity.as_str()),
            Param::Text(&change.kind),
            Param::Text(diff),
            Param::Text(&change.cause),
            Param::Int(change.at_us),
        ]);
    }
    tx.insert_later(&CHANGE, &cells)
}

/// Changes after a position, in order: golden record and position.
pub fn changed_after(tx: &mut Tx<'_>, position: i64, count: i64) -> Result<Vec<(i64, i64)>> {
    tx.query(
        "SELECT position, golden FROM change_log WHERE position > ?1 ORDER BY position LIMIT ?2",
        &[Param::Int(position), Param::Int(count)],
        |row| Ok((row.int(0)?, row.int(1)?)),
    )
}

/// Changes of these golden records after a position, in order.
pub fn later_changes(tx: &mut Tx<'_>, goldens: impl IntoIterator<Item = i64>, position: i64) -> Result<Vec<Change>> {
    let sql = "SELECT c.position, c.golden, c.entity, c.kind, c.diff, c.cause, c.at_us FROM {keys:i} AS k
               CROSS JOIN change_log AS c WHERE c.golden = k.k0 AND c.position > ?2 ORDER BY c.position";
    tx.query_keys(sql, &Keys::ints(goldens), &[Param::Int(position)], change)
}

/// The position before the first change at or after an instant, microseconds since 1970 UTC.
pub fn position_before(tx: &mut Tx<'_>, at_us: i64) -> Result<i64> {
    let sql = "SELECT MIN(position) FROM change_log WHERE at_us >= ?1";
    match tx.query_opt(sql, &[Param::Int(at_us)], |row| row.opt_int(0))?.flatten() {
        Some(first) => Ok(first - 1),
        None => tx.max("position", "change_log"),
    }
}

/// The history of a golden record, oldest first.
pub fn changes_of(tx: &mut Tx<'_>, golden: i64, count: i64) -> Result<Vec<Change>> {
    tx.query(
        "SELECT position, golden, entity, kind, diff, cause, at_us FROM change_log WHERE golden = ?1
         ORDER BY position LIMIT ?2",
        &[Param::Int(golden), Param::Int(count)],
        change,
    )
}

/// Changes of one cause behind a position and up to one, in order, at most `count`.
pub fn caused(tx: &mut Tx<'_>, cause: &str, after: i64, to: i64, count: i64) -> Result<Vec<Change>> {
    tx.query(
        "SELECT position, golden, entity, kind, diff, cause, at_us FROM change_log
         WHERE position > ?2 AND position <= ?3 AND cause = ?1 ORDER BY position LIMIT ?4",
        &[Param::Text(cause), Param::Int(after), Param::Int(to), Param::Int(count)],
        change,
    )
}

pub(super) fn change(row: &Row<'_>) -> Result<Change> {
    Ok(Change {
        position: row.int(0)?,
        golden: row.int(1)?,
        entity: row.text(2)?.into(),
        kind: row.text(3)?,
        diff: serde_json::from_str(&row.text(4)?)?,
        cause: row.text(5)?,
        at_us: row.int(6)?,
    })
}
