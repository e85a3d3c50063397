//! An hour in a moment: nodes with workers before a vendor that counts, all events in the order of their instants.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use huiliu_core::quota::brain::{Brain, Note, Question, Route, Said};
use huiliu_core::quota::ledger::Grant;
use huiliu_core::quota::{Lane, Limit};
use huiliu_tests::dice::Dice;

pub const SECOND_US: i64 = 1_000_000;
pub const MINUTE_US: i64 = 60 * SECOND_US;

/// What the vendor allows in each of its minutes when the hour begins, and what is declared.
pub const A_MINUTE: u64 = 10_000;

/// After a change nobody knows of the vendor says "too many" for a while; who goes on for so long within a minute is banned.
const PATIENT: u64 = 30;

/// Where shared budgets are: node, the instant by the database's clock, questions, notes.
pub type Bank<'a> = dyn FnMut(u64, i64, &[Question], &[Note]) -> Vec<Grant> + 'a;

/// The vendor: fixed minutes by its own clock.
#[derive(Default)]
pub struct Vendor {
    pub allows: u64,
    minute: i64,
    pub calls: BTreeMap<i64, u64>,
    pub refused: BTreeMap<i64, u64>,
    pub bans: u64,
    banned_until_us: i64,
    /// Whether it warns before it bans.
    pub warns: bool,
}

/// Its clock is off.
const VENDORS_OFFSET_US: i64 = 23_456_789;

/// What a call is answered.
enum Answer {
    Fine,
    TooMany,
    Banned(i64),
}

impl Vendor {
    fn answer(&mut self, now_us: i64) -> Answer {
        let minute = (now_us + VENDORS_OFFSET_US).div_euclid(MINUTE_US);
        self.minute = minute;
        if now_us < self.banned_until_us {
            return Answer::Banned(self.banned_until_us - now_us);
        }
        let calls = self.calls.entry(minute).or_default();
        if *calls < self.allows {
            *calls += 1;
            return Answer::Fine;
        }
        let refused = self.refused.entry(minute).or_default();
        *refused += 1;
        if self.warns && *refused <= PATIENT {
            return Answer::TooMany;
        }
        self.bans += 1;
        self.banned_until_us = now_us + MINUTE_US;
        Answer::Banned(MINUTE_US)
    }

    /// Calls of whole minutes after the first, by minute.
    pub fn whole(&self, from: i64, to: i64) -> Vec<u64> {
        let first = VENDORS_OFFSET_US.div_euclid(MINUTE_US);
        (first + 1 + from..first + to).map(|minute| self.calls.get(&minute).copied().unwrap_or(0)).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A worker wants to call.
    Want(usize),
    /// A call is at the vendor.
    There(usize),
    /// Its answer is back: how long to be silent (-1: nothing was told), or none.
    Back(usize, Option<i64>),
    /// Somebody may be let go.
    Look(usize),
    /// A question is at the store, and its answer is back at the node.
    Ask(usize, usize),
    Told(usize, usize),
    /// The vendor allows half from now on.
    Halve,
    /// The node is killed.
    Kill(usize),
}

struct Node {
    brain: Brain,
    route: Route,
    is_alive: bool,
    /// Its own clock counts from somewhere else.
    offset_us: i64,
    look_us: i64,
    asking: bool,
}

struct Worker {
    node: usize,
    lane: Lane,
    wanted_us: i64,
    waits: Option<u64>,
    calls: u64,
}

/// A question under way.
struct Asked {
    sent_us: i64,
    questions: Vec<Question>,
    notes: Vec<Note>,
    grants: Vec<Grant>,
}

pub struct Town<'a> {
    pub vendor: Vendor,
    bank: Option<Box<Bank<'a>>>,
    nodes: Vec<Node>,
    workers: Vec<Worker>,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    asked: Vec<Option<Asked>>,
    now_us: i64,
    last: u64,
    dice: Dice,
    /// How long calls waited to be allowed, by lane.
    pub waits_us: BTreeMap<Lane, Vec<i64>>,
    /// Questions put to the store.
    pub asks: u64,
    /// Calls by lane.
    pub made: BTreeMap<Lane, u64>,
}

impl<'a> Town<'a> {
    /// Nodes with a limit that is declared; without a bank there is one, which has it for itself.
    pub fn new(nodes: usize, bank: Option<Box<Bank<'a>>>, seed: u64) -> Self {
        let limits = [Limit::Window { calls: A_MINUTE, span_us: MINUTE_US }];
        let nodes = (0..nodes).map(|at| {
            let mut brain = Brain::new(bank.is_some());
            let place = brain.budget(0, "vendor/corp:ww1", &limits, None);
            let offset_us = 977_777 * i64::try_from(at).unwrap_or(0);
            Node { brain, route: [place].into(), is_alive: true, offset_us, look_us: i64::MAX, asking: false }
        });
        Self {
            vendor: Vendor { allows: A_MINUTE, ..Vendor::default() },
            nodes: nodes.collect(),
            bank,
            workers: Vec::new(),
            events: BinaryHeap::new(),
            asked: Vec::new(),
            now_us: 0,
            last: 0,
            dice: Dice::new(seed),
            waits_us: BTreeMap::new(),
            asks: 0,
            made: BTreeMap::new(),
        }
    }

    /// Somebody who calls all the time, or now and then.
    pub fn hire(&mut self, node: usize, lane: Lane) {
        self.workers.push(Worker { node, lane, wanted_us: 0, waits: None, calls: 0 });
        let first_us = self.between(1_000, 500_000);
        self.at(first_us, Event::Want(self.workers.len() - 1));
    }

