//! What must hold between reading and writing. Run on every fixture and on generated records.

use serde_json::Value;

use super::Lens;
use crate::value::Fields;

/// The laws that this record breaks, in words; empty when all hold.
///
/// 1. An unchanged golden record projects to what the record holds: an empty patch.
/// 2. What we push reads back equal.
/// 3. Fields that are not mentioned stay untouched.
/// 4. What is cleared reads back cleared, unless the file says that it is left alone.
pub fn broken(lens: &Lens, body: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let (mapped, _) = lens.map(body);
    let projected = lens.project(&mapped.fields);
    for (field, value) in &projected {
        let held = mapped.fields.get(field).unwrap_or(&Value::Null);
        if held != value && !lens.shortens(field) {
            broken.push(format!("{}: an unchanged record would be written: {field}", lens.name()));
        }
    }
    let patch: Fields =
        projected.iter().filter(|(_, value)| !value.is_null()).map(|(f, v)| (f.clone(), v.clone())).collect();
    let written = lens.render(&patch);
    let mut merged = body.clone();
    overlay(&mut merged, &written);
    let (again, _) = lens.map(&merged);
    for (field, value) in &mapped.fields {
        let expected = patch.get(field).unwrap_or(value);
        if lens.reads_where_it_writes(field) && again.fields.get(field) != Some(expected) {
            broken.push(format!("{}: what is pushed does not read back: {field}", lens.name()));
        }
    }
    for (field, _) in lens.project(&Fields::new()).iter().filter(|(field, _)| lens.reads_where_it_writes(field)) {
        let mut cleared = body.clone();
        overlay(&mut cleared, &lens.render(&Fields::from([(field.clone(), Value::Null)])));
        if lens.map(&cleared).0.fields.get(field) != Some(&Value::Null) {
            broken.push(format!("{}: what is cleared does not read back as cleared: {field}", lens.name()));
        }
    }
    broken
}

impl Lens {
    fn shortens(&self, field: &crate::value::FieldName) -> bool {
        self.fields.iter().any(|rule| rule.field == *field && rule.limit.is_some())
    }

    /// Where a system reads and writes a field at different places, only the system itself can close the loop.
    fn reads_where_it_writes(&self, field: &crate::value::FieldName) -> bool {
        self.fields.iter().any(|rule| {
            rule.field == *field
                && (rule.to.is_none() || rule.from == rule.to)
                && rule.direction == super::Direction::Both
        })
    }
}

/// Puts a patch over a record as a target would: objects by key, everything else replaced.
pub fn overlay(record: &mut Value, patch: &Value) {
    match (record, patch) {
        (Value::Object(record), Value::Object(patch)) => {
            for (key, value) in patch {
                overlay(record.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(record), Value::Array(patch)) if !patch.is_empty() && patch.iter().all(Value::is_object) => {
            for (at, value) in patch.iter().enumerate() {
                if at < record.len() { overlay(&mut record[at], value) } else { record.push(value.clone()) }
            }
        }
        (record, patch) => *record = patch.clone(),
    }
}
