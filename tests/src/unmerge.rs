//! Wrong merges that people live with for a while and then take back, beside a run in which they never happened.
//!
//! Three systems: people work in all of them, and the hub makes records in the third. A script, drawn from a seed, is
//! played twice. One play merges customers who are not the same, by a steward's word or by an edit that makes the
//! evidence say so, and parts them again after everything else; the other one knows from the beginning that they are
//! different. In the end golden records with where each value came from, their ids, the memory of every link and the
//! records of every system are compared.

mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use huiliu_core::clock::Clock;
use huiliu_core::engine::Engine;
use huiliu_core::link::{Link, LinkKey};
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::review::{self, Steward};
use huiliu_core::store::{Store, deliveries, goldens, links, stewards};
use huiliu_mappings::merge::GoldenRecord;
use serde_json::{Value, json};

use self::script::{How, ROUND_EDITS, Script, Step, Whose, in_a, in_b, whose};
use crate::kit::{self, DAY_ONE_US};
use crate::memory::Memory;

/// Between two rounds of edits: an hour of them stays below the brake's budget.
const ROUND_US: i64 = 300_000_000;

/// From the first half of a round's edits to the second.
const HALF_US: i64 = 30_000_000;

const NAMES: [&str; 3] = ["a", "b", "c"];

const WANG: Steward<'_> = Steward { name: "wang", why: "looked again" };

/// How much is played.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Customers at the beginning.
    pub customers: usize,
    /// Wrong merges.
    pub merges: usize,
    /// Edits while they last.
    pub edits: usize,
    /// From which the script is drawn.
    pub seed: u64,
}

/// What it came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Golden records that the merges took away.
    pub merged: usize,
    /// Writes of the hub in the play with the merges, up to the first split.
    pub writes: usize,
    /// Writes from the first split on.
    pub writes_back: usize,
    /// Records of the three systems that differed from the control run before the first split.
    pub records_astray: usize,
    /// Records that were compared in the end.
    pub records: usize,
    /// Seconds of both plays.
    pub seconds: f64,
}

/// One of the two plays.
struct Play {
    engine: Engine,
    systems: [Arc<Memory>; 3],
    runtime: tokio::runtime::Runtime,
    /// What the script calls a record of `c`, and the id that it got there.
    made: BTreeMap<String, String>,
}

impl Play {
    fn begin(store: Store, size: Size, script: &Script) -> Self {
        let clock = Clock::manual(DAY_ONE_US);
        let systems = [(); 3].map(|()| Arc::new(Memory::new(false)));
        let mut connections = Vec::new();
        for (name, system) in NAMES.iter().zip(&systems) {
            connections.push(kit::connection(name, &clock, Some(system.clone())));
        }
        connections[2].creates.insert("customers".to_owned());
        let engine = kit::live(store, clock, connections);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut play = Self { engine, systems, runtime, made: BTreeMap::new() };
        for customer in 0..size.customers {
            play.systems[0].edit(&format!("a{customer}"), &in_a(script, customer));
        }
        play.settle();
        play.engine.clock.advance_us(ROUND_US);
        for customer in 0..size.customers {
            if let Some(body) = in_b(script, customer) {
                play.systems[1].edit(&format!("b{customer}"), &body);
            }
        }
        play.settle();
        for id in play.systems[2].ids() {
            let address = play.systems[2].get(&id)["email"].as_str().expect("an address").to_owned();
            let customer = whose(&address).expect("the address of a customer");
            play.made.insert(format!("c{customer}"), id);
        }
        assert_eq!(play.made.len(), size.customers, "everybody is known to all");
        play
    }

    fn at(&self, since_us: i64) {
        let by_us = DAY_ONE_US + since_us - self.engine.clock.now_us();
        assert!(by_us > 0, "a round takes longer than it may: {by_us}");
        self.engine.clock.advance_us(by_us);
    }

