//! Reconciliation: what lists lose is named and repaired, within its share of the quota, and nothing else is touched.

mod hubspot;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::State;
use huiliu_core::connector::{ConnectorError, Received, Record, Version};
use huiliu_core::engine::Engine;
use huiliu_core::link::LinkKey;
use huiliu_core::pipeline::reconcile::{self, Pace, SHARE_PERCENT};
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::divergences::{self, Divergence, Kind};
use huiliu_core::store::meter::{self, Meter};
use huiliu_core::store::{Store, deliveries, links, streams};
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit::{self, DAY_ONE_US, on_both_stores};
use huiliu_tests::leaky::{Leaky, Reads};
use serde_json::json;

/// A system that declares no limit is taken to bear one call a second.
const PER_SECOND: i64 = 1;

struct Rig {
    engine: Engine,
    a: Arc<Leaky>,
    b: Arc<Leaky>,
    runtime: tokio::runtime::Runtime,
}

fn engine(store: Store, clock: Clock, a: &Arc<Leaky>, b: &Arc<Leaky>) -> Engine {
    let mut connections =
        [kit::connection("a", &clock, Some(a.clone())), kit::connection("b", &clock, Some(b.clone()))];
    connections[1].creates.insert("customers".to_owned());
    Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock)
}

/// Two live systems; records of `a` are made in `b`.
fn rig(store: Store, reads: Reads) -> Rig {
    let (a, b) = (Arc::new(Leaky::new(reads)), Arc::new(Leaky::new(Reads::Changes)));
    let engine = engine(store, Clock::manual(DAY_ONE_US), &a, &b);
    kit::go_live(&engine);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Rig { engine, a, b, runtime }
}

/// What rounds did and named.
#[derive(Debug, Default)]
struct Told {
    /// Confirmed divergences, as CONNECTION/ID KIND.
    named: BTreeSet<String>,
    /// Calls at the systems that the rounds made, by connection, counted there.
    calls: BTreeMap<String, i64>,
    seconds: i64,
}

impl Rig {
    fn pull(&self, name: &str) {
        self.engine.clock.advance_us(1_000_000);
        let connection = &self.engine.connections[name];
        let pulled = self.runtime.block_on(pull::stream(&self.engine, connection, &"customers".into(), 60_000_000));
        assert_eq!(pulled.unwrap().error, None);
    }

    /// Everything but pulls and rounds, until nothing moves.
    fn settle(&self) {
        for _ in 0..50 {
            let mut busy = process::batch(&self.engine).unwrap().items + plan::batch(&self.engine).unwrap().0;
            for connection in self.engine.connections.values() {
                busy += self.runtime.block_on(pull::fetches(&self.engine, connection)).unwrap();
                busy += self.runtime.block_on(push::batch(&self.engine, connection)).unwrap();
            }
            if busy == 0 {
                return;
            }
            self.engine.clock.advance_us(1_000);
        }
        panic!("the stages never rest");
    }

    /// Pulls until both systems say nothing new.
    fn quiet(&self) {
        for _ in 0..3 {
            self.pull("a");
            self.pull("b");
            self.settle();
        }
    }

    fn fill(&self, count: usize) {
        for at in 0..count {
            self.a.records.edit(&format!("{at:03}"), &person(at));
        }
    }

    fn system(&self, name: &str) -> &Leaky {
        if name == "a" { &self.a } else { &self.b }
    }

    fn open(&self) -> Vec<Divergence> {
        self.engine.store.read(|tx| meter::open(tx, 1000)).unwrap()
    }

    fn meter(&self, name: &str) -> Meter {
        let all = self.engine.store.read(meter::read).unwrap();
        all.into_iter().find(|it| it.connection == name).unwrap_or_default()
    }

    fn step(&self, name: &str, pace: &Pace, told: &mut Told) -> Option<i64> {
        let before = self.system(name).calls();
        let done = self.runtime.block_on(reconcile::batch(&self.engine, &self.engine.connections[name], pace)).unwrap();
        let made = self.system(name).calls() - before;
        assert_eq!(made, done.calls, "it says what it costs");
        *told.calls.entry(name.to_owned()).or_default() += made;
        let confirmed = self.engine.store.read(|tx| {
            divergences::in_states(
                tx,
                &[divergences::State::Repairing, divergences::State::Stuck, divergences::State::Repaired],
                1000,
            )
        });
        let names = confirmed.unwrap();
        told.named.extend(names.iter().map(|it| format!("{}/{} {}", it.connection, it.external_id, it.kind.as_str())));
        if done.wakes {
            self.settle();
        }
        done.next_us
    }

