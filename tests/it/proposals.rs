//! A change of the rules, planned, applied and taken back.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::pipeline::plan;
use huiliu_core::proposal::{self, Files, Moved};
use huiliu_core::replay::Progress;
use huiliu_core::review::{self, Steward};
use huiliu_core::store::Store;
use huiliu_mappings::merge::Directions;
use huiliu_mappings::model::Model;
use huiliu_tests::kit::{self, DAY_ONE_US, MAPPING, on_both_stores};
use huiliu_tests::memory::Memory;
use huiliu_tests::rules::{Pair, Rules, State, go_on, round};
use huiliu_twins::hubspot::HubspotTwin;
use serde_json::{Value, json};

use crate::flow::{self, Hub, shipped};

/// Enough for some thousand values that become others.
const CUSTOMERS: usize = 500;

#[test]
fn what_is_planned_comes_and_an_undo_brings_everything_back() {
    on_both_stores(|store| {
        let done = round(store, CUSTOMERS);
        assert!(done.effects > 2_000 && done.writes > CUSTOMERS, "{done:?}");
    });
}

/// A pair at rest by the former rules, its state, and the number of a plan of the changed ones.
fn planned(store: Store, customers: usize) -> (Pair, State, i64) {
    let pair = Pair::new(store, customers);
    proposal::come_into_force(&pair.engine, &pair.files()).unwrap();
    let former = State::of(&pair);
    let pair = pair.by(Rules::Changed);
    let number = pair.plan().0.number;
    (pair, former, number)
}

#[test]
fn a_plan_is_told_in_numbers_and_samples() {
    on_both_stores(|store| {
        let (pair, _, number) = planned(store, 6);
        let told = proposal::told(&proposal::one(&pair.engine, number).unwrap()).unwrap();
        let report = &told.report;
        let fields: Vec<(&str, u64)> =
            report.fields.iter().map(|(field, it)| (field.as_str(), it.filled + it.changed + it.emptied)).collect();
        assert_eq!(fields, [("customer.company", 6), ("customer.phones.main", 2), ("customer.title", 4)]);
        let places: Vec<(&str, u64, u64)> =
            report.places.iter().map(|(place, it)| (place.as_str(), it.filled, it.changed)).collect();
        assert_eq!(
            places,
            [("a/customers /company", 0, 6), ("b/customers /phone", 0, 2), ("b/customers /title", 2, 4)]
        );
        assert_eq!((told.samples.len(), told.writes.len()), (2, 4), "two of each kind");
        assert_eq!(
            told.writes[2].places["/phone"],
            (json!("139 0000 0000"), json!("+8613800000000")),
            "as b spells it"
        );
        assert_eq!(report.sum.effects, 6 + 2 + 4 + 6 + 2 + 6);
    });
}

#[test]
fn a_plan_is_refused_once_files_or_records_are_others() {
    on_both_stores(|store| {
        let (pair, former, number) = planned(store, 4);
        let refused = |pair: &Pair, moved: Moved| {
            proposal::apply(&pair.engine, number, &pair.files(), "wang", moved, &mut go_on).unwrap_err().to_string()
        };
        let pair = pair.by(Rules::Former);
        let told = refused(&pair, Moved::Accepted);
        assert!(told.contains("files are others") && told.contains("run `huiliu plan` again"), "{told}");
        let told = proposal::undo(&pair.engine, number, &pair.files(), "wang", 1, &mut go_on).unwrap_err().to_string();
        assert!(told.contains("never applied"), "{told}");
        let pair = pair.by(Rules::Changed);
        review::pin(&pair.engine, 1, &"title".into(), &json!("老板"), Steward { name: "li", why: "said so" }).unwrap();
        let told = refused(&pair, Moved::Refused);
        assert!(told.contains("records changed since plan") && told.contains("--anyway"), "{told}");
        let done = proposal::apply(&pair.engine, number, &pair.files(), "wang", Moved::Accepted, &mut go_on).unwrap();
        assert!(done.done && !done.as_planned, "{done:?}");
        let told = refused(&pair, Moved::Refused);
        assert!(told.contains("applied already"), "{told}");
        let told = proposal::undo(&pair.engine, number, &pair.files(), "wang", 1, &mut go_on).unwrap_err().to_string();
        assert!(told.contains("put back what was changed"), "{told}");
        pair.settle();
        let pair = pair.by(Rules::Former);
        pair.undo(number);
        pair.settle();
        // The pin is a word since: it stays in the golden record, and travels where the former rules let it.
        let moved: Vec<String> = former.moved(&State::of(&pair)).into_iter().map(|it| it.0 + " " + &it.1).collect();
        assert_eq!(moved, ["customer/1 title"]);
    });
}

