//! The vendor's quota: who may call now, so that nothing urgent waits behind a backfill and no limit is broken.
//!
//! A **budget** is one count that a vendor keeps: of a corp and an endpoint, of an app, of an address. It has one limit or
//! several, and whoever shares it (connections, processes) takes from the one. A call waits until each budget that it belongs
//! to lets it go, in the order of [`Lane`]s. `meter` counts one limit, and believes less of it when the vendor refuses;
//! `ledger` is a budget; `brain` is who waits in this process. On `SQLite` there is one process, which holds the ledgers in
//! memory and keeps them now and then; on Postgres they are rows, from which each process takes grants that are good for a
//! moment (`pool`, `shared`).

pub mod brain;
pub mod forecast;
pub mod ledger;
pub mod meter;
mod pool;
pub mod scope;
pub mod shared;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::store::db::Result;
use crate::store::{Store, budgets};
use brain::{Brain, Note, Question, Route, Said};
use ledger::Ledger;
pub use meter::Limit;
use scope::Scope;

/// For whom a call is made. A lane goes before all that follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// A person waits for it.
    #[default]
    Interactive,
    /// What just changed: deliveries, hinted records, short pulls.
    Live,
    /// Comparing, and what it mends.
    Repair,
    /// First reads and long pulls.
    Backfill,
}

impl Lane {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Interactive, Self::Live, Self::Repair, Self::Backfill];

    /// Its place among them.
    pub fn at(self) -> usize {
        match self {
            Self::Interactive => 0,
            Self::Live => 1,
            Self::Repair => 2,
            Self::Backfill => 3,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Live => "live",
            Self::Repair => "repair",
            Self::Backfill => "backfill",
        }
    }
}

/// What a reply tells about the calls that are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Calls in one stretch.
    pub limit: Option<u64>,
    /// Calls that are left of it.
    pub left: Option<u64>,
    /// The stretch, microseconds.
    pub span_us: Option<i64>,
    /// When all are free again, microseconds from now.
    pub resets_us: Option<i64>,
}

/// The budgets of one process. Clones share them.
#[derive(Clone)]
pub struct Quotas(Arc<Desk>);

struct Desk {
    state: Mutex<State>,
    /// What this process's own clock is counted from: it never goes back.
    began: Instant,
    began_us: i64,
    store: Option<Store>,
    /// Whether other processes take from the same budgets.
    is_shared: bool,
    /// The name of this process among those that take grants.
    node: u64,
}

struct State {
    brain: Brain,
    callers: HashMap<u64, oneshot::Sender<()>>,
    kept: BTreeMap<String, Ledger>,
    saved_us: i64,
    is_saving: bool,
    /// Whether anything was used since.
    is_used: bool,
}

/// On one process, what was used is kept this often; a kill forgets that much.
const SAVE_US: i64 = 10_000_000;

impl Quotas {
    /// Budgets that nobody else takes from, and that end with this value.
    pub fn in_memory() -> Self {
        Self::make(None, 0, BTreeMap::new())
    }

    /// The budgets of a deployment. With Postgres other processes share them; else what is kept of them is read.
    ///
    /// # Errors
    /// The store failed.
    pub fn of(store: &Store, clock: &Clock) -> Result<Self> {
        let mut kept = BTreeMap::new();
        if store.kind() == "sqlite" {
            for (name, state, _) in store.read(budgets::all)? {
                kept.insert(name, serde_json::from_str(&state).unwrap_or_default());
            }
        }
        Ok(Self::make(Some(store.clone()), clock.now_us(), kept))
    }

    fn make(store: Option<Store>, began_us: i64, kept: BTreeMap<String, Ledger>) -> Self {
        let is_shared = store.as_ref().is_some_and(|store| store.kind() != "sqlite");
        let brain = Brain::new(is_shared);
        let state =
            State { brain, callers: HashMap::new(), kept, saved_us: began_us, is_saving: false, is_used: false };
        let mut node = [0; 8];
        // Without randomness two processes would pass for one, and each void the other's grants: no harm but waste.
        let _ = getrandom::fill(&mut node);
        let node = u64::from_le_bytes(node);
        Self(Arc::new(Desk { state: Mutex::new(state), began: Instant::now(), began_us, store, is_shared, node }))
    }

