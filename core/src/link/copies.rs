//! Which values of a record are copies of ours, where no answer told.

use std::collections::BTreeSet;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::places::Kind;
use huiliu_mappings::value::{FieldName, Fields, Identity, IdentityKind, MappedRecord};

/// What a record holds after a write, as far as the write is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Holds {
    /// The fields that were written, in the target's form.
    pub fields: Fields,
    /// Identities that it shows.
    pub identities: Vec<Identity>,
    /// The kinds of which it has no others.
    pub kinds: BTreeSet<IdentityKind>,
}

/// What a write put into a record, in canonical words: what was sent, and what the target stored of it. `fields` and
/// `body` are the delivery's patch in canonical and in vendor words, `stored` the whole record as the reply showed it.
///
/// A patch may be read under more names than it was written under: all of them are our copy.
pub fn written(
    lens: &Lens,
    fields: &Fields,
    body: &serde_json::Value,
    stored: Option<&serde_json::Value>,
) -> (Fields, Holds) {
    let (reads, _) = lens.map(body);
    let (always, _) = lens.map(&serde_json::Value::Object(serde_json::Map::new()));
    let knows: BTreeSet<&FieldName> = lens.writable_fields().collect();
    let mut sent: Fields =
        reads.fields.iter().filter(|(field, value)| always.fields.get(*field) != Some(value)).map(own).collect();
    for (field, value) in fields {
        if let Some(read) = reads.fields.get(field) {
            sent.insert(field.clone(), read.clone());
        } else if knows.contains(field) {
            sent.insert(field.clone(), value.clone());
        }
    }
    let (shown, identities) = match stored {
        Some(stored) => {
            let (record, _) = lens.map(stored);
            (record.fields, record.identities)
        }
        None => (sent.clone(), reads.identities),
    };
    // Only fields that this delivery wrote: what else differs in the reply is somebody's edit and must still be heard.
    let mut holds: Fields = shown.into_iter().filter(|(field, _)| sent.contains_key(field)).collect();
    for (field, value) in &sent {
        // A target that swallows a value silently still holds what we sent, as far as anyone can tell from the reply.
        holds.entry(field.clone()).or_insert_with(|| value.clone());
    }
    (sent, Holds { fields: holds, identities, kinds: replaced(lens, stored.unwrap_or(body)) })
}

fn own((field, value): (&FieldName, &serde_json::Value)) -> (FieldName, serde_json::Value) {
    (field.clone(), value.clone())
}

/// Kinds of identities that a record has only where this JSON shows something, if it has any.
fn replaced(lens: &Lens, shown: &serde_json::Value) -> BTreeSet<IdentityKind> {
    let (mut seen, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
    for place in lens.places() {
        let kinds = if place.kind(shown) == Kind::Absent { &mut elsewhere } else { &mut seen };
        kinds.extend(place.identities().iter().cloned());
    }
    seen.retain(|kind| !elsewhere.contains(kind));
    seen
}

/// Whether a record shows a write whose answer never came: every value that was sent, as it was sent or in a form that
/// targets give to values (case, blanks, marks). The vendor's JSON of what it stored of them, if so.
pub fn shows_write(
    lens: &Lens,
    fields: &Fields,
    body: &serde_json::Value,
    shown: &MappedRecord,
) -> Option<serde_json::Value> {
    let (sent, _) = written(lens, fields, body, None);
    let stored = stored_of(&sent, shown);
    (!stored.is_empty() && stored.len() == sent.len()).then(|| lens.render(&stored))
}

/// The same for a record that a create is known to have made, and that somebody may have edited since: the values that
/// are ours still. The others are left to be heard.
pub fn shows_part(
    lens: &Lens,
    fields: &Fields,
    body: &serde_json::Value,
    shown: &MappedRecord,
) -> Option<serde_json::Value> {
    let (sent, _) = written(lens, fields, body, None);
    let stored = stored_of(&sent, shown);
    stored.values().any(|value| !value.is_null()).then(|| lens.render(&stored))
}

/// The same for a record that shows none of what it held in the fields that were sent: ours in some of them perhaps, and
/// what somebody put there in others. What it then stored of the write is taken to be what was sent.
pub fn shows_over(
    lens: &Lens,
    fields: &Fields,
    body: &serde_json::Value,
    held: &Fields,
    shown: &MappedRecord,
) -> Option<serde_json::Value> {
    let (mut sent, _) = written(lens, fields, body, None);
    let stored = stored_of(&sent, shown);
    let was = |field: &FieldName| held.get(field).unwrap_or(&serde_json::Value::Null);
    let is_edited = |field: &FieldName| shown.fields.get(field).is_some_and(|value| value != was(field));
    if sent.is_empty() || !sent.keys().all(|field| stored.contains_key(field) || is_edited(field)) {
        return None;
    }
    sent.extend(stored);
    Some(lens.render(&sent))
}

/// What a record shows of what was sent, in its own form.
fn stored_of(sent: &Fields, shown: &MappedRecord) -> Fields {
    let theirs = |field: &FieldName| shown.fields.get(field).unwrap_or(&serde_json::Value::Null);
    let ours = sent.iter().filter(|(field, ours)| is_form_of(theirs(field), ours));
    ours.map(|(field, _)| (field.clone(), theirs(field).clone())).collect()
}

/// As [`written`], for a record that was found when a create was tried again: an earlier attempt made it, perhaps of other
/// words (`before`), and somebody may have edited it since. What is an earlier word of ours, or what an earlier attempt did
/// not bring yet, is held as it is, so that the next plan mends it; an edit is left to be heard. The last part says whether
/// there is one.
pub fn found(
    lens: &Lens,
    fields: &Fields,
    body: &serde_json::Value,
    shown: &serde_json::Value,
    before: &[Fields],
) -> (Fields, Holds, bool) {
    let (mut sent, mut holds) = written(lens, fields, body, Some(shown));
    let (reads, _) = lens.map(shown);
    let mut is_edited = false;
    for (field, value) in &mut holds.fields {
        let there = reads.fields.get(field).unwrap_or(&serde_json::Value::Null);
        let Some(ours) = sent.get_mut(field).filter(|ours| !is_form_of(there, ours)) else { continue };
        if there.is_null() {
            // A target that keeps nothing of a value is not asked again; one that was not given it is.
            if before.iter().any(|words| !words.contains_key(field)) {
                (*value, *ours) = (serde_json::Value::Null, serde_json::Value::Null);
            }
        } else if before.iter().filter_map(|words| words.get(field)).any(|word| is_form_of(value, word)) {
            ours.clone_from(value);
        } else {
            value.clone_from(ours);
            is_edited = true;
        }
    }
    (sent, holds, is_edited)
}

/// Whether two values differ in case, blanks and marks only.
fn is_form_of(shown: &serde_json::Value, sent: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object, String};
    match (shown, sent) {
        (String(shown), String(sent)) => {
            let bare =
                |text: &str| text.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            let (one, other): (std::string::String, std::string::String) = (bare(shown), bare(sent));
            shown == sent || (!one.is_empty() && one == other)
        }
        (Array(shown), Array(sent)) => {
            shown.len() == sent.len() && shown.iter().zip(sent).all(|(shown, sent)| is_form_of(shown, sent))
        }
        (Object(shown), Object(sent)) => {
            shown.len() == sent.len()
                && sent.iter().all(|(name, sent)| shown.get(name).is_some_and(|shown| is_form_of(shown, sent)))
        }
        _ => shown == sent,
    }
}
