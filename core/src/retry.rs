//! Dead letters, once what was wrong is mended: each runs again from where it ended.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::review::Steward;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::{self, doubt};
use crate::store::inbox;
use crate::store::stewards::{self, Command};

/// What became of dead letters that a person wants to run again.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Retried {
    /// Deliveries that are sent again, under their former idempotency keys.
    pub deliveries: usize,
    /// Items of the inbox that are processed again.
    pub items: usize,
    /// Keys that are fetched again.
    pub fetches: usize,
    /// Letters about creates that may have been carried out: a person has to look first, and to name them one by one.
    pub asked: Vec<i64>,
    /// Letters that cannot run again by themselves: rows of a file that must be imported again, and items that are no
    /// longer kept.
    pub left: Vec<i64>,
}

/// How letters were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One by one: whoever names a letter has read it.
    Named,
    /// Many at once.
    Together,
}

/// Runs waiting dead letters again; `numbers` chooses some of them. They stop waiting; what fails again is a new letter.
pub fn dead_letters(engine: &Engine, numbers: Option<&BTreeSet<i64>>) -> Result<Retried> {
    let choice = if numbers.is_some() { Choice::Named } else { Choice::Together };
    engine.store.write(|tx| again(engine, tx, numbers, choice))
}

/// As [`dead_letters`], with a line that says who wanted it.
pub fn by_steward(engine: &Engine, numbers: &BTreeSet<i64>, choice: Choice, steward: Steward<'_>) -> Result<Retried> {
    engine.store.write(|tx| {
        let done = again(engine, tx, Some(numbers), choice)?;
        let command = Command {
            number: 0,
            what: "retry".to_owned(),
            detail: serde_json::json!({ "letters": numbers, "left": done.left, "asked": done.asked }),
            made_by: steward.name.to_owned(),
            why: steward.why.to_owned(),
            change: 0,
            made_us: engine.clock.now_us(),
        };
        stewards::put_command(tx, &command)?;
        Ok(done)
    })
}

fn again(engine: &Engine, tx: &mut Tx<'_>, numbers: Option<&BTreeSet<i64>>, choice: Choice) -> Result<Retried> {
    let now_us = engine.clock.now_us();
    let letters = match numbers {
        Some(numbers) => inbox::dead_letters_of(tx, numbers.iter().copied())?,
        None => inbox::dead_letters(tx, i64::MAX)?,
    };
    let asked = match choice {
        Choice::Named => BTreeSet::new(),
        Choice::Together => doubt::asked(tx, letters.iter().filter(|it| it.stage == "push").map(|it| it.item))?,
    };
    let mut done = Retried::default();
    let mut over = Vec::new();
    let mut again = Vec::new();
    let mut keys = BTreeSet::new();
    for letter in letters {
        let runs = match letter.stage.as_str() {
            "push" if asked.contains(&letter.item) => {
                done.asked.push(letter.number);
                continue;
            }
            "push" => {
                let revived = deliveries::revive(tx, letter.item, now_us)? > 0;
                done.deliveries += usize::from(revived);
                revived
            }
            "process" => {
                let kept = inbox::at(tx, letter.item)?;
                let runs = kept.is_some();
                again.extend(kept);
                runs
            }
            "fetch" => match (&letter.stream, &letter.external_id) {
                (Some(stream), Some(id)) => {
                    keys.insert((letter.connection.clone(), stream.clone(), id.clone()));
                    true
                }
                _ => false,
            },
            _ => false,
        };
        if runs { over.push(letter.number) } else { done.left.push(letter.number) }
    }
    // The copy stands at the end of the log: the item itself is history.
    inbox::append(tx, &again)?;
    let keys: Vec<_> = keys.into_iter().map(|(connection, stream, id)| (connection, stream, id, 0)).collect();
    inbox::ask_fetch(tx, &keys, now_us)?;
    (done.items, done.fetches) = (again.len(), keys.len());
    inbox::mark_retried(tx, over)?;
    Ok(done)
}
