//! Which pairs are worth comparing: keys that alike records share. A rule is one part of a key, or two together.

use std::hash::Hasher as _;

use rustc_hash::FxHasher;

use super::features::{Features, Spelled, Worded};
use super::similar::sound;
use super::table::{Feature, Id};

/// Keys that one row has by one part, at most.
const KEYS_MAX: usize = 4;

/// Never 0, which stands for no key.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish() | 1
}

pub(super) fn mixed(one: u64, other: u64) -> u64 {
    let mixed = (one ^ other).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

/// The keys of each distinct value.
enum Keys {
    One(Vec<u64>),
    Many(Vec<[u64; KEYS_MAX]>),
}

/// A part of a key: a form of one or two features.
pub(super) struct Part<'a> {
    /// Parts of one group say the same thing and are not put together.
    pub group: u8,
    of: Vec<(&'a [Id], Keys)>,
    /// Whether the features may stand in each other's place.
    is_unordered: bool,
}

impl Part<'_> {
    /// Puts each key of the row together with each of `keys`; none if the row has none.
    fn extend(&self, row: usize, keys: &mut Vec<u64>) {
        if self.is_unordered {
            let one = |(ids, of): &(&[Id], Keys)| match of {
                Keys::One(by_value) => by_value[ids[row] as usize],
                Keys::Many(by_value) => by_value[ids[row] as usize][0],
            };
            let all: Vec<u64> = self.of.iter().map(one).collect();
            if all.contains(&0) {
                keys.clear();
            }
            let sum = all.iter().fold(0u64, |sum, key| sum.wrapping_add(*key));
            for key in keys.iter_mut() {
                *key = mixed(*key, sum);
            }
            return;
        }
        for (ids, of) in &self.of {
            match of {
                Keys::One(by_value) => match by_value[ids[row] as usize] {
                    0 => keys.clear(),
                    own => {
                        for key in keys.iter_mut() {
                            *key = mixed(*key, own);
                        }
                    }
                },
                Keys::Many(by_value) => {
                    let own = by_value[ids[row] as usize];
                    let before = std::mem::take(keys);
                    for own in own.iter().take_while(|own| **own != 0) {
                        keys.extend(before.iter().map(|key| mixed(*key, *own)));
                    }
                }
            }
        }
    }
}

/// All keys of a row by a rule, ascending.
pub(super) fn keys(parts: &[Part<'_>], rule: &[usize], row: usize, keys: &mut Vec<u64>) {
    keys.clear();
    keys.push(0);
    for part in rule {
        parts[*part].extend(row, keys);
    }
    if keys.len() > 1 {
        keys.sort_unstable();
        keys.dedup();
    }
}

/// The parts under construction.
struct Parts<'a>(Vec<Part<'a>>);

fn by_value(feature: &Feature, form: impl Fn(&str) -> String) -> Keys {
    let key = |value: &str| match form(value) {
        formed if formed.is_empty() => 0,
        formed => hash(&formed),
    };
    Keys::One(feature.values.iter().map(|value| if value.is_empty() { 0 } else { key(value) }).collect())
}

impl<'a> Parts<'a> {
    fn one(&mut self, group: u8, feature: &'a Feature, form: impl Fn(&str) -> String) {
        self.0.push(Part { group, of: vec![(&feature.ids, by_value(feature, form))], is_unordered: false });
    }

    fn two(&mut self, group: u8, of: [&'a Feature; 2], is_unordered: bool, form: impl Fn(&str) -> String) {
        let of = of.into_iter().map(|feature| (feature.ids.as_slice(), by_value(feature, &form))).collect();
        self.0.push(Part { group, of, is_unordered });
    }

    fn name(&mut self, group: u8, names: &'a Spelled) {
        let feature = &names.feature;
        self.one(group, feature, whole);
        self.one(group, feature, sound);
        self.one(group, feature, |value| first(value, 3));
        self.one(group, feature, |value| first(value, 1));
        self.one(group, feature, sorted);
    }

    fn words(&mut self, group: u8, text: &'a Worded, rows: usize) {
        self.one(group, &text.feature, |value| value.replace(' ', ""));
        let most = u32::try_from(rows / 20).unwrap_or(u32::MAX).max(20);
        let rare = |fits: &dyn Fn(u32) -> bool, form: &dyn Fn(&str) -> String| {
            let of = |words: &[u32]| {
                let mut words: Vec<u32> = words.iter().copied().filter(|word| fits(*word)).collect();
                words.sort_by_key(|word| (text.counts[*word as usize], *word));
                let mut keys = [0; KEYS_MAX];
                for (key, word) in keys.iter_mut().zip(words) {
                    *key = hash(&form(&text.texts[word as usize]));
                }
                keys
            };
            Keys::Many(text.words.iter().map(|words| of(words)).collect())
        };
        let letters = |word: u32| text.spelled.at(word as usize).len();
        let known = |word: u32| (2..=most).contains(&text.counts[word as usize]) && letters(word) > 1;
        let exact = rare(&known, &whole);
        let begins = rare(&|word| letters(word) > 2, &|word| first(word, 3));
        for keys in [exact, begins] {
            self.0.push(Part { group, of: vec![(&text.feature.ids, keys)], is_unordered: false });
        }
    }
}

fn whole(value: &str) -> String {
    value.to_owned()
}

/// The first letters; empty if there are not so many.
fn first(value: &str, count: usize) -> String {
    let first: String = value.chars().take(count).collect();
    if first.chars().count() == count { first } else { String::new() }
}

fn last(value: &str, count: usize) -> String {
    let chars: Vec<char> = value.chars().collect();
    chars.len().checked_sub(count).map_or(String::new(), |from| chars[from..].iter().collect())
}

/// The letters in order: the same for scrambled typing.
fn sorted(value: &str) -> String {
    let mut letters: Vec<char> = value.chars().filter(|c| *c != ' ').collect();
    letters.sort_unstable();
    if letters.len() > 3 { letters.into_iter().collect() } else { String::new() }
}

fn longest_word(value: &str) -> &str {
    value.split(' ').max_by_key(|word| word.len()).unwrap_or_default()
}

/// All parts that the features allow.
pub(super) fn parts(f: &Features) -> Vec<Part<'_>> {
    let mut parts = Parts(Vec::new());
    people(f, &mut parts);
    contacts(f, &mut parts);
    places(f, &mut parts);
    let mut group = 40;
    for text in f.name.iter().chain(&f.texts) {
        parts.words(group, text, f.rows);
        group = (group + 1).min(120);
    }
    parts.0
}

