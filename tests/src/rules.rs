//! A change of the rules between two systems that hold the same customers and disagree about them: planned, applied and
//! taken back, compared with what the systems store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::proposal::{self, Applied, Files, Moved, Undone};
use huiliu_core::replay::{self, Effect, Progress, Scope};
use huiliu_core::store::proposals::Proposal;
use huiliu_core::store::{Store, deliveries, goldens};
use huiliu_mappings::merge::Directions;
use huiliu_mappings::model::Model;
use huiliu_mappings::value::Fields;
use serde_json::{Value, json};

use crate::kit::{self, DAY_ONE_US, MAPPING};
use crate::memory::Memory;

/// Neither system is written the other's titles and phones.
const FORMER: &str = "[connections.a.fields.customer]\ntitle = 'in'\nphones = 'in'\n\
                      [connections.b.fields.customer]\ntitle = 'in'\nphones = 'in'\n";

/// `a` owns titles, and the phones of `b` are written over.
const CHANGED: &str = "[connections.a.fields.customer]\ntitle = 'owns'\nphones = 'in'\n\
                       [connections.b.fields.customer]\nphones = 'out'\n";

/// Which rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Those at the beginning.
    Former,
    /// Other authorities and directions; and `b` has one more field mapped.
    Changed,
}

/// One value that was another: record, field or place, before, after.
pub type MovedValue = (String, String, String, String);

/// See the module.
pub struct Pair {
    /// Works by the rules of the day.
    pub engine: Engine,
    /// One system.
    pub a: Arc<Memory>,
    /// The other one.
    pub b: Arc<Memory>,
    rules: Rules,
    runtime: tokio::runtime::Runtime,
}

impl Pair {
    /// So many customers, known to both systems, and everything at rest under the former rules.
    pub fn new(store: Store, customers: usize) -> Self {
        let (a, b) = (Arc::new(Memory::new(false)), Arc::new(Memory::new(false)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let engine = engine(store, &Clock::manual(DAY_ONE_US), Rules::Former, &a, &b);
        let pair = Self { engine, a, b, rules: Rules::Former, runtime };
        for number in 0..customers {
            pair.a.edit(&format!("a{number}"), &in_a(number));
        }
        pair.settle();
        // What b says, it says later.
        pair.engine.clock.advance_us(60_000_000);
        for number in 0..customers {
            pair.b.edit(&format!("b{number}"), &in_b(number));
        }
        pair.settle();
        assert_eq!(pair.goldens().len(), customers, "everybody is known to both");
        pair
    }

    /// The same deployment, started again by other rules.
    pub fn by(self, rules: Rules) -> Self {
        let engine = engine(self.engine.store.clone(), &self.engine.clock, rules, &self.a, &self.b);
        Self { engine, rules, ..self }
    }

    /// The files that say these rules.
    pub fn files(&self) -> Files {
        let texts = BTreeMap::from([("huiliu.toml".to_owned(), format!("{:?}", self.rules))]);
        Files::of(&texts, BTreeMap::from([("a/customers".to_owned(), 600)]))
    }

    /// Until nothing moves; says how many deliveries were tried.
    pub fn settle(&self) -> usize {
        let mut sent = 0;
        for _ in 0..100_000 {
            self.engine.clock.advance_us(1_000);
            let mut moved = 0;
            for connection in self.engine.connections.values() {
                let pulled = self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 1));
                moved += pulled.expect("pull").records;
                moved += self.runtime.block_on(pull::fetches(&self.engine, connection)).expect("fetch");
            }
            loop {
                let items = process::batch(&self.engine).expect("process").items;
                let changes = plan::batch(&self.engine).expect("plan").0;
                moved += items + changes;
                if items + changes == 0 {
                    break;
                }
            }
            for connection in self.engine.connections.values() {
                loop {
                    let tried = self.runtime.block_on(push::batch(&self.engine, connection)).expect("push");
                    (moved, sent) = (moved + tried, sent + tried);
                    if tried == 0 {
                        break;
                    }
                }
            }
            if moved == 0 && self.engine.store.read(deliveries::next_due_us).expect("deliveries").is_none() {
                return sent;
            }
        }
        panic!("the systems never agree");
    }

