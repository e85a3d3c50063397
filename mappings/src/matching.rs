//! Who is who: evidence in, a decision out. Pure.
//!
//! Only what a system itself said is evidence; the caller never passes a value that the hub wrote.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diagnose::Diagnostic;
use crate::value::{Fields, Identity};

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
    /// The comparison's name in `rules/match.toml`, or `identity:KIND`.
    pub name: String,
    /// The level reached.
    pub level: String,
    /// The weight of that level.
    pub weight: f64,
}

/// How far an equal identity goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strength {
    Strong,
    Medium,
    Weak,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityRule {
    strength: Strength,
    #[serde(default)]
    conflicts: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mailboxes {
    shared: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Block {
    fields: Vec<Feature>,
}

/// What is compared: derived from canonical fields by [`features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Feature {
    Name,
    BirthDate,
    Company,
    Organization,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thresholds {
    link: f64,
    review: f64,
}

/// Matching rules, compiled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    identities: BTreeMap<String, IdentityRule>,
    mailboxes: Mailboxes,
    #[serde(rename = "block")]
    blocks: Vec<Block>,
    compare: BTreeMap<String, BTreeMap<String, f64>>,
    thresholds: Thresholds,
}

/// A record names at most this many blocks: enough for every identity kind and rule, few enough to bound a lookup.
pub const BLOCKS_MAX: usize = 12;

impl Rules {
    /// The rules that ship with the hub.
    pub fn shipped() -> Self {
        let parsed = Self::parse("match.toml", include_str!("../rules/match.toml"));
        // The shipped file is part of the program and parsed by a test; without it nothing would link.
        parsed.unwrap_or_else(|_| Self {
            identities: BTreeMap::new(),
            mailboxes: Mailboxes { shared: Vec::new() },
            blocks: Vec::new(),
            compare: BTreeMap::new(),
            thresholds: Thresholds { link: f64::INFINITY, review: f64::INFINITY },
        })
    }

    /// Compiles a rules file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let rules: Self = toml::from_str(text).map_err(|error| vec![Diagnostic::from_toml(file, text, &error)])?;
        if rules.thresholds.review > rules.thresholds.link {
            let message = "thresholds: `review` is above `link`, so nothing would ever be reviewed";
            return Err(vec![Diagnostic::at(file, text, &(0..0), message)]);
        }
        Ok(rules)
    }

    fn strength(&self, identity: &Identity) -> Strength {
        let declared = self.identities.get(identity.kind.as_str()).map_or(Strength::Weak, |rule| rule.strength);
        let shared = identity.kind.as_str() == "email"
            && identity.value.split('@').next().is_some_and(|local| self.mailboxes.shared.iter().any(|it| it == local));
        if shared { Strength::Weak } else { declared }
    }

    fn weight(&self, comparison: &str, level: &str) -> f64 {
        self.compare.get(comparison).and_then(|levels| levels.get(level)).copied().unwrap_or(0.0)
    }
}

/// What is compared of a piece of evidence.
fn features(evidence: &Evidence) -> BTreeMap<Feature, String> {
    let text = |field: &str| evidence.fields.get(field).and_then(serde_json::Value::as_str);
    let mut found = BTreeMap::new();
    if text("kind") == Some("organization") {
        if let Some(name) = text("legal_name").or(text("display_name")) {
            found.insert(Feature::Organization, company_key(name));
        }
        return found;
    }
    let name = match (text("family_name"), text("given_name")) {
        (Some(family), Some(given)) => Some(name_key(&format!("{family} {given}"))),
        _ => text("display_name").map(name_key),
    };
    found.extend(name.filter(|name| !name.is_empty()).map(|name| (Feature::Name, name)));
    found.extend(text("birth_date").map(|date| (Feature::BirthDate, date.to_owned())));
    found.extend(text("company").map(|company| (Feature::Company, company_key(company))));
    found
}

/// Lower-case words in alphabetical order, so that "Li Lei" and "Lei Li" agree; Chinese names are one word.
fn name_key(name: &str) -> String {
    let lower = name.to_lowercase();
    if lower.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)) {
        return lower.chars().filter(|c| c.is_alphanumeric()).collect();
    }
    let mut words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.sort_unstable();
    words.join(" ")
}

