//! Plays a day: pops what is due, moves the clock there, does it.

mod around;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use huiliu_core::clock::Clock;
use huiliu_core::connector::Received;
use huiliu_core::store::Store;

use crate::hub::{Hub, Kit, Work};
use crate::ledger::{DAY_ONE_US, Field, Ledger};
use crate::mutant::Mutant;
use crate::scenario::Scenario;
use crate::script::{Script, What, letter};
use crate::system::{Sent, Shared, System};
use crate::verdict;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;

/// What a stage that met a failing store waits before it tries again, as `huiliu serve` does.
const GLANCE_US: i64 = 5 * SECOND_US;

/// Everything must be quiet this long after people went home: the longest wait of a delivery is six hours.
const QUIET_US: i64 = 24 * 3600 * SECOND_US;

/// How long nobody may be written to then: every system is pulled once more at least.
const WATCH_US: i64 = 5 * 1800 * SECOND_US;

/// How a day ended.
#[derive(Clone, Debug, Default)]
pub struct Day {
    /// What was wrong, in the order in which it was found.
    pub violations: Vec<String>,
    /// What happened, if it was recorded.
    pub history: Vec<String>,
    /// Edits by people.
    pub edits: usize,
    /// Writes by the hub.
    pub writes: usize,
    /// Steps of the world.
    pub steps: usize,
}

/// What is due.
enum Due {
    Script(usize),
    /// A call of the hub goes on.
    Task(u64),
    Read(usize),
    Errands(usize),
    Think,
    Webhook {
        system: usize,
        key: String,
        body: Vec<Received>,
        tries: usize,
    },
    Edit {
        system: usize,
        person: usize,
        field: Field,
        value: Option<String>,
        begun_us: i64,
    },
    Restore {
        system: usize,
        person: usize,
    },
    Restart,
    DiskFree(&'static str),
    /// A person looks whether anything needs one.
    Operator,
    Evening,
}

pub(crate) struct World<'a> {
    kit: &'a Kit,
    script: &'a Script,
    pub(crate) shared: Shared,
    pub(crate) systems: Vec<Arc<System>>,
    agenda: BTreeMap<(i64, u64), Due>,
    next: u64,
    disk: Store,
    pub(crate) hub: Option<Hub>,
    thinks: bool,
    full: BTreeSet<&'static str>,
    read_at: Vec<Option<i64>>,
    steps: usize,
    /// How many writes are too many.
    pub(crate) writes_most: Option<usize>,
}

/// Plays a day to its end.
pub fn play(kit: &Kit, scenario: &Scenario, script: &Script, mutant: Mutant, record: bool) -> Day {
    match World::new(kit, scenario, script, mutant, record) {
        Ok(world) => world.run(),
        Err(error) => Day { violations: vec![format!("the day cannot begin: {error}")], ..Day::default() },
    }
}

impl<'a> World<'a> {
    fn new(
        kit: &'a Kit,
        scenario: &Scenario,
        script: &'a Script,
        mutant: Mutant,
        record: bool,
    ) -> Result<Self, String> {
        let mut ledger = Ledger::default();
        ledger.history = record.then(Vec::new);
        let shared = Shared {
            clock: Clock::manual(DAY_ONE_US),
            ledger: Arc::new(Mutex::new(ledger)),
            alarm: Arc::new(AtomicI64::new(i64::MAX)),
            seed: script.seed,
            mutant,
        };
        let specs = scenario.system.iter().cloned().enumerate();
        let systems: Vec<_> = specs.map(|(at, spec)| Arc::new(System::new(at, spec, shared.clone()))).collect();
        let read_at = vec![None; systems.len()];
        let disk = kit.store()?;
        Ok(Self {
            kit,
            script,
            shared,
            systems,
            agenda: BTreeMap::new(),
            next: 0,
            disk,
            hub: None,
            thinks: false,
            full: BTreeSet::new(),
            read_at,
            steps: 0,
            writes_most: scenario.day.writes_most,
        })
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.shared.clock.now_us()
    }

    pub(crate) fn ends_us(&self) -> i64 {
        self.script.ends_us
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.hub.as_ref().map(|hub| &hub.engine.store)
    }

    fn tell(&self, line: impl FnOnce() -> String) {
        self.shared.ledger().tell(self.now_us(), line);
    }

    fn wrong(&self, what: String) {
        self.shared.ledger().wrong(self.now_us(), what);
    }

    fn at(&mut self, at_us: i64, due: Due) {
        self.next += 1;
        self.agenda.insert((at_us.max(self.now_us()), self.next), due);
    }

    fn soon(&mut self, in_us: i64, due: Due) {
        self.at(self.now_us() + in_us, due);
    }

