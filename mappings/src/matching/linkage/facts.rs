//! What stewards found out about pairs of records, by the records' own keys. It sticks: a record that leaves and comes back
//! is still bound by it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Pairs that are one customer, and pairs that are not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    same: BTreeMap<String, BTreeSet<String>>,
    different: BTreeMap<String, BTreeSet<String>>,
}

/// Two records, found to be one customer or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// One customer.
    Same,
    /// Two customers.
    Different,
}

impl Facts {
    /// Keeps a finding about two records, in place of an earlier one about the same two. Fails if it contradicts others.
    pub fn keep(&mut self, a: &str, b: &str, finding: Finding) -> Result<(), String> {
        if a == b {
            return Err(format!("`{a}` and `{b}` are one record"));
        }
        let before = self.same(a).any(|it| it == b).then_some(Finding::Same);
        let before = before.or_else(|| self.different(a).any(|it| it == b).then_some(Finding::Different));
        self.forget(a, b);
        let (mine, theirs) = (self.tied(a), self.tied(b));
        let contradicts = match finding {
            Finding::Same => mine.iter().any(|it| self.different(it).any(|other| theirs.contains(other))),
            Finding::Different => mine.contains(b),
        };
        if contradicts {
            if let Some(before) = before {
                self.put(a, b, before);
            }
            return Err(format!("`{a}` and `{b}`: what was found before says otherwise; take that back first"));
        }
        self.put(a, b, finding);
        Ok(())
    }

    fn put(&mut self, a: &str, b: &str, finding: Finding) {
        let into = if finding == Finding::Same { &mut self.same } else { &mut self.different };
        for (one, other) in [(a, b), (b, a)] {
            into.entry(one.to_owned()).or_default().insert(other.to_owned());
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.same.is_empty() && self.different.is_empty()
    }

    /// Takes back what was found about two records.
    pub fn forget(&mut self, a: &str, b: &str) {
        for of in [&mut self.same, &mut self.different] {
            for (one, other) in [(a, b), (b, a)] {
                let of_one = of.get_mut(one).map(|others| {
                    others.remove(other);
                    others.is_empty()
                });
                if of_one == Some(true) {
                    of.remove(one);
                }
            }
        }
    }

    /// Records that are the same customer as this one, as stewards found.
    pub fn same(&self, record: &str) -> impl Iterator<Item = &str> {
        self.same.get(record).into_iter().flatten().map(String::as_str)
    }

    /// Records that are another customer than this one, as stewards found.
    pub fn different(&self, record: &str) -> impl Iterator<Item = &str> {
        self.different.get(record).into_iter().flatten().map(String::as_str)
    }

    /// All records that hang together with one.
    fn tied<'a>(&'a self, record: &'a str) -> BTreeSet<&'a str> {
        let (mut tied, mut open) = (BTreeSet::from([record]), vec![record]);
        while let Some(at) = open.pop() {
            open.extend(self.same(at).filter(|it| tied.insert(it)));
        }
        tied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_that_contradict_each_other_are_refused() {
        let mut facts = Facts::default();
        facts.keep("a", "b", Finding::Same).unwrap();
        facts.keep("b", "c", Finding::Same).unwrap();
        assert!(facts.keep("a", "c", Finding::Different).is_err());
        facts.keep("c", "d", Finding::Different).unwrap();
        assert!(facts.keep("a", "d", Finding::Same).is_err());
        assert_eq!(facts.same("a").collect::<Vec<_>>(), ["b"], "a refused finding leaves nothing");
        facts.forget("b", "c");
        facts.keep("a", "d", Finding::Same).unwrap();
        facts.keep("b", "a", Finding::Different).unwrap();
        assert_eq!((facts.same("a").count(), facts.different("a").count()), (1, 1), "the last word about two counts");
    }
}
