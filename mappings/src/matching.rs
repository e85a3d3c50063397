//! Who is who: evidence in, a decision out. Pure.
//!
//! Only what a system itself said is evidence; the caller never passes a value that the hub wrote. [`block_keys`] finds
//! the golden records worth comparing, [`decide`] compares: equal identities first, each with the strength that
//! `rules/match.toml` gives its kind, then everything else in the way of [`linkage`], by weights that were learned from
//! customers ([`Subject`]) and not written by hand. Where two readings are possible it prefers a question to a steward over
//! a wrong link, because a wrong link mixes two people's data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::value::{Fields, Identity};

mod blocks;
mod features;
mod learn;
pub mod linkage;
mod mark;
mod names;
pub mod partition;
mod rules;
mod subject;
mod verdict;
mod why;

pub use blocks::{BLOCKS_MAX, Keys, block_keys, hash, identity_block, identity_hash, marked_keys};
pub use features::compares;
pub use learn::{
    Agreement, Answer, Decided, Lesson, Moved, Proposal, RECORDS_LEAST, RULINGS_LEAST, Teacher, Weights, learn,
};
pub use mark::NameMark;
pub use rules::Rules;
pub use subject::Subject;
pub use why::compare;

use rules::{Level, Measure};
use verdict::{Bench, Judged, Verdict};

/// The entity whose records are compared by more than their identities.
const CUSTOMER: &str = "customer";

/// What one record (or one link of a golden record) says about who it is.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Canonical fields that the system itself said.
    pub fields: Fields,
    /// Identities that the system itself said.
    pub identities: Vec<Identity>,
}

/// A golden record worth comparing, with the evidence of each of its links.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The golden record's id.
    pub golden: i64,
    /// One piece of evidence per link.
    pub evidence: Vec<Evidence>,
}

/// Where an arriving record belongs.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It is this customer. More than one id means that the record proves several golden records to be one: the
    /// lowest id survives and absorbs the others.
    Link {
        /// Golden ids, ascending, at least one.
        golden: Vec<i64>,
        /// Why.
        why: Explanation,
        /// Whether a name or a number that one has only once speaks against it, which the proof outweighs.
        against: bool,
    },
    /// Perhaps one of these; a steward decides. Best first, at most [`REVIEW_CANDIDATES_MAX`].
    Review {
        /// Golden ids with the explanation of each.
        candidates: Vec<(i64, Explanation)>,
    },
    /// Nobody known.
    Create,
}

/// A steward can compare this many customers at a glance; more means the blocking is too wide, not that he should read on.
pub const REVIEW_CANDIDATES_MAX: usize = 5;

/// The comparisons behind a decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Sum of the weights, bits: 0 is one customer as likely as not, 10 is one wrong in a thousand.
    pub score: f64,
    /// Each comparison with the level it reached and the weight of that level.
    pub comparisons: Vec<Comparison>,
}

/// One comparison of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// `given_name`, `birth_date`, `company`, `address` and so on, what was learned of; `identity:KIND`; `kind`;
    /// `companions:KIND` for the links that the record already shares a golden record with; `chance` for how rarely two
    /// records are one customer before anything is compared; `relatives` for what members of one household or one
    /// organization have in common just as well.
    pub name: String,
    /// The level reached.
    pub level: String,
    /// The weight of that level, bits.
    pub weight: f64,
}

/// A record that proves more golden records than this to be one holds a value that many share, not a proof.
pub const MERGED_AT_ONCE_MAX: usize = 8;

/// What is known of the record beside its own words.
pub struct Known<'a> {
    /// Evidence of the links that the record already shares a golden record with, without its own.
    pub companions: &'a [Evidence],
    /// Whether a steward ruled that these two golden records are different.
    pub apart: &'a dyn Fn(i64, i64) -> bool,
}

impl Known<'_> {
    /// A record that was never seen, and no rulings.
    pub const NOTHING: Self = Known { companions: &[], apart: &|_, _| false };
}

/// Where a record that nothing else is known of belongs; see [`decide_known`].
pub fn decide(rules: &Rules, entity: &str, record: &Evidence, candidates: &[Candidate]) -> Decision {
    decide_known(rules, entity, record, &Known::NOTHING, candidates)
}

