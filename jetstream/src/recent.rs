//! The keys of calls that were acknowledged a moment ago: a repeat of one is answered without another message.
//!
//! It is a help, as small as it is: a repeat that is not known here comes into the inbox once all the same.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest as _, Sha256};

/// So many keys are known; they take some 4 MB.
const KEYS_MAX: usize = 1 << 16;

/// A key of one connection. Half of a SHA-256: two events never share one.
pub(crate) type Key = [u8; 16];

/// See the module.
#[derive(Default)]
pub(crate) struct Recent {
    known: HashSet<Key>,
    order: VecDeque<Key>,
}

pub(crate) fn key(connection: &str, dedupe: &str) -> Key {
    let mut hash = Sha256::new();
    hash.update(connection.as_bytes());
    hash.update([0]);
    hash.update(dedupe.as_bytes());
    let whole = hash.finalize();
    std::array::from_fn(|at| whole[at])
}

impl Recent {
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.known.contains(key)
    }

    pub(crate) fn add(&mut self, key: Key) {
        if !self.known.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_the_last_keys_and_no_more() {
        let mut recent = Recent::default();
        for number in 0..=KEYS_MAX {
            recent.add(key("shop", &number.to_string()));
            recent.add(key("shop", &number.to_string()));
        }
        assert_eq!((recent.known.len(), recent.order.len()), (KEYS_MAX, KEYS_MAX));
        assert!(!recent.has(&key("shop", "0")) && recent.has(&key("shop", "1")));
        assert!(!recent.has(&key("crm", "1")), "a key is one connection's");
        assert_ne!(key("a", "bc"), key("ab", "c"));
    }
}