#[test]
fn stopped_after_every_step_it_goes_on() {
    on_both_stores(|store| {
        let (pair, former, number) = planned(store, 250);
        let (mut steps, mut stop) = (0, |_: Progress| ControlFlow::Break(()));
        let applied = loop {
            steps += 1;
            // Each time a new process.
            let done = proposal::apply(&pair.engine, number, &pair.files(), "wang", Moved::Refused, &mut stop).unwrap();
            if done.done {
                break done;
            }
        };
        assert!(steps > 3 && applied.as_planned, "{steps}");
        pair.settle();
        let pair = pair.by(Rules::Former);
        // Half of what is put back is sent before the rest is computed anew.
        while !proposal::undo(&pair.engine, number, &pair.files(), "wang", 1, &mut stop).unwrap().done {
            pair.settle();
        }
        pair.settle();
        assert_eq!(State::of(&pair), former);
        assert_eq!(proposal::undone(&pair.engine, number, 10).unwrap().left, []);
    });
}

#[test]
fn what_was_never_sent_is_not_sent_any_more() {
    on_both_stores(|store| {
        let (pair, former, number) = planned(store, 6);
        let writes = pair.a.writes() + pair.b.writes();
        pair.apply(number);
        plan::batch(&pair.engine).unwrap();
        let pair = pair.by(Rules::Former);
        let undone = pair.undo(number);
        assert_eq!((undone.queued, undone.left.len()), (0, 0), "{undone:?}");
        assert_eq!(pair.settle(), 0);
        assert_eq!((State::of(&pair), pair.a.writes() + pair.b.writes()), (former, writes));
    });
}

#[test]
fn what_somebody_edited_since_stays_and_is_listed() {
    on_both_stores(|store| {
        let (pair, former, number) = planned(store, 6);
        pair.apply(number);
        pair.settle();
        pair.engine.clock.advance_us(60_000_000);
        pair.b.edit("b1", &json!({ "title": "董事" }));
        pair.a.edit("a2", &json!({ "company": "丙" }));
        pair.settle();
        let pair = pair.by(Rules::Former);
        let undone = pair.undo(number);
        let left: Vec<String> =
            undone.left.iter().map(|it| format!("{} {}", it.record, it.place.as_deref().unwrap_or("-"))).collect();
        let wanted = ["b/customers/b1 /title", "a/customers/a2 /company", "customer/2 title", "customer/3 company"];
        assert_eq!(left, wanted, "{undone:?}");
        assert_eq!((undone.edited, undone.goldens_edited), (2, 2));
        pair.settle();
        let moved = former.moved(&State::of(&pair));
        let moved: Vec<(&str, &str, &str)> = moved.iter().map(|it| (&*it.0, &*it.1, &*it.3)).collect();
        assert_eq!(
            moved,
            [
                ("a/customers/a2", "/company", "\"丙\""),
                // The changed rules corrected the edit there, and nobody may write titles to b by the former ones.
                ("b/customers/b1", "/title", "\"经理1\""),
                // Not the apply wrote this, but everyday work under its rules.
                ("b/customers/b2", "/firm", "\"丙\""),
                ("customer/2", "title", "\"董事\""),
                ("customer/3", "company", "\"丙\""),
            ],
        );
    });
}

const NOBODY_WRITES: &str = "[connections.hs.fields.customer]\ntitle = 'in'\nphones = 'in'\n\
                             [connections.crm.fields.customer]\ntitle = 'in'\nphones = 'in'\n";
