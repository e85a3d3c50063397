//! Changes travel: pull, process, plan, push, until every system agrees and nothing is written any more.

mod forgotten;
mod unanswered;

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::State;
use huiliu_core::connector::ConnectorError;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::{Store, deliveries, inbox, streams};
use huiliu_tests::kit::{self, DAY_ONE_US, customers, on_both_stores};
use huiliu_tests::memory::Memory;
use serde_json::json;

struct Rig {
    engine: Engine,
    a: Arc<Memory>,
    b: Arc<Memory>,
    runtime: tokio::runtime::Runtime,
}

fn rig(store: Store) -> Rig {
    let clock = Clock::manual(DAY_ONE_US);
    rig_with(store, clock, Memory::new(true))
}

fn rig_with(store: Store, clock: Clock, b: Memory) -> Rig {
    let (a, b) = (Arc::new(Memory::new(false)), Arc::new(b));
    let mut connections =
        [kit::connection("a", &clock, Some(a.clone())), kit::connection("b", &clock, Some(b.clone()))];
    connections[1].creates.insert("customers".to_owned());
    let engine = kit::live(store, clock, connections);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Rig { engine, a, b, runtime }
}

impl Rig {
    /// Runs all stages until a whole round brings nothing new; returns the number of writes.
    fn settle(&self) -> usize {
        let before = self.a.writes() + self.b.writes();
        for _ in 0..50 {
            self.engine.clock.advance_us(1_000_000);
            let mut busy = false;
            for connection in self.engine.connections.values() {
                self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1)).unwrap();
                self.runtime.block_on(pull::fetches(&self.engine, connection)).unwrap();
            }
            busy |= process::batch(&self.engine).unwrap().changes > 0;
            busy |= plan::batch(&self.engine).unwrap().1 > 0;
            for connection in self.engine.connections.values() {
                busy |= self.runtime.block_on(push::batch(&self.engine, connection)).unwrap() > 0;
            }
            let waiting = self.engine.store.read(deliveries::next_due_us).unwrap();
            if !busy && waiting.is_none() {
                return self.a.writes() + self.b.writes() - before;
            }
        }
        panic!("the systems never agree: an echo loop");
    }
}

#[test]
fn where_a_target_never_held_anything_the_base_says_nothing() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        rig.settle();
        rig.a.edit("1", &json!({"title": "buyer"}));
        let a = rig.engine.connections["a"].clone();
        rig.runtime.block_on(pull::stream(&rig.engine, &a, &"customers".into(), 1)).unwrap();
        process::batch(&rig.engine).unwrap();
        plan::batch(&rig.engine).unwrap();
        let open = rig.engine.store.read(|tx| deliveries::open_of(tx, [1])).unwrap();
        // Whoever entered a title there meanwhile contradicts it, and is heard first.
        assert_eq!(open.iter().map(|it| &it.delivery.base).collect::<Vec<_>>(), [&json!({ "title": null })]);
    });
}

#[test]
fn an_edit_travels_and_its_echo_dies() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "经理 a"}));
        assert_eq!(rig.settle(), 1, "created in b");
        assert_eq!(rig.b.ids(), ["made1"]);
        assert_eq!(rig.b.get("made1")["title"], "经理 A", "b stores titles in upper case");
        assert_eq!(rig.a.get("1")["title"], "经理 a", "which is not an edit");
        assert_eq!(rig.settle(), 0, "no write after quiescence");
        rig.b.edit("made1", &json!({"title": "DIRECTOR"}));
        rig.settle();
        assert_eq!(rig.a.get("1")["title"], "DIRECTOR", "a person's edit in b is");
        assert_eq!(rig.settle(), 0);
        assert_eq!(customers(&rig.engine).len(), 1);
    });
}

#[test]
fn edits_to_different_fields_on_both_sides_survive() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "A"}));
        rig.settle();
        rig.a.edit("1", &json!({"title": "B"}));
        rig.b.edit("made1", &json!({"phone": "13800138000"}));
        rig.settle();
        assert_eq!(rig.a.get("1")["phone"], "+8613800138000");
        assert_eq!(rig.b.get("made1")["title"], "B");
        assert_eq!(rig.settle(), 0);
    });
}

#[test]
fn a_create_whose_answer_is_lost_makes_one_record() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        rig.b.fail_next_answer(ConnectorError::transient("the connection was cut after the request"));
        rig.settle();
        assert_eq!(rig.b.ids(), ["made1"]);
        assert_eq!(customers(&rig.engine)[0].1, ["a/customers/1", "b/customers/made1"]);
    });
}

#[test]
fn a_conflict_refetches_and_the_human_edit_lives() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "A"}));
        rig.settle();
        rig.a.edit("1", &json!({"title": "B"}));
        let connection = &rig.engine.connections["a"];
        rig.runtime.block_on(pull::stream(&rig.engine, connection, &"customers".into(), 1)).unwrap();
        process::batch(&rig.engine).unwrap();
        plan::batch(&rig.engine).unwrap();
        // Between plan and push somebody edits the target.
        rig.b.edit("made1", &json!({"tags": ["vip"]}));
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "B");
        assert_eq!(rig.a.get("1")["tags"], json!(["vip"]));
        assert_eq!(rig.settle(), 0);
    });
}

