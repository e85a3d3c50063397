//! Schema drift: a system changed the form of its records without telling.
//!
//! While a stream is read first, its contract is learned: what stands at the places that the mapping reads. Afterwards
//! the stage `process` compares every record with it, and what differs becomes a [`Finding`]: one a place, however many
//! records show it. What a finding's [`Policy`] sets aside waits until the mapping is mended ([`redrive`] sees that by
//! itself), until the place shows values again, or until a person accepts the new form ([`accept`]). Nothing is lost
//! meanwhile: the inbox keeps every record, a link keeps what it holds, and nobody is written to on account of a value that
//! is only missing.

mod redrive;
mod refused;
mod shown;

use std::collections::BTreeMap;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::lens::places;
use huiliu_mappings::value::{Issue, MappedRecord};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::link::{LinkKey, LinkState};
use crate::review::Steward;
use crate::store::db::{Result, StoreError, Tx};
use crate::store::drifts::{self, ContractName};
use crate::store::stewards::{self, Command};

pub(crate) use redrive::body_of;
pub use redrive::{Redriven, redrive};
pub(crate) use refused::refused;
pub use shown::{Shown, shown};

/// What is done about records that differ from their contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The new form is taken as it is, and noted.
    Evolve,
    /// The record waits as a whole.
    ParkRow,
    /// The field keeps its last value; the rest of the record goes on.
    ParkValue,
    /// The stream pauses, and what arrived of it waits.
    Stop,
}

impl Policy {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evolve => "evolve",
            Self::ParkRow => "park_row",
            Self::ParkValue => "park_value",
            Self::Stop => "stop",
        }
    }

    /// Reads the word in the store.
    pub fn parse(word: &str) -> Self {
        match word {
            "evolve" => Self::Evolve,
            "park_row" => Self::ParkRow,
            "stop" => Self::Stop,
            _ => Self::ParkValue,
        }
    }
}

/// The policies of a connection's streams; `*` stands for all that are not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policies(pub BTreeMap<String, Policy>);

impl Policies {
    /// What somebody chose for a stream. None: what fits each finding, see [`Policy`] and the process stage.
    pub fn of(&self, stream: &str) -> Option<Policy> {
        self.0.get(stream).or_else(|| self.0.get("*")).copied()
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A place that records always had is gone from all of them.
    Vanished,
    /// A value of a kind that never stood there.
    Retyped,
    /// A word that the mapping's table does not list.
    UnknownValue,
    /// A target refuses writes for the want of a field that nobody maps.
    Refused,
}

impl Kind {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vanished => "vanished",
            Self::Retyped => "retyped",
            Self::UnknownValue => "unknown_value",
            Self::Refused => "refused",
        }
    }

    /// Reads the word in the store.
    pub fn parse(word: &str) -> Self {
        match word {
            "vanished" => Self::Vanished,
            "retyped" => Self::Retyped,
            "refused" => Self::Refused,
            _ => Self::UnknownValue,
        }
    }
}

/// What became of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for a person.
    Open,
    /// It was taken as it is by policy.
    Noted,
    /// A person took it as it is.
    Accepted,
    /// The place shows values again.
    Back,
    /// The mapping was mended.
    Mended,
}

impl State {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Noted => "noted",
            Self::Accepted => "accepted",
            Self::Back => "back",
            Self::Mended => "mended",
        }
    }

    /// Reads the word in the store.
    pub fn parse(word: &str) -> Self {
        match word {
            "noted" => Self::Noted,
            "accepted" => Self::Accepted,
            "back" => Self::Back,
            "mended" => Self::Mended,
            _ => Self::Open,
        }
    }
}

/// What a finding is about, beside its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// The canonical fields that are read there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// The kinds of identities that are read there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    /// Kinds of values that stood there (bits of `lens::places::Kind`).
    #[serde(skip_serializing_if = "is_zero")]
    pub before: u8,
    /// Kinds of values that stand there now.
    #[serde(skip_serializing_if = "is_zero")]
    pub now: u8,
    /// A place that shows the same values for the same records: it may be the new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// How many of how many compared records show the same value there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alike: Option<(usize, usize)>,
    /// What a target said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Records that waited and ran again.
    #[serde(skip_serializing_if = "is_none_yet")]
    pub redriven: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(bits: &u8) -> bool {
    *bits == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_none_yet(count: &i64) -> bool {
    *count == 0
}

/// A difference between a stream's records and its contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its number.
    pub number: i64,
    /// The connection.
    pub connection: String,
    /// The stream.
    pub stream: String,
    /// The lens that reads it.
    pub lens: String,
    /// What was found.
    pub kind: Kind,
    /// Where: a JSON pointer, `*` for any item of a list; of what a target refuses, the name that it gives.
    pub place: String,
    /// More about it.
    pub detail: Detail,
    /// What is done about it.
    pub policy: Policy,
    /// The lens at that time.
    pub digest: String,
    /// What became of it.
    pub state: State,
    /// When, microseconds since 1970 UTC.
    pub made_us: i64,
    /// When it was over.
    pub done_us: Option<i64>,
}