    /// The quota of a connection that shares in these budgets.
    pub fn quota(&self, scopes: Vec<Scope>) -> Quota {
        let now_us = self.now_us();
        let mut state = self.state();
        let (each, fixed): (Vec<Scope>, Vec<Scope>) = scopes.into_iter().partition(|scope| scope.by_endpoint);
        let names = fixed.iter().map(|scope| scope.key.clone()).collect();
        let fixed: Vec<usize> = fixed.iter().map(|scope| state.place(now_us, &scope.key, &scope.limits)).collect();
        let routes = Routes { fixed: fixed.into(), names, each, known: Mutex::default() };
        drop(state);
        Quota {
            quotas: self.clone(),
            routes: Arc::new(routes),
            lane: Lane::default(),
            whole: None,
            calls: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // After a panic what is known is at worst a call that was not counted.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> i64 {
        self.0.began_us.saturating_add(micros(self.0.began.elapsed()))
    }

    /// Lets go who may, and has the store asked or told what is due.
    fn go_on(&self) {
        let now_us = self.now_us();
        let mut state = self.state();
        state.wake(now_us);
        let (questions, notes) = state.brain.questions(now_us);
        let saves =
            !self.0.is_shared && self.0.store.is_some() && !state.is_saving && now_us - state.saved_us >= SAVE_US;
        if questions.is_empty() && notes.is_empty() && !saves {
            return;
        }
        let (Some(store), Ok(runtime)) = (self.0.store.clone(), tokio::runtime::Handle::try_current()) else { return };
        let here = self.clone();
        if saves {
            (state.is_saving, state.is_used, state.saved_us) = (true, false, now_us);
            runtime.spawn_blocking(move || here.save(&store, now_us));
        } else {
            // The grants' end is counted from here.
            runtime.spawn_blocking(move || here.ask(&store, now_us, &questions, &notes));
        }
    }

    fn ask(&self, store: &Store, asked_us: i64, questions: &[Question], notes: &[Note]) {
        let grants = shared::settle(store, self.0.node, None, questions, notes);
        if let Err(error) = &grants {
            tracing::error!("the store gave no calls, asking again: {error}");
        }
        let now_us = self.now_us();
        let mut state = self.state();
        state.brain.answered(asked_us, now_us, questions, grants.as_deref().ok());
        state.wake(now_us);
    }

    fn save(&self, store: &Store, now_us: i64) {
        let kept = self.state().kept();
        save(store, &kept, now_us);
        self.state().is_saving = false;
    }
}

/// Keeps ledgers.
fn save(store: &Store, kept: &[(Arc<str>, Ledger)], now_us: i64) {
    let saved = store.write(|tx| {
        for (key, ledger) in kept {
            budgets::put(tx, key, &serde_json::to_string(ledger)?, now_us)?;
        }
        Ok(())
    });
    if let Err(error) = saved {
        tracing::error!("what was used of the quotas could not be kept: {error}");
    }
}

impl Drop for Desk {
    /// A command that ends soon uses a day's calls, too.
    fn drop(&mut self) {
        let now_us = self.began_us.saturating_add(micros(self.began.elapsed()));
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = self.store.as_ref().filter(|_| !self.is_shared && state.is_used) {
            save(store, &state.kept(), now_us);
        }
    }
}

impl State {
    fn place(&mut self, now_us: i64, key: &str, limits: &[Limit]) -> usize {
        let kept = self.kept.remove(key);
        self.brain.budget(now_us, key, limits, kept)
    }

    fn kept(&self) -> Vec<(Arc<str>, Ledger)> {
        self.brain.owned().map(|(key, ledger)| (key.clone(), ledger.clone())).collect()
    }

    fn wake(&mut self, now_us: i64) {
        for number in self.brain.ready(now_us) {
            if let Some(caller) = self.callers.remove(&number) {
                // Whoever hung up gives the call back itself.
                let _ = caller.send(());
            }
        }
    }
}

/// The budgets of a connection's calls.
struct Routes {
    fixed: Route,
    names: Vec<String>,
    /// Those that there are one of for each endpoint.
    each: Vec<Scope>,
    known: Mutex<HashMap<String, Route>>,
}

/// Endpoints that are counted apart; those that come later share one count.
const ENDPOINTS_MAX: usize = 64;

/// Spaces the calls of one connection, and stands still when the vendor says so.
pub struct Quota {
    quotas: Quotas,
    routes: Arc<Routes>,
    lane: Lane,
    /// The quota that this one is a part of.
    whole: Option<Arc<Self>>,
    calls: AtomicU64,
}

impl Quota {
    /// No declared limit.
    pub fn unlimited() -> Self {
        Quotas::in_memory().quota(vec![Scope::own("", &[])])
    }

    /// So many calls in a second, with a burst.
    pub fn per_second(calls: NonZeroU32) -> Self {
        Quotas::in_memory().quota(vec![Scope::own("", &[Limit::per_second(calls)])])
    }

