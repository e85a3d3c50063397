//! What a day is made of: a file says which systems there are, what people do, and how often what goes wrong.

use std::collections::BTreeMap;

use huiliu_mappings::diagnose::Diagnostic;
use serde::Deserialize;

use crate::words::Stages;
pub use crate::words::{Fault, Habit};

/// The shipped scenarios: name and text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("calm", include_str!("../scenarios/calm.toml")),
    ("storm", include_str!("../scenarios/storm.toml")),
    ("gone", include_str!("../scenarios/gone.toml")),
    ("hasty", include_str!("../scenarios/hasty.toml")),
    ("echo", include_str!("../scenarios/echo.toml")),
];

/// A scenario file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What people do.
    pub day: Day,
    /// The systems.
    pub system: Vec<Spec>,
    /// How often each fault strikes, on average a day.
    #[serde(default)]
    pub faults: BTreeMap<Fault, f64>,
}

/// What people do on a day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// Customers.
    pub people: usize,
    /// How long people work.
    pub hours: i64,
    /// Edits by people.
    pub edits: usize,
    /// The share of edits that another follows within a second, in another system.
    #[serde(default)]
    pub together: f64,
    /// The share of edits that clear a field.
    #[serde(default)]
    pub cleared: f64,
    /// Edits 50 ms after the hub itself wrote to the same record.
    #[serde(default)]
    pub follows: usize,
    /// The share of customers who are known to two systems when the hub begins.
    #[serde(default)]
    pub shared: f64,
    /// The share of customers who come in the course of the day.
    #[serde(default)]
    pub latecomers: f64,
    /// The hub may write so many times for each edit and each customer; none: it is not counted.
    #[serde(default)]
    pub writes_most: Option<usize>,
}

/// A system and its habits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The connection's name.
    pub name: String,
    /// What it says about recency.
    pub versions: Versions,
    /// Stamps are rounded down to this many microseconds.
    #[serde(default = "one")]
    pub stamp_us: i64,
    /// By how much its clock is ahead, or behind if negative. It tells nobody what time it is.
    #[serde(default)]
    pub clock_seconds: i64,
    /// Whether it calls when something changed.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// It is pulled this often.
    pub every_minutes: i64,
    /// Records on a page.
    #[serde(default = "a_page")]
    pub page: usize,
    /// How far before the last stamp a pull begins.
    #[serde(default)]
    pub overlap_seconds: i64,
    /// Whether it refuses a write that was made against another version itself. Otherwise its connector compares the
    /// fields just before it writes.
    #[serde(default)]
    pub conditional: bool,
    /// Whether it knows a repeated create by its idempotency key. Otherwise its connector looks for the mail address.
    #[serde(default)]
    pub keys: bool,
    /// How it stores what it is given.
    #[serde(default)]
    pub stores: Vec<Habit>,
    /// What changed appears in lists this much later at the most.
    #[serde(default)]
    pub lag_seconds: i64,
    /// How long a call takes at the most, there and back.
    #[serde(default = "half_a_second")]
    pub latency_ms: i64,
}

fn one() -> i64 {
    1
}

fn a_page() -> usize {
    5
}

fn half_a_second() -> i64 {
    500
}

/// What a system says about recency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versions {
    /// A stamp.
    Instant,
    /// A number that grows with every change of any record.
    Sequence,
    /// Nothing: every pull shows every record.
    None,
}

/// What a system's call says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Webhooks {
    /// It does not call.
    #[default]
    None,
    /// The whole record.
    Record,
    /// Only which record changed.
    Hint,
}

impl Scenario {
    /// Reads a scenario; `file` is used in messages, which name the nearest known word.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error).to_string())?;
        let faults = scenario.faults.keys().map(|fault| (fault.word(), fault.stages()));
        let stores = scenario.system.iter().flat_map(|spec| &spec.stores);
        let mut words = faults.chain(stores.map(|habit| (habit.word(), habit.stages())));
        match words.find(|(_, stages)| *stages == Stages::Wired) {
            Some((word, _)) => Err(format!("{file}: `{word}` needs a wire; play it in tests/twins/scenarios")),
            None => Ok(scenario),
        }
    }

    /// A shipped scenario by name.
    pub fn shipped(name: &str) -> Option<Self> {
        let (_, text) = SHIPPED.iter().find(|(known, _)| *known == name)?;
        Self::parse(name, text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_can_be_read() {
        for (name, text) in SHIPPED {
            let scenario = Scenario::parse(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(scenario.system.len() > 1, "{name}");
        }
    }

    #[test]
    fn a_word_that_nobody_knows_is_told_with_its_place_and_the_nearest() {
        let (name, text) = SHIPPED[1];
        let error = Scenario::parse("storm.toml", &text.replace("cut_after", "cut_afer")).unwrap_err();
        let line = 1 + text.lines().position(|line| line.starts_with("cut_after")).unwrap();
        assert!(error.starts_with(&format!("{name}.toml:{line}:1: ")), "{error}");
        assert!(error.ends_with("did you mean `cut_after`?"), "{error}");
        let error = Scenario::parse("storm.toml", &text.replace("cut_after", "moving_page")).unwrap_err();
        assert!(error.contains("`moving_page` needs a wire"), "{error}");
    }
}