    pub fn halve_at(&mut self, at_us: i64) {
        self.at(at_us, Event::Halve);
    }

    pub fn kill_at(&mut self, node: usize, at_us: i64) {
        self.at(at_us, Event::Kill(node));
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        let span = usize::try_from(most - least).unwrap_or(1);
        least + i64::try_from(self.dice.below(span)).unwrap_or(0)
    }

    fn at(&mut self, at_us: i64, event: Event) {
        self.last += 1;
        self.events.push(Reverse((at_us, self.last, event)));
    }

    /// A way over the network: mostly short, now and then long.
    fn way_us(&mut self) -> i64 {
        if self.dice.below(100) == 0 { self.between(100_000, 400_000) } else { self.between(8_000, 25_000) }
    }

    pub fn run_until(&mut self, end_us: i64) {
        while let Some(Reverse((at_us, _, event))) = self.events.pop() {
            self.now_us = at_us;
            if at_us >= end_us {
                self.at(at_us, event);
                return;
            }
            self.happens(event);
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Want(worker) => self.want(worker),
            Event::There(worker) => {
                let said = match self.vendor.answer(self.now_us) {
                    Answer::Fine => None,
                    Answer::TooMany => Some(-1),
                    Answer::Banned(left_us) => Some(left_us),
                };
                let at_us = self.now_us + self.way_us();
                self.at(at_us, Event::Back(worker, said));
            }
            Event::Back(worker, said) => self.back(worker, said),
            Event::Look(node) => {
                self.nodes[node].look_us = i64::MAX;
                self.look(node);
            }
            Event::Ask(node, number) => self.ask(node, number),
            Event::Told(node, number) => {
                let Some(it) = self.asked[number].take() else { return };
                let here = &mut self.nodes[node];
                here.asking = false;
                let now_us = self.now_us + here.offset_us;
                here.brain.answered(it.sent_us, now_us, &it.questions, Some(&it.grants));
                self.look(node);
            }
            Event::Halve => {
                self.vendor.allows /= 2;
                self.vendor.warns = true;
            }
            Event::Kill(node) => self.nodes[node].is_alive = false,
        }
    }

    fn want(&mut self, worker: usize) {
        let (node, lane) = (self.workers[worker].node, self.workers[worker].lane);
        self.workers[worker].wanted_us = self.now_us;
        let here = &mut self.nodes[node];
        if !here.is_alive {
            return;
        }
        match here.brain.enter(self.now_us + here.offset_us, lane, &here.route) {
            None => self.go(worker),
            waits => self.workers[worker].waits = waits,
        }
        self.look(node);
    }

    fn go(&mut self, worker: usize) {
        let it = &mut self.workers[worker];
        (it.waits, it.calls) = (None, it.calls + 1);
        let (lane, waited_us) = (it.lane, self.now_us - it.wanted_us);
        self.waits_us.entry(lane).or_default().push(waited_us);
        *self.made.entry(lane).or_default() += 1;
        let at_us = self.now_us + self.way_us();
        self.at(at_us, Event::There(worker));
    }

    fn back(&mut self, worker: usize, said: Option<i64>) {
        let (node, lane) = (self.workers[worker].node, self.workers[worker].lane);
        if let Some(wait_us) = said {
            let here = &mut self.nodes[node];
            let wait = (wait_us >= 0).then_some(wait_us);
            here.brain.heard(self.now_us + here.offset_us, &here.route, Said::Refused(wait));
        }
        let rest_us = if lane == Lane::Backfill { 0 } else { self.between(500_000, 3 * SECOND_US) };
        // Whoever was refused comes back after a second.
        let rest_us = if said.is_some() { rest_us.max(SECOND_US) } else { rest_us };
        self.at(self.now_us + rest_us, Event::Want(worker));
        self.look(node);
    }

    /// Lets go who may on a node, puts its questions, and looks again when there is something to see.
    fn look(&mut self, node: usize) {
        let here = &mut self.nodes[node];
        if !here.is_alive {
            return;
        }
        let local_us = self.now_us + here.offset_us;
        let ready = here.brain.ready(local_us);
        let (questions, notes) = here.brain.questions(local_us);
        let next_us = here.brain.next_us(local_us).map(|next_us| (next_us - here.offset_us).max(self.now_us + 1_000));
        if let Some(next_us) = next_us.filter(|next_us| *next_us < here.look_us) {
            here.look_us = next_us;
            self.at(next_us, Event::Look(node));
        }
        for number in ready {
            if let Some(worker) = self.workers.iter().position(|it| it.node == node && it.waits == Some(number)) {
                self.go(worker);
            }
        }
        if !questions.is_empty() || !notes.is_empty() {
            self.asked.push(Some(Asked { sent_us: local_us, questions, notes, grants: Vec::new() }));
            self.asks += 1;
            let at_us = self.now_us + self.between(500, 5_000);
            self.at(at_us, Event::Ask(node, self.asked.len() - 1));
        }
    }

    fn ask(&mut self, node: usize, number: usize) {
        let Some(it) = self.asked[number].as_mut() else { return };
        if let Some(bank) = &mut self.bank {
            let name = u64::try_from(node).unwrap_or(0) + 1;
            it.grants = bank(name, self.now_us, &it.questions, &it.notes);
        }
        let at_us = self.now_us + self.between(500, 5_000);
        self.at(at_us, Event::Told(node, number));
    }

    /// The wait that this share of a lane's calls did not exceed, in thousandths.
    pub fn wait_us(&mut self, lane: Lane, thousandths: usize) -> i64 {
        let waits = self.waits_us.entry(lane).or_default();
        waits.sort_unstable();
        waits.get((waits.len() * thousandths / 1000).min(waits.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}
