//! Who may call next: those who wait in one process, by lane, and what they wait for.
//!
//! Pure: every function is told the time, so that an hour passes in a moment in a test. Who waits is known by a number; whoever
//! runs this wakes them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::ledger::{Back, Grant, Ledger, PATIENCE, PAUSE_US_MAX};
use super::meter::Limit;
use super::pool::Pool;
use super::{Lane, Told};

/// The budgets that a call takes from, by their places.
pub type Route = Arc<[usize]>;

/// All that one process knows about its budgets.
#[derive(Debug)]
pub struct Brain {
    is_shared: bool,
    budgets: Vec<Budget>,
    places: HashMap<Arc<str>, usize>,
    waiting: [VecDeque<Waiter>; 4],
    /// Calls of lanes before it since a lane had one, while it waited.
    passed: [u64; 4],
    last: u64,
    ready: Vec<u64>,
    notes: Vec<Note>,
    /// Nothing changes by itself before.
    quiet_until_us: i64,
}

/// One budget here.
#[derive(Debug)]
struct Budget {
    key: Arc<str>,
    limits: Arc<[Limit]>,
    held: Held,
    /// What the vendor said last, so that the same is not said on.
    told: Option<u64>,
    /// It counts whoever calls from this address: a refusal to one is none to all.
    is_common: bool,
}

#[derive(Debug)]
enum Held {
    /// Nobody else takes from it.
    Own(Ledger),
    /// Several processes do.
    Shared(Pool),
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    route: Route,
}

/// What a vendor said, to be told to the other processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The budgets that it is about, by key.
    pub about: Vec<Arc<str>>,
    /// What.
    pub said: Said,
}

/// What a vendor says about calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Be silent for so long, microseconds.
    Pause(i64),
    /// That was one too many; wait for so long, if it said so.
    Refused(Option<i64>),
    /// How much is left.
    Told(Told),
}

/// A question for a grant, to be put to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    place: usize,
    /// The budget's key.
    pub key: Arc<str>,
    /// Its limits, as declared here.
    pub limits: Arc<[Limit]>,
    /// Calls that are wanted, by lane.
    pub wants: [u64; 4],
    /// Calls of former grants that were not made.
    pub back: Vec<Back>,
}

impl Brain {
    /// A brain without budgets; `is_shared`: other processes take from the same ones.
    pub fn new(is_shared: bool) -> Self {
        Self {
            is_shared,
            budgets: Vec::new(),
            places: HashMap::new(),
            waiting: Default::default(),
            passed: [0; 4],
            last: 0,
            ready: Vec::new(),
            notes: Vec::new(),
            quiet_until_us: 0,
        }
    }

    /// The place of a budget, which is made if nobody asked for it before; `known`: what was kept of it.
    pub fn budget(&mut self, now_us: i64, key: &str, limits: &[Limit], known: Option<Ledger>) -> usize {
        if let Some(place) = self.places.get(key) {
            return *place;
        }
        let held = if self.is_shared {
            Held::Shared(Pool::new(limits.is_empty()))
        } else {
            let mut ledger = known.unwrap_or_default();
            ledger.declare(limits, now_us);
            Held::Own(ledger)
        };
        let key: Arc<str> = key.into();
        let is_common = key.split('/').any(|word| word == "address");
        self.budgets.push(Budget { key: key.clone(), limits: limits.into(), held, told: None, is_common });
        self.places.insert(key, self.budgets.len() - 1);
        self.budgets.len() - 1
    }

    /// A call is wanted. None: it may be made now. A number: it waits, and [`Brain::ready`] will name it.
    pub fn enter(&mut self, now_us: i64, lane: Lane, route: &Route) -> Option<u64> {
        let is_empty = self.waiting.iter().all(VecDeque::is_empty);
        if is_empty && route.iter().all(|place| self.budgets[*place].has(now_us, lane)) {
            for place in route.iter() {
                self.budgets[*place].take(now_us, lane);
            }
            return None;
        }
        self.last += 1;
        let number = self.last;
        self.waiting[lane.at()].push_back(Waiter { number, route: route.clone() });
        self.quiet_until_us = 0;
        self.look(now_us);
        match self.ready.iter().position(|ready| *ready == number) {
            Some(at) => {
                self.ready.swap_remove(at);
                None
            }
            None => Some(number),
        }
    }

    /// Who waits no more goes; a call that was allowed already, and is not made, is taken back.
    pub fn leave(&mut self, now_us: i64, number: u64, lane: Lane, route: &Route) {
        let queue = &mut self.waiting[lane.at()];
        match queue.iter().position(|waiter| waiter.number == number) {
            Some(at) => drop(queue.remove(at)),
            None => route.iter().for_each(|place| self.budgets[*place].give(now_us, lane)),
        }
        self.ready.retain(|ready| *ready != number);
        self.quiet_until_us = 0;
        self.look(now_us);
    }

    /// Those who may call by now.
    pub fn ready(&mut self, now_us: i64) -> Vec<u64> {
        self.look(now_us);
        std::mem::take(&mut self.ready)
    }

