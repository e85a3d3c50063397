//! What a system merges stays one customer here, however it lets know: history follows, nothing is doubled, nobody is
//! deleted, and no target gets a write that it does not need.

use huiliu_core::connection::Budget;
use huiliu_core::connector::{Received, Version};
use huiliu_core::link::LinkKey;
use huiliu_core::replay::{self, Scope};
use huiliu_core::store::brakes::Kind;
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_core::store::{goldens, inbox, links};
use huiliu_tests::kit::{self, DAY_ONE_US, feed, on_both_stores, record};
use huiliu_tests::memory::{Memory, Telling};
use serde_json::json;

use crate::absence::{Rig, gone, rig_of};

fn two(store: huiliu_core::store::Store) -> Rig {
    let rig = rig_of(store, Memory::new(false), Budget::CHANGING);
    rig.fill(2);
    assert_eq!((kit::customers(&rig.engine).len(), rig.b.ids()), (2, vec!["made1".to_owned(), "made2".to_owned()]));
    rig
}

/// A merge of two known records, `000` and `001`, into `into`, was taken in.
fn is_one(rig: &Rig, into: &str) {
    let customers = kit::customers(&rig.engine);
    assert_eq!(customers.len(), 1, "{customers:?}");
    let names = &customers[0].1;
    for name in ["a/customers/000", "a/customers/001", "b/customers/made1", "b/customers/made2"] {
        assert!(names.iter().any(|it| it == name), "history follows: {names:?}");
    }
    assert_eq!(rig.open(), [("a".to_owned(), 1), ("b".to_owned(), 2)].into());
    assert!(rig.is_open(&format!("a/customers/{into}")));
    assert_eq!(rig.b.ids(), ["made1", "made2"], "nobody is made anew, and nobody is deleted");
    let history = rig.engine.store.read(|tx| {
        let mut all = goldens::changes_of(tx, 1, 100)?;
        all.extend(goldens::changes_of(tx, 2, 100)?);
        Ok(all)
    });
    assert!(history.unwrap().iter().all(|change| change.kind != "delete"), "a merge is no deletion");
    let writes = (rig.a.writes(), rig.b.writes());
    rig.round();
    assert_eq!((rig.a.writes(), rig.b.writes()), writes, "and it rests");
    // What the survivor says from now on reaches those who knew the former two.
    rig.a.edit(into, &json!({ "title": "Chief" }));
    rig.round();
    assert_eq!((&rig.b.get("made1")["title"], &rig.b.get("made2")["title"]), (&json!("Chief"), &json!("Chief")));
    assert_eq!(rig.engine.store.read(|tx| inbox::dead_letters(tx, 10)).unwrap(), []);
}

fn merged(id: &str, into: &str) -> Received {
    Received::Merged { stream: "customers".into(), id: id.into(), into: into.into() }
}

#[test]
fn the_former_id_answers_with_the_survivor() {
    for into in ["000", "777"] {
        on_both_stores(|store| {
            let rig = two(store);
            rig.a.merge("001", into, Telling::ById);
            if into != "000" {
                rig.a.merge("000", into, Telling::ById);
            }
            // The system tells of deletions; asked, it shows somebody else.
            rig.told(&[gone("001"), gone(if into == "000" { "001" } else { "000" })]);
            rig.settle();
            is_one(&rig, into);
        });
    }
}

#[test]
fn a_list_names_the_loser_and_the_survivor() {
    for into in ["000", "777"] {
        on_both_stores(|store| {
            let rig = two(store);
            rig.a.merge("001", into, Telling::InList);
            if into != "000" {
                rig.a.merge("000", into, Telling::InList);
            }
            rig.round();
            is_one(&rig, into);
        });
    }
}

#[test]
fn a_call_names_both() {
    for into in ["000", "777"] {
        on_both_stores(|store| {
            let rig = two(store);
            let former: &[&str] = if into == "000" { &["001"] } else { &["001", "000"] };
            for id in former {
                rig.a.merge(id, into, Telling::Never);
            }
            // Beside the merge it tells a deletion, which is true of the id and not of the person.
            let told: Vec<Received> = former.iter().flat_map(|id| [merged(id, into), gone(id)]).collect();
            rig.told(&told);
            rig.settle();
            is_one(&rig, into);
        });
    }
}

#[test]
fn many_merges_at_once_are_no_mass_deletion() {
    for telling in [Telling::ById, Telling::InList, Telling::Never] {
        on_both_stores(|store| {
            let rig = rig_of(store, Memory::new(false), Budget::CHANGING);
            rig.fill(24);
            let mut told = Vec::new();
            for at in 0..12 {
                let (former, into) = (format!("{:03}", at + 12), format!("{at:03}"));
                rig.a.merge(&former, &into, telling);
                told.extend((telling == Telling::Never).then(|| merged(&former, &into)));
                told.extend((telling != Telling::InList).then(|| gone(&former)));
            }
            rig.told(&told);
            rig.round();
            let seen = (kit::customers(&rig.engine).len(), rig.open()["a"], rig.caught());
            assert_eq!(seen, (12, 12, vec![]), "{telling:?}");
            // As many deletions are another thing.
            let ids: Vec<String> = (0..12).map(|at| format!("{at:03}")).collect();
            for id in &ids {
                rig.a.remove(id);
            }
            rig.told(&ids.iter().map(|id| gone(id)).collect::<Vec<_>>());
            rig.settle();
            assert_eq!((rig.open()["a"], rig.caught()), (12, vec![(Kind::Missing, 12, 12)]), "{telling:?}");
        });
    }
}

