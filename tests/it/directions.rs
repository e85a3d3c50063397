//! Single fields that travel one way, and connections that own one.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::replay::{self, Scope};
use huiliu_core::store::{Store, deliveries};
use huiliu_core::{explain, review};
use huiliu_mappings::merge::Directions;
use huiliu_mappings::model::Model;
use huiliu_tests::kit::{self, DAY_ONE_US, customers, on_both_stores};
use huiliu_tests::memory::Memory;
use serde_json::{Value, json};

/// Live systems in memory, pumped until nothing moves.
pub struct World {
    pub engine: Engine,
    pub systems: Vec<(&'static str, Arc<Memory>)>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// Systems `a`, `b`, … under what a huiliu.toml states about their fields; all of them are live.
    pub fn new(store: Store, systems: &[Arc<Memory>], clock: &Clock, config: &str) -> Self {
        let mut stated = Directions::parse_all("huiliu.toml", config, &Model::shipped()).expect("directions");
        let names = ["a", "b", "c"];
        let systems: Vec<(&'static str, Arc<Memory>)> = names.into_iter().zip(systems.iter().cloned()).collect();
        let connections: Vec<Connection> = systems
            .iter()
            .map(|(name, system)| {
                let directions = stated.remove(*name).unwrap_or_default();
                Connection { directions, ..kit::connection(name, clock, Some(system.clone())) }
            })
            .collect();
        let engine = kit::live(store, clock.clone(), connections);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { engine, systems, runtime }
    }

    /// Reads what is new in a system into the inbox.
    pub fn pull(&self, connection: &Connection) -> usize {
        let pulled = self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1));
        pulled.expect("pull").records + self.runtime.block_on(pull::fetches(&self.engine, connection)).expect("fetch")
    }

    /// Until nothing moves any more.
    pub fn settle(&self) {
        for _ in 0..40 {
            let mut moved: usize = self.engine.connections.values().map(|connection| self.pull(connection)).sum();
            moved += process::batch(&self.engine).expect("process").items + plan::batch(&self.engine).expect("plan").0;
            for connection in self.engine.connections.values() {
                moved += self.runtime.block_on(push::batch(&self.engine, connection)).expect("push");
            }
            if moved == 0 && self.engine.store.read(deliveries::next_due_us).expect("deliveries").is_none() {
                return;
            }
            self.engine.clock.advance_us(1_000_000);
        }
        panic!("the systems never agree");
    }

    /// A system by name.
    pub fn system(&self, name: &str) -> &Memory {
        &self.systems.iter().find(|(known, _)| *known == name).expect("a system").1
    }

    /// The only customer's value of a field.
    pub fn golden(&self, field: &str) -> Value {
        customers(&self.engine).first().map(|(fields, _)| fields[field].clone()).unwrap_or_default()
    }
}

const CONFIG: &str = "[connections.a.fields.customer]\ntitle = 'in'\ntags = 'off'\n\
                      [connections.b.fields.customer]\nphones = 'out'\ndisplay_name = 'owns'\n";

fn pair(store: Store) -> World {
    let systems = [Arc::new(Memory::new(false)), Arc::new(Memory::new(false))];
    let world = World::new(store, &systems, &Clock::manual(DAY_ONE_US), CONFIG);
    for name in ["a", "b"] {
        world.system(name).edit("1", &json!({"name": "李雷", "email": "li@example.com"}));
        world.settle();
    }
    assert_eq!(customers(&world.engine).len(), 1);
    world
}

