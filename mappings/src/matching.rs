//! Who is who: evidence in, a decision out. Pure.
//!
//! Only what a system itself said is evidence; the caller never passes a value that the hub wrote. [`block_keys`] finds
//! the golden records worth comparing, [`decide`] compares: equal identities first, each with the strength that
//! `rules/match.toml` gives its kind, then names, dates, companies and cities by weight. Where two readings are
//! possible it prefers a question to a steward over a wrong link, because a wrong link mixes two people's data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::value::{Fields, Identity};

mod blocks;
mod features;
pub mod linkage;
mod names;
mod rules;

pub use blocks::{BLOCKS_MAX, block_keys, hash, identity_hash};
pub use features::compares;
pub use rules::Rules;

use features::Features;
use rules::{Level, Measure, Strength};

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
    /// Sum of the weights.
    pub score: f64,
    /// Each comparison with the level it reached and the weight of that level.
    pub comparisons: Vec<Comparison>,
}

/// One comparison of one pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The comparison's name in `rules/match.toml`, `identity:KIND`, or `companions:KIND` for the links that the record
    /// already shares a golden record with.
    pub name: String,
    /// The level reached.
    pub level: String,
    /// The weight of that level.
    pub weight: f64,
}

/// A record that proves more golden records than this to be one holds a value that many share, not a proof.
pub const MERGED_AT_ONCE_MAX: usize = 8;

/// How sure one candidate is, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Different,
    Perhaps,
    /// Only the comparisons say so.
    Scored,
    /// An equal identity that several people may use, and nothing against it.
    Shared,
    /// An equal identity that only one customer has.
    Proven,
}

struct Judged<'a> {
    candidate: &'a Candidate,
    features: Vec<Features<'a>>,
    why: Explanation,
    verdict: Verdict,
}

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
    let mine = Features::of(rules, record);
    let mut judged: Vec<Judged<'_>> = candidates
        .iter()
        .map(|candidate| judge(rules, entity, record, &mine, candidate))
        .filter(|judged| judged.verdict > Verdict::Different)
        .collect();
    judged.sort_by(|a, b| b.why.score.total_cmp(&a.why.score).then(a.candidate.golden.cmp(&b.candidate.golden)));
    if judged.is_empty() {
        return Decision::Create;
    }
    let sure: Vec<&Judged<'_>> = judged.iter().filter(|it| it.verdict >= Verdict::Shared).collect();
    let scored: Vec<&Judged<'_>> = judged.iter().filter(|it| it.verdict == Verdict::Scored).collect();
    let linked = match (sure.as_slice(), scored.as_slice()) {
        ([], [only]) => vec![*only],
        // Two lookalikes and no identity: nothing says which.
        ([], _) => Vec::new(),
        _ if sure.len() > MERGED_AT_ONCE_MAX || any_pair_disagrees(rules, known, &sure) => Vec::new(),
        _ => sure,
    };
    // Whoever joins brings its companions along: what they contradict is not merged but asked.
    let companions = identities(known.companions);
    let contradicted =
        linked.iter().any(|it| !conflicts(rules, &companions, &identities(&it.candidate.evidence)).is_empty());
    let linked = if entity == CUSTOMER && contradicted { Vec::new() } else { linked };
    if let Some(best) = linked.first() {
        let golden: BTreeSet<i64> = linked.iter().map(|it| it.candidate.golden).collect();
        return Decision::Link { golden: golden.into_iter().collect(), why: best.why.clone() };
    }
    judged.truncate(REVIEW_CANDIDATES_MAX);
    for it in judged.iter_mut().filter(|_| entity == CUSTOMER) {
        for kind in conflicts(rules, &companions, &identities(&it.candidate.evidence)) {
            let weight = rules.weight(Measure::Identity, Level::Conflict);
            it.why.add(format!("companions:{kind}"), Level::Conflict, weight);
        }
    }
    Decision::Review { candidates: judged.into_iter().map(|it| (it.candidate.golden, it.why)).collect() }
}

/// Whether two of the golden records that this record would join cannot be one.
fn any_pair_disagrees(rules: &Rules, known: &Known<'_>, linked: &[&Judged<'_>]) -> bool {
    let apart = |a: &Judged<'_>, b: &Judged<'_>| (known.apart)(a.candidate.golden, b.candidate.golden);
    linked.iter().enumerate().any(|(at, a)| linked[at + 1..].iter().any(|b| apart(a, b) || disagree(rules, a, b)))
}

