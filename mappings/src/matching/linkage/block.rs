//! Which pairs are worth comparing: keys that alike records share. A rule is one part of a key, or two together.

mod parts;

use std::hash::Hasher as _;

use rustc_hash::FxHasher;

use super::features::{Spelled, Worded};
use super::model::scrambled;
use super::similar::sound;
use super::table::{Feature, Id};
use crate::chinese::company::Company;
use crate::chinese::person;

pub(super) use parts::parts;

/// Feature, which of several, form.
pub(super) type Name = (&'static str, usize, &'static str);

/// Keys that one row has by one part, at most.
const KEYS_MAX: usize = 4;

/// A key; 0 is none. Two that are equal by chance cost a needless comparison and decide nothing.
pub(super) type Key = u32;

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

/// The better half of a hash; 0 stays 0.
#[allow(clippy::cast_possible_truncation)] // A half.
pub(super) fn short(hash: u64) -> Key {
    if hash == 0 { 0 } else { ((hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as Key).max(1) }
}

/// What the keys of a row by a rule begin with, before its parts are mixed in.
const START: u64 = 0x51_7c_c1_b7_27_22_0a_95;

/// A state in which all parts are mixed, as a key.
fn ended(state: u64) -> Key {
    if state == 0 { 0 } else { short(state) }
}

fn with(state: u64, own: Key) -> u64 {
    if state == 0 || own == 0 { 0 } else { mixed(state, u64::from(own)) | 1 }
}

/// The keys of rows, by the distinct values that they bear.
enum Keys<'a> {
    One(&'a [Id], Vec<Key>),
    Many(&'a [Id], Vec<[Key; KEYS_MAX]>),
    /// Two features together; without an order they may stand in each other's place.
    Two([(&'a [Id], Vec<Key>); 2], Order),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Kept,
    Any,
}

/// The group of the parts that are made of given and family name.
pub(super) const BOTH_NAMES: u8 = 3;

/// Whether parts of one group say anything of the other.
pub(super) fn says(group: u8, other: u8) -> bool {
    group == other || (group == BOTH_NAMES && matches!(other, 1 | 2))
}

/// A part of a key: a form of one or two features.
pub(super) struct Part<'a> {
    /// What it is called wherever a rule is kept.
    pub name: Name,
    /// Parts of one group say the same thing and are not put together.
    pub group: u8,
    keys: Keys<'a>,
}

fn together(one: Key, other: Key, order: Order) -> Key {
    match order {
        _ if one == 0 || other == 0 => 0,
        Order::Any => one.wrapping_add(other).max(1),
        Order::Kept => short(mixed(u64::from(one), u64::from(other) << 32)),
    }
}

impl Part<'_> {
    /// The keys of a row, those that it has first.
    pub(super) fn of(&self, row: usize) -> [Key; KEYS_MAX] {
        match &self.keys {
            Keys::One(ids, by_value) => [by_value[ids[row] as usize], 0, 0, 0],
            Keys::Many(ids, by_value) => by_value[ids[row] as usize],
            Keys::Two([one, other], order) => {
                let own = |(ids, by_value): &(&[Id], Vec<Key>)| by_value[ids[row] as usize];
                [together(own(one), own(other), *order), 0, 0, 0]
            }
        }
    }

    /// The same for some of the rows, which are numbered anew: `numbers` is 0, 1, 2 and so on.
    pub(super) fn of_some<'n>(&self, rows: &[usize], numbers: &'n [Id]) -> Part<'n> {
        let keys = match &self.keys {
            Keys::Many(..) => Keys::Many(numbers, rows.iter().map(|row| self.of(*row)).collect()),
            _ => Keys::One(numbers, rows.iter().map(|row| self.of(*row)[0]).collect()),
        };
        Part { name: self.name, group: self.group, keys }
    }

    fn has_many(&self) -> bool {
        matches!(self.keys, Keys::Many(..))
    }

    /// Mixes the key of each row into its state, in one sweep over the column.
    fn mix(&self, states: &mut [u64]) {
        match &self.keys {
            Keys::One(ids, by_value) => {
                for (state, id) in states.iter_mut().zip(*ids) {
                    *state = with(*state, by_value[*id as usize]);
                }
            }
            _ => {
                for (row, state) in states.iter_mut().enumerate() {
                    *state = with(*state, self.of(row)[0]);
                }
            }
        }
    }

    /// The rows of which a key may be among `wanted`.
    pub(super) fn hits(&self, wanted: &Wanted, rows: impl Iterator<Item = u32>) -> Vec<u32> {
        match &self.keys {
            Keys::One(ids, by_value) => rows.filter(|row| wanted.has(by_value[ids[*row as usize] as usize])).collect(),
            _ => rows.filter(|row| self.of(*row as usize).iter().any(|key| *key != 0 && wanted.has(*key))).collect(),
        }
    }
}

/// A set of keys that may have some more: small enough to stay near while all rows are held against it.
pub(super) struct Wanted(Vec<u64>);

/// Bits of it for each key: one row in so many passes for nothing.
const WANTED_BITS: usize = 32;

impl Wanted {
    pub(super) fn of(keys: impl ExactSizeIterator<Item = [Key; KEYS_MAX]>) -> Self {
        let mut bits = vec![0; (keys.len() * WANTED_BITS).next_power_of_two().div_ceil(64)];
        for key in keys.flatten().filter(|key| *key != 0) {
            let at = key as usize % (bits.len() * 64);
            bits[at / 64] |= 1 << (at % 64);
        }
        Self(bits)
    }

    /// About how many keys there are in it.
    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    fn has(&self, key: Key) -> bool {
        let at = key as usize & (self.0.len() * 64 - 1);
        key != 0 && self.0[at / 64] & (1 << (at % 64)) != 0
    }
}

/// All keys of a row by a rule, ascending.
pub(super) fn keys(parts: &[Part<'_>], rule: &[usize], row: usize, keys: &mut Vec<Key>) {
    let (mut states, mut next) = ([0; KEYS_MAX * KEYS_MAX], [0; KEYS_MAX * KEYS_MAX]);
    let mut count = 1;
    states[0] = START;
    for part in rule {
        let own = parts[*part].of(row);
        let mut found = 0;
        for state in &states[..count] {
            for own in own.iter().take_while(|own| **own != 0) {
                next[found] = with(*state, *own);
                found += 1;
            }
        }
        std::mem::swap(&mut states, &mut next);
        count = found;
    }
    keys.clear();
    keys.extend(states[..count].iter().map(|state| ended(*state)));
    keys.sort_unstable();
    keys.dedup();
}

/// Finds the rows that share a key; what it needs for that is kept from rule to rule.
#[derive(Default)]
pub(super) struct Blocks {
    states: Vec<u64>,
    /// Bits by keys: whether any row has it, and whether any other has it, too.
    any: Vec<u64>,
    other: Vec<u64>,
    /// Keys in their upper half, rows in the lower.
    keyed: Vec<u64>,
}

/// Bits for each row, of those that tell which keys are shared.
const SHARED_BITS: usize = 8;

impl Blocks {
    /// Hands over each key that several rows share, and the rows that do, ascending.
    pub(super) fn each(&mut self, parts: &[Part<'_>], rule: &[usize], rows: usize, mut each: impl FnMut(Key, &[u64])) {
        self.fill(parts, rule, rows);
        self.leave_lonely(rows);
        self.keyed.sort_unstable();
        for block in self.keyed.chunk_by(|x, y| x >> 32 == y >> 32).filter(|block| block.len() > 1) {
            each(key_of(block[0]), block);
        }
    }

    fn fill(&mut self, parts: &[Part<'_>], rule: &[usize], rows: usize) {
        self.keyed.clear();
        let keyed = |key: Key, row: usize| u64::from(key) << 32 | row as u64;
        if rule.iter().any(|part| parts[*part].has_many()) {
            let mut own = Vec::new();
            for row in 0..rows {
                keys(parts, rule, row, &mut own);
                self.keyed.extend(own.iter().map(|key| keyed(*key, row)));
            }
            return;
        }
        self.states.clear();
        self.states.resize(rows, START);
        for part in rule {
            parts[*part].mix(&mut self.states);
        }
        let states = self.states.iter().enumerate().filter(|(_, state)| **state != 0);
        self.keyed.extend(states.map(|(row, state)| keyed(ended(*state), row)));
    }

    /// Takes out the rows whose keys nobody shares, most of them at least: what is left is quickly sorted.
    fn leave_lonely(&mut self, rows: usize) {
        let bits = (rows * SHARED_BITS).next_power_of_two().clamp(64, 1 << 31);
        for seen in [&mut self.any, &mut self.other] {
            seen.clear();
            seen.resize(bits / 64, 0);
        }
        let place = |keyed: u64| (key_of(keyed) as usize) & (bits - 1);
        for keyed in &self.keyed {
            let at = place(*keyed);
            let (word, bit) = (at / 64, 1 << (at % 64));
            self.other[word] |= self.any[word] & bit;
            self.any[word] |= bit;
        }
        let other = &self.other;
        self.keyed.retain(|keyed| {
            let at = place(*keyed);
            other[at / 64] & (1 << (at % 64)) != 0
        });
    }
}

#[allow(clippy::cast_possible_truncation)] // The upper half.
fn key_of(keyed: u64) -> Key {
    (keyed >> 32) as Key
}

/// The row of a keyed row.
#[allow(clippy::cast_possible_truncation)] // The lower half.
pub(super) fn row_of(keyed: u64) -> u32 {
    keyed as u32
}

/// The parts under construction.
struct Parts<'a> {
    all: Vec<Part<'a>>,
    /// The feature of the parts that are added, and which of several of its like it is.
    of: (&'static str, usize),
}

/// Keys by value; `form` makes 0 of what is no key.
fn by_value(feature: &Feature, form: impl Fn(&str) -> u64) -> Vec<Key> {
    feature.values.iter().map(|value| if value.is_empty() { 0 } else { short(form(value)) }).collect()
}

impl<'a> Parts<'a> {
    fn push(&mut self, group: u8, form: &'static str, keys: Keys<'a>) {
        self.all.push(Part { name: (self.of.0, self.of.1, form), group, keys });
    }

    fn one(&mut self, group: u8, name: &'static str, feature: &'a Feature, form: impl Fn(&str) -> u64) {
        self.push(group, name, Keys::One(&feature.ids, by_value(feature, form)));
    }

    fn two(&mut self, group: u8, name: &'static str, of: [&'a Feature; 2], order: Order, form: impl Fn(&str) -> u64) {
        let of = of.map(|feature| (feature.ids.as_slice(), by_value(feature, &form)));
        self.push(group, name, Keys::Two(of, order));
    }

    fn name(&mut self, group: u8, names: &'a Spelled, in_pinyin: bool) {
        let feature = &names.feature;
        self.one(group, "whole", feature, whole);
        self.one(group, "sound", feature, sound_of(in_pinyin));
        self.one(group, "first3", feature, |value| first(value, 3));
        self.one(group, "first1", feature, |value| first(value, 1));
        self.one(group, "sorted", feature, sorted);
    }

    fn words(&mut self, group: u8, text: &'a Worded, rows: usize) {
        let solid = text.feature.values.iter().zip(&text.solid);
        let solid = solid.map(|(value, solid)| if value.is_empty() { 0 } else { short(*solid) }).collect();
        self.push(group, "solid", Keys::One(&text.feature.ids, solid));
        let most = u32::try_from(rows / 20).unwrap_or(u32::MAX).max(20);
        let rare = |fits: &dyn Fn(u32) -> bool, form: &dyn Fn(&str) -> u64| {
            let of = |words: &[u32]| {
                let mut words: Vec<u32> = words.iter().copied().filter(|word| fits(*word)).collect();
                words.sort_by_key(|word| (text.counts[*word as usize], &text.texts[*word as usize]));
                let mut keys = [0; KEYS_MAX];
                for (key, word) in keys.iter_mut().zip(words) {
                    *key = short(form(&text.texts[word as usize]));
                }
                keys
            };
            Keys::Many(&text.feature.ids, text.words.iter().map(|words| of(words)).collect())
        };
        let letters = |word: u32| text.spelled.at(word as usize).len();
        let known = |word: u32| (2..=most).contains(&text.counts[word as usize]) && letters(word) > 1;
        let exact = rare(&known, &whole);
        let begins = rare(&|word| letters(word) > 2, &|word| first(word, 3));
        let brands = (!text.companies.is_empty()).then(|| {
            let own = text.companies.iter().map(|company| brand_keys(company.as_ref()));
            Keys::Many(&text.feature.ids, own.collect())
        });
        let named = [("words", exact), ("words3", begins)].into_iter().chain(brands.map(|brands| ("brand", brands)));
        for (name, keys) in named {
            self.push(group, name, keys);
        }
    }
}

/// What spellings of a 字号 have in common: its sound, its beginning, its end.
fn brand_keys(company: Option<&Company>) -> [Key; KEYS_MAX] {
    let mut keys = [0; KEYS_MAX];
    let Some(company) = company else { return keys };
    let sound = person::sound(&company.brand).unwrap_or_default();
    let mut own: Vec<u64> = [some(&sound), first(&company.brand, 2), last(&company.brand, 2)].to_vec();
    own.retain(|key| *key != 0);
    own.dedup();
    for (key, own) in keys.iter_mut().zip(own) {
        *key = short(own);
    }
    keys
}

/// How a name sounds; among Chinese names in pinyin, so that one in Latin letters finds one in characters.
fn sound_of(in_pinyin: bool) -> fn(&str) -> u64 {
    if in_pinyin { |name| some(&person::sound(name).unwrap_or_else(|| sound(name))) } else { |name| some(&sound(name)) }
}

fn whole(value: &str) -> u64 {
    hash(value)
}

fn some(value: &str) -> u64 {
    if value.is_empty() { 0 } else { hash(value) }
}

/// The first letters; none if there are not so many.
fn first(value: &str, count: usize) -> u64 {
    let mut ends = value.char_indices().map(|(at, c)| at + c.len_utf8());
    ends.nth(count - 1).map_or(0, |end| hash(&value[..end]))
}

fn last(value: &str, count: usize) -> u64 {
    let mut starts = value.char_indices().rev().map(|(at, _)| at);
    starts.nth(count - 1).map_or(0, |start| hash(&value[start..]))
}

/// The letters whatever their order: the same for scrambled typing.
fn sorted(value: &str) -> u64 {
    let letters = value.chars().filter(|c| *c != ' ');
    let (sum, count) =
        letters.fold((0u64, 0), |(sum, count), c| (sum.wrapping_add(scrambled(u64::from(c))), count + 1));
    if count > 3 { sum } else { 0 }
}

fn longest_word(value: &str) -> &str {
    value.split(' ').max_by_key(|word| word.len()).unwrap_or_default()
}

/// The beginning of the longest word, as much of it as there is.
fn long_begin(value: &str, count: usize) -> u64 {
    let word = longest_word(value);
    some(word.char_indices().nth(count).map_or(word, |(end, _)| &word[..end]))
}
