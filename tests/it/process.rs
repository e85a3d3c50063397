//! What arrives becomes golden records: on both stores, in any order, once.

use huiliu_core::pipeline::{process, think};
use huiliu_core::store::{goldens, inbox, links, stewards};
use huiliu_tests::kit::{customers, engine, feed, on_both_stores, record};
use proptest::prelude::{Just, ProptestConfig, Strategy};
use serde_json::json;

#[test]
fn the_same_person_in_two_systems_is_one_customer() {
    on_both_stores(|store| {
        let engine = engine(store);
        let done = feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "email": "Li.Lei@example.com", "title": "经理"})),
                record(
                    "b/customers/x",
                    2,
                    &json!({"name": "李雷", "email": "li.lei@example.com", "phone": "138 0013 8000"}),
                ),
                record("a/customers/2", 3, &json!({"name": "韩梅梅", "email": "han@example.com"})),
            ],
        );
        assert_eq!((done.items, done.created, done.reviews, done.dead), (3, 2, 0, 0));
        let shown = customers(&engine);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0].1, ["a/customers/1", "b/customers/x"]);
        assert_eq!(shown[0].0["title"], "经理");
        assert_eq!(shown[0].0["phones.main"]["number"], "+8613800138000");
    });
}

#[test]
fn large_records_make_smaller_batches() {
    on_both_stores(|store| {
        let engine = engine(store);
        let large = |at: i64| {
            let (email, photo) = (format!("p{at}@example.com"), "x".repeat(300_000));
            record(
                &format!("a/customers/{at}"),
                at,
                &json!({"name": format!("Person {at}"), "email": email, "photo": photo}),
            )
        };
        let items: Vec<_> = (0..8).map(large).collect();
        engine.store.write(|tx| inbox::append(tx, &items)).unwrap();
        let fits = |after, count, bytes| engine.store.read(|tx| inbox::fits(tx, after, count, bytes)).unwrap();
        assert_eq!(fits(0, 2000, 1 << 20), 3);
        assert_eq!((fits(0, 2, 1 << 20), fits(0, 2000, 1 << 30)), (2, 2000), "all that was asked for");
        assert_eq!((fits(0, 2000, 1), fits(8, 2000, 1)), (1, 2000), "one always fits");
        let done = feed(&engine, &[]);
        assert_eq!((done.items, done.created), (8, 8));
    });
}

#[test]
fn what_was_read_ahead_is_dropped_where_somebody_else_took_it_in() {
    on_both_stores(|store| {
        let engine = engine(store);
        let person =
            |at: i64| record(&format!("a/customers/{at}"), at, &json!({"email": format!("p{at}@example.com")}));
        let items: Vec<_> = (0..4100).map(person).collect();
        engine.store.write(|tx| inbox::append(tx, &items)).unwrap();
        let mut ahead = process::ReadAhead::default();
        assert_eq!(ahead.batch(&engine).unwrap().created, 2000);
        assert_eq!(process::batch(&engine).unwrap().created, 2000, "what waits to be settled is nobody's yet");
        let rest = ahead.batch(&engine).unwrap();
        assert_eq!((rest.items, rest.created), (100, 100));
        assert_eq!(ahead.batch(&engine).unwrap(), process::Processed::default());
        assert_eq!(engine.store.read(|tx| tx.max("id", "golden")).unwrap(), 4100);
    });
}

