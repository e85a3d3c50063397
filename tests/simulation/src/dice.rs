//! Chance that repeats itself: the same seed gives the same throws on every machine.

/// A sequence of throws (SplitMix64, Steele and others 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own for a part of what a seed decides: `parts` name it.
    pub fn of(seed: u64, parts: &[u64]) -> Self {
        let mut dice = Self(seed);
        for part in parts {
            dice.0 = dice.throw() ^ part.wrapping_mul(0x2545_f491_4f6c_dd1d);
        }
        dice
    }

    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        let span = u64::try_from(most.saturating_sub(least)).unwrap_or(0) + 1;
        least + i64::try_from(self.throw() % span).unwrap_or(0)
    }

    /// An index below `count`, which is at least 1.
    pub fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.throw() % u64::try_from(count.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        // 53 bits: every one fits a double.
        #[allow(clippy::cast_precision_loss)]
        let thrown = (self.throw() >> 11) as f64 / (1_u64 << 53) as f64;
        thrown < probability
    }

    /// How often something happens whose mean is `mean`: the whole part for sure, the rest by chance, spread by one.
    pub fn times(&mut self, mean: f64) -> usize {
        let mut count = 0;
        let mut rest = mean;
        while rest > 0.0 {
            // Two throws a unit: now none, now two, one in the mean.
            count += usize::from(self.chance(rest.min(1.0) / 2.0)) + usize::from(self.chance(rest.min(1.0) / 2.0));
            rest -= 1.0;
        }
        count
    }

    /// One of several, of which there is at least one.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_another_differs() {
        let throws =
            |seed| (0..8).map(|_| 0).scan(Dice::new(seed), |dice, _: i32| Some(dice.throw())).collect::<Vec<_>>();
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
    }

    #[test]
    fn times_keeps_its_mean() {
        let mut dice = Dice::new(1);
        let count: usize = (0..10_000).map(|_| dice.times(2.5)).sum();
        assert!((24_000..26_000).contains(&count), "{count}");
    }
}
