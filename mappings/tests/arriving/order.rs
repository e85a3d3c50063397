//! Whatever came, changed and went before: who is who follows from who is there.

use std::collections::BTreeMap;

use huiliu_mappings::matching::linkage::{Facts, Finding, Frozen, Resident, Settings};
use proptest::prelude::*;

use crate::world::{Cells, World, bounded};

/// The records of each cluster that a run over all of them finds.
pub fn batch(model: &Frozen, there: &BTreeMap<String, Cells>, facts: &Facts, turned: bool) -> Vec<Vec<String>> {
    let mut ids: Vec<&String> = there.keys().collect();
    if turned {
        ids.reverse();
    }
    let mut records = model.records();
    for id in &ids {
        records.push(id, there[*id].iter().map(String::as_str));
    }
    let found = model.run(records, facts, &Settings::shipped(), &mut |_, _| ());
    grouped(ids.iter().map(|id| id.as_str()).zip(found.clusters))
}

pub fn grouped<'a, T: Ord>(of: impl Iterator<Item = (&'a str, T)>) -> Vec<Vec<String>> {
    let mut clusters: BTreeMap<T, Vec<String>> = BTreeMap::new();
    of.for_each(|(id, cluster)| clusters.entry(cluster).or_default().push(id.to_owned()));
    let mut clusters: Vec<Vec<String>> = clusters.into_values().collect();
    for ids in &mut clusters {
        ids.sort_unstable();
    }
    clusters.sort_unstable();
    clusters
}

pub fn put(resident: &mut Resident, id: &str, cells: &Cells) {
    resident.put(id, &cells.iter().map(String::as_str).collect::<Vec<_>>());
}

/// What happened: how often more than one record was a customer, and how often findings stood.
#[derive(Default)]
struct Seen {
    together: usize,
    findings: usize,
}

/// Lets records come, change and go, and stewards find; holds the resident against a run over all after every few.
fn play(model: &Frozen, seed: u64, size: usize, steps: usize) -> Seen {
    let mut world = World::new(seed, size);
    let mut resident = Resident::new(model.clone(), Settings::shipped());
    let mut there: BTreeMap<String, Cells> = BTreeMap::new();
    let mut facts = Facts::default();
    let mut seen = Seen::default();
    for step in 0..steps {
        let id = format!("r{:02}", world.dice.below(steps * 2 / 3));
        match world.dice.below(10) {
            0..=5 => {
                let known: Vec<Cells> = there.values().cloned().collect();
                let cells = world.next(&known);
                put(&mut resident, &id, &cells);
                there.insert(id, cells);
            }
            6 | 7 => {
                resident.remove(&id);
                there.remove(&id);
            }
            8 => {
                let other = format!("r{:02}", world.dice.below(steps * 2 / 3));
                let finding = if world.dice.hits(50) { Finding::Same } else { Finding::Different };
                let kept = facts.keep(&id, &other, finding);
                assert_eq!(kept.is_ok(), resident.find(&id, &other, finding).is_ok());
                seen.findings += usize::from(kept.is_ok());
            }
            _ => {
                let other = format!("r{:02}", world.dice.below(steps * 2 / 3));
                facts.forget(&id, &other);
                resident.forget(&id, &other);
            }
        }
        if step % 5 == 4 || step + 1 == steps {
            let all = batch(model, &there, &facts, step % 2 == 0);
            seen.together += all.iter().filter(|ids| ids.len() > 1).count();
            let mine = grouped(resident.clusters().into_iter());
            assert_eq!(mine, all, "seed {seed}, size {size}, after step {step}");
            assert_eq!(grouped(there.keys().map(|id| (id.as_str(), resident.customer(id)))), all);
        }
    }
    // A new one that knows only who is there now, in another order.
    let mut other = Resident::new(model.clone(), Settings::shipped());
    facts_of(&facts, &there).for_each(|(a, b, finding)| drop(other.find(&a, &b, finding)));
    there.iter().rev().for_each(|(id, cells)| put(&mut other, id, cells));
    assert_eq!(grouped(other.clusters().into_iter()), batch(model, &there, &facts, false));
    seen
}

fn facts_of(facts: &Facts, there: &BTreeMap<String, Cells>) -> impl Iterator<Item = (String, String, Finding)> {
    let of = |id: &String| {
        let same = facts.same(id).map(|other| (id.clone(), other.to_owned(), Finding::Same));
        let different = facts.different(id).map(|other| (id.clone(), other.to_owned(), Finding::Different));
        same.chain(different).collect::<Vec<_>>()
    };
    there.keys().flat_map(of).collect::<Vec<_>>().into_iter()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whoever_comes_changes_and_goes_the_end_is_that_of_a_run_over_all(seed: u64, size in 3usize..30) {
        play(&bounded(400, 40, 300), seed, size, 60);
    }

    // Bounds so small that blocks and identities stop being evidence and are it again, and pieces are held to surer pairs.
    #[test]
    fn what_too_many_share_is_no_evidence_in_any_order(seed: u64, size in 2usize..12, block in 2u32..8, hub in 2u32..5, component in 2u32..6) {
        play(&bounded(block, hub, component), seed, size, 90);
    }
}

#[test]
fn the_worlds_have_people_twice_and_findings_that_stand() {
    let seen = play(&bounded(400, 40, 300), 3, 12, 120);
    assert!(seen.together > 40 && seen.findings > 5, "{} {}", seen.together, seen.findings);
}
