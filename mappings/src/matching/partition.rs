//! Who is one customer among many records, looked at all at once: the same records give the same groups, in whatever order
//! they came.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::features::name;
use super::verdict::{Bench, Verdict, by_identity};
use super::{CUSTOMER, Candidate, Evidence, Rules, block_keys};

/// So many records are looked at together at the most: each is compared with each that it has something in common with.
pub const RECORDS_MAX: usize = 64;

/// What is known of records beside their words, by their places in the list.
pub struct Bonds<'a> {
    /// Whether they are one whatever they say.
    pub one: &'a dyn Fn(usize, usize) -> bool,
    /// Whether they were one, and stay so unless they contradict each other or what is surer.
    pub held: &'a dyn Fn(usize, usize) -> bool,
    /// Whether a steward ruled that they are different.
    pub apart: &'a dyn Fn(usize, usize) -> bool,
}

/// How many names these records give their customers: a lower bound of how many customers there are.
pub fn names<'a>(said: impl IntoIterator<Item = &'a Evidence>) -> usize {
    said.into_iter().filter_map(|it| name(it).map(|name| name.key())).collect::<BTreeSet<String>>().len()
}

/// Whether these records, taken by themselves, are proven to be one customer's.
pub fn ties(rules: &Rules, entity: &str, a: &Evidence, b: &Evidence) -> bool {
    shares(rules, a, b) && verdict_of(rules, entity, a, std::slice::from_ref(b)) >= Verdict::Shared
}

/// Whether they have an identity in common: without one nothing ties them.
fn shares(rules: &Rules, a: &Evidence, b: &Evidence) -> bool {
    a.identities.iter().any(|mine| b.identities.iter().any(|their| rules.same(mine, their)))
}

fn verdict_of(rules: &Rules, entity: &str, record: &Evidence, others: &[Evidence]) -> Verdict {
    let candidates = [Candidate { golden: 0, evidence: others.to_vec() }];
    if entity == CUSTOMER {
        Bench::of(rules, record, &candidates).judge(0, &candidates[0]).verdict
    } else {
        by_identity(rules, 0, record, &candidates[0]).verdict
    }
}

/// The group of each record: the place of the first of it.
///
/// Groups grow by what is surest first. Who could join two that disagree joins neither, so that no order decides; and a
/// chain of records joins nobody who disagrees.
pub fn partition(rules: &Rules, entity: &str, records: &[Evidence], bonds: &Bonds<'_>) -> Vec<usize> {
    let each: Vec<Vec<usize>> = (0..records.len()).map(|at| vec![at]).collect();
    let one: Vec<(usize, usize)> = pairs(records.len()).filter(|&(a, b)| (bonds.one)(a, b)).collect();
    let mut view = View::of(rules, entity, records, bonds, together(&each, &one));
    loop {
        let near = view.near();
        let tiers = [Verdict::Proven, Verdict::Shared, Verdict::Scored, Verdict::Held];
        match tiers.into_iter().find_map(|tier| view.join(&near, tier)) {
            Some(joined) => view.groups = joined,
            None => break,
        }
    }
    let mut group = vec![0; records.len()];
    for members in &view.groups {
        for member in members {
            group[*member] = members[0];
        }
    }
    group
}

/// The records of two groups.
type Both = (Vec<usize>, Vec<usize>);

struct View<'a> {
    rules: &'a Rules,
    entity: &'a str,
    records: &'a [Evidence],
    bonds: &'a Bonds<'a>,
    /// Pairs of records of which each alone could be a reason to ask.
    related: BTreeMap<(usize, usize), Verdict>,
    groups: Vec<Vec<usize>>,
    /// Pairs of groups that were judged already.
    judged: RefCell<BTreeMap<Both, Verdict>>,
    /// Whether they cannot be one, by what they say, when it is that sure that they are.
    two: RefCell<BTreeMap<(Both, Verdict), bool>>,
}

impl<'a> View<'a> {
    fn of(
        rules: &'a Rules,
        entity: &'a str,
        records: &'a [Evidence],
        bonds: &'a Bonds<'a>,
        groups: Vec<Vec<usize>>,
    ) -> Self {
        // Only those are worth comparing who would have found each other.
        let keys: Vec<Vec<i64>> = records.iter().map(|it| block_keys(rules, entity, it)).collect();
        let meet = |a: usize, b: usize| keys[a].iter().any(|key| keys[b].binary_search(key).is_ok());
        let met = pairs(records.len()).filter(|&(a, b)| meet(a, b));
        let verdict = |(a, b): (usize, usize)| ((a, b), verdict_of(rules, entity, &records[a], &records[b..=b]));
        let related = met.map(verdict).filter(|it| it.1 > Verdict::Different).collect();
        Self { rules, entity, records, bonds, related, groups, judged: RefCell::default(), two: RefCell::default() }
    }

