//! Conflicts: noticed when they happen, settled at once, shown from what the links say, restorable; and the clocks of
//! the systems, which decide none of them.

use std::ops::ControlFlow;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::conflict::{self, Conflict, Wanted};
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::process;
use huiliu_core::replay::{self, Scope};
use huiliu_core::review::{self, Steward};
use huiliu_core::store::Store;
use huiliu_tests::kit::{self, DAY_ONE_US, feed, on_both_stores, record};
use huiliu_tests::memory::Memory;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::directions::World;

const WANG: Steward<'_> = Steward { name: "wang", why: "called him" };

fn open(engine: &Engine) -> Vec<Conflict> {
    conflict::list(engine, &Wanted::default(), i64::MAX, 100).expect("conflicts")
}

/// Field, the value that stands, by whom and why, and the values that lost.
fn told(engine: &Engine) -> Vec<(String, Value, String, String, Vec<Value>)> {
    let mut all: Vec<_> = open(engine)
        .into_iter()
        .map(|it| {
            let lost = it.lost.into_iter().map(|word| word.value).collect();
            (it.field.to_string(), it.winner.value, it.winner.connection, it.rule, lost)
        })
        .collect();
    all.sort_by_key(|it| it.0.clone());
    all
}

/// Two systems that hold one customer and agree.
fn pair(store: Store, config: &str) -> World {
    let clock = Clock::manual(DAY_ONE_US);
    let systems = [Arc::new(Memory::clocked(clock.clone(), 0, true)), Arc::new(Memory::new(true))];
    let world = World::new(store, &systems, &clock, config);
    for name in ["a", "b"] {
        world.system(name).edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        world.settle();
    }
    world.system("a").edit("1", &json!({"title": "Boss", "phone": "13800138000"}));
    world.settle();
    assert_eq!(world.system("b").get("1")["title"], "BOSS", "it writes titles its own way");
    assert!(open(&world.engine).is_empty(), "one said what the other had not");
    world
}

fn both(world: &World, field: &str) -> (Value, Value) {
    (world.system("a").get("1")[field].clone(), world.system("b").get("1")[field].clone())
}

#[test]
fn edits_of_different_fields_in_two_systems_both_survive() {
    on_both_stores(|store| {
        let world = pair(store, "");
        world.system("a").edit("1", &json!({"title": "CEO"}));
        world.system("b").edit("1", &json!({"phone": "13900139000", "name": "李磊"}));
        world.settle();
        assert_eq!(both(&world, "title"), (json!("CEO"), json!("CEO")));
        assert_eq!(both(&world, "name"), (json!("李磊"), json!("李磊")));
        assert_eq!(world.golden("phones.main")["number"], "+8613900139000");
        assert!(world.system("a").get("1")["phone"].as_str().is_some_and(|phone| phone.ends_with("13900139000")));
        // The same while the hub already writes the one edit to the record that is edited meanwhile.
        world.system("a").edit("1", &json!({"title": "CTO"}));
        world.pull(&world.engine.connections["a"]);
        process::batch(&world.engine).expect("process");
        world.system("b").edit("1", &json!({"name": "李雷雷"}));
        world.settle();
        assert_eq!((both(&world, "title").1, both(&world, "name").0), (json!("CTO"), json!("李雷雷")));
        assert!(open(&world.engine).is_empty(), "{:?}", told(&world.engine));
    });
}

