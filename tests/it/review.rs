//! What stewards do, and that it can be undone.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::engine::Engine;
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::review::{self, Steward, Verdict};
use huiliu_core::store::{Store, deliveries, goldens, stewards};
use huiliu_tests::kit::{self, DAY_ONE_US, customers, feed, on_both_stores, record};
use huiliu_tests::memory::Memory;
use serde_json::{Value, json};

const WANG: Steward<'_> = Steward { name: "wang", why: "called both" };

fn key(text: &str) -> LinkKey {
    text.parse().unwrap()
}

/// Two live systems; nobody makes records.
pub fn hub(store: &Store, a: &Arc<Memory>, b: &Arc<Memory>, clock: &Clock) -> Engine {
    let connections = [kit::connection("a", clock, Some(a.clone())), kit::connection("b", clock, Some(b.clone()))];
    kit::live(store.clone(), clock.clone(), connections)
}

pub fn settle(engine: &Engine, runtime: &tokio::runtime::Runtime) {
    for _ in 0..30 {
        engine.clock.advance_us(1_000_000);
        let mut moved = 0;
        for connection in engine.connections.values() {
            moved += runtime.block_on(pull::stream(engine, connection, &"customers".into(), 1)).unwrap().records;
            moved += runtime.block_on(pull::fetches(engine, connection)).unwrap();
        }
        moved += process::batch(engine).unwrap().items + plan::batch(engine).unwrap().0;
        for connection in engine.connections.values() {
            moved += runtime.block_on(push::batch(engine, connection)).unwrap();
        }
        if moved == 0 && engine.store.read(deliveries::next_due_us).unwrap().is_none() {
            return;
        }
    }
    panic!("the systems never agree");
}

/// A record without the fields that hold nothing.
fn filled(body: &Value) -> Value {
    body.as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| !value.is_null() && **value != json!([]))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[test]
fn split_restores() {
    on_both_stores(|store| {
        let (a, b) = (Arc::new(Memory::new(false)), Arc::new(Memory::new(false)));
        let clock = Clock::manual(DAY_ONE_US);
        let engine = hub(&store, &a, &b, &clock);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "经理"}));
        settle(&engine, &runtime);
        b.edit("1", &json!({"name": "李磊", "phone": "13800138000", "tags": ["vip"]}));
        settle(&engine, &runtime);
        let never = (customers(&engine), filled(&a.get("1")), filled(&b.get("1")));
        assert_eq!(never.0.len(), 2);

        assert_eq!(review::link(&engine, 1, 2, WANG).unwrap(), 1);
        settle(&engine, &runtime);
        assert_eq!(customers(&engine).len(), 1);
        assert_eq!((&a.get("1")["tags"], &b.get("1")["title"]), (&json!(["vip"]), &json!("经理")));

        assert_eq!(review::split(&engine, &[key("b/customers/1")], WANG).unwrap(), (2, 1), "each has its id again");
        // The hub dies right after the command; what is owed follows from the change log.
        drop(engine);
        let engine = hub(&store, &a, &b, &clock);
        settle(&engine, &runtime);
        assert_eq!((customers(&engine), filled(&a.get("1")), filled(&b.get("1"))), never);
        let changes = engine.store.read(|tx| goldens::changes_of(tx, 2, 100)).unwrap();
        let last = changes.last().unwrap();
        assert_eq!((last.kind.as_str(), last.cause.as_str()), ("split", "steward:wang"));

        // Copies were no evidence, and the ruling holds: edits on both sides do not join them again.
        b.edit("1", &json!({"email": "li@example.com", "name": "李雷"}));
        settle(&engine, &runtime);
        assert_eq!(customers(&engine).len(), 2);
        // A steward may take it back.
        assert_eq!(review::link(&engine, 2, 1, WANG).unwrap(), 1);
        settle(&engine, &runtime);
        assert_eq!(customers(&engine).len(), 1);
        let commands = engine.store.read(|tx| stewards::commands(tx, 10)).unwrap();
        let told: Vec<(&str, &str)> = commands.iter().map(|it| (it.what.as_str(), it.why.as_str())).collect();
        assert_eq!(told, [("link", "called both"), ("split", "called both"), ("link", "called both")]);
    });
}

