//! The queue of a steward: what is put off, decisions about many, and that rulings stand whatever comes after them.

use std::ops::ControlFlow;

use huiliu_core::clock::Clock;
use huiliu_core::engine::Engine;
use huiliu_core::replay::{self, Scope};
use huiliu_core::review::{self, Filter, Said, Steward, Until, Verdict};
use huiliu_core::store::{Store, stewards};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, MAPPING, customers, feed, on_both_stores, record};
use serde_json::json;

const WANG: Steward<'_> = Steward { name: "wang", why: "called both" };

const DAY_US: i64 = 86_400_000_000;

/// Reviews that are not put off.
fn awake(engine: &Engine) -> Vec<i64> {
    let now_us = engine.clock.now_us();
    let found = engine.store.read(|tx| stewards::awake_after(tx, 0, now_us, 99)).unwrap();
    found.into_iter().map(|it| it.number).collect()
}

#[test]
fn what_is_put_off_comes_back_on_its_day_or_with_news() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let first = json!({"name": "李雷", "phone": "13800138000", "tax_id": "91350100M000100Y43"});
        let second = |seconds, more: &serde_json::Value| {
            let mut body = json!({"name": "韩梅梅", "phone": "13800138000"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            record("b/customers/1", seconds, &body)
        };
        feed(&engine, &[record("a/customers/1", 1, &first), second(2, &json!({}))]);
        assert_eq!(awake(&engine), [1]);
        let now_us = engine.clock.now_us();
        let told = review::later(&engine, 1, Until::At(now_us), WANG).unwrap_err().to_string();
        assert!(told.contains("still to come"), "{told}");
        review::later(&engine, 1, Until::At(now_us + DAY_US), WANG).unwrap();
        assert_eq!(awake(&engine), [0; 0]);
        engine.clock.advance_us(DAY_US);
        assert_eq!(awake(&engine), [1], "its day has come");
        review::later(&engine, 1, Until::News, WANG).unwrap();
        engine.clock.advance_us(400 * DAY_US);
        feed(&engine, &[second(3, &json!({"title": "经理"}))]);
        assert_eq!(awake(&engine), [0; 0], "a title says nothing of who it is");
        feed(&engine, &[second(4, &json!({"tax_id": "91330000000000017T"}))]);
        assert_eq!(awake(&engine), [1], "another number speaks against it");
        let review = engine.store.read(|tx| stewards::review_by_number(tx, 1)).unwrap().unwrap().0;
        let levels: Vec<&str> = review.candidates[0].1.comparisons.iter().map(|it| it.level.as_str()).collect();
        assert!(levels.contains(&"conflict"), "and the reasons are those of today: {levels:?}");
        let told = review::decide(&engine, 1, Verdict::Apart, WANG);
        assert!(told.is_ok());
        assert!(review::later(&engine, 1, Until::News, WANG).unwrap_err().to_string().contains("settled already"));
    });
}

/// Households: of each telephone one person at `a`, and one whom nobody knows yet at each of the others.
fn households(engine: &Engine, phones: &[(&str, &[&str])]) {
    for (at, (phone, others)) in phones.iter().enumerate() {
        let mut items = vec![record(&format!("a/customers/{at}"), 1, &json!({"name": "李雷", "phone": phone}))];
        for (place, connection) in others.iter().enumerate() {
            let name = ["韩梅梅", "王芳"][place];
            items.push(record(&format!("{connection}/customers/{at}"), 2, &json!({"name": name, "phone": phone})));
        }
        feed(engine, &items);
    }
}

fn numbers(engine: &Engine, filter: &Filter) -> Vec<i64> {
    review::select(engine, filter).unwrap().into_iter().map(|it| it.number).collect()
}

#[test]
fn many_that_are_alike_are_decided_at_once_and_shown_before() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let phones: [(&str, &[&str]); 4] =
            [("13800138000", &["b"]), ("13800138001", &["c"]), ("13800138002", &["b"]), ("13800138003", &["b", "c"])];
        households(&engine, &phones);
        // One more, for other reasons.
        let born = |key: &str, name: &str| {
            record(
                key,
                1,
                &json!({"name": name, "phone": "13900139000", "tax_id": if key < "b" { "91350100M000100Y43" } else { "91330000000000017T" }}),
            )
        };
        feed(&engine, &[born("a/customers/9", "赵一"), born("b/customers/9", "钱二")]);
        let all = awake(&engine);
        assert_eq!(all.len(), 6);
        let like = Filter { like: Some(1), ..Filter::default() };
        assert_eq!(numbers(&engine, &like), [1, 2, 3, 4, 5], "the sixth contradicts");
        let of_c = Filter { connection: Some("c".to_owned()), ..Filter::default() };
        assert_eq!(numbers(&engine, &of_c), [2, 5]);
        let against = ("identity:tax_id".to_owned(), "conflict".to_owned());
        assert_eq!(numbers(&engine, &Filter { comparisons: vec![against], ..Filter::default() }), [6]);
        let score = review::select(&engine, &like).unwrap()[0].why.score;
        assert_eq!(numbers(&engine, &Filter { score_least: Some(score), ..Filter::default() }).len(), 5);
        assert_eq!(numbers(&engine, &Filter { score_most: Some(score - 0.5), ..Filter::default() }), [6]);
        let wrong = review::select(&engine, &Filter { like: Some(77), ..Filter::default() }).unwrap_err().to_string();
        assert!(wrong.contains("there is no review 77"), "{wrong}");
        assert_eq!(awake(&engine), all, "to look decides nothing");

        let put_off = review::decide_all(&engine, [2], Said::Later(Until::News), WANG).unwrap();
        assert_eq!(put_off.done, [2]);
        assert_eq!(numbers(&engine, &like), [1, 3, 4, 5], "what is put off is not meant");
        let before = customers(&engine).len();
        let same = review::decide_all(&engine, [1, 5], Said::Same, WANG).unwrap();
        assert_eq!((same.done, same.left), (vec![1], vec![5]), "whoever has two candidates needs somebody who looks");
        assert_eq!(customers(&engine).len(), before - 1);
        let apart = review::decide_all(&engine, [1, 3, 4], Said::Apart, WANG).unwrap();
        assert_eq!((apart.done, apart.left), (vec![3, 4], vec![1]));
        let commands = engine.store.read(|tx| stewards::commands(tx, 9)).unwrap();
        assert_eq!(commands.iter().filter(|it| it.made_by == "wang").count(), 4, "each is a command of its own");
    });
}