    /// Rounds over both systems, until each has ended one more and nothing is open, or the hours are over.
    fn rounds(&self, pace: &Pace, hours: i64) -> Told {
        let (mut told, began_us) = (Told::default(), self.engine.clock.now_us());
        let before = ["a", "b"].map(|name| self.meter(name).last_us);
        while self.engine.clock.now_us() < began_us + hours * 3_600_000_000 {
            let next = ["a", "b"].map(|name| self.step(name, pace, &mut told));
            let ended = ["a", "b"].map(|name| self.meter(name).last_us) != before
                && ["a", "b"].iter().all(|name| self.meter(name).last_us.is_some_and(|us| us > began_us));
            if ended && self.open().is_empty() {
                break;
            }
            let now_us = self.engine.clock.now_us();
            let next_us = next.into_iter().flatten().min().unwrap_or(now_us + 60_000_000);
            self.engine.clock.advance_us((next_us - now_us).clamp(1_000, 600_000_000));
        }
        told.seconds = (self.engine.clock.now_us() - began_us) / 1_000_000;
        told
    }

    fn link_is_open(&self, key: &str) -> Option<bool> {
        let key: LinkKey = key.parse().unwrap();
        self.engine.store.read(|tx| links::by_keys(tx, [&key])).unwrap().first().map(|link| link.open)
    }

    /// A call of `a`.
    fn told(&self, what: &[Received]) {
        kit::call(&self.engine, "a", what);
        self.settle();
    }

    /// The truth, without the hub: everybody in `a` is in `b` with the same title.
    fn agree(&self) {
        let of = |system: &Leaky| -> BTreeMap<String, String> {
            let all = system.records.ids().into_iter().map(|id| system.records.get(&id));
            all.map(|it| (it["email"].as_str().unwrap().to_owned(), it["title"].to_string())).collect()
        };
        let (a, b) = (of(&self.a), of(&self.b));
        for (email, title) in &a {
            assert_eq!(b.get(email), Some(title), "{email}");
        }
    }
}

fn person(at: usize) -> serde_json::Value {
    json!({"name": format!("Person {at}"), "email": format!("p{at}@example.com"), "title": "T"})
}

fn within_share(told: &Told) {
    for (name, calls) in &told.calls {
        let share =
            f64::from(u32::try_from(*calls).unwrap()) / f64::from(u32::try_from(told.seconds * PER_SECOND).unwrap());
        eprintln!("{name}: {calls} calls in {} s, {:.3} % of the quota", told.seconds, share * 100.0);
        assert!(share <= f64::from(SHARE_PERCENT) / 100.0, "{name}: {calls} calls in {} s", told.seconds);
    }
}