    /// Golden customers by number.
    pub fn goldens(&self) -> BTreeMap<i64, Fields> {
        let all = self.engine.store.read(|tx| goldens::after(tx, "customer", 0, i64::MAX)).expect("read");
        all.into_iter().map(|golden| (golden.id, golden.fields)).collect()
    }

    /// What a system stores, byte by byte; only the versions that it counts are left out.
    pub fn dump(system: &Memory) -> Vec<(String, String)> {
        system.ids().into_iter().map(|id| (id.clone(), system.get(&id).to_string())).collect()
    }

    /// Plans the rules of the day; every value that would be another.
    pub fn plan(&self) -> (Proposal, Vec<MovedValue>) {
        let mut effects = Vec::new();
        let planned =
            proposal::plan(&self.engine, &self.files(), "wang", 2, &mut go_on, &mut |it| effects.push(told(&it)));
        (planned.expect("a plan"), effects)
    }

    /// Applies a plan.
    pub fn apply(&self, number: i64) -> Applied {
        let done = proposal::apply(&self.engine, number, &self.files(), "wang", Moved::Refused, &mut go_on);
        done.expect("it is applied")
    }

    /// Takes a plan back; the rules of the day are the former ones.
    pub fn undo(&self, number: i64) -> Undone {
        proposal::undo(&self.engine, number, &self.files(), "wang", 10, &mut go_on).expect("it is taken back")
    }
}

/// For those who are never stopped.
pub fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn told(effect: &Effect) -> MovedValue {
    (effect.record.clone(), effect.place.clone(), effect.before.to_string(), effect.after.to_string())
}

fn engine(store: Store, clock: &Clock, rules: Rules, a: &Arc<Memory>, b: &Arc<Memory>) -> Engine {
    let config = if rules == Rules::Former { FORMER } else { CHANGED };
    let mut stated = Directions::parse_all("huiliu.toml", config, &Model::shipped()).expect("directions");
    let field = "title = \"/title\"\n";
    let in_a = MAPPING.replacen(field, &format!("{field}company = \"/company\"\n"), 1);
    let in_b = match rules {
        Rules::Former => MAPPING.to_owned(),
        Rules::Changed => MAPPING.replacen(field, &format!("{field}company = \"/firm\"\n"), 1),
    };
    let connections = [("a", a, in_a), ("b", b, in_b)].map(|(name, system, mapping)| Connection {
        directions: stated.remove(name).unwrap_or_default(),
        lenses: kit::lenses(&mapping),
        ..kit::connection(name, clock, Some(system.clone()))
    });
    kit::live(store, clock.clone(), connections)
}

fn phone(number: usize) -> String {
    format!("138{number:08}")
}

fn in_a(number: usize) -> Value {
    json!({
        "name": format!("客户{number}"), "email": format!("p{number}@example.com"), "title": format!("经理{number}"),
        "phone": phone(number), "company": format!("甲{number}"),
    })
}

/// Every fifth has no title, every third another phone, spelled in a way of its own.
fn in_b(number: usize) -> Value {
    let title = if number.is_multiple_of(5) { Value::Null } else { json!(format!("总监{number}")) };
    let phone = if number.is_multiple_of(3) {
        format!("139 {:04} {:04}", number / 10_000, number % 10_000)
    } else {
        phone(number)
    };
    json!({
        "name": format!("客户{number}"), "email": format!("p{number}@example.com"), "title": title, "phone": phone,
        "firm": format!("乙 {number}"),
    })
}

/// What differs between two states of a system or of the golden records.
fn differing(
    name: impl Fn(&str) -> String,
    slash: &str,
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Vec<MovedValue> {
    let mut moved = Vec::new();
    let nothing = json!({});
    for id in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (before.get(id).unwrap_or(&nothing), after.get(id).unwrap_or(&nothing));
        let keys = [before, after].into_iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys);
        for key in keys.collect::<BTreeSet<_>>().into_iter().filter(|key| before.get(*key) != after.get(*key)) {
            let text = |record: &Value| record.get(key).unwrap_or(&Value::Null).to_string();
            moved.push((name(id), format!("{slash}{key}"), text(before), text(after)));
        }
    }
    moved
}

