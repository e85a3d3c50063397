//! Texts of several words, each weighed by how rare it is.

use super::super::features::Worded;
use super::{Outcome, equal_or};
use crate::chinese::company::{self, Agreement};

/// Whether a name is what the record is about, or where it belongs (an employer).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Own,
    Context,
}

/// The outcome of two names of organisations; Chinese ones are compared by their parts.
pub(super) fn organization(text: &Worded, a: usize, b: usize, part: Part) -> Outcome {
    let feature = &text.feature;
    let (x, y) = (feature.ids[a] as usize, feature.ids[b] as usize);
    let company = |at: usize| text.companies.get(at).and_then(Option::as_ref);
    let (Some(mine), Some(theirs)) = (company(x), company(y)) else {
        return equal_or(feature, a, b, |x, y| compare(text, x, y));
    };
    // By a model that is known a full name and the same words without their form are two values, and one name all the same.
    if feature.values[x].trim_end() == feature.values[y].trim_end() {
        return Outcome::equal(1, feature.share(feature.ids[a]));
    }
    let share = text.brands[x].max(text.brands[y]);
    match company::compare(mine, theirs) {
        Agreement::Same => Outcome::equal(2, share),
        Agreement::Alike => Outcome::equal(3, share),
        Agreement::Short => Outcome::equal(4, share),
        // Two branches have one employer's name, but are two places.
        Agreement::Branch if part == Part::Context => Outcome::of(5),
        Agreement::Namesake if part == Part::Context => Outcome::of(6),
        Agreement::Branch | Agreement::Namesake | Agreement::Different => Outcome::of(8),
    }
}

/// How alike two words are, 0 to 1: a slip, a beginning, an initial.
fn alike(text: &Worded, x: u32, y: u32) -> f64 {
    let (mine, theirs) = (text.spelled.at(x as usize), text.spelled.at(y as usize));
    let short = mine.len().min(theirs.len());
    if short >= 3 && (mine.starts_with(theirs) || theirs.starts_with(mine)) {
        return if short >= 4 && mine.len().abs_diff(theirs.len()) == 1 { 0.9 } else { 0.8 };
    }
    if short == 1 && mine.first() == theirs.first() {
        return 0.4;
    }
    if short < 4 || mine.is_far(theirs) {
        return 0.0;
    }
    if mine.edits(theirs, 1) == 1 {
        return 0.9;
    }
    let jaro = mine.jaro_winkler(theirs, 0.9);
    if jaro >= 0.9 { 0.9 * jaro } else { 0.0 }
}

/// 2 to 8 for two different values.
pub(super) fn compare(text: &Worded, x: usize, y: usize) -> u8 {
    if text.solid[x] == text.solid[y] {
        return 2;
    }
    let (mine, theirs) = (&text.words[x], &text.words[y]);
    let weight = |word: u32| text.weights[word as usize];
    let mut taken = 0u32;
    let mut common = 0.0;
    let mut open = Vec::new();
    for word in mine {
        match theirs.iter().position(|it| it == word) {
            Some(at) => {
                taken |= 1 << at;
                common += weight(*word);
            }
            None => open.push(*word),
        }
    }
    for word in open {
        let left = theirs.iter().enumerate().filter(|(at, _)| taken & (1 << at) == 0);
        let scored = left.map(|(at, other)| (alike(text, word, *other), at));
        // The first of equally good ones, so that the order of the words decides nothing else.
        let best = scored.fold((0.0, 0), |best, it| if it.0 > best.0 { it } else { best });
        if best.0 > 0.0 {
            taken |= 1 << best.1;
            common += best.0 * weight(word).min(weight(theirs[best.1]));
        }
    }
    let mass = |words: &[u32]| words.iter().map(|word| weight(*word)).sum::<f64>();
    let (whole, other) = (mass(mine), mass(theirs));
    let dice = 2.0 * common / (whole + other).max(f64::MIN_POSITIVE);
    let cover = common / whole.min(other).max(f64::MIN_POSITIVE);
    level(dice, cover)
}

fn level(dice: f64, cover: f64) -> u8 {
    if dice >= 0.93 {
        2
    } else if dice >= 0.8 {
        3
    } else if cover >= 0.93 {
        4
    } else if dice >= 0.6 {
        5
    } else if cover >= 0.6 || dice >= 0.42 {
        6
    } else if dice >= 0.2 {
        7
    } else {
        8
    }
}

/// 2 if one word that is not short is in both, else 3.
pub(super) fn one_in_common(text: &Worded, x: usize, y: usize) -> u8 {
    let common = text.words[x].iter().any(|word| text.texts[*word as usize].len() > 2 && text.words[y].contains(word));
    if common { 2 } else { 3 }
}
