//! Two live systems of which one changes its form in the middle of the day.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::drift::{Finding, Policies, Policy};
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::{Store, deliveries, drifts};
use huiliu_tests::kit::{self, DAY_ONE_US, customers};
use huiliu_tests::memory::Memory;
use serde_json::{Value, json};

pub const A: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
phone = "/phone"
[customers.fields]
display_name = "/name"
emails.main = "/email"
phones.main = "/phone"
title = "/title"
remark = "/note"
lifecycle = { from = "/level", values = { lead = 1, customer = 2 } }
"#;

pub const B: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/mail"
phone = "/tel"
[customers.fields]
display_name = "/called"
emails.main = "/mail"
phones.main = "/tel"
title = "/role"
lifecycle = "/stage"
"#;

/// People at the beginning of a day.
pub const PEOPLE: usize = 30;

/// Live systems `a` and `b`; what is in `a` is made in `b`.
pub struct World {
    pub engine: Engine,
    pub a: Arc<Memory>,
    pub b: Arc<Memory>,
    pub policies: Policies,
    /// Whether `a` shows everything at every pull.
    pub is_scanned: bool,
    pub runtime: tokio::runtime::Runtime,
}

impl World {
    pub fn new(store: &Store, policies: Policies) -> Self {
        Self::with(store, policies, false)
    }

    pub fn with(store: &Store, policies: Policies, is_scanned: bool) -> Self {
        let a = if is_scanned { Memory::scanned(false) } else { Memory::new(false) };
        let (a, b) = (Arc::new(a), Arc::new(Memory::new(false)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let engine = engine(store, &Clock::manual(DAY_ONE_US), (&a, A), (&b, B), &policies);
        let world = Self { engine, a, b, policies, is_scanned, runtime };
        world.settle();
        for id in 1..=PEOPLE {
            world.a.edit(&id.to_string(), &person(id));
        }
        world.settle();
        assert_eq!(world.b.ids().len(), PEOPLE);
        world
    }

    /// The same deployment, started again with other mapping files.
    pub fn mended(&mut self, a: &str, b: &str) {
        self.engine = engine(&self.engine.store, &self.engine.clock, (&self.a, a), (&self.b, b), &self.policies);
        self.settle();
    }

    pub fn settle(&self) {
        if self.is_scanned {
            return self.scan();
        }
        for _ in 0..40 {
            self.engine.clock.advance_us(1_000_000);
            let mut moved = 0;
            for connection in self.engine.connections.values() {
                let pulled = self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1));
                moved += pulled.unwrap().records;
                moved += self.runtime.block_on(pull::fetches(&self.engine, connection)).unwrap();
            }
            let done = process::batch(&self.engine).unwrap();
            moved += done.items + plan::batch(&self.engine).unwrap().0;
            for connection in self.engine.connections.values() {
                moved += self.runtime.block_on(push::batch(&self.engine, connection)).unwrap();
            }
            if moved == 0 && self.engine.store.read(deliveries::next_due_us).unwrap().is_none() {
                return;
            }
        }
        panic!("the systems never agree");
    }

