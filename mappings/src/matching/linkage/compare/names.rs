//! People's names.

use rustc_hash::FxHashMap;

use super::super::features::Spelled;
use super::super::similar::{Letters, Spelling};
use super::Outcome;
use crate::chinese::han::is_han;
use crate::chinese::person::{self, Likeness};

const SAME: u8 = 1;
const PART: u8 = 2;
const INITIAL: u8 = 3;
const SLIP: u8 = 4;
const ALIKE: u8 = 5;
const SWAPPED: u8 = 6;
const DIFFERENT: u8 = 7;

/// A slip of the pen is one letter, or two in a long name, or nearly the same by Jaro and Winkler.
fn likeness(x: Letters<'_>, y: Letters<'_>) -> u8 {
    let short = x.len().min(y.len());
    let most = if short >= 7 { 2 } else { usize::from(short >= 3) };
    if most > 0 && x.edits(y, most) <= most {
        return SLIP;
    }
    let jaro = x.jaro_winkler(y, 0.82);
    if short >= 4 && jaro >= 0.93 {
        SLIP
    } else if jaro >= 0.82 || (short >= 4 && x.in_common(y) >= 0.8) {
        ALIKE
    } else {
        DIFFERENT
    }
}

/// The level of a name that is neither equal nor a known variant.
fn spelled(x: Letters<'_>, y: Letters<'_>) -> u8 {
    // One character of a script without initials is a whole name.
    let initial = |it: Letters<'_>| it.len() == 1 && it.first().is_some_and(|c| !is_han(c));
    if initial(x) || initial(y) {
        return if x.first() == y.first() { INITIAL } else { DIFFERENT };
    }
    if x.is_far(y) { DIFFERENT } else { likeness(x, y) }
}

/// No part of a Chinese name is taken for rarer than this. A file does not show how common a name is in a city of ten
/// millions, where many bear the same two or three characters.
const SHARE_LEAST: f64 = 1.0 / 64.0;

/// 1 for equal values, else what `other` says of them; of Chinese ones with a bound on how telling that is.
pub(super) fn equal_or(names: &Spelled, a: usize, b: usize, other: impl FnOnce(usize, usize) -> u8) -> Outcome {
    let outcome = super::equal_or(&names.feature, a, b, other);
    let is_chinese = |row: usize| names.letters(names.feature.ids[row] as usize).has_han();
    if !names.letters.has_han() || (!is_chinese(a) && !is_chinese(b)) {
        return outcome;
    }
    match outcome.level {
        SAME => Outcome::equal(SAME, outcome.share.max(SHARE_LEAST)),
        PART | ALIKE => Outcome::equal(outcome.level, SHARE_WEAK),
        _ => outcome,
    }
}

/// A name that only sounds or looks like the other counts as if one stranger of so many had it, however rare that is in the
/// file: a sound never decides.
const SHARE_WEAK: f64 = 0.02;

/// The level of two names of which one is Chinese. What cannot be compared is silent.
fn chinese(likeness: Likeness) -> u8 {
    match likeness {
        Likeness::Part => PART,
        Likeness::Initial => INITIAL,
        Likeness::Alike => ALIKE,
        Likeness::Different => DIFFERENT,
        Likeness::Silent => 0,
    }
}

/// One part of a name: its letters and its text.
#[derive(Clone, Copy)]
pub(super) struct Part<'a>(Letters<'a>, &'a str);

impl<'a> Part<'a> {
    /// A value of a column.
    pub(super) fn of(names: &'a Spelled, value: usize) -> Self {
        Self(names.letters(value), &names.feature.values[value])
    }
}

/// Whether two names of several words share one that is not short.
fn shares_word(Part(a, mine): Part<'_>, Part(b, theirs): Part<'_>) -> bool {
    // Most names are one word, and their texts are not looked at.
    (a.has_blank() || b.has_blank())
        && mine.split(' ').any(|word| word.len() > 2 && theirs.split(' ').any(|it| it == word))
}

/// The level of two different given names.
pub(super) fn given(mine: Part<'_>, theirs: Part<'_>, nicknames: &FxHashMap<String, Vec<u16>>) -> u8 {
    let (Part(a, mine_text), Part(b, their_text)) = (mine, theirs);
    if a.is_equal(b) {
        return SAME;
    }
    if (a.has_han() || b.has_han())
        && let Some(likeness) = person::given(mine_text, their_text)
    {
        return chinese(likeness);
    }
    let known = |name: &str| nicknames.get(name).map_or(&[][..], Vec::as_slice);
    let one_person = || known(mine_text).iter().any(|set| known(their_text).contains(set));
    if a.len() > 1 && b.len() > 1 && (one_person() || shares_word(mine, theirs)) {
        return PART;
    }
    let level = spelled(a, b);
    let begins = a.len().min(b.len()) >= 3 && (a.starts_with(b) || b.starts_with(a));
    if begins && level > INITIAL && level != SLIP { PART } else { level }
}

/// Whether these are two people's given names, if their family names are the same.
pub(in crate::matching::linkage) fn are_two(a: &str, b: &str, nicknames: &FxHashMap<String, Vec<u16>>) -> bool {
    let both = Spelling::from_iter([a, b]);
    given(Part(both.at(0), a), Part(both.at(1), b), nicknames) == DIFFERENT
}

/// The level of two different family names.
pub(super) fn family(mine: Part<'_>, theirs: Part<'_>) -> u8 {
    let (Part(a, mine_text), Part(b, their_text)) = (mine, theirs);
    if a.is_equal(b) {
        return SAME;
    }
    if (a.has_han() || b.has_han())
        && let Some(likeness) = person::family(mine_text, their_text)
    {
        return chinese(likeness);
    }
    if a.len() > 1 && b.len() > 1 && shares_word(mine, theirs) {
        return PART;
    }
    spelled(a, b)
}

/// The level of two different middle names.
pub(super) fn middle(names: &Spelled, x: usize, y: usize) -> u8 {
    let (a, b) = (names.letters(x), names.letters(y));
    let initial = a.first() == b.first() && (a.len() == 1 || b.len() == 1);
    let slip = a.len() > 3 && b.len() > 3 && a.edits(b, 1) <= 1;
    if initial || slip { 2 } else { 3 }
}

/// Given and family name in each other's place, in one of the two records.
pub(super) fn swap(
    given: &Spelled,
    family: &Spelled,
    (a, b): (usize, usize),
    (first, second): (&mut Outcome, &mut Outcome),
) {
    let agrees = |outcome: &Outcome| (SAME..=ALIKE).contains(&outcome.level);
    if agrees(first) || second.level == SAME || (agrees(second) && first.level == 0) {
        return;
    }
    let cross = |x: usize, y: usize| {
        if !given.feature.has(x) || !family.feature.has(y) {
            return 0;
        }
        let (i, j) = (given.feature.ids[x] as usize, family.feature.ids[y] as usize);
        let level = self::family(Part::of(given, i), Part::of(family, j));
        let begins = given.letters(i).len().min(family.letters(j).len()) >= 3
            && (given.letters(i).starts_with(family.letters(j)) || family.letters(j).starts_with(given.letters(i)));
        if begins && level > SLIP { PART } else { level }
    };
    let (there, back) = (cross(a, b), cross(b, a));
    let good = |level: u8| matches!(level, SAME | PART | SLIP);
    let fair = |level: u8| level == 0 || level == ALIKE;
    if (good(there) && (good(back) || fair(back))) || (good(back) && fair(there)) {
        *first = Outcome::of(SWAPPED);
        *second = if there != 0 && back != 0 { Outcome::of(SWAPPED) } else { Outcome::SILENT };
    }
}
