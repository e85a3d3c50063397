//! The forms in which cells are compared.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::chinese::address::Address;
use crate::chinese::person::{self, Person};
use crate::chinese::{han, phone, place};

/// Cells are cut here: what follows tells no two customers apart.
const CELL_CHARS_MAX: usize = 400;

/// What people write into a cell that has nothing to say.
const NOTHING: &[&str] = &["na", "n a", "null", "none", "nan", "nil", "unknown", "undefined", "无", "未知"];

/// Lower case, half-width, no accents, letters and digits separated by single blanks; empty for words that mean nothing.
pub(in crate::matching) fn folded(raw: &str) -> String {
    // Most cells are what they become.
    if !raw.is_empty()
        && raw.len() < CELL_CHARS_MAX
        && raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return if NOTHING.contains(&raw) { String::new() } else { raw.to_owned() };
    }
    let mut out = String::with_capacity(raw.len());
    if raw.is_ascii() {
        fold(raw.bytes().filter(|b| !matches!(b, b'\'' | b'`')).map(char::from).take(CELL_CHARS_MAX), &mut out);
        return out;
    }
    let plain = raw.nfkd().filter(|c| !is_combining_mark(*c) && !matches!(c, '\'' | '’' | '`')).take(CELL_CHARS_MAX);
    fold(plain.map(han::simplified), &mut out);
    out
}

fn fold(plain: impl Iterator<Item = char>, out: &mut String) {
    let mut gap = false;
    for c in plain.flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            out.push(c);
        } else if c == '&' {
            out.push_str(if out.is_empty() { "and" } else { " and" });
            gap = true;
        } else {
            gap = true;
        }
    }
    if NOTHING.contains(&out.as_str()) {
        out.clear();
    }
}

/// The letters of [`folded`] without blanks.
pub(super) fn solid(raw: &str) -> String {
    folded(raw).replace(' ', "")
}

/// ASCII digits only.
pub(super) fn digits(raw: &str) -> String {
    raw.chars().filter(char::is_ascii_digit).collect()
}

/// The digits without country code and extension, eleven at most; empty for what is no number of a telephone.
pub(super) fn phone(raw: &str) -> String {
    let all = phone::national(raw).unwrap_or_else(|| digits(raw));
    let national = all.strip_prefix('1').filter(|rest| rest.len() == 10).unwrap_or(&all);
    let filler = national.bytes().all(|digit| Some(&digit) == national.as_bytes().first());
    if national.len() < 5 || filler {
        return String::new();
    }
    national[national.len().saturating_sub(11)..].to_owned()
}

/// Lower case, without blanks; empty without an @.
pub(super) fn email(raw: &str) -> String {
    if raw.is_ascii() && raw.bytes().all(|b| b.is_ascii_graphic()) && raw.len() <= 254 {
        return if raw.contains('@') { raw.to_ascii_lowercase() } else { String::new() };
    }
    let address: String = raw.nfkc().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).take(254).collect();
    if address.contains('@') { address } else { String::new() }
}

/// The host of a web address, without `www.`
pub(super) fn host(raw: &str) -> String {
    let lower = raw.trim().to_lowercase();
    let rest = lower.split_once("://").map_or(lower.as_str(), |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let host = host.strip_prefix("www.").unwrap_or(host);
    if host.contains('.') { host.to_owned() } else { String::new() }
}

/// A day; parts that are not known are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Date {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

impl Date {
    /// Reads year first, or month and day first with a year of four digits at the end.
    pub(super) fn parse(raw: &str) -> Self {
        let parts: Vec<&str> = raw.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
        let of = |year: &str, month: &str, day: &str| Self {
            year: year.parse().unwrap_or_default(),
            month: month.parse().unwrap_or_default(),
            day: day.parse().unwrap_or_default(),
        };
        match parts.as_slice() {
            [one] if one.len() == 8 => of(&one[..4], &one[4..6], &one[6..]),
            [year, month, day, ..] if year.len() == 4 => of(year, month, day),
            [month, day, year, ..] if year.len() == 4 => of(year, month, day),
            [year, month] if year.len() == 4 => of(year, month, ""),
            [year] if year.len() == 4 => of(year, "", ""),
            _ => Self::default(),
        }
    }

    /// Year, month and day as eight digits; empty if none is known.
    pub(super) fn text(self) -> String {
        if self == Self::default() {
            return String::new();
        }
        format!("{:04}{:02}{:02}", self.year, self.month, self.day)
    }
}

/// Shortens each street word that has a short form.
pub(super) fn street(folded: &str, short: &BTreeMap<String, String>) -> String {
    let words: Vec<&str> = folded.split(' ').map(|word| short.get(word).map_or(word, String::as_str)).collect();
    words.join(" ")
}

/// The words of [`folded`], Chinese divisions without the word for their rank.
pub(super) fn city(raw: &str) -> String {
    let folded = folded(raw);
    if !han::has_han(&folded) {
        return folded;
    }
    folded.split(' ').map(place::bare).collect::<Vec<_>>().join(" ")
}

/// House number, street and unit of a whole line; of a Chinese one that names no street, its building and its estate.
pub(super) fn address(raw: &str, short: &BTreeMap<String, String>) -> [String; 3] {
    if let Some(address) = Address::parse(raw) {
        let door = address.door();
        let number = if address.number.is_empty() { address.building } else { address.number };
        return [number, if address.road.is_empty() { address.estate } else { address.road }, door];
    }
    let line = street(&folded(raw), short);
    let (mut number, mut rest, mut unit) = (String::new(), Vec::new(), String::new());
    let mut words = line.split(' ').peekable();
    while let Some(word) = words.next() {
        let opens = matches!(word, "apt" | "unit" | "ste" | "suite" | "room" | "rm" | "fl" | "floor");
        if number.is_empty() && rest.is_empty() && word.starts_with(|c: char| c.is_ascii_digit()) {
            word.clone_into(&mut number);
        } else if opens && !rest.is_empty() && words.peek().is_some() {
            unit = words.next().unwrap_or_default().to_owned();
        } else {
            rest.push(word);
        }
    }
    [number, rest.join(" "), unit]
}

/// Given, middle and family name of a whole name: "Li, Lei", "Anna Maria Berg", 欧阳娜娜, "Wang Xiaoming".
pub(in crate::matching) fn full_name(raw: &str) -> [String; 3] {
    if let Some((family, rest)) = raw.split_once([',', '，']) {
        let rest = folded(rest);
        let (given, middle) = rest.split_once(' ').unwrap_or((&rest, ""));
        return [given.to_owned(), middle.to_owned(), folded(family)];
    }
    if let Some(person) = Person::parse(raw) {
        return [person.given, String::new(), person.family];
    }
    let name = folded(raw);
    let words: Vec<&str> = name.split(' ').collect();
    if let Some([given, family]) = person::pinyin(&words) {
        return [given, String::new(), family];
    }
    match words.as_slice() {
        [] => Default::default(),
        [only] => [String::new(), String::new(), (*only).to_owned()],
        [given, middle @ .., family] => [(*given).to_owned(), middle.join(" "), (*family).to_owned()],
    }
}
