//! What the store teaches about who is who, on both stores: decisions, samples, and what another model would decide.

use std::collections::BTreeMap;

use huiliu_core::engine::Engine;
use huiliu_core::review::{self, Steward, Verdict, learn};
use huiliu_mappings::matching::linkage::{Aim, Basis};
use huiliu_mappings::matching::{Answer, Evidence, Subject};
use huiliu_tests::kit::{self, feed, on_both_stores, record};
use serde_json::json;

const WANG: Steward<'_> = Steward { name: "wang", why: "called both" };

/// Two people with one telephone: the second one is a question.
fn household(engine: &Engine, at: usize) {
    let phone = format!("1380013800{at}");
    for (connection, name) in [("a", "李雷"), ("b", "韩梅梅")] {
        feed(engine, &[record(&format!("{connection}/customers/{at}"), 1, &json!({"name": name, "phone": phone}))]);
    }
}

fn said<'a>(of: &'a Evidence, kind: &str) -> Option<&'a str> {
    of.identities.iter().find(|it| it.kind.as_str() == kind).map(|it| it.value.as_str())
}

#[test]
fn what_stewards_decided_is_found_as_they_decided_it() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        (0..5).for_each(|at| household(&engine, at));
        engine.clock.advance_us(1);
        assert_eq!(review::decide(&engine, 1, Verdict::Same(1), WANG).unwrap(), 1);
        engine.clock.advance_us(1);
        review::decide(&engine, 2, Verdict::Apart, WANG).unwrap();
        engine.clock.advance_us(1);
        // What was linked by hand and parted again: the last word counts.
        let golden = review::link(&engine, 5, 6, WANG).unwrap();
        engine.clock.advance_us(1);
        review::split(&engine, &["b/customers/2".parse().unwrap()], WANG).unwrap();
        assert_eq!(golden, 5);
        let lesson = learn::stored(&engine, 1_000, &mut |_, _| ()).unwrap().lesson;
        assert_eq!(lesson.records.len(), 10);
        let phone = |at: usize| said(&lesson.records[at], "phone").unwrap_or_default().to_owned();
        let decided: Vec<(String, usize, bool)> =
            lesson.decided.iter().map(|it| (phone(it.record), it.others.len(), it.same)).collect();
        let number = |at: usize| format!("+861380013800{at}");
        let mut expected = vec![(number(0), 1, true), (number(1), 1, false), (number(2), 1, false)];
        expected.sort();
        let mut found = decided;
        found.sort();
        assert_eq!(found, expected);
        assert!(lesson.decided.iter().all(|it| phone(it.record) == phone(it.others[0])));

        let worth: Vec<i64> = review::most_worth(&engine, 99).unwrap().into_iter().map(|it| it.number).collect();
        assert_eq!(worth, [4, 5], "those that still wait");
        assert_eq!(review::most_worth(&engine, 1).unwrap().len(), 1);
    });
}

#[test]
fn a_sample_takes_customers_whole() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        for at in 0..40 {
            let body = json!({"name": "李雷", "email": format!("li{at}@example.com")});
            for connection in ["a", "b"] {
                feed(&engine, &[record(&format!("{connection}/customers/{at}"), 1, &body)]);
            }
        }
        let all = learn::stored(&engine, 1_000, &mut |_, _| ()).unwrap();
        assert_eq!((all.lesson.records.len(), all.every), (80, 1));
        let some = learn::stored(&engine, 20, &mut |_, _| ()).unwrap();
        assert_eq!(some.every, 4);
        let mut of: BTreeMap<&str, usize> = BTreeMap::new();
        for it in &some.lesson.records {
            *of.entry(said(it, "email").unwrap_or_default()).or_default() += 1;
        }
        assert!((4..=20).contains(&of.len()) && of.values().all(|count| *count == 2), "{of:?}");
    });
}

#[test]
fn other_bounds_are_held_against_what_is_stored() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        household(&engine, 0);
        for connection in ["a", "b"] {
            feed(&engine, &[record(&format!("{connection}/customers/9"), 1, &json!({"email": "li@example.com"}))]);
        }
        let look = |rules: &_| learn::turns(&engine, rules, 1_000, &mut |_, _| ()).unwrap();
        let same = look(&engine.matching);
        assert_eq!((same.records, same.pairs, same.turns.len()), (4, 2, 0), "{same:?}");
        let aim = |link: f64| Aim {
            precision: 0.9999,
            by: Basis::Chances,
            decisions: 0,
            bounds: Some([link, -3.0]),
            measured: None,
        };
        let model = engine.matching.model(Subject::Person).clone().aiming(aim(30.0));
        let rules = engine.matching.clone().with_model(Subject::Person, model).unwrap();
        let turns = look(&rules).turns;
        // The household is asked about for its names, whatever the bound is.
        assert_eq!(turns.len(), 1, "{turns:?}");
        assert_eq!((turns[0].before, turns[0].after, turns[0].pairs), (Answer::Same, Answer::Ask, 1));
        assert_eq!(turns[0].samples, [["a/customers/9".to_owned(), "b/customers/9".to_owned()]]);
        // What a steward ruled stands whatever a model says.
        review::link(&engine, 1, 2, WANG).unwrap();
        assert_eq!(look(&rules).pairs, 1);
    });
}
