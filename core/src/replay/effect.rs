//! What a replay changes, value by value: in golden records, and in the records of the connections that are written.

use std::collections::BTreeMap;

use huiliu_mappings::value::FieldName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{FieldCounts, Report, Sample};
use crate::store::deliveries::Planned;
use crate::store::goldens::Change;

/// What stands for the number or the id of what is not there yet.
const NEW: &str = "new";

/// One value that becomes another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// `customer/7`, or `shop/customers/1001`; of what is not there yet the last word is `new`.
    pub record: String,
    /// The canonical field, or the place in the system's record as a JSON pointer.
    pub place: String,
    /// Now.
    pub before: Value,
    /// Then.
    pub after: Value,
}

/// Any number of effects, counted, with a fingerprint in which their order plays no part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// How many.
    pub effects: u64,
    /// Two sums with the same print are of the same effects.
    pub print: u64,
}

impl Sum {
    /// Adds one.
    pub fn add(&mut self, effect: &Effect) {
        let mut hash = Sha256::new();
        for part in [&effect.record, &effect.place, &effect.before.to_string(), &effect.after.to_string()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let first = hash.finalize().first_chunk().copied().unwrap_or_default();
        self.effects += 1;
        self.print = self.print.wrapping_add(u64::from_be_bytes(first));
    }
}

/// One write that a connection is owed on account of a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Write {
    /// The connection.
    pub connection: String,
    /// The lens that writes.
    pub lens: String,
    /// The stream.
    pub stream: String,
    /// The golden record that it comes from.
    pub golden: i64,
    /// The record; none if it is made.
    pub id: Option<String>,
    /// The canonical fields.
    pub fields: Vec<FieldName>,
    /// Pointer into the system's record: what it shows now, and what is written.
    pub places: BTreeMap<String, (Value, Value)>,
}

impl Write {
    /// `shown`: the record as its system last showed it, if that is kept.
    pub(super) fn of(one: &Planned, shown: Option<&Value>) -> Self {
        let (body, base) = (&one.delivery.body, &one.delivery.base);
        let mut places = BTreeMap::new();
        leaves(body, &mut String::new(), &mut |place, after| {
            places.insert(place.to_owned(), (before(place, after, shown, base), after.clone()));
        });
        Self {
            connection: one.connection.clone(),
            lens: one.lens.clone(),
            stream: one.delivery.stream.as_str().to_owned(),
            golden: one.golden,
            id: one.delivery.id.as_ref().map(|id| id.as_str().to_owned()),
            fields: one.fields.keys().cloned().collect(),
            places,
        }
    }

    fn effects(&self) -> impl Iterator<Item = Effect> + '_ {
        let record = format!("{}/{}/{}", self.connection, self.stream, self.id.as_deref().unwrap_or(NEW));
        let effect = move |(place, (before, after)): (&String, &(Value, Value))| Effect {
            record: record.clone(),
            place: place.clone(),
            before: before.clone(),
            after: after.clone(),
        };
        self.places.iter().map(effect)
    }
}

/// Every value of a patch with its pointer. A list is one value.
fn leaves<'a>(patch: &'a Value, at: &mut String, each: &mut dyn FnMut(&str, &'a Value)) {
    match patch {
        Value::Object(parts) if !parts.is_empty() => {
            for (name, part) in parts {
                let length = at.len();
                at.push('/');
                at.push_str(&name.replace('~', "~0").replace('/', "~1"));
                leaves(part, at, each);
                at.truncate(length);
            }
        }
        value => each(at, value),
    }
}

/// What stands at a place, in the system's own spelling where that is something which can be written there, else as the
/// lens writes what is held.
fn before(place: &str, after: &Value, shown: Option<&Value>, base: &Value) -> Value {
    let written = base.pointer(place).unwrap_or(&Value::Null);
    match shown.and_then(|shown| shown.pointer(place)) {
        Some(value) if !value.is_null() && (is_like(value, after) || is_like(value, written)) => value.clone(),
        _ => written.clone(),
    }
}

fn is_like(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => match (a.first(), b.first()) {
            (Some(a), Some(b)) => is_like(a, b),
            _ => true,
        },
        // An object that stands where a value is written is the system's view of it.
        (Value::Object(_), _) => false,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

/// Some of what changes.
#[derive(Default)]
pub(super) struct Samples {
    pub goldens: Vec<Sample>,
    /// By connection, stream and operation.
    pub writes: BTreeMap<String, Vec<Write>>,
    most: usize,
}

impl Samples {
    /// So many of each kind.
    pub fn at_most(most: usize) -> Self {
        Self { most, ..Self::default() }
    }
}

/// Where a step puts what it finds.
pub(super) struct Told<'a, 'b> {
    pub report: &'a mut Report,
    pub samples: &'a mut Samples,
    pub effects: Option<&'a mut (dyn FnMut(Effect) + 'b)>,
}

