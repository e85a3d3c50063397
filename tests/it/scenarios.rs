//! Scenario files (`tests/twins/scenarios`) over the wire: the shipped connectors, a twin behind a front that plays the
//! file, another system beside it, and people in both. In the end every system shows what was entered, nobody is there
//! twice, and nothing moves any more; the same seed plays the same faults again, on the other store.

mod vendors;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use huiliu_core::clock::Clock;
use huiliu_core::connection::State;
use huiliu_core::connector::StreamName;
use huiliu_core::pipeline::reconcile::{self, Pace};
use huiliu_core::retry;
use huiliu_core::secrets::Token;
use huiliu_core::store::{Store, deliveries, inbox, streams};
use huiliu_rest::oauth::TOKEN;
use huiliu_tests::front::Front;
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use huiliu_twins::dice::Dice;
use huiliu_twins::hooks;
use huiliu_twins::script::{Fault, Script};
use serde_json::{Value, json};
use vendors::{Hubspot, Kingdee, Shopify, Shown, Vendor, Wecom};

use crate::flow::Hub;

/// A step of the day takes so long.
const STEP_S: i64 = 50;

/// A form that changed stays so for this many steps.
const SHAPE_STEPS: usize = 2;

/// After so many rounds of calm all must agree: a ban, a lag and the longest wait of a retry are over long before.
const CALM_ROUNDS: usize = 60;

/// Rounds of calm after which the hub compares what the vendor shows with what it knows, as it always does.
const COMPARED_AFTER: usize = 4;

/// Steps of that comparison in a round.
const COMPARED_STEPS: usize = 12;

struct World {
    script: Script,
    vendor: Arc<dyn Vendor>,
    front: Front,
    other: Arc<Memory>,
    hub: Hub,
    clock: Clock,
    dice: Dice,
    /// By person: the vendor's id.
    ids: Vec<String>,
    /// What was entered, by key; edits between pages enter too.
    wanted: Arc<Mutex<Shown>>,
    /// Webhook faults that wait for an edit.
    calls: VecDeque<Fault>,
    /// Steps until the form is as it was.
    shaped: usize,
    /// Steps until webhooks that were kept back are sent.
    held: usize,
    /// When anybody last edited a person, by person.
    touched: BTreeMap<usize, i64>,
}

impl World {
    async fn open(store: Store, script: Script, vendor: Arc<dyn Vendor>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::manual(DAY_ONE_US);
        let front = Front::of(&vendor.origin()).await;
        let other = Arc::new(Memory::new(false));
        let mut beside = kit::connection("other", &clock, Some(other.clone()));
        beside.lenses = kit::lenses(vendor.other());
        beside.creates.insert("customers".to_owned());
        let mut mine = vendor.connection(&front, &clock);
        if vendor.creates() {
            mine.creates.insert(vendor.people().to_owned());
        }
        let hub = Hub::live(store, clock.clone(), [mine, beside]).await;
        vendor.listen(&hub.listen().await);
        let mut world = Self {
            dice: Dice::new(script.seed),
            script,
            vendor,
            front,
            other,
            hub,
            clock,
            ids: Vec::new(),
            wanted: Arc::default(),
            calls: VecDeque::new(),
            shaped: 0,
            held: 0,
            touched: BTreeMap::new(),
        };
        world.advance();
        for person in 0..world.script.day.people {
            let a = format!("a0 of {person}");
            world.ids.push(world.vendor.enter(person, &a));
            world.want(person, |wanted| wanted.0 = a);
        }
        world
    }

    fn want(&self, person: usize, change: impl FnOnce(&mut (String, String))) {
        change(self.wanted.lock().unwrap().entry(self.vendor.key(person)).or_default());
    }

    fn now_s(&self) -> i64 {
        self.clock.now_us() / 1_000_000
    }

    fn advance(&mut self) {
        self.clock.advance_us(STEP_S * 1_000_000);
        self.vendor.set_now(self.stamp(self.now_s()));
    }

    /// The instant as the vendor stamps it.
    fn stamp(&self, now_s: i64) -> i64 {
        let round = self.script.system.stamp_seconds.max(1);
        now_s - now_s.rem_euclid(round)
    }

    /// Everything once: what is due is read, thought about and written.
    async fn work(&self) {
        // What goes wrong is what is played.
        let _ = self.hub.pull().await;
        self.hub.think().await;
        self.hub.think().await;
    }

    /// A person signs in at the vendor's, where that is how it is done.
    fn sign_in(&self) {
        let Some((access, refresh)) = self.front.sign_in() else { return };
        let token =
            Token { access, refresh: Some(refresh), expires_at_us: None, extra: BTreeMap::new(), rotates: false };
        self.hub.engine.connections["vendor"].cx.tokens.put(TOKEN, &token).expect("it is kept");
    }

