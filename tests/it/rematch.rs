//! Who is who, decided anew: after the rules of matching changed, though nobody said anything new.

use std::ops::ControlFlow;

use huiliu_core::clock::Clock;
use huiliu_core::engine::Engine;
use huiliu_core::replay::{self, Replayed, Scope};
use huiliu_core::review::{self, Steward};
use huiliu_core::store::{Store, goldens, stewards};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, customers, feed, on_both_stores, record};
use serde_json::json;

const ALL: Scope = Scope { connection: None, stream: None, record: None, rematch: true };

fn look(engine: &Engine) -> Replayed {
    replay::look(engine, &ALL, 3, &mut |_| ControlFlow::Continue(())).expect("a look")
}

fn apply(engine: &Engine) -> Replayed {
    let done = replay::apply(engine, &ALL, "wang", 3, &mut |_| ControlFlow::Continue(())).expect("a replay");
    assert!(done.done);
    done
}

/// Systems `a` and `b`, read by the shipped rules with this one about e-mail addresses.
fn by(store: &Store, email: &str) -> Engine {
    const SHIPPED: &str = "\nemail = { strength = \"strong\", shared = true }\n";
    let text = include_str!("../../mappings/rules/match.toml");
    assert!(text.contains(SHIPPED), "the shipped rule of e-mail addresses is another");
    let rules = matching::Rules::parse("match.toml", &text.replace(SHIPPED, &format!("\nemail = {email}\n")));
    let clock = Clock::manual(DAY_ONE_US);
    let connections = ["a", "b"].map(|name| kit::connection(name, &clock, None));
    Engine::new(store.clone(), rules.expect("rules"), merge::Rules::shipped(), connections, clock)
}

fn living(engine: &Engine) -> Vec<i64> {
    engine.store.read(|tx| goldens::after(tx, "customer", 0, 10)).expect("read").iter().map(|it| it.id).collect()
}

const STRONG: &str = "{ strength = \"strong\", shared = true }";
const WEAK: &str = "{ strength = \"weak\" }";
const MEDIUM: &str = "{ strength = \"medium\", shared = true }";

#[test]
fn other_rules_join_part_and_ask_with_the_numbers_that_were() {
    on_both_stores(|store| {
        let engine = by(&store, WEAK);
        let told = |key: &str, name: &str| record(key, 1, &json!({"name": name, "email": "home@example.com"}));
        feed(&engine, &[told("a/customers/1", "李雷"), told("b/customers/1", "李雷")]);
        // Who agrees in more than the address is one by any of these rules.
        let han =
            |key: &str| record(key, 1, &json!({"name": "韩梅梅", "phone": "13900139000", "email": "han@example.com"}));
        feed(&engine, &[han("a/customers/2"), han("b/customers/2")]);
        let apart = customers(&engine);
        assert_eq!(apart.len(), 3, "{apart:?}");
        assert!(look(&engine).report.is_empty());

        let engine = by(&store, STRONG);
        let plain = Scope { rematch: false, ..ALL };
        let seen = replay::look(&engine, &plain, 0, &mut |_| ControlFlow::Continue(())).expect("a look");
        assert!(seen.report.is_empty(), "nobody said anything new: {seen:?}");
        let seen = look(&engine);
        assert_eq!((seen.report.joined, seen.report.parted, seen.report.asked), (1, 0, 0), "{seen:?}");
        assert_eq!(customers(&engine), apart, "a look changes nothing");
        assert_eq!(apply(&engine).report.joined, 1);
        assert_eq!(living(&engine), [1, 3]);
        assert!(apply(&engine).report.is_empty());

        let engine = by(&store, WEAK);
        let seen = look(&engine);
        // The names agree, so they stay, as do those of a customer who has a new address.
        assert!(seen.report.is_empty(), "{seen:?}");
    });
}

#[test]
fn who_is_not_one_by_new_rules_parts_and_a_ruling_stays() {
    on_both_stores(|store| {
        let engine = by(&store, STRONG);
        let told = |key: &str, email: &str| record(key, 1, &json!({ "email": email }));
        feed(&engine, &[told("a/customers/1", "home@example.com"), told("b/customers/2", "two@example.com")]);
        review::link(&engine, 1, 2, Steward { name: "wang", why: "one household" }).expect("a ruling");
        feed(&engine, &[told("b/customers/1", "home@example.com")]);
        assert_eq!(customers(&engine).len(), 1);

        let engine = by(&store, WEAK);
        let seen = look(&engine);
        assert_eq!((seen.report.joined, seen.report.parted), (0, 1), "{seen:?}");
        assert_eq!(apply(&engine).report.parted, 1);
        let together: Vec<Vec<String>> = customers(&engine).into_iter().map(|it| it.1).collect();
        assert_eq!(together, [vec!["a/customers/1", "b/customers/2"], vec!["b/customers/1"]]);
        assert!(apply(&engine).report.is_empty());

        let engine = by(&store, MEDIUM);
        let seen = look(&engine);
        assert_eq!((seen.report.joined, seen.report.parted), (0, 0), "{seen:?}");
        assert!(seen.report.asked > 0, "{seen:?}");
        apply(&engine);
        let asked = engine.store.read(|tx| stewards::waiting(tx, 10)).expect("read");
        assert!(!asked.is_empty());
    });
}
