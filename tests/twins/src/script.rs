//! Scenario files for twins that speak over a wire: what strikes, how often, and how the system stores. The words are
//! those of the simulated days (`tests/simulation/src/words.rs`). A seed says when each fault strikes; the same seed
//! plays the same day again, which its history shows line by line.

pub mod dialect;
#[path = "../../simulation/src/words.rs"]
pub mod words;

use std::collections::BTreeMap;

use huiliu_mappings::diagnose::Diagnostic;
use serde::Deserialize;

use crate::dice::Dice;
use words::Stages;
pub use words::{Fault, Habit};

/// The shipped scenarios: name and text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("network", include_str!("../scenarios/network.toml")),
    ("vendor", include_str!("../scenarios/vendor.toml")),
    ("pages", include_str!("../scenarios/pages.toml")),
    ("records", include_str!("../scenarios/records.toml")),
    ("schema", include_str!("../scenarios/schema.toml")),
    ("tokens", include_str!("../scenarios/tokens.toml")),
];

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// All chance follows from it.
    pub seed: u64,
    /// What people do.
    pub day: Day,
    /// The system's habits.
    #[serde(default)]
    pub system: System,
    /// How often each fault strikes, on average a day; a whole number is exact.
    #[serde(default)]
    pub faults: BTreeMap<Fault, f64>,
}

/// What people do on a day.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// Customers.
    pub people: usize,
    /// Edits by people, one after the other.
    pub edits: usize,
}

/// A system and its habits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// How it stores what it is given.
    #[serde(default)]
    pub stores: Vec<Habit>,
    /// What changed appears in lists this much later, where an index stands behind them.
    #[serde(default)]
    pub lag_seconds: i64,
    /// Stamps are rounded down to this many seconds; 0: to what the system has.
    #[serde(default)]
    pub stamp_seconds: i64,
    /// Who calls more often than this in a minute is shut out for minutes; 0: nobody counts.
    #[serde(default)]
    pub calls_a_minute: u64,
}

impl Script {
    /// Reads a scenario; `file` is used in messages.
    ///
    /// # Errors
    /// File and line of a mistake, with the nearest known word; and a word that only the simulation can play.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let script: Self =
            toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error).to_string())?;
        let faults = script.faults.keys().map(|fault| (fault.word(), fault.stages()));
        let mut words = faults.chain(script.system.stores.iter().map(|habit| (habit.word(), habit.stages())));
        match words.find(|(_, stages)| *stages == Stages::Simulated) {
            Some((word, _)) => {
                Err(format!("{file}: `{word}` cannot be played over a wire; play it in tests/simulation/scenarios"))
            }
            None => Ok(script),
        }
    }

    /// A shipped scenario by name.
    ///
    /// # Errors
    /// There is none of this name, or as [`Script::parse`].
    pub fn shipped(name: &str) -> Result<Self, String> {
        let found = SHIPPED.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| format!("no scenario {name} is shipped"))?;
        Self::parse(&format!("tests/twins/scenarios/{name}.toml"), text)
    }

    /// By edit: the faults that are laid on what follows it.
    #[allow(clippy::cast_precision_loss)] // A day has few faults of a kind.
    pub fn timetable(&self) -> Vec<Vec<Fault>> {
        let mut table = vec![Vec::new(); self.day.edits];
        for (fault, mean) in &self.faults {
            let mut dice = Dice::of(self.seed, &[*fault as u64]);
            let certain = (0..self.day.edits).take_while(|count| *count as f64 + 1.0 <= *mean).count();
            let rest = *mean - certain as f64;
            for _ in 0..certain + usize::from(dice.chance(rest)) {
                table[dice.below(self.day.edits)].push(*fault);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_can_be_read_and_every_word_of_the_wire_is_in_one() {
        let mut played = std::collections::BTreeSet::new();
        let mut stored = std::collections::BTreeSet::new();
        for (name, _) in SHIPPED {
            let script = Script::shipped(name).unwrap_or_else(|error| panic!("{error}"));
            let told: usize = script.timetable().iter().map(Vec::len).sum();
            assert!(told >= script.faults.len(), "{name}: each strikes");
            played.extend(script.faults.keys().copied());
            stored.extend(script.system.stores.iter().copied());
        }
        for fault in Fault::ALL.iter().filter(|it| it.stages() != Stages::Simulated) {
            assert!(played.contains(fault), "no scenario plays {}", fault.word());
        }
        for habit in Habit::ALL.iter().filter(|it| it.stages() != Stages::Simulated) {
            assert!(stored.contains(habit), "no system has the habit {}", habit.word());
        }
    }

    #[test]
    fn a_seed_is_a_timetable() {
        let script = Script::shipped("network").unwrap();
        assert_eq!(script.timetable(), script.timetable());
        let other = Script { seed: script.seed + 1, ..script.clone() };
        assert_ne!(script.timetable(), other.timetable());
    }

    #[test]
    fn a_mistake_names_file_line_and_the_nearest_word() {
        let text = "seed = 1\n[day]\npeople = 2\nedits = 3\n[faults]\ncut_before = 1\ncut_aftr = 1\n";
        let error = Script::parse("mine.toml", text).unwrap_err();
        assert!(error.starts_with("mine.toml:7:1: unknown variant `cut_aftr`"), "{error}");
        assert!(error.ends_with("did you mean `cut_after`?"), "{error}");
        let error = Script::parse("mine.toml", &text.replace("cut_aftr", "crash")).unwrap_err();
        assert!(error.contains("`crash` cannot be played over a wire"), "{error}");
        let error = Script::parse("mine.toml", &text.replace("edits", "edit")).unwrap_err();
        assert!(error.contains("mine.toml:4:1") && error.contains("did you mean `edits`?"), "{error}");
    }
}