/// Everything that lists can lose at once, and what nobody told or sent.
fn wreck(rig: &Rig) -> BTreeSet<String> {
    let (a, b) = (&rig.a, &rig.b);
    let cx = |name: &str| rig.engine.connections[name].cx.clone();
    let mut wanted = BTreeSet::new();
    rig.fill(60);
    // The first list is read while somebody removes a record of a page that was read: the first of the third page is
    // skipped, for ever.
    a.move_pages(10, "005");
    rig.quiet();
    wanted.extend(["a/020 unseen", "a/005 vanished"].map(str::to_owned));
    // Committed late, with stamps that the cursor has passed.
    for at in 100..105 {
        a.records.edit(&format!("{at}"), &person(at));
        a.records.stamp(&format!("{at}"), 3);
        wanted.insert(format!("a/{at} unseen"));
    }
    // The last record read and two edits share one stamp.
    a.records.edit("030", &json!({"title": "First"}));
    let stamp = a.records.sequence();
    rig.pull("a");
    for id in ["031", "032"] {
        a.records.edit(id, &json!({"title": "Same instant"}));
        a.records.stamp(id, stamp);
        wanted.insert(format!("a/{id} missed"));
    }
    // The index lags while the cursor goes on.
    for id in ["040", "041", "042"] {
        rig.runtime.block_on(a.lag(&cx("a"), id));
        a.records.edit(id, &json!({"title": "Behind the index"}));
        wanted.insert(format!("a/{id} missed"));
    }
    a.records.edit("050", &json!({"title": "After it"}));
    rig.quiet();
    a.catch_up();
    // Gone without a word.
    for id in ["010", "011"] {
        a.records.remove(id);
        wanted.insert(format!("a/{id} vanished"));
    }
    // A change whose delivery was lost.
    a.records.edit("055", &json!({"title": "Lost on the way"}));
    rig.pull("a");
    while process::batch(&rig.engine).unwrap().items + plan::batch(&rig.engine).unwrap().0 > 0 {}
    let lost = rig.engine.store.write(|tx| {
        let key: LinkKey = "a/customers/055".parse().unwrap();
        let golden = links::by_keys(tx, [&key])?[0].golden;
        let open = deliveries::open_of(tx, [golden])?;
        deliveries::drop_pending(tx, open.iter().map(|one| one.delivery.number))?;
        Ok(open[0].delivery.id.clone().unwrap())
    });
    wanted.insert(format!("b/{} undelivered", lost.unwrap()));
    // Somebody who should have been made in `b`, and whose delivery was lost.
    a.records.edit("200", &person(200));
    rig.pull("a");
    while process::batch(&rig.engine).unwrap().items + plan::batch(&rig.engine).unwrap().0 > 0 {}
    let golden = rig.engine.store.write(|tx| {
        let key: LinkKey = "a/customers/200".parse().unwrap();
        let golden = links::by_keys(tx, [&key])?[0].golden;
        let open = deliveries::open_of(tx, [golden])?;
        assert_eq!(open.len(), 1);
        deliveries::drop_pending(tx, open.iter().map(|one| one.delivery.number))?;
        Ok(golden)
    });
    wanted.insert(format!("b/golden/{} uncreated", golden.unwrap()));
    // And somebody edited a record of `b` under an old stamp.
    b.records.edit("made7", &json!({"title": "Typed in b"}));
    b.records.stamp("made7", 7);
    wanted.insert("b/made7 missed".to_owned());
    rig.quiet();
    wanted
}

#[test]
fn what_lists_lose_is_named_and_repaired_within_the_share() {
    on_both_stores(|store| {
        let rig = rig(store, Reads::Changes);
        let wanted = wreck(&rig);
        assert_eq!(rig.link_is_open("a/customers/100"), None, "the ordinary pulls lost it");
        let told = rig.rounds(&Pace::Share(SHARE_PERCENT), 24);
        assert_eq!(told.named, wanted, "all of them, and nothing else");
        within_share(&told);
        assert_eq!(rig.open(), [], "all repaired");
        rig.quiet();
        rig.agree();
        assert_eq!(rig.link_is_open("a/customers/010"), Some(false));
        // The next rounds find everything the same.
        let writes = (rig.a.records.writes(), rig.b.records.writes());
        let again = rig.rounds(&Pace::Share(SHARE_PERCENT), 24);
        let new: Vec<&String> = again.named.difference(&wanted).collect();
        assert!(new.is_empty(), "{new:?}");
        within_share(&again);
        assert_eq!((rig.a.records.writes(), rig.b.records.writes()), writes);
        let meter = rig.meter("a");
        assert!(meter.is_complete() && meter.identical() == 63 && meter.compared == 63, "{meter:?}");
        assert_eq!(meter.fields["title"].compared, 63, "{meter:?}");
    });
}

