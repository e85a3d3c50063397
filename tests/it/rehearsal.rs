//! What a rehearsal tells is what happens, on both stores; and it leaves nothing behind.

use huiliu_core::engine::Engine;
use huiliu_core::rehearsal::{Outcome, Rehearsal};
use huiliu_core::review::{self, Steward};
use huiliu_core::store::inbox::{self, InboxItem};
use huiliu_core::store::{Store, goldens};
use huiliu_tests::kit;
use serde_json::{Value, json};

fn rehearse(about: &Engine, groups: &[Vec<InboxItem>]) -> (Outcome, Vec<(Value, Vec<String>)>) {
    let folder = tempfile::tempdir().expect("a folder");
    let scratch = Store::open(&format!("sqlite:{}", folder.path().join("r.db").display())).expect("a store");
    let rehearsal = Rehearsal::begin(about, scratch).expect("begin");
    for group in groups {
        rehearsal.engine().store.write(|tx| inbox::append(tx, group)).expect("append");
        rehearsal.drain(&mut |_| ()).expect("drain");
    }
    (rehearsal.outcome(1000).expect("the outcome"), kit::customers(rehearsal.engine()))
}

/// Customers of `a` and `b`: some the same by e-mail, some by phone, some in doubt, some pinned or ruled apart.
fn people(connection: &str, from: i64, count: i64, shift: i64) -> Vec<InboxItem> {
    (from..from + count)
        .map(|number| {
            let who = number + shift;
            let mut body = json!({"name": format!("王小{who}"), "title": format!("{connection} {}", who % 7)});
            if who % 3 != 0 {
                body["email"] = json!(format!("p{}@example.com", who % 40));
            }
            if who % 4 != 0 {
                body["phone"] = json!(format!("1380013{:04}", who % 50));
            }
            kit::record(&format!("{connection}/customers/{number}"), number, &body)
        })
        .collect()
}

#[test]
fn what_is_told_is_what_happens() {
    kit::on_both_stores(|store| {
        let engine = kit::engine(store);
        kit::feed(&engine, &people("a", 0, 60, 0));
        let steward = Steward { name: "Zhang", why: "test" };
        review::pin(&engine, 2, &"title".into(), &json!("pinned"), steward).expect("a pin");
        let before = engine.store.read(|tx| {
            Ok((goldens::after(tx, "customer", 0, 1000)?, tx.max("id", "link")?, tx.max("position", "inbox")?))
        });
        let before = before.expect("read");
        let groups = [people("b", 0, 30, 20), people("b", 10, 40, 25), people("a", 50, 20, 1)];
        let (outcome, foreseen) = rehearse(&engine, &groups);
        let after = engine.store.read(|tx| {
            Ok((goldens::after(tx, "customer", 0, 1000)?, tx.max("id", "link")?, tx.max("position", "inbox")?))
        });
        assert_eq!(after.expect("read"), before, "a rehearsal wrote");

        let known: Vec<i64> = before.0.iter().map(|golden| golden.id).collect();
        let mut created = 0;
        for group in &groups {
            created += kit::feed(&engine, group).created;
        }
        let real = kit::customers(&engine);
        let now = engine.store.read(|tx| goldens::after(tx, "customer", 0, 1000)).expect("read");
        // Whoever the rehearsal saw is exactly as it became; whom it did not need to see did not change.
        for one in &foreseen {
            assert!(real.contains(one), "foreseen, and not so: {one:?}");
        }
        let untouched = |one: &&(Value, Vec<String>)| !foreseen.contains(one);
        let was = before.0.iter().map(|golden| serde_json::to_value(&golden.fields).expect("JSON")).collect::<Vec<_>>();
        assert!(real.iter().filter(untouched).all(|(fields, _)| was.contains(fields)), "a change was not foreseen");
        let made = now.iter().filter(|golden| !known.contains(&golden.id)).count();
        assert_eq!(outcome.creates, i64::try_from(made).expect("few"));
        assert!(created >= made && outcome.creates > 0 && outcome.joins > 0);
        let gone = known.iter().filter(|id| !now.iter().any(|golden| golden.id == **id)).count();
        assert_eq!(outcome.merges, i64::try_from(gone).expect("few"));
        assert!(outcome.samples.conflicts.iter().any(|it| it.winner == "pin"), "the pin stays");
    });
}
