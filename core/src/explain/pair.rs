//! Two customers, or two records: why they are one or not, by the rules of the pipeline, and what would have to be
//! otherwise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use huiliu_mappings::matching::Answer;
use huiliu_mappings::matching::{self, Candidate, Evidence, Explanation, Known};
use huiliu_mappings::value::{FieldName, IdentityKind};
use serde::Serialize;
use serde_json::Value;

use super::find;
use crate::engine::Engine;
use crate::link::{Link, LinkKey, evidence_of};
use crate::review::{ReviewError, refused};
use crate::store::db::Tx;
use crate::store::{goldens, links, stewards};

/// Of a customer with more records than this no way through all of them is looked for.
const MEMBERS_MAX: usize = 64;

/// Two customers or records, held against each other.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// The golden record of each by now.
    pub golden: [i64; 2],
    /// The records of each that were compared.
    pub records: [Vec<String>; 2],
    /// The record that says the most about it; it is held against the other side as a whole.
    pub judged: String,
    /// Whether they are one customer.
    pub together: bool,
    /// What the rules answer to the evidence that there is.
    pub answer: Answer,
    /// The comparisons, and their sum.
    pub why: Explanation,
    /// From this sum on two are linked.
    pub link: f64,
    /// From this sum on a steward is asked.
    pub review: f64,
    /// What both say of who they are, by field or kind of identity.
    pub says: Vec<Says>,
    /// What brings them together to be compared: kinds of identities that they share, `fields`.
    pub keys: Vec<String>,
    /// What a steward ruled about them: `same` or `different`; the first such pair of records stands behind.
    pub ruled: Option<(&'static str, [String; 2])>,
    /// The review that asks about them and waits.
    pub asked: Option<i64>,
    /// If they are one: through which records, from a record of the first side to one of the other.
    pub through: Vec<String>,
    /// What the rules would answer if one thing were otherwise.
    pub what_if: Vec<WhatIf>,
}

/// A field or a kind of identity, and what each side says.
#[derive(Clone, Debug, Serialize)]
pub struct Says {
    /// `name`, `birth_date`, `identity:email`, …
    pub what: String,
    /// The values.
    pub values: [Vec<String>; 2],
}

/// One thing that could be otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct WhatIf {
    /// `name`, `birth_date`, `identity:email`, …
    pub what: String,
    /// Whether both said the same, or one of them nothing.
    pub change: Change,
    /// The sum then.
    pub score: f64,
    /// The answer then.
    pub answer: Answer,
    /// Whether that is another answer.
    pub turns: bool,
}

/// How one thing could be otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Both said the same.
    Same,
    /// One said nothing of it.
    Silent,
}

/// The links of one side, and the golden record that they belong to.
struct Side {
    golden: i64,
    links: Vec<Link>,
}

/// Holds two against each other, each named by what a person knows: a number, `connection/stream/id`, an e-mail address or a
/// phone number. A golden record that was merged away stands for the records that it had.
pub fn pair(engine: &Engine, a: &str, b: &str) -> Result<Pair, ReviewError> {
    let golden = [named(engine, a)?, named(engine, b)?];
    let mut outcome = None;
    engine.store.read(|tx| {
        outcome = Some(held_together(engine, tx, [a, b], golden));
        Ok(())
    })?;
    outcome.unwrap_or_else(|| refused("the store was not read"))
}

/// The golden record that is meant, not followed if it was merged away and named by its number.
fn named(engine: &Engine, known: &str) -> Result<i64, ReviewError> {
    let found = find(engine, known)?;
    match found.as_slice() {
        [_] if known.trim().len() < 7 && known.trim().parse::<i64>().is_ok() => {
            Ok(known.trim().parse().unwrap_or_default())
        }
        [one] => Ok(*one),
        [] => refused(format!("nobody is known by `{known}`; write a number or CONNECTION/STREAM/ID")),
        many => {
            let many: Vec<String> = many.iter().map(ToString::to_string).collect();
            refused(format!("`{known}` may be {}; write the number of the one that you mean", many.join(", ")))
        }
    }
}