#[test]
fn a_merge_ends_the_wait_of_a_deletion_that_was_none() {
    on_both_stores(|store| {
        let rig = rig_of(store, Memory::new(false), Budget::CHANGING);
        rig.fill(24);
        let pairs: Vec<(String, String)> = (0..12).map(|at| (format!("{:03}", at + 12), format!("{at:03}"))).collect();
        for (former, into) in &pairs {
            rig.a.merge(former, into, Telling::Never);
        }
        rig.told(&pairs.iter().map(|(former, _)| gone(former)).collect::<Vec<_>>());
        rig.settle();
        assert_eq!((rig.open()["a"], rig.caught()), (24, vec![(Kind::Missing, 12, 24)]));
        // The system says at last what it was.
        rig.told(&pairs.iter().map(|(former, into)| merged(former, into)).collect::<Vec<_>>());
        rig.settle();
        assert_eq!((kit::customers(&rig.engine).len(), rig.open()["a"], rig.caught()), (12, 12, vec![]));
    });
}

#[test]
fn a_write_that_meets_a_merged_record_follows_it() {
    on_both_stores(|store| {
        let rig = two(store);
        let of = |email: &str| rig.b.ids().into_iter().find(|id| rig.b.get(id)["email"] == email).unwrap();
        let second = of("p1@example.com");
        rig.a.merge("001", "000", Telling::ById);
        // Nobody told; an edit elsewhere is on its way to the former id.
        rig.b.edit(&second, &json!({ "title": "Boss" }));
        rig.round();
        assert_eq!(rig.a.get("000")["title"], "Boss");
        is_one(&rig, "000");
    });
}

#[test]
fn a_survivor_keeps_as_its_own_what_it_held_of_the_other() {
    on_both_stores(|store| {
        let rig = rig_of(store, Memory::new(false), Budget::CHANGING);
        // Twice the same person there, known to be one here: what one says is copied into the other.
        rig.a.edit("000", &json!({ "name": "Li Lei", "email": "li@example.com" }));
        rig.a.edit("001", &json!({ "email": "li@example.com", "phone": "13800138000", "title": "Chief" }));
        rig.round();
        assert_eq!((kit::customers(&rig.engine).len(), &rig.a.get("000")["title"]), (1, &json!("Chief")));
        rig.a.merge("001", "000", Telling::ById);
        rig.told(&[gone("001")]);
        rig.settle();
        let golden = || kit::customers(&rig.engine)[0].0.clone();
        assert_eq!(
            (&golden()["title"], &golden()["phones.main"]["number"]),
            (&json!("Chief"), &json!("+8613800138000"))
        );
        // A replay tells the same story.
        let done =
            replay::look(&rig.engine, &Scope::default(), 5, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!((done.report.changes, done.report.outcomes.get("changed")), (0, None), "{:?}", done.report);
        // What the survivor clears is cleared.
        rig.a.edit("000", &json!({ "title": null }));
        rig.round();
        assert_eq!(golden().get("title"), None);
    });
}

#[test]
fn a_loser_that_was_never_seen_is_nobody() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let item = |id: &str, into: &str| InboxItem {
            kind: ItemKind::Merged,
            version: None,
            body: into.as_bytes().to_vec(),
            received_us: DAY_ONE_US + 7_200_000_000,
            ..record(&format!("a/customers/{id}"), 0, &json!(null))
        };
        let body = |mail: &str| json!({ "name": "Li Lei", "email": mail });
        feed(&engine, &[item("2", "1"), record("a/customers/1", 50, &body("li@example.com"))]);
        // A page that was read before the merge.
        feed(&engine, &[record("a/customers/2", 40, &body("lei@example.com"))]);
        let customers = kit::customers(&engine);
        assert_eq!((customers.len(), &customers[0].1), (1, &vec!["a/customers/1".to_owned()]));
        // The survivor was deleted before it was seen, and comes back: it is still the other's heir.
        feed(&engine, &[record("a/customers/3", 50, &body("three@example.com"))]);
        let at = jiff::Timestamp::from_second(DAY_ONE_US / 1_000_000 + 55).unwrap();
        let version = serde_json::to_string(&Version::instant(at.to_string(), at)).ok();
        feed(&engine, &[InboxItem { kind: ItemKind::Deleted, version, ..item("4", "") }, item("3", "4")]);
        let key: LinkKey = "a/customers/4".parse().unwrap();
        let link = engine.store.read(|tx| links::by_keys(tx, [&key])).unwrap().remove(0);
        assert!(link.open && link.golden != 0);
        // Told of itself, nothing happens.
        let before = kit::customers(&engine);
        feed(&engine, &[item("1", "1")]);
        assert_eq!(kit::customers(&engine), before);
    });
}
