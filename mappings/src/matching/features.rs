//! What of a piece of evidence is compared, and how well two pieces agree.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Bound;

use serde_json::Value;

use super::Evidence;
use super::names::{CompanyName, Name};
use super::rules::{Level, Measure, Rules};
use crate::value::FieldName;

/// The comparable values of one piece of evidence.
#[derive(Clone, Debug, Default)]
pub(super) struct Features<'a> {
    /// What the record is, where it says so.
    kind: Option<&'a str>,
    name: Option<Name>,
    birth_date: Option<&'a str>,
    company: Option<CompanyName>,
    organization: Option<CompanyName>,
    cities: BTreeSet<String>,
}

impl<'a> Features<'a> {
    pub(super) fn of(rules: &Rules, evidence: &'a Evidence) -> Self {
        let cities =
            family(evidence, "addresses.", "addresses/").filter_map(|address| city(address.get("city")?.as_str()?));
        Self {
            kind: text(evidence, "kind"),
            name: name(evidence),
            birth_date: birth_date(rules, evidence),
            company: company(evidence),
            organization: Self::organization(evidence),
            cities: cities.collect(),
        }
    }

    /// The name as a company: of an organization, and of a record that does not say what it is.
    pub(super) fn organization(evidence: &Evidence) -> Option<CompanyName> {
        if text(evidence, "kind") == Some("person") {
            return None;
        }
        CompanyName::parse(text(evidence, "legal_name").or_else(|| text(evidence, "display_name"))?)
    }

    /// How well one thing agrees; `None` where one side does not speak of it.
    pub(super) fn compare(&self, other: &Features<'_>, measure: Measure) -> Option<Level> {
        let organizations = self.kind == Some("organization") || other.kind == Some("organization");
        match measure {
            Measure::Identity => None,
            Measure::Kind => Some(if self.kind? == other.kind? { Level::Same } else { Level::Different }),
            Measure::Name if organizations => None,
            Measure::Name => self.name.as_ref()?.compare(other.name.as_ref()?),
            Measure::BirthDate => Some(compare_dates(self.birth_date?, other.birth_date?)),
            Measure::Company => Some(self.company.as_ref()?.compare(other.company.as_ref()?)),
            Measure::Organization if !organizations => None,
            Measure::Organization => Some(self.organization.as_ref()?.compare(other.organization.as_ref()?)),
            Measure::City if self.cities.is_empty() || other.cities.is_empty() => None,
            Measure::City => Some(if self.cities.is_disjoint(&other.cities) { Level::Different } else { Level::Same }),
        }
    }
}

/// The fields that are compared or make blocks; labelled families end with a dot.
const COMPARED: [&str; 9] = [
    "addresses.",
    "birth_date",
    "company",
    "display_name",
    "family_name",
    "given_name",
    "kind",
    "legal_name",
    "phones.",
];

/// Whether matching looks at this field: evidence need not carry any other.
pub fn compares(field: &FieldName) -> bool {
    let name = field.as_str();
    COMPARED.iter().any(|known| if known.ends_with('.') { name.starts_with(known) } else { name == *known })
}

fn text<'a>(evidence: &'a Evidence, field: &str) -> Option<&'a str> {
    debug_assert!(COMPARED.contains(&field), "{field} is compared, so evidence must carry it");
    evidence.fields.get(field)?.as_str()
}

/// The members of a labelled family. A slash is the character after the dot.
fn family<'a>(evidence: &'a Evidence, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a Value> {
    evidence.fields.range::<str, _>((Bound::Included(from), Bound::Excluded(to))).map(|(_, value)| value)
}

pub(super) fn is_organization(evidence: &Evidence) -> bool {
    text(evidence, "kind") == Some("organization")
}

/// Family and given name where a record has both; else the display name; else the one part that there is.
pub(super) fn name(evidence: &Evidence) -> Option<Name> {
    let (family, given) = (text(evidence, "family_name"), text(evidence, "given_name"));
    let raw = match (family, given, text(evidence, "display_name")) {
        (Some(family), Some(given), _) => Cow::Owned(format!("{family} {given}")),
        (_, _, Some(display)) => Cow::Borrowed(display),
        (family, given, None) => Cow::Borrowed(family.or(given)?),
    };
    Name::parse(&raw)
}

pub(super) fn birth_date<'a>(rules: &Rules, evidence: &'a Evidence) -> Option<&'a str> {
    text(evidence, "birth_date").filter(|date| !rules.unknown_dates.contains(*date))
}

pub(super) fn company(evidence: &Evidence) -> Option<CompanyName> {
    CompanyName::parse(text(evidence, "company")?)
}

fn city(raw: &str) -> Option<String> {
    let city: String = raw.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let bare = city.strip_suffix('市').filter(|bare| !bare.is_empty()).map(str::to_owned);
    bare.or_else(|| (!city.is_empty()).then_some(city))
}

/// What kind of line this number is, as the evidence says, or as its digits tell.
pub(super) fn line_type<'a>(evidence: &'a Evidence, number: &str) -> &'a str {
    let said = family(evidence, "phones.", "phones/")
        .filter(|phone| phone.get("number").and_then(Value::as_str) == Some(number))
        .find_map(|phone| phone.get("type")?.as_str());
    said.unwrap_or_else(|| match number.strip_prefix("+86") {
        Some(national) if national.starts_with("400") || national.starts_with("800") => "toll_free",
        Some(national) if national.len() == 11 && national.starts_with('1') => "mobile",
        Some(_) => "landline",
        None => "other",
    })
}

/// Dates are `YYYY-MM-DD`.
fn compare_dates(a: &str, b: &str) -> Level {
    let parts = |date: &str| -> Option<(String, String, String)> {
        let mut parts = date.splitn(3, '-').map(str::to_owned);
        Some((parts.next()?, parts.next()?, parts.next()?))
    };
    if a == b {
        return Level::Same;
    }
    let digits_differ = a.bytes().zip(b.bytes()).filter(|(a, b)| a != b).count();
    let swapped = matches!((parts(a), parts(b)), (Some(a), Some(b)) if a.0 == b.0 && a.1 == b.2 && a.2 == b.1);
    if swapped || (a.len() == b.len() && digits_differ == 1) { Level::Similar } else { Level::Different }
}
