//! Order: whatever way the states of one record take to the hub, a stale one is never visible after its successor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use huiliu_core::clock::Clock;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Page, Receipt, Received, Record, RecordKey, Result, StreamName,
    Verified, Version,
};
use huiliu_core::engine::Engine;
use huiliu_core::manifest::Manifest;
use huiliu_core::pipeline::pull;
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_core::store::{Store, goldens};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, on_both_stores};
use serde_json::json;

/// What a system says about the three states of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// A stamp that moves with every state.
    Stamps,
    /// The second and the third state bear one stamp: both edits fell into one second.
    OneStamp,
    /// Nothing.
    Nothing,
}

impl Tells {
    fn version(self, state: usize) -> Option<Version> {
        let second = match (self, state) {
            (Self::Nothing, _) => return None,
            (Self::OneStamp, 3) => 2,
            _ => i64::try_from(state).expect("a small number"),
        };
        let at = jiff::Timestamp::from_second(DAY_ONE_US / 1_000_000 + second - 100).expect("an instant");
        Some(Version::instant(at.to_string(), at))
    }
}

/// A system whose records are in their third state by now.
struct Final {
    manifest: Manifest,
    tells: Tells,
    read: Mutex<usize>,
}

fn record(tells: Tells, number: usize, state: usize) -> Record {
    let body = json!({ "name": format!("客户 {number}"), "title": format!("state {state}") });
    Record { stream: "customers".into(), id: format!("{number}").into(), version: tells.version(state), body }
}

#[async_trait]
impl Connector for Final {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }

    async fn pull(&self, _cx: &Cx, _stream: &StreamName, _from: Option<&Cursor>) -> Result<Page> {
        Err(ConnectorError::broken("nobody pulls here"))
    }

    async fn fetch(&self, _cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        *self.read.lock().expect("a count") += 1;
        let number = key.id.as_str().parse().map_err(|_| ConnectorError::broken("no number"))?;
        Ok(Some(record(self.tells, number, 3)))
    }

    fn receive(&self, _cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        serde_json::from_slice(&request.request.body).map_err(|error| ConnectorError::broken(error.to_string()))
    }

    async fn push(&self, _cx: &Cx, _delivery: &Delivery) -> Result<Receipt> {
        Err(ConnectorError::broken("nobody writes here"))
    }
}

const MANIFEST: &str = r#"
[connector]
name = "kit"
title = "Kit"
about = "Three states of a record."
driver = "rust"
[streams.customers]
abilities = ["pull", "fetch"]
"#;

/// A step on the way of one carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The hub asks for a page, or a poll.
    Asked(usize),
    /// What the carrier brings arrives.
    Arrives(usize),
}

/// Carriers 0 and 1 are a page of a backfill and a poll: they are asked for. Carriers 2 and 3 are a webhook and its
/// retry: they come by themselves.
const CARRIERS: usize = 4;

/// Every order of the steps in which nothing arrives before it was asked for.
fn orders() -> Vec<Vec<Step>> {
    fn extend(done: &mut Vec<Step>, all: &mut Vec<Vec<Step>>) {
        let steps = (0..2).map(Step::Asked).chain((0..CARRIERS).map(Step::Arrives));
        let mut complete = true;
        for step in steps.filter(|step| !done.contains(step)).collect::<Vec<_>>() {
            complete = false;
            let may = match step {
                Step::Arrives(carrier) => carrier > 1 || done.contains(&Step::Asked(carrier)),
                Step::Asked(_) => true,
            };
            if may {
                done.push(step);
                extend(done, all);
                done.pop();
            }
        }
        if complete {
            all.push(done.clone());
        }
    }
    let mut all = Vec::new();
    extend(&mut Vec::new(), &mut all);
    all
}

/// Whether the carriers can have seen these states: whoever is asked after a state arrived shows no older one.
fn is_possible(order: &[Step], states: [usize; CARRIERS]) -> bool {
    let mut seen = 1;
    let mut least = [1; CARRIERS];
    for step in order {
        match step {
            Step::Asked(carrier) => least[*carrier] = seen,
            Step::Arrives(carrier) => seen = seen.max(states[*carrier]),
        }
    }
    (0..CARRIERS).all(|carrier| states[carrier] >= least[carrier])
}

