//! What the comparisons and the blocking rules look at, taken from the columns.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::columns::Kind;
use super::forms::{self, Date};
use super::similar::{Letters, Spelling};
use super::table::{Column, Feature, Id, Shape, Table, Texts};
use crate::chinese::address::Address;
use crate::chinese::company::Company;
use crate::chinese::han::has_han;
use crate::chinese::ids;

/// A feature whose values are compared letter by letter.
pub(super) struct Spelled {
    pub feature: Feature,
    pub(super) letters: Spelling,
}

impl Spelled {
    fn of(feature: Feature) -> Self {
        let letters = feature.values.iter().collect();
        Self { feature, letters }
    }

    /// The letters of a value.
    pub(super) fn letters(&self, value: usize) -> Letters<'_> {
        self.letters.at(value)
    }
}

/// A feature whose values are compared word by word.
pub(super) struct Worded {
    pub feature: Feature,
    /// The words of each value, in the order of their letters.
    pub words: Vec<Box<[u32]>>,
    pub spelled: Spelling,
    pub texts: Texts,
    /// How telling each word is: the logarithm of how many records bear it to one that does not.
    pub weights: Vec<f64>,
    /// Records that bear each word.
    pub counts: Vec<u32>,
    /// The letters of each value without its blanks.
    pub solid: Vec<u64>,
    /// The values that are names of Chinese companies, taken apart; none at all where none is.
    pub companies: Vec<Option<Company>>,
    /// How common the 字号 of each is, 0 to 1.
    pub brands: Vec<f64>,
}

/// Words of a value beyond these are not compared.
const WORDS_MAX: usize = 24;

impl Worded {
    fn of(feature: Feature) -> Self {
        let mut known: FxHashMap<&str, u32> = FxHashMap::default();
        let mut texts = Texts::default();
        let mut counts: Vec<u32> = Vec::new();
        let mut words = Vec::with_capacity(feature.values.len());
        for (value, count) in feature.values.iter().zip(&feature.counts) {
            let mut id = |word| {
                *known.entry(word).or_insert_with(|| {
                    texts.push(word);
                    counts.push(0);
                    super::choose::number(texts.len() - 1)
                })
            };
            let of: Box<[u32]> = words_of(value).into_iter().map(&mut id).collect();
            for word in &of {
                counts[*word as usize] += count;
            }
            words.push(of);
        }
        let weights = counts.iter().map(|count| weight(feature.filled, *count)).collect();
        let spelled = texts.iter().collect();
        let solid = feature.values.iter().map(solid).collect();
        Self { feature, words, spelled, texts, weights, counts, solid, companies: Vec::new(), brands: Vec::new() }
    }

    /// Names of organisations: Chinese ones are taken apart. Where a model `is_known`, a full name and the same words without
    /// their form are two values, so that what a value says does not depend on other rows: a blank at its end tells the full one.
    fn of_companies(rows: usize, columns: &[&Column], is_known: bool) -> Option<Self> {
        let known: RefCell<FxHashMap<String, Company>> = RefCell::default();
        let feature = Feature::joined(rows, columns, |cell| {
            let Some(company) = Company::parse(cell) else { return forms::folded(cell) };
            let is_full = company.is_full;
            let text = company.text() + if is_known && is_full { " " } else { "" };
            // The same words once with their form and once without: with it they are the full name.
            known.borrow_mut().entry(text.clone()).or_insert(company).is_full |= is_full;
            text
        })?;
        let mut known = known.into_inner();
        let mut it = Self::of(feature);
        if known.is_empty() && !is_known {
            return Some(it);
        }
        it.companies = it.feature.values.iter().map(|value| known.remove(value)).collect();
        let counts = it.brand_counts();
        let share = |company: &Option<Company>| company.as_ref().map_or(0.0, |it| counts[it.brand.as_str()].into());
        it.brands = it.companies.iter().map(|company| share(company) / it.feature.enough()).collect();
        Some(it)
    }

    /// Records that bear each 字号.
    pub(super) fn brand_counts(&self) -> FxHashMap<&str, u32> {
        let mut counts: FxHashMap<&str, u32> = FxHashMap::default();
        for (company, count) in self.companies.iter().zip(&self.feature.counts) {
            if let Some(company) = company {
                *counts.entry(&company.brand).or_default() += count;
            }
        }
        counts
    }
}

