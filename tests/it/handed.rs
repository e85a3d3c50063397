//! What is planned while others are being sent goes to whoever sends, on record as being sent, and need not be asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use huiliu_core::clock::Clock;
use huiliu_core::connection::State;
use huiliu_core::connector::{
    Connector, Cursor, Cx, Delivery, Page, Receipt, Received, Record, RecordKey, Result, StreamName, Verified,
};
use huiliu_core::engine::Engine;
use huiliu_core::manifest::Manifest;
use huiliu_core::pipeline::{push, think};
use huiliu_core::store::{Store, deliveries, inbox, streams};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, on_both_stores, record};
use serde_json::json;
use tokio::sync::Semaphore;

/// A system that answers when the test lets it.
struct Slow {
    manifest: Manifest,
    /// The e-mail addresses of each call, in the order in which they began.
    calls: Mutex<Vec<Vec<String>>>,
    answers: Semaphore,
}

impl Slow {
    async fn answer(&self, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
        let emails = deliveries.iter().map(|one| one.body["email"].as_str().expect("an address").to_owned());
        self.calls.lock().unwrap().push(emails.collect());
        self.answers.acquire().await.expect("it stays open").forget();
        let receipt = |one: &Delivery| {
            let id = one.body["email"].as_str().expect("an address").into();
            Ok(Receipt { id, stored: None, version: None })
        };
        deliveries.iter().map(receipt).collect()
    }
}

#[async_trait]
impl Connector for Slow {
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
    async fn push(&self, _cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        self.answer(std::slice::from_ref(delivery)).await.remove(0)
    }
    async fn push_many(&self, _cx: &Cx, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
        self.answer(deliveries).await
    }
}

struct Rig {
    engine: Engine,
    slow: Arc<Slow>,
    runtime: tokio::runtime::Runtime,
}

fn rig(store: Store, at_once: usize, batch: &str) -> Rig {
    let clock = Clock::manual(DAY_ONE_US);
    let manifest = format!(
        "[connector]\nname = 'slow'\ntitle = 'Slow'\nabout = 'A system that takes its time.'\ndriver = 'rust'\n\
         limits = {{ push_parallel = {at_once} }}\n[streams.customers.create]\npath = '/customers'\n{batch}"
    );
    let manifest = Manifest::parse("slow/connector.toml", &manifest).unwrap();
    let slow = Arc::new(Slow { manifest, calls: Mutex::default(), answers: Semaphore::new(0) });
    let mut connections = [kit::connection("a", &clock, None), kit::connection("b", &clock, Some(slow.clone()))];
    connections[1].creates.insert("customers".to_owned());
    let engine = Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock);
    let live = |tx: &mut huiliu_core::store::db::Tx<'_>| {
        streams::introduce(tx, "b", "kit", DAY_ONE_US)?;
        streams::set_state(tx, "b", State::Live, None, DAY_ONE_US)
    };
    engine.store.write(live).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Rig { engine, slow, runtime }
}

impl Rig {
    /// A customer arrives, is taken in, and what follows is handed over if somebody takes it.
    fn arrive(&self, number: usize) {
        let body = json!({"name": format!("C{number}"), "email": format!("c{number}@example.com")});
        let item = record(&format!("a/customers/{number}"), 0, &body);
        self.engine.store.write(|tx| inbox::append(tx, &[item])).unwrap();
        assert_eq!(think::pass(&self.engine).unwrap().processed.created, 1);
    }

    /// Begins to send what was handed over.
    fn send(&self) -> tokio::task::JoinHandle<push::Sent> {
        let (engine, claimed) = (self.engine.clone(), self.engine.take_handed("b"));
        self.runtime.spawn(async move {
            let connection = engine.connections["b"].clone();
            push::round(&engine, &connection, claimed).await.expect("the store works")
        })
    }

