//! One pair by itself, told whatever comes of it: also where it is not even worth a question.

use std::collections::BTreeSet;

use super::verdict::{self, Bench};
use super::{CUSTOMER, Candidate, Decision, Evidence, Explanation, Known, Rules, Subject, decide_known};

/// The comparisons of a record with one golden record, and what would be decided if there were no other.
pub fn compare(
    rules: &Rules,
    entity: &str,
    record: &Evidence,
    known: &Known<'_>,
    candidate: &Candidate,
) -> (Explanation, Decision) {
    let decision = decide_known(rules, entity, record, known, std::slice::from_ref(candidate));
    let why = match &decision {
        Decision::Link { why, .. } => why.clone(),
        Decision::Review { candidates } => candidates.first().map(|(_, why)| why.clone()).unwrap_or_default(),
        Decision::Create if entity == CUSTOMER => {
            Bench::of(rules, record, std::slice::from_ref(candidate)).judge(0, candidate).why
        }
        Decision::Create => verdict::by_identity(rules, 0, record, candidate).why,
    };
    (why, decision)
}

impl Rules {
    /// From which sums on these records are linked, and shown to a steward.
    pub fn thresholds<'a>(&self, records: impl IntoIterator<Item = &'a Evidence>) -> [f64; 2] {
        self.bounds(Subject::of(records))
    }
}

impl Explanation {
    /// How the comparisons came out, whatever they weigh: name and level of each.
    pub fn outcomes(&self) -> BTreeSet<(String, String)> {
        self.comparisons.iter().map(|it| (it.name.clone(), it.level.clone())).collect()
    }
}
