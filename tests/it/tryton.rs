//! A real Tryton, two ways: its parties and a CRM agree, its sales stand in the customer's timeline, and neither a killed
//! server nor somebody who was faster loses or doubles anything. People in it work through Proteus (`tests/src/tryton.rs`).

mod wire;

use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::explain;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::{Store, deliveries, goldens, inbox, links};
use huiliu_tests::front::{Fate, Front};
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use huiliu_tests::tryton::{PASSWORD, Tryton};
use serde_json::{Value, json};

use crate::flow::{Hub, on_both_stores, shipped};

/// A hub between Tryton at `url` and a CRM; each may make records in the other.
async fn hub(store: Store, tryton: &Tryton, url: &str, crm: &Arc<Memory>, clock: &Clock) -> Hub {
    let mut settings = tryton.settings();
    url.clone_into(&mut settings[0].1);
    settings.push(("page_size", "3".to_owned()));
    // What is read again only because it is recent would hide what a walk misses.
    settings.push(("overlap_seconds", "0".to_owned()));
    let mut erp = shipped("erp", "tryton", &settings, &[("password", PASSWORD)], clock);
    erp.creates.insert("parties".to_owned());
    let mut other = kit::connection("crm", clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    Hub::live(store, clock.clone(), [erp, other]).await
}

fn sqlite() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    (folder, store)
}

/// The CRM's record of this name.
fn named(crm: &Memory, name: &str) -> (String, Value) {
    let all = crm.ids().into_iter().map(|id| (id.clone(), crm.get(&id)));
    let mut found: Vec<_> = all.filter(|(_, body)| body["name"] == name).collect();
    assert_eq!(found.len(), 1, "one record is called {name}");
    found.remove(0)
}

/// How many customers the hub knows.
async fn customers(hub: &Hub) -> usize {
    hub.read(|tx| goldens::after(tx, "customer", 0, 10_000))
        .await
        .into_iter()
        .filter(|it| it.merged_into.is_none())
        .count()
}

/// What may not move in silence: writes in Tryton, writes in the CRM, changes of golden records.
async fn moved(hub: &Hub, tryton: &Tryton, crm: &Memory) -> (u64, usize, usize) {
    let changes = hub.read(|tx| Ok(goldens::changed_after(tx, 0, 100_000)?.len())).await;
    (tryton.writes(), crm.writes(), changes)
}

const NOTHING: Vec<String> = Vec::new();