    /// Lets go whoever may, lane by lane; who waits for a budget stands before those of later lanes that want it too.
    fn look(&mut self, now_us: i64) {
        if now_us < self.quiet_until_us {
            return;
        }
        self.have_patience(now_us);
        let mut short: Vec<usize> = Vec::new();
        for lane in Lane::ALL {
            for waiter in std::mem::take(&mut self.waiting[lane.at()]) {
                let lacks = |place: &usize| short.contains(place) || !self.budgets[*place].has(now_us, lane);
                let lacking: Vec<usize> = waiter.route.iter().copied().filter(lacks).collect();
                if lacking.is_empty() {
                    self.let_go(now_us, lane, &waiter);
                } else {
                    if !lacking.iter().all(|place| short.contains(place)) {
                        short.extend(lacking);
                    }
                    self.waiting[lane.at()].push_back(waiter);
                }
            }
        }
        self.quiet_until_us = self.next_us(now_us).unwrap_or(i64::MAX);
    }

    /// A lane that saw many others go before it has one call, whatever is kept for those.
    fn have_patience(&mut self, now_us: i64) {
        for lane in Lane::ALL.into_iter().rev() {
            let (passed, queue) = (self.passed[lane.at()], &self.waiting[lane.at()]);
            let Some(first) = queue.front().filter(|_| passed >= PATIENCE) else { continue };
            if first.route.iter().all(|place| self.budgets[*place].has_any(now_us, lane))
                && let Some(waiter) = self.waiting[lane.at()].pop_front()
            {
                self.let_go(now_us, lane, &waiter);
            }
        }
    }

    fn let_go(&mut self, now_us: i64, lane: Lane, waiter: &Waiter) {
        for place in waiter.route.iter() {
            self.budgets[*place].take(now_us, lane);
        }
        self.ready.push(waiter.number);
        self.passed[lane.at()] = 0;
        for after in lane.at() + 1..4 {
            self.passed[after] += u64::from(!self.waiting[after].is_empty());
        }
    }

    /// When somebody who waits may go, or a question is due, if nothing else happens.
    pub fn next_us(&self, now_us: i64) -> Option<i64> {
        let mut known: HashMap<(usize, Lane), i64> = HashMap::new();
        let mut next = None;
        for lane in Lane::ALL {
            for waiter in &self.waiting[lane.at()] {
                let places = waiter.route.iter();
                let each = places
                    .map(|place| *known.entry((*place, lane)).or_insert_with(|| self.opens_us(now_us, *place, lane)));
                let all = each.max().unwrap_or(now_us);
                next = Some(next.map_or(all, |next: i64| next.min(all)));
            }
        }
        next.filter(|at| *at < i64::MAX)
    }

    /// When a lane may take from a budget, as far as that is known here; for ever: an answer is awaited.
    fn opens_us(&self, now_us: i64, place: usize, lane: Lane) -> i64 {
        match &self.budgets[place].held {
            Held::Own(ledger) => ledger.next_us(now_us, lane),
            Held::Shared(pool) if pool.has(now_us, lane) => now_us,
            Held::Shared(pool) => {
                pool.ask_at_us(now_us, &self.waits_for(place)).map_or(i64::MAX, |at| at.max(now_us + 1))
            }
        }
    }

    fn waits_for(&self, place: usize) -> [u64; 4] {
        std::array::from_fn(|at| {
            let waiters = self.waiting[at].iter().filter(|waiter| waiter.route.contains(&place));
            u64::try_from(waiters.count()).unwrap_or(u64::MAX)
        })
    }

    /// Questions that are due, and what the vendors said. One that is nearly due goes with the others.
    pub fn questions(&mut self, now_us: i64) -> (Vec<Question>, Vec<Note>) {
        /// Questions that go together.
        const NEAR_US: i64 = 200_000;
        if !self.is_shared {
            return (Vec::new(), Vec::new());
        }
        let due = |brain: &Self, place: usize, by_us: i64| match &brain.budgets[place].held {
            Held::Shared(pool) => pool.ask_at_us(now_us, &brain.waits_for(place)).is_some_and(|at_us| at_us <= by_us),
            Held::Own(_) => false,
        };
        let places = 0..self.budgets.len();
        if self.notes.is_empty() && !places.clone().any(|place| due(self, place, now_us)) {
            return (Vec::new(), Vec::new());
        }
        let mut questions = Vec::new();
        for place in places {
            if !due(self, place, now_us + NEAR_US) {
                continue;
            }
            let waiting = self.waits_for(place);
            let Budget { key, limits, held: Held::Shared(pool), .. } = &mut self.budgets[place] else { continue };
            let (wants, back) = pool.ask(now_us, &waiting);
            questions.push(Question { place, key: key.clone(), limits: limits.clone(), wants, back });
        }
        (questions, std::mem::take(&mut self.notes))
    }