fn held_together(engine: &Engine, tx: &mut Tx<'_>, known: [&str; 2], golden: [i64; 2]) -> Result<Pair, ReviewError> {
    let [mut a, mut b] = [side(tx, known[0], golden[0])?, side(tx, known[1], golden[1])?];
    if a.golden == b.golden {
        // Whoever was named as a whole is what is left without the other.
        let whole =
            |side: &Side, other: &Side| other.links.iter().all(|it| side.links.iter().any(|x| x.number == it.number));
        let (a_has_b, b_has_a) = (whole(&a, &b), whole(&b, &a));
        if a_has_b && !b_has_a {
            a.links.retain(|it| !b.links.iter().any(|other| other.number == it.number));
        } else if b_has_a && !a_has_b {
            b.links.retain(|it| !a.links.iter().any(|other| other.number == it.number));
        } else if a_has_b {
            let golden = a.golden;
            return refused(format!("both are golden record {golden}; name two of its records, CONNECTION/STREAM/ID"));
        }
    }
    let entity = a.links.first().map(|it| it.entity.clone());
    let (Some(entity), true) = (entity, !b.links.is_empty()) else {
        return refused("one of the two has no record any more, so there is nothing to compare");
    };
    if b.links.iter().any(|it| it.entity != entity) {
        return refused(format!("one of the two is a {entity}, the other is not: they cannot be one"));
    }
    let judge = Judge { engine, entity: entity.as_str() };
    let best = judge.best(&a, &b);
    let (why, answer) = judge.compare(&best);
    let [link, review] = engine.matching.thresholds(std::iter::once(&best.evidence).chain(&best.candidate.evidence));
    let numbers = |side: &Side| side.links.iter().map(|it| it.number).collect::<Vec<_>>();
    let through = if a.golden == b.golden { judge.through(tx, &a, &b)? } else { Vec::new() };
    Ok(Pair {
        golden: [a.golden, b.golden],
        records: [&a, &b].map(|side| side.links.iter().map(|it| it.key.to_string()).collect()),
        judged: best.record.clone(),
        together: a.golden == b.golden && a.golden != 0,
        answer,
        link,
        review,
        says: says(&a, &b),
        keys: judge.keys(&best),
        ruled: ruled(tx, &a, &b)?,
        asked: asked(tx, &a, &b, &numbers(&a), &numbers(&b))?,
        through,
        what_if: judge.what_if(&best, &why, answer),
        why,
    })
}

/// The links that a word stands for.
fn side(tx: &mut Tx<'_>, known: &str, golden: i64) -> Result<Side, ReviewError> {
    if let Ok(key) = known.trim().parse::<LinkKey>()
        && let Some(link) = links::by_keys(tx, [&key])?.into_iter().next()
    {
        return Ok(Side { golden: link.golden, links: vec![link] });
    }
    let now = goldens::alive(tx, golden)?;
    let mut members = links::by_goldens(tx, [now])?;
    if now != golden {
        let homes = stewards::homes(tx, members.iter().map(|it| it.number))?;
        let had: BTreeSet<i64> = homes.into_iter().filter(|(_, _, home)| *home == golden).map(|it| it.0).collect();
        members.retain(|it| had.contains(&it.number));
    }
    Ok(Side { golden: now, links: members })
}

/// One record held against the other side.
#[derive(Clone)]
struct Held {
    record: String,
    evidence: Evidence,
    companions: Vec<Evidence>,
    candidate: Candidate,
}

impl Held {
    /// The same, if both said the same of one thing, or the record nothing.
    fn with(&self, what: &str, change: Change) -> Self {
        let mut other = self.clone();
        let they_speak = said_of(&self.candidate.evidence).contains_key(what);
        match (change, other.candidate.evidence.first_mut()) {
            (Change::Same, Some(first)) if !they_speak => adopt(first, what, std::slice::from_ref(&self.evidence)),
            _ => silence(&mut other.evidence, what),
        }
        if change == Change::Same && they_speak {
            adopt(&mut other.evidence, what, &self.candidate.evidence);
        }
        other
    }
}

struct Judge<'a> {
    engine: &'a Engine,
    entity: &'a str,
}

