//! What evidence joined, evidence may part again: a value that is corrected, one that many share, one that was given to
//! somebody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::engine::Engine;
use huiliu_core::store::Store;
use huiliu_core::store::inbox::InboxItem;
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, customers, feed, on_both_stores, record};
use huiliu_tests::memory::Memory;
use serde_json::json;

use crate::review::{hub, settle};

/// Who is with whom.
fn partition(engine: &Engine) -> Vec<Vec<String>> {
    customers(engine).into_iter().map(|(_, records)| records).collect()
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let put = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(move |at| put(order, at))).collect()
}

/// At most so many orders, the same at each run.
const ORDERS_MAX: usize = 60;

/// Many orders on SQLite, each in a store of its own; some of them on Postgres.
fn in_orders(count: usize, check: impl Fn(Store, &[usize])) {
    let folder = tempfile::tempdir().expect("a folder");
    let all = orders(count);
    for (number, order) in all.iter().step_by(all.len().div_ceil(ORDERS_MAX)).enumerate() {
        let url = format!("sqlite:{}", folder.path().join(format!("{number}.db")).display());
        check(Store::open(&url).expect("a store"), order);
        if number % 23 == 7 {
            check(Store::open(&huiliu_tests::postgres::database()).expect("Postgres opens"), order);
        }
    }
}

#[test]
fn a_corrected_address_parts_whom_it_joined_in_any_order() {
    let items = [
        record("a/customers/li", 1, &json!({"name": "李雷", "email": "li@example.com", "phone": "13800138000"})),
        record("b/customers/han", 2, &json!({"name": "李雷", "email": "li@example.com", "phone": "13900139000"})),
        record("b/customers/han", 3, &json!({"name": "韩梅梅", "email": "han@example.com", "phone": "13900139000"})),
        record("c/customers/mei", 4, &json!({"email": "han@example.com"})),
    ];
    let wanted = [vec!["a/customers/li"], vec!["b/customers/han", "c/customers/mei"]];
    in_orders(items.len(), |store, order| {
        let engine = kit::engine(store);
        for at in order {
            feed(&engine, &[items[*at].clone()]);
        }
        assert_eq!(partition(&engine), wanted, "{order:?}");
    });
}

#[test]
fn who_was_there_keeps_the_number_and_who_came_from_elsewhere_gets_his_own_back() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let number = |key: &str| {
            let key = key.parse().expect("a key");
            let found = engine.store.read(|tx| huiliu_core::store::links::by_keys(tx, [&key])).expect("read");
            found[0].golden
        };
        let han = |seconds, email: &str| record("b/customers/han", seconds, &json!({"email": email}));
        feed(&engine, &[record("a/customers/li", 1, &json!({"name": "李雷", "email": "li@example.com"}))]);
        let mei = json!({"name": "韩梅梅", "email": "han@example.com"});
        feed(&engine, &[han(2, "han@example.com"), record("c/customers/mei", 2, &mei)]);
        assert_eq!((number("a/customers/li"), number("b/customers/han")), (1, 2));
        feed(&engine, &[han(3, "li@example.com")]);
        // Mei and Li are two by their names; the record in between goes with what it says now.
        assert_eq!(["a/customers/li", "b/customers/han", "c/customers/mei"].map(number), [1, 1, 2]);
        feed(&engine, &[han(4, "han@example.com")]);
        assert_eq!(["a/customers/li", "b/customers/han", "c/customers/mei"].map(number), [1, 2, 2]);
        // Who gets a new address is the same person, by his name.
        feed(&engine, &[record("c/customers/li", 5, &json!({"name": "李雷", "email": "li@example.com"}))]);
        feed(&engine, &[record("c/customers/li", 6, &json!({"name": "李雷", "email": "lei@example.com"}))]);
        assert_eq!(number("c/customers/li"), 1);
    });
}

#[test]
fn a_record_that_knows_only_the_former_address_follows_who_moved() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let li = |seconds, email: &str| record("a/customers/li", seconds, &json!({"name": "李雷", "email": email}));
        feed(&engine, &[li(1, "li@example.com"), record("b/customers/news", 1, &json!({"email": "li@example.com"}))]);
        feed(&engine, &[li(2, "lei@example.com")]);
        assert_eq!(partition(&engine).len(), 1, "{:?}", partition(&engine));
        // Somebody who is found by the new address meets both, and a namesake of nobody nobody.
        feed(&engine, &[record("c/customers/li", 3, &json!({"name": "李雷", "email": "lei@example.com"}))]);
        assert_eq!(partition(&engine).len(), 1, "{:?}", partition(&engine));
        // Until the former address is somebody else's.
        feed(&engine, &[record("c/customers/han", 4, &json!({"name": "韩梅梅", "email": "li@example.com"}))]);
        let wanted = [vec!["a/customers/li", "c/customers/li"], vec!["b/customers/news", "c/customers/han"]];
        assert_eq!(partition(&engine), wanted);
    });
}