/// An engine that reads by this mapping.
fn reading(store: &Store, mapping: &str) -> Engine {
    let clock = Clock::manual(DAY_ONE_US);
    let connections = ["a", "b", "c"].map(|name| {
        let mut connection = kit::connection(name, &clock, None);
        connection.lenses = kit::lenses(mapping);
        connection
    });
    Engine::new(store.clone(), matching::Rules::shipped(), merge::Rules::shipped(), connections, clock.clone())
}

/// The records of each customer, in order.
fn groups(engine: &Engine) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = customers(engine).into_iter().map(|(_, records)| records).collect();
    for records in &mut groups {
        records.sort_unstable();
    }
    groups.sort_unstable();
    groups
}

#[test]
fn rulings_stand_through_rematching_replay_merges_and_splits() {
    on_both_stores(|store| {
        let without = MAPPING.replace("email = \"/email\"\nphone", "phone");
        assert_ne!(without, MAPPING);
        let engine = reading(&store, &without);
        let person = |key: &str, seconds, name: &str, phone: Option<&str>| {
            record(key, seconds, &json!({"name": name, "phone": phone, "email": "li@example.com"}))
        };
        // a/1 and b/1 are two, said a steward; a/1 and c/1 are one, though nothing says so but she.
        feed(&engine, &[person("a/customers/1", 1, "李雷", Some("13800138000"))]);
        assert_eq!(feed(&engine, &[person("b/customers/1", 2, "韩梅梅", Some("13800138000"))]).reviews, 1);
        review::decide(&engine, 1, Verdict::Apart, WANG).unwrap();
        feed(&engine, &[record("c/customers/1", 3, &json!({"name": "雷雷"}))]);
        review::link(&engine, 1, 3, WANG).unwrap();
        let ruled = [vec!["a/customers/1", "c/customers/1"], vec!["b/customers/1"]];
        assert_eq!(groups(&engine), ruled);

        // Re-matching: evidence that would join and part them.
        feed(&engine, &[person("b/customers/1", 4, "李雷", Some("13800138000"))]);
        feed(&engine, &[record("c/customers/1", 5, &json!({"name": "王芳", "tax_id": "91330000000000017T"}))]);
        assert_eq!(groups(&engine), ruled);

        // Replay under rules by which one address proves them all to be one.
        let engine = reading(&store, MAPPING);
        let all = Scope::default();
        let replayed = replay::apply(&engine, &all, "li", 3, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(replayed.done);
        assert_eq!(groups(&engine), ruled);
        feed(&engine, &[person("a/customers/1", 6, "李磊", Some("13800138000"))]);
        assert_eq!(groups(&engine), ruled, "and whatever is said after it");

        // A merge: whoever comes to one of them is kept from the other, too.
        feed(&engine, &[record("c/customers/2", 7, &json!({"name": "李雷", "phone": "13700137000"}))]);
        review::link(&engine, 2, 4, WANG).unwrap();
        let merged = [vec!["a/customers/1", "c/customers/1"], vec!["b/customers/1", "c/customers/2"]];
        assert_eq!(groups(&engine), merged);
        let proof = |seconds| {
            let body = json!({"name": "李磊", "phone": "13800138000", "email": "li@example.com"});
            record("c/customers/2", seconds, &body)
        };
        feed(&engine, &[proof(8)]);
        assert_eq!(groups(&engine), merged, "what it shares with the other does not join the two");

        // A split takes back that merge, and no other ruling.
        review::split(&engine, &["c/customers/2".parse().unwrap()], WANG).unwrap();
        feed(&engine, &[person("b/customers/1", 9, "李磊", Some("13800138000"))]);
        feed(&engine, &[record("c/customers/1", 10, &json!({"name": "赵一", "tax_id": "91330000000000017T"}))]);
        let found = groups(&engine);
        let with = |key: &str| found.iter().find(|it| it.contains(&key.to_owned())).unwrap();
        assert!(with("a/customers/1").contains(&"c/customers/1".to_owned()), "{found:?}");
        assert!(!with("a/customers/1").contains(&"b/customers/1".to_owned()), "{found:?}");
        assert!(!with("b/customers/1").contains(&"c/customers/2".to_owned()), "{found:?}");
        replay::apply(&engine, &all, "li", 3, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(groups(&engine), found);
    });
}
