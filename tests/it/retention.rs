//! What is old goes, and nothing that somebody still waits for.

use std::time::Duration;

use huiliu_core::engine::Engine;
use huiliu_core::replay::{self, Scope};
use huiliu_core::retention::{self, Gone, Pass, Retention};
use huiliu_core::store::{Tx, db, inbox};
use huiliu_tests::kit::{customers, engine, feed, on_both_stores, record};
use serde_json::json;

const DAY: Duration = Duration::from_hours(24);

fn days(count: i64) -> i64 {
    count * 24 * 3600 * 1_000_000
}

fn pass(engine: &Engine, keep: Retention) -> Gone {
    let mut pass = Pass::new(keep);
    loop {
        if let Some(gone) = pass.piece(engine).expect("the store works") {
            return gone;
        }
    }
}

fn read<T>(engine: &Engine, work: impl FnOnce(&mut Tx<'_>) -> db::Result<T>) -> T {
    engine.store.read(work).expect("the store works")
}

fn kept(engine: &Engine) -> Vec<i64> {
    read(engine, |tx| inbox::after(tx, 0, 10_000)).into_iter().map(|item| item.position).collect()
}

/// So many people of whom each system says something, all received now.
fn people(engine: &Engine, numbers: std::ops::Range<i64>) {
    let items: Vec<_> = numbers
        .map(|number| {
            let body = json!({"name": format!("Person {number}"), "email": format!("p{number}@example.com")});
            let mut item = record(&format!("a/customers/{number}"), number, &body);
            item.received_us = engine.clock.now_us();
            item
        })
        .collect();
    feed(engine, &items);
}

const KEEP: Retention = Retention { repeats: Some(DAY.saturating_mul(30)), inbox: Some(DAY.saturating_mul(30)) };

#[test]
fn what_arrived_goes_when_it_is_old_and_golden_records_stay() {
    on_both_stores(|store| {
        let engine = engine(store);
        people(&engine, 0..1500);
        engine.clock.advance_us(days(20));
        people(&engine, 1500..1600);
        let before = customers(&engine);
        assert_eq!(pass(&engine, KEEP), Gone::default(), "nothing is thirty days old");
        engine.clock.advance_us(days(11));
        assert_eq!(pass(&engine, KEEP).items, 1500);
        let kept = kept(&engine);
        assert_eq!((kept.len(), kept[0]), (100, 1501));
        assert_eq!(customers(&engine), before);
        assert_eq!(pass(&engine, KEEP), Gone::default(), "a second pass finds nothing");
        let seen = replay::look(&engine, &Scope::default(), 0, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!(seen.report.outcomes.get("not_kept"), Some(&1500), "{:?}", seen.report.outcomes);
        assert!(seen.report.is_empty(), "what cannot be read again stays as it is: {:?}", seen.report);
    });
}

#[test]
fn for_ever_is_for_ever() {
    on_both_stores(|store| {
        let engine = engine(store);
        people(&engine, 0..3);
        engine.clock.advance_us(days(40_000));
        assert_eq!(pass(&engine, Retention { repeats: None, inbox: None }), Gone::default());
        assert_eq!(kept(&engine).len(), 3);
    });
}

#[test]
fn the_last_item_and_what_was_not_processed_stay() {
    on_both_stores(|store| {
        let engine = engine(store);
        people(&engine, 0..3);
        engine.clock.advance_us(days(31));
        assert_eq!(pass(&engine, KEEP).items, 2);
        let waits = record("a/customers/9", 1, &json!({"name": "Late"}));
        engine.store.write(|tx| inbox::append(tx, &[waits.clone(), waits])).unwrap();
        engine.clock.advance_us(days(31));
        pass(&engine, KEEP);
        assert_eq!(kept(&engine), [4, 5], "nobody has read these");
        feed(&engine, &[]);
        pass(&engine, KEEP);
        assert_eq!(kept(&engine), [5], "positions go on behind the last one");
    });
}

#[test]
fn what_something_waits_for_stays() {
    on_both_stores(|store| {
        let engine = engine(store);
        people(&engine, 0..6);
        let wait = |sql: &str| engine.store.write(|tx| tx.execute(sql, &[])).unwrap();
        wait(
            "INSERT INTO held_back (link, connection, stream, kind, position, received_us, released)
             VALUES (1, 'a', 'customers', 'missing', 1, 0, 0)",
        );
        wait(
            "INSERT INTO parked (drift, connection, lens, external_id, position, part)
             VALUES (1, 'a', 'customers', '2', 2, 'row')",
        );
        wait(
            "INSERT INTO dead_letter (stage, connection, item, reason, at_us, state)
             VALUES ('process', 'a', 3, 'why', 0, 'waiting')",
        );
        let ask = [("a".to_owned(), "customers".to_owned(), "4".to_owned(), 4)];
        engine.store.write(|tx| inbox::ask_fetch(tx, &ask, 0)).unwrap();
        engine.clock.advance_us(days(31));
        assert_eq!(pass(&engine, KEEP).items, 1);
        assert_eq!(kept(&engine), [1, 2, 3, 4, 6]);
        wait("DELETE FROM held_back");
        wait("UPDATE dead_letter SET state = 'retried'");
        assert_eq!(pass(&engine, KEEP).items, 2);
        assert_eq!(kept(&engine), [2, 4, 6]);
    });
}

#[test]
fn a_repeat_is_known_as_long_as_its_key_is_kept() {
    on_both_stores(|store| {
        let engine = engine(store);
        let mark = |keys: std::ops::Range<i64>| {
            let keys: Vec<String> = keys.map(|key| format!("event-{key}")).collect();
            let events = keys.iter().map(|key| ("a", key.as_str()));
            let fresh = engine.store.write(|tx| inbox::mark_seen(tx, events, engine.clock.now_us())).unwrap();
            fresh.into_iter().filter(|new| *new).count()
        };
        assert_eq!(mark(0..2500), 2500);
        engine.clock.advance_us(days(29));
        assert_eq!(mark(2000..3000), 500);
        assert_eq!(pass(&engine, KEEP), Gone::default());
        engine.clock.advance_us(days(2));
        assert_eq!(pass(&engine, KEEP).repeats, 2500);
        assert_eq!(mark(2000..3000), 500, "what came two days ago is known, the rest would be taken again");
    });
}

#[test]
fn on_postgres_old_ranges_go_as_a_whole() {
    on_both_stores(|store| {
        let postgres = store.kind() == "postgres";
        let engine = engine(store);
        people(&engine, 0..2);
        let ranges = || read(&engine, db::partitions::ranges).into_iter().map(|range| range.end).collect::<Vec<_>>();
        let room = || retention::make_room(&engine, 1000..=1000).unwrap();
        if !postgres {
            assert_eq!((ranges(), room()), (vec![], 0));
            return;
        }
        let first = ranges()[0];
        assert_eq!(room(), 0, "there is room in the first range");
        // As if the first range had been filled.
        let skip = |to: i64| {
            let sql = format!("SELECT setval('inbox_next', {to}, true)::bigint");
            engine.store.write(|tx| tx.query_opt(&sql, &[], |row| row.int(0))).unwrap();
        };
        skip(first - 400);
        people(&engine, 2..3);
        assert_eq!(room(), 1);
        assert_eq!(ranges(), [first, first + 1000], "behind the first, as few came in a day");
        // Nobody made room in time: what comes is taken all the same, and the next range begins behind it.
        skip(first + 1500);
        people(&engine, 3..5);
        assert_eq!(room(), 1);
        let last = ranges()[2];
        skip(last - 10);
        people(&engine, 5..7);
        assert_eq!(kept(&engine), [1, 2, first - 399, first + 1501, first + 1502, last - 9, last - 8]);
        engine.clock.advance_us(days(31));
        let gone = pass(&engine, KEEP);
        // The last range is never dropped, and what came where there was no room goes row by row.
        assert_eq!((gone.ranges, gone.items), (2, 3));
        assert_eq!(kept(&engine), [last - 8]);
        assert_eq!(customers(&engine).len(), 7);
        people(&engine, 7..8);
        assert_eq!(kept(&engine), [last - 8, last - 7]);
    });
}