/// Where a record belongs. The order of the candidates and of their evidence does not matter.
///
/// Records of entities other than `customer` are linked by any equal identity and by nothing else.
pub fn decide_known(
    rules: &Rules,
    entity: &str,
    record: &Evidence,
    known: &Known<'_>,
    candidates: &[Candidate],
) -> Decision {
    let is_customer = entity == CUSTOMER;
    let bench = Bench::of(rules, record, if is_customer { candidates } else { &[] });
    let judge = |(at, candidate): (usize, &Candidate)| {
        if is_customer { bench.judge(at, candidate) } else { verdict::by_identity(rules, at, record, candidate) }
    };
    let mut judged: Vec<Judged> =
        candidates.iter().enumerate().map(judge).filter(|it| it.verdict > Verdict::Different).collect();
    judged.sort_by(|a, b| b.why.score.total_cmp(&a.why.score).then(a.golden.cmp(&b.golden)));
    if judged.is_empty() {
        return Decision::Create;
    }
    let sure: Vec<&Judged> = judged.iter().filter(|it| it.verdict >= Verdict::Shared).collect();
    let scored: Vec<&Judged> = judged.iter().filter(|it| it.verdict == Verdict::Scored).collect();
    let apart = |a: &Judged, b: &Judged| (known.apart)(a.golden, b.golden) || bench.disagree([a, b]);
    let linked = match (sure.as_slice(), scored.as_slice()) {
        ([], [only]) => vec![*only],
        // Two lookalikes and no identity: nothing says which.
        ([], _) => Vec::new(),
        _ if sure.len() > MERGED_AT_ONCE_MAX || any_pair(&sure, apart) => Vec::new(),
        _ => sure,
    };
    // Whoever joins brings its companions along: what they contradict is not merged but asked.
    let companions = identities(known.companions);
    let against = |it: &Judged| conflicts(rules, &companions, &identities(&candidates[it.at].evidence));
    let contradicted = is_customer && linked.iter().any(|it| !against(it).is_empty());
    if let Some(best) = linked.first().filter(|_| !contradicted) {
        let golden: BTreeSet<i64> = linked.iter().map(|it| it.golden).collect();
        let against = linked.iter().any(|it| it.is_against);
        return Decision::Link { golden: golden.into_iter().collect(), why: best.why.clone(), against };
    }
    judged.truncate(REVIEW_CANDIDATES_MAX);
    for it in judged.iter_mut().filter(|_| is_customer) {
        for kind in against(it) {
            it.why.weigh(rules, format!("companions:{kind}"), Measure::Identity, Level::Conflict);
        }
    }
    Decision::Review { candidates: judged.into_iter().map(|it| (it.golden, it.why)).collect() }
}

/// Whether what two records of one customer say keeps them together: something that could link them or raise a question, or
/// names that agree, with nothing against it. People change their addresses and numbers, and remain who they are.
pub fn holds(rules: &Rules, entity: &str, a: &Evidence, b: &Evidence) -> bool {
    let candidates = [Candidate { golden: 0, evidence: vec![b.clone()] }];
    if entity != CUSTOMER {
        return verdict::by_identity(rules, 0, a, &candidates[0]).verdict > Verdict::Different;
    }
    let bench = Bench::of(rules, a, &candidates);
    let judged = bench.judge(0, &candidates[0]);
    judged.verdict > Verdict::Different || (!judged.is_against && bench.is_of_one_name(0))
}

/// Whether what two records say cannot be of one customer: numbers of which one has one, names, kinds that differ clearly.
pub fn contradicts(rules: &Rules, entity: &str, a: &Evidence, b: &Evidence) -> bool {
    let candidates = [Candidate { golden: 0, evidence: vec![b.clone()] }];
    entity == CUSTOMER && Bench::of(rules, a, &candidates).are_two(0, 1, Verdict::Held)
}

/// Whether any two of them are apart.
fn any_pair(linked: &[&Judged], apart: impl Fn(&Judged, &Judged) -> bool) -> bool {
    linked.iter().enumerate().any(|(at, a)| linked[at + 1..].iter().any(|b| apart(a, b)))
}

fn identities(evidence: &[Evidence]) -> BTreeSet<&Identity> {
    evidence.iter().flat_map(|it| &it.identities).collect()
}

/// The kinds of which a customer has one value in each scope, and both sides have values but none in common.
fn conflicts<'a>(rules: &Rules, mine: &BTreeSet<&'a Identity>, theirs: &BTreeSet<&Identity>) -> BTreeSet<&'a str> {
    let mut agreeing: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for identity in mine.iter().filter(|identity| rules.is_only_one(identity)) {
        let (kind, scope) = (identity.kind.as_str(), rules.scope(identity));
        let comparable =
            |their: &&&Identity| their.kind == identity.kind && rules.scope(their) == scope && rules.is_only_one(their);
        let mut others = theirs.iter().filter(comparable).peekable();
        if others.peek().is_some() {
            *agreeing.entry((kind, scope)).or_default() |= others.any(|their| rules.same(their, identity));
        }
    }
    agreeing.into_iter().filter(|(_, agree)| !agree).map(|((kind, _), _)| kind).collect()
}

impl Explanation {
    fn add(&mut self, name: String, level: &str, weight: f64) {
        self.score += weight;
        self.comparisons.push(Comparison { name, level: level.to_owned(), weight });
    }

    fn weigh(&mut self, rules: &Rules, name: String, measure: Measure, level: Level) {
        self.add(name, level.word(), rules.weight(measure, level));
    }
}