    fn id(&self, name: &str) -> String {
        self.made.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn key(&self, whose: &Whose) -> LinkKey {
        LinkKey {
            connection: NAMES[whose.0].into(),
            lens: "customers".to_owned(),
            id: self.id(&whose.1).as_str().into(),
        }
    }

    fn people(&self, steps: &[(Whose, Step)]) {
        for ((system, name), step) in steps {
            let (memory, id) = (&self.systems[*system], self.id(name));
            let tags = |keeps: &dyn Fn(&Value) -> bool, more: Option<&String>| {
                let shown = memory.get(&id)["tags"].as_array().cloned().unwrap_or_default();
                let kept = shown.into_iter().filter(|tag| keeps(tag)).chain(more.map(|tag| json!(tag)));
                json!({ "tags": kept.collect::<Vec<_>>() })
            };
            match step {
                Step::Patch(patch) => memory.edit(&id, patch),
                Step::Tag(tag) => memory.edit(&id, &tags(&|_| true, Some(tag))),
                Step::Untag(tag) => memory.edit(&id, &tags(&|it| it != tag, None)),
            }
        }
    }

    fn pull(&self) -> usize {
        let mut moved = 0;
        for connection in self.engine.connections.values() {
            let pulled = self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1));
            moved += pulled.expect("pull").records;
            moved += self.runtime.block_on(pull::fetches(&self.engine, connection)).expect("fetch");
        }
        moved
    }

    fn think(&self) -> usize {
        let mut moved = 0;
        loop {
            let items = process::batch(&self.engine).expect("process").items;
            let changes = plan::batch(&self.engine).expect("plan").0;
            moved += items + changes;
            if items + changes == 0 {
                return moved;
            }
        }
    }

    /// Until nothing moves.
    fn settle(&self) {
        for _ in 0..1_000 {
            self.engine.clock.advance_us(1_000);
            let mut moved = self.pull() + self.think();
            for connection in self.engine.connections.values() {
                loop {
                    let tried = self.runtime.block_on(push::batch(&self.engine, connection)).expect("push");
                    moved += tried;
                    if tried == 0 {
                        break;
                    }
                }
            }
            if moved == 0 && self.engine.store.read(deliveries::next_due_us).expect("deliveries").is_none() {
                return;
            }
        }
        panic!("the systems never agree");
    }

    fn links(&self) -> Vec<Link> {
        let found = self.engine.store.read(|tx| {
            let all = goldens::after(tx, "customer", 0, i64::MAX)?;
            links::by_goldens(tx, all.iter().map(|it| it.id))
        });
        found.expect("links")
    }

    fn golden(&self, customer: usize) -> i64 {
        let key = self.key(&(0, format!("a{customer}")));
        self.engine.store.read(|tx| links::by_keys(tx, [&key])).expect("a link")[0].golden
    }

    fn writes(&self) -> usize {
        self.systems.iter().map(|it| it.writes()).sum()
    }

    /// Rules what is known from the beginning: those who will be taken for each other are not the same.
    fn rule(&self, merges: &[(usize, usize, How)]) {
        let links = self.links();
        let of = |customer: usize| {
            let golden = self.golden(customer);
            links.iter().filter(move |link| link.golden == golden).map(|link| link.number)
        };
        let mut pairs = Vec::new();
        for (one, other, _) in merges.iter().filter(|it| it.2 != How::Said) {
            pairs.extend(of(*one).flat_map(|a| of(*other).map(move |b| (a, b))));
        }
        let now_us = self.engine.clock.now_us();
        let ruled = self.engine.store.write(|tx| stewards::rule(tx, &pairs, "different", "wang", now_us));
        ruled.expect("rulings");
    }

    /// The edits; `each` sees what is planned before half of a round's edits and after it.
    fn live(&self, rounds: &[Vec<(Whose, Step)>], first: i64) {
        for (round, steps) in (first..).zip(rounds) {
            let (early, late) = steps.split_at(steps.len() / 2);
            self.at(round * ROUND_US);
            self.people(early);
            self.pull();
            self.think();
            // Some edit what is about to be written.
            self.people(late);
            self.at(round * ROUND_US + HALF_US);
            self.settle();
        }
    }

    fn state(&self) -> State {
        let links = self.links();
        let mut clusters: BTreeMap<i64, Vec<&Link>> = BTreeMap::new();
        for link in &links {
            clusters.entry(link.golden).or_default().push(link);
        }
        let records = self.engine.store.read(|tx| goldens::after(tx, "customer", 0, i64::MAX)).expect("goldens");
        let nobody = BTreeMap::new();
        let mut goldens = BTreeMap::new();
        for record in records {
            let members = clusters.get(&record.id).map(Vec::as_slice).unwrap_or_default();
            let computed = process::golden_record(&self.engine, &record.entity, members.iter().copied(), &nobody);
            assert_eq!(record.fields, computed.fields, "what is stored follows from what was said");
            goldens.insert(record.id, computed);
        }
        let memory = |link: &Link| {
            let held = link.state.held.iter().filter(|(_, value)| !is_nothing(value));
            let identities: BTreeSet<String> =
                link.state.identities.iter().map(|it| format!("{} {}", it.kind, it.value)).collect();
            let said: BTreeMap<_, _> =
                link.state.said.iter().map(|(field, said)| (field.as_str(), (&said.value, said.at_us))).collect();
            json!([link.golden, link.open, said, held.collect::<BTreeMap<_, _>>(), identities])
        };
        let links = links.iter().map(|link| (link.key.to_string(), memory(link))).collect();
        let mut records = BTreeMap::new();
        for (name, system) in NAMES.iter().zip(&self.systems) {
            for id in system.ids() {
                let body = system.get(&id);
                let filled = body.as_object().into_iter().flatten().filter(|(_, value)| !is_nothing(value));
                let filled = filled.map(|(place, value)| (place, sorted(value)));
                records.insert(format!("{name}/{id}"), json!(filled.collect::<BTreeMap<_, _>>()).to_string());
            }
        }
        State { goldens, links, records }
    }
}