    fn across(&self, a: usize, b: usize) -> impl Iterator<Item = (usize, usize)> {
        let others = &self.groups[b];
        self.groups[a].iter().flat_map(move |x| others.iter().map(move |y| (*x.min(y), *x.max(y))))
    }

    /// Whether both cannot be one: by a ruling, by an identity of which one has one, or, unless proven, by name.
    fn disagree(&self, a: usize, b: usize, tier: Verdict) -> bool {
        if self.across(a, b).any(|(x, y)| (self.bonds.apart)(x, y)) {
            return true;
        }
        if self.entity != CUSTOMER {
            return false;
        }
        let (low, high) = (a.min(b), a.max(b));
        let key = ((self.groups[low].clone(), self.groups[high].clone()), tier);
        *self.two.borrow_mut().entry(key).or_insert_with(|| {
            let candidates = [low, high].map(|group| Candidate { golden: 0, evidence: self.said(group) });
            Bench::of(self.rules, &candidates[0].evidence[0], &candidates).are_two(1, 2, tier)
        })
    }

    fn said(&self, group: usize) -> Vec<Evidence> {
        self.groups[group].iter().map(|at| self.records[*at].clone()).collect()
    }

    /// How sure it is that two groups are one, as far as they do not contradict each other.
    fn verdict(&self, a: usize, b: usize) -> Verdict {
        let related = self.across(a, b).any(|pair| self.related.contains_key(&pair));
        let held = self.across(a, b).any(|(x, y)| (self.bonds.held)(x, y));
        if !related && !held {
            return Verdict::Different;
        }
        let key = (self.groups[a].clone(), self.groups[b].clone());
        if let Some(known) = self.judged.borrow().get(&key) {
            return *known;
        }
        let of = |record: &Evidence, others: &[Evidence]| verdict_of(self.rules, self.entity, record, others);
        let best = match (key.0.as_slice(), key.1.as_slice()) {
            ([one], [other]) => self.related.get(&(*one.min(other), *one.max(other))).copied(),
            _ => {
                let (mine, theirs) = (self.said(a), self.said(b));
                mine.iter().map(|it| of(it, &theirs)).chain(theirs.iter().map(|it| of(it, &mine))).max()
            }
        };
        let best = best.unwrap_or(Verdict::Different);
        let best = if held { best.max(Verdict::Held) } else { best };
        let best = if best > Verdict::Perhaps && self.disagree(a, b, best) { Verdict::Different } else { best };
        self.judged.borrow_mut().insert(key, best);
        best
    }

    /// Pairs of groups that may be one, with how sure that is.
    fn near(&self) -> Vec<(usize, usize, Verdict)> {
        let judged = pairs(self.groups.len()).map(|(a, b)| (a, b, self.verdict(a, b)));
        judged.filter(|it| it.2 > Verdict::Perhaps).collect()
    }

    /// The groups after those are joined who are as sure as this at least; none if nobody is.
    fn join(&self, near: &[(usize, usize, Verdict)], tier: Verdict) -> Option<Vec<Vec<usize>>> {
        let near = || near.iter().filter(|it| it.2 >= tier).map(|&(a, b, _)| (a, b));
        let others = |at: usize| -> Vec<usize> {
            let other = |(a, b): (usize, usize)| if a == at { Some(b) } else { (b == at).then_some(a) };
            near().filter_map(other).collect()
        };
        let others: Vec<Vec<usize>> = (0..self.groups.len()).map(others).collect();
        let takes = |a: usize, b: usize| {
            // Two lookalikes and no identity: nothing says which.
            let is_clear = tier != Verdict::Scored || others[a].len() == 1;
            is_clear && !others[a].iter().any(|other| *other != b && self.disagree(b, *other, tier))
        };
        let mut joined: Vec<(usize, usize)> = near().filter(|&(a, b)| takes(a, b) && takes(b, a)).collect();
        // Along a chain those meet who have nothing in common, and may disagree: then it is cut before both.
        let each: Vec<Vec<usize>> = (0..self.groups.len()).map(|at| vec![at]).collect();
        for chain in together(&each, &joined).into_iter().filter(|chain| chain.len() > 2) {
            let met = pairs(chain.len()).map(|(a, b)| (chain[a], chain[b]));
            let torn: BTreeSet<usize> =
                met.filter(|&(a, b)| self.disagree(a, b, tier)).flat_map(|(a, b)| [a, b]).collect();
            joined.retain(|(a, b)| !torn.contains(a) && !torn.contains(b));
        }
        (!joined.is_empty()).then(|| together(&self.groups, &joined))
    }
}

