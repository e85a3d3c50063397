//! What is kept, through today's rules.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::engine::Engine;
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::replay::{self, Replayed, Scope};
use huiliu_core::review::{self, Steward};
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_core::store::{Store, deliveries, goldens, inbox, links};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, MAPPING, customers, feed, on_both_stores, record};
use huiliu_tests::memory::Memory;
use serde_json::{Value, json};

/// Everything.
const ALL: Scope = Scope { connection: None, stream: None, record: None, rematch: false };

fn without(part: &str) -> String {
    assert!(MAPPING.contains(part), "{part}");
    MAPPING.replace(part, "")
}

fn look(engine: &Engine) -> Replayed {
    replay::look(engine, &ALL, 3, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn apply(engine: &Engine) -> Replayed {
    let done = replay::apply(engine, &ALL, "wang", 3, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(done.done);
    done
}

/// An engine whose connections read by these mappings, and nobody is written.
fn reading(store: &Store, mappings: &[(&str, &str)]) -> Engine {
    let clock = Clock::manual(DAY_ONE_US);
    let connections = mappings.iter().map(|(name, mapping)| {
        let mut connection = kit::connection(name, &clock, None);
        connection.lenses = kit::lenses(mapping);
        connection
    });
    Engine::new(store.clone(), matching::Rules::shipped(), merge::Rules::shipped(), connections, clock.clone())
}

/// Live systems `a` and `b`; what is in `a` is made in `b`, which stores titles in upper case.
struct Pair {
    engine: Engine,
    a: Arc<Memory>,
    b: Arc<Memory>,
    runtime: tokio::runtime::Runtime,
}

impl Pair {
    fn new(store: &Store, mapping: &str) -> Self {
        let (a, b) = (Arc::new(Memory::new(false)), Arc::new(Memory::new(true)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = Self::engine(store, &Clock::manual(DAY_ONE_US), (&a, mapping), (&b, mapping));
        Self { engine, a, b, runtime }
    }

    fn engine(store: &Store, clock: &Clock, a: (&Arc<Memory>, &str), b: (&Arc<Memory>, &str)) -> Engine {
        let mut connections =
            [kit::connection("a", clock, Some(a.0.clone())), kit::connection("b", clock, Some(b.0.clone()))];
        connections[0].lenses = kit::lenses(a.1);
        connections[1].lenses = kit::lenses(b.1);
        connections[1].creates.insert("customers".to_owned());

        kit::live(store.clone(), clock.clone(), connections)
    }

    /// The same deployment, started again with other mapping files.
    fn again(self, a: &str, b: &str) -> Self {
        let engine = Self::engine(&self.engine.store, &self.engine.clock, (&self.a, a), (&self.b, b));
        Self { engine, ..self }
    }

    fn settle(&self) {
        for _ in 0..30 {
            self.engine.clock.advance_us(1_000_000);
            let mut moved = 0;
            for connection in self.engine.connections.values() {
                let pulled = self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1));
                moved += pulled.unwrap().records;
                moved += self.runtime.block_on(pull::fetches(&self.engine, connection)).unwrap();
            }
            moved += process::batch(&self.engine).unwrap().items + plan::batch(&self.engine).unwrap().0;
            for connection in self.engine.connections.values() {
                moved += self.runtime.block_on(push::batch(&self.engine, connection)).unwrap();
            }
            if moved == 0 && self.engine.store.read(deliveries::next_due_us).unwrap().is_none() {
                return;
            }
        }
        panic!("the systems never agree");
    }

    fn person(&self, id: &str, title: &str) {
        let body = json!({"name": format!("客户{id}"), "email": format!("p{id}@example.com"), "title": title});
        self.a.edit(id, &body);
    }

    fn in_b(&self, id: &str) -> Value {
        let ids = self.b.ids();
        let mut found = ids.iter().map(|it| self.b.get(it));
        found.find(|body| body["email"] == format!("p{id}@example.com").as_str()).unwrap()
    }

    fn said_by_b(&self, field: &str) -> usize {
        let all: Vec<LinkKey> = self.b.ids().iter().map(|id| format!("b/customers/{id}").parse().unwrap()).collect();
        let links = self.engine.store.read(|tx| links::by_keys(tx, &all)).unwrap();
        links.iter().filter(|link| link.state.said.contains_key(field)).count()
    }
}

fn changes(engine: &Engine) -> i64 {
    engine.store.read(|tx| tx.max("position", "change_log")).unwrap()
}

#[test]
fn unchanged_rules_change_nothing() {
    on_both_stores(|store| {
        let pair = Pair::new(&store, MAPPING);
        pair.settle();
        for (id, title) in [("1", " clerk"), ("2", "boss"), ("3", "guest")] {
            pair.person(id, title);
        }
        pair.settle();
        assert_eq!(pair.in_b("1")["title"], "CLERK", "b stores it in its own way");
        // Edits on both sides, one of them of a value that we wrote, and a field that is cleared.
        let boss = pair.b.ids().into_iter().find(|id| pair.b.get(id)["email"] == "p2@example.com").unwrap();
        pair.b.edit(&boss, &json!({"title": "OWNER", "phone": "13800138000"}));
        pair.person("3", "buyer");
        pair.settle();
        pair.a.edit("1", &json!({"title": null, "tags": ["vip", "new"]}));
        pair.settle();
        let (before, shown, writes) =
            (changes(&pair.engine), customers(&pair.engine), pair.a.writes() + pair.b.writes());

        let seen = look(&pair.engine);
        assert!(seen.report.is_empty() && seen.report.writes.is_empty() && seen.report.issues.is_empty(), "{seen:?}");
        assert_eq!(seen.report.outcomes, BTreeMap::from([("unchanged".to_owned(), 6)]));
        for _ in 0..2 {
            assert_eq!(apply(&pair.engine).report, seen.report);
        }
        pair.settle();
        assert_eq!((changes(&pair.engine), customers(&pair.engine)), (before, shown));
        assert_eq!(pair.a.writes() + pair.b.writes(), writes);
    });
}

#[test]
fn a_newly_mapped_field_is_filled_from_what_is_kept_and_travels() {
    on_both_stores(|store| {
        let title = without("title = \"/title\"\n");
        let pair = Pair::new(&store, &title);
        pair.settle();
        pair.person("1", "clerk");
        pair.person("2", "boss");
        pair.settle();
        assert_eq!((customers(&pair.engine)[0].0.get("title"), pair.in_b("1").get("title")), (None, None));

        let pair = pair.again(MAPPING, MAPPING);
        let before = changes(&pair.engine);
        let seen = look(&pair.engine);
        assert_eq!(changes(&pair.engine), before, "a look writes nothing");
        assert_eq!(seen.report.fields["customer.title"].filled, 2, "{seen:?}");
        assert_eq!(seen.report.writes, BTreeMap::from([("b/customers update".to_owned(), 2)]));
        assert_eq!(seen.samples[0].diff["title"], (Value::Null, json!("clerk")));
        let done = apply(&pair.engine);
        assert_eq!(done.report, seen.report, "as it was shown");
        let last = pair.engine.store.read(|tx| goldens::changes_of(tx, 1, 10)).unwrap().pop().unwrap();
        assert_eq!(last.cause, format!("replay:{}", done.number));
        pair.settle();
        assert_eq!((&pair.in_b("1")["title"], &pair.in_b("2")["title"]), (&json!("CLERK"), &json!("BOSS")));
        assert!(apply(&pair.engine).report.is_empty());

        // Our copies came back to us in the meantime; read anew they still are ours, and nobody's word but that of a.
        let copies = pair.again(MAPPING, MAPPING);
        assert_eq!(copies.said_by_b("title"), 0);
        let field = "[customers.fields]\n";
        let under_two_names =
            MAPPING.replacen(field, "[customers.fields]\ncompany = { from = \"/title\", direction = \"in\" }\n", 1);
        let pair = copies.again(MAPPING, &under_two_names);
        let seen = apply(&pair.engine);
        assert_eq!(seen.report.outcomes["changed"], 2, "b holds it under one more name");
        assert_eq!((pair.said_by_b("company"), pair.said_by_b("title")), (0, 0), "and says it under neither");
        pair.settle();
        assert_eq!(customers(&pair.engine)[0].0["title"], "clerk");
    });
}

#[test]
fn a_field_that_is_mapped_no_more_goes_away() {
    on_both_stores(|store| {
        let pair = Pair::new(&store, MAPPING);
        pair.settle();
        pair.person("1", "clerk");
        pair.settle();
        let pair = pair.again(&without("title = \"/title\"\n"), MAPPING);
        let seen = look(&pair.engine);
        assert_eq!(seen.report.fields["customer.title"].emptied, 1, "{seen:?}");
        assert_eq!(apply(&pair.engine).report, seen.report);
        assert_eq!(customers(&pair.engine)[0].0.get("title"), None);
        pair.settle();
        assert_eq!(pair.in_b("1")["title"], Value::Null, "the copy was only ever ours");
        assert_eq!(pair.a.get("1")["title"], "clerk", "a is not written what nobody maps there");
    });
}

#[test]
fn a_replay_that_is_killed_goes_on_and_newer_data_stays() {
    let many: Vec<InboxItem> = (0..250)
        .map(|at| {
            let body = json!({"name": format!("客户{at}"), "email": format!("p{at}@example.com"), "title": "old"});
            record(&format!("a/customers/{at}"), at, &body)
        })
        .collect();
    let edits = ["3", "240"].map(|id| {
        let body = json!({"name": format!("客户{id}"), "email": format!("p{id}@example.com"), "title": "new"});
        record(&format!("a/customers/{id}"), 1000, &body)
    });
    let title = without("title = \"/title\"\n");
    on_both_stores(|store| {
        feed(&reading(&store, &[("a", &title)]), &many);
        let engine = reading(&store, &[("a", MAPPING)]);
        let first = replay::apply(&engine, &ALL, "wang", 0, &mut |_| ControlFlow::Break(())).unwrap();
        assert!(!first.done && first.report.goldens == 100, "{first:?}");
        // Life goes on: one customer behind and one before the place of the replay are edited.
        feed(&engine, &edits);
        drop(engine);
        let engine = reading(&store, &[("a", MAPPING)]);
        let second = apply(&engine);
        assert_eq!((second.number, second.report.records), (first.number, 250), "it goes on where it was");
        let folder = tempfile::tempdir().unwrap();
        let control = Store::open(&format!("sqlite:{}", folder.path().join("control.db").display())).unwrap();
        let control = reading(&control, &[("a", MAPPING)]);
        feed(&control, &many);
        feed(&control, &edits);
        assert_eq!(customers(&engine), customers(&control));
        assert_eq!(customers(&engine).iter().filter(|it| it.0["title"] == "new").count(), 2);
        let third = apply(&engine);
        assert!(third.number > first.number && third.report.is_empty(), "{third:?}");
        // Under other rules an interrupted replay begins again.
        let engine = reading(&store, &[("a", &title)]);
        let stopped = replay::apply(&engine, &ALL, "wang", 0, &mut |_| ControlFlow::Break(())).unwrap();
        let engine = reading(&store, &[("a", MAPPING)]);
        let after = apply(&engine);
        assert!(after.number > stopped.number && after.report.records == 250, "{after:?}");
        assert_eq!(customers(&engine), customers(&control));
    });
}

#[test]
fn new_evidence_joins_and_lost_evidence_parts() {
    on_both_stores(|store| {
        let phone = without("phone = \"/phone\"\n");
        let person = |key: &str, email: &str| {
            record(key, 1, &json!({"name": "李雷", "email": email, "phone": "13800138000", "title": email}))
        };
        let feeding = reading(&store, &[("a", &phone), ("b", &phone)]);
        // Of one name and mailboxes that have nothing in common: two that differ by a slip would be a question.
        feed(&feeding, &[person("a/customers/1", "li@example.com"), person("b/customers/1", "office7@example.org")]);
        let apart = customers(&feeding);
        assert_eq!(apart.len(), 2);
        let engine = reading(&store, &[("a", MAPPING), ("b", MAPPING)]);
        let seen = look(&engine);
        assert_eq!((seen.report.joined, seen.report.parted), (1, 0), "{seen:?}");
        assert_eq!(apply(&engine).report.joined, 1);
        assert_eq!(customers(&engine).len(), 1);
        assert!(apply(&engine).report.is_empty());
        let engine = reading(&store, &[("a", &phone), ("b", &phone)]);
        let seen = look(&engine);
        assert_eq!((seen.report.joined, seen.report.parted), (0, 1), "{seen:?}");
        assert_eq!(apply(&engine).report.parted, 1);
        assert_eq!(customers(&engine), apart, "with the numbers and values that they had");
        let living: Vec<i64> =
            engine.store.read(|tx| goldens::after(tx, "customer", 0, 10)).unwrap().iter().map(|it| it.id).collect();
        assert_eq!(living, [1, 2]);
        assert!(apply(&engine).report.is_empty());
    });
}

#[test]
fn what_no_mapping_read_runs_again_and_so_do_dead_letters() {
    on_both_stores(|store| {
        let orders = "[orders]\nentity = \"order\"\n[orders.fields]\nnumber = \"/no\"\n";
        let engine = reading(&store, &[("a", orders)]);
        let body =
            |name: &str, title: &str| json!({"name": name, "email": format!("{name}@example.com"), "title": title});
        let gone = InboxItem {
            kind: ItemKind::Deleted,
            version: None,
            body: Vec::new(),
            received_us: DAY_ONE_US + 7_200_000_000,
            ..record("a/customers/2", 3, &json!({}))
        };
        let items = [
            record("a/customers/1", 1, &body("li", "clerk")),
            record("a/customers/2", 1, &body("han", "guest")),
            record("a/customers/1", 2, &body("li", "boss")),
            gone,
            record("d/customers/1", 1, &body("wu", "buyer")),
        ];
        assert_eq!(feed(&engine, &items).dead, 1);
        assert!(customers(&engine).is_empty());
        let engine = reading(&store, &[("a", MAPPING), ("d", MAPPING)]);
        let seen = look(&engine);
        assert_eq!((seen.report.unread, seen.report.letters), (3, 1), "a deletion alone makes no record: {seen:?}");
        let only = Scope { connection: Some("a".to_owned()), ..ALL };
        let done = replay::apply(&engine, &only, "wang", 0, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((done.report.unread, done.report.letters), (3, 0));
        assert_eq!(apply(&engine).report.letters, 1);
        let shown = customers(&engine);
        let titles: Vec<&Value> = shown.iter().map(|it| &it.0["title"]).collect();
        assert_eq!(titles, ["boss", "guest", "buyer"]);
        assert!(engine.store.read(|tx| inbox::dead_letters(tx, 10)).unwrap().is_empty());
        let (before, kept) = (changes(&engine), engine.store.read(|tx| tx.max("position", "inbox")).unwrap());
        assert!(apply(&engine).report.is_empty());
        assert_eq!((changes(&engine), engine.store.read(|tx| tx.max("position", "inbox")).unwrap()), (before, kept));
    });
}

#[test]
fn issues_come_and_go_and_a_record_can_be_read_alone() {
    on_both_stores(|store| {
        let dated =
            MAPPING.replacen("title = \"/title\"", "birth_date = { from = \"/title\", normalize = \"date\" }", 1);
        let engine = reading(&store, &[("a", &dated)]);
        let person = |id: &str| {
            let body = json!({"name": "李雷", "email": format!("p{id}@example.com"), "title": "clerk"});
            record(&format!("a/customers/{id}"), 1, &body)
        };
        feed(&engine, &[person("1"), person("2")]);
        let engine = reading(&store, &[("a", MAPPING)]);
        let one = Scope { record: Some("a/customers/2".to_owned()), ..ALL };
        let done = replay::apply(&engine, &one, "wang", 1, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((done.report.records, done.report.goldens, done.samples[0].golden), (1, 1, 2), "{done:?}");
        let vanished: Vec<u64> = look(&engine).report.issues.values().map(|it| it.vanished).collect();
        assert_eq!(vanished, [1], "the other one waits");
        apply(&engine);
        let engine = reading(&store, &[("a", &dated)]);
        let seen = look(&engine);
        let (name, counts) = seen.report.issues.iter().next().unwrap();
        assert!(name.starts_with("a/customers birth_date") && counts.appeared == 2, "{seen:?}");
    });
}

#[test]
fn what_is_kept_no_more_stays_as_it_is() {
    on_both_stores(|store| {
        let engine = reading(&store, &[("a", MAPPING)]);
        feed(&engine, &[record("a/customers/1", 1, &json!({"name": "李雷", "email": "li@example.com", "title": "A"}))]);
        engine.store.write(|tx| tx.execute("DELETE FROM inbox", &[])).unwrap();
        let engine = reading(&store, &[("a", &without("title = \"/title\"\n"))]);
        let done = apply(&engine);
        assert_eq!(done.report.outcomes, BTreeMap::from([("not_kept".to_owned(), 1)]));
        assert!(done.report.is_empty());
        assert_eq!(customers(&engine)[0].0["title"], "A");
    });
}

#[test]
fn copies_whose_receipts_were_not_kept_stay_as_they_are() {
    on_both_stores(|store| {
        let pair = Pair::new(&store, MAPPING);
        pair.settle();
        pair.person("1", "clerk");
        pair.settle();
        let pair = pair.again(MAPPING, &without("tags = \"/tags\"\n"));
        store.write(|tx| tx.execute("DELETE FROM receipt", &[])).unwrap();
        let done = apply(&pair.engine);
        assert_eq!(done.report.outcomes, BTreeMap::from([("not_kept".to_owned(), 1), ("unchanged".to_owned(), 1)]));
        assert_eq!(pair.said_by_b("title"), 0);
    });
}

#[test]
fn what_a_steward_ruled_to_be_one_stays_one() {
    on_both_stores(|store| {
        let phone = without("phone = \"/phone\"\n");
        let person =
            |key: &str, email: &str| record(key, 1, &json!({"name": "李雷", "email": email, "phone": "13800138000"}));
        let engine = reading(&store, &[("a", &phone), ("b", &phone)]);
        feed(&engine, &[person("a/customers/1", "li@example.com"), person("b/customers/1", "lei@example.com")]);
        review::link(&engine, 1, 2, Steward { name: "wang", why: "called both" }).unwrap();
        apply(&reading(&store, &[("a", MAPPING), ("b", MAPPING)]));
        let engine = reading(&store, &[("a", &phone), ("b", &phone)]);
        assert_eq!(apply(&engine).report.parted, 0);
        assert_eq!(customers(&engine).len(), 1);
    });
}

#[test]
fn a_table_that_is_not_meant_reads_nothing_again() {
    on_both_stores(|store| {
        let two = format!(
            "{MAPPING}\n[guests]\nentity = \"customer\"\nstream = \"customers\"\nonly = \"/guest\"\n[guests.fields]\ntitle = \"/guest\"\n"
        );
        let engine = reading(&store, &[("a", MAPPING)]);
        let body = |guest: Value| json!({"name": "李雷", "email": "li@example.com", "guest": guest});
        feed(&engine, &[record("a/customers/1", 1, &body(json!(null))), record("a/customers/2", 2, &body(json!("x")))]);
        let engine = reading(&store, &[("a", &two)]);
        let seen = look(&engine);
        assert_eq!((seen.report.unread, seen.report.outcomes.get("unchanged")), (1, Some(&2)), "{seen:?}");
        assert_eq!(apply(&engine).report.unread, 1);
        assert!(apply(&engine).report.is_empty());
        let guests = ["1", "2"].map(|id| format!("a/guests/{id}").parse::<LinkKey>().unwrap());
        assert_eq!(engine.store.read(|tx| links::by_keys(tx, &guests)).unwrap().len(), 1);
    });
}