#[test]
fn edits_of_one_field_are_a_conflict_however_they_arrive_and_an_edit_of_what_is_known_is_none() {
    on_both_stores(|store| {
        let world = pair(store, "");
        for batches in [1, 2] {
            world.system("a").edit("1", &json!({"name": format!("李{batches}甲")}));
            if batches == 2 {
                world.pull(&world.engine.connections["a"]);
                process::batch(&world.engine).expect("process");
            }
            world.engine.clock.advance_us(5_000_000);
            world.system("b").edit("1", &json!({"name": format!("李{batches}乙")}));
            world.settle();
            let (won, lost) = (json!(format!("李{batches}乙")), json!(format!("李{batches}甲")));
            let rule = "most_recent".to_owned();
            assert_eq!(told(&world.engine), [("display_name".into(), won.clone(), "b".into(), rule, vec![lost])]);
            assert_eq!(both(&world, "name"), (won.clone(), won), "nothing waits for anybody");
            // Whoever speaks next knows both: it is over. A target's own spelling is no word of anybody.
            world.system("a").edit("1", &json!({"name": "李雷", "title": format!("No {batches}")}));
            world.settle();
            world.system("a").edit("1", &json!({"title": format!("No {batches}a")}));
            world.settle();
            assert_eq!(both(&world, "title").1, format!("NO {batches}A"));
            assert!(open(&world.engine).is_empty(), "{:?}", told(&world.engine));
        }
    });
}

#[test]
fn a_word_that_a_rule_overrules_is_kept_and_listed() {
    on_both_stores(|store| {
        let world = pair(store, "[connections.a.fields.customer]\ndisplay_name = 'owns'\n");
        world.system("b").edit("1", &json!({"name": "李磊"}));
        world.settle();
        assert_eq!(both(&world, "name"), (json!("李雷"), json!("李雷")));
        let lost = vec![json!("李磊")];
        assert_eq!(told(&world.engine), [("display_name".into(), json!("李雷"), "a".into(), "owns".into(), lost)]);
        let wanted = |wanted: Wanted<'_>| conflict::list(&world.engine, &wanted, i64::MAX, 10).expect("a list").len();
        assert_eq!(wanted(Wanted { golden: Some(1), connection: Some("b"), field: Some("display_name") }), 1);
        assert_eq!(wanted(Wanted { golden: Some(2), ..Wanted::default() }), 0);
        assert_eq!(wanted(Wanted { connection: Some("c"), ..Wanted::default() }), 0);
        assert_eq!(wanted(Wanted { field: Some("title"), ..Wanted::default() }), 0);
    });
}

#[test]
fn a_lost_word_is_restored_by_one_command_and_a_decision_is_made_once() {
    on_both_stores(|store| {
        let world = pair(store, "");
        world.system("a").edit("1", &json!({"name": "李甲"}));
        world.engine.clock.advance_us(5_000_000);
        world.system("b").edit("1", &json!({"name": "李乙"}));
        world.settle();
        let number = open(&world.engine)[0].number;
        let told = conflict::decide(&world.engine, number, "shop", WANG).unwrap_err().to_string();
        assert_eq!(told, format!("conflict {number} is between b/customers/1, a/customers/1; name one of them"));
        let done = conflict::decide(&world.engine, number, "a", WANG).expect("a decision");
        assert_eq!((done.verdict, done.value), ("pinned", json!("李甲")));
        world.settle();
        assert_eq!(both(&world, "name"), (json!("李甲"), json!("李甲")));
        assert!(open(&world.engine).is_empty());
        let kept = conflict::one(&world.engine, number).expect("a read").expect("it is kept");
        assert_eq!(kept.decided.as_ref().map(|it| (it.0.as_str(), it.1.as_str())), Some(("pinned", "wang")));
        let told = conflict::decide(&world.engine, number, "b", WANG).unwrap_err().to_string();
        assert!(told.contains("decided already (pinned)"), "{told}");
        // The word that stands may be confirmed; a pin that is taken away leaves the rules.
        review::unpin(&world.engine, 1, &"display_name".into(), WANG).expect("unpinned");
        world.settle();
        assert_eq!(both(&world, "name").0, "李乙");
        world.system("a").edit("1", &json!({"name": "李丙"}));
        world.engine.clock.advance_us(5_000_000);
        world.system("b").edit("1", &json!({"name": "李丁"}));
        world.settle();
        let number = open(&world.engine)[0].number;
        assert_eq!(conflict::decide(&world.engine, number, "b/customers/1", WANG).expect("stands").verdict, "stands");
        assert!(open(&world.engine).is_empty());
    });
}

