//! The brake on guessing: who is wrong several times waits, longer each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Mistakes that cost nothing.
const FREE: u32 = 5;

/// The longest wait: a guesser gets a hundred tries a day, a person who came back gets in.
const WAIT_MAX_SECONDS: i64 = 900;

/// Names that are remembered: some hundred kilobytes. Past this the one whose wait is over soonest is forgotten.
const NAMES_MAX: usize = 2_000;

const SECOND_US: i64 = 1_000_000;

/// Wrong tries by name, in memory: a restart forgives.
#[derive(Default)]
pub struct Throttle(Mutex<BTreeMap<String, Tries>>);

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    /// Not before this instant, microseconds since 1970 UTC.
    until_us: i64,
}

impl Throttle {
    /// Counts a try before it is looked at, so that many at once count as many. The error is the wait in seconds.
    pub fn begin(&self, name: &str, now_us: i64) -> Result<(), i64> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key: String = name.trim().to_lowercase().chars().take(super::NAME_MAX).collect();
        let known = names.get(&key).copied().unwrap_or(Tries { count: 0, until_us: 0 });
        if known.until_us > now_us {
            return Err((known.until_us - now_us).div_euclid(SECOND_US) + 1);
        }
        let count = known.count.saturating_add(1);
        let over = count.saturating_sub(FREE).min(16);
        let wait = if over == 0 { 0 } else { (1_i64 << over).min(WAIT_MAX_SECONDS) };
        if names.len() >= NAMES_MAX && !names.contains_key(&key) {
            let soonest = names.iter().min_by_key(|(_, tries)| tries.until_us).map(|(name, _)| name.clone());
            names.remove(&soonest.unwrap_or_default());
        }
        names.insert(key, Tries { count, until_us: now_us + wait * SECOND_US });
        Ok(())
    }

    /// The try was right: the name starts anew.
    pub fn succeeded(&self, name: &str) {
        let key: String = name.trim().to_lowercase().chars().take(super::NAME_MAX).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_takes_longer_and_longer() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.begin("li", 0), Ok(()));
        }
        assert_eq!(throttle.begin("li", 0), Ok(()), "the last free try was wrong: this one begins the waiting");
        assert_eq!(throttle.begin(" LI", 0), Err(3));
        assert_eq!(throttle.begin("han", 0), Ok(()), "others are not concerned");
        let mut now_us = 0;
        for _ in 0..30 {
            now_us += WAIT_MAX_SECONDS * SECOND_US;
            assert_eq!(throttle.begin("li", now_us), Ok(()));
        }
        assert_eq!(throttle.begin("li", now_us), Err(WAIT_MAX_SECONDS + 1), "but never for ever");
        throttle.succeeded("li");
        assert_eq!(throttle.begin("li", now_us), Ok(()));
    }

    #[test]
    fn many_names_cost_no_memory() {
        let throttle = Throttle::default();
        for number in 0..NAMES_MAX + 50 {
            throttle.begin(&number.to_string(), 0).unwrap();
        }
        assert_eq!(throttle.0.lock().unwrap().len(), NAMES_MAX);
    }
}
