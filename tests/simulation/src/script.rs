//! One day, written down before it is played: every edit, every fault and every crash, with its time.
//!
//! Nothing else is left to chance while it is played than how long calls take, and that follows from the seed and the
//! number of the call. So a day can be shortened by leaving events out.

use std::fmt;

use crate::dice::Dice;
use crate::ledger::{DAY_ONE_US, Field};
use crate::scenario::{Fault, Scenario};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When, microseconds since 1970 UTC.
    pub at_us: i64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A customer becomes known to a system.
    Add {
        /// The system.
        system: usize,
        /// The customer.
        person: usize,
    },
    /// A person edits a field; it becomes visible `late_us` after the stamp that it bears.
    Edit {
        /// Where.
        system: usize,
        /// Whose.
        person: usize,
        /// Which field.
        field: Field,
        /// The new value as typed; none: cleared.
        value: Option<String>,
        /// How late it becomes visible.
        late_us: i64,
    },
    /// When the hub next writes to a record of the system, a person edits the record 50 ms later.
    Follow {
        /// Where.
        system: usize,
        /// Which field.
        field: Field,
        /// The new value.
        value: String,
    },
    /// A person deletes a record, and restores it after a while, or not.
    Remove {
        /// Where.
        system: usize,
        /// Whose.
        person: usize,
        /// After how long it is restored.
        restored_us: Option<i64>,
    },
    /// The system gives a record another id.
    Rename {
        /// Where.
        system: usize,
        /// Whose.
        person: usize,
    },
    /// The next call that it can strike goes wrong.
    Fault {
        /// Where.
        system: usize,
        /// How.
        fault: Fault,
    },
    /// The hub is killed and started again.
    Crash {
        /// After how long.
        down_us: i64,
    },
    /// A table takes no writes.
    DiskFull {
        /// Which.
        table: &'static str,
        /// For how long.
        for_us: i64,
    },
}

/// One day.
#[derive(Clone, Debug)]
pub struct Script {
    /// The seed it comes from; it decides how long calls take, too.
    pub seed: u64,
    /// What happens, in order.
    pub events: Vec<Event>,
    /// When people go home, microseconds since 1970 UTC.
    pub ends_us: i64,
}

/// The tables that may refuse: one of each transaction that a stage commits.
const TABLES: [&str; 7] = ["inbox", "stream_state", "link", "change_log", "delivery", "receipt", "attempt"];

impl Script {
    /// The day of a seed.
    pub fn of(scenario: &Scenario, seed: u64) -> Self {
        let ends_us = DAY_ONE_US + scenario.day.hours * HOUR_US;
        let mut writer = Writer { scenario, dice: Dice::new(seed), events: Vec::new(), typed: 0, ends_us };
        writer.people();
        writer.edits();
        writer.faults();
        let mut events = writer.events;
        events.sort_by_key(|event| event.at_us);
        Self { seed, events, ends_us }
    }

    /// The same day with only these events.
    pub fn with(&self, events: Vec<Event>) -> Self {
        Self { seed: self.seed, events, ends_us: self.ends_us }
    }
}

struct Writer<'a> {
    scenario: &'a Scenario,
    dice: Dice,
    events: Vec<Event>,
    typed: usize,
    ends_us: i64,
}