    /// A part of a quota for calls of a lane, which counts its own: each of them is one of the whole, too.
    pub fn lane_of(whole: Arc<Self>, lane: Lane) -> Self {
        let (quotas, routes) = (whole.quotas.clone(), whole.routes.clone());
        Self { quotas, routes, lane, whole: Some(whole), calls: AtomicU64::new(0) }
    }

    /// The lane of its calls.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Whether its calls are counted in the budget of this name.
    pub fn takes_from(&self, budget: &str) -> bool {
        let routes = &self.routes;
        routes.names.iter().any(|name| name == budget) || routes.each.iter().any(|scope| budget.starts_with(&scope.key))
    }

    /// How many calls were allowed so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits until a call is allowed.
    pub async fn acquire(&self) {
        self.acquire_at("").await;
    }

    /// Waits until a call of this endpoint (a path) is allowed.
    pub async fn acquire_at(&self, endpoint: &str) {
        let mut counts = Some(self);
        while let Some(quota) = counts {
            quota.calls.fetch_add(1, Ordering::Relaxed);
            counts = quota.whole.as_deref();
        }
        if let Some((place, called)) = self.enter(self.route(endpoint)) {
            place.wait(called).await;
        }
    }

    /// Takes what a call needs, or a place among those who wait for it.
    fn enter(&self, route: Route) -> Option<(Place<'_>, oneshot::Receiver<()>)> {
        let now_us = self.quotas.now_us();
        let mut state = self.quotas.state();
        state.is_used = true;
        let number = state.brain.enter(now_us, self.lane, &route);
        let called = number.map(|number| {
            let (caller, called) = oneshot::channel();
            state.callers.insert(number, caller);
            called
        });
        drop(state);
        self.quotas.go_on();
        Some((Place { quotas: &self.quotas, number, lane: self.lane, route }, called?))
    }

    fn route(&self, endpoint: &str) -> Route {
        if self.routes.each.is_empty() || endpoint.is_empty() {
            return self.routes.fixed.clone();
        }
        let mut known = self.routes.known.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = scope::endpoint(endpoint);
        if let Some(route) = known.get(&endpoint) {
            return route.clone();
        }
        let endpoint = if known.len() < ENDPOINTS_MAX { endpoint } else { "other".to_owned() };
        let now_us = self.quotas.now_us();
        let mut state = self.quotas.state();
        let places =
            self.routes.each.iter().map(|it| state.place(now_us, &format!("{}{endpoint}", it.key), &it.limits));
        let route: Route = self.routes.fixed.iter().copied().chain(places).collect();
        known.insert(endpoint, route.clone());
        route
    }

    /// The vendor asked for silence: nobody calls for this long.
    pub fn pause(&self, wait: Duration) {
        self.hear("", Said::Pause(micros(wait)));
    }

    /// The vendor refused a call of this endpoint as one too many; `after`: how long it asked to wait, if it said so.
    pub fn refused(&self, endpoint: &str, after: Option<Duration>) {
        self.hear(endpoint, Said::Refused(after.map(micros)));
    }

    /// A reply told how many calls are left.
    pub fn told(&self, endpoint: &str, told: Told) {
        self.hear(endpoint, Said::Told(told));
    }

    fn hear(&self, endpoint: &str, said: Said) {
        let route = self.route(endpoint);
        let now_us = self.quotas.now_us();
        let mut state = self.quotas.state();
        state.brain.heard(now_us, &route, said);
        if !matches!(said, Said::Told(_)) {
            // A silence is worth keeping at once.
            state.saved_us = state.saved_us.min(now_us - SAVE_US);
        }
        drop(state);
        self.quotas.go_on();
    }
}

/// Somebody's place among those who wait; it is left when it is dropped.
struct Place<'a> {
    quotas: &'a Quotas,
    number: Option<u64>,
    lane: Lane,
    route: Route,
}

impl Place<'_> {
    async fn wait(mut self, mut called: oneshot::Receiver<()>) {
        loop {
            let now_us = self.quotas.now_us();
            let next_us = self.quotas.state().brain.next_us(now_us);
            let rest_us = next_us.map_or(REST_US_MAX, |next_us| (next_us - now_us).clamp(REST_US_MIN, REST_US_MAX));
            let rest = Duration::from_micros(rest_us.unsigned_abs());
            if tokio::time::timeout(rest, &mut called).await.is_ok() {
                self.number = None;
                return;
            }
            self.quotas.go_on();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let now_us = self.quotas.now_us();
        let mut state = self.quotas.state();
        state.callers.remove(&number);
        state.brain.leave(now_us, number, self.lane, &self.route);
        state.wake(now_us);
    }
}

/// Nobody looks more often than this.
const REST_US_MIN: i64 = 1_000;

/// Whoever waits for an answer looks up after this time even if none came.
const REST_US_MAX: i64 = 1_000_000;

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
