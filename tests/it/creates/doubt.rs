//! Creates in a system that takes no key and cannot be asked, so that whoever sends one twice has two records: nobody does.

use std::collections::BTreeSet;

use huiliu_core::connector::ConnectorError;
use huiliu_core::pipeline::{plan, process, push};
use huiliu_core::retry::{self, Retried};
use huiliu_core::store::inbox::DeadLetter;
use huiliu_core::store::{Store, deliveries, inbox};
use huiliu_tests::kit::on_both_stores;
use huiliu_twins::memory::Memory;
use serde_json::json;

use super::{Rig, person, rig_of};

fn forgetful(store: Store) -> Rig {
    rig_of(store, Memory::forgetful())
}

fn lost() -> ConnectorError {
    ConnectorError::transient("the line was cut")
}

impl Rig {
    pub(super) fn wait(&self, seconds: i64) {
        self.engine.clock.advance_us(seconds * 1_000_000);
    }

    /// A record of `a` is to be made in `b`, and this is what comes of it.
    fn sent_into(&self, fault: ConnectorError) {
        self.a.edit("c1", &person());
        self.pull("a");
        self.b.fail_next_write(fault);
        self.push("b");
        assert_eq!(self.b.ids(), [""; 0]);
    }

    /// Time passes and the outbox is worked on, and nobody reads `b`.
    fn try_for_an_hour(&self) {
        for _ in 0..60 {
            self.wait(60);
            self.push("b");
        }
    }

    pub(super) fn letters(&self) -> Vec<DeadLetter> {
        self.engine.store.read(|tx| inbox::dead_letters(tx, 10)).unwrap()
    }

    fn open(&self) -> usize {
        let counts = self.engine.store.read(deliveries::counts).unwrap();
        counts.iter().filter(|it| ["pending", "sending"].contains(&it.1.as_str())).count()
    }
}

#[test]
fn what_was_stored_and_cut_is_not_sent_again_and_found_by_the_next_read() {
    on_both_stores(|store| {
        let rig = forgetful(store);
        rig.made_unheard(&person());
        rig.try_for_an_hour();
        assert_eq!((rig.b.ids(), rig.b.writes(), rig.letters().len()), (vec!["made1".to_owned()], 1, 0));
        rig.settle();
        assert_eq!((rig.b.ids(), rig.b.writes(), rig.letters().len()), (vec!["made1".to_owned()], 1, 0));
        assert_eq!(rig.said_by_b(), Vec::<String>::new(), "what it shows is our copy");
        // And it is an ordinary record of the customer from now on.
        rig.a.edit("c1", &json!({ "title": "cfo" }));
        rig.settle();
        assert_eq!((rig.b.get("made1")["title"].clone(), rig.b.writes()), (json!("cfo"), 2));
        rig.replays();
    });
}

#[test]
fn a_garbled_answer_leaves_the_same_doubt() {
    on_both_stores(|store| {
        let rig = forgetful(store);
        rig.a.edit("c1", &person());
        rig.pull("a");
        rig.b.fail_next_answer(ConnectorError::broken("the reply is not JSON"));
        rig.push("b");
        assert_eq!((rig.b.ids().len(), rig.letters().len()), (1, 1), "a person has to look at such a system");
        // Told to go on before anybody read what is there, it waits for that.
        retry::dead_letters(&rig.engine, None).unwrap();
        rig.try_for_an_hour();
        assert_eq!((rig.b.ids().len(), rig.letters().len()), (1, 0));
        rig.settle();
        assert_eq!((rig.b.ids().len(), rig.letters().len(), rig.said_by_b()), (1, 0, Vec::new()));
    });
}

