//! A link: one record of one connection, the golden record it belongs to, and what makes sync a three-way merge.
//!
//! **held** is what we last knew the remote record to hold; **said** is what that system itself last asserted, and
//! when. A value that we wrote is held, never said, so it neither wins a merge nor links two records.

mod copies;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::matching::{self, Evidence, identity_hash};
use huiliu_mappings::merge::Said;
use huiliu_mappings::value::{EntityName, FieldName, Fields, Identity, MappedRecord, Reference};

use crate::connector::{ConnectionName, ExternalId, Version};

pub use copies::{found, shows_part, shows_write};

/// Names a link: connection, lens, external id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey {
    /// The account.
    pub connection: ConnectionName,
    /// The lens that reads the record: its stream, unless several lenses read one stream.
    pub lens: String,
    /// The system's id.
    pub id: ExternalId,
}

impl fmt::Display for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.connection, self.lens, self.id)
    }
}

impl std::str::FromStr for LinkKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(connection), Some(lens), Some(id)) if !id.is_empty() => {
                Ok(Self { connection: connection.into(), lens: lens.to_owned(), id: id.into() })
            }
            _ => Err(format!("{text}: write CONNECTION/STREAM/ID")),
        }
    }
}

/// One crosswalk row.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its number.
    pub number: i64,
    /// Its name.
    pub key: LinkKey,
    /// What kind of thing it is.
    pub entity: EntityName,
    /// The golden record.
    pub golden: i64,
    /// What the record holds and said.
    pub state: LinkState,
    /// The version last seen.
    pub version: Option<Version>,
    /// False once the system said that the record is gone.
    pub open: bool,
}

impl Link {
    /// The hash under which a customer finds what refers to it.
    pub fn reference_hash(&self, reference: &Reference) -> i64 {
        match reference {
            Reference::Record { lens, id } => matching::hash(&["record", self.key.connection.as_str(), lens, id]),
            Reference::Identity(identity) => identity_hash("customer", identity),
        }
    }

    /// Whether it only remembers that a record was deleted before it was ever seen.
    pub fn is_tombstone(&self) -> bool {
        !self.open && self.golden == 0 && self.state.held.is_empty() && self.state.said.is_empty()
    }

    /// Whether this record is the one that another refers to.
    pub fn is_meant(&self, by: &Self, reference: &Reference) -> bool {
        match reference {
            Reference::Identity(identity) => self.state.identities.contains(identity),
            Reference::Record { lens, id } => {
                (&self.key.connection, &self.key.lens, self.key.id.as_str()) == (&by.key.connection, lens, id.as_str())
            }
        }
    }

    /// The hashes of every reference that can mean this record of a customer.
    pub fn referred_by(&self) -> Vec<i64> {
        let itself = Reference::Record { lens: self.key.lens.clone(), id: self.key.id.as_str().to_owned() };
        let identities = self.state.identities.iter().cloned().map(Reference::Identity);
        identities.chain([itself]).map(|reference| self.reference_hash(&reference)).collect()
    }
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
) -> (Fields, MappedRecord) {
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
    (sent, MappedRecord { fields: holds, identities, references: Vec::new() })
}

fn own((field, value): (&FieldName, &serde_json::Value)) -> (FieldName, serde_json::Value) {
    (field.clone(), value.clone())
}

/// What a record, as it was shown, said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// The fields that the system thereby asserted, each with what the record held before. Empty: an echo or a repeat.
    pub said: Vec<(FieldName, serde_json::Value)>,
    /// Whether it shows something new in a field about which its word does not count.
    pub unsaid: bool,
}