#[test]
fn a_field_that_only_comes_in_is_never_written() {
    on_both_stores(|store| {
        let world = pair(store);
        world.system("b").edit("1", &json!({"title": "总监"}));
        world.settle();
        assert_eq!((world.golden("title"), &world.system("a").get("1")["title"]), (json!("总监"), &Value::Null));
        let key: LinkKey = "b/customers/1".parse().expect("a key");
        let told = explain::record(&world.engine, &key).expect("a story");
        assert_eq!(told.targets[0].withheld, ["title".into()], "why says what is held back");
        world.system("a").edit("1", &json!({"title": "经理"}));
        world.settle();
        assert_eq!(world.system("b").get("1")["title"], "经理", "what it says still travels");
        // Neither read nor written.
        world.system("a").edit("1", &json!({"tags": ["x"]}));
        world.system("b").edit("1", &json!({"tags": ["y"]}));
        world.settle();
        assert_eq!(world.golden("tags"), json!(["y"]));
        assert_eq!(world.system("a").get("1")["tags"], json!(["x"]));
    });
}

#[test]
fn a_field_that_only_goes_out_is_written_over_where_somebody_edits_it() {
    on_both_stores(|store| {
        let world = pair(store);
        world.system("a").edit("1", &json!({"phone": "13800138000"}));
        world.settle();
        let ours = world.system("b").get("1")["phone"].clone();
        assert!(ours.as_str().is_some_and(|phone| phone.ends_with("13800138000")), "{ours}");
        let before = world.system("b").writes();
        world.system("b").edit("1", &json!({"phone": "13900139000", "title": "总监"}));
        world.settle();
        assert_eq!(world.system("b").get("1")["phone"], ours, "what nobody may say there is written back");
        assert_eq!(world.system("b").writes(), before + 1);
        assert_eq!(world.golden("title"), "总监", "the other field of the same edit is heard");
        assert_eq!(world.golden("phones.main")["number"], "+8613800138000");
        let same = replay::look(&world.engine, &Scope::default(), 0, &mut |_| std::ops::ControlFlow::Continue(()));
        assert!(same.expect("a look").report.is_empty(), "a replay hears as little");
    });
}

#[test]
fn an_owner_is_never_outvoted_and_a_pin_still_wins() {
    on_both_stores(|store| {
        let world = pair(store);
        world.system("a").edit("1", &json!({"name": "李磊"}));
        world.settle();
        assert_eq!(world.golden("display_name"), "李雷", "the later word is not the owner's");
        assert_eq!(world.system("a").get("1")["name"], "李雷", "and is corrected where it was said");
        let shown = explain::customer(&world.engine, 1).expect("a customer").expect("it is there");
        let name = shown.values.iter().find(|it| it.field.as_str() == "display_name").expect("a name");
        assert_eq!((name.provenance.rule.as_str(), name.provenance.lost[0].value.as_str()), ("owns", Some("李磊")));
        world.system("b").edit("1", &json!({"name": "李雷雷"}));
        world.settle();
        assert_eq!(world.system("a").get("1")["name"], "李雷雷");
        let steward = review::Steward { name: "wang", why: "he told us" };
        review::pin(&world.engine, 1, &"display_name".into(), &json!("李小雷"), steward).expect("a pin");
        world.settle();
        assert_eq!(world.system("b").get("1")["name"], "李小雷");
    });
}

/// Words that were heard before the configuration forbade them do not count any more.
#[test]
fn a_changed_direction_holds_for_what_was_said_before() {
    on_both_stores(|store| {
        let systems = [Arc::new(Memory::new(false)), Arc::new(Memory::new(false))];
        let clock = Clock::manual(DAY_ONE_US);
        let world = World::new(store.clone(), &systems, &clock, "");
        systems[0].edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "经理"}));
        world.settle();
        systems[1].edit("1", &json!({"name": "李雷", "email": "li@example.com", "title": "总监"}));
        world.settle();
        assert_eq!(world.golden("title"), "总监");
        let world = World::new(store, &systems, &clock, "[connections.b.fields.customer]\ntitle = 'out'\n");
        let done =
            replay::apply(&world.engine, &Scope::default(), "wang", 0, &mut |_| std::ops::ControlFlow::Continue(()));
        assert_eq!(done.expect("a replay").report.goldens, 1);
        world.settle();
        assert_eq!(world.golden("title"), "经理");
        assert_eq!(systems[1].get("1")["title"], "经理");
    });
}