impl Told<'_, '_> {
    /// `is_new`: whether the golden record is made by this step.
    pub fn change(&mut self, change: &Change, is_new: impl Fn(i64) -> bool) {
        let report = &mut *self.report;
        report.changes += 1;
        for (field, (before, after)) in &change.diff {
            report.fields.entry(format!("{}.{field}", change.entity)).or_default().count(before, after);
        }
        if change.diff.is_empty() {
            return;
        }
        report.goldens += 1;
        let name = if is_new(change.golden) { NEW.to_owned() } else { change.golden.to_string() };
        let record = format!("{}/{name}", change.entity);
        for (field, (before, after)) in &change.diff {
            let place = field.as_str().to_owned();
            self.effect(Effect { record: record.clone(), place, before: before.clone(), after: after.clone() });
        }
        if self.samples.goldens.len() < self.samples.most {
            let (golden, entity, diff) = (change.golden, change.entity.clone(), change.diff.clone());
            self.samples.goldens.push(Sample { golden, entity, diff });
        }
    }

    pub fn write(&mut self, write: &Write, operation: &str) {
        let (connection, stream) = (&write.connection, &write.stream);
        let kind = format!("{connection}/{stream} {operation}");
        for (place, (before, after)) in &write.places {
            self.report.places.entry(format!("{connection}/{stream} {place}")).or_default().count(before, after);
        }
        for effect in write.effects() {
            self.effect(effect);
        }
        *self.report.writes.entry(kind.clone()).or_default() += 1;
        let most = self.samples.most;
        let samples = self.samples.writes.entry(kind).or_default();
        if samples.len() < most {
            samples.push(write.clone());
        }
    }

    fn effect(&mut self, effect: Effect) {
        self.report.sum.add(&effect);
        if let Some(effects) = &mut self.effects {
            effects(effect);
        }
    }
}

impl FieldCounts {
    fn count(&mut self, before: &Value, after: &Value) {
        match (before.is_null(), after.is_null()) {
            (true, _) => self.filled += 1,
            (_, true) => self.emptied += 1,
            _ => self.changed += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_stands_at_a_place_is_told_as_it_can_be_written_again() {
        let seen = |shown: Value, base: Value| {
            let (shown, base) = (json!({ "a": { "b/c": shown } }), json!({ "a": { "b/c": base } }));
            before("/a/b~1c", &json!("new"), Some(&shown), &base)
        };
        assert_eq!(seen(json!("138 0013"), json!("+861380013")), json!("138 0013"), "in its own spelling");
        assert_eq!(seen(json!({ "id": 3 }), json!("gold")), json!("gold"), "not as the system shows what it expands");
        assert_eq!(seen(json!(false), json!(false)), json!(false), "what the system takes for nothing");
        assert_eq!(seen(json!(null), json!("")), json!(""), "as the system is told of nothing");
        assert_eq!(before("/gone", &json!("new"), None, &json!(null)), json!(null));
    }

    #[test]
    fn every_value_of_a_patch_has_its_place() {
        let patch = json!({ "name": "李", "to": { "a/b": [1, 2], "empty": {} } });
        let mut found = Vec::new();
        leaves(&patch, &mut String::new(), &mut |place, value| found.push((place.to_owned(), value.clone())));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let wanted = [("/name", json!("李")), ("/to/a~1b", json!([1, 2])), ("/to/empty", json!({}))];
        assert_eq!(found, wanted.map(|(place, value)| (place.to_owned(), value)));
        assert!(found.iter().all(|(place, value)| patch.pointer(place) == Some(value)));
    }

    #[test]
    fn the_print_of_effects_knows_no_order() {
        let effect = |after: i64| Effect {
            record: "customer/1".to_owned(),
            place: "title".to_owned(),
            before: json!(null),
            after: json!(after),
        };
        let sum = |all: &[i64]| {
            let mut sum = Sum::default();
            for it in all {
                sum.add(&effect(*it));
            }
            sum
        };
        assert_eq!(sum(&[1, 2, 3]), sum(&[3, 1, 2]));
        assert_ne!(sum(&[1, 2]), sum(&[1, 3]));
        assert_ne!(sum(&[1, 1]), sum(&[1]));
    }
}