/// The memory of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkState {
    /// What the system itself last asserted, by field.
    pub said: BTreeMap<FieldName, Said>,
    /// What the record holds, as last known: all that was said, and what we wrote since.
    pub held: Fields,
    /// What we wrote last, where the target stored it in another form (trimmed, re-cased): writing it again would
    /// change nothing.
    pub written: Fields,
    /// Identities that the system itself asserted: the only evidence for matching.
    pub identities: Vec<Identity>,
    /// Identities in the record as it stands, ours included.
    pub identities_held: Vec<Identity>,
    /// Whom the record belongs to.
    pub references: Vec<Reference>,
    /// When our last write to it was answered, it was last found gone, or something new was last heard of a record that
    /// can be read alone, microseconds since 1970 UTC; 0: never. What was read before may show the record as it was then.
    pub fresh_us: i64,
    /// When the last of our writes to it that arrived was planned, microseconds since 1970 UTC; 0: never. Whoever edits
    /// the record after that has seen what was known then.
    pub wrote_us: i64,
}

impl LinkState {
    /// Takes in a record as the system shows it now. `says`: whether its word about a field counts.
    pub fn hear(&mut self, record: MappedRecord, at_us: i64, says: impl Fn(&FieldName) -> bool) -> Heard {
        let mut heard = Heard::default();
        for (field, value) in record.fields {
            if self.held.get(&field) == Some(&value) {
                continue;
            }
            // A record that never held a value clears nothing by showing that it has none.
            if value.is_null() && !self.held.contains_key(&field) {
                self.held.insert(field, value);
                continue;
            }
            // A target may hold what we wrote in a form of its own: what it had before it is what we wrote.
            let written = self.written.remove(&field);
            let before = written.or(self.held.insert(field.clone(), value.clone())).unwrap_or_default();
            if !says(&field) {
                self.said.remove(&field);
                heard.unsaid = true;
                continue;
            }
            self.said.insert(field.clone(), Said { value, at_us });
            heard.said.push((field, before));
        }
        let copies: BTreeSet<Identity> =
            self.identities_held.iter().filter(|it| !self.identities.contains(it)).cloned().collect();
        self.identities = record.identities.iter().filter(|it| !copies.contains(it)).cloned().collect();
        self.identities_held = record.identities;
        self.references = record.references;
        heard
    }

    /// Takes in what the target stored after our write: held, never said. A value the target changed on storing is
    /// still our write.
    pub fn wrote(&mut self, sent: &Fields, stored: MappedRecord) {
        for (field, value) in stored.fields {
            match sent.get(&field) {
                Some(ours) if *ours != value => self.written.insert(field.clone(), ours.clone()),
                _ => self.written.remove(&field),
            };
            self.held.insert(field, value);
        }
        for identity in stored.identities {
            if !self.identities_held.contains(&identity) {
                self.identities_held.push(identity);
            }
        }
    }

    /// Takes the place of a record that was made one with it: what it holds of the other's words were copies of ours, and
    /// are its own now. Whether there were any.
    pub fn inherit(&mut self, former: &Self) -> bool {
        let mut any = false;
        for (field, said) in former.said.iter().filter(|(_, said)| !said.value.is_null()) {
            let is_own = self.said.get(field).is_some_and(|own| own.value == said.value);
            if !is_own && self.held.get(field) == Some(&said.value) {
                self.said.insert(field.clone(), said.clone());
                any = true;
            }
        }
        for identity in &former.identities {
            if self.identities_held.contains(identity) && !self.identities.contains(identity) {
                self.identities.push(identity.clone());
                any = true;
            }
        }
        any
    }