    fn ends(&self, round: tokio::task::JoinHandle<push::Sent>) -> usize {
        self.runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(60), round).await })
            .unwrap()
            .unwrap()
            .tried
    }

    /// Waits until so many calls have begun.
    fn wait_for(&self, calls: usize) -> Vec<Vec<String>> {
        for _ in 0..3000 {
            let begun = self.slow.calls.lock().unwrap().clone();
            if begun.len() >= calls {
                return begun;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{calls} calls, but {:?}", self.slow.calls.lock().unwrap());
    }

    fn states(&self) -> BTreeMap<String, i64> {
        let counts = self.engine.store.read(deliveries::counts).unwrap();
        counts.into_iter().map(|(_, state, count)| (state, count)).collect()
    }
}

fn emails(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("c{number}@example.com")).collect()
}

fn states<const N: usize>(states: [(&str, i64); N]) -> BTreeMap<String, i64> {
    states.map(|(state, count)| (state.to_owned(), count)).into()
}

#[test]
fn what_is_planned_while_others_are_sent_is_sent_at_once() {
    on_both_stores(|store| {
        let rig = rig(store, 2, "");
        rig.engine.rest("b");
        rig.arrive(1);
        let round = rig.send();
        rig.wait_for(1);
        rig.arrive(2);
        // The first call has no answer yet.
        assert_eq!(rig.wait_for(2), [emails([1]), emails([2])]);
        assert_eq!(rig.states(), states([("sending", 2)]));
        rig.slow.answers.add_permits(2);
        assert_eq!(rig.ends(round), 2);
        assert_eq!(rig.states(), states([("done", 2)]));
        // Nobody sends any more, and nobody said that he rests.
        rig.arrive(3);
        assert_eq!(rig.states(), states([("done", 2), ("pending", 1)]));
        assert!(rig.engine.take_handed("b").is_empty());
    });
}

#[test]
fn no_more_is_handed_over_than_a_crash_may_leave_uncertain() {
    on_both_stores(|store| {
        let rig = rig(store, 1, "");
        rig.engine.rest("b");
        rig.arrive(0);
        let round = rig.send();
        rig.wait_for(1);
        (1..40).for_each(|number| rig.arrive(number));
        assert_eq!(rig.states(), states([("pending", 24), ("sending", 16)]));
        rig.slow.answers.add_permits(40);
        assert_eq!(rig.ends(round), 40);
        let sent = rig.wait_for(40);
        assert_eq!(sent.concat(), emails(0..40), "each once, in the order in which they were planned");
        assert_eq!(rig.states(), states([("done", 40)]));
    });
}

#[test]
fn what_comes_one_by_one_while_a_call_is_under_way_goes_together() {
    on_both_stores(|store| {
        let rig = rig(store, 1, "batch = { path = '/batch', size = 3, items = '', results = '' }\n");
        rig.engine.rest("b");
        rig.arrive(0);
        let round = rig.send();
        rig.wait_for(1);
        (1..6).for_each(|number| rig.arrive(number));
        // Until it has heard of all of them; what it hears later goes together, too, but not with what has begun.
        std::thread::sleep(Duration::from_millis(300));
        rig.slow.answers.add_permits(1);
        rig.wait_for(2);
        std::thread::sleep(Duration::from_millis(300));
        rig.slow.answers.add_permits(3);
        assert_eq!(rig.ends(round), 6);
        let calls = rig.slow.calls.lock().unwrap().clone();
        assert_eq!(calls.concat(), emails(0..6));
        assert!(calls.len() <= 4 && calls.iter().any(|call| call.len() == 3), "{calls:?}");
        assert_eq!(rig.states(), states([("done", 6)]));
    });
}

#[test]
fn what_is_handed_over_before_a_round_begins_is_sent_in_it() {
    on_both_stores(|store| {
        let rig = rig(store, 1, "");
        rig.engine.rest("b");
        rig.arrive(0);
        let claimed = rig.engine.take_handed("b");
        rig.engine.rest("b");
        rig.arrive(1);
        rig.slow.answers.add_permits(2);
        let connection = rig.engine.connections["b"].clone();
        let round = push::round(&rig.engine, &connection, claimed);
        assert_eq!(rig.runtime.block_on(round).expect("the store works").tried, 2);
        assert_eq!(rig.wait_for(2).concat(), emails([0, 1]), "in the order in which they were planned");
        assert_eq!(rig.states(), states([("done", 2)]));
    });
}