/// A company's name without its legal form.
fn company_key(name: &str) -> String {
    const FORMS: &[&str] = &[
        "有限责任公司", "股份有限公司", "集团有限公司", "有限公司", " co., ltd.", " co. ltd", " co., ltd", " ltd.", " ltd", " inc.",
        " inc", " gmbh", " llc", " corp.", " corp",
    ];
    let lower = name.trim().to_lowercase();
    let bare = FORMS.iter().find_map(|form| lower.strip_suffix(form)).unwrap_or(&lower);
    bare.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Stable hashes under which records worth comparing find each other.
pub fn block_keys(rules: &Rules, entity: &str, evidence: &Evidence) -> Vec<i64> {
    let identities = evidence.identities.iter().filter(|it| rules.strength(it) != Strength::Weak);
    let mut keys: Vec<i64> = identities.map(|it| identity_hash(entity, it)).collect();
    if entity == "customer" {
        let features = features(evidence);
        for block in &rules.blocks {
            let parts: Option<Vec<&str>> = block.fields.iter().map(|it| features.get(it).map(String::as_str)).collect();
            keys.extend(parts.map(|parts| hash(&["block", &format!("{:?}", block.fields), &parts.join("\u{1f}")])));
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys.truncate(BLOCKS_MAX);
    keys
}

/// The hash of one identity of an entity.
pub fn identity_hash(entity: &str, identity: &Identity) -> i64 {
    hash(&[entity, identity.kind.as_str(), &identity.value])
}

/// FNV-1a over parts, 64 bits: stable over versions and machines, which the stored blocks need.
pub fn hash(parts: &[&str]) -> i64 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0x1e]));
    bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)).cast_signed()
}

/// Where a record belongs. The order of the candidates and of their evidence does not matter.
pub fn decide(rules: &Rules, entity: &str, record: &Evidence, candidates: &[Candidate]) -> Decision {
    let mut judged: Vec<(i64, Explanation, Verdict)> = candidates
        .iter()
        .map(|candidate| {
            let (explanation, verdict) = judge(rules, entity, record, candidate);
            (candidate.golden, explanation, verdict)
        })
        .filter(|(_, _, verdict)| *verdict != Verdict::Different)
        .collect();
    judged.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then(a.0.cmp(&b.0)));
    let same: Vec<&(i64, Explanation, Verdict)> = judged.iter().filter(|it| it.2 == Verdict::Same).collect();
    if let Some(best) = same.first() {
        let mut golden: Vec<i64> = same.iter().map(|it| it.0).collect();
        golden.sort_unstable();
        let linked: Vec<&Candidate> = candidates.iter().filter(|it| golden.contains(&it.golden)).collect();
        if !conflicting(rules, &linked) {
            return Decision::Link { golden, why: best.1.clone() };
        }
    }
    if judged.is_empty() {
        return Decision::Create;
    }
    judged.truncate(REVIEW_CANDIDATES_MAX);
    Decision::Review { candidates: judged.into_iter().map(|(golden, why, _)| (golden, why)).collect() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Different,
    Perhaps,
    Same,
}

/// Whether two of these golden records hold different values of a kind that can only have one.
fn conflicting(rules: &Rules, candidates: &[&Candidate]) -> bool {
    let all: Vec<&Identity> = candidates.iter().flat_map(|it| &it.evidence).flat_map(|it| &it.identities).collect();
    candidates.len() > 1 && all.iter().any(|a| all.iter().any(|b| contradict(rules, a, b)))
}

fn contradict(rules: &Rules, a: &Identity, b: &Identity) -> bool {
    a.kind == b.kind && a.value != b.value && rules.identities.get(a.kind.as_str()).is_some_and(|rule| rule.conflicts)
}

fn judge(rules: &Rules, entity: &str, record: &Evidence, candidate: &Candidate) -> (Explanation, Verdict) {
    let mut why = Explanation::default();
    let mut add = |name: String, level: &str, weight: f64| {
        why.score += weight;
        why.comparisons.push(Comparison { name, level: level.to_owned(), weight });
    };
    let theirs: BTreeSet<&Identity> = candidate.evidence.iter().flat_map(|it| &it.identities).collect();
    let contradicted = record.identities.iter().any(|mine| {
        let equal = theirs.iter().any(|their| their.kind == mine.kind && their.value == mine.value);
        !equal && theirs.iter().any(|their| contradict(rules, mine, their))
    });
    let mut strong = false;
    for identity in record.identities.iter().filter(|it| theirs.contains(it)) {
        let level = match rules.strength(identity) {
            Strength::Strong => "strong",
            Strength::Medium => "medium",
            Strength::Weak => continue,
        };
        strong |= level == "strong";
        add(format!("identity:{}", identity.kind), level, rules.weight("identity", level));
    }
    if entity != "customer" {
        return (why, if strong { Verdict::Same } else { Verdict::Different });
    }
    let mine = features(record);
    let mut clash = false;
    for (feature, value) in &mine {
        let levels = candidate.evidence.iter().filter_map(|it| Some(level(*feature, value, features(it).get(feature)?)));
        if let Some(level) = levels.max() {
            let name = match feature {
                Feature::Name => "name",
                Feature::BirthDate => "birth_date",
                Feature::Company => "company",
                Feature::Organization => "organization",
            };
            clash |= level == Level::Different && *feature != Feature::Company;
            add(name.to_owned(), level.word(), rules.weight(name, level.word()));
        }
    }
    let verdict = match (contradicted, strong) {
        (true, true) => Verdict::Perhaps,
        (true, false) => Verdict::Different,
        (false, true) if clash => Verdict::Perhaps,
        (false, true) => Verdict::Same,
        (false, false) if why.score >= rules.thresholds.link => Verdict::Same,
        (false, false) if why.score >= rules.thresholds.review => Verdict::Perhaps,
        (false, false) => Verdict::Different,
    };
    (why, verdict)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Different,
    Similar,
    Same,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Different => "different",
            Self::Similar => "similar",
            Self::Same => "same",
        }
    }
}

