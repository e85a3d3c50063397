//! Conflicts of a batch: fields that records of two connections said differently since they last agreed.
//!
//! Nothing waits for them: the rules settle every field at once. Only the moment is noted here; which value stands,
//! which lost and by which rule is computed from the links whenever somebody looks ([`crate::conflict`]).

use std::collections::BTreeMap;

use huiliu_mappings::merge::Provenance;
use huiliu_mappings::value::{FieldName, Fields};
use serde_json::Value;

use super::resolve::Batch;
use crate::engine::Engine;
use crate::link::Link;
use crate::store::conflicts::Noticed;
use crate::store::goldens::Golden;

/// Who said something new in a batch, and what each knew when it spoke.
#[derive(Default)]
pub(crate) struct Voices {
    /// By link: the fields that it said anew, each with what it held before the batch.
    spoken: BTreeMap<i64, BTreeMap<FieldName, Value>>,
    /// Links that came to a golden record of others, with the golden record that they left; 0: they had none.
    joined: BTreeMap<i64, i64>,
}

impl Voices {
    /// A link said something new.
    pub fn spoke(&mut self, link: i64, said: Vec<(FieldName, Value)>) {
        let fields = self.spoken.entry(link).or_default();
        for (field, before) in said {
            fields.entry(field).or_insert(before);
        }
    }

    /// A link came to the golden record of others.
    pub fn joined(&mut self, link: i64, left: i64) {
        self.joined.insert(link, left);
    }

    fn are_news(&self, link: &Link) -> bool {
        self.spoken.contains_key(&link.number) || self.joined.contains_key(&link.number)
    }

    /// Whether the word that stands and the one that lost were said apart from each other, and just now.
    fn part(&self, field: &FieldName, before: &Fields, won: &Link, lost: (&Link, &Value)) -> bool {
        let knew = |link: &Link| self.spoken.get(&link.number).and_then(|fields| fields.get(field));
        let left = |link: &Link| self.joined.get(&link.number);
        // Who came from elsewhere never agreed with those who were here; among each other that is settled.
        let together = matches!((left(won), left(lost.0)), (Some(a), Some(b)) if a == b && *a != 0);
        if !together && (left(won).is_some() || left(lost.0).is_some()) {
            return true;
        }
        match (knew(won), knew(lost.0)) {
            // It lost as it came. No conflict if the winner had it before it and put its own in its place.
            (knew, Some(_)) => knew != Some(lost.1),
            // It was in force until the winner spoke, who did not have it before it.
            (Some(knew), None) => {
                let stood = before.get(field).unwrap_or(&Value::Null);
                stood == lost.1 && knew != stood
            }
            (None, None) => false,
        }
    }
}

/// What the recomputed golden record shows: conflicts, and the fields about which links said something new.
pub(super) fn notice(
    engine: &Engine,
    batch: &Batch,
    before: &Golden,
    provenance: &BTreeMap<FieldName, Provenance>,
) -> (Vec<Noticed>, Vec<(i64, FieldName)>) {
    let (mut noticed, mut anew) = (Vec::new(), Vec::new());
    // Most golden records are known to one system, and most others hear nothing new: that costs nothing.
    let mut systems = batch.cluster(before.id).map(|link| &link.key.connection);
    let first = systems.next();
    if systems.all(|it| Some(it) == first) || !batch.cluster(before.id).any(|link| batch.voices.are_news(link)) {
        return (noticed, anew);
    }
    let links: Vec<(String, &Link)> = batch.cluster(before.id).map(|link| (link.key.to_string(), link)).collect();
    for (_, link) in &links {
        let fields = batch.voices.spoken.get(&link.number).into_iter().flat_map(BTreeMap::keys);
        anew.extend(fields.map(|field| (link.number, field.clone())));
    }
    for (field, by) in provenance {
        // Against a pin every word loses; its steward has decided.
        let Some((_, won)) = links.iter().find(|(name, _)| *name == by.link) else { continue };
        let Some(standing) = won.state.said.get(field) else { continue };
        for (_, link) in links.iter().filter(|(_, it)| it.open && it.key.connection != won.key.connection) {
            let directions = engine.directions(link.key.connection.as_str());
            let Some(said) = link.state.said.get(field).filter(|_| directions.says(before.entity.as_str(), field))
            else {
                continue;
            };
            let is_united = by.rule == "union" && said.value.is_array() && standing.value.is_array();
            if said.value != standing.value
                && !is_united
                && batch.voices.part(field, &before.fields, won, (link, &said.value))
            {
                noticed.push(between((won.number, standing.at_us), (link.number, said.at_us), field));
            }
        }
    }
    (noticed, anew)
}

fn between(one: (i64, i64), other: (i64, i64), field: &FieldName) -> Noticed {
    let (a, b) = if one.0 < other.0 { (one, other) } else { (other, one) };
    Noticed { a, b, field: field.clone() }
}