impl Judge<'_> {
    fn compare(&self, held: &Held) -> (Explanation, Answer) {
        let known = Known { companions: &held.companions, apart: &|_, _| false };
        let rules = &self.engine.matching;
        let (why, decision) = matching::compare(rules, self.entity, &held.evidence, &known, &held.candidate);
        (why, Answer::from(&decision))
    }

    /// The record, of either side, that is the nearest to the other side.
    fn best(&self, a: &Side, b: &Side) -> Held {
        let ways = [(a, b), (b, a)].into_iter().flat_map(|(mine, theirs)| {
            let evidence = evidence_of(mine.links.iter().map(|it| &it.state));
            let candidate =
                Candidate { golden: theirs.golden, evidence: evidence_of(theirs.links.iter().map(|it| &it.state)) };
            let held = move |at: usize| {
                let mut companions = evidence.clone();
                let evidence = companions.remove(at);
                let record = mine.links[at].key.to_string();
                Held { record, evidence, companions, candidate: candidate.clone() }
            };
            (0..mine.links.len()).map(held)
        });
        let rank = |held: &Held| {
            let (why, answer) = self.compare(held);
            (answer, why.score)
        };
        // The first of several that are alike: sides are never empty.
        let ranked = ways.map(|held| (rank(&held), held));
        let best = ranked.reduce(|best, next| {
            let is_nearer = next.0.0.cmp(&best.0.0).then(next.0.1.total_cmp(&best.0.1)).is_gt();
            if is_nearer { next } else { best }
        });
        best.map(|(_, held)| held).expect("each side has a record")
    }

    /// Which keys the record shares with the other side: those of one kind of identity alone, or of fields.
    fn keys(&self, held: &Held) -> Vec<String> {
        let keys = |evidence: &Evidence| -> BTreeSet<i64> {
            matching::block_keys(&self.engine.matching, self.entity, evidence).into_iter().collect()
        };
        let theirs: BTreeSet<i64> = held.candidate.evidence.iter().flat_map(&keys).collect();
        let shares = |evidence: &Evidence| !keys(evidence).is_disjoint(&theirs);
        let mut told = BTreeSet::new();
        for identity in &held.evidence.identities {
            // The fields tell what kind of line a number is.
            let alone = Evidence { identities: vec![identity.clone()], fields: held.evidence.fields.clone() };
            let without = Evidence { identities: Vec::new(), fields: held.evidence.fields.clone() };
            let own: BTreeSet<i64> = keys(&alone).difference(&keys(&without)).copied().collect();
            if !own.is_disjoint(&theirs) {
                told.insert(format!("identity:{}", identity.kind));
            }
        }
        let mut told: Vec<String> = told.into_iter().collect();
        if shares(&Evidence { identities: Vec::new(), fields: held.evidence.fields.clone() }) {
            told.push("fields".to_owned());
        }
        told
    }

    /// What the rules would answer if the record said the same as the other side, or nothing, of one thing after the other.
    fn what_if(&self, held: &Held, why: &Explanation, answer: Answer) -> Vec<WhatIf> {
        let mut told = Vec::new();
        let theirs = said_of(&held.candidate.evidence);
        let mine = said_of(std::slice::from_ref(&held.evidence));
        let things: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        for what in things {
            let is_same = mine
                .get(what)
                .is_some_and(|mine| theirs.get(what).is_some_and(|theirs| mine.iter().any(|it| theirs.contains(it))));
            let changes = [(Change::Same, !is_same), (Change::Silent, mine.contains_key(what))];
            for (change, _) in changes.into_iter().filter(|(_, is_other)| *is_other) {
                let other = held.with(what, change);
                let (then, answered) = self.compare(&other);
                let is_felt = (then.score - why.score).abs() > f64::EPSILON || answered != answer;
                if is_felt {
                    let turns = answered != answer;
                    told.push(WhatIf { what: what.clone(), change, score: then.score, answer: answered, turns });
                }
            }
        }
        told
    }

    /// Through which records of one customer two of them hang together, by rulings or by what the rules answer about two
    /// records alone.
    fn through(&self, tx: &mut Tx<'_>, a: &Side, b: &Side) -> Result<Vec<String>, ReviewError> {
        let members = links::by_goldens(tx, [a.golden])?;
        if a.golden == 0 || members.len() > MEMBERS_MAX {
            return Ok(Vec::new());
        }
        let ruled: BTreeSet<(i64, i64)> =
            stewards::ruled_same(tx, members.iter().map(|it| it.number))?.into_iter().collect();
        let evidence = evidence_of(members.iter().map(|it| &it.state));
        let tied = |x: usize, y: usize| {
            let rule = (members[x].number, members[y].number);
            let one = |x: usize, y: usize| {
                let candidate = Candidate { golden: a.golden, evidence: vec![evidence[y].clone()] };
                let alone = evidence[x].clone();
                let held = Held { record: String::new(), evidence: alone, companions: Vec::new(), candidate };
                self.compare(&held).1 == Answer::Same
            };
            ruled.contains(&rule) || one(x, y) || one(y, x)
        };
        let place = |link: &Link| members.iter().position(|it| it.number == link.number);
        let starts: Vec<usize> = a.links.iter().filter_map(place).collect();
        let goals: BTreeSet<usize> = b.links.iter().filter_map(place).collect();
        let mut from: BTreeMap<usize, Option<usize>> = starts.iter().map(|at| (*at, None)).collect();
        let mut open: VecDeque<usize> = starts.into();
        while let Some(at) = open.pop_front() {
            if goals.contains(&at) {
                let mut way = vec![members[at].key.to_string()];
                let mut before = from[&at];
                while let Some(at) = before {
                    way.push(members[at].key.to_string());
                    before = from[&at];
                }
                way.reverse();
                return Ok(way);
            }
            for next in 0..members.len() {
                if !from.contains_key(&next) && tied(at, next) {
                    from.insert(next, Some(at));
                    open.push_back(next);
                }
            }
        }
        Ok(Vec::new())
    }
}