    /// A person who looks after the hub.
    async fn mend(&self) {
        let now_us = self.clock.now_us();
        let shown = self.vendor.shown();
        let is_missing = self.wanted.lock().unwrap().keys().any(|key| !shown.contains_key(key));
        let states = self.hub.read(streams::states).await;
        if states.get("vendor").is_some_and(|(state, _)| *state == State::Paused) {
            self.sign_in();
        }
        let engine = self.hub.engine.clone();
        let mended = tokio::task::spawn_blocking(move || {
            for (name, _) in states.iter().filter(|(_, (state, _))| *state == State::Paused) {
                engine.store.write(|tx| streams::resume(tx, name, now_us))?;
            }
            let asked: BTreeSet<i64> = retry::dead_letters(&engine, None)?.asked.into_iter().collect();
            // He looks, and makes whom nobody made.
            if is_missing && !asked.is_empty() {
                retry::dead_letters(&engine, Some(&asked))?;
            }
            Ok::<_, huiliu_core::store::db::StoreError>(())
        });
        mended.await.expect("no panic").expect("the store works");
    }

    /// A user of the vendor edits, under this stamp, and the call about it meets a fault that waits.
    async fn edit_there(&mut self, person: usize, step: usize, stamp_s: i64) {
        let a = format!("a{step} of {person}");
        self.touched.insert(person, self.now_s());
        self.want(person, |wanted| wanted.0.clone_from(&a));
        self.vendor.set_now(stamp_s);
        let struck = self.vendor.hooks().and_then(|_| self.calls.pop_front());
        if let (Some(hooks), Some(fault)) = (self.vendor.hooks(), struck) {
            self.front.note(fault.word());
            hooks.set_fault(match fault {
                Fault::DropWebhook => hooks::Fault::Drop,
                Fault::RepeatWebhook => hooks::Fault::Repeat,
                _ => hooks::Fault::Hold,
            });
            self.held = match fault {
                Fault::DelayWebhook => 3,
                Fault::ReorderWebhook => 1,
                _ => self.held,
            };
        }
        self.vendor.edit(&self.ids[person], &a).await;
        if let Some(hooks) = self.vendor.hooks() {
            hooks.set_fault(hooks::Fault::None);
        }
        self.vendor.set_now(self.stamp(self.now_s()));
    }

    /// A user of the other system edits; it knows the person under an id of its own.
    fn edit_here(&mut self, person: usize, step: usize) {
        self.touched.insert(person, self.now_s());
        let key = self.vendor.key(person);
        let Some(id) = self.other.ids().into_iter().find(|id| self.other.get(id)["key"] == key.as_str()) else {
            return;
        };
        let b = format!("b{step} of {person}");
        self.other.edit(&id, &json!({ "b": self.vendor.b(&b) }));
        self.want(person, |wanted| wanted.1 = b);
    }

    /// Somebody new in the other system.
    fn enter_here(&self, person: usize) {
        let b = format!("b0 of {person}");
        self.other.edit(&format!("new{person}"), &json!({ "key": self.vendor.key(person), "b": self.vendor.b(&b) }));
        self.want(person, |wanted| wanted.1 = b);
    }

    /// What is not a matter of the wire strikes here; the rest is laid on it.
    async fn strike(&mut self, step: usize, faults: Vec<Fault>) {
        self.front.step(self.clock.now_us() / 1_000);
        let mut on_the_wire = Vec::new();
        let people = self.ids.len();
        for fault in faults {
            match fault {
                Fault::DropWebhook | Fault::DelayWebhook | Fault::RepeatWebhook | Fault::ReorderWebhook => {
                    if self.vendor.hooks().is_some() {
                        self.calls.push_back(fault);
                    }
                    continue;
                }
                // It was begun before the last read, and shows after it; nobody else was there since.
                Fault::LateCommit => {
                    let stamp_s = self.now_s() - STEP_S - 20;
                    let is_at_rest =
                        |person: &usize| self.touched.get(person).is_none_or(|at| *at < stamp_s - 2 * STEP_S);
                    let Some(person) = (0..people).find(is_at_rest) else { continue };
                    self.edit_there(person, step, self.stamp(stamp_s)).await;
                }
                Fault::OneStamp => {
                    for person in (0..people).step_by(2) {
                        self.edit_there(person, step, self.stamp(self.now_s())).await;
                    }
                }
                Fault::Renamed => {
                    let person = self.dice.below(people);
                    let number = self.vendor.number(&self.ids[person]);
                    self.front.rename(&number, &format!("{number}77").replace("wmTwin", "wmMoved"));
                    self.edit_there(person, step, self.stamp(self.now_s())).await;
                }
                Fault::Merged => {
                    let person = self.dice.below(people);
                    let Some(id) = self.vendor.merge(&self.ids[person]).await else { continue };
                    self.ids[person] = id;
                }
                Fault::FieldRenamed
                | Fault::FieldDropped
                | Fault::FieldRetyped
                | Fault::ValueAdded
                | Fault::FieldRequired => {
                    let Some(shape) = self.vendor.shape(fault) else { continue };
                    self.front.reshape(Some(shape));
                    self.shaped = SHAPE_STEPS;
                }
                wired => {
                    on_the_wire.push(wired);
                    continue;
                }
            }
            self.front.note(fault.word());
        }
        self.front.arm(on_the_wire);
        self.act(step).await;
    }

