//! Writes whose answer never came: what a record shows of them is our copy, held and never said.

use std::ops::ControlFlow;

use huiliu_core::clock::Clock;
use huiliu_core::connector::ConnectorError;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::replay::{self, Scope};
use huiliu_core::store::{deliveries, links};
use huiliu_tests::kit::{DAY_ONE_US, on_both_stores};
use huiliu_tests::memory::Memory;
use serde_json::json;

use super::{Rig, rig, rig_with};

impl Rig {
    /// Pulls from one system, and processes and plans what it shows.
    fn hear(&self, name: &str) {
        let connection = &self.engine.connections[name];
        self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1)).unwrap();
        process::batch(&self.engine).unwrap();
        plan::batch(&self.engine).unwrap();
    }

    /// Writes to b what is due there; it is carried out, and the line is cut before the answer.
    fn lose_answer(&self) {
        self.b.fail_next_answer(ConnectorError::transient("the line was cut"));
        assert_eq!(self.runtime.block_on(push::batch(&self.engine, &self.engine.connections["b"])).unwrap(), 1);
    }

    /// The fields that b itself ever asserted.
    fn said_by_b(&self) -> Vec<String> {
        let all = self.engine.store.read(|tx| links::by_goldens(tx, [1])).unwrap();
        let b = all.iter().filter(|link| link.key.connection.as_str() == "b");
        b.flat_map(|link| link.state.said.keys().map(ToString::to_string)).collect()
    }
}

#[test]
fn a_write_in_place_of_a_tried_one_knows_that_it_was_tried() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "a"}));
        rig.settle();
        let [a, b] = ["a", "b"].map(|name| rig.engine.connections[name].clone());
        let plan = |title: &str| {
            rig.a.edit("1", &json!({ "title": title }));
            rig.runtime.block_on(pull::stream(&rig.engine, &a, &"customers".into(), 1)).unwrap();
            process::batch(&rig.engine).unwrap();
            plan::batch(&rig.engine).unwrap();
            let open = rig.engine.store.read(|tx| deliveries::open_of(tx, [1])).unwrap();
            open.iter().map(|it| (it.delivery.number, it.delivery.attempt)).collect::<Vec<_>>()
        };
        let first = plan("b")[0];
        assert_eq!(first.1, 0);
        rig.b.fail_next_answer(ConnectorError::transient("the line was cut"));
        assert_eq!(rig.runtime.block_on(push::batch(&rig.engine, &b)).unwrap(), 1);
        // What b stored of the first is not known: the second looks, as a retry of the first would.
        let second = plan("c");
        assert_eq!(second.len(), 1, "{second:?}");
        assert_ne!(second[0].0, first.0);
        assert_eq!(second[0].1, 1, "its attempt is not the first");
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "C");
    });
}

#[test]
fn a_copy_that_shows_up_before_the_retry_is_not_said() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "a"}));
        rig.settle();
        rig.a.edit("1", &json!({"title": "buyer"}));
        rig.hear("a");
        rig.lose_answer();
        // b stores it in capitals, and shows it before the write is tried again.
        rig.hear("b");
        assert_eq!(rig.said_by_b(), [""; 0], "b said nothing");
        let writes = rig.settle();
        assert!(writes <= 1, "{writes} more writes");
        assert_eq!((&rig.a.get("1")["title"], &rig.b.get("made1")["title"]), (&json!("buyer"), &json!("BUYER")));
        // An edit there is an edit, also of the same field.
        rig.b.edit("made1", &json!({"title": "lead buyer"}));
        rig.settle();
        assert_eq!(rig.said_by_b(), ["title"]);
        assert_eq!(rig.a.get("1")["title"], "LEAD BUYER");
        let everything = Scope::default();
        let told = replay::look(&rig.engine, &everything, 3, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(
            (told.report.outcomes.get("changed"), told.report.goldens),
            (None, 0),
            "told again, it comes to the same: {told:?}"
        );
    });
}

