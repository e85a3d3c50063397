//! Pairs that cannot reach the bound, told by a few comparisons: most pairs that share a key are strangers or relatives.
//!
//! Whatever relatives share speaks for relatives as much as for one customer. So what a pair comes to is at most what the
//! other comparisons say, and one that is not made says at most what its strongest level does. Nothing is decided otherwise
//! by it: a pair that may reach the bound is compared in full.

use super::compare::{Comparer, Near};
use super::model::Model;

/// Sums of bits differ by less than this, in whatever order they are added up.
const ROUNDING: f64 = 1e-3;

/// A bound, and the comparisons of what relatives do not share.
pub(super) struct Sieve<'a> {
    model: &'a Model,
    comparer: &'a Comparer<'a>,
    /// Comparisons, the last ones first, as names come first and cost the most; and what each says at most where the values
    /// alone do not tell it.
    asked: Vec<(usize, f64)>,
    near: Vec<Near<'a>>,
    least: f64,
}

impl<'a> Sieve<'a> {
    /// Lets pairs pass that may come to so many bits.
    pub(super) fn new(model: &'a Model, comparer: &'a Comparer<'a>, least: f64) -> Self {
        let personal = comparer.comparisons.iter().enumerate().rev().filter(|(at, _)| !model.is_shared(*at));
        let near = personal.clone().flat_map(|(_, it)| it.near()).collect();
        let asked = personal.map(|(at, it)| (at, model.most(at, it.is_equal_known()))).collect();
        Self { model, comparer, asked, near, least: least - ROUNDING }
    }

    /// The pairs that may reach the bound, in their order.
    pub(super) fn pass(&self, pairs: impl IntoIterator<Item = (u32, u32)>) -> impl Iterator<Item = (u32, u32)> {
        let (mut pairs, mut some) = (pairs.into_iter(), Vec::new());
        std::iter::from_fn(move || {
            while some.is_empty() {
                if !Near::next(&self.near, &mut pairs, &mut some) {
                    return None;
                }
                some.retain(|pair| self.may_pass(*pair));
                some.reverse();
            }
            some.pop()
        })
    }

    fn may_pass(&self, pair: (u32, u32)) -> bool {
        let rows = (pair.0 as usize, pair.1 as usize);
        let known = |at: usize| self.comparer.comparisons[at].at_a_glance(rows);
        let most = |(at, most): &(usize, f64)| known(*at).map_or(*most, |outcome| self.model.weigh(*at, outcome));
        let mut bits = self.model.head_start(pair) + self.asked.iter().map(most).sum::<f64>();
        for (at, most) in &self.asked {
            if bits < self.least {
                return false;
            }
            if known(*at).is_none()
                && let Some(outcome) = self.comparer.alone(*at, rows)
            {
                bits += self.model.weigh(*at, outcome) - most;
            }
        }
        bits >= self.least
    }
}

#[cfg(test)]
mod tests {
    use super::super::explain::judged;
    use super::super::{Kind, Settings, Table, all_pairs, compared, ends};
    use super::*;

    const KINDS: [Kind; 6] =
        [Kind::GivenName, Kind::FamilyName, Kind::BirthDate, Kind::Identifier, Kind::Phone, Kind::Contact];

    /// Families with one telephone each, many of whom are there again: with a slip, with the names in each other's place, or
    /// without what tells them from others.
    fn people() -> Table {
        let mut table = Table::new(&KINDS);
        let (given, family) = (["anna", "lena", "jonas", "lina", "marianne"], ["berg", "sundin", "wolff", "anna"]);
        for at in 0..120usize {
            let date = format!("19{:02}-{:02}-{:02}", 50 + at % 40, 1 + at % 12, 1 + at * 7 % 28);
            let (number, slip) = (format!("{:08}4", at * 7_919 + 31), format!("{:08}5", at * 7_919 + 31));
            let (phone, contact) = (format!("20{:07}", at / 3 * 613), format!("desk {}", at / 3));
            let own = [given[at % 5], family[at / 3 % 4], &date, &number, &phone, &contact];
            table.push(own);
            match at % 12 {
                0 => table.push([own[1], own[0], &date, "", &phone, &contact]),
                2 => table.push([own[0], own[1], &date, &slip, &phone, ""]),
                4 => table.push([own[0], own[1], "", &slip, &phone, &contact]),
                6 => table.push([own[0], "", "", &number, &phone, &contact]),
                8 => table.push(["", own[1], &date, "", "", &contact]),
                10 => table.push(["", own[0], "", &slip, &phone, &contact]),
                _ => {}
            }
        }
        table
    }

    #[test]
    fn each_pair_passes_at_what_it_weighs_and_most_do_not_pass_at_the_bound() {
        let found = judged(people(), &Settings::shipped(), &mut |_, _| (), |it| {
            let pairs: Vec<(u32, u32)> = all_pairs(it.order.len()).into_iter().map(ends).collect();
            let mut out = Default::default();
            for pair in &pairs {
                let bits = it.model.bits(&compared(it.model, it.comparer, *pair, &mut out));
                let passed = Sieve::new(it.model, it.comparer, bits).pass([*pair]).next();
                assert_eq!(passed, Some(*pair), "{bits}");
            }
            let passed: Vec<(u32, u32)> = Sieve::new(it.model, it.comparer, 6.0).pass(pairs.iter().copied()).collect();
            let mut all = pairs.iter();
            assert!(passed.iter().all(|pair| all.any(|it| it == pair)), "out of order");
            (pairs.len(), passed.len())
        });
        let (all, passed) = found.unwrap();
        assert!(passed > 0 && 4 * passed < all, "{passed} of {all}");
    }
}
