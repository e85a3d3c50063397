//! Order: people with households, shared numbers, contradictions, corrections and deletions, in whatever order and in
//! whatever batches they arrive, are the same customers in the end, and no number of a customer ever leads nowhere.

use std::collections::{BTreeMap, BTreeSet};

use huiliu_core::engine::Engine;
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_core::store::{Store, goldens, links};
use huiliu_tests::dice::Dice;
use huiliu_tests::kit::{self, customers, feed, record};
use serde_json::{Value, json};

/// What one record goes through, in its own order.
type Story = Vec<InboxItem>;

/// The number of a shop, which the clerk typed in whoever had none.
const SHOP: &str = "13600000000";

/// More customers than `customers_max` of the shipped rules.
const SHOPPERS: usize = 45;

struct Town {
    stories: Vec<Story>,
}

impl Town {
    fn tell(&mut self, key: &str, states: &[Value]) {
        let story = states
            .iter()
            .enumerate()
            .map(|(at, body)| record(key, 10 + i64::try_from(at).expect("a small number"), body));
        self.stories.push(story.collect());
    }

    fn gone(&mut self, key: &str, body: &Value) {
        let deleted = InboxItem { kind: ItemKind::Deleted, body: Vec::new(), ..record(key, 90, &json!(null)) };
        self.stories.push(vec![record(key, 10, body), deleted]);
    }

    /// Somebody whom several systems know by address and number.
    fn person(&mut self, at: usize) {
        let (name, mail, phone) = (name(at), format!("p{at}@example.com"), phone(at));
        self.tell(&format!("a/customers/p{at}"), &[json!({"name": name, "email": mail, "phone": phone})]);
        self.tell(&format!("b/customers/p{at}"), &[json!({"name": name, "phone": phone})]);
        match at % 3 {
            0 => self.gone(&format!("c/customers/p{at}"), &json!({"email": mail})),
            1 => self.tell(&format!("c/customers/p{at}"), &[json!({"name": name, "email": mail})]),
            _ => {}
        }
    }

    /// Two people with one telephone, and a record that could be of either of them.
    fn household(&mut self, at: usize) {
        let (one, other, shared) = (name(at), name(at + 1000), phone(at));
        let mails = [format!("h{at}@example.com"), format!("h{at}b@example.com")];
        self.tell(&format!("a/customers/h{at}"), &[json!({"name": one, "email": mails[0], "phone": shared})]);
        self.tell(&format!("b/customers/h{at}"), &[json!({"name": other, "email": mails[1], "phone": shared})]);
        self.tell(&format!("c/customers/h{at}"), &[json!({"phone": shared})]);
        self.tell(&format!("b/customers/h{at}x"), &[json!({"email": mails[0]})]);
        if at.is_multiple_of(2) {
            // A second record between both, which is tied to the first by more.
            self.tell(&format!("c/customers/h{at}y"), &[json!({"phone": shared, "email": mails[1]})]);
        }
    }

    /// Two companies with tax numbers of their own, and somebody who has the telephone of one and the address of the other.
    fn companies(&mut self, at: usize, taxes: [&str; 2]) {
        let mail = format!("f{at}@example.com");
        let firm = format!("甲公司{}", name(at));
        self.tell(&format!("a/customers/f{at}"), &[json!({"name": firm, "tax_id": taxes[0], "phone": phone(at)})]);
        self.tell(&format!("b/customers/f{at}"), &[json!({"name": firm, "tax_id": taxes[1], "email": mail})]);
        self.tell(&format!("c/customers/f{at}"), &[json!({"name": firm, "phone": phone(at), "email": mail})]);
        self.tell(&format!("c/customers/f{at}x"), &[json!({"tax_id": taxes[0]})]);
    }