#[test]
fn a_round_goes_on_where_a_crash_left_it() {
    on_both_stores(|store| {
        let mut rig = rig(store.clone(), Reads::Changes);
        let wanted = wreck(&rig);
        let pace = Pace::Now(BTreeSet::from(["customers".into()]));
        let began_us = rig.engine.clock.now_us();
        let mut told = Told::default();
        let over = |rig: &Rig| ["a", "b"].iter().all(|it| rig.meter(it).last_us.is_some()) && rig.open().is_empty();
        let mut turns = 0;
        while !over(&rig) {
            // Each turn in a process of its own: what a step leaves in the store is all that the next one has.
            rig.engine = engine(store.clone(), rig.engine.clock.clone(), &rig.a, &rig.b);
            for name in ["a", "b"] {
                rig.step(name, &pace, &mut told);
            }
            rig.settle();
            rig.engine.clock.advance_us(10_000_000);
            turns += 1;
            assert!(turns < 200, "{:?}", rig.open());
        }
        assert_eq!(told.named, wanted);
        // Seven pages of `a`, six of `b`; each divergence is read twice, to confirm it and to see it repaired.
        assert!(told.calls["a"] <= 7 + 2 * 14 && told.calls["b"] <= 7 + 2 * 9, "no page twice: {:?}", told.calls);
        assert!(rig.engine.clock.now_us() > began_us);
        rig.quiet();
        rig.agree();
    });
}

#[test]
fn a_system_that_only_lists_is_compared_by_its_pages() {
    on_both_stores(|store| {
        let rig = rig(store, Reads::Lists);
        rig.fill(25);
        rig.quiet();
        rig.engine.clock.advance_us(60_000_000);
        rig.a.records.edit("003", &json!({"title": "Edited"}));
        rig.a.records.edit("900", &person(900));
        rig.a.records.remove("017");
        let mut told = Told::default();
        for _ in 0..400 {
            rig.step("a", &Pace::Share(SHARE_PERCENT), &mut told);
            // The normal pull runs when a repair brought it forward.
            let due = rig.engine.store.read(streams::all).unwrap()[&("a".to_owned(), "customers".to_owned())].due_us;
            if rig.open().iter().any(|it| it.kind == Kind::Vanished && it.tries > 0) && due <= rig.engine.clock.now_us()
            {
                rig.pull("a");
            }
            rig.settle();
            rig.engine.clock.advance_us(10_000_000);
        }
        let wanted = ["a/003 missed", "a/017 vanished", "a/900 unseen"].map(str::to_owned);
        assert_eq!(told.named, BTreeSet::from(wanted));
        assert_eq!(rig.open(), []);
        assert_eq!(rig.link_is_open("a/customers/017"), Some(false));
        assert_eq!(rig.meter("a").compared, 26);
        rig.quiet();
        rig.agree();
    });
}

#[test]
fn a_system_that_only_answers_for_one_record_is_compared_by_the_links() {
    on_both_stores(|store| {
        let rig = rig(store, Reads::Alone);
        rig.pull("b");
        let shown = |id: &str, version: i64, at: usize| {
            let version = Some(Version::sequence(version));
            Received::Record(Record { stream: "customers".into(), id: id.into(), version, body: person(at) })
        };
        for at in 0..12 {
            rig.a.records.edit(&format!("{at:03}"), &person(at));
            rig.told(&[shown(&format!("{at:03}"), i64::try_from(at).unwrap() + 1, at)]);
        }
        rig.pull("b");
        rig.settle();
        // Two calls are lost.
        rig.a.records.edit("004", &json!({"title": "Not told"}));
        rig.a.records.remove("009");
        let told = rig.rounds(&Pace::Share(SHARE_PERCENT), 24);
        assert_eq!(told.named, BTreeSet::from(["a/004 missed", "a/009 vanished"].map(str::to_owned)));
        within_share(&told);
        assert_eq!(rig.link_is_open("a/customers/009"), Some(false));
        rig.agree();
    });
}

#[test]
fn what_is_under_way_is_no_divergence() {
    on_both_stores(|store| {
        let rig = rig(store, Reads::Changes);
        rig.fill(8);
        rig.quiet();
        let pace = Pace::Now(BTreeSet::from(["customers".into()]));
        // Pulled and not processed; and planned and not sent.
        rig.a.records.edit("001", &json!({"title": "On its way"}));
        rig.pull("a");
        let mut told = Told::default();
        rig.step("a", &pace, &mut told);
        rig.step("a", &pace, &mut told);
        rig.engine.clock.advance_us(6_000_000);
        rig.step("a", &pace, &mut told);
        process::batch(&rig.engine).unwrap();
        plan::batch(&rig.engine).unwrap();
        rig.step("b", &pace, &mut told);
        for _ in 0..3 {
            rig.engine.clock.advance_us(6_000_000);
            rig.step("b", &pace, &mut told);
        }
        rig.settle();
        for _ in 0..3 {
            rig.engine.clock.advance_us(6_000_000);
            for name in ["a", "b"] {
                rig.step(name, &pace, &mut told);
            }
        }
        assert_eq!((told.named, rig.open()), (BTreeSet::new(), vec![]));
    });
}