/// Everything that a change of the rules can touch.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    goldens: BTreeMap<i64, Fields>,
    /// By system, byte by byte.
    systems: [Vec<(String, String)>; 2],
}

impl State {
    /// As it is now.
    pub fn of(pair: &Pair) -> Self {
        Self { goldens: pair.goldens(), systems: [Pair::dump(&pair.a), Pair::dump(&pair.b)] }
    }

    /// Every value that became another until `after`.
    pub fn moved(&self, after: &Self) -> Vec<MovedValue> {
        let goldens = |state: &Self| -> BTreeMap<String, Value> {
            state.goldens.iter().map(|(id, fields)| (id.to_string(), json!(fields))).collect()
        };
        let records = |dump: &[(String, String)]| -> BTreeMap<String, Value> {
            dump.iter().map(|(id, text)| (id.clone(), serde_json::from_str(text).expect("JSON"))).collect()
        };
        let mut moved = differing(|id| format!("customer/{id}"), "", &goldens(self), &goldens(after));
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            let (before, after) = (records(&self.systems[at]), records(&after.systems[at]));
            moved.extend(differing(|id| format!("{name}/customers/{id}"), "/", &before, &after));
        }
        moved.sort();
        moved
    }
}

/// What a round through plan, apply and undo took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// Values that became others.
    pub effects: usize,
    /// Records of other systems that were written.
    pub writes: usize,
    /// Seconds of the plan, the apply, its writes, the undo, and its writes.
    pub seconds: [f64; 5],
}

/// Plans a change, applies it, compares what became others with what was planned, and takes it back.
///
/// # Panics
/// A value was not predicted, or came otherwise, or is not what it was in the end.
pub fn round(store: Store, customers: usize) -> Round {
    let pair = Pair::new(store, customers);
    proposal::come_into_force(&pair.engine, &pair.files()).expect("in force");
    let former = State::of(&pair);
    let pair = pair.by(Rules::Changed);
    let mut done = Round::default();
    let mut begun = Instant::now();
    let mut lap = |at: usize, done: &mut Round| {
        done.seconds[at] = begun.elapsed().as_secs_f64();
        begun = Instant::now();
    };

    let (planned, mut wanted) = pair.plan();
    lap(0, &mut done);
    assert_eq!(State::of(&pair), former, "a plan changes nothing");
    assert_eq!(pair.settle(), 0, "and nobody is told");

    lap(0, &mut Round::default());
    let applied = pair.apply(planned.number);
    lap(1, &mut done);
    assert!(applied.as_planned, "{:?}", applied.report);
    done.writes = pair.settle();
    lap(2, &mut done);
    let changed = State::of(&pair);
    wanted.sort();
    let came = former.moved(&changed);
    done.effects = came.len();
    assert_eq!(wanted.len(), came.len(), "as many values as were planned");
    if let Some((wanted, came)) = wanted.iter().zip(&came).find(|(wanted, came)| wanted != came) {
        panic!("{wanted:?} was planned, {came:?} came");
    }

    let pair = pair.by(Rules::Former);
    lap(0, &mut Round::default());
    let undone = pair.undo(planned.number);
    lap(3, &mut done);
    assert_eq!((undone.queued, undone.left.len()), (i64::try_from(done.writes).unwrap_or(0), 0), "{undone:?}");
    assert_eq!(pair.settle(), done.writes, "what was written is put back");
    lap(4, &mut done);
    assert_eq!(State::of(&pair), former, "everything is as it was");
    let again = replay::look(&pair.engine, &Scope::default(), 0, &mut go_on).expect("a look");
    assert!(again.report.is_empty(), "and nothing is owed: {:?}", again.report);
    let outcome = proposal::undone(&pair.engine, planned.number, 10).expect("an outcome");
    assert_eq!(outcome.restored, i64::try_from(done.writes).unwrap_or(0), "{outcome:?}");
    done
}