/// Every way that three states of one record can take.
fn ways() -> Vec<(Vec<Step>, [usize; CARRIERS])> {
    let mut ways = Vec::new();
    for order in orders() {
        for number in 0..3_usize.pow(4) {
            let states = [number % 3 + 1, number / 3 % 3 + 1, number / 9 % 3 + 1, number / 27 + 1];
            if is_possible(&order, states) {
                ways.push((order.clone(), states));
            }
        }
    }
    ways
}

struct Rig {
    engine: Engine,
    system: Arc<Final>,
    runtime: tokio::runtime::Runtime,
}

fn rig(store: Store, tells: Tells) -> Rig {
    let clock = Clock::manual(DAY_ONE_US);
    let manifest = Manifest::parse("kit/connector.toml", MANIFEST).expect("the manifest is right");
    let system = Arc::new(Final { manifest, tells, read: Mutex::new(0) });
    let mut connections = [kit::connection("a", &clock, Some(system.clone()))];
    // Every record changes here within the hour.
    connections[0].changing.percent = 100;
    let engine = Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock);
    Rig {
        engine,
        system,
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"),
    }
}

impl Rig {
    fn item(&self, number: usize, carrier: usize, state: usize, asked_us: i64) -> InboxItem {
        let record = record(self.system.tells, number, state);
        if carrier > 1 {
            return InboxItem {
                connection: "a".to_owned(),
                kind: ItemKind::Webhook,
                body: serde_json::to_vec(&[Received::Record(record)]).expect("JSON"),
                received_us: self.engine.clock.now_us(),
                ..InboxItem::default()
            };
        }
        InboxItem {
            connection: "a".to_owned(),
            stream: Some("customers".to_owned()),
            external_id: Some(record.id.as_str().to_owned()),
            version: record.version.map(|version| serde_json::to_string(&version).expect("JSON")),
            body: record.body.to_string().into_bytes(),
            received_us: asked_us,
            ..InboxItem::default()
        }
    }

    fn think(&self, items: &[InboxItem]) {
        kit::feed(&self.engine, items);
    }