#[test]
fn what_many_customers_share_is_no_evidence_in_any_order() {
    let shared = "13800138000";
    let named = |key: &str, name: &str| record(key, 1, &json!({"name": name, "phone": shared}));
    let items: Vec<InboxItem> = vec![
        record("a/customers/x", 1, &json!({"phone": shared, "email": "x@example.com"})),
        record("b/customers/y", 1, &json!({"phone": shared})),
        named("a/customers/1", "李雷"),
        named("b/customers/2", "韩梅梅"),
        named("c/customers/3", "王芳"),
        record("c/customers/x", 1, &json!({"phone": shared, "email": "x@example.com"})),
    ];
    let mut wanted: Vec<Vec<&str>> =
        ["a/customers/1", "b/customers/2", "b/customers/y", "c/customers/3"].map(|it| vec![it]).to_vec();
    wanted.insert(1, vec!["a/customers/x", "c/customers/x"]);
    let rules = include_str!("../../mappings/rules/match.toml").replace("customers_max = 40", "customers_max = 2");
    let rules = matching::Rules::parse("match.toml", &rules).expect("rules");
    let begin = |store: Store| {
        let clock = Clock::manual(DAY_ONE_US);
        let connections = ["a", "b", "c"].map(|name| kit::connection(name, &clock, None));
        Engine::new(store, rules.clone(), merge::Rules::shipped(), connections, clock)
    };
    in_orders(items.len(), |store, order| {
        let engine = begin(store);
        let (early, late) = order.split_at(3);
        for at in early {
            feed(&engine, &[items[*at].clone()]);
        }
        feed(&engine, &late.iter().map(|at| items[*at].clone()).collect::<Vec<_>>());
        assert_eq!(partition(&engine), wanted, "{order:?}");
    });
    // By the shipped rules so few may share it.
    on_both_stores(|store| {
        let engine = kit::engine(store);
        feed(&engine, &items[..2]);
        assert_eq!(partition(&engine).len(), 1);
    });
}

#[test]
fn a_number_that_is_given_to_somebody_else_joins_nobody() {
    on_both_stores(|store| {
        let (a, b) = (Arc::new(Memory::new(false)), Arc::new(Memory::new(false)));
        let clock = Clock::manual(DAY_ONE_US);
        let engine = hub(&store, &a, &b, &clock);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (old, new) = ("13800138000", "13900139000");
        a.edit("li", &json!({"name": "李雷", "email": "li@example.com", "phone": old}));
        b.edit("li", &json!({"name": "李雷", "email": "li@example.com", "phone": old}));
        settle(&engine, &runtime);
        assert_eq!(customers(&engine).len(), 1);
        // He gets a new number; the other system is told, and the carrier gives the old one away.
        a.edit("li", &json!({"phone": new}));
        settle(&engine, &runtime);
        assert_eq!(b.get("li")["phone"], json!("+8613900139000"));
        a.edit("zhao", &json!({"phone": old}));
        b.edit("qian", &json!({"phone": new}));
        settle(&engine, &runtime);
        let together: BTreeMap<String, usize> = partition(&engine)
            .into_iter()
            .enumerate()
            .flat_map(|(at, records)| records.into_iter().map(move |record| (record, at)))
            .collect();
        assert_ne!(together["a/customers/zhao"], together["a/customers/li"], "{together:?}");
        assert_eq!(together["b/customers/qian"], together["a/customers/li"], "{together:?}");
    });
}

#[test]
fn who_would_chain_two_that_disagree_is_a_question() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let firm = |key: &str, tax: &str, way: &str, value: &str| {
            record(key, 1, &json!({"name": "甲公司", "tax_id": tax, way: value}))
        };
        let one = firm("a/customers/1", "91310000MA1FL5E40E", "phone", "13800138000");
        let other = firm("b/customers/2", "91310000MA1K35Y716", "email", "two@example.com");
        feed(&engine, &[one, other]);
        let bridge = json!({"name": "甲公司", "phone": "13800138000", "email": "two@example.com"});
        assert_eq!(feed(&engine, &[record("c/customers/3", 2, &bridge)]).reviews, 1);
        assert_eq!(partition(&engine).len(), 3);
    });
}
