//! What of a piece of evidence is looked at.

use std::borrow::Cow;
use std::ops::Bound;

use serde_json::Value;

use super::Evidence;
use super::names::{CompanyName, Name};
use super::rules::Rules;
use crate::value::FieldName;

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

pub(super) fn text<'a>(evidence: &'a Evidence, field: &str) -> Option<&'a str> {
    debug_assert!(COMPARED.contains(&field), "{field} is compared, so evidence must carry it");
    evidence.fields.get(field)?.as_str()
}

/// The members of a labelled family. A slash is the character after the dot.
pub(super) fn family<'a>(evidence: &'a Evidence, from: &'a str, to: &'a str) -> impl Iterator<Item = &'a Value> {
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

/// The name as a company: of an organization, and of a record that does not say what it is.
pub(super) fn organization(evidence: &Evidence) -> Option<CompanyName> {
    if text(evidence, "kind") == Some("person") {
        return None;
    }
    CompanyName::parse(text(evidence, "legal_name").or_else(|| text(evidence, "display_name"))?)
}

pub(super) fn company(evidence: &Evidence) -> Option<CompanyName> {
    CompanyName::parse(text(evidence, "company")?)
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
