//! Models of a deployment's own: what the store teaches, and what another model would decide about what is stored.
//!
//! Nothing is written. Both walks go page by page through the store; of many records a sample is looked at, whose golden
//! records are taken whole, so that records of one customer stay together.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_mappings::matching::{self, Answer, Candidate, Decided, Evidence, Lesson, Rules};
use serde::Serialize;

use super::Result;
use crate::engine::Engine;
use crate::link::{Link, evidence_of};
use crate::pipeline::process::{BLOCK_LINKS_MAX, block_keys};
use crate::store::db::Tx;
use crate::store::lessons::{self, Ruling};
use crate::store::{blocks, links, stewards};

/// The entity that models are about.
const ENTITY: &str = "customer";

/// Links that are read at once.
const PAGE: usize = 500;

/// The last rulings are learned from, so many at most.
const RULINGS_MAX: i64 = 20_000;

/// Some pairs of each kind are named.
const SAMPLES: usize = 3;

/// Tells how far a walk is: the place and the end of it.
pub type Watch<'a> = &'a mut dyn FnMut(i64, i64);

/// What the store teaches.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Records and decisions.
    pub lesson: Lesson,
    /// Of so many golden records one was taken.
    pub every: i64,
}

/// Reads what stewards decided, and about `most` records.
///
/// # Errors
/// The store failed.
pub fn stored(engine: &Engine, most: i64, watch: Watch<'_>) -> Result<Stored> {
    let (end, rulings) = engine.store.read(|tx| Ok((tx.max("id", "link")?, lessons::rulings(tx, RULINGS_MAX)?)))?;
    let every = every(end, most);
    let mut known: BTreeMap<i64, Heard> = BTreeMap::new();
    let ruled: BTreeSet<i64> = rulings.iter().flat_map(|it| [it.links.0, it.links.1]).collect();
    let ruled: Vec<i64> = ruled.into_iter().collect();
    for page in ruled.chunks(PAGE) {
        let links = engine.store.read(|tx| links::by_numbers(tx, page.iter().copied()))?;
        known.extend(links.iter().filter(|it| it.entity.as_str() == ENTITY).map(Heard::of));
    }
    let mut after = 0;
    loop {
        let page = engine.store.read(|tx| sampled(tx, every, after))?;
        let Some(last) = page.last() else { break };
        after = last.number;
        watch(after, end);
        known.extend(page.iter().map(Heard::of));
    }
    known.retain(|_, it| !it.evidence.fields.is_empty() || !it.evidence.identities.is_empty());
    let places: BTreeMap<i64, usize> = known.keys().copied().zip(0..).collect();
    let golden = |number: i64| known.get(&number).map(|it| it.golden);
    let decided = decisions(&rulings, golden).into_iter();
    let decided = decided.map(|it| Decided {
        record: places[&it.record],
        others: it.others.iter().map(|other| places[other]).collect(),
        same: it.same,
    });
    let decided = decided.collect();
    let records = known.into_values().map(|it| it.evidence).collect();
    Ok(Stored { lesson: Lesson { records, decided }, every })
}

/// What of a link is learned from.
struct Heard {
    golden: i64,
    evidence: Evidence,
}

impl Heard {
    fn of(link: &Link) -> (i64, Self) {
        (link.number, Self { golden: link.golden, evidence: link.state.evidence() })
    }
}

fn every(end: i64, most: i64) -> i64 {
    let most = most.max(1);
    (end + most - 1).div_euclid(most).max(1)
}

fn sampled(tx: &mut Tx<'_>, every: i64, after: i64) -> crate::store::db::Result<Vec<Link>> {
    let numbers = lessons::sampled_after(tx, ENTITY, every, after, PAGE)?;
    let mut page = links::by_numbers(tx, numbers)?;
    page.sort_by_key(|link| link.number);
    Ok(page)
}

/// A decision by the numbers of links.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    record: i64,
    others: Vec<i64>,
    same: bool,
}

