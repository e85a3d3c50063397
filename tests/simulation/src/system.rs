//! A system in memory: what it stores, what it shows, and whom it calls.

mod calls;
mod store;

pub use store::Alive;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{Received, Record};
use huiliu_core::manifest::Manifest;
use huiliu_core::store::Store;

use crate::dice::Dice;
use crate::ledger::{Field, Ledger};
use crate::mutant::Mutant;
use crate::scenario::{Fault, Spec};

/// What the systems of a day share: the time, the truth, and the way to wait.
#[derive(Clone)]
pub struct Shared {
    /// The time.
    pub clock: Clock,
    /// The truth.
    pub ledger: Arc<Mutex<Ledger>>,
    /// When the task that waits now wants to go on, at the earliest; `i64::MAX`: it does not wait for the time.
    pub alarm: Arc<AtomicI64>,
    /// The seed of the day.
    pub seed: u64,
    /// The planted bug.
    pub mutant: Mutant,
}

impl Shared {
    /// The truth.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the simulated time pass: the world goes on with others meanwhile.
    async fn wait(&self, for_us: i64) {
        let due_us = self.clock.now_us() + for_us;
        std::future::poll_fn(|cx| {
            if self.clock.now_us() >= due_us {
                return Poll::Ready(());
            }
            self.alarm.fetch_min(due_us, Ordering::SeqCst);
            // Whoever keeps several of these looks at those only that called.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Something that a system sets going in the world.
#[derive(Clone, Debug)]
pub enum Sent {
    /// It calls the hub.
    Webhook {
        /// When.
        at_us: i64,
        /// The key of the event.
        key: String,
        /// What it says.
        body: Vec<Received>,
    },
    /// Somebody saw a write of the hub and edits the record.
    Edit {
        /// When.
        at_us: i64,
        /// Whose.
        person: usize,
        /// Which field.
        field: Field,
        /// The new value.
        value: String,
    },
}

/// A value on the screen, and the edit that it comes from.
#[derive(Clone, Debug, Default)]
struct Cell {
    raw: Option<String>,
    edit: Option<usize>,
}

#[derive(Clone, Debug)]
struct Row {
    person: usize,
    name: String,
    email: String,
    cells: BTreeMap<Field, Cell>,
    version: i64,
    gone: bool,
    /// The id under which it goes on.
    successor: Option<String>,
}

/// A record as lists show it from an instant on; none: it is gone.
#[derive(Clone, Debug)]
struct Shown {
    from_us: i64,
    version: i64,
    record: Option<Record>,
    successor: Option<String>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<String, Row>,
    /// By record: what lists show, and will show, oldest first.
    lists: BTreeMap<String, VecDeque<Shown>>,
    sequence: i64,
    made: BTreeMap<String, String>,
    next_id: usize,
    next_event: usize,
    calls: u64,
    armed: Vec<Fault>,
    follow: Option<(Field, String)>,
    refused_until_us: i64,
    banned_until_us: i64,
    sent: Vec<Sent>,
}

/// See the module.
pub struct System {
    /// Its place among the systems.
    pub index: usize,
    /// Its habits.
    pub spec: Spec,
    manifest: Manifest,
    shared: Shared,
    /// The hub's store, for the bug that moves the cursor itself.
    pub hasty: Mutex<Option<Store>>,
    state: Mutex<State>,
}

const MANIFEST: &str = r#"
[connector]
name = "kit"
title = "Kit"
about = "A system in memory."
driver = "rust"
[streams.customers]
abilities = ["pull", "fetch", "create", "update"]
"#;

impl System {
    /// A system without records.
    pub fn new(index: usize, spec: Spec, shared: Shared) -> Self {
        let manifest = Manifest::parse("kit/connector.toml", MANIFEST).expect("the manifest is right");
        Self { index, spec, manifest, shared, hasty: Mutex::default(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> i64 {
        self.shared.clock.now_us()
    }

    /// What it set going since it was asked last.
    pub fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.state().sent)
    }

    /// The next call that this fault can strike goes wrong.
    pub fn arm(&self, fault: Fault) {
        let now_us = self.now_us();
        let mut state = self.state();
        match fault {
            Fault::Expired => state.refused_until_us = now_us + 20 * 60_000_000,
            Fault::Ban => state.banned_until_us = now_us + 10 * 60_000_000,
            fault => state.armed.push(fault),
        }
    }

    /// Somebody will edit the record that the hub writes next.
    pub fn arm_follow(&self, field: Field, value: &str) {
        self.state().follow = Some((field, value.to_owned()));
    }

    /// Nothing goes wrong from now on.
    pub fn calm(&self) {
        let mut state = self.state();
        state.armed.clear();
        state.follow = None;
        (state.refused_until_us, state.banned_until_us) = (0, 0);
    }

    fn is_struck(state: &mut State, faults: &[Fault]) -> Option<Fault> {
        let at = state.armed.iter().position(|fault| faults.contains(fault))?;
        Some(state.armed.remove(at))
    }

    /// The throws that belong to the next call.
    fn dice(&self, state: &mut State) -> Dice {
        state.calls += 1;
        Dice::of(self.shared.seed, &[u64::try_from(self.index).unwrap_or(0), state.calls])
    }
}
