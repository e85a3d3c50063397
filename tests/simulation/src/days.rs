//! Many days, on several threads, each with a seed of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::hub::Kit;
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::script::Script;
use crate::shrink::shrink;
use crate::world::play;

/// Which days to play.
#[derive(Clone, Copy, Debug)]
pub struct Days<'a> {
    /// What they are made of.
    pub scenario: &'a Scenario,
    /// The first seed; the following days have the following ones.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// How many at a time.
    pub threads: usize,
    /// No day begins after this instant of the machine's clock.
    pub until: Option<Instant>,
    /// The planted bug.
    pub mutant: Mutant,
}

/// What came of them.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// Days played.
    pub days: u64,
    /// Edits by people.
    pub edits: usize,
    /// Writes by the hub.
    pub writes: usize,
    /// Steps of the simulation.
    pub steps: usize,
    /// The lowest seed that failed, with what was wrong.
    pub failed: Option<(u64, Vec<String>)>,
}

impl Total {
    /// Adds other days.
    pub fn add(&mut self, more: Self) {
        self.days += more.days;
        self.edits += more.edits;
        self.writes += more.writes;
        self.steps += more.steps;
        self.failed = self.failed.take().or(more.failed);
    }
}

/// Plays days until all are played or one fails.
pub fn play_days(days: Days<'_>) -> Result<Total, String> {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Total::default());
    let worker = || -> Result<(), String> {
        let kit = Kit::new()?;
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            // How long a day takes is about the machine: nothing in a day depends on it.
            if at >= days.count || days.until.is_some_and(|until| Instant::now() >= until) {
                return Ok(());
            }
            let seed = days.first + at;
            let day = play(&kit, days.scenario, &Script::of(days.scenario, seed), days.mutant, false);
            let mut total = total.lock().map_err(|error| error.to_string())?;
            total.days += 1;
            total.edits += day.edits;
            total.writes += day.writes;
            total.steps += day.steps;
            if !day.violations.is_empty() {
                // What the other threads play now has higher or hardly lower seeds; nothing new is begun.
                next.store(days.count, Ordering::SeqCst);
                if total.failed.as_ref().is_none_or(|(known, _)| seed < *known) {
                    total.failed = Some((seed, day.violations));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..days.threads.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a day panicked".to_owned())?)
    })?;
    total.into_inner().map_err(|error| error.to_string())
}

/// A failing seed for people: what was wrong, the shortest day, its history, and how to see it again.
pub fn story(days: Days<'_>, name: &str, seed: u64) -> Result<String, String> {
    let kit = Kit::new()?;
    let shrunk = shrink(&kit, days.scenario, &Script::of(days.scenario, seed), days.mutant);
    let wrong = shrunk.day.violations.join("\n  ");
    let planted = match days.mutant {
        Mutant::None => String::new(),
        mutant => format!(" --mutant {}", mutant.word()),
    };
    Ok(format!(
        "seed {seed} of scenario {name} fails:\n  {wrong}\n{shrunk}again: cargo run --release -p huiliu-simulation -- --scenario {name} --seed {seed} --days 1{planted}\n"
    ))
}