#[test]
fn passes_take_in_a_few_at_a_time_and_leave_what_is_much_to_batches() {
    on_both_stores(|store| {
        let engine = engine(store);
        // Half of them are somebody who came before, from another system.
        let person = |at: i64| {
            let key = format!("{}/customers/{at}", if at % 2 == 0 { "a" } else { "b" });
            record(
                &key,
                at,
                &json!({"name": format!("Person {}", at / 2), "email": format!("p{}@example.com", at / 2)}),
            )
        };
        let append = |people: std::ops::Range<i64>| {
            let items: Vec<_> = people.map(person).collect();
            engine.store.write(|tx| inbox::append(tx, &items)).unwrap();
        };
        let pass = || {
            let pass = think::pass(&engine).unwrap();
            (pass.processed.items, pass.processed.created, pass.is_cut, pass.is_whole)
        };
        let goldens = || engine.store.read(|tx| tx.max("id", "golden")).unwrap();
        append(0..256);
        let took: Vec<_> = (0..8).map(|_| pass()).collect();
        assert_eq!(took[..7], [(32, 16, true, true); 7]);
        assert_eq!(took[7], (32, 16, false, true), "nothing waits after the last");
        assert_eq!(pass(), (0, 0, false, true));
        append(256..513);
        assert_eq!(
            (pass(), goldens()),
            ((0, 0, false, false), 128),
            "one more than passes take in: nothing is touched"
        );
        let batch = process::batch(&engine).unwrap();
        assert_eq!((batch.items, batch.created, goldens()), (257, 129, 257));
        let shown = customers(&engine);
        let alone = shown.iter().filter(|(_, links)| links.len() == 1).count();
        assert_eq!((shown.len(), alone), (257, 1), "everybody but the last came from both systems");
    });
}

#[test]
fn echo_dies_at_merge() {
    on_both_stores(|store| {
        let engine = engine(store);
        let first = record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com"}));
        feed(&engine, std::slice::from_ref(&first));
        let again = feed(&engine, &[first.clone(), first]);
        assert_eq!((again.items, again.changes), (2, 0), "a repeat writes no change");
        let stale = feed(&engine, &[record("a/customers/1", 0, &json!({"name": "旧名", "email": "li@example.com"}))]);
        assert_eq!(stale.changes, 0, "an older version dies on the record");
        assert_eq!(customers(&engine)[0].0["display_name"], "李雷");
        let lines = engine.store.read(|tx| links::history(tx, 1, 10)).unwrap();
        let outcomes: Vec<&str> = lines.iter().map(|line| line.outcome.as_str()).collect();
        assert_eq!(outcomes, ["created", "echo", "echo", "stale"]);
    });
}

#[test]
fn one_record_joins_two_customers_and_the_lower_id_survives() {
    on_both_stores(|store| {
        let engine = engine(store);
        feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com"})),
                record("b/customers/1", 2, &json!({"name": "李雷", "phone": "13800138000"})),
            ],
        );
        assert_eq!(customers(&engine).len(), 2);
        feed(
            &engine,
            &[record("c/customers/1", 3, &json!({"name": "李雷", "email": "li@example.com", "phone": "13800138000"}))],
        );
        let shown = customers(&engine);
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].1.len(), 3);
        let lost = engine.store.read(|tx| goldens::by_ids(tx, [2])).unwrap();
        assert_eq!(lost[0].merged_into, Some(1));
        let later = feed(&engine, &[record("b/customers/2", 4, &json!({"name": "李雷", "phone": "13800138000"}))]);
        assert_eq!(later.created, 0, "the moved link is found under its new customer");
    });
}

#[test]
fn a_shared_phone_with_another_name_waits_for_a_steward() {
    on_both_stores(|store| {
        let engine = engine(store);
        let done = feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "phone": "13800138000"})),
                record("b/customers/1", 2, &json!({"name": "韩梅梅", "phone": "13800138000"})),
            ],
        );
        assert_eq!((done.created, done.reviews), (2, 1));
    });
}

#[test]
fn a_link_whose_companions_contradict_is_not_merged() {
    on_both_stores(|store| {
        let engine = engine(store);
        feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com"})),
                record(
                    "b/customers/1",
                    2,
                    &json!({"name": "李雷", "email": "li@example.com", "tax_id": "91350100M000100Y43"}),
                ),
                record(
                    "c/customers/1",
                    3,
                    &json!({"name": "李雷", "phone": "13800138000", "tax_id": "91110000MA0000000H"}),
                ),
            ],
        );
        assert_eq!(customers(&engine).len(), 2);
        // By its telephone it could as well be the customer of c, by its address that of b, and those are two by their taxes.
        let both = |seconds, title: &str| {
            let body = json!({"name": "李雷", "email": "li@example.com", "phone": "13800138000", "title": title});
            record("a/customers/1", seconds, &body)
        };
        feed(&engine, &[both(4, "A")]);
        assert_eq!(customers(&engine).len(), 3, "different tax ids: a steward decides");
        let waiting = engine.store.read(|tx| stewards::waiting(tx, 10)).unwrap();
        assert_eq!((waiting.len(), waiting[0].candidates.len()), (1, 2), "{waiting:?}");
        assert_eq!(feed(&engine, &[both(5, "B")]).reviews, 0, "the question waits already");
    });
}

