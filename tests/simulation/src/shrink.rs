//! The shortest day that still fails.

use crate::hub::Kit;
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::script::{Event, Script};
use crate::world::{Day, play};

/// Days played to shorten one: a day takes some tens of milliseconds.
const TRIES_MAX: usize = 600;

/// A day that failed, as short as it was made.
pub struct Shrunk {
    /// The day.
    pub script: Script,
    /// How it ends, with its history.
    pub day: Day,
}

/// Leaves out events, many at first and then one by one, as long as something is still wrong at the end.
pub fn shrink(kit: &Kit, scenario: &Scenario, script: &Script, mutant: Mutant) -> Shrunk {
    let mut events = script.events.clone();
    let mut tries = 0;
    let mut fails = |events: &[Event]| {
        tries += 1;
        tries <= TRIES_MAX && !play(kit, scenario, &script.with(events.to_vec()), mutant, false).violations.is_empty()
    };
    let mut size = events.len().div_ceil(2);
    loop {
        let mut at = 0;
        let mut left = false;
        while at < events.len() {
            let end = (at + size).min(events.len());
            let rest: Vec<Event> = events[..at].iter().chain(&events[end..]).cloned().collect();
            if fails(&rest) {
                events = rest;
                left = true;
            } else {
                at = end;
            }
        }
        match (size, left) {
            (1, false) | (0, _) => break,
            (1, true) => {}
            _ => size = size.div_ceil(2),
        }
    }
    let script = script.with(events);
    let day = play(kit, scenario, &script, mutant, true);
    Shrunk { script, day }
}

impl std::fmt::Display for Shrunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} events are enough:", self.script.events.len())?;
        for event in &self.script.events {
            writeln!(f, "  {} {}", crate::ledger::clock_text(event.at_us), event.what)?;
        }
        writeln!(f, "what happens then:")?;
        for line in &self.day.history {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
