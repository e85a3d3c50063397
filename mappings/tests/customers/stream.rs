//! Records one by one, as the pipeline resolves them, without a store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use huiliu_mappings::matching::{Candidate, Decision, Evidence, Rules, block_keys, decide};

use crate::people::Told;

/// Links of a block that are looked at, as in `core`.
const BLOCK_LINKS_MAX: usize = 128;

/// Where every record went.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The golden record of each.
    pub golden: Vec<i64>,
    /// Questions: the record, and the golden records that it may be, as sets of records at that moment.
    pub asked: Vec<(usize, Vec<Vec<usize>>)>,
}

/// What a record met.
pub struct Met<'a> {
    /// The record.
    pub at: usize,
    /// The links of its blocks, each with the block.
    pub links: &'a [(i64, usize)],
    /// Those that it was compared with, and the records of each by now.
    pub candidates: &'a [Candidate],
    pub members: &'a BTreeMap<i64, Vec<usize>>,
    pub decision: &'a Decision,
}

/// Resolves all records in their order.
pub fn resolve(rules: &Rules, told: &[Told]) -> Resolved {
    resolve_seen(rules, told, &mut |_| ())
}

/// The same before somebody's eyes.
pub fn resolve_seen(rules: &Rules, told: &[Told], look: &mut dyn FnMut(&Met<'_>)) -> Resolved {
    let mut it = Resolved::default();
    let mut blocks: HashMap<i64, Vec<usize>> = HashMap::new();
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, record) in told.iter().enumerate() {
        let keys = block_keys(rules, "customer", &record.evidence);
        let of = |key: &i64| blocks.get(key).into_iter().flatten().take(BLOCK_LINKS_MAX).copied();
        let links: Vec<(i64, usize)> = keys.iter().flat_map(|key| of(key).map(|link| (*key, link))).collect();
        let near: BTreeSet<i64> = links.iter().map(|(_, link)| it.golden[*link]).collect();
        let evidence =
            |golden: &i64| members[golden].iter().map(|at| told[*at].evidence.clone()).collect::<Vec<Evidence>>();
        let candidates: Vec<Candidate> =
            near.iter().map(|golden| Candidate { golden: *golden, evidence: evidence(golden) }).collect();
        let own = i64::try_from(at + 1).unwrap();
        let decision = decide(rules, "customer", &record.evidence, &candidates);
        look(&Met { at, links: &links, candidates: &candidates, members: &members, decision: &decision });
        let golden = match decision {
            Decision::Link { golden, .. } => {
                for lost in &golden[1..] {
                    for link in members.remove(lost).unwrap_or_default() {
                        it.golden[link] = golden[0];
                        members.entry(golden[0]).or_default().push(link);
                    }
                }
                golden[0]
            }
            Decision::Review { candidates } => {
                it.asked.push((at, candidates.iter().map(|(golden, _)| members[golden].clone()).collect()));
                own
            }
            Decision::Create => own,
        };
        it.golden.push(golden);
        members.entry(golden).or_default().push(at);
        for key in keys {
            blocks.entry(key).or_default().push(at);
        }
    }
    it
}

/// Precision, recall and F1 of the pairs, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    pub precision: usize,
    pub recall: usize,
    pub f1: usize,
    /// Pairs that are said and not true.
    pub wrong: usize,
}

/// Scores a partition against the truth.
pub fn score<T: PartialEq>(found: &[T], told: &[Told]) -> Score {
    let (mut right, mut said, mut real) = (0, 0, 0);
    for b in 0..told.len() {
        for a in 0..b {
            let (together, same) = (found[a] == found[b], told[a].who == told[b].who);
            right += usize::from(together && same);
            said += usize::from(together);
            real += usize::from(same);
        }
    }
    Score {
        precision: 1000 * right / said.max(1),
        recall: 1000 * right / real,
        f1: 2000 * right / (said + real),
        wrong: said - right,
    }
}

impl Resolved {
    /// Questions of which the true answer is among the candidates, and all questions.
    pub fn questions(&self, told: &[Told]) -> (usize, usize) {
        let is_right = |(at, candidates): &&(usize, Vec<Vec<usize>>)| {
            candidates.iter().flatten().any(|other| told[*other].who == told[*at].who)
        };
        (self.asked.iter().filter(is_right).count(), self.asked.len())
    }

    /// The partition if a steward answers every question rightly.
    pub fn answered(&self, told: &[Told]) -> Vec<i64> {
        let mut golden = self.golden.clone();
        for (at, candidates) in &self.asked {
            for other in candidates.iter().flatten().filter(|other| told[**other].who == told[*at].who) {
                let (from, into) = (golden[*at], golden[*other]);
                golden.iter_mut().filter(|it| **it == from).for_each(|it| *it = into);
            }
        }
        golden
    }
}