/// Which of so many belong together: by each, the lowest of its group.
pub fn groups(count: usize, holds: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let mut group: Vec<usize> = (0..count).collect();
    for a in 0..count {
        for b in a + 1..count {
            let (one, other) = (group[a].min(group[b]), group[a].max(group[b]));
            if one != other && holds(a, b) {
                group.iter_mut().filter(|it| **it == other).for_each(|it| *it = one);
            }
        }
    }
    group
}

fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
}

/// Groups made one along these pairs of places; each ascending, in the order of its first.
fn together(groups: &[Vec<usize>], joined: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut label: Vec<usize> = (0..groups.len()).collect();
    for &(a, b) in joined {
        let (low, high) = (label[a].min(label[b]), label[a].max(label[b]));
        label.iter_mut().filter(|it| **it == high).for_each(|it| *it = low);
    }
    let mut whole: Vec<Vec<usize>> = vec![Vec::new(); groups.len()];
    for (at, members) in groups.iter().enumerate() {
        whole[label[at]].extend(members);
    }
    whole.retain(|members| !members.is_empty());
    for members in &mut whole {
        members.sort_unstable();
    }
    whole.sort_unstable();
    whole
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::value::Identity;

    fn said(name: &str, ids: &[(&str, &str)]) -> Evidence {
        let identity = |(kind, value): &(&str, &str)| Identity { kind: (*kind).into(), value: (*value).to_owned() };
        let fields = (!name.is_empty()).then(|| ("display_name".into(), json!(name)));
        Evidence { fields: fields.into_iter().collect(), identities: ids.iter().map(identity).collect() }
    }

    /// The groups, as text, of these records in each rotation of their order.
    fn check(records: &[(&str, Evidence)], wanted: &str) {
        let rules = Rules::shipped();
        for turn in 0..records.len() {
            let mut turned = records.to_vec();
            turned.rotate_left(turn);
            let list: Vec<Evidence> = turned.iter().map(|it| it.1.clone()).collect();
            let bonds = Bonds { one: &|_, _| false, held: &|_, _| false, apart: &|_, _| false };
            let group = partition(&rules, CUSTOMER, &list, &bonds);
            let mut named: Vec<String> = (0..list.len())
                .filter(|at| group[*at] == *at)
                .map(|first| {
                    let of = |at: &usize| group[*at] == first;
                    let mut names: Vec<&str> = (0..list.len()).filter(of).map(|at| turned[at].0).collect();
                    names.sort_unstable();
                    names.concat()
                })
                .collect();
            named.sort_unstable();
            assert_eq!(named.join(" "), wanted, "turned by {turn}");
        }
    }

    const PHONE: (&str, &str) = ("phone", "+8613800138000");
    const MAIL: (&str, &str) = ("email", "li@example.com");

    #[test]
    fn who_could_be_either_of_two_that_disagree_is_neither() {
        check(&[("a", said("李雷", &[PHONE])), ("b", said("韩梅梅", &[PHONE])), ("c", said("", &[PHONE]))], "a b c");
    }

    #[test]
    fn what_proves_more_decides() {
        let number = ("customer_number", "5");
        let c = said("", &[PHONE, number]);
        check(&[("a", said("李雷", &[PHONE])), ("b", said("韩梅梅", &[number])), ("c", c)], "a bc");
        let tax = |number| ("tax_id", number);
        let a = said("", &[tax("91310000MA1FL5E40E"), PHONE]);
        let b = said("", &[tax("91310000MA1K35Y716"), MAIL]);
        check(&[("a", a), ("b", b), ("c", said("", &[PHONE, MAIL]))], "a b c");
    }

    #[test]
    fn others_may_join_who_hangs_between_two() {
        let all = |d| {
            let between = said("", &[PHONE, MAIL]);
            [("a", said("李雷", &[PHONE])), ("b", said("韩梅梅", &[PHONE])), ("c", between), ("d", d)]
        };
        check(&all(said("", &[MAIL])), "a b cd");
        check(&all(said("李雷", &[MAIL, PHONE])), "ad b c");
        check(&all(said("李雷", &[MAIL])), "a b c d");
    }

    #[test]
    fn a_chain_is_cut_before_those_who_disagree() {
        let (other, number) = (("phone", "+8613900139000"), ("customer_number", "5"));
        let all = [
            ("a", said("李雷", &[PHONE])),
            ("b", said("", &[PHONE, number])),
            ("c", said("", &[number, other])),
            ("d", said("韩梅梅", &[other])),
        ];
        check(&all, "a bc d");
    }
}
