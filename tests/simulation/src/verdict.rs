//! What must be true at the end of a day.

use std::collections::BTreeMap;

use huiliu_core::pipeline::{plan, process};
use huiliu_core::store::db::Result;
use huiliu_core::store::{console, deliveries, goldens, inbox, streams};

use crate::ledger::{Field, Ledger};
use crate::script::letter;
use crate::system::{Alive, System};
use crate::world::World;

/// Whether nothing is under way or owed any more.
pub(crate) fn is_quiet(world: &World<'_>) -> bool {
    unrest(world).is_empty()
}

/// What is under way or owed.
pub(crate) fn unrest(world: &World<'_>) -> String {
    let (Some(hub), Some(store)) = (&world.hub, world.store()) else { return "the hub is down".to_owned() };
    if !hub.is_idle() {
        return "the hub speaks to a system".to_owned();
    }
    let found: Result<Vec<String>> = store.read(|tx| {
        let mut unrest = Vec::new();
        let waiting: Vec<_> =
            deliveries::counts(tx)?.into_iter().filter(|it| ["pending", "sending"].contains(&it.1.as_str())).collect();
        if !waiting.is_empty() {
            unrest.push(format!("deliveries {waiting:?}"));
        }
        let fetches = inbox::fetches_waiting(tx)?;
        if fetches > 0 {
            unrest.push(format!("{fetches} keys to fetch"));
        }
        if inbox::backlog(tx, process::POSITION)? > 0 {
            unrest.push("arrivals to process".to_owned());
        }
        if inbox::progress(tx, plan::POSITION)? < tx.max("position", "change_log")? {
            unrest.push("changes to plan".to_owned());
        }
        let letters = inbox::dead_letters(tx, 3)?;
        if !letters.is_empty() {
            unrest.push(format!("dead letters {letters:?}"));
        }
        // Late commits, lagging lists and delayed calls are over by then.
        let evening_us = world.ends_us() + 40 * 60_000_000;
        for ((name, _), state) in streams::all(tx)? {
            if state.error.is_some() || state.stopped || state.ok_us.is_none_or(|at| at < evening_us) {
                unrest.push(format!("{name} is not read: {:?}", state.error));
            }
        }
        Ok(unrest)
    });
    match found {
        Ok(unrest) => unrest.join("; "),
        Err(error) => error.to_string(),
    }
}

/// Everything that is wrong at the end.
pub(crate) fn judge(world: &World<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let ledger = world.shared.ledger();
    let alive: Vec<Vec<Alive>> = world.systems.iter().map(|system| system.alive()).collect();
    let people: std::collections::BTreeSet<usize> = alive.iter().flatten().map(|one| one.person).collect();
    let people_count = people.len();
    for person in people {
        let records: Vec<Vec<&Alive>> =
            alive.iter().map(|all| all.iter().filter(|one| one.person == person).collect()).collect();
        for (system, mine) in records.iter().enumerate() {
            let name = letter(system);
            // Where a record was removed by hand, nobody makes it anew.
            if mine.is_empty() && !ledger.disturbed.contains(&person) {
                wrong.push(format!("customer {person} is missing in {name}"));
            }
            if mine.len() > 1 {
                let ids: Vec<&str> = mine.iter().map(|one| one.id.as_str()).collect();
                wrong.push(format!("customer {person} is {} times in {name}: {ids:?}", mine.len()));
            }
        }
        if !ledger.disturbed.contains(&person) {
            for field in Field::ALL {
                wrong.extend(agreement(&ledger, &world.systems, &records, person, field));
            }
        }
    }
    let most = world.writes_most.map(|most| most * (ledger.edits.len() + people_count));
    if let Some(most) = most.filter(|most| ledger.writes > *most) {
        wrong.push(format!("{} writes for {} edits, {most} are the most", ledger.writes, ledger.edits.len()));
    }
    drop(ledger);
    if let Some(store) = world.store() {
        match store.read(|tx| console::changes_after(tx, 0, i64::MAX)) {
            Ok(changes) => wrong.extend(order(&world.shared.ledger(), store, &changes)),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    wrong
}

/// All systems show a last word, and the same one, each in its own spelling.
fn agreement(
    ledger: &Ledger,
    systems: &[std::sync::Arc<System>],
    records: &[Vec<&Alive>],
    person: usize,
    field: Field,
) -> Option<String> {
    let shown: Vec<(usize, Option<String>)> = records
        .iter()
        .enumerate()
        .filter_map(|(system, mine)| {
            let value = mine.first()?.values.iter().find(|(known, _)| *known == field)?.1.clone();
            Some((system, value))
        })
        .collect();
    let last = ledger.last_words(person, field);
    if last.is_empty() {
        return None;
    }
    let fits = |edit: &usize| {
        let value = ledger.edits[*edit].value.as_deref();
        shown.iter().all(|(system, shown)| {
            let expected = value.map(|value| field.plain(&systems[*system].store_as(field, value)));
            shown.as_deref().map(|shown| field.plain(shown)) == expected
        })
    };
    // A word that several edits gave does not tell which of them it is: then all must agree on any word given.
    let all: Vec<usize> = if field.is_unique() {
        last.clone()
    } else {
        let mine = |at: &usize| ledger.edits[*at].person == person && ledger.edits[*at].field == field;
        (0..ledger.edits.len()).filter(mine).collect()
    };
    if all.iter().any(fits) {
        return None;
    }
    let words: Vec<String> =
        last.iter().map(|at| format!("{:?} ({})", ledger.edits[*at].value, letter(ledger.edits[*at].system))).collect();
    let shown: Vec<String> = shown.iter().map(|(system, value)| format!("{}: {value:?}", letter(*system))).collect();
    Some(format!("{} of customer {person}: last said {}; shown {}", field.key(), words.join(" or "), shown.join(", ")))
}

/// A golden record never goes back to a value after somebody who saw it changed it.
fn order(ledger: &Ledger, store: &huiliu_core::store::Store, changes: &[goldens::Change]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut persons: BTreeMap<i64, Option<usize>> = BTreeMap::new();
    let mut seen: BTreeMap<(i64, Field), Vec<usize>> = BTreeMap::new();
    for change in changes {
        let person = *persons.entry(change.golden).or_insert_with(|| whose(store, change.golden));
        let Some(person) = person.filter(|person| !ledger.disturbed.contains(person)) else { continue };
        for field in Field::ALL.into_iter().filter(|field| field.is_unique()) {
            let name: huiliu_mappings::value::FieldName = field.canonical().into();
            let Some((_, after)) = change.diff.get(&name) else { continue };
            let Some(edit) = after.as_str().and_then(|text| ledger.origin(person, field, Some(text))) else { continue };
            let before = seen.entry((change.golden, field)).or_default();
            if let Some(later) = before.iter().find(|later| ledger.follows(edit, **later)) {
                let (old, new) = (&ledger.edits[edit].value, &ledger.edits[*later].value);
                wrong.push(format!("{} of customer {person} went back from {new:?} to {old:?}", field.key()));
            }
            before.push(edit);
        }
    }
    wrong
}

fn whose(store: &huiliu_core::store::Store, golden: i64) -> Option<usize> {
    let found = store.read(|tx| goldens::by_ids(tx, [golden])).ok()?;
    let name: huiliu_mappings::value::FieldName = "emails.main".into();
    found.first()?.fields.get(&name)?.as_str()?.strip_prefix('p')?.strip_suffix("@example.com")?.parse().ok()
}
