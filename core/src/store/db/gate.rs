//! One writer at a time, and whoever answers callers goes first.
//!
//! A mutex alone lets whoever just let go take it again at once, so that a stage that writes one batch after the other
//! would keep calls waiting for several of them.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For so long after somebody urgent had his turn more of his kind are expected.
const PRESSED: Duration = Duration::from_millis(500);

/// A value that one thread has at a time.
pub struct Gate<T> {
    value: Mutex<T>,
    turns: Mutex<Turns>,
    urgent: Condvar,
    others: Condvar,
    begun: Instant,
    /// When somebody urgent came last, in milliseconds from then on and one more; 0: never.
    pressed_ms: AtomicU64,
}

#[derive(Default)]
struct Turns {
    is_taken: bool,
    urgent: usize,
}

/// A turn; the next one begins when it is dropped.
pub struct Turn<'g, T> {
    // Dropped first: whoever is woken finds the value free.
    value: Option<MutexGuard<'g, T>>,
    gate: &'g Gate<T>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic leaves is seen to by whoever keeps the value.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Gate<T> {
    /// A gate before a value.
    pub fn new(value: T) -> Self {
        Self {
            value: Mutex::new(value),
            turns: Mutex::default(),
            urgent: Condvar::new(),
            others: Condvar::new(),
            begun: Instant::now(),
            pressed_ms: AtomicU64::new(0),
        }
    }

    /// Waits until nobody has it, and nobody urgent waits.
    pub fn pass(&self) -> Turn<'_, T> {
        let turns = lock(&self.turns);
        let waited = self.others.wait_while(turns, |turns| turns.is_taken || turns.urgent > 0);
        waited.unwrap_or_else(PoisonError::into_inner).is_taken = true;
        self.turn()
    }

    /// Waits until nobody has it. More of the kind are expected to come.
    pub fn pass_first(&self) -> Turn<'_, T> {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.pressed_ms.store(ms + 1, Ordering::Relaxed);
        self.pass_soon()
    }

    /// Waits until nobody has it, once.
    pub fn pass_soon(&self) -> Turn<'_, T> {
        let mut turns = lock(&self.turns);
        turns.urgent += 1;
        let waited = self.urgent.wait_while(turns, |turns| turns.is_taken);
        let mut turns = waited.unwrap_or_else(PoisonError::into_inner);
        turns.urgent -= 1;
        turns.is_taken = true;
        drop(turns);
        self.turn()
    }

    /// Whether somebody urgent is likely to come soon.
    pub fn is_pressed(&self) -> bool {
        match self.pressed_ms.load(Ordering::Relaxed) {
            0 => false,
            ms => self.begun.elapsed() < Duration::from_millis(ms) + PRESSED,
        }
    }

    fn turn(&self) -> Turn<'_, T> {
        Turn { value: Some(lock(&self.value)), gate: self }
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        let mut turns = lock(&self.gate.turns);
        turns.is_taken = false;
        let next = if turns.urgent > 0 { &self.gate.urgent } else { &self.gate.others };
        drop(turns);
        next.notify_one();
    }
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().expect("it is there until it is dropped")
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_deref_mut().expect("it is there until it is dropped")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn whoever_is_urgent_goes_before_those_who_came_earlier() {
        let gate = Arc::new(Gate::new(Vec::new()));
        assert!(!gate.is_pressed());
        let first = gate.pass();
        let threads: Vec<_> = ["later", "later", "urgent"]
            .into_iter()
            .map(|word| {
                let there = gate.clone();
                let thread = std::thread::spawn(move || {
                    let mut turn = if word == "urgent" { there.pass_first() } else { there.pass() };
                    turn.push(word);
                });
                std::thread::sleep(Duration::from_millis(50));
                thread
            })
            .collect();
        assert!(gate.is_pressed());
        drop(first);
        for thread in threads {
            thread.join().expect("it had its turn");
        }
        assert_eq!(*gate.pass(), ["urgent", "later", "later"]);
    }
}
