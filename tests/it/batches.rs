//! Writes that go together: each gets its own result, and what a lost reply leaves open is looked into alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use huiliu_core::clock::Clock;
use huiliu_core::connection::State;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Page, Receipt, Received, Record, RecordKey, Result, StreamName,
    Verified,
};
use huiliu_core::engine::Engine;
use huiliu_core::manifest::Manifest;
use huiliu_core::pipeline::{plan, push};
use huiliu_core::store::{Store, deliveries, inbox, streams};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, feed, on_both_stores, record};
use serde_json::{Value, json};

const MANIFEST: &str = r#"
[connector]
name = "clerk"
title = "Clerk"
about = "A system that takes three records at once."
driver = "rust"
[streams.customers.create]
path = "/customers"
batch = { path = "/batch", size = 3, items = "", results = "" }
"#;

/// A system without idempotency: only who looks first makes no second record.
struct Clerk {
    manifest: Manifest,
    state: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    rows: Vec<Value>,
    /// Attempts of each call, in order.
    calls: Vec<Vec<u32>>,
    loses_next_reply: bool,
}

impl Clerk {
    fn rows(&self) -> Vec<String> {
        let desk = self.state.lock().unwrap();
        let mut names: Vec<String> = desk.rows.iter().map(|row| row["email"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    fn calls(&self) -> Vec<Vec<u32>> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    fn carry_out(desk: &mut Desk, delivery: &Delivery) -> Result<Receipt> {
        if delivery.body["title"] == "refused" {
            return Err(ConnectorError::Rejected { at: "/title".to_owned(), reason: "no".to_owned() });
        }
        let known = desk.rows.iter().position(|row| row["email"] == delivery.body["email"]);
        let at = known.filter(|_| delivery.attempt > 1).unwrap_or_else(|| {
            desk.rows.push(delivery.body.clone());
            desk.rows.len() - 1
        });
        Ok(Receipt { id: at.to_string().into(), stored: None, version: None })
    }

    fn answer(&self, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
        let mut desk = self.state.lock().unwrap();
        desk.calls.push(deliveries.iter().map(|one| one.attempt).collect());
        let answers = deliveries.iter().map(|one| Self::carry_out(&mut desk, one)).collect();
        if std::mem::take(&mut desk.loses_next_reply) {
            return deliveries.iter().map(|_| Err(ConnectorError::transient("lost"))).collect();
        }
        answers
    }
}

#[async_trait]
impl Connector for Clerk {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }
    async fn pull(&self, _cx: &Cx, _stream: &StreamName, _from: Option<&Cursor>) -> Result<Page> {
        Ok(Page { items: Vec::new(), next: None, more: false, complete_scan: false })
    }
    async fn fetch(&self, _cx: &Cx, _key: &RecordKey) -> Result<Option<Record>> {
        Ok(None)
    }
    fn receive(&self, _cx: &Cx, _request: &Verified) -> Result<Vec<Received>> {
        Ok(Vec::new())
    }
    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        true
    }
    async fn push(&self, _cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        self.answer(std::slice::from_ref(delivery)).remove(0)
    }
    async fn push_many(&self, _cx: &Cx, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
        self.answer(deliveries)
    }
}

struct Rig {
    engine: Engine,
    clerk: Arc<Clerk>,
    runtime: tokio::runtime::Runtime,
}

fn rig(store: Store) -> Rig {
    let clock = Clock::manual(DAY_ONE_US);
    let manifest = Manifest::parse("clerk/connector.toml", MANIFEST).unwrap();
    let clerk = Arc::new(Clerk { manifest, state: Mutex::default() });
    let mut connections = [kit::connection("a", &clock, None), kit::connection("b", &clock, Some(clerk.clone()))];
    connections[1].creates.insert("customers".to_owned());
    let engine = Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock);
    let live = |tx: &mut huiliu_core::store::db::Tx<'_>| {
        streams::introduce(tx, "b", "kit", DAY_ONE_US)?;
        streams::set_state(tx, "b", State::Live, None, DAY_ONE_US)
    };
    engine.store.write(live).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Rig { engine, clerk, runtime }
}

