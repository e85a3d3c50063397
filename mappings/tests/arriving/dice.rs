//! Chance that repeats itself, and what it makes of names.

/// A small generator; the same numbers everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    pub fn hits(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn word(&mut self, syllables: usize) -> String {
        const OPEN: [&str; 12] = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t"];
        const REST: [&str; 10] = ["a", "e", "i", "o", "u", "an", "el", "in", "or", "us"];
        (0..syllables).map(|_| OPEN[self.below(12)].to_owned() + REST[self.below(10)]).collect()
    }

    pub fn slip(&mut self, text: &str) -> String {
        let mut letters: Vec<char> = text.chars().collect();
        if letters.len() > 2 {
            let at = self.below(letters.len() - 1);
            if self.hits(50) {
                letters.swap(at, at + 1);
            } else {
                letters.remove(at);
            }
        }
        letters.into_iter().collect()
    }
}
