//! What is no longer there: absence is not deletion, and a deletion that is told late is looked up first.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Budget;
use huiliu_core::connector::{ConnectorError, Received, Record};
use huiliu_core::engine::Engine;
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::review::{self, Steward};
use huiliu_core::store::inbox::{self, InboxItem};
use huiliu_core::store::{Store, deliveries, goldens, links, stewards, streams};
use huiliu_tests::kit::{self, DAY_ONE_US, on_both_stores};
use huiliu_tests::memory::Memory;
use serde_json::{Value, json};

pub struct Rig {
    pub engine: Engine,
    pub a: Arc<Memory>,
    pub b: Arc<Memory>,
    runtime: tokio::runtime::Runtime,
}

/// `a` is scanned whole; records are made in `b`, which shows what changed.
fn rig(store: Store, fetches: bool) -> Rig {
    rig_of(store, Memory::scanned(fetches), Budget::CHANGING)
}

/// So much of `a` may change in an hour; records are made in `b`, which shows what changed.
pub fn rig_of(store: Store, a: Memory, changing: Budget) -> Rig {
    let clock = Clock::manual(DAY_ONE_US);
    let (a, b) = (Arc::new(a), Arc::new(Memory::new(false)));
    let mut connections =
        [kit::connection("a", &clock, Some(a.clone())), kit::connection("b", &clock, Some(b.clone()))];
    connections[0].changing = changing;
    connections[1].creates.insert("customers".to_owned());
    let engine = kit::live(store, clock, connections);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Rig { engine, a, b, runtime }
}

impl Rig {
    fn pull(&self, name: &str) -> Option<String> {
        self.engine.clock.advance_us(1_000_000);
        let connection = &self.engine.connections[name];
        self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1)).unwrap().error
    }

    /// Everything but the pulls, until nothing moves.
    pub fn settle(&self) {
        for _ in 0..20 {
            self.engine.clock.advance_us(1_000_000);
            let mut busy = process::batch(&self.engine).unwrap().items + plan::batch(&self.engine).unwrap().0;
            for connection in self.engine.connections.values() {
                busy += self.runtime.block_on(pull::fetches(&self.engine, connection)).unwrap();
                busy += self.runtime.block_on(push::batch(&self.engine, connection)).unwrap();
            }
            if busy == 0 && self.engine.store.read(deliveries::next_due_us).unwrap().is_none() {
                return;
            }
        }
        panic!("the stages never rest");
    }

    pub fn round(&self) {
        for name in ["a", "b"] {
            assert_eq!(self.pull(name), None);
        }
        self.settle();
    }

    pub fn fill(&self, count: usize) {
        for at in 0..count {
            let body = json!({"name": format!("Person {at}"), "email": format!("p{at}@example.com"), "title": "T"});
            self.a.edit(&format!("{at:03}"), &body);
        }
        self.round();
    }

    /// Open links by connection.
    pub fn open(&self) -> BTreeMap<String, usize> {
        let all = self.engine.store.read(|tx| {
            let goldens = goldens::after(tx, "customer", 0, 1000)?;
            links::by_goldens(tx, goldens.iter().map(|it| it.id))
        });
        let mut open = BTreeMap::new();
        for link in all.unwrap().into_iter().filter(|link| link.open) {
            *open.entry(link.key.connection.as_str().to_owned()).or_default() += 1;
        }
        open
    }

    pub fn is_open(&self, key: &str) -> bool {
        let key: LinkKey = key.parse().unwrap();
        self.engine.store.read(|tx| links::by_keys(tx, [&key])).unwrap()[0].open
    }

    /// A webhook call of `a`.
    pub fn told(&self, what: &[Received]) {
        kit::call(&self.engine, "a", what);
    }
}

pub fn gone(id: &str) -> Received {
    Received::Deleted { stream: "customers".into(), id: id.into(), version: None }
}

fn shown(id: &str, body: Value) -> Received {
    Received::Record(Record { stream: "customers".into(), id: id.into(), version: None, body })
}

#[test]
fn absence_is_not_deletion() {
    on_both_stores(|store| {
        let rig = rig(store, false);
        rig.fill(8);
        assert_eq!(rig.open(), BTreeMap::from([("a".to_owned(), 8), ("b".to_owned(), 8)]));
        // An incremental pull that shows nothing says nothing.
        rig.b.remove("made1");
        rig.round();
        assert_eq!(rig.open()["b"], 8);
        // A scan that breaks off says nothing about what it had not reached.
        rig.a.remove("005");
        rig.a.fail_next_pull(ConnectorError::transient("cut off"));
        assert!(rig.pull("a").is_some());
        rig.settle();
        assert_eq!(rig.open()["a"], 8);
        // The scan goes on where it was and ends: now it has read everything.
        rig.round();
        assert_eq!(rig.open()["a"], 7);
        assert!(!rig.is_open("a/customers/005"));
        // The record comes back.
        rig.a.edit("005", &json!({"name": "Person 5", "email": "p5@example.com", "title": "T"}));
        rig.round();
        assert_eq!(rig.open()["a"], 8);
    });
}