#[test]
fn a_refused_write_is_kept_and_can_be_retried() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        rig.b.fail_next_answer(ConnectorError::Rejected {
            at: "/name".to_owned(),
            reason: "name is too long".to_owned(),
        });
        rig.settle();
        let dead = rig.engine.store.read(|tx| inbox::dead_letters(tx, 10)).unwrap();
        assert_eq!((dead.len(), dead[0].reason.as_str()), (1, "name is too long"));
        rig.engine.store.write(|tx| deliveries::revive(tx, dead[0].item, 0)).unwrap();
        rig.settle();
        assert_eq!(customers(&rig.engine)[0].1.len(), 2);
    });
}

#[test]
fn an_observing_connection_is_never_written() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.engine.store.write(|tx| streams::set_state(tx, "b", State::Observing, None, 0)).unwrap();
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        assert_eq!(rig.settle(), 0);
        let shown = rig.engine.store.read(|tx| plan::plan(&rig.engine, tx, &[1].into(), Some("b"))).unwrap();
        assert_eq!(shown.len(), 1, "the plan can be looked at before going live");
        assert_eq!(rig.b.writes(), 0);
    });
}

#[test]
fn a_kill_between_sending_and_recording_is_recovered() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        for name in ["a", "b"] {
            let connection = &rig.engine.connections[name];
            rig.runtime.block_on(pull::stream(&rig.engine, connection, &"customers".into(), 1)).unwrap();
        }
        process::batch(&rig.engine).unwrap();
        plan::batch(&rig.engine).unwrap();
        // The process dies after the claim: the delivery is neither pending nor done.
        let claimed = rig.engine.store.write(|tx| deliveries::claim(tx, "b", i64::MAX, 10)).unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!(push::recover(&rig.engine).unwrap(), 1);
        rig.settle();
        assert_eq!(rig.b.ids(), ["made1"]);
    });
}

#[test]
fn a_read_from_before_our_write_undoes_nothing() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "Dr"}));
        rig.settle();
        // b says something; while it is on its way to a, a scan of a that knows no versions reads the old value.
        rig.b.edit("made1", &json!({"title": "DIRECTOR"}));
        let b = &rig.engine.connections["b"];
        rig.runtime.block_on(pull::stream(&rig.engine, b, &"customers".into(), 1)).unwrap();
        process::batch(&rig.engine).unwrap();
        plan::batch(&rig.engine).unwrap();
        rig.engine.clock.advance_us(1);
        let mut scanned = kit::record("a/customers/1", 0, &rig.a.get("1"));
        (scanned.version, scanned.received_us) = (None, rig.engine.clock.now_us());
        rig.engine.store.write(|tx| inbox::append(tx, std::slice::from_ref(&scanned))).unwrap();
        rig.engine.clock.advance_us(1);
        assert_eq!(rig.runtime.block_on(push::batch(&rig.engine, &rig.engine.connections["a"])).unwrap(), 1);
        process::batch(&rig.engine).unwrap();
        assert_eq!(customers(&rig.engine)[0].0["title"], "DIRECTOR", "the old value is nobody's edit");
        assert_eq!(rig.settle(), 0, "and nothing is written back");
    });
}

/// A pause waits for a person; what changes meanwhile is owed all the same.
#[test]
fn a_change_during_a_pause_is_sent_after_it() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "A"}));
        rig.settle();
        let pause = |tx: &mut huiliu_core::store::Tx<'_>| {
            streams::set_state(tx, "b", State::Paused, Some("the password was changed"), DAY_ONE_US)
        };
        rig.engine.store.write(pause).unwrap();
        rig.a.edit("1", &json!({"title": "B"}));
        let a = &rig.engine.connections["a"];
        rig.engine.clock.advance_us(1_000_000);
        rig.runtime.block_on(pull::stream(&rig.engine, a, &"customers".into(), 1)).unwrap();
        while process::batch(&rig.engine).unwrap().items > 0 {}
        while plan::batch(&rig.engine).unwrap().0 > 0 {}
        assert_eq!(rig.b.get("made1")["title"], "A", "nothing is written during a pause");
        assert_eq!(rig.engine.store.write(|tx| streams::resume(tx, "b", DAY_ONE_US)).unwrap(), 1);
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "B");
    });
}

/// A system that says only that something changed is pulled at once, not when its turn comes.
#[test]
fn a_poked_stream_is_due_now() {
    on_both_stores(|store| {
        let rig = rig(store);
        let a = &rig.engine.connections["a"];
        rig.runtime.block_on(pull::stream(&rig.engine, a, &"customers".into(), 3_600_000_000)).unwrap();
        let due_us = || {
            let all = rig.engine.store.read(streams::all).unwrap();
            all[&("a".to_owned(), "customers".to_owned())].due_us - rig.engine.clock.now_us()
        };
        assert_eq!(due_us(), 3_600_000_000);
        let call = inbox::InboxItem {
            connection: "a".to_owned(),
            kind: inbox::ItemKind::Webhook,
            target: Some("/hooks/a".to_owned()),
            headers: Some("[]".to_owned()),
            body: json!([{"poke": {"stream": "customers"}}]).to_string().into_bytes(),
            received_us: DAY_ONE_US,
            ..inbox::InboxItem::default()
        };
        rig.engine.store.write(|tx| inbox::append(tx, &[call])).unwrap();
        assert_eq!(process::batch(&rig.engine).unwrap().hints, 1);
        assert_eq!(due_us(), 0);
    });
}
