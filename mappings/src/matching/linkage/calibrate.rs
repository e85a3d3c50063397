//! From which sums on a pair is linked, asked about or left, so that a stated share of what is linked is right.
//!
//! What stewards decided bears witness, and few witnesses prove little: a bound is taken from decisions only where they
//! prove the precision with [`CONFIDENCE`], by Clopper and Pearson's exact limits (Biometrika 1934). They are tested from the
//! model's own bound down, and the first test that fails is the last: so the many tests are as good as one. Where the decisions are too few, the model's own chances say
//! where the bound is, unless the decisions prove that these promise too much.

use serde::{Deserialize, Serialize};

/// How sure a claim about a share must be.
pub const CONFIDENCE: f64 = 0.95;

/// Below the bound of a question, one of so many is one customer at most: nobody reads ten questions for less.
const LEFT_MOST: f64 = 0.1;

/// What the bounds of a model aim at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// Of the pairs that are linked, this share is to be right, 0 to 1.
    pub precision: f64,
    /// What says that it is.
    pub by: Basis,
    /// Decisions of stewards that the model was learned from.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub decisions: u32,
    /// Bits from which a pair is linked, and from which it is asked about; without them `rules/match.toml` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f64; 2]>,
    /// What was linked where the truth is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What bounds rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The model's own chances.
    Chances,
    /// Decisions of stewards.
    Decisions,
}

/// Pairs of records whose truth is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Pairs that were linked.
    pub linked: u32,
    /// Of these, the wrong ones.
    pub wrong: u32,
}

/// From where on pairs are linked, and why.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// Bits.
    pub bits: f64,
    /// What the bound rests on.
    pub by: Basis,
    /// Decisions at or above it, and those of them that say otherwise.
    pub of: usize,
    /// Decisions at or above it that say that the two are not one.
    pub wrong: usize,
    /// With [`CONFIDENCE`] at least this share of what is linked from there on is right; 0 without decisions.
    pub least: f64,
    /// Decisions more, all of them right, that would prove the precision; 0 where it is proven.
    pub missing: usize,
}

/// The logarithm of n!.
fn log_factorial(n: usize) -> f64 {
    let exact = |n: usize| (2..=n).map(|it| float(it).ln()).sum();
    if n < 16 {
        return exact(n);
    }
    // Stirling's series; what is left out is below 1e-10 from here on.
    let x = float(n);
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    x * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI * x).ln() + series
}

fn float(count: usize) -> f64 {
    super::model::count(count)
}

/// The chance that `of` draws hit `right` times or more, if each does with the chance `share`.
fn tail(right: usize, of: usize, share: f64) -> f64 {
    if right == 0 {
        return 1.0;
    }
    if share <= 0.0 || share >= 1.0 {
        return if share >= 1.0 { 1.0 } else { 0.0 };
    }
    let (a, b) = (float(right), float(of - right + 1));
    let log = log_factorial(of) - log_factorial(right - 1) - log_factorial(of - right);
    let front = (log + a * share.ln() + b * (-share).ln_1p()).exp();
    if share < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, share) / a
    } else {
        1.0 - front * fraction(b, a, 1.0 - share) / b
    }
}

/// The continued fraction of the incomplete beta function, by Lentz's way.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let whole = |it: f64| if it.abs() < TINY { TINY } else { it };
    let (mut upper, mut lower) = (1.0, 1.0 / whole(1.0 - (a + b) * x / (a + 1.0)));
    let mut sum = lower;
    for step in 1..500usize {
        let step = float(step);
        let even = step * (b - step) * x / ((a + 2.0 * step - 1.0) * (a + 2.0 * step));
        let odd = -(a + step) * (a + b + step) * x / ((a + 2.0 * step) * (a + 2.0 * step + 1.0));
        let before = sum;
        for part in [even, odd] {
            lower = 1.0 / whole(1.0 + part * lower);
            upper = whole(1.0 + part / upper);
            sum *= upper * lower;
        }
        if (sum - before).abs() <= 1e-14 * sum.abs() {
            break;
        }
    }
    sum
}