    /// Whether both remember the same; the order of identities says nothing.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |a: &[Identity], b: &[Identity]| a.len() == b.len() && a.iter().all(|it| b.contains(it));
        (&self.said, &self.held, &self.written, &self.references)
            == (&other.said, &other.held, &other.written, &other.references)
            && same(&self.identities, &other.identities)
            && same(&self.identities_held, &other.identities_held)
    }

    /// Whether both say the same about who the record is.
    pub fn is_same_evidence(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.evidence(), other.evidence());
        let ids = |it: &Evidence| it.identities.iter().cloned().collect::<BTreeSet<Identity>>();
        mine.fields == theirs.fields && ids(&mine) == ids(&theirs)
    }

    /// Whether the record holds something that the system did not say, though its word about it counts: a copy of ours.
    pub fn has_copies(&self, says: impl Fn(&FieldName) -> bool) -> bool {
        let said = |field: &FieldName| self.said.get(field).map(|said| &said.value);
        let mut counted = self.held.iter().filter(|(field, _)| says(field));
        counted.any(|(field, value)| said(field).unwrap_or(&serde_json::Value::Null) != value)
            || self.identities.len() != self.identities_held.len()
    }

    /// Whether the record would change if this value were written.
    pub fn lacks(&self, field: &FieldName, value: &serde_json::Value) -> bool {
        self.held.get(field).unwrap_or(&serde_json::Value::Null) != value && self.written.get(field) != Some(value)
    }

    /// Whether a record shows something else than is known.
    pub fn differs(&self, shown: &MappedRecord) -> bool {
        // What is empty there and was never held is no difference.
        let held = |field| self.held.get(field).unwrap_or(&serde_json::Value::Null);
        shown.fields.iter().any(|(field, value)| held(field) != value)
    }

    /// Whether [`Self::hear`] would hear something new about the record, or about who it is.
    pub fn is_news(&self, shown: &MappedRecord) -> bool {
        let is_heard = |(field, value): (&FieldName, &serde_json::Value)| {
            let held = self.held.get(field);
            held != Some(value) && !(value.is_null() && held.is_none())
        };
        let is_known = |it: &Identity| self.identities_held.contains(it);
        shown.fields.iter().any(is_heard)
            || shown.identities.len() != self.identities_held.len()
            || !shown.identities.iter().all(is_known)
    }

    /// When the system last asserted anything, microseconds since 1970 UTC.
    pub fn said_us(&self) -> i64 {
        self.said.values().map(|said| said.at_us).max().unwrap_or(0)
    }

    /// What this link contributes to matching.
    pub fn evidence(&self) -> Evidence {
        let fields = self.said.iter().filter(|(field, said)| !said.value.is_null() && matching::compares(field));
        Evidence {
            fields: fields.map(|(field, said)| (field.clone(), said.value.clone())).collect(),
            identities: self.identities.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(fields: &[(&str, serde_json::Value)], ids: &[(&str, &str)]) -> MappedRecord {
        MappedRecord {
            fields: fields.iter().map(|(field, value)| ((*field).into(), value.clone())).collect(),
            identities: ids
                .iter()
                .map(|(kind, value)| Identity { kind: (*kind).into(), value: (*value).to_owned() })
                .collect(),
            references: Vec::new(),
        }
    }

    fn hear(state: &mut LinkState, record: MappedRecord, at_us: i64) -> Vec<(FieldName, serde_json::Value)> {
        state.hear(record, at_us, |_| true).said
    }

    #[test]
    fn a_field_without_a_voice_is_held_and_not_said() {
        let mut state = LinkState::default();
        let heard = state.hear(record(&[("title", json!("Dr"))], &[]), 1, |_| false);
        assert_eq!((heard.said.len(), heard.unsaid), (0, true));
        assert!(state.said.is_empty() && state.lacks(&"title".into(), &json!("Prof")));
        assert!(!state.has_copies(|_| false), "it is no copy of ours either");
        assert_eq!(LinkState::from_json(&state.to_json()).unwrap(), state);
    }

    #[test]
    fn an_echo_is_not_said() {
        let mut state = LinkState::default();
        assert_eq!(hear(&mut state, record(&[("title", json!("Dr"))], &[]), 1).len(), 1);
        let prof = record(&[("title", json!("Prof"))], &[]);
        state.wrote(&prof.fields.clone(), prof);
        assert!(hear(&mut state, record(&[("title", json!("Prof"))], &[]), 2).is_empty());
        assert_eq!(state.said[&FieldName::from("title")].value, json!("Dr"));
        let again = hear(&mut state, record(&[("title", json!("Dr"))], &[]), 3);
        assert_eq!(again, vec![("title".into(), json!("Prof"))], "what it held before is told, too");
    }

    #[test]
    fn an_empty_field_of_a_new_record_clears_nothing() {
        let mut state = LinkState::default();
        assert!(hear(&mut state, record(&[("title", json!(null))], &[]), 1).is_empty());
        assert!(state.said.is_empty());
        assert_eq!(hear(&mut state, record(&[("title", json!("Dr"))], &[]), 2).len(), 1);
        assert_eq!(
            hear(&mut state, record(&[("title", json!(null))], &[]), 3).len(),
            1,
            "a value that goes away is cleared"
        );
        assert_eq!(state.said[&FieldName::from("title")].value, json!(null));
    }

    #[test]
    fn a_target_that_reformats_is_not_written_again() {
        let mut state = LinkState::default();
        let sent = record(&[("title", json!("prof"))], &[]).fields;
        state.wrote(&sent, record(&[("title", json!("Prof"))], &[]));
        assert!(!state.lacks(&"title".into(), &json!("prof")) && !state.lacks(&"title".into(), &json!("Prof")));
        assert_eq!(hear(&mut state, record(&[("title", json!("Dr"))], &[]), 1).len(), 1);
        assert!(state.lacks(&"title".into(), &json!("prof")), "a human edit is a difference again");
    }

    #[test]
    fn copies_are_not_evidence() {
        let mut state = LinkState::default();
        hear(&mut state, record(&[("title", json!("Dr"))], &[("email", "a@example.com")]), 1);
        state.wrote(&Fields::new(), record(&[], &[("phone", "+8613800138000")]));
        let again = record(&[("title", json!("Prof"))], &[("email", "a@example.com"), ("phone", "+8613800138000")]);
        hear(&mut state, again, 2);
        assert_eq!(state.identities.len(), 1, "the phone is our own copy");
        let gone = record(&[], &[("email", "a@example.com")]);
        hear(&mut state, gone, 3);
        let back = record(&[], &[("email", "a@example.com"), ("phone", "+8613800138000")]);
        hear(&mut state, back, 4);
        assert_eq!(state.identities.len(), 2, "a person typed the phone again: now the system says it");
    }

    #[test]
    fn what_a_record_inherits_are_copies_that_it_holds() {
        let mut former = LinkState::default();
        hear(&mut former, record(&[("title", json!("Dr")), ("remark", json!("x"))], &[("phone", "+8613800138000")]), 1);
        let mut heir = LinkState::default();
        hear(&mut heir, record(&[("company", json!("乙"))], &[("email", "a@example.com")]), 2);
        assert!(!heir.clone().inherit(&former), "it holds nothing of it");
        let sent = record(&[("title", json!("Dr"))], &[]).fields;
        heir.wrote(&sent, record(&[("title", json!("Dr"))], &[("phone", "+8613800138000")]));
        assert!(heir.inherit(&former) && !heir.clone().inherit(&former));
        let said: Vec<&str> = heir.said.keys().map(FieldName::as_str).collect();
        assert_eq!((said, heir.identities.len()), (vec!["company", "title"], 2));
        assert_eq!(LinkState::from_json(&heir.to_json()).unwrap(), heir);
    }

    #[test]
    fn the_stored_form_reads_back_equal() {
        let mut state = LinkState::default();
        hear(&mut state, record(&[("title", json!("Dr")), ("remark", json!(null))], &[("email", "a@example.com")]), 1);
        hear(&mut state, record(&[("remark", json!("x"))], &[("email", "a@example.com")]), 2);
        let sent = record(&[("company", json!(" 乙"))], &[]).fields;
        state.wrote(&sent, record(&[("company", json!("乙"))], &[("phone", "+8613800138000")]));
        (state.fresh_us, state.wrote_us) = (3, 2);
        assert_eq!(LinkState::from_json(&state.to_json()).unwrap(), state);
    }
}