#[test]
fn a_doubt_about_a_known_record_reaches_the_steward_once() {
    on_both_stores(|store| {
        let engine = engine(store);
        feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "phone": "13800138000"})),
                record("b/customers/1", 2, &json!({"name": "韩梅梅", "email": "han@example.com"})),
                record("b/customers/2", 3, &json!({"name": "王芳", "phone": "13900139000"})),
            ],
        );
        let update = |seconds, phone: &str, title: &str| {
            let body = json!({"name": "韩梅梅", "email": "han@example.com", "phone": phone, "title": title});
            record("b/customers/1", seconds, &body)
        };
        assert_eq!(feed(&engine, &[update(4, "13800138000", "A"), update(5, "13800138000", "B")]).reviews, 1);
        assert_eq!(feed(&engine, &[update(6, "13800138000", "C")]).reviews, 0);
        assert_eq!(feed(&engine, &[update(7, "13900139000", "D")]).reviews, 1, "now about somebody else");
        let waiting = engine.store.read(|tx| stewards::waiting(tx, 10)).unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!((waiting[0].link, waiting[0].golden, waiting[0].candidates[0].0), (2, 2, 3));
    });
}

#[test]
fn what_cannot_be_read_is_kept_and_loses_nothing_else() {
    on_both_stores(|store| {
        let engine = engine(store);
        let mut garbled = record("a/customers/9", 1, &json!({}));
        garbled.body = b"{\"name\": ".to_vec();
        // Half of a character is a valid text of JSON, and no value.
        let mut halved = record("a/customers/8", 1, &json!({}));
        halved.body = br#"{"name": "\ud800"}"#.to_vec();
        let whole = record("a/customers/1", 1, &json!({"name": "李雷", "phone": "call me"}));
        let done = feed(&engine, &[garbled, halved, whole]);
        assert_eq!((done.items, done.dead, done.created), (3, 2, 1));
        let dead = engine.store.read(|tx| inbox::dead_letters(tx, 10)).unwrap();
        for letter in &dead {
            assert!(letter.reason.contains("the record is not JSON"), "{}", letter.reason);
        }
        let lines = engine.store.read(|tx| links::history(tx, 1, 10)).unwrap();
        assert!(lines[0].detail.as_ref().unwrap().contains("not_a_phone"));
    });
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// The golden records of the same records are the same in any order of arrival.
    #[test]
    fn order_does_not_matter(order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle()) {
        let records = [
            record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com", "title": "A"})),
            record("b/customers/1", 2, &json!({"name": "李雷", "phone": "13800138000", "title": "B"})),
            record("c/customers/1", 3, &json!({"name": "李雷", "email": "li@example.com", "phone": "13800138000"})),
            record("a/customers/2", 4, &json!({"name": "韩梅梅", "email": "han@example.com", "tags": ["x"]})),
            record("b/customers/2", 5, &json!({"name": "韩梅梅", "email": "han@example.com", "tags": ["y"]})),
            record("c/customers/3", 6, &json!({"name": "Jim", "email": "jim@example.com"})),
        ];
        let shuffled: Vec<_> = order.iter().map(|at| records[*at].clone()).collect();
        let run = |items: &[_]| {
            let folder = tempfile::tempdir().unwrap();
            let store = huiliu_core::store::Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).unwrap();
            let engine = engine(store);
            feed(&engine, items);
            customers(&engine)
        };
        proptest::prop_assert_eq!(run(&shuffled), run(&records));
    }
}