/// The distinct words of a value in an order that is theirs, whatever came before: what is summed over them is the same then.
pub(super) fn words_of(value: &str) -> Vec<&str> {
    let mut words: Vec<&str> = value.split(' ').filter(|word| !word.is_empty()).take(WORDS_MAX).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// How telling a word is that so many of the `filled` records bear.
pub(super) fn weight(filled: u32, count: u32) -> f64 {
    (1.0 + f64::from(filled) / f64::from(count)).ln()
}

/// What is left of a value without its blanks.
pub(super) fn solid(value: &str) -> u64 {
    super::block::hash(&value.replace(' ', ""))
}

/// Everything that rows are compared by. What no column holds is absent.
#[derive(Default)]
pub(super) struct Features {
    pub rows: usize,
    pub shape: Shape,
    pub source: Option<Feature>,
    pub given: Option<Spelled>,
    pub middle: Option<Spelled>,
    pub family: Option<Spelled>,
    pub birth: Option<(Spelled, Vec<Date>)>,
    pub sex: Option<Feature>,
    pub email: Option<(Spelled, Spelling)>,
    pub phones: Vec<Spelled>,
    pub identifiers: Vec<Spelled>,
    /// Of which of them one customer has exactly one.
    pub sole: Vec<bool>,
    pub number: Option<Spelled>,
    pub street: Option<Spelled>,
    pub unit: Option<Feature>,
    pub po_box: Option<Feature>,
    /// House number and street together.
    pub place: Option<Feature>,
    /// Addresses written in Chinese, with the region and the city before them, and taken apart.
    pub chinese: Option<(Feature, Vec<Option<Address>>)>,
    pub city: Option<Spelled>,
    pub region: Option<Spelled>,
    pub postcode: Option<Spelled>,
    pub host: Option<Feature>,
    pub categories: Vec<Worded>,
    pub numbers: Vec<(Feature, Vec<f64>)>,
    pub name: Option<Worded>,
    /// Employer, contact, more of an address, free texts.
    pub texts: Vec<Worded>,
}

impl Features {
    pub(super) fn of(table: &Table, streets: &BTreeMap<String, String>) -> Self {
        let rows = table.rows;
        let joined = |kind, form: &dyn Fn(&str) -> String| Feature::joined(rows, &table.of(kind), form);
        let spelled = |kind, form: &dyn Fn(&str) -> String| joined(kind, form).map(Spelled::of);
        let worded = |kind| joined(kind, &forms::folded).map(Worded::of);
        let each = |kind, form: &dyn Fn(&str) -> String| {
            table.of(kind).into_iter().map(|column| Feature::of(column, form)).collect::<Vec<_>>()
        };
        let [given, middle, family] = names(table);
        let [number, street, unit] = address(table, streets);
        let place = number.as_ref().zip(street.as_ref()).map(|(number, street)| both(number, street));
        let companies = |kind| Worded::of_companies(rows, &table.of(kind), table.shape.is_some());
        let mut texts: Vec<Worded> = companies(Kind::Company).into_iter().collect();
        texts.extend([Kind::Contact, Kind::AddressExtra].into_iter().filter_map(worded));
        texts.extend(each(Kind::Text, &forms::folded).into_iter().map(Worded::of));
        let (birth, is_day_first) = birth(table);
        let (phones, without_area) = phones(table, each(Kind::Phone, &forms::phone));
        let identifiers = [(Kind::Identifier, false), (Kind::SoleIdentifier, true)].into_iter();
        let identifiers: Vec<(Feature, bool)> = identifiers
            .flat_map(|(kind, is_sole)| each(kind, &identifier).into_iter().map(move |it| (it, is_sole)))
            .collect();
        let numbers: Vec<&Feature> = identifiers.iter().map(|(it, _)| it).collect();
        let (checked, chinese) = (checked(table, &numbers), chinese_addresses(table));
        let mut features = Self {
            rows,
            shape: Shape {
                is_day_first,
                without_area,
                in_pinyin: in_pinyin(table, [&given, &family]),
                checked,
                is_chinese: chinese.is_some(),
            },
            source: joined(Kind::Source, &forms::folded),
            given: given.map(Spelled::of),
            middle: middle.map(Spelled::of),
            family: family.map(Spelled::of),
            birth,
            sex: joined(Kind::Sex, &|cell| forms::folded(cell).chars().take(1).collect()),
            email: spelled(Kind::Email, &forms::email).map(|email| {
                let local = |value: &'_ str| value.split('@').next().unwrap_or_default().len();
                let locals = email.feature.values.iter().map(|value| &value[..local(value)]).collect();
                (email, locals)
            }),
            phones: phones.into_iter().map(Spelled::of).collect(),
            sole: identifiers.iter().map(|(_, is_sole)| *is_sole).collect(),
            identifiers: identifiers.into_iter().map(|(it, _)| Spelled::of(it)).collect(),
            number: number.map(Spelled::of),
            street: street.map(Spelled::of),
            unit,
            chinese,
            po_box: joined(Kind::PoBox, &forms::digits),
            place,
            city: spelled(Kind::City, &forms::city),
            region: spelled(Kind::Region, &forms::city),
            postcode: spelled(Kind::Postcode, &postcode),
            host: joined(Kind::Url, &forms::host),
            categories: each(Kind::Category, &forms::folded).into_iter().map(Worded::of).collect(),
            numbers: each(Kind::Number, &number_text).into_iter().map(with_numbers).collect(),
            name: companies(Kind::Name),
            texts,
        };
        match table.shape {
            None => features.retain(|_, feature| feature.filled > 0),
            Some(_) => features.name_places(),
        }
        features
    }

    /// Gives places their texts, by which it is found how common they are.
    pub(super) fn name_places(&mut self) {
        let text = |number: &str, street: &str| {
            if number.is_empty() || street.is_empty() { String::new() } else { format!("{number}\n{street}") }
        };
        if let (Some(_), Some(number), Some(street)) = (&self.place, &self.number, &self.street) {
            let of = |row: usize| text(number.feature.get(row), street.feature.get(row));
            self.place = Some(Feature::of_rows(self.rows, of));
        }
    }
}

/// Whether given names and family names sound as in pinyin: those among which any is in characters.
fn in_pinyin(table: &Table, names: [&Option<Feature>; 2]) -> [bool; 2] {
    let learned = |names: &Option<Feature>| names.as_ref().is_some_and(|names| names.values.iter().any(has_han));
    table.shape.as_ref().map_or_else(|| names.map(learned), |shape| shape.in_pinyin)
}

/// Given, middle and family names, from columns of their own or out of whole names.
fn names(table: &Table) -> [Option<Feature>; 3] {
    let rows = table.rows;
    let whole = table.of(Kind::FullName);
    let parts = [Kind::GivenName, Kind::MiddleName, Kind::FamilyName];
    std::array::from_fn(|at| {
        let own = Feature::joined(rows, &table.of(parts[at]), forms::folded);
        let [full] = whole.as_slice() else { return own };
        let split = Feature::of(full, |cell| forms::full_name(cell)[at].clone());
        Some(match own {
            Some(own) => own_or(rows, &own, &split),
            None => split,
        })
    })
}

fn own_or(rows: usize, own: &Feature, split: &Feature) -> Feature {
    Feature::of_rows(rows, |row| (if own.has(row) { own.get(row) } else { split.get(row) }).to_owned())
}

/// House number, street and unit, from columns of their own or out of address lines.
fn address(table: &Table, streets: &BTreeMap<String, String>) -> [Option<Feature>; 3] {
    let rows = table.rows;
    let lines = table.of(Kind::Address);
    let parts = [Kind::StreetNumber, Kind::Street, Kind::Unit];
    std::array::from_fn(|at| {
        let form = |cell: &str| forms::street(&forms::folded(cell), streets);
        let own = Feature::joined(rows, &table.of(parts[at]), form);
        let split = Feature::joined(rows, &lines, |cell| forms::address(cell, streets)[at].clone());
        match (own, split) {
            (Some(own), Some(split)) => Some(own_or(rows, &own, &split)),
            (own, split) => own.or(split),
        }
    })
}

/// Addresses written in Chinese; none at all where no cell has one.
fn chinese_addresses(table: &Table) -> Option<(Feature, Vec<Option<Address>>)> {
    let lines = table.of(Kind::Address);
    let learned = || lines.iter().any(|column| column.values.iter().any(has_han));
    if !table.shape.as_ref().map_or_else(learned, |shape| shape.is_chinese) {
        return None;
    }
    let above: Vec<&Column> = [Kind::Region, Kind::City].into_iter().flat_map(|kind| table.of(kind)).collect();
    let cells = |columns: &[&Column], row: usize| columns.iter().map(|column| column.get(row)).collect::<String>();
    let whole = Feature::of_rows(table.rows, |row| match cells(&lines, row) {
        line if has_han(&line) => cells(&above, row) + &line,
        _ => String::new(),
    });
    let parsed = whole.values.iter().map(Address::parse).collect();
    Some((whole, parsed))
}

/// Which columns of identifiers are numbers with a check character.
fn checked(table: &Table, numbers: &[&Feature]) -> Vec<bool> {
    let learned = || numbers.iter().map(|it| are_checked(it)).collect();
    table.shape.as_ref().map_or_else(learned, |shape| shape.checked.clone())
}

/// Whether most of the numbers of eighteen characters have the check character that such Chinese numbers have.
fn are_checked(numbers: &Feature) -> bool {
    let long: Vec<String> = numbers.values.iter().filter(|it| it.len() == 18).map(ids::clean).collect();
    let right = long.iter().filter(|code| ids::is_known(code)).count();
    right > 0 && 2 * right >= long.len()
}

/// Two features as one: equal where both are. Its values have no texts.
fn both(one: &Feature, other: &Feature) -> Feature {
    let mut known: FxHashMap<(Id, Id), Id> = FxHashMap::default();
    let mut counts = vec![0];
    let ids: Vec<Id> = (one.ids.iter().zip(&other.ids))
        .map(|(x, y)| {
            let id = if *x == 0 || *y == 0 {
                0
            } else {
                *known.entry((*x, *y)).or_insert_with(|| {
                    counts.push(0);
                    Id::try_from(counts.len() - 1).expect("fewer than rows")
                })
            };
            counts[id as usize] += 1;
            id
        })
        .collect();
    let filled = super::choose::number(ids.len()) - counts[0];
    Feature { ids, values: Texts::default(), counts, filled }
}

/// Dates of birth, and whether the day stands first in them: months over twelve tell.
fn birth(table: &Table) -> (Option<(Spelled, Vec<Date>)>, bool) {
    let rows = table.rows;
    let dates = table.of(Kind::BirthDate);
    let parts = [Kind::BirthYear, Kind::BirthMonth, Kind::BirthDay].map(|kind| table.of(kind));
    let raw = if dates.is_empty() {
        if parts.iter().all(Vec::is_empty) {
            return (None, false);
        }
        Some(Feature::of_rows(rows, |row| {
            let part = |at: usize| parts[at].first().map_or("", |column| column.get(row));
            let date = Date {
                year: part(0).parse().unwrap_or_default(),
                month: part(1).parse().unwrap_or_default(),
                day: part(2).parse().unwrap_or_default(),
            };
            date.text()
        }))
    } else {
        Feature::joined(rows, &dates, |cell| Date::parse(cell).text())
    };
    let Some(raw) = raw else { return (None, false) };
    let parsed: Vec<Date> = raw.values.iter().map(Date::parse).collect();
    let over = |part: fn(&Date) -> u8| parsed.iter().filter(|date| part(date) > 12).count();
    let learned = || over(|date| date.month) > over(|date| date.day);
    if !table.shape.as_ref().map_or_else(learned, |shape| shape.is_day_first) {
        return (Some((Spelled::of(raw), parsed)), false);
    }
    let turned: Vec<Date> = parsed.iter().map(|date| Date { month: date.day, day: date.month, ..*date }).collect();
    let texts: Vec<String> = turned.iter().map(|date| date.text()).collect();
    let values = texts.iter().map(String::as_str).collect();
    (Some((Spelled::of(Feature { values, ..raw }), turned)), true)
}

/// Telephone numbers column by column, and which of them are compared without area code: those where a good part bears none.
fn phones(table: &Table, columns: Vec<Feature>) -> (Vec<Feature>, Vec<bool>) {
    let read = |(at, phone): (usize, Feature)| {
        let learned = || 20 * phone.values.iter().filter(|value| value.len() == 7).count() > phone.values.len();
        let known = |shape: &Shape| shape.without_area.get(at).copied().unwrap_or_default();
        let is_short = table.shape.as_ref().map_or_else(learned, known);
        (if is_short { without_area(&phone) } else { phone }, is_short)
    };
    columns.into_iter().enumerate().map(read).unzip()
}

fn without_area(phone: &Feature) -> Feature {
    Feature::of_rows(phone.ids.len(), |row| {
        let value = phone.get(row);
        value.strip_prefix(value.get(..3).filter(|_| value.len() == 10).unwrap_or_default()).unwrap_or(value).to_owned()
    })
}

/// Letters and digits; too short ones tell nothing. The older number of a resident's card becomes the newer one.
fn identifier(cell: &str) -> String {
    let solid = forms::solid(cell);
    if solid.len() == 15
        && let Some(card) = ids::resident(&solid)
    {
        return card.to_lowercase();
    }
    if solid.chars().count() < 3 { String::new() } else { solid }
}

/// Letters and digits; nothing but zeros is none.
fn postcode(cell: &str) -> String {
    let solid = forms::solid(cell);
    if solid.bytes().all(|byte| byte == b'0') { String::new() } else { solid }
}

/// A number in its plainest form; empty for what is none.
fn number_text(cell: &str) -> String {
    let plain: String = cell.chars().filter(|c| c.is_ascii_digit() || matches!(c, '.' | '-')).collect();
    plain.parse::<f64>().ok().filter(|number| number.is_finite()).map_or(String::new(), |number| number.to_string())
}

fn with_numbers(feature: Feature) -> (Feature, Vec<f64>) {
    let numbers = feature.values.iter().map(|value| value.parse().unwrap_or_default()).collect();
    (feature, numbers)
}
