//! Golden records of a batch, recomputed from everything their links said.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use huiliu_mappings::merge::{Contribution, GoldenRecord, Pin, Provenance, survive};
use huiliu_mappings::value::{EntityName, FieldName, Fields};
use serde_json::Value;

use super::contest;
use super::resolve::Batch;
use crate::engine::Engine;
use crate::link::Link;
use crate::store::conflicts::Noticed;
use crate::store::goldens::{Change, Golden};

/// What a batch writes about golden records.
#[derive(Default)]
pub(crate) struct Settled {
    pub goldens: Vec<Golden>,
    pub changes: Vec<Change>,
    /// What two systems said differently.
    pub conflicts: Vec<Noticed>,
    /// Links with fields that they said anew, where others may have said something about them.
    pub anew: Vec<(i64, FieldName)>,
}

pub(crate) fn settle(engine: &Engine, batch: &mut Batch, cause: &dyn Fn(i64) -> String) -> Settled {
    let mut settled = Settled::default();
    let at_us = engine.clock.now_us();
    for (id, (position, kind)) in std::mem::take(&mut batch.dirty) {
        let Some(before) = batch.goldens.get(&id) else { continue };
        let fields = if before.merged_into.is_some() {
            before.fields.clone()
        } else {
            let (fields, provenance) = computed(engine, batch, before);
            let (conflicts, anew) = contest::notice(engine, batch, before, &provenance);
            settled.conflicts.extend(conflicts);
            settled.anew.extend(anew);
            fields
        };
        let diff = diff(&before.fields, &fields);
        // Also without a difference: a new member must be told what the others know, and an assertion that lost must
        // be corrected where it was made.
        let change = Change {
            position: batch.next_change,
            golden: id,
            entity: before.entity.clone(),
            kind: kind.to_owned(),
            diff,
            cause: cause(position),
            at_us,
        };
        let (entity, merged_into) = (before.entity.clone(), before.merged_into);
        settled.goldens.push(Golden { id, entity, fields, merged_into, change: change.position });
        settled.changes.push(change);
        batch.next_change += 1;
    }
    settled
}

pub(crate) fn golden_fields(engine: &Engine, batch: &Batch, golden: &Golden) -> Fields {
    computed(engine, batch, golden).0
}

/// The values, and where each came from; of a single link's values that is not asked.
fn computed(engine: &Engine, batch: &Batch, golden: &Golden) -> (Fields, BTreeMap<FieldName, Provenance>) {
    let none = BTreeMap::new();
    let pins = batch.pins.get(&golden.id).unwrap_or(&none);
    let mut links = batch.cluster(golden.id);
    // Most golden records have one link and no pin: what it says is what there is.
    if let (Some(only), None, true) = (links.next(), links.next(), pins.is_empty()) {
        let directions = engine.directions(only.key.connection.as_str());
        let counts = |field: &FieldName| directions.says(golden.entity.as_str(), field);
        let said = only.state.said.iter().filter(|(field, said)| !said.value.is_null() && counts(field));
        return (said.map(|(field, said)| (field.clone(), said.value.clone())).collect(), BTreeMap::new());
    }
    let record = golden_record(engine, &golden.entity, batch.cluster(golden.id), pins);
    (record.fields, record.provenance)
}

/// The golden record of these links and pins, with where each value came from.
///
/// A link whose record is gone no longer speaks, unless everybody who ever said anything is gone: then the last words
/// stay, so that a customer whom no system knows any more can still be shown.
pub fn golden_record<'a>(
    engine: &Engine,
    entity: &EntityName,
    links: impl Iterator<Item = &'a Link>,
    pins: &BTreeMap<FieldName, Pin>,
) -> GoldenRecord {
    let mut links: Vec<&Link> = links.collect();
    if links.iter().any(|link| link.open && !link.state.said.is_empty()) {
        links.retain(|link| link.open);
    }
    of_all(engine, entity, &links, pins)
}

/// The golden record as it would be if every record were still there.
pub(crate) fn of_all(
    engine: &Engine,
    entity: &EntityName,
    links: &[&Link],
    pins: &BTreeMap<FieldName, Pin>,
) -> GoldenRecord {
    let links: Vec<(String, &Link)> = links.iter().map(|link| (link.key.to_string(), *link)).collect();
    let contributions: Vec<Contribution<'_>> = links
        .iter()
        .map(|(name, link)| {
            let connection = engine.connections.get(link.key.connection.as_str());
            Contribution {
                link: name,
                connection: link.key.connection.as_str(),
                connector: connection.map_or("", |it| &it.system),
                rank: connection.map_or(i32::MAX, |it| it.rank),
                directions: engine.directions(link.key.connection.as_str()),
                said: &link.state.said,
            }
        })
        .collect();
    survive(&engine.survive, entity.as_str(), &contributions, pins)
}

/// Before and after of every field that differs.
pub fn diff(before: &Fields, after: &Fields) -> BTreeMap<FieldName, (Value, Value)> {
    // Both in the order of their names: each is looked at once.
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    let mut differs = Vec::with_capacity(after.len());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some((was, _)), Some((is, _))) => was.cmp(is),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return differs.into_iter().collect(),
        };
        let was = if order == Ordering::Greater { None } else { old.next() };
        let is = if order == Ordering::Less { None } else { new.next() };
        let Some((name, _)) = was.or(is) else { continue };
        let (was, is) = (was.map(|(_, value)| value), is.map(|(_, value)| value));
        if was != is {
            differs.push((name.clone(), (was.cloned().unwrap_or_default(), is.cloned().unwrap_or_default())));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_names_what_came_went_and_changed() {
        let fields = |value: Value| -> Fields {
            value.as_object().unwrap().iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect()
        };
        let before = fields(json!({"a": 1, "b": 2, "d": 4, "f": null}));
        let after = fields(json!({"b": 2, "c": 3, "d": 5, "e": null}));
        let told = serde_json::to_value(diff(&before, &after)).unwrap();
        assert_eq!(told, json!({"a": [1, null], "c": [null, 3], "d": [4, 5], "e": [null, null], "f": [null, null]}));
        assert!(diff(&before, &before).is_empty());
    }
}