/// Decisions out of rulings. One word of a steward about a record rules for all records of a customer at once: that is one
/// decision and not many. A record that is none of several customers is one for each of them.
fn decisions(rulings: &[Ruling], golden: impl Fn(i64) -> Option<i64>) -> Vec<Pair> {
    let mut words: BTreeMap<(i64, bool), BTreeMap<i64, BTreeSet<i64>>> = BTreeMap::new();
    for Ruling { links: (a, b), same, made_us } in rulings {
        if golden(*a).is_some() && golden(*b).is_some() {
            let word = words.entry((*made_us, *same)).or_default();
            word.entry(*a).or_default().insert(*b);
            word.entry(*b).or_default().insert(*a);
        }
    }
    let mut pairs = Vec::new();
    for ((_, same), partners) in words {
        let mut open: BTreeSet<i64> = partners.keys().copied().collect();
        while let Some(first) = open.first().copied() {
            let sides = sides(first, &partners);
            open.retain(|link| !sides.iter().any(|side| side.contains(link)));
            let [one, other] = &sides;
            let smaller = if one.len() <= other.len() { one } else { other };
            let Some(record) = smaller.first().copied() else { continue };
            let mut customers: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            for link in &partners[&record] {
                // Those who became one may have been parted again by others: still it was one word.
                let customer = if same { 0 } else { golden(*link).unwrap_or_default() };
                customers.entry(customer).or_default().push(*link);
            }
            pairs.extend(customers.into_values().map(|others| Pair { record, others, same }));
        }
    }
    pairs
}

/// The links that hang together by one word, on either side of it.
fn sides(first: i64, partners: &BTreeMap<i64, BTreeSet<i64>>) -> [BTreeSet<i64>; 2] {
    let mut sides = [BTreeSet::from([first]), BTreeSet::new()];
    let mut next = vec![(first, 0)];
    while let Some((link, side)) = next.pop() {
        for other in &partners[&link] {
            if !sides[side].contains(other) && sides[1 - side].insert(*other) {
                next.push((*other, 1 - side));
            }
        }
    }
    sides
}

/// Pairs that would be decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// The answer by now.
    pub before: Answer,
    /// The answer that would be given.
    pub after: Answer,
    /// How many pairs.
    pub pairs: u64,
    /// Some of them: a record, and a record of the customer that it was held against.
    pub samples: Vec<[String; 2]>,
}

/// What other rules would decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Turns {
    /// Records that were looked at, of every so many golden records one.
    pub records: u64,
    /// See `records`.
    pub every: i64,
    /// Pairs of a record and a customer, each judged by itself. What a steward ruled is not among them: it stands.
    pub pairs: u64,
    /// Those of them that would be decided otherwise.
    pub turns: Vec<Turn>,
}

/// What other rules would decide about pairs that are stored: about records and whoever they share a key with, and about
/// records and the others of their customer.
///
/// # Errors
/// The store failed.
pub fn turns(engine: &Engine, proposed: &Rules, most: i64, watch: Watch<'_>) -> Result<Turns> {
    let end = engine.store.read(|tx| tx.max("id", "link"))?;
    let mut look = Look { engine, proposed, seen: BTreeSet::new(), told: Turns::default(), counts: BTreeMap::new() };
    look.told.every = every(end, most);
    let mut after = 0;
    loop {
        let every = look.told.every;
        let page = engine.store.read(|tx| {
            let page = sampled(tx, every, after)?;
            let near = Near::of(engine, tx, &page)?;
            Ok((page, near))
        })?;
        let Some(last) = page.0.last() else { break };
        after = last.number;
        page.0.iter().for_each(|link| look.at(link, &page.1));
        watch(after, end);
    }
    let turn = |((before, after), (pairs, samples))| Turn { before, after, pairs, samples };
    look.told.turns = look.counts.into_iter().map(turn).collect();
    Ok(look.told)
}

/// What a page of links is held against.
struct Near {
    /// Golden records by key.
    keys: BTreeMap<i64, BTreeSet<i64>>,
    /// Links by golden record.
    members: BTreeMap<i64, Vec<Link>>,
    /// Links that a steward ruled about, the lower number first.
    ruled: BTreeSet<(i64, i64)>,
}

impl Near {
    fn of(engine: &Engine, tx: &mut Tx<'_>, page: &[Link]) -> crate::store::db::Result<Self> {
        let hashes: BTreeSet<i64> = page.iter().flat_map(|link| block_keys(engine, link)).collect();
        let mut by_key: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        for (hash, golden) in blocks::candidates(tx, engine.store.tail(), hashes, BLOCK_LINKS_MAX)? {
            by_key.entry(hash).or_default().insert(golden);
        }
        let goldens: BTreeSet<i64> =
            by_key.values().flatten().copied().chain(page.iter().map(|it| it.golden)).filter(|it| *it != 0).collect();
        let mut members: BTreeMap<i64, Vec<Link>> = BTreeMap::new();
        for link in links::by_goldens(tx, goldens)? {
            members.entry(link.golden).or_default().push(link);
        }
        let numbers = || members.values().flatten().map(|link| link.number);
        let ordered = |(a, b): (i64, i64)| (a.min(b), a.max(b));
        let mut ruled: BTreeSet<(i64, i64)> = stewards::ruled_apart(tx, numbers())?.into_iter().map(ordered).collect();
        ruled.extend(stewards::ruled_same(tx, numbers())?.into_iter().map(ordered));
        Ok(Self { keys: by_key, members, ruled })
    }
}