fn level(feature: Feature, mine: &str, theirs: &str) -> Level {
    let similar = match feature {
        Feature::Name => mine.is_ascii() && theirs.is_ascii() && strsim::jaro_winkler(mine, theirs) >= 0.92,
        Feature::Organization | Feature::Company => mine.contains(theirs) || theirs.contains(mine),
        Feature::BirthDate => false,
    };
    match (mine == theirs, similar) {
        (true, _) => Level::Same,
        (false, true) => Level::Similar,
        (false, false) => Level::Different,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(row: &str) -> Evidence {
        let mut evidence = Evidence::default();
        for part in row.split(", ").filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap();
            match key.strip_prefix('#') {
                Some(kind) => evidence.identities.push(Identity { kind: kind.into(), value: value.to_owned() }),
                None => {
                    evidence.fields.insert(key.into(), value.into());
                }
            }
        }
        evidence
    }

    fn check(a: &str, b: &str, expected: &str) {
        let candidate = Candidate { golden: 7, evidence: vec![evidence(b)] };
        let decision = decide(&Rules::shipped(), "customer", &evidence(a), &[candidate]);
        let word = match decision {
            Decision::Link { .. } => "link",
            Decision::Review { .. } => "review",
            Decision::Create => "create",
        };
        assert_eq!(word, expected, "{a} | {b}");
    }

    #[test]
    fn the_shipped_rules_parse() {
        Rules::parse("match.toml", include_str!("../rules/match.toml")).unwrap();
        let told = Rules::parse("match.toml", "[identities]\nemail = { strenght = 'strong' }\n").unwrap_err();
        assert!(told[0].to_string().contains("match.toml:2:11"), "{}", told[0]);
        assert!(told[0].to_string().contains("did you mean `strength`?"), "{}", told[0]);
    }

    #[test]
    fn pairs_are_decided() {
        check("#email=a@example.com", "#email=a@example.com", "link");
        check("#email=a@example.com, display_name=李雷", "#email=a@example.com, family_name=李, given_name=雷", "link");
        check("#email=a@example.com, display_name=李雷", "#email=a@example.com, display_name=韩梅梅", "review");
        check("#email=info@example.com", "#email=info@example.com", "create");
        check("#phone=+8613800138000, display_name=Li Lei", "#phone=+8613800138000, display_name=Lei Li", "link");
        check("#unionid=u1, #email=a@example.com", "#unionid=u2, #email=a@example.com", "review");
        check("#unionid=u1", "#unionid=u2", "create");
        check("display_name=李雷", "display_name=李雷", "create");
        check("display_name=李雷, birth_date=1990-01-31", "display_name=李雷, birth_date=1990-01-31", "link");
        check("display_name=李雷, birth_date=1990-01-31", "display_name=李雷, birth_date=1991-01-31", "create");
        check("display_name=李雷, company=甲有限公司", "display_name=李雷, company=甲", "review");
        check("kind=organization, legal_name=甲乙科技有限公司", "kind=organization, legal_name=甲乙科技", "review");
    }

    #[test]
    fn one_record_can_prove_two_to_be_one() {
        let candidates: Vec<Candidate> = [(9, "#email=a@example.com"), (3, "#phone=+8613800138000")]
            .map(|(golden, row)| Candidate { golden, evidence: vec![evidence(row)] })
            .into();
        let record = evidence("#email=a@example.com, #phone=+8613800138000");
        let decision = decide(&Rules::shipped(), "customer", &record, &candidates);
        assert!(matches!(&decision, Decision::Link { golden, .. } if *golden == [3, 9]), "{decision:?}");
        let reversed: Vec<Candidate> = candidates.iter().rev().cloned().collect();
        assert_eq!(decide(&Rules::shipped(), "customer", &record, &reversed), decision);
    }

    #[test]
    fn candidates_share_a_block() {
        let rules = Rules::shipped();
        let a = block_keys(&rules, "customer", &evidence("display_name=Li Lei, birth_date=1990-01-31, #email=a@example.com"));
        let b = block_keys(&rules, "customer", &evidence("given_name=Lei, family_name=Li, birth_date=1990-01-31"));
        assert!(b.iter().all(|key| a.contains(key)) && !b.is_empty());
        assert!(block_keys(&rules, "customer", &evidence("#email=info@example.com")).is_empty());
    }
}