/// The fields that are one thing to a person: parts of a name, labelled families.
fn thing(field: &FieldName) -> &str {
    match field.family() {
        "display_name" | "given_name" | "family_name" | "legal_name" => "name",
        family => family,
    }
}

fn identity(kind: &IdentityKind) -> String {
    format!("identity:{kind}")
}

/// What pieces of evidence say, thing by thing.
fn said_of(evidence: &[Evidence]) -> BTreeMap<String, BTreeSet<String>> {
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for it in evidence {
        for (field, value) in &it.fields {
            said.entry(thing(field).to_owned()).or_default().insert(text(value));
        }
        for known in &it.identities {
            said.entry(identity(&known.kind)).or_default().insert(known.value.clone());
        }
    }
    said
}

/// A value as a person reads it: of an address its parts, of a phone its number.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(parts) => match parts.get("number").and_then(Value::as_str) {
            Some(number) => number.to_owned(),
            None => parts.values().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        },
        other => other.to_string(),
    }
}

fn silence(evidence: &mut Evidence, what: &str) {
    evidence.fields.retain(|field, _| thing(field) != what);
    evidence.identities.retain(|it| identity(&it.kind) != what);
}

/// Takes over what the first of the others that speaks of it says.
fn adopt(evidence: &mut Evidence, what: &str, others: &[Evidence]) {
    for other in others {
        let fields = other.fields.iter().filter(|(field, _)| thing(field) == what);
        let fields: Vec<(FieldName, Value)> = fields.map(|(field, value)| (field.clone(), value.clone())).collect();
        let identities: Vec<_> = other.identities.iter().filter(|it| identity(&it.kind) == what).cloned().collect();
        if !fields.is_empty() || !identities.is_empty() {
            evidence.fields.extend(fields);
            evidence.identities.extend(identities);
            return;
        }
    }
}

fn says(a: &Side, b: &Side) -> Vec<Says> {
    let [mine, theirs] = [a, b].map(|side| said_of(&evidence_of(side.links.iter().map(|it| &it.state))));
    let things: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
    let of = |said: &BTreeMap<String, BTreeSet<String>>, what: &String| {
        said.get(what).map(|values| values.iter().cloned().collect()).unwrap_or_default()
    };
    things.into_iter().map(|what| Says { what: what.clone(), values: [of(&mine, what), of(&theirs, what)] }).collect()
}

fn ruled(tx: &mut Tx<'_>, a: &Side, b: &Side) -> Result<Option<(&'static str, [String; 2])>, ReviewError> {
    let all = || a.links.iter().chain(&b.links).map(|it| it.number);
    let apart = stewards::ruled_apart(tx, all())?;
    let same: BTreeSet<(i64, i64)> = stewards::ruled_same(tx, all())?.into_iter().collect();
    for (x, y) in a.links.iter().flat_map(|x| b.links.iter().map(move |y| (x, y))) {
        let names = || [x.key.to_string(), y.key.to_string()];
        if apart.contains(&(x.number.min(y.number), x.number.max(y.number))) {
            return Ok(Some(("different", names())));
        }
        if same.contains(&(x.number, y.number)) {
            return Ok(Some(("same", names())));
        }
    }
    Ok(None)
}

fn asked(tx: &mut Tx<'_>, a: &Side, b: &Side, mine: &[i64], theirs: &[i64]) -> Result<Option<i64>, ReviewError> {
    if a.golden == b.golden {
        return Ok(None);
    }
    for review in stewards::waiting_of(tx, mine.iter().chain(theirs).copied())? {
        let other = if mine.contains(&review.link) { b.golden } else { a.golden };
        for (named, _) in &review.candidates {
            if goldens::alive(tx, *named)? == other {
                return Ok(Some(review.number));
            }
        }
    }
    Ok(None)
}