#[test]
fn a_scan_that_misses_too_much_is_held_back_until_a_steward_releases_it() {
    on_both_stores(|store| {
        let rig = rig(store, false);
        rig.fill(30);
        for at in 0..12 {
            rig.a.hide(&format!("{at:03}"), true);
        }
        rig.round();
        assert_eq!(rig.open()["a"], 30, "more than ten: nothing is closed");
        let brake = |rig: &Rig| {
            let all = rig.engine.store.read(streams::all).unwrap();
            all[&("a".to_owned(), "customers".to_owned())].brake
        };
        assert_eq!(brake(&rig).map(|brake| (brake.open, brake.missing)), Some((30, 12)));
        // The right to see them is given back, and the brake lifts by itself.
        for at in 2..12 {
            rig.a.hide(&format!("{at:03}"), false);
        }
        rig.round();
        assert_eq!((brake(&rig), rig.open()["a"]), (None, 28));
        for at in 2..22 {
            rig.a.remove(&format!("{at:03}"));
        }
        rig.round();
        assert_eq!(rig.open()["a"], 28);
        let steward = Steward { name: "wang", why: "the old shop was cleared out" };
        assert_eq!(review::release(&rig.engine, "a", "customers", steward).unwrap(), 20);
        rig.settle();
        assert_eq!((brake(&rig), rig.open()["a"]), (None, 8));
        let told = review::release(&rig.engine, "a", "customers", steward).unwrap_err().to_string();
        assert!(told.contains("no brake holds anything back"), "{told}");
        let commands = rig.engine.store.read(|tx| stewards::commands(tx, 10)).unwrap();
        assert_eq!((commands.len(), commands[0].why.as_str()), (1, "the old shop was cleared out"));
    });
}

#[test]
fn a_scan_that_shows_nobody_closes_nothing() {
    on_both_stores(|store| {
        let rig = rig(store, false);
        rig.fill(3);
        (0..3).for_each(|at| rig.a.hide(&format!("{at:03}"), true));
        rig.round();
        assert_eq!(rig.open()["a"], 3);
    });
}

#[test]
fn what_a_scan_misses_is_read_before_it_is_closed() {
    on_both_stores(|store| {
        let rig = rig(store, true);
        rig.fill(6);
        rig.a.hide("001", true);
        rig.a.remove("002");
        rig.round();
        assert!(rig.is_open("a/customers/001"), "hidden, but there");
        assert!(!rig.is_open("a/customers/002"));
    });
}

#[test]
fn a_deletion_is_not_carried_on() {
    on_both_stores(|store| {
        let rig = rig(store, true);
        rig.fill(2);
        let made =
            |at: usize| (1..=2).map(|n| rig.b.get(&format!("made{n}"))).find(|it| it["name"] == format!("Person {at}"));
        let before = made(0).unwrap();
        rig.b.edit("made1", &json!({"phone": "13800138000"}));
        rig.b.edit("made2", &json!({"phone": "13900139000"}));
        rig.round();
        rig.a.remove("000");
        let writes = rig.b.writes();
        rig.round();
        assert!(!rig.is_open("a/customers/000"));
        assert_eq!(rig.b.writes(), writes, "b keeps its copy");
        assert_eq!(made(0).unwrap()["title"], before["title"]);
        // What the departed record said has left the golden record: only b speaks.
        let golden = rig.engine.store.read(|tx| {
            let key: LinkKey = "a/customers/000".parse().unwrap();
            let golden = links::by_keys(tx, [&key])?[0].golden;
            goldens::by_ids(tx, [golden])
        });
        let fields: Vec<String> = golden.unwrap()[0].fields.keys().map(ToString::to_string).collect();
        assert_eq!(fields, ["phones.main"]);
        // A later edit elsewhere still travels.
        rig.b.edit("made1", &json!({"title": "Chief"}));
        rig.round();
        assert_eq!(rig.b.get("made1")["title"], "Chief");
    });
}

#[test]
fn a_deletion_told_after_the_record_came_back_does_not_close_it() {
    on_both_stores(|store| {
        let rig = rig(store, true);
        rig.fill(1);
        // Removed and added again; the first call is late.
        rig.told(&[gone("000")]);
        rig.settle();
        assert!(rig.is_open("a/customers/000"), "it is there");
        rig.a.remove("000");
        rig.told(&[gone("000")]);
        rig.settle();
        assert!(!rig.is_open("a/customers/000"), "looked up and gone");
    });
}

#[test]
fn a_page_read_before_a_call_does_not_undo_it() {
    on_both_stores(|store| {
        let rig = rig(store, true);
        rig.fill(1);
        let old = rig.a.get("000");
        let asked_us = rig.engine.clock.now_us();
        rig.engine.clock.advance_us(1_000_000);
        rig.a.edit("000", &json!({"title": "New"}));
        rig.told(&[shown("000", rig.a.get("000"))]);
        // The page was asked for before the call came, and arrives after it.
        let late = InboxItem {
            connection: "a".to_owned(),
            stream: Some("customers".to_owned()),
            external_id: Some("000".to_owned()),
            body: old.to_string().into_bytes(),
            received_us: asked_us,
            ..InboxItem::default()
        };
        rig.engine.store.write(|tx| inbox::append(tx, &[late])).unwrap();
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "New");
    });
}