    /// A clerk had the wrong customer before him at first, and corrected it.
    fn corrected(&mut self, at: usize) {
        let [mine, theirs] = [format!("k{at}@example.com"), format!("k{at}b@example.com")];
        self.tell(&format!("a/customers/k{at}"), &[json!({"name": name(at), "email": theirs, "phone": phone(at)})]);
        let wrong = json!({"name": name(at), "email": theirs, "phone": phone(at + 1000)});
        let right = json!({"name": name(at + 1000), "email": mine, "phone": phone(at + 1000)});
        self.tell(&format!("b/customers/k{at}"), &[wrong, right]);
        self.tell(&format!("c/customers/k{at}"), &[json!({"email": mine})]);
    }

    /// Who had the telephone of a household gives it up: what was between them is the other's then.
    fn moved_out(&mut self, at: usize) {
        let (shared, mail) = (phone(at), format!("m{at}@example.com"));
        self.tell(&format!("a/customers/m{at}"), &[json!({"name": name(at), "phone": shared})]);
        let before = json!({"name": name(at + 1000), "email": mail, "phone": shared});
        let after = json!({"name": name(at + 1000), "email": mail, "phone": phone(at + 1000)});
        self.tell(&format!("b/customers/m{at}"), &[before, after]);
        self.tell(&format!("c/customers/m{at}"), &[json!({"phone": shared})]);
    }

    /// A chain of records, of which only those at both ends have names, which differ or not.
    fn chain(&mut self, at: usize, last: &str) {
        let mail = |step: usize| format!("c{at}{step}@example.com");
        self.tell(&format!("a/customers/c{at}"), &[json!({"name": name(at), "phone": phone(at)})]);
        self.tell(&format!("b/customers/c{at}"), &[json!({"phone": phone(at), "email": mail(1)})]);
        self.tell(&format!("c/customers/c{at}"), &[json!({"email": mail(1), "phone": phone(at + 1000)})]);
        self.tell(&format!("a/customers/c{at}x"), &[json!({"name": last, "phone": phone(at + 1000)})]);
    }

    fn shoppers(&mut self) {
        for at in 0..SHOPPERS {
            let mail = format!("s{at}@example.com");
            self.tell(&format!("a/customers/s{at}"), &[json!({"name": name(at + 500), "email": mail, "phone": SHOP})]);
            if at % 5 == 0 {
                self.tell(&format!("b/customers/s{at}"), &[json!({"phone": SHOP})]);
            }
            if at % 4 == 0 {
                self.tell(&format!("c/customers/s{at}"), &[json!({"email": mail, "phone": SHOP})]);
            }
        }
    }

    fn new() -> Self {
        let mut town = Self { stories: Vec::new() };
        for at in 0..12 {
            town.person(at);
        }
        for at in 20..28 {
            town.household(at);
        }
        town.companies(30, ["91310000MA1FL5E40E", "91310000MA1K35Y716"]);
        for at in 40..48 {
            town.corrected(at);
        }
        for at in 50..54 {
            town.moved_out(at);
        }
        for at in 60..68 {
            // Both ends are one, or are not.
            town.chain(at, &name(if at < 64 { at } else { at + 1000 }));
        }
        town.shoppers();
        town
    }

    /// The stories, each in its own order, shuffled into one another.
    fn shuffled(&self, dice: &mut Dice) -> Vec<InboxItem> {
        let mut turns: Vec<usize> =
            self.stories.iter().enumerate().flat_map(|(at, story)| vec![at; story.len()]).collect();
        for at in (1..turns.len()).rev() {
            turns.swap(at, dice.below(at + 1));
        }
        let mut next = vec![0; self.stories.len()];
        turns
            .into_iter()
            .map(|at| {
                next[at] += 1;
                self.stories[at][next[at] - 1].clone()
            })
            .collect()
    }
}

/// Names that nobody takes for one another.
fn name(at: usize) -> String {
    const FAMILY: &str = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏";
    const GIVEN: &str = "建国丽娟志强秀英海燕春梅文博思远雨桐子涵嘉怡浩然欣悦明哲晓东佳琪";
    let pick = |from: &str, at: usize| from.chars().nth(at % from.chars().count()).expect("a character");
    [pick(FAMILY, at * 7 + at / 30), pick(GIVEN, at * 11 + at / 7), pick(GIVEN, at * 5 + 13)].iter().collect()
}