/// A place may show nothing in several ways; where the hub clears it, it is cleared in the way of the mapping.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || *value == json!([]) || *value == json!("")
}

/// The items of a set have no order.
fn sorted(value: &Value) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    let mut items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
    items.sort_unstable();
    json!(items)
}

/// Everything that a merge can touch.
#[derive(Clone, Debug, PartialEq)]
struct State {
    goldens: BTreeMap<i64, GoldenRecord>,
    /// Golden record, openness, what was said and when, what is held, identities.
    links: BTreeMap<String, Value>,
    /// What the systems store, byte by byte.
    records: BTreeMap<String, String>,
}

impl State {
    fn equals(&self, control: &Self, when: &str) {
        let mut told = differing("record", &self.records, &control.records);
        told += &differing("golden record", &self.goldens, &control.goldens);
        told += &differing("link", &self.links, &control.links);
        assert!(told.is_empty(), "{when}: with the merges, and without them{told}");
    }

    fn astray(&self, control: &Self) -> usize {
        control.records.iter().filter(|(id, body)| self.records.get(*id) != Some(*body)).count()
    }
}

/// How many differ, and the first of them.
fn differing<K, V>(what: &str, mine: &BTreeMap<K, V>, theirs: &BTreeMap<K, V>) -> String
where
    K: Ord + std::fmt::Display,
    V: PartialEq + std::fmt::Debug,
{
    let all: BTreeSet<&K> = mine.keys().chain(theirs.keys()).collect();
    let differing: Vec<&&K> = all.iter().filter(|key| mine.get(**key) != theirs.get(**key)).collect();
    let mut told = String::new();
    for key in differing.iter().take(3) {
        told += &format!("\n{what} {key}:\n  {:?}\n  {:?}", mine.get(**key), theirs.get(**key));
    }
    if told.is_empty() { told } else { format!("\n{} of {} {what}s differ:{told}", differing.len(), all.len()) }
}

/// Plays both, and compares.
///
/// # Panics
/// Something is not as if the merges had never happened.
pub fn round(store: Store, control: Store, size: Size) -> Done {
    let begun = Instant::now();
    let script = Script::draw(size);
    let rounds = i64::try_from(script.rounds.len()).unwrap_or(i64::MAX);
    let control = Play::begin(control, size, &script);
    control.rule(&script.merges);
    control.live(&script.rounds, 2);
    let wanted = control.state();

    let play = Play::begin(store, size, &script);
    let before = play.links().iter().map(|link| link.golden).collect::<BTreeSet<_>>().len();
    for (one, other, _) in script.merges.iter().filter(|it| it.2 == How::Said) {
        review::link(&play.engine, play.golden(*one), play.golden(*other), WANG).expect("they are linked");
    }
    play.live(&script.rounds[..1], 2);
    let merged = before - play.links().iter().map(|link| link.golden).collect::<BTreeSet<_>>().len();
    assert_eq!(merged, size.merges, "every merge happened");
    play.live(&script.rounds[1..], 3);
    let writes = play.writes();
    let astray = play.state().astray(&wanted);

    // Whose record is whose, somebody found out.
    let golden_of = |key: &str| wanted.links[key][0].as_i64();
    for (number, customer) in script.parted.iter().enumerate() {
        let golden = play.golden(*customer);
        let own = golden_of(&play.key(&(0, format!("a{customer}"))).to_string());
        let (mine, others): (Vec<Link>, Vec<Link>) = play
            .links()
            .into_iter()
            .filter(|it| it.golden == golden)
            .partition(|it| golden_of(&it.key.to_string()) == own);
        if !others.is_empty() {
            let keys: Vec<LinkKey> = mine.into_iter().map(|link| link.key).collect();
            review::split(&play.engine, &keys, WANG).expect("they are parted");
        }
        if number % 3 == 2 {
            play.settle();
        }
    }
    play.settle();
    play.state().equals(&wanted, "parted");
    let writes_back = play.writes() - writes;

    for play in [&control, &play] {
        play.live(&script.later.chunks(ROUND_EDITS).map(<[_]>::to_vec).collect::<Vec<_>>(), rounds + 100);
    }
    let wanted = control.state();
    play.state().equals(&wanted, "after more edits");
    Done {
        merged,
        writes,
        writes_back,
        records_astray: astray,
        records: wanted.records.len(),
        seconds: begun.elapsed().as_secs_f64(),
    }
}
