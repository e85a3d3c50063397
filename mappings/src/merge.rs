//! The golden record: a pure function of what all links said, the pins and the rules.
//!
//! A link that said null has no value now. Its null wins only where recency decides and it is newer than everything
//! that the others said; a preference, the longest, the first and a union only look at values.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::value::{FieldName, Fields};

mod directions;
mod rules;

pub use directions::{Directions, Way};
pub use rules::{Rules, SHIPPED};

use rules::Strategy;

/// A value as a system asserted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Canonical value; null is "cleared".
    pub value: Value,
    /// When, in microseconds since 1970 UTC: the source's instant corrected by the connection's clock offset.
    pub at_us: i64,
}

/// Everything one link contributes.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// Stable key of the link, for provenance and the last tie-break: `connection/lens/external id`.
    pub link: &'a str,
    /// The connection's name.
    pub connection: &'a str,
    /// The connector's name; `prefer:` in the rules names a connection or a connector.
    pub connector: &'a str,
    /// The connection's rank: lower wins a tie of recency.
    pub rank: i32,
    /// Which of its words are heard, and against which no other wins.
    pub directions: &'a Directions,
    /// What the system itself said, by field.
    pub said: &'a BTreeMap<FieldName, Said>,
}

/// A value fixed by a steward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The value; null pins "empty".
    pub value: Value,
    /// Who fixed it.
    pub by: String,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}

/// The surviving view of one real customer (or order, …).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoldenRecord {
    /// Surviving values. Cleared fields are absent.
    pub fields: Fields,
    /// Where each value came from.
    pub provenance: BTreeMap<FieldName, Provenance>,
}

/// Where a golden value came from, and by which rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `connection/lens/external id`, `pin`, or `rule:NAME` of the automation rule that added to it.
    pub link: String,
    /// When that system said it, in microseconds since 1970 UTC.
    pub at_us: i64,
    /// The rule that chose it: `prefer:erp`, `most_recent`, `union`, `pin`, `owns` where the connection owns the field,
    /// `only` when nobody else spoke, `added` to a set by an automation rule.
    pub rule: String,
    /// The values that lost, kept and restorable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// A value that lost against another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// Who said it.
    pub link: String,
    /// What was said.
    pub value: Value,
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
}

/// Words that automation rules add to a set stand among the pins, under the set's name with this sign before it: `+tags`.
pub const ADDED: &str = "+";

/// A link and what it said about one field.
type Speaker<'a> = (&'a Contribution<'a>, &'a Said);

