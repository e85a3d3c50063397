//! A record that gets its own word back gets it as its own system spelled it.
//!
//! What a system said may have lost for a while, against another record or a pin, and stands again: because a merge was
//! taken back, a pin was, or the other one cleared its value. Then the record is to show what it showed before, and not
//! what the lens would make of it.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::laws::overlay;
use huiliu_mappings::value::{FieldName, Fields};
use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::link::Link;
use crate::replay;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::Planned;

/// Puts own words into patches: three queries for all of them, none where no word comes back.
pub(super) fn spell(
    engine: &Engine,
    tx: &mut Tx<'_>,
    planned: &mut [Planned],
    members: &BTreeMap<i64, Vec<Link>>,
) -> Result<()> {
    let mut wanted: BTreeMap<i64, (&Link, BTreeSet<FieldName>)> = BTreeMap::new();
    for one in planned.iter().filter(|one| one.delivery.id.is_some()) {
        let Some(link) = one.link(members) else { continue };
        let said = |(field, value): &(&FieldName, &Value)| {
            !value.is_null() && link.state.said.get(*field).is_some_and(|said| said.value == **value)
        };
        let back: BTreeSet<FieldName> = one.fields.iter().filter(said).map(|(field, _)| field.clone()).collect();
        if !back.is_empty() {
            wanted.insert(link.number, (link, back));
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let words = replay::own_words(engine, tx, wanted.into_values())?;
    for one in planned.iter_mut().filter(|one| one.delivery.id.is_some()) {
        let Some(number) = one.link(members).map(|link| link.number) else { continue };
        let Some(lens) = engine.connections.get(&one.connection).and_then(|it| it.lens(&one.lens)) else { continue };
        for (field, value) in &one.fields {
            if let Some(shown) = words.get(&(number, field.clone()))
                && let Some(own) = in_own_spelling(lens, field, value, shown)
            {
                overlay(&mut one.delivery.body, &own);
            }
        }
    }
    Ok(())
}

/// A patch of one field as a record showed it, if it can be written there so and reads the same.
fn in_own_spelling(lens: &Lens, field: &FieldName, value: &Value, shown: &Value) -> Option<Value> {
    let ours = lens.render(&Fields::from([(field.clone(), value.clone())]));
    let own = as_shown(&ours, shown)?;
    (own != ours && lens.map(&own).0.fields.get(field) == Some(value)).then_some(own)
}

/// What a record shows where a patch writes. None: something else than what is written stands there.
fn as_shown(patch: &Value, shown: &Value) -> Option<Value> {
    match (patch, shown) {
        (Value::Object(patch), Value::Object(shown)) => {
            let part = |(name, part): (&String, &Value)| Some((name.clone(), as_shown(part, shown.get(name)?)?));
            patch.iter().map(part).collect::<Option<Map<String, Value>>>().map(Value::Object)
        }
        (Value::Array(patch), Value::Array(_)) if patch.iter().any(Value::is_object) => None,
        (patch, shown) => (std::mem::discriminant(patch) == std::mem::discriminant(shown)).then(|| shown.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_written_is_taken_from_what_was_shown() {
        let shown = json!({ "name": " Li ", "to": { "phone": "138 0013", "id": 7 }, "level": { "id": 3 } });
        assert_eq!(
            as_shown(&json!({ "to": { "phone": "+86" } }), &shown),
            Some(json!({ "to": { "phone": "138 0013" } }))
        );
        assert_eq!(as_shown(&json!({ "level": "gold" }), &shown), None, "a view of it cannot be written");
        assert_eq!(as_shown(&json!({ "title": "x" }), &shown), None);
    }
}