fn phone(at: usize) -> String {
    format!("139{:08}", 10_000_000 + at)
}

fn partition(engine: &Engine) -> BTreeSet<Vec<String>> {
    customers(engine).into_iter().map(|(_, records)| records).collect()
}

/// The golden record of every link.
fn numbers(engine: &Engine) -> BTreeMap<String, i64> {
    let all = engine.store.read(|tx| {
        let all = goldens::after(tx, "customer", 0, 10_000)?;
        links::by_goldens(tx, all.iter().map(|it| it.id))
    });
    all.expect("read").into_iter().map(|link| (link.key.to_string(), link.golden)).collect()
}

/// Plays one order. Every number that a record ever had must lead to a living golden record.
fn play(store: Store, items: &[InboxItem], dice: &mut Dice) -> BTreeSet<Vec<String>> {
    let engine = kit::engine(store);
    let mut rest = items;
    let mut known: BTreeSet<i64> = BTreeSet::new();
    let batch_max = [1, 7, 60, 1000][dice.below(4)];
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(rest.len().min(1 + dice.below(batch_max)));
        feed(&engine, batch);
        known.extend(numbers(&engine).values());
        rest = later;
    }
    let alive = engine.store.read(|tx| goldens::all_alive(tx, known.iter().copied())).expect("read");
    let living: BTreeSet<i64> = numbers(&engine).values().copied().collect();
    for id in known {
        assert!(alive.get(&id).is_some_and(|it| living.contains(it)), "{id} leads nowhere: {:?}", alive.get(&id));
    }
    partition(&engine)
}

fn differ(first: &BTreeSet<Vec<String>>, other: &BTreeSet<Vec<String>>) -> String {
    let only = |a: &BTreeSet<Vec<String>>, b: &BTreeSet<Vec<String>>| {
        a.difference(b).map(|it| it.join(" ")).collect::<Vec<_>>().join("\n  ")
    };
    format!("only in the first order:\n  {}\nonly here:\n  {}", only(first, other), only(other, first))
}

#[test]
fn the_same_records_are_the_same_customers_in_any_order() {
    let town = Town::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut first: Option<BTreeSet<Vec<String>>> = None;
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let items = town.shuffled(&mut dice);
        let url = format!("sqlite:{}", folder.path().join(format!("{seed}.db")).display());
        let url = if seed % 5 == 4 { huiliu_tests::postgres::database() } else { url };
        let found = play(Store::open(&url).expect("a store"), &items, &mut dice);
        let wanted = first.get_or_insert_with(|| found.clone());
        assert!(*wanted == found, "order {seed}: {}", differ(wanted, &found));
    }
    let found = first.expect("an order");
    let with = |key: &str| found.iter().find(|it| it.iter().any(|it| it == key)).map_or(0, Vec::len);
    assert_eq!(with("a/customers/p0"), 3, "one customer in three systems");
    assert_eq!(with("c/customers/h21"), 1, "who could be either of two is neither");
    assert_eq!(with("a/customers/s0"), 2, "a shop's telephone joins nobody, an address does");
    assert_eq!((with("c/customers/m50"), with("a/customers/m50")), (2, 2), "who is left has the telephone for himself");
    assert_eq!(with("b/customers/k40"), 2, "a wrong address joins nobody once it is corrected");
}

#[test]
fn who_is_not_touched_keeps_the_number() {
    let town = Town::new();
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("play.db").display())).expect("a store");
    let engine = kit::engine(store);
    let mut dice = Dice::new(99);
    let items = town.shuffled(&mut dice);
    let is_person = |item: &&InboxItem| item.external_id.as_deref().is_some_and(|id| id.starts_with('p'));
    let people: Vec<InboxItem> = items.iter().filter(is_person).cloned().collect();
    feed(&engine, &people);
    let before = numbers(&engine);
    for item in items.iter().filter(|item| !is_person(item)) {
        feed(&engine, std::slice::from_ref(item));
    }
    let after = numbers(&engine);
    assert!(before.iter().all(|(key, golden)| after.get(key) == Some(golden)), "{before:?}\n{after:?}");
}