/// Found by the simulation: a clock that was ten minutes behind, and told nobody, had the write made again over the edit.
#[test]
fn who_edits_over_a_write_without_an_answer_has_seen_it() {
    on_both_stores(|store| {
        let clock = Clock::manual(DAY_ONE_US);
        let rig = rig_with(store, clock.clone(), Memory::clocked(clock.clone(), -600_000_000, false));
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "a"}));
        rig.settle();
        rig.a.edit("1", &json!({"title": "b"}));
        rig.hear("a");
        rig.lose_answer();
        assert_eq!(rig.b.get("made1")["title"], "b");
        rig.b.edit("made1", &json!({"title": "c"}));
        let writes = rig.settle();
        assert_eq!((&rig.a.get("1")["title"], &rig.b.get("made1")["title"]), (&json!("c"), &json!("c")));
        assert_eq!(writes, 1, "the edit travels, the write is not made again");
        let everything = Scope::default();
        let told = replay::look(&rig.engine, &everything, 3, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((told.report.outcomes.get("changed"), told.report.goldens), (None, 0), "{told:?}");
    });
}

#[test]
fn what_is_taken_back_while_a_write_is_unsure_is_taken_back_there_too() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "a"}));
        rig.settle();
        rig.a.edit("1", &json!({"title": "b"}));
        rig.hear("a");
        rig.lose_answer();
        // What b was known to hold is true again, but b holds what it did not answer for.
        rig.a.edit("1", &json!({"title": "a"}));
        rig.hear("a");
        rig.settle();
        assert_eq!((&rig.a.get("1")["title"], &rig.b.get("made1")["title"]), (&json!("a"), &json!("A")));
        assert_eq!(rig.said_by_b(), [""; 0]);
    });
}

#[test]
fn what_was_never_sent_and_is_taken_back_is_not_sent() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "a"}));
        rig.settle();
        let before = rig.b.writes();
        for title in ["b", "a"] {
            rig.a.edit("1", &json!({ "title": title }));
            rig.hear("a");
        }
        assert_eq!(rig.engine.store.read(|tx| deliveries::open_of(tx, [1])).unwrap(), []);
        rig.settle();
        assert_eq!(rig.b.writes(), before);
    });
}

#[test]
fn a_created_record_that_shows_up_before_the_retry_says_nothing() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.settle();
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "buyer"}));
        rig.hear("a");
        rig.lose_answer();
        rig.hear("b");
        assert_eq!(rig.said_by_b(), [""; 0]);
        rig.settle();
        assert_eq!(rig.b.ids(), ["made1"]);
        assert_eq!((&rig.a.get("1")["title"], &rig.b.get("made1")["title"]), (&json!("buyer"), &json!("BUYER")));
        // Somebody else in b, with a word of his own.
        rig.b.edit("made1", &json!({"title": "boss"}));
        rig.settle();
        assert_eq!(rig.said_by_b(), ["title"]);
    });
}

/// Found by the simulation: a disk was full when the answer came, and the write stayed on its way for ever.
#[test]
fn an_answer_that_the_store_cannot_take_leaves_nothing_on_its_way() {
    on_both_stores(|store| {
        let rig = rig(store);
        rig.a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "A"}));
        rig.settle();
        let rename = |from: &str, to: &str| {
            let sql = format!("ALTER TABLE {from} RENAME TO {to}");
            rig.engine.store.write(|tx| tx.execute(&sql, &[]).map(drop)).unwrap();
        };
        rig.a.edit("1", &json!({"title": "B"}));
        let [a, b] = ["a", "b"].map(|name| &rig.engine.connections[name]);
        rig.runtime.block_on(pull::stream(&rig.engine, a, &"customers".into(), 1)).unwrap();
        process::batch(&rig.engine).unwrap();
        plan::batch(&rig.engine).unwrap();
        rename("receipt", "receipt_away");
        rig.runtime.block_on(push::batch(&rig.engine, b)).unwrap_err();
        rename("receipt_away", "receipt");
        rig.settle();
        assert_eq!(rig.b.get("made1")["title"], "B");
        let left = rig.engine.store.read(deliveries::counts).unwrap();
        assert!(left.iter().all(|(_, state, _)| state == "done" || state == "dropped"), "{left:?}");
        assert_eq!(rig.settle(), 0);
    });
}