    /// What the store answered to questions of `asked_us`; none: it failed.
    pub fn answered(&mut self, asked_us: i64, now_us: i64, questions: &[Question], grants: Option<&[Grant]>) {
        for (at, question) in questions.iter().enumerate() {
            let Held::Shared(pool) = &mut self.budgets[question.place].held else { continue };
            match grants.and_then(|grants| grants.get(at)) {
                Some(grant) => pool.answered(asked_us, now_us, grant),
                None => pool.unanswered(now_us),
            }
        }
        self.quiet_until_us = 0;
        self.look(now_us);
    }

    /// Takes in what the vendor said to a call of this route.
    pub fn heard(&mut self, now_us: i64, route: &Route, said: Said) {
        let said = match said {
            Said::Told(told) => match self.news(route, told) {
                Some(told) => Said::Told(told),
                None => return,
            },
            said => said,
        };
        let places = route.iter().copied().filter(|place| !self.budgets[*place].is_common);
        let places: Vec<usize> = places.collect();
        if self.is_shared {
            if let Some(wait_us) = silence(said) {
                for place in &places {
                    if let Held::Shared(pool) = &mut self.budgets[*place].held {
                        pool.hush(now_us.saturating_add(wait_us));
                    }
                }
            }
            let about = places.iter().map(|place| self.budgets[*place].key.clone()).collect();
            self.notes.push(Note { about, said });
        } else {
            let mut ledgers: Vec<&mut Ledger> = Vec::new();
            for (place, budget) in self.budgets.iter_mut().enumerate() {
                if let Held::Own(ledger) = &mut budget.held
                    && places.contains(&place)
                {
                    ledgers.push(ledger);
                }
            }
            hear(&mut ledgers, now_us, said);
        }
        self.quiet_until_us = 0;
    }

    /// What is new in how much is left: most replies say the same.
    fn news(&mut self, route: &Route, told: Told) -> Option<Told> {
        let is_low = told.left.is_some_and(|left| left == 0 || told.limit.is_some_and(|limit| left * 10 < limit));
        let mut is_new = false;
        for place in route.iter() {
            let known = &mut self.budgets[*place].told;
            is_new |= told.limit.is_some() && *known != told.limit;
            *known = told.limit.or(*known);
        }
        (is_low || is_new).then_some(told)
    }

    /// The budgets that nobody else takes from, to be kept.
    pub fn owned(&self) -> impl Iterator<Item = (&Arc<str>, &Ledger)> {
        self.budgets.iter().filter_map(|budget| match &budget.held {
            Held::Own(ledger) => Some((&budget.key, ledger)),
            Held::Shared(_) => None,
        })
    }
}

/// How long those here are silent before the store was asked.
fn silence(said: Said) -> Option<i64> {
    match said {
        Said::Pause(wait_us) => Some(wait_us.clamp(0, PAUSE_US_MAX)),
        Said::Refused(wait_us) => Some(wait_us.unwrap_or(1_000_000).clamp(0, PAUSE_US_MAX)),
        Said::Told(Told { left: Some(0), resets_us, span_us, .. }) => {
            resets_us.or(span_us).map(|it| it.clamp(0, PAUSE_US_MAX))
        }
        Said::Told(_) => None,
    }
}

/// Takes what a vendor said into the budgets of the call that it said it to. The fullest was the one that was too full.
pub fn hear(ledgers: &mut [&mut Ledger], now_us: i64, said: Said) {
    match said {
        Said::Pause(wait_us) => ledgers.iter_mut().for_each(|ledger| ledger.pause(now_us, wait_us)),
        Said::Told(told) => ledgers.iter_mut().for_each(|ledger| ledger.told(now_us, &told)),
        Said::Refused(wait_us) => {
            let fullness = |at: &usize| ledgers[*at].fullness(now_us);
            let Some(fullest) = (0..ledgers.len()).max_by_key(fullness) else { return };
            ledgers[fullest].refused(now_us, wait_us);
            let wait_us = ledgers[fullest].paused_until_us - now_us;
            for ledger in ledgers {
                ledger.pause(now_us, wait_us);
            }
        }
    }
}

impl Budget {
    fn has(&self, now_us: i64, lane: Lane) -> bool {
        match &self.held {
            Held::Own(ledger) => ledger.room(now_us, lane) > 0,
            Held::Shared(pool) => pool.has(now_us, lane),
        }
    }

    /// The same for somebody who has waited for too long: what is kept for others is there for it.
    fn has_any(&self, now_us: i64, lane: Lane) -> bool {
        match &self.held {
            Held::Own(ledger) => ledger.room(now_us, Lane::Interactive) > 0,
            Held::Shared(pool) => pool.has(now_us, lane),
        }
    }

    fn take(&mut self, now_us: i64, lane: Lane) {
        match &mut self.held {
            Held::Own(ledger) => ledger.add(now_us, lane, 1),
            Held::Shared(pool) => pool.take(lane),
        }
    }

    fn give(&mut self, now_us: i64, lane: Lane) {
        match &mut self.held {
            Held::Own(ledger) => {
                let mut calls = [0; 4];
                calls[lane.at()] = 1;
                ledger.free(Back { at_us: now_us, calls });
            }
            Held::Shared(pool) => pool.give(lane),
        }
    }
}