impl Rig {
    fn arrive(&self, number: usize, seconds: i64, title: &str) {
        let body = json!({"name": format!("C{number}"), "email": format!("c{number}@example.com"), "title": title});
        feed(&self.engine, &[record(&format!("a/customers/{number}"), seconds, &body)]);
        while plan::batch(&self.engine).unwrap().0 > 0 {}
    }

    fn push(&self) -> Vec<Vec<u32>> {
        self.engine.clock.advance_us(60_000_000);
        self.runtime.block_on(push::batch(&self.engine, &self.engine.connections["b"])).unwrap();
        self.clerk.calls()
    }

    fn states(&self) -> BTreeMap<String, i64> {
        let counts = self.engine.store.read(deliveries::counts).unwrap();
        counts.into_iter().map(|(_, state, count)| (state, count)).collect()
    }
}

fn emails(numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    numbers.map(|number| format!("c{number}@example.com")).collect()
}

#[test]
fn creates_go_together_and_each_has_its_own_result() {
    on_both_stores(|store| {
        let rig = rig(store);
        for number in 1..=5 {
            rig.arrive(number, 0, if number == 2 { "refused" } else { "A" });
        }
        assert_eq!(rig.push(), [vec![1, 1, 1], vec![1, 1]]);
        assert_eq!(rig.states(), BTreeMap::from([("dead".to_owned(), 1), ("done".to_owned(), 4)]));
        let letters = rig.engine.store.read(|tx| inbox::dead_letters(tx, 10)).unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].reason, "no");
        assert_eq!(rig.push(), Vec::<Vec<u32>>::new());
    });
}

#[test]
fn a_lost_reply_is_looked_into_one_by_one() {
    on_both_stores(|store| {
        let rig = rig(store);
        (1..=3).for_each(|number| rig.arrive(number, 0, "A"));
        rig.clerk.state.lock().unwrap().loses_next_reply = true;
        assert_eq!(rig.push(), [vec![1, 1, 1]]);
        assert_eq!(rig.states(), BTreeMap::from([("pending".to_owned(), 3)]));
        assert_eq!(rig.push(), [vec![2], vec![2], vec![2]]);
        assert_eq!(rig.clerk.rows(), emails(1..=3), "no second record");
    });
}

/// The delivery that a newer plan puts in the place of a tried create knows that it is not the first.
#[test]
fn a_replanned_create_looks_first() {
    on_both_stores(|store| {
        let rig = rig(store);
        (1..=2).for_each(|number| rig.arrive(number, 0, "A"));
        rig.clerk.state.lock().unwrap().loses_next_reply = true;
        assert_eq!(rig.push(), [vec![1, 1]]);
        rig.arrive(1, 10, "B");
        rig.arrive(3, 10, "B");
        let mut calls = rig.push();
        calls.sort();
        assert_eq!(calls, [vec![1], vec![2], vec![2]]);
        assert_eq!(rig.clerk.rows(), emails(1..=3), "no second record");
    });
}

/// After a crash between sending and the result, the attempt is on record: it is not the first any more.
#[test]
fn a_crash_leaves_no_member_of_a_batch_in_doubt() {
    on_both_stores(|store| {
        let rig = rig(store);
        (1..=3).for_each(|number| rig.arrive(number, 0, "A"));
        let now_us = rig.engine.clock.now_us();
        let claimed = rig.engine.store.write(|tx| deliveries::claim(tx, "b", now_us, 10)).unwrap();
        let sent: Vec<Delivery> = claimed.into_iter().map(|one| one.delivery).collect();
        rig.runtime.block_on(rig.clerk.push_many(&rig.engine.connections["b"].cx, &sent));
        assert_eq!(rig.clerk.calls(), [vec![1, 1, 1]]);
        assert_eq!(push::recover(&rig.engine).unwrap(), 3);
        assert_eq!(rig.push(), [vec![2], vec![2], vec![2]]);
        assert_eq!(rig.clerk.rows(), emails(1..=3));
        assert_eq!(rig.states(), BTreeMap::from([("done".to_owned(), 3)]));
    });
}