fn disagree(rules: &Rules, a: &Judged<'_>, b: &Judged<'_>) -> bool {
    let conflict = !conflicts(rules, &identities(&a.candidate.evidence), &identities(&b.candidate.evidence)).is_empty();
    // Two proofs outweigh two names: people marry, and write nicknames.
    let proven = a.verdict == Verdict::Proven && b.verdict == Verdict::Proven;
    let names = [Measure::Kind, Measure::Name, Measure::Organization];
    conflict
        || (!proven && names.into_iter().any(|it| best_level(&a.features, &b.features, it) == Some(Level::Different)))
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

/// The best agreement of any link of one side with any link of the other.
fn best_level(mine: &[Features<'_>], theirs: &[Features<'_>], measure: Measure) -> Option<Level> {
    mine.iter().flat_map(|a| theirs.iter().filter_map(move |b| a.compare(b, measure))).max()
}

fn judge<'a>(
    rules: &Rules,
    entity: &str,
    record: &Evidence,
    mine: &Features<'_>,
    candidate: &'a Candidate,
) -> Judged<'a> {
    let mut why = Explanation::default();
    let mut verdict = judge_identities(rules, entity, record, candidate, &mut why);
    let mut features = Vec::new();
    if entity == CUSTOMER {
        features = candidate.evidence.iter().map(|it| Features::of(rules, it)).collect();
        let mut clash = false;
        let mut other_kind = false;
        for measure in Measure::ALL {
            let level = match best_level(std::slice::from_ref(mine), &features, measure) {
                None => continue,
                // That both are people is no news.
                Some(Level::Same) if measure == Measure::Kind => continue,
                Some(level) => level,
            };
            let different = level == Level::Different;
            other_kind |= different && measure == Measure::Kind;
            clash |= different && matches!(measure, Measure::Kind | Measure::Name | Measure::Organization);
            why.add(measure.word().to_owned(), level, rules.weight(measure, level));
        }
        let conflict = why.comparisons.iter().any(|it| it.level == Level::Conflict.word());
        verdict = match verdict {
            Verdict::Different if conflict || clash => Verdict::Different,
            Verdict::Different if why.score >= rules.link => Verdict::Scored,
            Verdict::Different if why.score >= rules.review => Verdict::Perhaps,
            Verdict::Different => Verdict::Different,
            Verdict::Shared if clash || why.score < rules.link => Verdict::Perhaps,
            _ if conflict || other_kind => Verdict::Perhaps,
            sure => sure,
        };
        // Anybody can write anybody's name and address into a form: a steward decides.
        if rules.is_claim(record) || candidate.evidence.iter().all(|it| rules.is_claim(it)) {
            verdict = verdict.min(Verdict::Perhaps);
        }
    }
    Judged { candidate, features, why, verdict }
}

/// What the identities alone say: `Different` where none that is strong is equal.
fn judge_identities(
    rules: &Rules,
    entity: &str,
    record: &Evidence,
    candidate: &Candidate,
    why: &mut Explanation,
) -> Verdict {
    let mine: BTreeSet<&Identity> = record.identities.iter().collect();
    let mut verdict = Verdict::Different;
    for identity in &mine {
        let holders = candidate.evidence.iter().flat_map(|it| {
            it.identities.iter().filter(|known| rules.same(known, identity)).map(move |known| (it, known))
        });
        // Who knows that a number is a switchboard knows more than who does not.
        let Some(theirs) = holders.map(|(it, known)| rules.strength(known, it)).min() else { continue };
        let strength = if entity == CUSTOMER { theirs.min(rules.strength(identity, record)) } else { Strength::Strong };
        let level = match strength {
            Strength::Strong => Level::Strong,
            Strength::Medium => Level::Medium,
            Strength::Weak => continue,
        };
        if strength == Strength::Strong {
            let shared = entity == CUSTOMER && rules.identity(identity.kind.as_str()).is_some_and(|rule| rule.shared);
            verdict = verdict.max(if shared { Verdict::Shared } else { Verdict::Proven });
        }
        why.add(format!("identity:{}", identity.kind), level, rules.weight(Measure::Identity, level));
    }
    if entity == CUSTOMER {
        for kind in conflicts(rules, &mine, &identities(&candidate.evidence)) {
            why.add(format!("identity:{kind}"), Level::Conflict, rules.weight(Measure::Identity, Level::Conflict));
        }
    }
    verdict
}

impl Explanation {
    fn add(&mut self, name: String, level: Level, weight: f64) {
        self.score += weight;
        self.comparisons.push(Comparison { name, level: level.word().to_owned(), weight });
    }
}