/// The golden record of these contributions. Their order does not matter.
pub fn survive(
    rules: &Rules,
    entity: &str,
    contributions: &[Contribution<'_>],
    pins: &BTreeMap<FieldName, Pin>,
) -> GoldenRecord {
    let mut golden = GoldenRecord::default();
    let added: BTreeMap<FieldName, &Pin> =
        pins.iter().filter_map(|(name, pin)| Some((name.as_str().strip_prefix(ADDED)?.into(), pin))).collect();
    let fixed = pins.keys().filter(|name| !name.as_str().starts_with(ADDED));
    let said = contributions.iter().flat_map(|it| it.said.keys());
    let names: BTreeSet<&FieldName> = said.chain(fixed).chain(added.keys()).collect();
    for name in names {
        let heard = contributions.iter().filter(|it| it.directions.says(entity, name));
        let mut speakers: Vec<Speaker<'_>> = heard.filter_map(|it| Some((it, it.said.get(name)?))).collect();
        speakers.sort_by(latest_first);
        let (value, mut provenance) = match pins.get(name) {
            Some(pin) => (pin.value.clone(), Provenance::new("pin", pin.at_us, "pin")),
            None if speakers.is_empty() && !added.contains_key(name) => continue,
            None if speakers.is_empty() => (Value::Null, Provenance::new("", 0, "union")),
            None => {
                let owners: Vec<Speaker<'_>> =
                    speakers.iter().filter(|(who, _)| who.directions.owns(entity, name)).copied().collect();
                match owners.as_slice() {
                    [] => winner(rules.of(entity, name), &speakers),
                    [(who, said)] if speakers.len() > 1 => {
                        (said.value.clone(), Provenance::new(who.link, said.at_us, "owns"))
                    }
                    // Two owners are equals: between them the rules decide.
                    several => winner(rules.of(entity, name), several),
                }
            }
        };
        provenance.lost = lost(&value, &provenance, &speakers);
        let value = match added.get(name).filter(|_| !pins.contains_key(name)) {
            Some(more) => with(value, more, &mut provenance),
            None => value,
        };
        if !value.is_null() {
            golden.fields.insert(name.clone(), value);
        }
        golden.provenance.insert(name.clone(), provenance);
    }
    golden
}

/// A set with the words that rules added to it; what is no set stays as it is.
fn with(value: Value, more: &Pin, provenance: &mut Provenance) -> Value {
    let known = Some(&value).filter(|value| !value.is_null());
    let Some(all) = union(known.into_iter().chain([&more.value])) else { return value };
    if all != value {
        (provenance.link, provenance.at_us) = (more.by.clone(), more.at_us);
        "added".clone_into(&mut provenance.rule);
    }
    all
}

/// A tie of time falls to whoever has a value, then to the rank, then to the link's name, and at last to the value,
/// so that no two statements are left to the order in which they came.
fn latest_first(a: &Speaker<'_>, b: &Speaker<'_>) -> Ordering {
    b.1.at_us.cmp(&a.1.at_us).then_with(|| a.1.value.is_null().cmp(&b.1.value.is_null())).then_with(|| by_rank(a, b))
}

fn by_rank(a: &Speaker<'_>, b: &Speaker<'_>) -> Ordering {
    let link = || a.0.link.cmp(b.0.link);
    a.0.rank.cmp(&b.0.rank).then_with(link).then_with(|| a.1.value.to_string().cmp(&b.1.value.to_string()))
}

/// The other values, each once, latest first. A union of sets has lost nothing that it contains.
fn lost(winner: &Value, provenance: &Provenance, speakers: &[Speaker<'_>]) -> Vec<Lost> {
    let mut seen = vec![winner];
    let mut lost = Vec::new();
    for (speaker, said) in speakers {
        let united = provenance.rule == "union" && said.value.is_array() && winner.is_array();
        if !united && !said.value.is_null() && !seen.contains(&&said.value) {
            seen.push(&said.value);
            lost.push(Lost { link: speaker.link.to_owned(), value: said.value.clone(), at_us: said.at_us });
        }
    }
    lost
}

impl Provenance {
    fn new(link: &str, at_us: i64, rule: &str) -> Self {
        Self { link: link.to_owned(), at_us, rule: rule.to_owned(), lost: Vec::new() }
    }
}

/// Speakers come latest first, and there is at least one.
fn winner(strategies: &[Strategy], speakers: &[Speaker<'_>]) -> (Value, Provenance) {
    if let [(only, said)] = speakers {
        return (said.value.clone(), Provenance::new(only.link, said.at_us, "only"));
    }
    let spoken = || speakers.iter().filter(|(_, said)| !said.value.is_null());
    for strategy in strategies {
        let found = match strategy {
            Strategy::Prefer(name) => spoken().find(|(who, _)| who.connection == name || who.connector == name),
            Strategy::MostRecent => speakers.first(),
            Strategy::First => spoken().min_by(|a, b| a.1.at_us.cmp(&b.1.at_us).then_with(|| by_rank(a, b))),
            // Of equally long ones the latest: the first of the largest, where `max_by_key` would take the last.
            Strategy::Longest => spoken().rev().max_by_key(|(_, said)| length(&said.value)),
            Strategy::MostFrequent => most_frequent(&spoken().collect::<Vec<_>>()),
            Strategy::Max => furthest(&spoken().collect::<Vec<_>>(), Ordering::Greater),
            Strategy::Min => furthest(&spoken().collect::<Vec<_>>(), Ordering::Less),
            Strategy::Union => match union(spoken().map(|(_, said)| &said.value)) {
                Some(all) => {
                    let latest = spoken().next();
                    let (link, at_us) = latest.map_or(("", 0), |(who, said)| (who.link, said.at_us));
                    return (all, Provenance::new(link, at_us, "union"));
                }
                None => spoken().next(),
            },
        };
        if let Some((who, said)) = found {
            return (said.value.clone(), Provenance::new(who.link, said.at_us, &strategy.word()));
        }
    }
    speakers.first().map_or((Value::Null, Provenance::new("", 0, "none")), |(who, said)| {
        (said.value.clone(), Provenance::new(who.link, said.at_us, "most_recent"))
    })
}

/// Who said latest what more connections say than anything else; none if no value is ahead. Two records of one
/// connection have one voice.
fn most_frequent<'a>(spoken: &[&'a Speaker<'a>]) -> Option<&'a Speaker<'a>> {
    let mut voices: Vec<(&'a Speaker<'a>, BTreeSet<&str>)> = Vec::new();
    for speaker in spoken.iter().copied() {
        let whose = speaker.0.connection;
        match voices.iter_mut().find(|(first, _)| first.1.value == speaker.1.value) {
            Some((_, who)) => drop(who.insert(whose)),
            None => voices.push((speaker, BTreeSet::from([whose]))),
        }
    }
    let most = voices.iter().map(|(_, who)| who.len()).max()?;
    let mut ahead = voices.iter().filter(|(_, who)| who.len() == most);
    let (first, _) = ahead.next()?;
    ahead.next().is_none().then_some(*first)
}

/// Who said latest the largest or the smallest value; none if some of them cannot be compared.
fn furthest<'a>(spoken: &[&'a Speaker<'a>], wanted: Ordering) -> Option<&'a Speaker<'a>> {
    let (first, rest) = spoken.split_first()?;
    let mut best = *first;
    for speaker in rest.iter().copied() {
        if compare(&speaker.1.value, &best.1.value)? == wanted {
            best = speaker;
        }
    }
    Some(best)
}

/// Canonical values by size: numbers, amounts of one currency, instants, dates. Others have none.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    if let (Value::Object(a), Value::Object(b)) = (a, b) {
        let same = a.get("currency").is_some_and(|currency| Some(currency) == b.get("currency"));
        return if same { compare(a.get("amount")?, b.get("amount")?) } else { None };
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (a, b) = (text(a)?, text(b)?);
    if let (Ok(a), Ok(b)) = (a.parse::<Decimal>(), b.parse::<Decimal>()) {
        return Some(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (a.parse::<Timestamp>(), b.parse::<Timestamp>()) {
        return Some(a.cmp(&b));
    }
    let date = |text: &str| text.parse::<jiff::civil::Date>().ok();
    Some(date(&a)?.cmp(&date(&b)?))
}

/// All texts of all sets, sorted; `None` if the values are not sets of texts, or there are none.
fn union<'a>(values: impl Iterator<Item = &'a Value>) -> Option<Value> {
    let mut all: Option<BTreeSet<&str>> = None;
    for value in values {
        let all = all.get_or_insert_default();
        for item in value.as_array()? {
            all.insert(item.as_str()?);
        }
    }
    Some(all?.into_iter().map(|text| Value::String(text.to_owned())).collect())
}

/// Characters of text in a value: an address with more parts filled in is longer.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.iter().map(length).sum(),
        Value::Object(parts) => parts.values().map(length).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