/// Whether so many right ones of all prove, with [`CONFIDENCE`], that this share is right.
pub(in crate::matching) fn supports(right: usize, of: usize, share: f64) -> bool {
    of > 0 && tail(right, of, share) <= 1.0 - CONFIDENCE
}

/// With [`CONFIDENCE`] at least this share is right, if so many of all were.
pub fn at_least(right: usize, of: usize) -> f64 {
    if right == 0 || of == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if supports(right, of, middle) { low = middle } else { high = middle }
    }
    low
}

/// With [`CONFIDENCE`] at most this share is right, if so many of all were.
pub fn at_most(right: usize, of: usize) -> f64 {
    1.0 - at_least(of - right, of)
}

/// Decisions at most for which a need is looked for.
const NEEDED_MAX: usize = 1 << 24;

/// So many decisions prove a precision if `wrong` of them say otherwise.
pub fn needed(precision: f64, wrong: usize) -> usize {
    let (mut low, mut high) = (wrong, wrong + 1);
    while high < NEEDED_MAX && !supports(high - wrong, high, precision) {
        (low, high) = (high, high * 2);
    }
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if supports(middle - wrong, middle, precision) { high = middle } else { low = middle }
    }
    high
}

/// From where on pairs are linked so that this share of them is right; `decided` are pairs whose link depends on the bound
/// alone, and whether a steward said that they are one.
pub(in crate::matching) fn link_from(decided: &[(f64, bool)], precision: f64) -> Bound {
    let mut decided = decided.to_vec();
    decided.sort_by(|x, y| y.0.total_cmp(&x.0));
    let chances = (10.0 * (precision / (1.0 - precision)).log2()).ceil() / 10.0;
    // Where the tests begin must not depend on what the decisions say: at the model's own bound, or lower if they are few.
    let first = needed(precision, 0).max(decided.iter().take_while(|it| it.0 >= chances).count());
    let (mut right, mut proven) = (0, None);
    for (at, (bits, same)) in decided.iter().enumerate() {
        right += usize::from(*same);
        let of = at + 1;
        if of < first || decided.get(of).is_some_and(|next| next.0 >= *bits) {
            continue;
        }
        if !supports(right, of, precision) {
            break;
        }
        proven = Some((*bits, right, of));
    }
    if let Some((bits, right, of)) = proven {
        let (bits, least) = (down(bits), at_least(right, of));
        return Bound { bits, by: Basis::Decisions, of, wrong: of - right, least, missing: 0 };
    }
    let bits = not_refuted(&decided, chances, precision);
    let of = decided.iter().take_while(|it| it.0 >= bits).count();
    let wrong = decided[..of].iter().filter(|it| !it.1).count();
    let missing = needed(precision, wrong).saturating_sub(of);
    Bound { bits, by: Basis::Chances, of, wrong, least: at_least(of - wrong, of), missing }
}

/// The first bound from `bits` on of which the decisions do not prove that it promises too much.
fn not_refuted(decided: &[(f64, bool)], bits: f64, precision: f64) -> f64 {
    let mut bound = bits;
    loop {
        let above = &decided[..decided.iter().take_while(|it| it.0 >= bound).count()];
        let wrong = above.iter().filter(|it| !it.1).count();
        match above.last() {
            // So many wrong ones would be rare if the precision were reached.
            Some(last) if wrong > 0 && supports(wrong, above.len(), 1.0 - precision) => bound = up(last.0),
            _ => return bound,
        }
    }
}

/// Below which sum nobody is asked: as far up as decisions prove that hardly any of the pairs below is one customer; never
/// below `former`. `decided` are pairs that the bound alone decides about.
pub(in crate::matching) fn leave_below(decided: &[(f64, bool)], former: f64) -> Bound {
    let mut decided = decided.to_vec();
    decided.sort_by(|x, y| x.0.total_cmp(&y.0));
    let first = needed(1.0 - LEFT_MOST, 0).max(decided.len() / 3);
    let (mut same, mut proven) = (0, None);
    for (at, (bits, is_same)) in decided.iter().enumerate() {
        same += usize::from(*is_same);
        let of = at + 1;
        if of < first || decided.get(of).is_some_and(|next| next.0 <= *bits) {
            continue;
        }
        if !supports(of - same, of, 1.0 - LEFT_MOST) {
            break;
        }
        proven = Some((up(*bits), same, of));
    }
    match proven.filter(|it| it.0 > former) {
        Some((bits, same, of)) => {
            Bound { bits, by: Basis::Decisions, of, wrong: same, least: at_least(of - same, of), missing: 0 }
        }
        None => Bound { bits: former, by: Basis::Chances, of: 0, wrong: 0, least: 0.0, missing: 0 },
    }
}

