//! Wakes a thread.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A ring while nobody waits is heard by whoever waits next.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    /// Wakes whoever waits.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_one();
    }

    /// Waits until it rings, and no longer than this; says whether it rang.
    pub fn wait(&self, longest: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(rung, longest, |rung| !*rung);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_heard_and_one_during_it_ends_it() {
        let bell = Arc::new(Bell::default());
        bell.ring();
        bell.ring();
        bell.wait(Duration::from_secs(600));
        let there = bell.clone();
        let thread = std::thread::spawn(move || there.wait(Duration::from_secs(600)));
        while !thread.is_finished() {
            bell.ring();
            std::thread::yield_now();
        }
        thread.join().expect("it was woken");
    }
}