#[test]
fn a_lost_permission_closes_nothing_beyond_the_budget() {
    on_both_stores(|store| {
        let rig = rig(store, Reads::Changes);
        rig.fill(40);
        rig.quiet();
        (0..30).for_each(|at| rig.a.forbid(&format!("{at:03}")));
        rig.rounds(&Pace::Share(SHARE_PERCENT), 8);
        let closed = (0..40).filter(|at| rig.link_is_open(&format!("a/customers/{at:03}")) == Some(false)).count();
        assert_eq!(closed, 0, "30 of 40 is more than the budget of 10");
        let meter = rig.meter("a");
        assert_eq!((meter.stuck, meter.is_complete()), (30, false), "{meter:?}");
        assert!(rig.open()[0].reason.as_deref().is_some_and(|reason| reason.contains("missing")));
        // The permission comes back, and with it the truth.
        rig.a.allow_all();
        rig.rounds(&Pace::Share(SHARE_PERCENT), 24);
        assert!(rig.open().is_empty() && rig.meter("a").is_complete(), "{:?}", rig.meter("a"));
    });
}

#[test]
fn what_repairs_do_not_help_needs_a_person() {
    on_both_stores(|store| {
        let rig = rig(store, Reads::Changes);
        rig.fill(8);
        rig.quiet();
        rig.a.records.edit("003", &json!({"title": "Edited"}));
        rig.a.records.stamp("003", 1);
        rig.a.flicker("003", true);
        let before = rig.engine.store.read(streams::here).unwrap().inbox;
        rig.rounds(&Pace::Share(SHARE_PERCENT), 20);
        let open = rig.open();
        assert_eq!((open.len(), open[0].state, open[0].tries), (1, divergences::State::Stuck, 4), "{open:?}");
        assert!(open[0].reason.as_deref().is_some_and(|it| it.contains("huiliu why a/customers/003")), "{open:?}");
        let after = rig.engine.store.read(streams::here).unwrap().inbox;
        assert_eq!(after - before, 4, "it does not fill the inbox");
        // Somebody mends it and asks for a round.
        rig.a.flicker("003", false);
        reconcile::begin(&rig.engine, &rig.engine.connections["a"], &"customers".into()).unwrap();
        rig.rounds(&Pace::Share(SHARE_PERCENT), 20);
        assert_eq!(rig.open(), []);
        rig.quiet();
        rig.agree();
    });
}

#[test]
fn a_system_that_fails_is_asked_again_later() {
    on_both_stores(|store| {
        let rig = rig(store, Reads::Changes);
        rig.fill(12);
        rig.quiet();
        rig.a.fail_next(ConnectorError::RateLimited { detail: "slow down".to_owned(), after: None });
        let pace = Pace::Now(BTreeSet::from(["customers".into()]));
        let mut told = Told::default();
        let next_us = rig.step("a", &pace, &mut told);
        assert_eq!(rig.meter("a").error.as_deref(), Some("slow down"));
        assert!(next_us.is_some_and(|next| next >= rig.engine.clock.now_us() + 60_000_000), "not at once");
        rig.a.fail_next(ConnectorError::Unauthorized { detail: "the key is no good".to_owned() });
        rig.engine.clock.advance_us(60_000_000);
        assert_eq!(rig.step("a", &pace, &mut told), None);
        let states = rig.engine.store.read(streams::states).unwrap();
        assert_eq!(states["a"], (State::Paused, Some("the key is no good".to_owned())));
        rig.engine.store.write(|tx| streams::resume(tx, "a", 0)).unwrap();
        let told = rig.rounds(&Pace::Share(SHARE_PERCENT), 24);
        assert_eq!(told.named, BTreeSet::new());
        assert_eq!(rig.meter("a").error, None);
    });
}