impl Finding {
    /// One sentence about it, in English; personal values are not in it.
    pub fn sentence(&self) -> String {
        let place = &self.place;
        let words = |bits: u8| places::Kind::of_bits(bits).map(places::Kind::word).collect::<Vec<_>>().join("/");
        match self.kind {
            Kind::Vanished => match &self.detail.suggestion {
                Some(to) => format!("{place} vanished from the records; did it become {to}?"),
                None => format!("{place} vanished from the records"),
            },
            Kind::Retyped if self.detail.before == 0 => format!("{place} has items in which the mapping finds nothing"),
            Kind::Retyped => {
                let (before, now) = (words(self.detail.before), words(self.detail.now));
                format!("{place} was {before} and is {now} now")
            }
            Kind::UnknownValue => format!("{place} shows a value that the mapping's table does not list"),
            Kind::Refused => format!("writes are refused for the want of {place}, which nobody maps"),
        }
    }
}

/// A record, a value of it, or a delivery that waits for the end of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// The finding.
    pub drift: i64,
    /// The record; of a delivery, its number stands in place of the id.
    #[serde(serialize_with = "as_text")]
    pub key: LinkKey,
    /// The position in the inbox, or the number of the delivery.
    pub position: i64,
    /// What waits.
    pub part: Part,
    /// The order of the version, if the system tells one.
    pub recency: Option<i64>,
}

fn as_text<S: serde::Serializer>(key: &LinkKey, to: S) -> std::result::Result<S::Ok, S::Error> {
    to.collect_str(key)
}

/// What of a record waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of it.
    Row,
    /// A value; the rest went on.
    Value,
    /// Nothing of a record: a delivery was refused.
    Delivery,
}

impl Part {
    /// The word in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Value => "value",
            Self::Delivery => "delivery",
        }
    }

    /// Reads the word in the store.
    pub fn parse(word: &str) -> Self {
        match word {
            "value" => Self::Value,
            "delivery" => Self::Delivery,
            _ => Self::Row,
        }
    }
}

/// What the records of one lens look like, from one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Whether the first complete read is over: what differs from here on is a finding.
    pub firm: bool,
    /// By JSON pointer, only those that the mapping reads.
    pub places: BTreeMap<String, Expected>,
}

/// What stands at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Expected {
    /// Records looked at.
    pub seen: u32,
    /// Those without this place.
    #[serde(skip_serializing_if = "is_no_record")]
    pub absent: u32,
    /// Bits of the kinds of values met.
    pub kinds: u8,
    /// A person or a policy took it that records come without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Records in a row that lost it: position and id, at most as many as make a finding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<(i64, String)>,
    /// Records in a row that show it while it counts as vanished.
    #[serde(skip_serializing_if = "is_no_record")]
    pub back: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_no_record(count: &u32) -> bool {
    *count == 0
}

/// The digest of a lens: another one means that somebody changed what the records mean.
pub fn digest(lens: &Lens) -> String {
    hex::encode(&Sha256::digest(format!("{lens:?}").as_bytes())[..8])
}