/// Bounds are kept to three digits: so that a pair of this sum is in, and so that it is out.
fn down(bits: f64) -> f64 {
    (bits * 1e3).floor() / 1e3
}

fn up(bits: f64) -> f64 {
    (bits * 1e3).floor() / 1e3 + 1e-3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exact sum, term by term.
    fn summed(right: usize, of: usize, share: f64) -> f64 {
        let term = |hits: usize| {
            let log = log_factorial(of) - log_factorial(hits) - log_factorial(of - hits);
            (log + float(hits) * share.ln() + float(of - hits) * (1.0 - share).ln()).exp()
        };
        (right..=of).map(term).sum()
    }

    #[test]
    fn limits_are_those_of_clopper_and_pearson() {
        for of in [1usize, 2, 5, 17, 60, 300, 1_000] {
            for right in [0, 1, of / 3, of / 2, of.saturating_sub(1), of] {
                for share in [0.01, 0.2, 0.5, 0.9, 0.999] {
                    let (found, exact) = (tail(right, of, share), summed(right, of, share));
                    assert!((found - exact).abs() < 1e-9, "{right} of {of} at {share}: {found}, {exact}");
                }
            }
        }
        // One-sided: 0.05^(1/n) where all are right.
        assert!((at_least(59, 59) - 0.05f64.powf(1.0 / 59.0)).abs() < 1e-9);
        assert!(at_least(0, 10).abs() < 1e-9 && (at_most(10, 10) - 1.0).abs() < 1e-9);
        assert!((at_most(0, 29) - (1.0 - 0.05f64.powf(1.0 / 29.0))).abs() < 1e-9);
    }

    #[test]
    fn a_claim_needs_so_many_decisions() {
        assert_eq!([0.9, 0.95, 0.99, 0.999].map(|precision| needed(precision, 0)), [29, 59, 299, 2_995]);
        assert_eq!((needed(0.95, 1), needed(0.99, 1)), (93, 473));
    }

    fn is(bound: Bound, by: Basis, bits: f64) -> bool {
        bound.by == by && (bound.bits - bits).abs() < 1e-9
    }

    #[test]
    fn few_decisions_prove_nothing_and_one_wrong_one_is_heard() {
        let right: Vec<(f64, bool)> = (0..58).map(|at| (float(at) / 10.0, true)).collect();
        let bound = link_from(&right, 0.95);
        assert!(is(bound, Basis::Chances, 4.3), "{bound:?}");
        assert_eq!((bound.of, bound.missing), (15, 44), "{bound:?}");
        let enough = link_from(&[right.clone(), vec![(-1.0, true)]].concat(), 0.95);
        assert!(is(enough, Basis::Decisions, -1.0) && enough.missing == 0 && enough.least >= 0.95, "{enough:?}");
        // Two that were held to be a thousand times likelier, and are not one.
        let wrong = [(12.5, false), (11.0, false), (13.0, true)];
        let refuted = link_from(&wrong, 0.999);
        assert!(is(refuted, Basis::Chances, 12.501), "{refuted:?}");
        assert!(is(link_from(&[], 0.999), Basis::Chances, 10.0), "as the shipped rules say");
    }

    #[test]
    fn what_nobody_needs_to_read_is_left() {
        let decided: Vec<(f64, bool)> = (0..40).map(|at| (float(at) / 10.0 - 3.0, at > 35)).collect();
        let bound = leave_below(&decided, -3.0);
        assert_eq!(bound.by, Basis::Decisions);
        assert!((0.5..0.8).contains(&bound.bits), "{bound:?}");
        assert!(is(leave_below(&decided[..20], -3.0), Basis::Chances, -3.0), "of so few nothing is proven");
        assert!(is(leave_below(&decided, 5.0), Basis::Chances, 5.0), "what was left before is left");
    }
}