/// Every place of every record in which two states of the systems differ.
fn places(before: &[(String, Value)], after: &[(String, Value)]) -> BTreeMap<String, (Value, Value)> {
    let mut moved = BTreeMap::new();
    for ((name, before), (_, after)) in before.iter().zip(after) {
        for (place, value) in after.as_object().unwrap() {
            if before[place] != *value {
                moved.insert(format!("{name} /{place}"), (before[place].clone(), value.clone()));
            }
        }
    }
    moved
}

#[test]
fn a_split_does_what_was_shown_before() {
    on_both_stores(|store| {
        let (a, b) = (Arc::new(Memory::new(false)), Arc::new(Memory::new(false)));
        let clock = Clock::manual(DAY_ONE_US);
        let engine = hub(&store, &a, &b, &clock);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shown = || -> Vec<(String, Value)> {
            let of = |name: &str, it: &Memory| -> Vec<(String, Value)> {
                it.ids().into_iter().map(|id| (format!("{name}/customers/{id}"), it.get(&id))).collect()
            };
            [of("a", &a), of("b", &b)].concat()
        };
        a.edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "经理", "phone": "138 0013-8000"}));
        a.edit("3", &json!({"name": "王芳", "email": "wang@example.com", "title": null, "phone": null}));
        settle(&engine, &runtime);
        b.edit("1", &json!({"name": "李磊", "email": null, "phone": "(139) 00139000", "tags": ["vip"], "title": null}));
        settle(&engine, &runtime);
        let never = shown();
        // Three who are not the same; and while they are one, people go on working.
        assert_eq!(review::link(&engine, 1, 3, WANG).unwrap(), 1);
        assert_eq!(review::link(&engine, 1, 2, WANG).unwrap(), 1);
        settle(&engine, &runtime);
        a.edit("3", &json!({"title": "出纳"}));
        settle(&engine, &runtime);
        let one = shown();
        assert_eq!((&one[0].1["phone"], &one[2].1["title"]), (&json!("+8613900139000"), &json!("出纳")));

        // The one who came last leaves first, then the first of those who came.
        for (record, home, rest) in [("b/customers/1", 3, 1), ("a/customers/1", 1, 2)] {
            let before = (customers(&engine), shown());
            let told = review::look(&engine, &[key(record)]).unwrap();
            assert_eq!((customers(&engine), shown()), before, "a look changes nothing");
            assert_eq!(settle(&engine, &runtime), (), "and nobody is told");
            assert_eq!(shown(), before.1);
            assert_eq!((told.parted.golden, told.rest.golden, told.parted.is_new), (home, rest, false));
            assert_eq!(review::split(&engine, &[key(record)], WANG).unwrap(), (home, rest));
            for half in [&told.parted, &told.rest] {
                let golden = engine.store.read(|tx| goldens::by_ids(tx, [half.golden])).unwrap().remove(0);
                assert_eq!((golden.fields, golden.merged_into), (half.fields.clone(), None));
            }
            settle(&engine, &runtime);
            let named = told
                .writes
                .iter()
                .map(|it| (format!("{}/{}/{}", it.connection, it.stream, it.id.as_deref().unwrap_or("new")), it));
            let planned: BTreeMap<String, (Value, Value)> = named
                .flat_map(|(name, it)| {
                    it.places.iter().map(move |(place, both)| (format!("{name} {place}"), both.clone()))
                })
                .collect();
            assert_eq!(planned, places(&before.1, &shown()), "what was told came, and nothing else");
            assert!(planned.len() > 3, "{planned:?}");
        }
        let mut never = never;
        never[1].1["title"] = json!("出纳");
        let filled =
            |all: Vec<(String, Value)>| all.into_iter().map(|(name, it)| (name, filled(&it))).collect::<Vec<_>>();
        assert_eq!(filled(shown()), filled(never), "as its system spells it, and with what was said since");
    });
}

