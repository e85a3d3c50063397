//! What a vanished place may be called now: the new place that shows the same values for the same records.

use std::collections::BTreeMap;

use huiliu_mappings::lens::places::Place;
use serde_json::Value;

use super::super::expand::Arrival;
use super::super::resolve::Batch;
use super::Reader;
use crate::drift::body_of;
use crate::store::db::{Result, Tx};
use crate::store::inbox::{self, InboxItem};
use crate::store::replays;

/// Records that are compared: enough to tell a rule from chance.
const RECORDS: usize = 50;

/// Former versions of a record that are looked through for its last value.
const VERSIONS: usize = 3;

/// Values of a record that are looked at, and how deep.
const LEAVES_MAX: usize = 200;
const DEPTH_MAX: usize = 4;

/// A place, and at how many of how many records it shows what the vanished one showed.
pub(super) type Alike = (String, (usize, usize));

pub(super) fn suggest(
    tx: &mut Tx<'_>,
    reader: &Reader<'_>,
    place: &Place,
    batch: &Batch,
    arrivals: &[Arrival],
    missing: &[usize],
) -> Result<Option<Alike>> {
    let shown: Vec<&Arrival> = missing.iter().rev().take(RECORDS).map(|at| &arrivals[*at]).collect();
    let links: BTreeMap<i64, i64> =
        shown.iter().filter_map(|it| Some((*batch.by_key.get(&it.key)?, it.position))).collect();
    let mut versions: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for line in replays::lines(tx, links.keys().copied())? {
        let last = versions.entry(line.link).or_default();
        last.push(line.position);
        if last.len() > VERSIONS {
            last.remove(0);
        }
    }
    let positions = versions.values().flatten().copied().chain(shown.iter().map(|it| it.position));
    let items = inbox::at_all(tx, positions.collect::<std::collections::BTreeSet<_>>())?;
    let items: BTreeMap<i64, InboxItem> = items.into_iter().map(|item| (item.position, item)).collect();
    let body = |position: &i64, arrival: &Arrival| {
        body_of(reader.connection, items.get(position)?, arrival.lens.stream(), &arrival.key)
    };
    let (mut compared, mut counts) = (0, BTreeMap::<String, usize>::new());
    let mut bodies = Vec::new();
    for arrival in &shown {
        let Some(now) = body(&arrival.position, arrival) else { continue };
        let former = batch.by_key.get(&arrival.key).and_then(|link| versions.get(link)).into_iter().flatten().rev();
        let then = former.filter_map(|position| body(position, arrival)).find(|body| place.value(body).is_some());
        if let Some((then, value)) = then.as_ref().and_then(|then| Some((then, place.value(then)?))) {
            compared += 1;
            for (pointer, found) in leaves(&now) {
                if then.pointer(&pointer).is_none() && is_same(value, found) {
                    *counts.entry(pointer).or_default() += 1;
                }
            }
        }
        bodies.push(now);
    }
    let best = counts.into_iter().max_by_key(|(pointer, count)| (*count, std::cmp::Reverse(pointer.clone())));
    Ok(match best.filter(|(_, count)| count * 2 >= compared) {
        Some((pointer, count)) => Some((pointer, (count, compared))),
        None if compared == 0 => by_name(reader, place, &bodies).map(|pointer| (pointer, (0, 0))),
        None => None,
    })
}

/// Records that nobody knew before: a place with a similar name that almost all of them have and nothing reads.
fn by_name(reader: &Reader<'_>, place: &Place, bodies: &[Value]) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for body in bodies {
        for (pointer, _) in leaves(body) {
            *counts.entry(pointer).or_default() += 1;
        }
    }
    let old = name(place.pointer());
    let is_read = |pointer: &str| reader.lens.places().iter().any(|it| it.pointer() == pointer);
    let similar = |pointer: &str| {
        let new = name(pointer);
        new.contains(&old) || (new.len() > 2 && old.contains(&new))
    };
    let mut found = counts.into_iter().filter(|(pointer, count)| count * 10 >= bodies.len() * 9 && !is_read(pointer));
    found.find(|(pointer, _)| similar(pointer)).map(|(pointer, _)| pointer)
}

/// The last part of a pointer in small letters and digits.
fn name(pointer: &str) -> String {
    let last = pointer.rsplit('/').next().unwrap_or_default();
    last.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether two values say the same, whatever their kind and spelling of blanks.
fn is_same(a: &Value, b: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    (!a.is_null() && a == b) || text(a).is_some_and(|a| text(b) == Some(a))
}

/// The values of a record with their pointers; a list is one value.
fn leaves(body: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), body, 0)];
    while let Some((pointer, value, depth)) = open.pop() {
        match value {
            Value::Object(map) if depth < DEPTH_MAX => {
                for (key, value) in map {
                    let part = key.replace('~', "~0").replace('/', "~1");
                    open.push((format!("{pointer}/{part}"), value, depth + 1));
                }
            }
            _ if found.len() >= LEAVES_MAX => break,
            _ => found.push((pointer, value)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_compared_as_people_read_them() {
        assert!(is_same(&json!("138 "), &json!(138)) && is_same(&json!(["a"]), &json!(["a"])));
        assert!(!is_same(&json!(null), &json!(null)) && !is_same(&json!(""), &json!(" ")));
    }

    #[test]
    fn a_record_has_places() {
        let body = json!({"a": {"b/c": 1}, "d": [1, 2]});
        let mut pointers: Vec<String> = leaves(&body).into_iter().map(|(pointer, _)| pointer).collect();
        pointers.sort();
        assert_eq!(pointers, ["/a/b~1c", "/d"]);
        assert_eq!(name("/a/Mobile_Phone"), "mobilephone");
    }
}