fn people<'a>(f: &'a Features, parts: &mut Parts<'a>) {
    if let Some(names) = &f.given {
        parts.name(1, names);
    }
    if let Some(names) = &f.family {
        parts.name(2, names);
        parts.one(2, &names.feature, |value| last(value.rsplit(' ').next().unwrap_or_default(), 4));
    }
    if let (Some(given), Some(family)) = (&f.given, &f.family) {
        parts.two(3, [&given.feature, &family.feature], true, whole);
        parts.two(3, [&given.feature, &family.feature], true, sound);
    }
    if let Some(names) = &f.middle {
        parts.one(4, &names.feature, |value| first(value, 1));
    }
    if let Some((birth, _)) = &f.birth {
        let feature = &birth.feature;
        parts.one(5, feature, whole);
        parts.one(5, feature, |value| value.get(..6).unwrap_or_default().to_owned());
        parts.one(5, feature, |value| value.get(4..).unwrap_or_default().to_owned());
        parts.one(5, feature, |value| value.get(..4).unwrap_or_default().to_owned());
        parts.one(5, feature, |value| first(value, 4) + &last(value, 2));
        parts.one(5, feature, sorted);
    }
    for (at, it) in (70u8..100).zip(&f.identifiers) {
        parts.one(at, &it.feature, whole);
        parts.one(at, &it.feature, |value| last(value, 4));
        parts.one(at, &it.feature, |value| first(value, 4));
        parts.one(at, &it.feature, sorted);
    }
}

fn contacts<'a>(f: &'a Features, parts: &mut Parts<'a>) {
    if let Some((email, _)) = &f.email {
        let feature = &email.feature;
        parts.one(6, feature, whole);
        parts.one(6, feature, |value| value.split('@').next().unwrap_or_default().to_owned());
        parts.one(6, feature, |value| value.split('@').nth(1).unwrap_or_default().to_owned());
        parts.one(6, feature, |value| first(value, 5));
    }
    for (at, it) in (20u8..40).zip(&f.phones) {
        parts.one(at, &it.feature, whole);
        parts.one(at, &it.feature, |value| last(value, 4));
        parts.one(at, &it.feature, |value| first(value, 5));
    }
    if let Some(host) = &f.host {
        parts.one(7, host, whole);
    }
}

fn places<'a>(f: &'a Features, parts: &mut Parts<'a>) {
    if let Some(street) = &f.street {
        parts.one(8, &street.feature, whole);
        parts.one(8, &street.feature, |value| longest_word(value).chars().take(4).collect());
        if let Some(number) = &f.number {
            parts.two(8, [&number.feature, &street.feature], false, whole);
            let short = |value: &str| match value.as_bytes().first() {
                Some(byte) if byte.is_ascii_digit() && !value.contains(' ') => value.to_owned(),
                _ => longest_word(value).chars().take(3).collect(),
            };
            parts.two(8, [&number.feature, &street.feature], false, short);
        }
    }
    if let Some(number) = &f.number {
        parts.one(8, &number.feature, whole);
    }
    if let Some(po_box) = &f.po_box {
        parts.one(8, po_box, whole);
    }
    if let Some(postcode) = &f.postcode {
        parts.one(9, &postcode.feature, whole);
    }
    if let Some(city) = &f.city {
        parts.one(9, &city.feature, whole);
        parts.one(9, &city.feature, |value| first(value, 4));
    }
}
