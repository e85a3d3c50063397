//! Index: the names of changed customers, so that people find them by the beginning of a name.
//!
//! It follows the change log like plan does, behind everything that matters more: what it enters commits together with
//! its position, and a crash leaves names that are a batch behind, never wrong ones.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::called;
use huiliu_mappings::value::Fields;

use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::store::db::Result;
use crate::store::goldens::Change;
use crate::store::{console, goldens, inbox};

/// Changes in a batch: some tens of milliseconds of the writer.
pub const BATCH_CHANGES: i64 = 1000;

/// The name of this stage's position.
pub const POSITION: &str = "index";

/// What is searched by name.
const ENTITY: &str = "customer";

/// Enters the names of the next changes; returns how many changes were read.
pub fn batch(engine: &Engine) -> Result<usize> {
    let (position, changes, now) = engine.store.read(|tx| {
        let position = inbox::progress(tx, POSITION)?;
        let mut changes = console::changes_after(tx, position, BATCH_CHANGES)?;
        let last = changes.last().map_or(position, |change| change.position);
        let count = changes.len();
        changes.retain(|change| change.entity.as_str() == ENTITY && touches_names(change));
        let ids: BTreeSet<i64> = changes.iter().map(|change| change.golden).collect();
        Ok(((position, last, count), changes, goldens::by_ids(tx, ids)?))
    })?;
    let (position, last, count) = position;
    if count == 0 {
        return Ok(0);
    }
    let mut had: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for change in &changes {
        let before: Fields = change.diff.iter().map(|(field, (before, _))| (field.clone(), before.clone())).collect();
        had.entry(change.golden).or_default().extend(called::beginnings(&before));
    }
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    for golden in &now {
        let names = called::beginnings(&golden.fields);
        let old = had.remove(&golden.id).unwrap_or_default();
        if golden.merged_into.is_some() {
            gone.extend(old.into_iter().chain(names).map(|name| (name, golden.id)));
        } else {
            gone.extend(old.into_iter().filter(|name| !names.contains(name)).map(|name| (name, golden.id)));
            new.extend(names.into_iter().map(|name| (name, golden.id)));
        }
    }
    let count = engine.store.write(|tx| {
        tx.lock(INDEX_LOCK)?;
        // Another node was here meanwhile: it has entered the same.
        if inbox::progress(tx, POSITION)? != position {
            return Ok(count);
        }
        console::remove_names(tx, &borrowed(&gone))?;
        console::enter_names(tx, borrowed(&new))?;
        inbox::set_progress(tx, POSITION, last)?;
        point(Point::IndexWritten);
        Ok(count)
    })?;
    point(Point::IndexCommitted);
    Ok(count)
}

fn borrowed(names: &[(String, i64)]) -> Vec<(&str, i64)> {
    names.iter().map(|(name, id)| (name.as_str(), *id)).collect()
}

/// A record that was merged away or parted keeps its values, and is found no more or again.
fn touches_names(change: &Change) -> bool {
    ["merge", "merged", "split", "create"].contains(&change.kind.as_str())
        || change.diff.keys().any(called::is_searched)
}

const INDEX_LOCK: i64 = 0x696e_6465_7801;