#[test]
fn records_that_meet_with_different_words_conflict_unless_one_system_holds_both() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let person = |key: &str, seconds, title: &str| {
            record(key, seconds, &json!({"name": "李雷", "email": "li@example.com", "title": title, "tags": [title]}))
        };
        feed(&engine, &[person("a/customers/1", 1, "甲"), person("a/customers/2", 2, "乙")]);
        assert!(open(&engine).is_empty(), "one system that contradicts itself");
        feed(&engine, &[person("b/customers/1", 3, "丙"), person("c/customers/1", 4, "丙")]);
        let rows = told(&engine);
        assert!(rows.iter().all(|it| it.0 == "title" && it.1 == "丙"), "a union loses nothing: {rows:?}");
        assert_eq!(rows.len(), 2, "against both of a: {rows:?}");
        // What one of both says anew, or says alike, is over; so is what was parted.
        feed(&engine, &[person("a/customers/1", 5, "丙")]);
        assert_eq!(told(&engine).len(), 1);
        review::split(&engine, &["a/customers/2".parse().expect("a key")], WANG).expect("a split");
        assert!(open(&engine).is_empty());
        review::link(&engine, 1, 2, WANG).expect("together again");
        assert_eq!(told(&engine)[0].4, [json!("乙")], "they meet once more");
    });
}

/// One edit: which system, which field, how many seconds later, and what the hub does afterwards.
type Edit = (usize, usize, i64, u8);

/// Plays edits in systems whose clocks are off, and which knew the customer from the beginning: all of them in full, or
/// one, so that the others have it from the hub. Returns what the hub and every system hold, by field.
fn played(store: Store, off_s: [i64; 3], edits: &[Edit], is_told: bool, all_knew: bool) -> Vec<[Value; 4]> {
    let clock = Clock::manual(DAY_ONE_US);
    let systems = off_s.map(|off| Arc::new(Memory::clocked(clock.clone(), off * 1_000_000, is_told)));
    let world = World::new(store, &systems, &clock, "");
    let whole = json!({"name": "李雷", "email": "li@example.com", "phone": "13800138000", "title": "x"});
    let little = json!({"email": "li@example.com"});
    for (at, system) in systems.iter().enumerate() {
        system.edit("1", if at == 0 || all_knew { &whole } else { &little });
        world.settle();
    }
    for (number, (whose, field, gap_s, then)) in edits.iter().enumerate() {
        clock.advance_us(gap_s * 1_000_000);
        systems[*whose].edit("1", &edit(*field, number));
        match then {
            0 => {}
            1 => {
                for connection in world.engine.connections.values() {
                    world.pull(connection);
                }
                process::batch(&world.engine).expect("process");
            }
            _ => world.settle(),
        }
    }
    world.settle();
    let again = replay::look(&world.engine, &Scope::default(), 1, &mut |_| ControlFlow::Continue(())).expect("a look");
    assert_eq!((again.report.goldens, again.samples), (0, Vec::new()), "a replay reads the same instants");
    FIELDS
        .iter()
        .map(|(canonical, wire)| {
            let golden = world.golden(canonical);
            let number = golden.get("number").cloned().unwrap_or(golden);
            let held = |at: usize| systems[at].get("1")[*wire].clone();
            [number, held(0), held(1), held(2)]
        })
        .collect()
}

const FIELDS: [(&str, &str); 3] = [("display_name", "name"), ("title", "title"), ("phones.main", "phone")];

/// A value that nobody wrote before.
fn edit(field: usize, number: usize) -> Value {
    let value = if field == 2 { format!("139{number:08}") } else { format!("v{number}") };
    json!({ FIELDS[field].1: value })
}

