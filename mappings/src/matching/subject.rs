//! What is compared of a customer, and how: the columns of the models that ship with the hub, and the cells of a record.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::Evidence;
use super::features::{birth_date, family, is_organization, text};
use super::linkage::{Kind, folded, full_name};
use super::names::{spoken_company, spoken_name};
use super::rules::{Rules, Strength};
use crate::chinese::han::has_han;

/// Whom a model was learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// People, and records that do not say what they are.
    Person,
    /// Companies, authorities, associations.
    Organization,
}

/// A record has more e-mail addresses, telephones or addresses than these: the first ones are compared.
const ROWS_MAX: usize = 4;

impl Subject {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Person, Self::Organization];

    /// By whose model these records are compared: an organization's as soon as one of them is one.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Evidence>) -> Self {
        if records.into_iter().any(is_organization) { Self::Organization } else { Self::Person }
    }

    /// Its word: `rules/WORD.model.json` is the file of its model.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Organization => "organization",
        }
    }

    /// Header and kind of the columns of its models; one that was learned from other customers may lack some.
    pub const fn columns(self) -> &'static [(&'static str, Kind)] {
        match self {
            Self::Person => &[
                ("given_name", Kind::GivenName),
                ("family_name", Kind::FamilyName),
                ("full_name", Kind::FullName),
                ("birth_date", Kind::BirthDate),
                ("company", Kind::Company),
                ("email", Kind::Email),
                ("phone", Kind::Phone),
                ("address", Kind::Address),
                ("city", Kind::City),
                ("region", Kind::Region),
                ("postcode", Kind::Postcode),
            ],
            Self::Organization => &[
                ("name", Kind::Name),
                ("email", Kind::Email),
                ("phone", Kind::Phone),
                ("address", Kind::Address),
                ("city", Kind::City),
                ("region", Kind::Region),
                ("postcode", Kind::Postcode),
            ],
        }
    }

    /// Given, middle and family name of a person in the form in which they are compared.
    pub(super) fn spoken(evidence: &Evidence) -> [String; 3] {
        let [given, family, whole] = names(evidence);
        if whole.is_empty() { [folded(&given), String::new(), folded(&family)] } else { full_name(&whole) }
    }

    /// The cells of a record, row by row: the second telephone and the second address stand in a second row, and so on.
    /// Mailboxes and lines that many use are no evidence and left out.
    pub fn rows<'a>(self, rules: &Rules, evidence: &'a Evidence) -> Vec<Vec<Cow<'a, str>>> {
        let (emails, phones) = (values(rules, evidence, "email"), values(rules, evidence, "phone"));
        let places: Vec<[Cow<'a, str>; 4]> = family(evidence, "addresses.", "addresses/").map(place).collect();
        let count = emails.len().max(phones.len()).max(places.len()).clamp(1, ROWS_MAX);
        let value = |of: &[&'a str], at: usize| Cow::Borrowed(of.get(at).copied().unwrap_or_default());
        let row = |at: usize| {
            let mut row = match self {
                Self::Person if at == 0 => person(rules, evidence),
                Self::Person => vec![Cow::Borrowed(""); 5],
                Self::Organization if at == 0 => vec![organization(evidence)],
                Self::Organization => vec![Cow::Borrowed("")],
            };
            row.extend([value(&emails, at), value(&phones, at)]);
            row.extend(places.get(at).cloned().unwrap_or_default());
            row
        };
        (0..count).map(row).collect()
    }
}

/// The values of a kind that tell who bears them.
fn values<'a>(rules: &Rules, evidence: &'a Evidence, kind: &str) -> Vec<&'a str> {
    let of_kind = evidence.identities.iter().filter(|it| rules.base(it.kind.as_str()) == kind);
    let telling = of_kind.filter(|it| rules.strength(it, evidence) > Strength::Weak);
    let distinct: BTreeSet<&str> = telling.map(|it| it.value.as_str()).collect();
    distinct.into_iter().collect()
}

/// Given name, family name, whole name, date of birth, company. The whole name where a record does not have both parts; the
/// one part that there is where it has no whole one.
fn person<'a>(rules: &Rules, evidence: &'a Evidence) -> Vec<Cow<'a, str>> {
    let names = names(evidence);
    let born = Cow::Borrowed(birth_date(rules, evidence).unwrap_or_default());
    let company = text(evidence, "company").map_or(Cow::Borrowed(""), spoken_company);
    names.into_iter().chain([born, company]).collect()
}

fn names(evidence: &Evidence) -> [Cow<'_, str>; 3] {
    let get = |field: &str| text(evidence, field).unwrap_or_default();
    let (given, family, whole) = (get("given_name"), get("family_name"), get("display_name"));
    match (given.is_empty() || family.is_empty(), whole.is_empty()) {
        (true, false) => spoken_name(whole),
        _ => [given, family, ""].map(Cow::Borrowed),
    }
}

/// The name as one of an organization; a person has none.
fn organization(evidence: &Evidence) -> Cow<'_, str> {
    if text(evidence, "kind") == Some("person") {
        return Cow::Borrowed("");
    }
    let name = text(evidence, "legal_name").or_else(|| text(evidence, "display_name"));
    name.map_or(Cow::Borrowed(""), spoken_company)
}

/// Line, city, province, postal code of an address.
fn place(address: &Value) -> [Cow<'_, str>; 4] {
    let part = |name: &str| address.get(name).and_then(Value::as_str).unwrap_or_default();
    [line(address), Cow::Borrowed(part("city")), Cow::Borrowed(part("province")), Cow::Borrowed(part("postal_code"))]
}

/// The line of an address; a Chinese one begins with the district.
pub(super) fn line(address: &Value) -> Cow<'_, str> {
    let part = |name: &str| address.get(name).and_then(Value::as_str).unwrap_or_default();
    let (street, building, district) = (part("street"), part("building"), part("district"));
    match (street, building) {
        ("", "") => Cow::Borrowed(part("text")),
        _ if has_han(street) || has_han(building) => Cow::Owned(format!("{district}{street}{building}")),
        (street, "") => Cow::Borrowed(street),
        _ => Cow::Owned(format!("{street} {building}")),
    }
}
