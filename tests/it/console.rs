//! What the console stands on, on both stores: names, traffic, lists in pages, retries and rests with a name.

use std::collections::BTreeSet;

use huiliu_core::explain::called::{self, Found};
use huiliu_core::pipeline::index;
use huiliu_core::review::{self, Steward, Until, Verdict};
use huiliu_core::store::console::{self, Chosen, Place};
use huiliu_core::store::inbox::{self, DeadLetter};
use huiliu_core::store::traffic::{self, Flow};
use huiliu_core::store::{stewards, streams};
use huiliu_core::{engine::Engine, retry};
use huiliu_tests::kit::{self, DAY_ONE_US, feed, on_both_stores, record};
use serde_json::json;

const WANG: Steward<'_> = Steward { name: "wang", why: "console" };

fn entered(engine: &Engine) {
    while index::batch(engine).unwrap() > 0 {}
}

fn named(engine: &Engine, text: &str) -> Vec<i64> {
    ids(&called::named(engine, text, None, 10).unwrap())
}

fn ids(found: &Found) -> Vec<i64> {
    found.customers.iter().map(|golden| golden.id).collect()
}

#[test]
fn names_follow_the_change_log() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let first = record("a/customers/1", 1, &json!({"name": "王小明", "email": "w@example.com"}));
        let second = record("b/customers/1", 2, &json!({"name": "James Smith", "email": "j@example.com"}));
        feed(&engine, &[first, second]);
        assert!(called::named(&engine, "王", None, 10).unwrap().is_behind);
        entered(&engine);
        assert!(!called::named(&engine, "王", None, 10).unwrap().is_behind);
        for (text, found) in [("王小", 1), ("小明", 1), ("jam", 2), ("SMITH", 2), ("smith james", 2)] {
            assert_eq!(named(&engine, text), [found], "{text}");
        }
        for text in ["明", "mith", "smith peter", "王大", "", "!"] {
            assert_eq!(named(&engine, text), [] as [i64; 0], "{text}");
        }
        // A new name replaces the former one.
        feed(&engine, &[record("a/customers/1", 3, &json!({"name": "王大明", "email": "w@example.com"}))]);
        entered(&engine);
        assert_eq!((named(&engine, "小明"), named(&engine, "王")), (vec![], vec![1]));
        // Who was merged is found as the survivor only; who was parted is found again.
        review::link(&engine, 1, 2, WANG).unwrap();
        entered(&engine);
        assert_eq!(named(&engine, "smith").len() + named(&engine, "王").len(), 1, "one survivor, with the newer name");
        review::split(&engine, &["b/customers/1".parse().unwrap()], WANG).unwrap();
        entered(&engine);
        assert_eq!((named(&engine, "smith"), named(&engine, "王")), (vec![2], vec![1]));
    });
}

#[test]
fn names_come_in_pages() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let items: Vec<_> = (1..=25)
            .map(|n| {
                record(
                    &format!("a/customers/{n}"),
                    n,
                    &json!({"name": format!("李{n:02}"), "email": format!("l{n}@x.example")}),
                )
            })
            .collect();
        feed(&engine, &items);
        entered(&engine);
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let found = called::named(&engine, "李", after.as_ref(), 10).unwrap();
            seen.extend(ids(&found));
            after = found.more;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, (1..=25).collect::<Vec<i64>>(), "each once, in the order of the names");
    });
}

#[test]
fn traffic_counts_a_day_and_no_more() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let minute = DAY_ONE_US / 60_000_000 + 60;
        let item = |n: i64| record(&format!("a/customers/{n}"), n, &json!({"name": "x"}));
        feed(&engine, &[item(1), item(2), record("b/customers/1", 1, &json!({"name": "y"}))]);
        let flow = |stretch, records| Flow { is_in: true, stretch, records };
        let since = |whose: Option<&str>, from| engine.store.read(|tx| traffic::since(tx, whose, from, 10)).unwrap();
        assert_eq!(since(None, minute - 10), [flow(1, 3)]);
        assert_eq!(
            (since(Some("a"), minute - 10), since(Some("b"), minute - 10)),
            (vec![flow(1, 2)], vec![flow(1, 1)])
        );
        feed(&engine, &[item(3)]);
        assert_eq!(since(Some("a"), minute - 10), [flow(1, 3)], "one minute adds up");
        // A day later the same minute begins anew, and yesterday's latecomer is not counted as today's.
        let mut tomorrow = item(4);
        tomorrow.received_us += 86_400_000_000;
        feed(&engine, &[tomorrow]);
        feed(&engine, &[item(5)]);
        assert_eq!(since(None, minute - 10), [flow(1, 1), flow(145, 1)]);
        assert_eq!(since(Some("a"), minute + 1440), [flow(0, 1)]);
    });
}

