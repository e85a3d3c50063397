//! What really happened: every edit by a person, and what its author saw on the screen.
//!
//! An edit follows another if its author saw the other's value in that field. The last ones of such chains may win;
//! where two of them are left, neither author knew of the other, and any of both is right, as long as all agree.

use std::collections::{BTreeMap, BTreeSet};

/// 2026-01-01 in microseconds: every day begins then.
pub const DAY_ONE_US: i64 = 1_767_225_600_000_000;

/// A field that people edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Free text.
    Title,
    /// Free text.
    Remark,
    /// A phone number.
    Phone,
    /// One of a few words.
    Lifecycle,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Title, Self::Remark, Self::Phone, Self::Lifecycle];

    /// The name in the systems' JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Remark => "remark",
            Self::Phone => "phone",
            Self::Lifecycle => "lifecycle",
        }
    }

    /// The name in the model.
    pub fn canonical(self) -> &'static str {
        match self {
            Self::Phone => "phones.main",
            other => other.key(),
        }
    }

    /// Whether every edit has a value of its own, by which it is known wherever it appears.
    pub fn is_unique(self) -> bool {
        self != Self::Lifecycle
    }

    /// The value in the form in which all systems' spellings are equal, except for what a system cannot hold.
    pub fn plain(self, text: &str) -> String {
        match self {
            Self::Phone => {
                let digits: String = text.chars().filter(char::is_ascii_digit).collect();
                digits[digits.len().saturating_sub(11)..].to_owned()
            }
            _ => text.trim().to_lowercase(),
        }
    }
}

/// One edit by a person.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Whose.
    pub person: usize,
    /// Which field.
    pub field: Field,
    /// The new value, plain; none: cleared.
    pub value: Option<String>,
    /// Where.
    pub system: usize,
    /// When it was stored, microseconds since 1970 UTC.
    pub at_us: i64,
    /// The edit whose value was seen there.
    pub base: Option<usize>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger {
    /// All edits in the order in which they were stored.
    pub edits: Vec<Edit>,
    known: BTreeMap<(usize, Field, Option<String>), Vec<usize>>,
    /// People one of whose records was removed: what is left of them follows from other rules.
    pub disturbed: BTreeSet<usize>,
    /// What was found wrong while it happened.
    pub violations: Vec<String>,
    /// Writes by the hub.
    pub writes: usize,
    /// When something last happened after which a person must look, for it pauses, stops or is given up.
    pub troubled_us: Option<i64>,
    /// What happened, if anybody reads it.
    pub history: Option<Vec<String>>,
}

impl Ledger {
    /// Notes an edit; returns its number.
    pub fn edit(&mut self, edit: Edit) -> usize {
        let number = self.edits.len();
        self.known.entry((edit.person, edit.field, edit.value.clone())).or_default().push(number);
        self.edits.push(edit);
        number
    }

    /// The edit that a value comes from: the last one that gave it.
    pub fn origin(&self, person: usize, field: Field, value: Option<&str>) -> Option<usize> {
        let value = value.map(|text| field.plain(text));
        self.known.get(&(person, field, value)).and_then(|all| all.last().copied())
    }

    /// Whether the second edit was made by somebody who saw the first, or a follower of it.
    pub fn follows(&self, first: usize, second: usize) -> bool {
        let mut at = self.edits[second].base;
        while let Some(number) = at {
            if number == first {
                return true;
            }
            at = self.edits[number].base;
        }
        false
    }

    /// The edits of a field that nobody who saw them changed.
    pub fn last_words(&self, person: usize, field: Field) -> Vec<usize> {
        let mine = |(_, edit): &(usize, &Edit)| edit.person == person && edit.field == field;
        let all: Vec<(usize, &Edit)> = self.edits.iter().enumerate().filter(mine).collect();
        let seen: BTreeSet<usize> = all.iter().filter_map(|(_, edit)| edit.base).collect();
        all.into_iter().map(|(number, _)| number).filter(|number| !seen.contains(number)).collect()
    }

    /// Notes what happened.
    pub fn tell(&mut self, at_us: i64, line: impl FnOnce() -> String) {
        if let Some(history) = &mut self.history {
            history.push(format!("{} {}", clock_text(at_us), line()));
        }
    }

    /// Notes that something is wrong.
    pub fn wrong(&mut self, at_us: i64, what: String) {
        self.tell(at_us, || format!("WRONG: {what}"));
        self.violations.push(what);
    }
}

/// An instant of the day for people: `1d 09:13:05.123`.
pub fn clock_text(at_us: i64) -> String {
    let ms = (at_us - DAY_ONE_US).div_euclid(1000);
    let (seconds, ms) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let (day, hour, minute, second) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{day}d {hour:02}:{minute:02}:{second:02}.{ms:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(base: Option<usize>, value: &str) -> Edit {
        let value = Some(value.to_owned());
        Edit { person: 1, field: Field::Title, value, system: 0, at_us: 0, base }
    }

    #[test]
    fn last_words_are_those_that_nobody_changed() {
        let mut ledger = Ledger::default();
        let first = ledger.edit(edit(None, "one"));
        let second = ledger.edit(edit(Some(first), "two"));
        let third = ledger.edit(edit(Some(first), "three"));
        let fourth = ledger.edit(edit(Some(third), "four"));
        assert_eq!(ledger.last_words(1, Field::Title), [second, fourth]);
        assert!(ledger.follows(first, fourth) && !ledger.follows(second, fourth) && !ledger.follows(fourth, fourth));
        assert_eq!(ledger.origin(1, Field::Title, Some(" THREE ")), Some(third));
    }

    #[test]
    fn spellings_of_a_value_are_one() {
        assert_eq!(Field::Phone.plain("+86 138-0013-8000"), Field::Phone.plain("13800138000"));
        assert_eq!(Field::Title.plain(" Buyer 7"), "buyer 7");
    }
}