/// The edit of a field that counts. A system stamps whole records: what was changed in one between two readings is as
/// young as the last of it, whatever its clock says.
fn last(edits: &[Edit], field: usize) -> Option<usize> {
    let read = |at: usize| (at..edits.len()).find(|later| edits[*later].3 != 0).unwrap_or(edits.len() - 1);
    let stamped = |at: usize| (at..=read(at)).rev().find(|later| edits[*later].0 == edits[at].0);
    (0..edits.len()).filter(|at| edits[*at].1 == field).max_by_key(|at| (stamped(*at), *at))
}

/// The last edit of each field, as people made them, is what every system ends with, with clocks that are up to ten
/// minutes off.
fn last_edits_win(edits: impl Strategy<Value = Vec<Edit>>, is_told: bool, all_knew: bool) {
    let off = [-600..=600_i64, -600..=600_i64, -600..=600_i64];
    let played_by = (off, edits);
    on_both_stores(|store| {
        let is_sqlite = store.kind() == "sqlite";
        let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
        let done = runner.run(&played_by, |(off_s, edits)| {
            let folder = tempfile::tempdir().expect("a folder");
            let fresh = if is_sqlite {
                format!("sqlite:{}", folder.path().join("case.db").display())
            } else {
                huiliu_tests::postgres::database()
            };
            let held = played(Store::open(&fresh).expect("a store"), off_s, &edits, is_told, all_knew);
            for (field, values) in held.iter().enumerate() {
                let Some(last) = last(&edits, field) else { continue };
                let wanted = edit(field, last)[FIELDS[field].1].as_str().expect("a text").to_owned();
                for value in values {
                    prop_assert!(value.as_str().is_some_and(|it| it.ends_with(&wanted)), "{wanted} is not {values:?}");
                }
            }
            Ok(())
        });
        done.expect("every case");
    });
}

/// Clocks that are up to ten minutes off change nothing in who wins. Edits are four seconds apart at least: HTTP tells
/// whole seconds, and a clock that is less than two off passes for right.
#[test]
fn a_clock_that_is_off_decides_nothing() {
    let edits = prop::collection::vec((0..3_usize, 0..3_usize, 4..400_i64, 0..3_u8), 1..12);
    last_edits_win(edits, true, true);
}

/// However soon it follows, and though nobody tells what time it is: who edits what the hub wrote there has seen it.
#[test]
fn an_edit_of_what_was_seen_wins_by_any_clock() {
    let edits = prop::collection::vec((0..3_usize, 0..3_usize, 0..3_i64, Just(2_u8)), 1..12);
    last_edits_win(edits, false, false);
}

/// Two people edit different fields of one customer in two systems at one instant: both edits survive by any clock.
#[test]
fn edits_of_different_fields_at_one_instant_survive_by_any_clock() {
    let pairs = prop::collection::vec((0..3_usize, 1..3_usize, 0..3_usize, 1..3_usize), 1..6);
    let both =
        |(system, other, field, another)| [(system, field, 0, 0), ((system + other) % 3, (field + another) % 3, 0, 2)];
    last_edits_win(pairs.prop_map(move |pairs| pairs.into_iter().flat_map(both).collect()), false, false);
}

/// What the measuring is for: a system that does not tell its time wins with a clock that is ahead.
#[test]
fn a_clock_that_is_not_told_cannot_be_corrected() {
    let edits = [(0, 1, 100, 0), (1, 1, 60, 2)];
    let folder = tempfile::tempdir().expect("a folder");
    let fresh = |name: &str| Store::open(&format!("sqlite:{}", folder.path().join(name).display())).expect("a store");
    assert_eq!(played(fresh("silent.db"), [600, 0, 0], &edits, false, true)[1][0], "v0");
    assert_eq!(played(fresh("told.db"), [600, 0, 0], &edits, true, true)[1][0], "v1");
}