/// A place of a record with `*` for its numbers: one finding speaks for all items of a list.
pub(crate) fn starred(at: &str) -> String {
    let parts = at.split('/').map(|part| if part.parse::<usize>().is_ok() { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Whether a pointer is this place, or leads into it.
pub(crate) fn is_below(at: &str, place: &str) -> bool {
    at.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The code of an issue: the record came without this kind of identity, or without its references (`references`), and the
/// link keeps those it had.
pub(crate) const KEPT: &str = "kept";

/// The word for references in such an issue.
pub(crate) const REFERENCES: &str = "references";

/// Gives a record the evidence that it lost by drift, as these issues say; returns those that are still needed.
pub(crate) fn keep(mapped: &mut MappedRecord, state: &LinkState, issues: &[Issue]) -> Vec<Issue> {
    let mut needed = Vec::new();
    for issue in issues.iter().filter(|issue| issue.code == KEPT) {
        let word = issue.field.as_str();
        let lacks = match word {
            REFERENCES => mapped.references.is_empty(),
            kind => !mapped.identities.iter().any(|it| it.kind.as_str() == kind),
        };
        if !lacks {
            continue;
        }
        if word == REFERENCES {
            mapped.references = state.references.clone();
        } else {
            mapped.identities.extend(state.identities_held.iter().filter(|it| it.kind.as_str() == word).cloned());
        }
        needed.push(issue.clone());
    }
    mapped.identities.sort();
    mapped.identities.dedup();
    needed
}

/// A person takes the new form as it is: the place may be missing, the kind of value may stand there, the word may come
/// without a finding. What waited runs again.
///
/// # Errors
/// [`StoreError::Refused`]: no such finding waits.
pub fn accept(engine: &Engine, number: i64, steward: Steward<'_>) -> Result<Redriven> {
    engine.store.write(|tx| {
        let found = drifts::by_number(tx, number)?.filter(|it| it.state == State::Open);
        let Some(finding) = found else { return Err(StoreError::Refused) };
        let now_us = engine.clock.now_us();
        permit(tx, &finding)?;
        let command = Command {
            number: 0,
            what: "accept_drift".to_owned(),
            detail: serde_json::json!({ "finding": number, "place": finding.place }),
            made_by: steward.name.to_owned(),
            why: steward.why.to_owned(),
            change: 0,
            made_us: now_us,
        };
        stewards::put_command(tx, &command)?;
        drifts::put(tx, &[Finding { state: State::Accepted, done_us: Some(now_us), ..finding }])
    })?;
    redrive(engine)
}

/// The contract allows what was found from now on.
pub(crate) fn permit(tx: &mut Tx<'_>, finding: &Finding) -> Result<()> {
    let name = |source| -> ContractName { (finding.connection.clone(), finding.lens.clone(), source) };
    let mut contracts: Vec<_> = drifts::contracts(tx, &["read", "told"].map(name).into())?.into_iter().collect();
    for (_, contract) in &mut contracts {
        let Some(expected) = contract.places.get_mut(&finding.place) else { continue };
        match finding.kind {
            Kind::Vanished => (expected.optional, expected.run, expected.back) = (true, Vec::new(), 0),
            Kind::Retyped => expected.kinds |= finding.detail.now,
            Kind::UnknownValue | Kind::Refused => {}
        }
    }
    drifts::put_contracts(tx, &contracts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use huiliu_mappings::value::Identity;

    #[test]
    fn one_place_stands_for_all_items() {
        assert_eq!(starred("/lines/12/state"), "/lines/*/state");
        assert_eq!(starred("/level"), "/level");
    }

    #[test]
    fn lost_evidence_is_kept_until_it_is_there_again() {
        let identity = |kind: &str, value: &str| Identity { kind: kind.into(), value: value.to_owned() };
        let held = vec![identity("email", "a@example.com"), identity("phone", "+8613800138000")];
        let state = LinkState { identities_held: held, ..LinkState::default() };
        let issue = |word: &str| Issue {
            field: word.into(),
            at: "/phone".to_owned(),
            code: KEPT.to_owned(),
            message: String::new(),
        };
        let mut mapped =
            MappedRecord { identities: vec![identity("email", "b@example.com")], ..MappedRecord::default() };
        assert_eq!(keep(&mut mapped, &state, &[issue("email"), issue("phone")]), [issue("phone")]);
        assert_eq!(mapped.identities, [identity("email", "b@example.com"), identity("phone", "+8613800138000")]);
    }

    #[test]
    fn policies_are_chosen_by_stream() {
        let policies: Policies = serde_json::from_str(r#"{"orders": "stop", "*": "park_row"}"#).unwrap();
        assert_eq!((policies.of("orders"), policies.of("customers")), (Some(Policy::Stop), Some(Policy::ParkRow)));
        assert_eq!(Policies::default().of("orders"), None);
        for policy in [Policy::Evolve, Policy::ParkRow, Policy::ParkValue, Policy::Stop] {
            assert_eq!(Policy::parse(policy.as_str()), policy);
        }
    }
}
