//! A link: one record of one connection, the golden record it belongs to, and what makes sync a three-way merge.
//!
//! **held** is what we last knew the remote record to hold; **said** is what that system itself last asserted, and
//! when. A value that we wrote is held, never said, so it neither wins a merge nor links two records.

mod copies;
mod hear;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use huiliu_mappings::matching::{self, Evidence, identity_hash};
use huiliu_mappings::merge::Said;
use huiliu_mappings::value::{EntityName, FieldName, Fields, Identity, MappedRecord, Reference};

use crate::connector::{ConnectionName, ExternalId, Version};
use crate::engine::Engine;

pub use copies::{Holds, found, shows_over, shows_part, shows_write, written};

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

    /// Takes in its record as the system shows it now, and says what it said thereby.
    pub(crate) fn hear(&mut self, engine: &Engine, shown: MappedRecord, at_us: i64) -> Heard {
        let word = engine.words_of(self.key.connection.as_str(), self.entity.as_str());
        self.state.hear(shown, at_us, word)
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

/// What a record, as it was shown, said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// The fields that the system thereby asserted, each with what the record held before. Empty: an echo or a repeat.
    pub said: Vec<(FieldName, serde_json::Value)>,
    /// Whether it shows something new in a field about which its word does not count.
    pub unsaid: bool,
}

/// How far a system's word about a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Not at all.
    Unheard,
    /// As one value.
    Whole,
    /// Item by item, as others may put theirs into the same set: what stood there before, somebody else said.
    Items,
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
    /// Identities that the system asserted and that we wrote over: its word stands, though the record does not show it.
    pub identities_over: Vec<Identity>,
    /// Identities that the system asserted and took away itself, the last sixteen.
    pub identities_gone: Vec<Identity>,
    /// Whom the record belongs to.
    pub references: Vec<Reference>,
    /// When our last write to it was answered, it was last found gone, or something new was last heard of a record that
    /// can be read alone, microseconds since 1970 UTC; 0: never. What was read before may show the record as it was then.
    pub fresh_us: i64,
    /// When the last of our writes to it that arrived, or may have before somebody edited it, was planned, microseconds
    /// since 1970 UTC; 0: never. Whoever edits the record after that has seen what was known then.
    pub wrote_us: i64,
}