#[test]
fn letters_come_in_pages_and_are_retried_by_name() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let letter = |connection: &str, stage: &str, item| DeadLetter {
            number: 0,
            stage: stage.to_owned(),
            connection: connection.to_owned(),
            stream: Some("customers".to_owned()),
            external_id: Some(format!("{item}")),
            item,
            reason: "no".to_owned(),
            at_us: DAY_ONE_US,
        };
        let all = [letter("a", "fetch", 1), letter("a", "import", 2), letter("b", "fetch", 3), letter("b", "push", 4)];
        engine.store.write(|tx| inbox::bury(tx, &all)).unwrap();
        let list = |connection, stage, before, count| -> Vec<i64> {
            let chosen = Chosen { connection, stage };
            let found = engine.store.read(|tx| console::letters(tx, chosen, before, count)).unwrap();
            found.into_iter().map(|one| one.number).collect()
        };
        assert_eq!(list(None, None, i64::MAX, 3), [4, 3, 2]);
        assert_eq!(list(None, None, 2, 3), [1]);
        assert_eq!(list(Some("a"), None, i64::MAX, 9), [2, 1]);
        assert_eq!(list(Some("b"), Some("fetch"), i64::MAX, 9), [3]);
        let done = retry::by_steward(&engine, &BTreeSet::from([1, 2]), retry::Choice::Named, WANG).unwrap();
        assert_eq!((done.fetches, done.left), (1, vec![2]), "a row of a file is mended in the file");
        assert_eq!(list(None, None, i64::MAX, 9), [4, 3, 2]);
        let told = engine.store.read(|tx| stewards::commands(tx, 1)).unwrap();
        assert_eq!((told[0].what.as_str(), told[0].made_by.as_str()), ("retry", "wang"));
        let waiting = engine.store.read(console::fetches_waiting).unwrap();
        assert_eq!(waiting.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 1)]);
    });
}

#[test]
fn a_review_that_is_put_off_comes_last() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let person = |connection: &str, n: i64, name: &str| {
            record(&format!("{connection}/customers/{n}"), n, &json!({"name": name, "phone": "13800138000"}))
        };
        feed(&engine, &[person("a", 1, "李雷"), person("b", 1, "韩梅梅"), person("c", 1, "王芳")]);
        let list = || -> Vec<Place> {
            let found = engine.store.read(|tx| console::reviews(tx, Place::default(), 9)).unwrap();
            found.into_iter().map(|one| one.place).collect()
        };
        let numbers = || list().into_iter().map(|place| place.number).collect::<Vec<_>>();
        assert_eq!(numbers(), [1, 2]);
        engine.clock.advance_us(1);
        review::later(&engine, 1, Until::News, WANG).unwrap();
        assert_eq!(numbers(), [2, 1]);
        let after = engine.store.read(|tx| console::reviews(tx, list()[0], 9)).unwrap();
        assert_eq!(after.len(), 1, "a page goes on behind a place");
        review::decide(&engine, 2, Verdict::Apart, WANG).unwrap();
        assert_eq!((numbers(), engine.store.read(console::reviews_waiting).unwrap()), (vec![1], 1));
        let told = review::later(&engine, 2, Until::News, WANG).unwrap_err().to_string();
        assert!(told.contains("settled already"), "{told}");
    });
}

#[test]
fn a_person_pauses_a_connection() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        engine.store.write(|tx| streams::introduce(tx, "a", "kit", DAY_ONE_US)).unwrap();
        let state = || engine.store.read(streams::states).unwrap()["a"].clone();
        review::pause(&engine, "a", WANG).unwrap();
        assert_eq!((state().0.as_str(), state().1.as_deref()), ("paused", Some("paused by wang")));
        review::resume(&engine, "a", WANG).unwrap();
        assert_eq!((state().0.as_str(), state().1), ("observing", None));
        assert!(review::resume(&engine, "a", WANG).unwrap_err().to_string().contains("not paused"));
        assert!(review::pause(&engine, "nobody", WANG).unwrap_err().to_string().contains("no connection"));
        let told = engine.store.read(|tx| stewards::commands(tx, 9)).unwrap();
        assert_eq!(told.iter().map(|it| it.what.as_str()).collect::<Vec<_>>(), ["resume", "pause"]);
    });
}
