//! The names beside blocks: strangers are told apart by them before anything of them is loaded, and nobody is anybody else
//! because of it.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{Cx, Network};
use huiliu_core::engine::Engine;
use huiliu_core::store::Store;
use huiliu_core::store::blocks::{self, Pace};
use huiliu_core::store::inbox::InboxItem;
use huiliu_core::store::stewards;
use huiliu_mappings::matching::{self, Evidence, Rules, marked_keys};
use huiliu_mappings::merge;
use huiliu_tests::dice::Dice;
use huiliu_tests::kit::{self, DAY_ONE_US, MAPPING, customers, feed, on_both_stores, record};
use serde_json::{Value, json};

fn engine(store: Store) -> Engine {
    let clock = Clock::manual(DAY_ONE_US);
    let mapping = MAPPING.replacen("title = \"/title\"", "birth_date = { from = \"/born\", normalize = \"date\" }", 1);
    let connections = ["a", "b", "c"].map(|name| {
        let cx = Cx::bare(name, clock.clone(), Network::Private);
        Connection::bare(cx, "kit", None, kit::lenses(&mapping))
    });
    Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock)
}

const BORN: &str = "1987-05-14";

/// What stands beside the blocks of a record of this name and day: its customers, and whether there is a name.
fn marks(engine: &Engine, name: &str) -> Vec<(i64, bool)> {
    let mut evidence = Evidence::default();
    evidence.fields.insert("display_name".into(), Value::from(name));
    evidence.fields.insert("birth_date".into(), Value::from(BORN));
    let keys = marked_keys(&Rules::shipped(), "customer", &evidence);
    let found = engine.store.read(|tx| blocks::shared(tx, engine.store.tail(), keys.of_any_name, 128)).expect("reads");
    found.into_iter().map(|it| (it.golden, it.mark != 0)).collect()
}

fn questions(engine: &Engine) -> usize {
    engine.store.read(|tx| stewards::waiting(tx, 100)).expect("reads").len()
}

#[test]
fn who_is_one_customer_with_somebody_of_another_name_stays_open() {
    on_both_stores(|store| {
        let engine = engine(store);
        let told = |key: &str, at: i64, body: Value| feed(&engine, &[record(key, at, &body)]);
        told("a/customers/1", 1, json!({"name": "王小明", "born": BORN, "tax_id": "91350100M000100Y43"}));
        assert_eq!(marks(&engine, "王小明"), [(1, true)]);
        told("a/customers/2", 2, json!({"name": "王芳", "born": BORN}));
        assert_eq!(marks(&engine, "王芳"), [(1, true), (2, true)]);
        // A number that only one has proves that they are one; nobody knows when he was born by this record.
        told("b/customers/1", 3, json!({"name": "王强", "tax_id": "91350100M000100Y43"}));
        assert_eq!(marks(&engine, "王芳"), [(1, false), (2, true)]);
        let before = questions(&engine);
        told("c/customers/1", 4, json!({"name": "王强", "born": BORN}));
        let joined = customers(&engine)[0].1.contains(&"c/customers/1".to_owned());
        assert!(joined || questions(&engine) > before, "he is known by his other name");
        // Once that is corrected, the name counts again.
        told("b/customers/1", 5, json!({"name": "王小明", "tax_id": "91350100M000100Y43"}));
        told(
            "a/customers/1",
            6,
            json!({"name": "王小明", "born": BORN, "tax_id": "91350100M000100Y43", "tags": ["x"]}),
        );
    });
}

/// People of a few names and days, who share numbers, and say other things later.
fn story(dice: &mut Dice) -> Vec<InboxItem> {
    let names = ["王小明", "王晓明", "王芳", "Wang Fang", "王强", "李强", "Li Qiang", "Bob Li", "Robert Li", "王", ""];
    let pick = |dice: &mut Dice, most: usize| dice.below(most);
    let item = |at: i64, dice: &mut Dice| {
        let (system, id) = (["a", "b", "c"][pick(dice, 3)], pick(dice, 12));
        let mut body = json!({"name": names[pick(dice, names.len())]});
        if pick(dice, 4) > 0 {
            body["born"] = [BORN, "1987-05-15"][usize::from(pick(dice, 4) == 0)].into();
        }
        match pick(dice, 6) {
            0 => body["tax_id"] = ["91350100M000100Y43", "91110000MA001XXX2K"][pick(dice, 2)].into(),
            1 => body["phone"] = format!("1380013800{}", pick(dice, 3)).into(),
            2 => body["email"] = format!("p{}@example.com", pick(dice, 3)).into(),
            _ => {}
        }
        record(&format!("{system}/customers/{id}"), at, &body)
    };
    (1..=60).map(|at| item(at, dice)).collect()
}

/// Customers, and by link whom stewards are asked about, when one comes after the other. In one batch records may meet by blocks that they
/// leave in it.
fn play(engine: &Engine, items: &[InboxItem], forgets: bool) -> (BTreeSet<Vec<String>>, BTreeMap<i64, BTreeSet<i64>>) {
    for item in items {
        feed(engine, std::slice::from_ref(item));
        if forgets {
            while blocks::tidy(&engine.store, Pace { most: 1, part: 1000 }).expect("merges") {}
            engine.store.write(|tx| tx.execute("UPDATE block SET mark = 0", &[])).expect("forgets");
        }
    }
    let asked = engine.store.read(|tx| stewards::waiting(tx, 100)).expect("reads");
    let mut about: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for review in asked {
        about.entry(review.link).or_default().extend(review.candidates.iter().map(|it| it.0));
    }
    (customers(engine).into_iter().map(|it| it.1).collect(), about)
}

#[test]
fn nobody_is_anybody_else_because_of_a_name_beside_a_block() {
    let folder = tempfile::tempdir().expect("a folder");
    for seed in 0..24 {
        let items = story(&mut Dice::new(seed));
        let [with, without] = [false, true].map(|forgets| {
            let url = format!("sqlite:{}", folder.path().join(format!("{seed}-{forgets}.db")).display());
            play(&engine(Store::open(&url).expect("a store")), &items, forgets)
        });
        assert_eq!(with, without, "seed {seed}");
    }
}