    /// One edit, here or there; webhooks that wait for one have it there.
    async fn act(&mut self, step: usize) {
        let person = self.dice.below(self.ids.len());
        if !self.calls.is_empty() || self.dice.chance(0.5) {
            self.edit_there(person, step, self.stamp(self.now_s())).await;
        } else {
            self.edit_here(person, step);
        }
        // Two more people come in the course of the day, who are to be made at the vendor's.
        if self.vendor.creates() && (step == 3 || step == 7) {
            self.enter_here(self.script.day.people + step);
        }
    }

    async fn day(&mut self) {
        self.front.play(self.vendor.dialect(), &self.script);
        self.vendor.guard(&self.front);
        self.sign_in();
        self.between();
        let is_paged = |fault: &Fault| [Fault::EmptyPage, Fault::MovingPage].contains(fault);
        // Long lists are those of the first read.
        if !self.script.faults.keys().any(is_paged) {
            self.work().await;
            self.work().await;
        }
        for (step, faults) in self.script.timetable().into_iter().enumerate() {
            self.advance();
            self.shaped = self.shaped.saturating_sub(1);
            if self.shaped == 0 {
                self.front.reshape(None);
            }
            self.strike(step + 1, faults).await;
            self.held = self.held.saturating_sub(1);
            if let (0, Some(hooks)) = (self.held, self.vendor.hooks()) {
                hooks.release().await;
            }
            self.work().await;
            self.mend().await;
        }
        self.front.reshape(None);
    }

    /// What people do between two pages: everybody on the first page may be moved to the last.
    fn between(&self) {
        let (vendor, ids, wanted) = (self.vendor.clone(), self.ids.clone(), self.wanted.clone());
        self.front.between_pages(Arc::new(move || {
            let (vendor, ids, wanted) = (vendor.clone(), ids.clone(), wanted.clone());
            Box::pin(async move {
                for person in [0, 1] {
                    let a = format!("a moved of {person}");
                    wanted.lock().unwrap().entry(vendor.key(person)).or_default().0.clone_from(&a);
                    vendor.edit(&ids[person], &a).await;
                }
            })
        }));
    }

    /// Whom the other system shows.
    fn here(&self) -> Shown {
        let text = |value: &Value| value.as_str().or(value[0].as_str()).unwrap_or_default().to_owned();
        let all = self.other.ids().into_iter().map(|id| self.other.get(&id));
        all.map(|it| (text(&it["key"]), (text(&it["a"]), text(&it["b"])))).collect()
    }

    /// What differs from what was entered, but for how the vendor writes it.
    fn wrong(&self) -> Vec<String> {
        let plain = |shown: Shown| -> BTreeMap<String, (String, String)> {
            shown.into_iter().map(|(key, (a, b))| (key, (a.to_lowercase(), b.to_lowercase()))).collect()
        };
        let wanted = plain(self.wanted.lock().unwrap().clone());
        let mut wrong = Vec::new();
        for (name, shown, count) in [
            ("there", plain(self.vendor.shown()), self.vendor.shown().len()),
            ("here", plain(self.here()), self.other.ids().len()),
        ] {
            let keys: BTreeSet<&String> = wanted.keys().chain(shown.keys()).collect();
            let differ = keys.into_iter().filter(|key| wanted.get(*key) != shown.get(*key));
            wrong.extend(differ.map(|key| format!("{name}: {key}: {:?}, not {:?}", shown.get(key), wanted.get(key))));
            if count != wanted.len() {
                wrong.push(format!("{name}: {count} records of {} people", wanted.len()));
            }
        }
        wrong
    }