    /// The state that is visible of each record.
    fn visible(&self) -> BTreeMap<usize, usize> {
        let all = self.engine.store.read(|tx| goldens::after(tx, "customer", 0, i64::MAX)).expect("golden records");
        let text = |golden: &goldens::Golden, field: &str| {
            golden.fields.get(field).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let last = |text: String| text.rsplit(' ').next().and_then(|part| part.parse().ok()).expect("a number");
        all.iter().map(|golden| (last(text(golden, "display_name")), last(text(golden, "title")))).collect()
    }

    /// Reads alone what must be read again.
    fn fetch(&self) {
        let connection = &self.engine.connections["a"];
        self.engine.clock.advance_us(1_000_000);
        while self.runtime.block_on(pull::fetches(&self.engine, connection)).expect("fetches") > 0 {}
        self.think(&[]);
    }
}

/// Steps in which everything that arrives is processed before the next.
fn one_by_one(rig: &Rig, ways: &[(Vec<Step>, [usize; CARRIERS])]) {
    let mut asked_us = vec![[0; CARRIERS]; ways.len()];
    let mut newest = vec![0; ways.len()];
    let mut shown: BTreeMap<usize, usize> = BTreeMap::new();
    for at in 0..ways[0].0.len() {
        rig.engine.clock.advance_us(1_000_000);
        let mut items = Vec::new();
        for (number, (order, states)) in ways.iter().enumerate() {
            match order[at] {
                Step::Asked(carrier) => asked_us[number][carrier] = rig.engine.clock.now_us(),
                Step::Arrives(carrier) => {
                    newest[number] = newest[number].max(states[carrier]);
                    items.push(rig.item(number, carrier, states[carrier], asked_us[number][carrier]));
                }
            }
        }
        rig.engine.clock.advance_us(1_000_000);
        rig.think(&items);
        for (number, state) in rig.visible() {
            let before = shown.insert(number, state).unwrap_or(0);
            assert!(state >= before, "{:?} {:?}: {before}, then {state}", rig.system.tells, ways[number]);
        }
    }
    rig.fetch();
    for (number, state) in rig.visible() {
        assert!(state >= newest[number], "{:?} {:?}: {state}", rig.system.tells, ways[number]);
    }
}

/// The same, processed in one batch at the end.
fn all_at_once(rig: &Rig, ways: &[(Vec<Step>, [usize; CARRIERS])]) {
    let mut items = Vec::new();
    for (number, (order, states)) in ways.iter().enumerate() {
        let mut asked_us = [0; CARRIERS];
        for (at, step) in (1_i64..).zip(order) {
            match step {
                Step::Asked(carrier) => asked_us[*carrier] = DAY_ONE_US + at * 1_000_000,
                Step::Arrives(carrier) => items.push(rig.item(number, *carrier, states[*carrier], asked_us[*carrier])),
            }
        }
    }
    rig.engine.clock.advance_us(60_000_000);
    rig.think(&items);
    rig.fetch();
    for (number, state) in rig.visible() {
        let newest = ways[number].1.into_iter().max().unwrap_or_default();
        assert!(state >= newest, "{:?} {:?}: {state}", rig.system.tells, ways[number]);
    }
}

/// Every interleaving of a page of a backfill, a poll, a webhook and its retry over three states of one record.
#[test]
fn a_stale_state_is_never_visible_after_its_successor() {
    let ways = ways();
    assert_eq!(orders().len(), 180);
    assert!(ways.len() > 9_000, "{}", ways.len());
    for tells in [Tells::Stamps, Tells::OneStamp, Tells::Nothing] {
        let folder = tempfile::tempdir().expect("a folder");
        let open =
            |name: &str| Store::open(&format!("sqlite:{}", folder.path().join(name).display())).expect("a store");
        one_by_one(&rig(open("steps.db"), tells), &ways);
        all_at_once(&rig(open("batch.db"), tells), &ways);
    }
    // On both stores a sample: which store it is makes no difference to what is stale.
    let sample: Vec<_> = ways.into_iter().step_by(97).collect();
    for tells in [Tells::Stamps, Tells::OneStamp, Tells::Nothing] {
        on_both_stores(|store| one_by_one(&rig(store, tells), &sample));
    }
}

/// Where nothing is in doubt, nothing is read twice.
#[test]
fn what_is_certain_is_not_read_again() {
    on_both_stores(|store| {
        let rig = rig(store, Tells::Stamps);
        for (carrier, state) in [(2, 1), (2, 2), (3, 1), (3, 3), (2, 2)] {
            rig.engine.clock.advance_us(1_000_000);
            rig.think(&[rig.item(1, carrier, state, 0)]);
        }
        rig.fetch();
        assert_eq!(*rig.system.read.lock().expect("a count"), 0);
        assert_eq!(rig.visible(), BTreeMap::from([(1, 3)]));
    });
}

/// Found by the simulation: a list whose index was half a minute behind undid an edit for two hours.
#[test]
fn a_list_that_lags_behind_does_not_undo_the_second_of_two_edits_with_one_stamp() {
    on_both_stores(|store| {
        let rig = rig(store, Tells::OneStamp);
        for (state, seen) in [(3, 3), (2, 3)] {
            rig.engine.clock.advance_us(1_000_000);
            let asked_us = rig.engine.clock.now_us();
            rig.engine.clock.advance_us(1_000_000);
            rig.think(&[rig.item(1, 0, state, asked_us)]);
            assert_eq!(rig.visible(), BTreeMap::from([(1, seen)]));
        }
        rig.fetch();
        assert_eq!(rig.visible(), BTreeMap::from([(1, 3)]));
        assert_eq!(*rig.system.read.lock().expect("a count"), 1, "the record was asked for by itself");
    });
}
