//! How sure it is that a record is one candidate: its identities, and what the learned comparisons say.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Range;

use super::features::{is_organization, text};
use super::linkage::{Said, Says, Sheet};
use super::rules::{Level, Measure, Rules, Strength};
use super::subject::Subject;
use super::{Candidate, Evidence, Explanation, conflicts, identities};
use crate::value::Identity;

/// How sure one candidate is, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Different,
    Perhaps,
    /// Nothing in force says so, but it was so; only who looks at all records at once knows.
    Held,
    /// Only the comparisons say so.
    Scored,
    /// An equal identity that several people may use, and nothing against it.
    Shared,
    /// An equal identity that only one customer has.
    Proven,
}

/// A candidate that was judged.
pub(super) struct Judged {
    /// Its place among the candidates.
    pub at: usize,
    pub golden: i64,
    pub why: Explanation,
    pub verdict: Verdict,
    /// Whether names, or a number that one has only once, speak against it.
    pub is_against: bool,
}

/// A record and all its candidates, side by side.
pub(super) struct Bench<'a> {
    rules: &'a Rules,
    record: &'a Evidence,
    candidates: &'a [Candidate],
    sheets: [OnceCell<(Sheet<'a>, Vec<Range<usize>>)>; 2],
}

/// What of the identities is equal.
struct Equal {
    verdict: Verdict,
    /// Kinds that count, of which a claimed one is what it claims to be.
    kinds: BTreeSet<String>,
    conflict: bool,
}

impl<'a> Bench<'a> {
    pub(super) fn of(rules: &'a Rules, record: &'a Evidence, candidates: &'a [Candidate]) -> Self {
        Self { rules, record, candidates, sheets: [const { OnceCell::new() }; 2] }
    }

    /// The rows of the record and then of each candidate, for one model; put side by side when they are first compared.
    fn sheet(&self, subject: Subject) -> &(Sheet<'a>, Vec<Range<usize>>) {
        self.sheets[subject as usize].get_or_init(|| {
            let (mut rows, mut ends) = (Vec::new(), Vec::with_capacity(self.candidates.len() + 1));
            let one = std::slice::from_ref(self.record);
            for evidence in std::iter::once(one).chain(self.candidates.iter().map(|it| it.evidence.as_slice())) {
                let start = rows.len();
                rows.extend(evidence.iter().flat_map(|it| subject.rows(self.rules, it)));
                ends.push(start..rows.len());
            }
            (self.rules.judge(subject).sheet(&rows), ends)
        })
    }

    /// What the model that fits two of those side by side says of them; the record is 0, the candidates follow.
    fn weigh(&self, a: usize, b: usize) -> (Subject, Vec<Said>) {
        let any = |at: usize| self.evidence(at).iter().any(is_organization);
        let subject = if any(a) || any(b) { Subject::Organization } else { Subject::Person };
        let (sheet, ranges) = self.sheet(subject);
        (subject, sheet.weigh(ranges[a].clone(), &ranges[b]))
    }

    fn evidence(&self, at: usize) -> &[Evidence] {
        at.checked_sub(1).map_or(std::slice::from_ref(self.record), |at| &self.candidates[at].evidence)
    }

    /// Whether one is a person and the other an organization, and none is both.
    fn is_other_kind(&self, a: usize, b: usize) -> bool {
        let kinds = |at: usize| self.evidence(at).iter().filter_map(|it| text(it, "kind")).collect::<BTreeSet<&str>>();
        let (mine, theirs) = (kinds(a), kinds(b));
        !mine.is_empty() && !theirs.is_empty() && mine.is_disjoint(&theirs)
    }

    /// Whether two candidates cannot be one.
    pub(super) fn disagree(&self, [a, b]: [&Judged; 2]) -> bool {
        self.are_two(a.at + 1, b.at + 1, a.verdict.min(b.verdict))
    }

    /// Whether two of those side by side cannot be one, when it is this sure that they are. Proofs outweigh names, as people
    /// marry, and write nicknames; and who is known for one stays so until it is clear that the names are of two.
    pub(super) fn are_two(&self, a: usize, b: usize, verdict: Verdict) -> bool {
        let [mine, theirs] = [a, b].map(|at| identities(self.evidence(at)));
        let least = match verdict {
            Verdict::Proven => None,
            Verdict::Held => Some(Says::Two),
            _ => Some(Says::Doubt),
        };
        let differ = |least: Says| self.is_other_kind(a, b) || self.weigh(a, b).1.iter().any(|it| it.says >= least);
        !conflicts(self.rules, &mine, &theirs).is_empty() || least.is_some_and(differ)
    }

    /// Whether the record and a candidate have a name in common.
    pub(super) fn is_of_one_name(&self, at: usize) -> bool {
        let is_name = |it: &Said| ["given_name", "name"].contains(&it.name);
        self.weigh(0, at + 1).1.iter().any(|it| is_name(it) && it.bits > 0.0)
    }

    /// Judges the candidate at a place.
    pub(super) fn judge(&self, at: usize, candidate: &Candidate) -> Judged {
        let rules = self.rules;
        let mut why = Explanation::default();
        let equal = by_strength(rules, self.record, candidate, &mut why);
        let is_other_kind = self.is_other_kind(0, at + 1);
        if is_other_kind {
            why.weigh(rules, Measure::Kind.word().to_owned(), Measure::Kind, Level::Different);
        }
        let (subject, mut weighed) = self.weigh(0, at + 1);
        // An equal address or number counts as the identity that it is.
        weighed.retain(|it| !equal.kinds.contains(it.name));
        self.add_up(subject, &weighed, &equal, &mut why);
        let [link, review] = rules.bounds(subject);
        let says = weighed.iter().map(|it| it.says).max().unwrap_or(Says::Nothing);
        let says = if is_other_kind { Says::Two } else { says };
        // A name is nobody, in a town neither, however rare both are.
        let is_telling = !equal.kinds.is_empty() || weighed.iter().any(|it| it.bits > 0.0 && !it.is_common);
        let mut verdict = match equal.verdict {
            Verdict::Different if equal.conflict || says == Says::Two => Verdict::Different,
            Verdict::Different if why.score >= link && says == Says::Nothing && is_telling => Verdict::Scored,
            Verdict::Different if why.score >= review => Verdict::Perhaps,
            Verdict::Different => Verdict::Different,
            Verdict::Shared if says > Says::Nothing || why.score < link => Verdict::Perhaps,
            _ if equal.conflict || is_other_kind => Verdict::Perhaps,
            sure => sure,
        };
        // Anybody can write anybody's name and address into a form: a steward decides.
        if rules.is_claim(self.record) || candidate.evidence.iter().all(|it| rules.is_claim(it)) {
            verdict = verdict.min(Verdict::Perhaps);
        }
        let is_against = equal.conflict || says > Says::Nothing;
        Judged { at, golden: candidate.golden, why, verdict, is_against }
    }

    /// Adds what was compared to the explanation. Where an identity is equal, whoever is not the same customer shares it: a
    /// relative, a colleague. So what these have in common, too, says nothing more. Where none is, the chance of one customer
    /// among all pairs comes first, and relatives are one of two other things that a pair may be.
    fn add_up(&self, subject: Subject, weighed: &[Said], equal: &Equal, why: &mut Explanation) {
        let [chance, relatives] = self.rules.chances(subject);
        let shared: f64 = weighed.iter().filter(|it| it.is_shared).map(|it| it.bits).sum();
        let against = if equal.kinds.is_empty() {
            why.add("chance".to_owned(), "rare", chance);
            let related = relatives + shared;
            related.max(0.0) + (1.0 + (-related.abs()).exp2()).log2()
        } else {
            shared.max(0.0)
        };
        for it in weighed {
            why.add(called(it.name).to_owned(), it.level, it.bits);
        }
        if against > WEIGHT_LEAST {
            why.add("relatives".to_owned(), "shared", -against);
        }
    }
}

/// What a comparison of a model is called of customers.
pub(super) fn called(comparison: &str) -> &str {
    match comparison {
        "words" => "company",
        "name" => "organization",
        "locality" => "city",
        other => other,
    }
}

/// Bits that are worth a word.
const WEIGHT_LEAST: f64 = 0.05;

/// The strength of an equal identity of each side, by who knows more: that a number is a switchboard, say.
fn strength_of(rules: &Rules, record: &Evidence, identity: &Identity, candidate: &Candidate) -> Option<Strength> {
    let holders = candidate
        .evidence
        .iter()
        .flat_map(|it| it.identities.iter().filter(|known| rules.same(known, identity)).map(move |known| (it, known)));
    let theirs = holders.map(|(it, known)| rules.strength(known, it)).min()?;
    Some(theirs.min(rules.strength(identity, record)))
}

/// What the identities alone say of a customer: `Different` where none that is strong is equal.
fn by_strength(rules: &Rules, record: &Evidence, candidate: &Candidate, why: &mut Explanation) -> Equal {
    let mine: BTreeSet<&Identity> = record.identities.iter().collect();
    let mut equal = Equal { verdict: Verdict::Different, kinds: BTreeSet::new(), conflict: false };
    for identity in &mine {
        let (kind, level) = match strength_of(rules, record, identity, candidate) {
            None | Some(Strength::Weak) => continue,
            Some(Strength::Medium) => (identity.kind.as_str(), Level::Medium),
            Some(Strength::Strong) => (identity.kind.as_str(), Level::Strong),
        };
        if level == Level::Strong {
            let shared = rules.identity(kind).is_some_and(|rule| rule.shared);
            equal.verdict = equal.verdict.max(if shared { Verdict::Shared } else { Verdict::Proven });
        }
        equal.kinds.insert(rules.base(kind).to_owned());
        why.weigh(rules, format!("identity:{kind}"), Measure::Identity, level);
    }
    for kind in conflicts(rules, &mine, &identities(&candidate.evidence)) {
        equal.conflict = true;
        why.weigh(rules, format!("identity:{kind}"), Measure::Identity, Level::Conflict);
    }
    equal
}

/// Records of entities other than customers: any equal identity proves that they are one, and nothing else does.
pub(super) fn by_identity(rules: &Rules, at: usize, record: &Evidence, candidate: &Candidate) -> Judged {
    let why = Explanation::default();
    let mut it = Judged { at, golden: candidate.golden, why, verdict: Verdict::Different, is_against: false };
    for identity in record.identities.iter().collect::<BTreeSet<_>>() {
        if candidate.evidence.iter().flat_map(|it| &it.identities).any(|known| rules.same(known, identity)) {
            it.verdict = Verdict::Proven;
            it.why.weigh(rules, format!("identity:{}", identity.kind), Measure::Identity, Level::Strong);
        }
    }
    it
}
