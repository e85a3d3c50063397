//! A stream read from scratch beside live traffic.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{ConnectorError, Received, Record};
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{process, pull};
use huiliu_core::store::Store;
use huiliu_core::store::inbox::{self, InboxItem, ItemKind};
use huiliu_core::store::streams::{self, StreamState};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, customers, on_both_stores};
use huiliu_tests::memory::Memory;
use serde_json::json;

fn rig(store: Store, memory: &Arc<Memory>) -> (Engine, tokio::runtime::Runtime) {
    let clock = Clock::manual(DAY_ONE_US);
    let connections = [kit::connection("a", &clock, Some(memory.clone()))];
    let engine = Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock);
    engine.store.write(|tx| streams::introduce(tx, "a", "kit", DAY_ONE_US)).unwrap();
    (engine, tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

fn live(engine: &Engine) -> StreamState {
    let all = engine.store.read(streams::all).unwrap();
    all.get(&("a".to_owned(), "customers".to_owned())).cloned().unwrap_or_default()
}

#[test]
fn a_backfill_goes_on_after_a_stop_and_leaves_the_live_cursor_alone() {
    on_both_stores(|store| {
        let memory = Arc::new(Memory::scanned(false));
        let (engine, runtime) = rig(store, &memory);
        for at in 0..5 {
            memory.edit(
                &format!("{at}"),
                &json!({"name": format!("Person {at}"), "email": format!("p{at}@example.com")}),
            );
        }
        let connection = &engine.connections["a"];
        runtime.block_on(pull::stream(&engine, connection, &"customers".into(), 1)).unwrap();
        let before = live(&engine);
        memory.fail_next_pull(ConnectorError::transient("cut off"));
        let cut = runtime.block_on(pull::backfill(&engine, connection, &"customers".into())).unwrap();
        assert_eq!((cut.records, cut.error.is_some()), (2, true));
        let rest = runtime.block_on(pull::backfill(&engine, connection, &"customers".into())).unwrap();
        assert_eq!((rest.records, rest.error, rest.more), (3, None, false), "it goes on where it was");
        let done = engine.store.read(|tx| streams::backfill(tx, "a", "customers")).unwrap().unwrap();
        assert_eq!((done.records, done.done_us), (5, Some(DAY_ONE_US)));
        assert_eq!(live(&engine), before, "the live pull knows nothing of it");
        let first = process::batch(&engine).unwrap();
        assert_eq!((first.created, first.changes), (5, 5), "every record once");
        let again = runtime.block_on(pull::backfill(&engine, connection, &"customers".into())).unwrap();
        assert_eq!(again.records, 5, "a finished one starts anew");
    });
}

#[test]
fn a_list_that_is_longer_than_a_turn_goes_on_at_once() {
    const HOUR_US: i64 = 3_600_000_000;
    on_both_stores(|store| {
        let memory = Arc::new(Memory::scanned(false));
        let (engine, runtime) = rig(store, &memory);
        for at in 0..2001 {
            memory.edit(&format!("{at:04}"), &json!({"name": format!("Person {at}")}));
        }
        let connection = &engine.connections["a"];
        let turn = || runtime.block_on(pull::stream(&engine, connection, &"customers".into(), HOUR_US)).unwrap();
        let first = turn();
        assert_eq!((first.records, first.error, first.more), (2000, None, true), "a thousand pages");
        assert!(live(&engine).due_us <= engine.clock.now_us());
        let rest = turn();
        assert_eq!((rest.records, rest.error, rest.more), (1, None, false));
        assert_eq!(live(&engine).due_us, DAY_ONE_US + HOUR_US, "at its end it rests");
    });
}

#[test]
fn a_backfill_does_not_overwrite_what_is_newer() {
    on_both_stores(|store| {
        let memory = Arc::new(Memory::scanned(true));
        let (engine, runtime) = rig(store, &memory);
        let connection = &engine.connections["a"];
        memory.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "old"}));
        runtime.block_on(pull::backfill(&engine, connection, &"customers".into())).unwrap();
        process::batch(&engine).unwrap();
        // A page is asked for; before it arrives a person edits and the system tells of it.
        let (old, asked_us) = (memory.get("1"), engine.clock.now_us());
        engine.clock.advance_us(1_000_000);
        memory.edit("1", &json!({"title": "new"}));
        let record = Record { stream: "customers".into(), id: "1".into(), version: None, body: memory.get("1") };
        let call = InboxItem {
            connection: "a".to_owned(),
            kind: ItemKind::Webhook,
            body: serde_json::to_vec(&[Received::Record(record)]).unwrap(),
            received_us: engine.clock.now_us(),
            ..InboxItem::default()
        };
        let page = InboxItem {
            connection: "a".to_owned(),
            stream: Some("customers".to_owned()),
            external_id: Some("1".to_owned()),
            body: old.to_string().into_bytes(),
            received_us: asked_us,
            ..InboxItem::default()
        };
        let arrives = |item: InboxItem| {
            engine.store.write(|tx| inbox::append(tx, &[item])).unwrap();
            assert_eq!(process::batch(&engine).unwrap().hints, 1, "nobody can tell which is newer: read again");
        };
        let read = || {
            engine.clock.advance_us(1_000_000);
            runtime.block_on(pull::fetches(&engine, connection)).unwrap();
            process::batch(&engine).unwrap();
        };
        arrives(call);
        read();
        assert_eq!(customers(&engine)[0].0["title"], "new");
        arrives(page);
        assert_eq!(customers(&engine)[0].0["title"], "new");
        read();
        assert_eq!(customers(&engine)[0].0["title"], "new");
    });
}