#[test]
fn a_record_that_proved_two_to_be_one_does_not_join_them_after_a_split() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let proof = |seconds, title: &str| {
            let body = json!({"name": "李雷", "email": "li@example.com", "phone": "13800138000", "title": title});
            record("c/customers/1", seconds, &body)
        };
        feed(
            &engine,
            &[
                record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com"})),
                record("b/customers/1", 2, &json!({"name": "李雷", "phone": "13800138000"})),
                proof(3, "A"),
            ],
        );
        assert_eq!(customers(&engine).len(), 1);
        assert_eq!(review::split(&engine, &[key("b/customers/1")], WANG).unwrap(), (2, 1));
        feed(
            &engine,
            &[
                proof(4, "B"),
                record("b/customers/1", 5, &json!({"name": "李雷", "phone": "13800138000", "title": "C"})),
            ],
        );
        let shown = customers(&engine);
        assert_eq!(shown.iter().map(|it| it.1.len()).collect::<Vec<_>>(), [2, 1]);
        // A fourth record with both proofs is a question now.
        let fourth = json!({"name": "李雷", "email": "li@example.com", "phone": "13800138000"});
        assert_eq!(feed(&engine, &[record("a/customers/4", 6, &fourth)]).reviews, 1);
        // Parting those who were always there leaves them their number.
        review::link(&engine, 1, 2, WANG).unwrap();
        let both = [key("a/customers/1"), key("c/customers/1")];
        assert_eq!(review::split(&engine, &both, WANG).unwrap(), (1, 2));
        let told = review::split(&engine, &[key("b/customers/1")], WANG).unwrap_err().to_string();
        assert!(told.contains("nothing to part"), "{told}");
        let told = review::split(&engine, &[key("b/customers/7")], WANG).unwrap_err().to_string();
        assert!(told.contains("no such record"), "{told}");
    });
}

#[test]
fn a_review_is_decided_once_for_ever() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let second = |seconds, title: &str| {
            record("b/customers/1", seconds, &json!({"name": "韩梅梅", "phone": "13800138000", "title": title}))
        };
        let third = |seconds, title: &str| {
            record("c/customers/1", seconds, &json!({"name": "王芳", "phone": "13800138000", "title": title}))
        };
        let first = record("a/customers/1", 1, &json!({"name": "李雷", "phone": "13800138000"}));
        assert_eq!(feed(&engine, &[first, second(2, "A"), third(3, "A")]).reviews, 2);
        let told = review::decide(&engine, 1, Verdict::Same(9), WANG).unwrap_err().to_string();
        assert!(told.contains("asks about 1, not 9"), "{told}");
        assert_eq!(review::decide(&engine, 1, Verdict::Same(1), WANG).unwrap(), 1);
        assert_eq!(customers(&engine).len(), 2);
        let told = review::decide(&engine, 1, Verdict::Apart, WANG).unwrap_err().to_string();
        assert!(told.contains("settled already"), "{told}");
        review::decide(&engine, 2, Verdict::Apart, WANG).unwrap();
        assert_eq!(feed(&engine, &[third(4, "B"), second(5, "B")]).reviews, 0, "nobody is asked again");
        assert_eq!(customers(&engine).len(), 2);
        assert!(engine.store.read(|tx| stewards::waiting(tx, 10)).unwrap().is_empty());
    });
}

#[test]
fn a_pin_wins_until_it_is_taken_away() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        feed(&engine, &[record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com", "title": "A"}))]);
        review::pin(&engine, 1, &"title".into(), &json!("Boss"), WANG).unwrap();
        feed(&engine, &[record("a/customers/1", 2, &json!({"name": "李雷", "email": "li@example.com", "title": "B"}))]);
        assert_eq!(customers(&engine)[0].0["title"], "Boss");
        review::unpin(&engine, 1, &"title".into(), WANG).unwrap();
        assert_eq!(customers(&engine)[0].0["title"], "B");
        let told = review::pin(&engine, 1, &"shoe_size".into(), &json!("44"), WANG).unwrap_err().to_string();
        assert!(told.contains("knows the field"), "{told}");
        assert!(review::unpin(&engine, 1, &"title".into(), WANG).is_err());
    });
}

