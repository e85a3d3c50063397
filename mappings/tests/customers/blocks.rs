//! What the blocks of the pipeline find, and what they cost.

use std::collections::HashMap;

use huiliu_mappings::matching::{Candidate, Decision, Rules, block_keys, decide};

use crate::people::{Told, World};

/// Records of the same customers, and what would be decided about them if they met.
struct Pairs {
    linked: Vec<(usize, usize)>,
    asked: Vec<(usize, usize)>,
}

impl Pairs {
    fn of(rules: &Rules, told: &[Told]) -> Self {
        let mut it = Self { linked: Vec::new(), asked: Vec::new() };
        let mut by_who: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, record) in told.iter().enumerate() {
            by_who.entry(record.who).or_default().push(at);
        }
        for records in by_who.values() {
            for (at, b) in records.iter().enumerate() {
                for a in &records[..at] {
                    let candidates = [Candidate { golden: 1, evidence: vec![told[*a].evidence.clone()] }];
                    match decide(rules, "customer", &told[*b].evidence, &candidates) {
                        Decision::Link { .. } => it.linked.push((*a, *b)),
                        Decision::Review { .. } => it.asked.push((*a, *b)),
                        Decision::Create => {}
                    }
                }
            }
        }
        it
    }
}

/// What a set of blocks does.
struct Found {
    /// Pairs that would be linked, and pairs that would be asked about, that meet in a block.
    linked: usize,
    asked: usize,
    /// Keys of a record, and others that it meets, in hundredths.
    keys: usize,
    met: usize,
}

impl Found {
    fn of(rules: &Rules, told: &[Told], pairs: &Pairs) -> Self {
        let keys: Vec<Vec<i64>> = told.iter().map(|it| block_keys(rules, "customer", &it.evidence)).collect();
        let meet = |(a, b): &&(usize, usize)| keys[*a].iter().any(|key| keys[*b].binary_search(key).is_ok());
        let mut blocks: HashMap<i64, usize> = HashMap::new();
        for key in keys.iter().flatten() {
            *blocks.entry(*key).or_default() += 1;
        }
        let met: usize = blocks.values().map(|count| count * (count - 1)).sum();
        Self {
            linked: pairs.linked.iter().filter(meet).count(),
            asked: pairs.asked.iter().filter(meet).count(),
            keys: 100 * keys.iter().map(Vec::len).sum::<usize>() / told.len(),
            met: 100 * met / told.len(),
        }
    }
}

/// Nearly all who would be linked meet, each block lets some meet who meet in no other one, and a record meets few others.
#[test]
fn every_block_finds_customers_whom_no_other_finds() {
    const BLOCK: &str = "[[block]]\n";
    let shipped = include_str!("../../rules/match.toml");
    let rules = Rules::shipped();
    let told: Vec<Told> = [21, 22].into_iter().flat_map(apart).collect();
    let pairs = Pairs::of(&rules, &told);
    let all = Found::of(&rules, &told, &pairs);
    let (linked, asked) = (pairs.linked.len(), pairs.asked.len());
    let tell = |name: &str, it: &Found| {
        let hundredths = |count: usize| format!("{}.{:02}", count / 100, count % 100);
        let (keys, met) = (hundredths(it.keys), hundredths(it.met));
        println!(
            "{name:40} {} of {linked} linked, {} of {asked} asked, {keys} keys, {met} others",
            it.linked, it.asked
        );
    };
    tell("all", &all);
    for at in 1..=shipped.matches(BLOCK).count() {
        let mut parts: Vec<&str> = shipped.split(BLOCK).collect();
        let (name, rest) = parts[at].split_once('\n').expect("a line");
        // What follows the last block stays.
        parts[at] = rest;
        let text = parts
            .iter()
            .enumerate()
            .map(|(part, text)| if part == 0 || part == at { (*text).to_owned() } else { format!("{BLOCK}{text}") });
        let without = Rules::parse("match.toml", &text.collect::<String>()).expect("rules");
        let without = Found::of(&without, &told, &pairs);
        tell(&format!("without {}", name.split('#').next().unwrap_or_default().trim()), &without);
        assert!(without.linked + without.asked < all.linked + all.asked, "{name} finds nobody");
    }
    assert!(1000 * all.linked >= 997 * linked, "{} of {linked}", all.linked);
    assert!(100 * all.asked >= 77 * asked, "{} of {asked}", all.asked);
    assert!(all.keys <= 400, "{} keys", all.keys);
}

/// The customers of a world, with numbers that no other world uses.
fn apart(seed: u64) -> Vec<Told> {
    let mut told = World::new(seed, 150).records(1500, 300);
    for it in &mut told {
        it.who += usize::try_from(seed).expect("a small number") * 1_000_000;
    }
    told
}
