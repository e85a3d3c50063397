//! Grants from budgets that several processes share: one short transaction for all that a process asks at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::brain::{Note, Question, hear};
use super::ledger::{Grant, Ledger};
use crate::store::db::Result;
use crate::store::{Store, budgets};

/// Takes in what was said, and answers each question in its place. `now_us`: the instant, where a test says it; else the
/// database's clock, which is one for all nodes.
pub fn settle(
    store: &Store,
    node: u64,
    now_us: Option<i64>,
    questions: &[Question],
    notes: &[Note],
) -> Result<Vec<Grant>> {
    store.write(|tx| {
        budgets::lock(tx)?;
        let now_us = match now_us {
            Some(now_us) => now_us,
            None => budgets::clock_us(tx)?,
        };
        let asked = questions.iter().map(|question| &question.key);
        let keys = asked.chain(notes.iter().flat_map(|note| &note.about));
        let rows = budgets::of(tx, keys.map(AsRef::as_ref))?;
        let mut ledgers: BTreeMap<Arc<str>, Ledger> = BTreeMap::new();
        for (key, state) in rows {
            // A budget that cannot be read begins anew: it holds nothing that the vendor does not know.
            ledgers.insert(key.as_str().into(), serde_json::from_str(&state).unwrap_or_default());
        }
        for note in notes {
            for key in &note.about {
                ledgers.entry(key.clone()).or_default();
            }
            let about = ledgers.iter_mut().filter(|(key, _)| note.about.contains(key));
            let mut about: Vec<&mut Ledger> = about.map(|(_, ledger)| ledger).collect();
            hear(&mut about, now_us, note.said);
        }
        let mut grants = Vec::with_capacity(questions.len());
        for question in questions {
            let ledger = ledgers.entry(question.key.clone()).or_default();
            ledger.declare(&question.limits, now_us);
            grants.push(ledger.grant(now_us, node, question.wants, &question.back));
        }
        for (key, ledger) in &ledgers {
            budgets::put(tx, key, &serde_json::to_string(ledger)?, now_us)?;
        }
        Ok(grants)
    })
}