    async fn calm(&mut self) {
        self.front.end_quota();
        for round in 0..CALM_ROUNDS {
            self.advance();
            self.front.step(self.clock.now_us() / 1_000);
            if let Some(hooks) = self.vendor.hooks() {
                hooks.release().await;
            }
            self.work().await;
            self.mend().await;
            let waits = self.hub.read(|tx| Ok(deliveries::next_due_us(tx)?.is_some())).await;
            if self.wrong().is_empty() && !waits {
                return;
            }
            if round >= COMPARED_AFTER {
                self.compare(round == COMPARED_AFTER).await;
            }
        }
        let letters = self.hub.read(|tx| inbox::dead_letters(tx, 10)).await;
        let goldens: Vec<String> =
            self.hub.goldens("customer").await.iter().map(|(fields, links)| format!("{fields} {links:?}")).collect();
        panic!(
            "they do not agree:\n{}\n{letters:?}\n{}\n{}",
            self.wrong().join("\n"),
            self.front.history().join("\n"),
            goldens.join("\n")
        );
    }

    /// Some steps of the comparison that goes on all the time; at first it begins.
    async fn compare(&self, is_first: bool) {
        let connection = &self.hub.engine.connections["vendor"];
        let stream = StreamName::from(self.vendor.people());
        if is_first {
            let (engine, connection, stream) = (self.hub.engine.clone(), connection.clone(), stream.clone());
            let begun = tokio::task::spawn_blocking(move || reconcile::begin(&engine, &connection, &stream));
            begun.await.expect("no panic").expect("the store works");
        }
        for _ in 0..COMPARED_STEPS {
            reconcile::batch(&self.hub.engine, connection, &Pace::Now([stream.clone()].into()))
                .await
                .expect("the store works");
        }
    }
}

/// Plays a scenario once; the answer is its history.
async fn play(store: Store, script: Script, vendor: Arc<dyn Vendor>) -> Vec<String> {
    let mut world = World::open(store, script, vendor).await;
    world.day().await;
    let history = world.front.history();
    world.calm().await;
    // And nothing moves any more.
    let writes = (world.other.writes(), world.vendor.shown());
    for _ in 0..3 {
        world.advance();
        world.work().await;
    }
    assert_eq!((world.other.writes(), world.vendor.shown()), writes, "somebody wrote without a reason");
    let left: Vec<Fault> = world.front.armed();
    let needs_pages = [Fault::EmptyPage, Fault::MovingPage];
    assert!(left.iter().all(|fault| needs_pages.contains(fault)), "these never struck: {left:?}");
    history
}

type Start = fn() -> std::pin::Pin<Box<dyn Future<Output = Arc<dyn Vendor>> + Send>>;

/// A vendor whose tokens end; those of the others are good until somebody takes them back.
const APPS: [(&str, Start); 1] = [("hubspot", || Box::pin(Hubspot::start_app()))];

const VENDORS: [(&str, Start); 4] = [
    ("hubspot", || Box::pin(Hubspot::start())),
    ("shopify", || Box::pin(Shopify::start())),
    ("wecom", || Box::pin(Wecom::start())),
    ("kingdee", || Box::pin(Kingdee::start())),
];

/// Plays a scenario with every vendor on both stores: the same seed must play the same. Answers what struck.
fn play_all(name: &str, vendors: &[(&str, Start)]) -> String {
    let script = Script::shipped(name).unwrap_or_else(|error| panic!("{error}"));
    let mut struck = String::new();
    for (vendor, start) in vendors {
        let histories = Mutex::new(Vec::new());
        crate::flow::on_both_stores(async |store| {
            let history = play(store, script.clone(), start().await).await;
            histories.lock().unwrap().push(history);
        });
        let histories = histories.into_inner().unwrap();
        assert_eq!(histories[0], histories[1], "{name} with {vendor}: another day of the same seed");
        struck += &histories[0].join("\n");
    }
    for fault in script.faults.keys() {
        assert!(struck.contains(&format!(": {}", fault.word())), "{name}: {} never struck\n{struck}", fault.word());
    }
    struck
}

#[test]
fn a_bad_network_changes_nothing_in_the_end() {
    play_all("network", &VENDORS);
}

#[test]
fn a_vendor_with_habits_changes_nothing_in_the_end() {
    let struck = play_all("vendor", &VENDORS);
    assert!(struck.contains("ban for its quota"), "{struck}");
}

#[test]
fn pages_that_move_or_are_empty_change_nothing_in_the_end() {
    play_all("pages", &VENDORS);
}

#[test]
fn records_that_are_renamed_and_merged_stay_who_they_are() {
    play_all("records", &VENDORS);
}

#[test]
fn a_form_that_changes_for_a_while_loses_nothing() {
    play_all("schema", &VENDORS);
}

/// Only what was lost on its way is shown twice.
#[test]
fn tokens_that_end_are_renewed_and_a_family_dies_for_a_lost_answer_only() {
    let struck = play_all("tokens", &APPS);
    assert_eq!(struck.matches("is revoked").count(), struck.matches("token_lost").count(), "{struck}");
}