/// How often an answer turns, and where.
type Counts = BTreeMap<(Answer, Answer), (u64, Vec<[String; 2]>)>;

struct Look<'a> {
    engine: &'a Engine,
    proposed: &'a Rules,
    /// Golden records that were held against each other, or against themselves.
    seen: BTreeSet<(i64, i64)>,
    told: Turns,
    counts: Counts,
}

impl Look<'_> {
    fn at(&mut self, link: &Link, near: &Near) {
        self.told.records += 1;
        let own = link.golden;
        let nobody = Vec::new();
        let mine = near.members.get(&own).unwrap_or(&nobody);
        let shared = block_keys(self.engine, link).into_iter().filter_map(|key| near.keys.get(&key)).flatten().copied();
        let goldens: BTreeSet<i64> = shared.chain([own]).filter(|it| *it != 0).collect();
        for golden in goldens {
            let rest: Vec<&Link> = near.members.get(&golden).into_iter().flatten().collect();
            let rest: Vec<&Link> = rest.into_iter().filter(|it| it.number != link.number).collect();
            let is_ruled = |it: &&Link| near.ruled.contains(&(it.number.min(link.number), it.number.max(link.number)));
            if rest.is_empty() || rest.iter().any(is_ruled) || !self.seen.insert((own.min(golden), own.max(golden))) {
                continue;
            }
            self.hold(link, if golden == own { &[] } else { mine }, golden, &rest);
        }
    }

    /// Holds a record, with its companions if they come along, against a customer.
    fn hold(&mut self, link: &Link, mine: &[Link], golden: i64, rest: &[&Link]) {
        let evidence = link.state.evidence();
        let companions = mine.iter().filter(|it| it.number != link.number);
        let companions = evidence_of(companions.map(|it| &it.state));
        let candidate = Candidate { golden, evidence: evidence_of(rest.iter().map(|it| &it.state)) };
        let known = matching::Known { companions: &companions, apart: &|_, _| false };
        let answer = |rules: &Rules| {
            Answer::from(&matching::compare(rules, link.entity.as_str(), &evidence, &known, &candidate).1)
        };
        let (before, after) = (answer(&self.engine.matching), answer(self.proposed));
        self.told.pairs += 1;
        if before != after {
            let (count, samples) = self.counts.entry((before, after)).or_default();
            *count += 1;
            if samples.len() < SAMPLES {
                samples.push([link.key.to_string(), rest[0].key.to_string()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruling(links: (i64, i64), same: bool, made_us: i64) -> Ruling {
        Ruling { links, same, made_us }
    }

    #[test]
    fn one_word_about_many_records_is_one_decision() {
        let golden = |number: i64| Some(if number < 10 { 1 } else { number / 10 });
        // Record 30 is the customer 1, 2, 3; and it is neither customer 4 (links 40, 41) nor 5.
        let same = [(1, 30), (2, 30), (3, 30)].map(|pair| ruling(pair, true, 7));
        let apart = [(30, 40), (30, 41), (30, 50)].map(|pair| ruling(pair, false, 8));
        let found = decisions(&[same, apart].concat(), golden);
        let pair = |others: &[i64], same| Pair { record: 30, others: others.to_vec(), same };
        assert_eq!(found, [pair(&[1, 2, 3], true), pair(&[40, 41], false), pair(&[50], false)]);
        // A split rules about all pairs; two words at one moment are two.
        let split = [(1, 3), (1, 4), (2, 3), (2, 4), (60, 70)].map(|pair| ruling(pair, false, 9));
        let found = decisions(&split, |_| Some(1));
        let pair = |record, others: &[i64]| Pair { record, others: others.to_vec(), same: false };
        assert_eq!(found, [pair(1, &[3, 4]), pair(60, &[70])]);
        assert_eq!(
            decisions(&split, |number| (number < 60).then_some(1)).len(),
            1,
            "of what is gone nothing is learned"
        );
    }

    #[test]
    fn of_many_records_some_are_taken() {
        assert_eq!(
            [(0, 50), (50, 50), (51, 50), (1_000_000, 50_000)].map(|(end, most)| every(end, most)),
            [1, 1, 2, 20]
        );
    }
}