#[test]
fn what_no_read_shows_is_asked_of_a_person_once() {
    on_both_stores(|store| {
        let rig = forgetful(store);
        rig.sent_into(lost());
        rig.try_for_an_hour();
        assert!(rig.letters().is_empty(), "nobody has looked yet");
        rig.settle();
        let letters = rig.letters();
        assert_eq!((letters.len(), rig.b.ids()), (1, Vec::new()), "{letters:?}");
        assert!(letters[0].reason.contains("huiliu link"), "{}", letters[0].reason);
        // What changes meanwhile is no reason to send it, nor to ask again.
        rig.a.edit("c1", &json!({ "title": "cfo" }));
        rig.settle();
        assert_eq!((rig.letters().len(), rig.b.ids(), rig.open()), (1, Vec::new(), 0));
        // Whoever retries everything has not looked.
        let done = retry::dead_letters(&rig.engine, None).unwrap();
        assert_eq!(done, Retried { asked: vec![letters[0].number], ..Retried::default() });
        rig.settle();
        assert_eq!((rig.letters().len(), rig.b.ids()), (1, Vec::new()));
        // Who names it has.
        let named = BTreeSet::from([letters[0].number]);
        assert_eq!(retry::dead_letters(&rig.engine, Some(&named)).unwrap().deliveries, 1);
        rig.settle();
        assert_eq!((rig.letters().len(), rig.b.ids()), (0, vec!["made1".to_owned()]));
        assert_eq!(rig.b.get("made1")["title"], "cfo");
        assert_eq!(rig.said_by_b(), Vec::<String>::new());
        rig.replays();
    });
}

#[test]
fn a_record_that_shows_up_after_the_question_answers_it() {
    on_both_stores(|store| {
        let rig = forgetful(store);
        rig.sent_into(lost());
        rig.wait(60);
        rig.settle();
        assert_eq!(rig.letters().len(), 1);
        // It was there all the time, and lists did not show it.
        rig.b.edit("late", &person());
        rig.settle();
        assert_eq!((rig.letters().len(), rig.b.ids(), rig.said_by_b()), (0, vec!["late".to_owned()], Vec::new()));
        rig.a.edit("c1", &json!({ "title": "cfo" }));
        rig.settle();
        assert_eq!((rig.b.ids(), rig.b.get("late")["title"].clone()), (vec!["late".to_owned()], json!("cfo")));
    });
}

#[test]
fn a_read_that_began_too_early_says_nothing() {
    on_both_stores(|store| {
        let rig = forgetful(store);
        rig.sent_into(lost());
        // It may still be on its way.
        rig.wait(2);
        rig.pull("b");
        rig.wait(2);
        rig.push("b");
        assert!(rig.letters().is_empty());
        rig.wait(60);
        rig.push("b");
        assert!(rig.letters().is_empty(), "what was read before says nothing");
        rig.pull("b");
        rig.wait(60);
        rig.push("b");
        assert_eq!(rig.letters().len(), 1);
    });
}

#[test]
fn what_was_certainly_not_done_is_sent_again_at_once() {
    on_both_stores(|store| {
        let refusals = [
            ConnectorError::Unreached { detail: "no connection".to_owned(), after: None },
            ConnectorError::RateLimited { detail: "too many".to_owned(), after: None },
        ];
        let rig = forgetful(store);
        rig.a.edit("c1", &person());
        rig.pull("a");
        for refusal in refusals {
            rig.b.fail_next_write(refusal);
            rig.push("b");
            assert_eq!(rig.b.ids(), [""; 0]);
            rig.wait(60);
        }
        rig.push("b");
        assert_eq!((rig.b.ids(), rig.letters().len()), (vec!["made1".to_owned()], 0));
    });
}

#[test]
fn who_is_killed_while_a_create_is_on_its_way_reads_before_he_writes() {
    on_both_stores(|store| {
        let rig = forgetful(store);
        rig.a.edit("c1", &person());
        rig.pull("a");
        let now_us = rig.engine.clock.now_us();
        let claimed = rig.engine.store.write(|tx| deliveries::claim(tx, "b", now_us, 16)).unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!(push::recover(&rig.engine).unwrap(), 1);
        rig.try_for_an_hour();
        assert_eq!((rig.b.ids(), rig.letters().len()), (Vec::new(), 0));
        // A newer plan in its place knows that it was tried.
        rig.a.edit("c1", &json!({ "title": "cfo" }));
        rig.pull("a");
        while process::batch(&rig.engine).unwrap().items > 0 {}
        while plan::batch(&rig.engine).unwrap().0 > 0 {}
        rig.try_for_an_hour();
        assert_eq!((rig.b.ids(), rig.letters().len()), (Vec::new(), 0));
        rig.settle();
        assert_eq!((rig.b.ids(), rig.letters().len()), (Vec::new(), 1));
        // The record shows up, with the older words: they are ours too, and are mended.
        rig.b.edit("made1", &person());
        rig.settle();
        assert_eq!(
            (rig.letters().len(), rig.said_by_b(), rig.b.get("made1")["title"].clone()),
            (0, vec![], json!("cfo"))
        );
    });
}