    /// Some turns: a system that is scanned shows everything every time.
    pub fn scan(&self) {
        for _ in 0..4 {
            self.engine.clock.advance_us(1_000_000);
            for connection in self.engine.connections.values() {
                self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1)).unwrap();
            }
            while process::batch(&self.engine).unwrap().items > 0 {}
            while plan::batch(&self.engine).unwrap().0 > 0 {}
            for connection in self.engine.connections.values() {
                self.runtime.block_on(push::batch(&self.engine, connection)).unwrap();
            }
        }
    }

    /// One after the other, each in a batch of its own.
    pub fn trickle(&self, ids: impl Iterator<Item = usize>, how: impl Fn(usize) -> Value) {
        for id in ids {
            self.a.edit(&id.to_string(), &how(id));
            self.settle();
        }
    }

    pub fn found(&self) -> Vec<Finding> {
        let mut found = self.engine.store.read(|tx| drifts::recent(tx, 100)).unwrap();
        found.reverse();
        found
    }

    pub fn only(&self) -> Finding {
        let found = self.found();
        assert_eq!(found.len(), 1, "{found:#?}");
        found[0].clone()
    }

    pub fn waiting(&self) -> i64 {
        self.engine.store.read(drifts::waiting_counts).unwrap().values().sum()
    }

    pub fn in_b(&self, id: usize) -> Option<Value> {
        let mail = format!("p{id}@example.com");
        self.b.ids().iter().map(|it| self.b.get(it)).find(|body| body["mail"] == mail.as_str())
    }

    /// What everybody has, without the ids that the hub and `b` chose.
    pub fn end(&self) -> (Vec<Value>, Vec<Value>) {
        let golden = customers(&self.engine).into_iter().map(|(fields, _)| fields).collect();
        let mut there: Vec<Value> = self.b.ids().iter().map(|id| self.b.get(id)).collect();
        there.sort_by_key(|body| body["mail"].to_string());
        (sorted(golden), there)
    }

    /// Every delivery so far: none clears or deletes anything.
    pub fn nothing_was_cleared(&self) {
        let goldens: Vec<i64> = (1..=self.engine.store.read(|tx| tx.max("id", "golden")).unwrap()).collect();
        for golden in goldens {
            let sent = self.engine.store.read(|tx| deliveries::of_golden(tx, golden, 1000)).unwrap();
            for one in sent {
                assert_ne!(one.delivery.operation.as_str(), "delete");
                assert!(one.fields.values().all(|value| !value.is_null()), "{one:?}");
            }
        }
        let gone = customers(&self.engine).iter().filter(|(fields, _)| fields["phones.main"].is_null()).count();
        assert_eq!(gone, 0);
    }
}

pub fn sorted(mut all: Vec<Value>) -> Vec<Value> {
    all.sort_by_key(|fields| fields["emails.main"].to_string());
    all
}

pub fn engine(
    store: &Store,
    clock: &Clock,
    a: (&Arc<Memory>, &str),
    b: (&Arc<Memory>, &str),
    policies: &Policies,
) -> Engine {
    let mut connections =
        [kit::connection("a", clock, Some(a.0.clone())), kit::connection("b", clock, Some(b.0.clone()))];
    connections[0].lenses = kit::lenses(a.1);
    connections[0].drift = policies.clone();
    connections[1].lenses = kit::lenses(b.1);
    connections[1].creates.insert("customers".to_owned());
    kit::live(store.clone(), clock.clone(), connections)
}

pub fn person(id: usize) -> Value {
    json!({
        "name": format!("客户{id}"), "email": format!("p{id}@example.com"), "phone": format!("138001380{id:02}"),
        "title": format!("title {id}"), "note": format!("note {id}"), "level": 1,
    })
}

/// A system's new form of its records.
pub type Form = fn(&mut Value);

/// A day with a change of form in it, and the same without.
pub struct Day {
    /// What becomes of records.
    pub form: Form,
    /// The mapping of `a` that reads the new form.
    pub mended: String,
    /// People who appear after the change.
    pub newcomer: Value,
}

impl Day {
    /// Plays the day up to the moment before the mapping is mended.
    pub fn play(&self, world: &World, form: Form) {
        world.a.reshape(form);
        world.settle();
        let mut newcomer = self.newcomer.clone();
        form(&mut newcomer);
        world.a.edit("31", &newcomer);
        world.a.edit("1", &json!({"name": "客户一"}));
        let second = world.b.ids().into_iter().find(|id| world.b.get(id)["mail"] == "p2@example.com").unwrap();
        world.b.edit(&second, &json!({"called": "客户二"}));
        world.settle();
    }

    /// The end of the same day in which the form never changed.
    pub fn control(&self) -> (Vec<Value>, Vec<Value>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite:{}", folder.path().join("control.db").display())).unwrap();
        let world = World::new(&store, Policies::default());
        self.play(&world, |_| {});
        assert_eq!(world.found(), []);
        world.end()
    }
}

pub fn same(policy: Policy) -> Policies {
    Policies(BTreeMap::from([("*".to_owned(), policy)]))
}

/// Policies under which a finding waits for a person.
pub fn waiting_policies() -> [Policies; 3] {
    [Policies::default(), same(Policy::ParkValue), same(Policy::ParkRow)]
}