    fn run(mut self) -> Day {
        for at in 0..self.script.events.len() {
            self.at(self.script.events[at].at_us, Due::Script(at));
        }
        self.at(DAY_ONE_US + SECOND_US, Due::Restart);
        self.at(DAY_ONE_US + MINUTE_US, Due::Operator);
        self.at(self.script.ends_us + MINUTE_US, Due::Evening);
        self.until(self.script.ends_us + MINUTE_US);
        let quiet_by_us = self.script.ends_us + QUIET_US;
        loop {
            self.until(self.now_us() + 30 * MINUTE_US);
            if verdict::is_quiet(&self) || !self.shared.ledger().violations.is_empty() {
                break;
            }
            if self.now_us() > quiet_by_us {
                self.wrong(format!("a day later it is still not quiet: {}", verdict::unrest(&self)));
                break;
            }
        }
        if self.shared.ledger().violations.is_empty() {
            let before = self.shared.ledger().writes;
            self.until(self.now_us() + WATCH_US);
            let more = self.shared.ledger().writes - before;
            if more > 0 {
                self.wrong(format!("{more} writes after everything was quiet"));
            }
            for what in verdict::judge(&self) {
                self.wrong(what);
            }
        }
        if let Some(hub) = self.hub.take() {
            hub.kill();
        }
        let mut ledger = self.shared.ledger();
        Day {
            violations: std::mem::take(&mut ledger.violations),
            history: ledger.history.take().unwrap_or_default(),
            edits: ledger.edits.len(),
            writes: ledger.writes,
            steps: self.steps,
        }
    }

    /// Does what is due up to an instant.
    fn until(&mut self, end_us: i64) {
        while let Some((&(at_us, number), _)) = self.agenda.first_key_value()
            && at_us <= end_us
        {
            let Some(due) = self.agenda.remove(&(at_us, number)) else { break };
            self.shared.clock.advance_us(at_us - self.now_us());
            self.steps += 1;
            self.due(due);
            self.take_up();
        }
        self.shared.clock.advance_us((end_us - self.now_us()).max(0));
    }

    /// What systems set going.
    fn take_up(&mut self) {
        for system in 0..self.systems.len() {
            for sent in self.systems[system].sent() {
                match sent {
                    Sent::Webhook { at_us, key, body } => self.at(at_us, Due::Webhook { system, key, body, tries: 0 }),
                    Sent::Edit { at_us, person, field, value } => {
                        self.at(at_us, Due::Edit { system, person, field, value: Some(value), begun_us: at_us });
                    }
                }
            }
        }
    }

    fn due(&mut self, due: Due) {
        match due {
            Due::Script(at) => self.happen(at),
            Due::Task(number) => self.drive(number),
            Due::Read(system) => {
                // An earlier or a later time was set meanwhile.
                if self.read_at[system].is_some_and(|at_us| at_us <= self.now_us()) {
                    self.read_at[system] = None;
                    self.begin(Work::Read(system));
                }
            }
            Due::Errands(system) => self.errands(system),
            Due::Think => self.think(),
            Due::Webhook { system, key, body, tries } => self.webhook(system, key, body, tries),
            Due::Edit { system, person, field, value, begun_us } => {
                self.tell(|| format!("{}: {} of customer {person} becomes {value:?}", letter(system), field.key()));
                self.systems[system].edit(person, field, value.as_deref(), begun_us);
            }
            Due::Restore { system, person } => {
                self.tell(|| format!("{}: customer {person} is restored", letter(system)));
                self.systems[system].restore(person);
            }
            Due::Restart => self.restart(),
            Due::DiskFree(table) => {
                if self.full.contains(table) {
                    self.refuse(table, false);
                }
            }
            Due::Operator => self.operator(),
            Due::Evening => {
                self.tell(|| "people go home".to_owned());
                self.systems.iter().for_each(|system| system.calm());
            }
        }
    }

    fn happen(&mut self, at: usize) {
        let what = self.script.events[at].what.clone();
        self.tell(|| what.to_string());
        match what {
            What::Add { system, person } => self.systems[system].add(person),
            What::Edit { system, person, field, value, late_us } => {
                let begun_us = self.now_us();
                if late_us == 0 {
                    self.systems[system].edit(person, field, value.as_deref(), begun_us);
                } else {
                    self.soon(late_us, Due::Edit { system, person, field, value, begun_us });
                }
            }
            What::Follow { system, field, value } => self.systems[system].arm_follow(field, &value),
            What::Remove { system, person, restored_us } => {
                self.systems[system].remove(person);
                if let Some(after_us) = restored_us {
                    self.soon(after_us, Due::Restore { system, person });
                }
            }
            What::Rename { system, person } => self.systems[system].rename(person),
            What::Fault { system, fault } => self.systems[system].arm(fault),
            What::Crash { down_us } => {
                if let Some(hub) = self.hub.take() {
                    hub.kill();
                    self.soon(down_us, Due::Restart);
                }
            }
            What::DiskFull { table, for_us } => {
                if self.hub.is_some() {
                    self.refuse(table, true);
                    self.soon(for_us, Due::DiskFree(table));
                }
            }
        }
    }
}