#[test]
fn a_pin_is_kept_in_canonical_form_and_a_wrong_value_is_refused() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        feed(&engine, &[record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com"}))]);
        let phone = review::pin(&engine, 1, &"phones.main".into(), &json!(" 138 0013 8000"), WANG).unwrap();
        assert_eq!(phone, json!({"number": "+8613800138000", "type": "mobile"}));
        assert_eq!(review::pin(&engine, 1, &"phones.main".into(), &phone, WANG).unwrap(), phone, "canonical stays so");
        review::pin(&engine, 1, &"emails.main".into(), &json!("Li.Lei@Example.com"), WANG).unwrap();
        let shown = customers(&engine)[0].0.clone();
        assert_eq!((&shown["phones.main"], &shown["emails.main"]), (&phone, &json!("li.lei@example.com")));
        for (field, value) in [("phones.main", "12"), ("emails.main", "nobody"), ("emails.main", " ")] {
            let told = review::pin(&engine, 1, &field.into(), &json!(value), WANG).unwrap_err().to_string();
            assert!(told.contains(field) && told.contains("write null"), "{told}");
        }
        review::pin(&engine, 1, &"emails.main".into(), &Value::Null, WANG).unwrap();
        let shown = customers(&engine)[0].0.clone();
        assert_eq!((&shown["phones.main"], shown.get("emails.main")), (&phone, None));
    });
}

#[test]
fn what_was_ruled_to_be_the_same_comes_together_again() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let second =
            |seconds, title: &str| record("b/customers/1", seconds, &json!({"name": "韩梅梅", "title": title}));
        feed(&engine, &[record("a/customers/1", 1, &json!({"name": "李雷"})), second(2, "A")]);
        review::link(&engine, 1, 2, WANG).unwrap();
        // Whatever parted them since, no evidence brings them together: the ruling does, at the next word.
        let part = engine.store.write(|tx| {
            tx.execute("UPDATE golden SET merged_into = NULL WHERE id = 2", &[])?;
            tx.execute("UPDATE link SET golden = 2 WHERE connection = 'b'", &[])?;
            tx.execute("UPDATE block SET golden = 2 WHERE link = 2", &[])
        });
        part.unwrap();
        assert_eq!(customers(&engine).len(), 2);
        feed(&engine, &[second(3, "B")]);
        let shown = customers(&engine);
        assert_eq!((shown.len(), shown[0].1.len(), &shown[0].0["title"]), (1, 2, &json!("B")));
        // A later ruling is the last word.
        review::split(&engine, &[key("b/customers/1")], WANG).unwrap();
        feed(&engine, &[second(4, "C")]);
        assert_eq!(customers(&engine).len(), 2);
    });
}

#[test]
fn questions_that_answered_themselves_are_closed() {
    on_both_stores(|store| {
        let engine = kit::engine(store);
        let person = |key: &str, seconds, name: &str, title: &str| {
            record(key, seconds, &json!({"name": name, "phone": "13800138000", "title": title}))
        };
        let state = |number| {
            let found = engine.store.read(|tx| stewards::review_by_number(tx, number)).unwrap();
            found.map(|(_, state)| state)
        };
        let first = [person("a/customers/1", 1, "李雷", "A"), person("b/customers/1", 2, "韩梅梅", "A")];
        assert_eq!(feed(&engine, &first).reviews, 1);
        // The same doubt from the other side.
        assert_eq!(feed(&engine, &[person("a/customers/1", 3, "李雷", "B")]).reviews, 1);
        review::decide(&engine, 1, Verdict::Apart, WANG).unwrap();
        assert_eq!((state(1).as_deref(), state(2).as_deref()), (Some("different"), Some("ruled")));
        assert_eq!(feed(&engine, &[person("c/customers/1", 4, "王芳", "A")]).reviews, 1);
        assert_eq!(state(3).as_deref(), Some("waiting"));
        review::link(&engine, 1, 3, WANG).unwrap();
        assert_eq!(state(3).as_deref(), Some("merged"), "and the other one is ruled out by now");
        let told = review::decide(&engine, 2, Verdict::Apart, WANG).unwrap_err().to_string();
        assert!(told.contains("ruled"), "{told}");
        // As long as one candidate is in question, the question stays.
        let doubt = |key: &str, name: &str| record(key, 5, &json!({"name": name, "phone": "13900139000"}));
        let asked = [doubt("a/customers/7", "赵一"), doubt("b/customers/7", "钱二"), doubt("c/customers/7", "孙三")];
        assert_eq!(feed(&engine, &asked).reviews, 2);
        review::link(&engine, 4, 6, WANG).unwrap();
        let waiting = engine.store.read(|tx| stewards::waiting(tx, 10)).unwrap();
        assert_eq!(waiting.iter().map(|it| it.number).collect::<Vec<_>>(), [4, 5]);
    });
}