#[test]
fn an_edit_on_either_side_travels_and_its_echo_dies() {
    on_both_stores(async |store| {
        let tryton = Tryton::start();
        let crm = Arc::new(Memory::new(false));
        let clock = Clock::manual(Clock::System.now_us());
        let hub = hub(store, &tryton, &tryton.url(), &crm, &clock).await;
        let lin = tryton.make_party(
            "林晓月",
            &[
                ("email", "lin@example.org"),
                ("phone", "+86 21 5555 0101"),
                ("phone", "+86 21 5555 0102"),
                ("irc", "#tea"),
            ],
        );
        assert_eq!(hub.settle(true).await, NOTHING);
        let (made, body) = named(&crm, "林晓月");
        assert_eq!((&body["email"], &body["phone"]), (&json!("lin@example.org"), &json!("+862155550101")));

        // One phone changes in the CRM; the other contact mechanisms are not touched.
        crm.edit(&made, &json!({ "phone": "+862155550199" }));
        assert_eq!(hub.settle(true).await, NOTHING);
        let mechanisms = json!([
            ["email", "lin@example.org", true],
            ["phone", "+86 21 5555 0199", true],
            ["phone", "+86 21 5555 0102", true],
            ["irc", "#tea", true]
        ]);
        assert_eq!(tryton.party(lin)["mechanisms"], mechanisms);

        // A customer of the CRM becomes a party.
        crm.edit("c1", &json!({ "name": "韩梅梅", "email": "han@example.org" }));
        assert_eq!(hub.settle(true).await, NOTHING);
        let han = tryton.party(*tryton.parties().last().expect("a party"));
        assert_eq!(
            (&han["name"], &han["mechanisms"]),
            (&json!("韩梅梅"), &json!([["email", "han@example.org", true]]))
        );
        assert!(han["code"].as_str().is_some_and(|code| code.starts_with("HL")), "{han}");

        // A child that a person changes alone leaves no mark on its party, and is seen all the same.
        tryton.person(&json!([["party.contact_mechanism", "write", [1], { "value": "xiaoyue@example.org" }]]));
        assert_eq!(hub.settle(true).await, NOTHING);
        assert_eq!(crm.get(&made)["email"], "xiaoyue@example.org");

        // An hour of polling moves nothing.
        let before = moved(&hub, &tryton, &crm).await;
        for _ in 0..60 {
            clock.advance_us(60_000_000);
            assert_eq!(hub.pull().await, NOTHING);
            assert_eq!(hub.think().await, 0);
        }
        assert_eq!(moved(&hub, &tryton, &crm).await, before);
        assert_eq!(hub.read(|tx| inbox::dead_letters(tx, 5)).await, []);
        assert_eq!(customers(&hub).await, 3, "two people and the company itself");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_stands_in_the_timeline_of_its_customer() {
    let (_folder, store) = sqlite();
    let (tryton, crm) = (Tryton::start(), Arc::new(Memory::new(false)));
    let hub = hub(store, &tryton, &tryton.url(), &crm, &Clock::System).await;
    let lin = tryton.make_party("林晓月", &[("email", "lin@example.org")]);
    let address = json!([["party.address", "create", [{ "party": lin, "city": "上海" }]]]);
    let address = tryton.person(&address)[0][0].clone();
    let line = json!({ "product": 1, "unit": 1, "quantity": 3, "unit_price": { "decimal": "12.50" } });
    let sale = json!({
        "invoice_address": address, "shipment_address": address, "party": lin, "company": 1, "currency": 1, "sale_date": { "date": "2026-02-03" },
        "lines": [["create", [line, { "type": "comment", "description": "a gift" }]]],
    });
    tryton.person(&json!([["sale.sale", "create", [sale]], ["sale.sale", "quote", [1]]]));
    assert_eq!(hub.settle(true).await, NOTHING);
    let order = async || {
        let engine = hub.engine.clone();
        let told = tokio::task::spawn_blocking(move || {
            let found = explain::find(&engine, "lin@example.org").expect("read");
            explain::customer(&engine, found[0]).expect("read").expect("it is there").timeline
        });
        let timeline = told.await.expect("no panic");
        assert_eq!(timeline.len(), 1, "{timeline:?}");
        json!(timeline[0].fields)
    };
    let shown = order().await;
    assert_eq!((&shown["number"], &shown["status"]), (&json!("1"), &json!("quotation")));
    assert_eq!(shown["total"], json!({ "amount": "37.50", "currency": "CNY" }), "every digit as Tryton wrote it");
    let price = json!({ "amount": "12.50", "currency": "CNY" });
    assert_eq!(shown["lines"], json!([{ "sku": "TEA-1", "name": "Jasmine tea", "quantity": "3", "price": price }]));
    assert_eq!(shown["ordered_at"], "2026-02-03T00:00:00Z");
    // A line that changes alone changes the order.
    tryton.person(&json!([["sale.sale", "draft", [1]]]));
    assert_eq!(hub.settle(true).await, NOTHING);
    tryton.person(&json!([["sale.line", "write", [1], { "quantity": 4 }]]));
    assert_eq!(hub.settle(true).await, NOTHING);
    assert_eq!(order().await["total"]["amount"], "50.00");
}

/// What the CRM said, up to the point where the hub knows what it will write.
async fn plan_only(hub: &Hub) {
    let crm = hub.engine.connections["crm"].clone();
    let pulled = pull::stream(&hub.engine, &crm, &"customers".into(), 1).await.expect("the store works");
    assert_eq!(pulled.error, None);
    let engine = hub.engine.clone();
    let planned = tokio::task::spawn_blocking(move || {
        while process::batch(&engine).expect("process").items > 0 {}
        while plan::batch(&engine).expect("plan").0 > 0 {}
    });
    planned.await.expect("no panic");
}

#[test]
fn who_was_faster_is_heard() {
    on_both_stores(async |store| {
        let (tryton, crm) = (Tryton::start(), Arc::new(Memory::new(false)));
        let hub = hub(store, &tryton, &tryton.url(), &crm, &Clock::System).await;
        let lin = tryton.make_party("林晓月", &[("email", "lin@example.org"), ("phone", "+86 21 5555 0101")]);
        assert_eq!(hub.settle(true).await, NOTHING);
        let (made, _) = named(&crm, "林晓月");
        // Between plan and push a person changes the same phone, and the name.
        crm.edit(&made, &json!({ "phone": "+862155550111" }));
        plan_only(&hub).await;
        let phone = json!([["write", [2], { "value": "+862155550122" }]]);
        tryton.person(&json!([["party.party", "write", [lin], { "name": "林小月", "contact_mechanisms": phone }]]));
        let erp = hub.engine.connections["erp"].clone();
        assert_eq!(push::batch(&hub.engine, &erp).await.expect("the store works"), 1);
        hub.settle(true).await;
        let party = tryton.party(lin);
        assert_eq!(party["name"], "林小月");
        assert_eq!(party["mechanisms"][1], json!(["phone", "+86 21 5555 0122", true]), "the later word stays");
        let body = crm.get(&made);
        assert_eq!((&body["name"], &body["phone"]), (&json!("林小月"), &json!("+862155550122")));
        let key = format!("erp/parties/{lin}").parse().expect("a key");
        let sent = hub.read(move |tx| {
            let golden = links::by_keys(tx, [&key])?[0].golden;
            deliveries::of_golden(tx, golden, 10)
        });
        let conflict = |it: &deliveries::Planned| {
            it.state == "dropped" && it.error.as_ref().is_some_and(|error| error.contains("was changed in Tryton"))
        };
        assert!(sent.await.iter().any(conflict), "a conflict was met");
        assert_eq!(hub.settle(true).await, NOTHING);
        assert_eq!(crm.get(&made), body, "and all agree");
    });
}

/// The server dies at different moments of a create, and comes back.
#[test]
fn a_server_killed_in_mid_push_makes_one_party() {
    on_both_stores(async |store| {
        let (tryton, crm) = (Tryton::start(), Arc::new(Memory::new(false)));
        let front = Front::of(&tryton.url()).await;
        let hub = hub(store, &tryton, &front.instead_of(&tryton.url()), &crm, &Clock::System).await;
        assert_eq!(hub.settle(true).await, NOTHING);
        for (round, kill_after_ms) in [0, 15, 40].into_iter().enumerate() {
            crm.edit(
                &format!("c{round}"),
                &json!({ "name": format!("新客户{round}"), "email": format!("new{round}@example.org") }),
            );
            plan_only(&hub).await;
            let before = front.calls();
            let pushing = hub.engine.clone();
            let push = tokio::spawn(async move {
                let erp = pushing.connections["erp"].clone();
                push::batch(&pushing, &erp).await.expect("the store works")
            });
            // The search for an earlier attempt, then the create.
            while front.calls() < before + 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(kill_after_ms)).await;
            tryton.kill();
            push.await.expect("no panic");
            tryton.restart();
            hub.settle(true).await;
            assert_eq!(tryton.parties().len(), round + 1);
        }
        // The create is carried out, and the server dies before anybody hears of it.
        front.meet(Fate::Delay(Duration::ZERO));
        front.meet(Fate::LoseAnswer);
        crm.edit("c9", &json!({ "name": "新客户9", "email": "new9@example.org" }));
        plan_only(&hub).await;
        let erp = hub.engine.connections["erp"].clone();
        push::batch(&hub.engine, &erp).await.expect("the store works");
        tryton.kill();
        tryton.restart();
        assert_eq!(tryton.parties().len(), 4, "it was made");
        hub.settle(true).await;
        assert_eq!(tryton.parties().len(), 4, "and not made again");
        assert_eq!(customers(&hub).await, 5);
        assert_eq!(hub.read(|tx| inbox::dead_letters(tx, 5)).await, []);
    });
}

async fn is_open(hub: &Hub, party: u64) -> bool {
    let key = format!("erp/parties/{party}").parse().expect("a key");
    hub.read(move |tx| Ok(links::by_keys(tx, [&key])?[0].open)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_archived_or_deleted_is_noticed() {
    let (_folder, store) = sqlite();
    let (tryton, crm) = (Tryton::start(), Arc::new(Memory::new(false)));
    let clock = Clock::manual(Clock::System.now_us());
    let hub = hub(store, &tryton, &tryton.url(), &crm, &clock).await;
    let lin = tryton.make_party("林晓月", &[("email", "lin@example.org"), ("phone", "+86 21 5555 0101")]);
    let han = tryton.make_party("韩梅梅", &[("email", "han@example.org")]);
    // Seven parties of one transaction share a stamp; a page holds three.
    let many = (0..7).map(|number| json!({ "name": format!("批量{number}") })).collect::<Value>();
    assert_eq!(hub.settle(true).await, NOTHING);
    tryton.person(&json!([["party.party", "create", many]]));
    assert_eq!(hub.settle(true).await, NOTHING);
    assert_eq!(customers(&hub).await, 10);

    tryton.person(&json!([["party.party", "write", [lin], { "active": false }]]));
    assert_eq!(hub.settle(true).await, NOTHING);
    assert!(!is_open(&hub, lin).await, "an archived party is gone");
    assert_eq!(named(&crm, "林晓月").1["email"], "lin@example.org", "which takes nothing from the others");
    tryton.person(&json!([["party.party", "write", [lin], { "active": true }]]));
    assert_eq!(hub.settle(true).await, NOTHING);
    assert!(is_open(&hub, lin).await, "and comes back");

    // What leaves no trace is found by the scan of the next day, also when the newest stamp of a party went with it.
    tryton.person(&json!([["party.contact_mechanism", "write", [2], { "name": "Desk" }]]));
    assert_eq!(hub.settle(true).await, NOTHING);
    tryton.person(&json!([["party.contact_mechanism", "delete", [2]], ["party.party", "delete", [han]],]));
    clock.advance_us(60_000_000);
    assert_eq!(hub.settle(true).await, NOTHING);
    assert!(is_open(&hub, han).await);
    clock.advance_us(24 * 3_600_000_000);
    assert_eq!(hub.settle(true).await, NOTHING);
    assert!(!is_open(&hub, han).await);
    assert!(is_open(&hub, lin).await);
    assert_eq!(named(&crm, "林晓月").1["phone"], Value::Null, "the removed phone is cleared");
    assert_eq!(named(&crm, "韩梅梅").1["email"], "han@example.org", "a deletion is not carried on");
    assert_eq!(hub.read(|tx| inbox::dead_letters(tx, 5)).await, []);
}
