//! Nothing is created in a system that was never read to its end: the record may be there already.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::ConnectorError;
use huiliu_core::engine::Engine;
use huiliu_core::explain;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::{Store, streams};
use huiliu_tests::kit::{self, DAY_ONE_US, customers, on_both_stores};
use huiliu_tests::memory::Memory;
use serde_json::json;

struct Pair {
    engine: Engine,
    a: Arc<Memory>,
    b: Arc<Memory>,
    runtime: tokio::runtime::Runtime,
}

/// Two live systems that know one person each other knows, too; people of `a` are made in `b`, which has three records.
fn pair(store: &Store) -> Pair {
    let clock = Clock::manual(DAY_ONE_US);
    let (a, b) = (Arc::new(Memory::new(false)), Arc::new(Memory::scanned(true)));
    let mut connections =
        [kit::connection("a", &clock, Some(a.clone())), kit::connection("b", &clock, Some(b.clone()))];
    connections[1].creates.insert("customers".to_owned());
    let engine = kit::live(store.clone(), clock, connections);
    a.edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
    a.edit("2", &json!({"name": "韩梅梅", "email": "han@example.com"}));
    for id in ["7", "8"] {
        b.edit(id, &json!({"name": format!("客户{id}"), "email": format!("p{id}@example.com")}));
    }
    b.edit("9", &json!({"name": "李雷", "email": "li@example.com"}));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Pair { engine, a, b, runtime }
}

impl Pair {
    fn pull(&self, name: &str) -> Option<String> {
        let connection = &self.engine.connections[name];
        self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1)).unwrap().error
    }

    fn think(&self) {
        while process::batch(&self.engine).unwrap().items > 0 {}
        while plan::batch(&self.engine).unwrap().0 > 0 {}
    }

    fn push(&self) -> usize {
        self.runtime.block_on(push::batch(&self.engine, &self.engine.connections["b"])).unwrap()
    }

    fn waits(&self) -> bool {
        let told = explain::record(&self.engine, &"a/customers/2".parse().unwrap()).unwrap();
        let target = told.targets.iter().find(|it| it.connection == "b").unwrap();
        let states = self.engine.store.read(streams::all).unwrap();
        let state = &states[&("b".to_owned(), "customers".to_owned())];
        assert_eq!(state.held.is_some(), target.waits, "status and why say the same");
        target.waits
    }
}

#[test]
fn creates_wait_until_their_target_was_read_once() {
    on_both_stores(|store| {
        let pair = pair(&store);
        pair.pull("a");
        pair.think();
        assert_eq!(pair.push(), 0);
        assert!(pair.waits());
        // Half a read is none.
        pair.b.fail_next_pull(ConnectorError::transient("gone for a moment"));
        assert!(pair.pull("b").is_some());
        pair.think();
        assert!(pair.push() == 0 && pair.waits());
        // Read, and not yet processed: who is there is not known yet.
        assert_eq!(pair.pull("b"), None);
        assert_eq!(plan::batch(&pair.engine).unwrap(), (0, 0));
        pair.think();
        assert!(!pair.waits());
        assert_eq!(pair.push(), 1, "only whom b does not have");
        assert_eq!(pair.b.ids(), ["7", "8", "9", "made1"]);
        assert_eq!(pair.b.get("made1")["email"], "han@example.com");
        assert_eq!(customers(&pair.engine).len(), 4);
        // From now on nothing waits.
        pair.a.edit("3", &json!({"name": "王芳", "email": "wang@example.com"}));
        pair.pull("a");
        pair.think();
        assert!(!pair.waits() && pair.push() == 1);
    });
}

/// What the hold is good for: were the read taken for done, the person would be there twice.
#[test]
fn without_the_hold_there_would_be_a_duplicate() {
    on_both_stores(|store| {
        let pair = pair(&store);
        let done = pair.engine.store.write(|tx| {
            streams::put(tx, "b", "customers", &streams::StreamState::default())?;
            streams::mark_read(tx, "b", "customers", 0)
        });
        assert_eq!(done.unwrap(), 1);
        pair.pull("a");
        pair.think();
        assert_eq!(pair.push(), 2);
        let doubled = pair.b.ids().iter().filter(|id| pair.b.get(id)["email"] == "li@example.com").count();
        assert_eq!(doubled, 2);
    });
}

#[test]
fn more_creates_than_fit_one_batch_are_all_planned_in_the_end() {
    on_both_stores(|store| {
        let pair = pair(&store);
        for at in 100..1250 {
            pair.a.edit(&at.to_string(), &json!({"name": format!("客户{at}"), "email": format!("q{at}@example.com")}));
        }
        pair.pull("a");
        pair.think();
        assert_eq!(pair.push(), 0);
        pair.pull("b");
        pair.think();
        let mut sent = 0;
        loop {
            match pair.push() {
                0 => break,
                count => sent += count,
            }
        }
        assert_eq!((sent, pair.b.ids().len()), (1151, 1154));
    });
}