impl Writer<'_> {
    fn put(&mut self, at_us: i64, what: What) {
        self.events.push(Event { at_us, what });
    }

    fn sometime(&mut self) -> i64 {
        self.dice.between(DAY_ONE_US + MINUTE_US, self.ends_us)
    }

    fn people(&mut self) {
        let (day, systems) = (&self.scenario.day, self.scenario.system.len());
        for person in 0..day.people {
            let system = self.dice.below(systems);
            if self.dice.chance(day.latecomers) {
                let at_us = self.sometime();
                self.put(at_us, What::Add { system, person });
                continue;
            }
            self.put(DAY_ONE_US, What::Add { system, person });
            if self.dice.chance(day.shared) {
                let other = (system + 1 + self.dice.below(systems - 1)) % systems;
                self.put(DAY_ONE_US, What::Add { system: other, person });
            }
        }
    }

    fn edits(&mut self) {
        let (day, systems) = (&self.scenario.day, self.scenario.system.len());
        for _ in 0..day.edits {
            let (at_us, person) = (self.sometime(), self.dice.below(day.people));
            let (system, field) = (self.dice.below(systems), *self.dice.pick(&Field::ALL));
            self.edit(at_us, system, person, field, 0);
            if self.dice.chance(day.together) {
                let other = (system + 1 + self.dice.below(systems - 1)) % systems;
                let field = if self.dice.chance(0.5) { field } else { *self.dice.pick(&Field::ALL) };
                let soon_us = self.dice.between(0, SECOND_US);
                self.edit(at_us + soon_us, other, person, field, 0);
            }
        }
        for _ in 0..day.follows {
            let (at_us, system) = (self.sometime(), self.dice.below(systems));
            let field = *self.dice.pick(&[Field::Title, Field::Remark, Field::Phone]);
            let value = self.typed(field);
            self.put(at_us, What::Follow { system, field, value });
        }
    }

    fn edit(&mut self, at_us: i64, system: usize, person: usize, field: Field, late_us: i64) {
        let cleared = self.dice.chance(self.scenario.day.cleared);
        let value = (!cleared).then(|| self.typed(field));
        self.put(at_us, What::Edit { system, person, field, value, late_us });
    }

    /// What a person types: no two edits alike where a field allows it, spaces and capitals as they come.
    fn typed(&mut self, field: Field) -> String {
        self.typed += 1;
        let number = self.typed;
        match field {
            Field::Phone => format!("1380{number:07}"),
            Field::Lifecycle => (*self.dice.pick(&["lead", "prospect", "customer", "former"])).to_owned(),
            Field::Title | Field::Remark => {
                let words = *self.dice.pick(&["head of sales", "Buyer", "BUYER in charge", "采购 manager"]);
                let space = if self.dice.chance(0.2) { " " } else { "" };
                format!("{space}{words} {number}{space}")
            }
        }
    }

    fn faults(&mut self) {
        let systems = self.scenario.system.len();
        for (fault, mean) in self.scenario.faults.clone() {
            for _ in 0..self.dice.times(mean) {
                let (at_us, system) = (self.sometime(), self.dice.below(systems));
                let person = self.dice.below(self.scenario.day.people);
                let what = match fault {
                    Fault::Crash => What::Crash { down_us: self.dice.between(SECOND_US, 10 * MINUTE_US) },
                    Fault::DiskFull => What::DiskFull {
                        table: self.dice.pick::<&'static str>(&TABLES),
                        for_us: self.dice.between(SECOND_US, 2 * MINUTE_US),
                    },
                    Fault::Removed => What::Remove { system, person, restored_us: None },
                    Fault::Restored => {
                        let restored_us = Some(self.dice.between(SECOND_US, 2 * HOUR_US));
                        What::Remove { system, person, restored_us }
                    }
                    Fault::Renamed => What::Rename { system, person },
                    Fault::LateCommit => {
                        let field = *self.dice.pick(&Field::ALL);
                        let late_us = self.dice.between(SECOND_US, 60 * SECOND_US);
                        self.edit(at_us, system, person, field, late_us);
                        continue;
                    }
                    fault => What::Fault { system, fault },
                };
                self.put(at_us, what);
            }
        }
    }
}

/// The name of a system for people: `a`, `b`, `c`, as the scenarios call them.
pub fn letter(system: usize) -> char {
    char::from(b'a' + u8::try_from(system % 26).unwrap_or(0))
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { system, person } => write!(f, "customer {person} becomes known to {}", letter(*system)),
            Self::Edit { system, person, field, value, late_us } => {
                write!(f, "somebody in {} sets {} of customer {person} to ", letter(*system), field.key())?;
                match value {
                    Some(value) => write!(f, "{value:?}")?,
                    None => write!(f, "nothing")?,
                }
                if *late_us > 0 { write!(f, ", visible {} s later", late_us / SECOND_US) } else { Ok(()) }
            }
            Self::Follow { system, field, value } => {
                let key = field.key();
                write!(
                    f,
                    "50 ms after the hub next writes to {}, somebody sets {key} there to {value:?}",
                    letter(*system)
                )
            }
            Self::Remove { system, person, restored_us } => {
                write!(f, "customer {person} is deleted in {}", letter(*system))?;
                match restored_us {
                    Some(after) => write!(f, " and restored {} s later", after / SECOND_US),
                    None => Ok(()),
                }
            }
            Self::Rename { system, person } => write!(f, "{} gives customer {person} another id", letter(*system)),
            Self::Fault { system, fault } => write!(f, "{}: {fault:?} strikes the next call it can", letter(*system)),
            Self::Crash { down_us } => write!(f, "the hub is killed, and started {} s later", down_us / SECOND_US),
            Self::DiskFull { table, for_us } => {
                write!(f, "table {table} takes no writes for {} s", for_us / SECOND_US)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_day() {
        let storm = Scenario::shipped("storm").expect("the storm");
        assert_eq!(Script::of(&storm, 1).events, Script::of(&storm, 1).events);
        assert_ne!(Script::of(&storm, 1).events, Script::of(&storm, 2).events);
    }
}