const CRM_OWNS: &str = "[connections.crm.fields.customer]\ntitle = 'owns'\nphones = 'owns'\n";

/// An account of HubSpot beside a CRM, under what a huiliu.toml states about their fields.
async fn beside(store: &Store, clock: &Clock, twin: &HubspotTwin, crm: &Arc<Memory>, config: &str) -> (Hub, Files) {
    let mut stated = Directions::parse_all("huiliu.toml", config, &Model::shipped()).expect("directions");
    let mut hubspot = shipped("hs", "hubspot", &twin.settings("https://hub.example"), &twin.secrets(), clock);
    hubspot.directions = stated.remove("hs").unwrap_or_default();
    let mut other = kit::connection("crm", clock, Some(crm.clone()));
    other.directions = stated.remove("crm").unwrap_or_default();
    other.lenses = kit::lenses(&MAPPING.replace("phones.main", "phones.mobile"));
    let texts = BTreeMap::from([("huiliu.toml".to_owned(), config.to_owned())]);
    (Hub::live(store.clone(), clock.clone(), [hubspot, other]).await, Files::of(&texts, BTreeMap::new()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

/// What the account keeps of its contacts, without its own stamps, and what the CRM keeps.
fn kept(twin: &HubspotTwin, crm: &Memory) -> (String, Vec<(String, String)>) {
    (twin.snapshot("contacts").to_string(), Pair::dump(crm))
}

#[test]
fn a_hubspot_account_gets_back_what_it_showed() {
    flow::on_both_stores(async |store| {
        let clock = Clock::manual(DAY_ONE_US);
        let (twin, crm) = (HubspotTwin::start().await.expect("a port"), Arc::new(Memory::new(false)));
        let wait = |seconds: i64| {
            clock.advance_us(seconds * 1_000_000);
            twin.set_now_ms(Some(clock.now_us() / 1_000));
        };
        wait(0);
        for (name, email, title, phone) in
            [("雷", "li@example.com", "总监", "138 0013 8000"), ("梅梅", "han@example.com", "", "")]
        {
            let contact = json!({ "firstname": name, "email": email, "jobtitle": title, "mobilephone": phone });
            twin.add("contacts", &contact).await.expect("a contact");
            let body = json!({ "name": name, "email": email, "title": "经理", "phone": "13900139000" });
            crm.edit(email, &body);
        }
        let (hub, files) = beside(&store, &clock, &twin, &crm, NOBODY_WRITES).await;
        let engine = hub.engine.clone();
        blocking(move || proposal::come_into_force(&engine, &files)).await.expect("in force");
        for _ in 0..3 {
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            wait(60);
        }
        let former = kept(&twin, &crm);

        let (hub, files) = beside(&store, &clock, &twin, &crm, CRM_OWNS).await;
        let engine = hub.engine.clone();
        let number = blocking(move || {
            let made = proposal::plan(&engine, &files, "wang", 3, &mut go_on, &mut |_| {}).expect("a plan");
            let done = proposal::apply(&engine, made.number, &files, "wang", Moved::Refused, &mut go_on);
            assert!(done.expect("it is applied").as_planned);
            made.number
        })
        .await;
        for _ in 0..3 {
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            wait(60);
        }
        let contacts = twin.snapshot("contacts");
        let contacts: Vec<&Value> = contacts.as_object().expect("contacts").values().collect();
        assert!(
            contacts.iter().all(|it| it["jobtitle"] == "经理" && it["mobilephone"] != "138 0013 8000"),
            "{contacts:?}"
        );

        let (hub, files) = beside(&store, &clock, &twin, &crm, NOBODY_WRITES).await;
        let engine = hub.engine.clone();
        let undone = blocking(move || proposal::undo(&engine, number, &files, "wang", 3, &mut go_on)).await;
        let undone = undone.expect("it is taken back");
        assert_eq!((undone.queued, &undone.left), (2, &Vec::new()), "{undone:?}");
        for _ in 0..3 {
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            wait(60);
        }
        assert_eq!(kept(&twin, &crm), former);
    });
}