impl LinkState {
    /// Takes in what the target stored after our write: held, never said. A value the target changed on storing is
    /// still our write.
    pub fn wrote(&mut self, sent: &Fields, stored: Holds) {
        for (field, value) in stored.fields {
            match sent.get(&field) {
                Some(ours) if *ours != value => self.written.insert(field.clone(), ours.clone()),
                _ => self.written.remove(&field),
            };
            self.held.insert(field, value);
        }
        let stays = |it: &Identity| !stored.kinds.contains(&it.kind) || stored.identities.contains(it);
        self.identities_held.retain(stays);
        let (own, over) = std::mem::take(&mut self.identities).into_iter().partition(stays);
        self.identities = own;
        self.identities_over.extend::<Vec<Identity>>(over);
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
            && same(&self.identities_over, &other.identities_over)
            && same(&self.identities_gone, &other.identities_gone)
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

    /// What this link contributes to matching, taken by itself.
    pub fn evidence(&self) -> Evidence {
        let fields = self.said.iter().filter(|(field, said)| !said.value.is_null() && matching::compares(field));
        Evidence {
            fields: fields.map(|(field, said)| (field.clone(), said.value.clone())).collect(),
            identities: self.identities.iter().chain(&self.identities_over).cloned().collect(),
        }
    }
}

/// What the links of one golden record contribute to matching. What one of them took away itself, the others do not hold
/// against time: a record that does not even show it any more is no proof of it, and a number may be somebody else's now.
pub fn evidence_of<'a>(links: impl IntoIterator<Item = &'a LinkState>) -> Vec<Evidence> {
    let links: Vec<&LinkState> = links.into_iter().collect();
    let gone: BTreeSet<&Identity> = links.iter().flat_map(|it| &it.identities_gone).collect();
    let of = |state: &&LinkState| {
        let mut evidence = state.evidence();
        evidence.identities.retain(|it| state.identities.contains(it) || !gone.contains(it));
        evidence
    };
    links.iter().map(of).collect()
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

    fn holds(record: MappedRecord, kinds: &[&str]) -> Holds {
        let kinds = kinds.iter().map(|kind| (*kind).into()).collect();
        Holds { fields: record.fields, identities: record.identities, kinds }
    }

    fn hear(state: &mut LinkState, record: MappedRecord, at_us: i64) -> Vec<(FieldName, serde_json::Value)> {
        state.hear(record, at_us, |_| Word::Whole).said
    }

    #[test]
    fn a_field_without_a_voice_is_held_and_not_said() {
        let mut state = LinkState::default();
        let heard = state.hear(record(&[("title", json!("Dr"))], &[]), 1, |_| Word::Unheard);
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
        state.wrote(&prof.fields.clone(), holds(prof, &[]));
        assert!(hear(&mut state, record(&[("title", json!("Prof"))], &[]), 2).is_empty());
        assert_eq!(state.said[&FieldName::from("title")].value, json!("Dr"));
        let again = hear(&mut state, record(&[("title", json!("Dr"))], &[]), 3);
        assert_eq!(again, vec![("title".into(), json!("Prof"))], "what it held before is told, too");
    }

    #[test]
    fn copies_in_a_set_are_not_said() {
        let mut state = LinkState::default();
        let hear = |state: &mut LinkState, tags: &[&str], at_us| {
            state.hear(record(&[("tags", json!(tags))], &[]), at_us, |_| Word::Items);
            state.said[&FieldName::from("tags")].value.clone()
        };
        assert_eq!(hear(&mut state, &["own"], 1), json!(["own"]));
        let all = record(&[("tags", json!(["others", "own"]))], &[]);
        state.wrote(&all.fields.clone(), holds(all, &[]));
        assert_eq!(hear(&mut state, &["new", "others", "own"], 2), json!(["new", "own"]));
        assert_eq!(hear(&mut state, &["new", "others"], 3), json!(["new"]));
        assert_eq!(hear(&mut state, &["others"], 4), json!(null));
        assert_eq!(hear(&mut state, &["others", "own"], 5), json!(["own"]), "typed again, it is its own again");
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
        state.wrote(&sent, holds(record(&[("title", json!("Prof"))], &[]), &[]));
        assert!(!state.lacks(&"title".into(), &json!("prof")) && !state.lacks(&"title".into(), &json!("Prof")));
        assert_eq!(hear(&mut state, record(&[("title", json!("Dr"))], &[]), 1).len(), 1);
        assert!(state.lacks(&"title".into(), &json!("prof")), "a human edit is a difference again");
    }

    #[test]
    fn copies_are_not_evidence() {
        let mut state = LinkState::default();
        hear(&mut state, record(&[("title", json!("Dr"))], &[("email", "a@example.com")]), 1);
        state.wrote(&Fields::new(), holds(record(&[], &[("phone", "+8613800138000")]), &["phone"]));
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
    fn an_identity_that_we_wrote_over_is_its_own_again_once_it_is_back() {
        let mut state = LinkState::default();
        let shown = |email: &str| record(&[], &[("email", email)]);
        let own = |state: &LinkState| state.identities.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
        hear(&mut state, shown("a@example.com"), 1);
        state.wrote(&Fields::new(), holds(shown("b@example.com"), &["email"]));
        assert_eq!((own(&state).len(), state.evidence().identities.len()), (0, 1), "its word stands");
        hear(&mut state, shown("b@example.com"), 2);
        state.wrote(&Fields::new(), holds(shown("a@example.com"), &["email"]));
        assert_eq!(LinkState::from_json(&state.to_json()).unwrap(), state);
        hear(&mut state, shown("a@example.com"), 3);
        assert_eq!(own(&state), ["a@example.com"]);
        state.wrote(&Fields::new(), holds(shown("b@example.com"), &["email"]));
        hear(&mut state, shown("c@example.com"), 4);
        assert_eq!(own(&state), ["c@example.com"]);
        assert_eq!(state.identities_gone[0].value, "a@example.com");
        assert_eq!(LinkState::from_json(&state.to_json()).unwrap(), state);
        state.wrote(&Fields::new(), holds(shown("a@example.com"), &["email"]));
        hear(&mut state, shown("a@example.com"), 5);
        assert_eq!(own(&state), [""; 0], "it gave it up itself: now it is a copy");
    }

    #[test]
    fn what_a_record_inherits_are_copies_that_it_holds() {
        let mut former = LinkState::default();
        hear(&mut former, record(&[("title", json!("Dr")), ("remark", json!("x"))], &[("phone", "+8613800138000")]), 1);
        let mut heir = LinkState::default();
        hear(&mut heir, record(&[("company", json!("乙"))], &[("email", "a@example.com")]), 2);
        assert!(!heir.clone().inherit(&former), "it holds nothing of it");
        let sent = record(&[("title", json!("Dr"))], &[]).fields;
        heir.wrote(&sent, holds(record(&[("title", json!("Dr"))], &[("phone", "+8613800138000")]), &["phone"]));
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
        let other = record(&[("company", json!("乙"))], &[("phone", "+8613800138000"), ("email", "b@example.com")]);
        state.wrote(&sent, holds(other, &["phone", "email"]));
        (state.fresh_us, state.wrote_us) = (3, 2);
        assert_eq!(LinkState::from_json(&state.to_json()).unwrap(), state);
    }
}
