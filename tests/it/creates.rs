//! Creates whose outcome is not known: each leads to one record, and what was written there stays a copy.

mod doubt;
mod trials;

use std::ops::ControlFlow;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::ConnectorError;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::replay::{self, Scope};
use huiliu_core::store::{Store, deliveries, goldens, links};
use huiliu_tests::kit::{self, DAY_ONE_US, on_both_stores};
use huiliu_twins::memory::Memory;
use serde_json::json;

struct Rig {
    engine: Engine,
    a: Arc<Memory>,
    b: Arc<Memory>,
    runtime: tokio::runtime::Runtime,
}

/// What is in `a` is made in `b`, which stores titles in upper case; both are read, and nothing is there yet.
fn rig(store: Store) -> Rig {
    rig_of(store, Memory::new(true))
}

fn rig_of(store: Store, b: Memory) -> Rig {
    let clock = Clock::manual(DAY_ONE_US);
    let (a, b) = (Arc::new(Memory::new(false)), Arc::new(b));
    let mut connections =
        [kit::connection("a", &clock, Some(a.clone())), kit::connection("b", &clock, Some(b.clone()))];
    connections[1].creates.insert("customers".to_owned());
    let engine = kit::live(store, clock, connections);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let rig = Rig { engine, a, b, runtime };
    rig.pull("b");
    rig
}

impl Rig {
    fn pull(&self, name: &str) {
        let stream = "customers".into();
        self.runtime.block_on(pull::stream(&self.engine, &self.engine.connections[name], &stream, 1)).unwrap();
        process::batch(&self.engine).unwrap();
        plan::batch(&self.engine).unwrap();
    }

    fn push(&self, name: &str) {
        self.runtime.block_on(push::batch(&self.engine, &self.engine.connections[name])).unwrap();
    }

    /// Time passes, and all that waits is done.
    fn settle(&self) {
        for _ in 0..5 {
            self.engine.clock.advance_us(60_000_000);
            for name in ["a", "b"] {
                self.pull(name);
                self.runtime.block_on(pull::fetches(&self.engine, &self.engine.connections[name])).unwrap();
                self.push(name);
            }
        }
        assert_eq!(self.engine.store.read(deliveries::next_due_us).unwrap(), None);
    }

    /// A record of `a` is made in `b`, and the answer is lost.
    fn made_unheard(&self, body: &serde_json::Value) {
        self.a.edit("c1", body);
        self.pull("a");
        self.b.fail_next_answer(ConnectorError::transient("lost"));
        self.push("b");
        assert_eq!((self.b.ids(), self.b.writes()), (vec!["made1".to_owned()], 1));
    }

    /// What `b` is known to have said itself, field by field; there is one customer.
    fn said_by_b(&self) -> Vec<String> {
        let read = self.engine.store.read(|tx| {
            let all = goldens::after(tx, "customer", 0, 10)?;
            assert_eq!(all.len(), 1, "{all:?}");
            links::by_goldens(tx, [all[0].id])
        });
        let links = read.unwrap();
        let of_b = links.iter().find(|link| link.key.connection.as_str() == "b").expect("it is linked");
        of_b.state.said.keys().map(ToString::to_string).collect()
    }

    /// A replay comes to the same.
    fn replays(&self) {
        let all = Scope { connection: None, stream: None, record: None };
        let seen = replay::look(&self.engine, &all, 3, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(seen.report.is_empty(), "{:?}", seen.report);
    }
}

fn person() -> serde_json::Value {
    json!({ "name": "C1", "email": "c1@example.com", "title": "ceo" })
}

#[test]
fn a_record_that_comes_before_its_answer_is_a_copy() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.made_unheard(&person());
        rig.settle();
        assert_eq!((rig.said_by_b(), rig.b.writes()), (Vec::new(), 1));
        assert_eq!(rig.a.get("c1")["title"], "ceo", "how b spells it is not said by b");
        rig.replays();
    });
}

#[test]
fn what_somebody_edits_before_the_answer_is_heard() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.made_unheard(&person());
        rig.b.edit("made1", &json!({ "title": "CFO" }));
        rig.settle();
        assert_eq!((rig.said_by_b(), rig.b.writes()), (vec!["title".to_owned()], 1));
        assert_eq!((&rig.a.get("c1")["title"], &rig.b.get("made1")["title"]), (&json!("CFO"), &json!("CFO")));
        rig.replays();
    });
}

/// The golden record moved on before the retry, which finds what the first attempt made: it is no spelling of the second.
#[test]
fn what_a_retry_finds_is_mended() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.made_unheard(&person());
        rig.a.edit("c1", &json!({ "title": "Director" }));
        rig.pull("a");
        rig.engine.clock.advance_us(60_000_000);
        rig.push("b");
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "DIRECTOR");
        assert_eq!((rig.b.ids(), rig.a.get("c1")["title"].clone()), (vec!["made1".to_owned()], json!("Director")));
        assert_eq!(rig.said_by_b(), Vec::<String>::new());
    });
}

/// What the first attempt did not bring yet is owed to the record that the second one finds. (Found by the simulation.)
#[test]
fn what_a_retry_finds_lacking_is_written() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.b.find_repeats();
        rig.made_unheard(&json!({ "name": "C1", "email": "c1@example.com" }));
        rig.a.edit("c1", &json!({ "title": "Director" }));
        rig.pull("a");
        rig.engine.clock.advance_us(60_000_000);
        rig.push("b");
        rig.settle();
        assert_eq!((rig.b.ids(), &rig.b.get("made1")["title"]), (vec!["made1".to_owned()], &json!("DIRECTOR")));
        assert_eq!((rig.said_by_b(), rig.a.get("c1")["title"].clone()), (Vec::new(), json!("Director")));
        rig.replays();
    });
}
