//! What the connector says to a real Tryton, and hears: sessions, the throttle of logins, rights, guards of writes, and
//! the fixtures, which are what the server shows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{Connector, ConnectorError, Delivery, Operation, Record, RecordKey};
use huiliu_tests::front::{Fate, Front};
use huiliu_tests::tryton::{GUEST, PASSWORD, Tryton};
use serde_json::{Value, json};

use crate::flow::shipped;

/// A connection and what speaks for it.
struct Line {
    connection: Connection,
    by: Arc<dyn Connector>,
}

impl Line {
    fn new(tryton: &Tryton, url: &str, user: &str, password: &str) -> Self {
        let mut settings = tryton.settings();
        url.clone_into(&mut settings[0].1);
        user.clone_into(&mut settings[2].1);
        let connection = shipped("erp", "tryton", &settings, &[("password", password)], &Clock::System);
        let by = connection.connector.clone().expect("a connector");
        Self { connection, by }
    }

    fn key(&self, stream: &str, id: u64) -> RecordKey {
        RecordKey {
            connection: self.connection.name.clone(),
            stream: stream.into(),
            id: id.to_string().as_str().into(),
        }
    }

    async fn fetch(&self, stream: &str, id: u64) -> Record {
        let found = self.by.fetch(&self.connection.cx, &self.key(stream, id)).await;
        found.expect("it can be read").expect("it is there")
    }

    async fn pull(&self, stream: &str) -> Result<(), ConnectorError> {
        self.by.pull(&self.connection.cx, &stream.into(), None).await.map(drop)
    }
}

fn update(held: &Record, body: Value, base: Value) -> Delivery {
    Delivery {
        number: 1,
        operation: Operation::Update,
        stream: held.stream.clone(),
        id: Some(held.id.clone()),
        body,
        base,
        base_version: held.version.clone(),
        idempotency_key: "0123456789abcdef0123456789abcdef".to_owned(),
        attempt: 1,
    }
}

fn email(value: &str) -> Value {
    json!({ "contact_mechanisms": { "email": [{ "value": value }] } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_renewed_once_for_all_who_wait() {
    let tryton = Tryton::start_with("[session]\nmax_age = 4");
    let front = Front::of(&tryton.url()).await;
    let line = Arc::new(Line::new(&tryton, &front.instead_of(&tryton.url()), "admin", PASSWORD));
    line.fetch("parties", 1).await;
    assert_eq!(front.calls(), 2, "a login and a read");
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let reads: Vec<_> = (0..4)
        .map(|_| {
            let line = line.clone();
            tokio::spawn(async move { line.fetch("parties", 1).await })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.expect("no panic").body["name"], "Huiliu Example Trading");
    }
    assert_eq!(front.calls(), 2 + 4 + 1 + 4, "four refusals, one login, four reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_login_is_no_wrong_password() {
    let tryton = Tryton::start_with("[session]\nmax_attempt = 0");
    let wrong = Line::new(&tryton, &tryton.url(), "admin", "another-horse-43");
    assert_eq!(wrong.by.check(&wrong.connection.cx).await.expect_err("wrong").kind(), "unauthorized");
    let right = Line::new(&tryton, &tryton.url(), "admin", PASSWORD);
    let told = right.by.check(&right.connection.cx).await.expect_err("too many tries");
    let ConnectorError::RateLimited { after, .. } = told else { panic!("{told:?}") };
    assert_eq!(after, Some(Duration::from_mins(5)), "as long as the server counts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_right_and_a_missing_database_are_told_apart() {
    let tryton = Tryton::start();
    let guest = Line::new(&tryton, &tryton.url(), GUEST.0, GUEST.1);
    assert_eq!(guest.pull("parties").await, Ok(()));
    let told = guest.pull("sales").await.expect_err("sales are not for guests");
    assert_eq!(told.kind(), "unauthorized");
    assert!(told.to_string().contains("You are not allowed to access \"Sale"), "{told}");
    let mut lost = Line::new(&tryton, &tryton.url(), "admin", PASSWORD);
    let mut settings = (*lost.connection.cx.settings).clone();
    settings.insert("database".to_owned(), "nowhere".to_owned());
    lost.connection.cx.settings = Arc::new(settings);
    let told = lost.pull("parties").await.expect_err("no such database");
    assert_eq!((told.kind(), told.to_string().contains("config.database")), ("broken", true), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_itself_refuses_a_write_over_an_unseen_edit() {
    let tryton = Tryton::start();
    let lin = tryton.make_party("林晓月", &[("email", "lin@example.org"), ("email", "moon@example.org")]);
    let front = Front::of(&tryton.url()).await;
    let line = Arc::new(Line::new(&tryton, &front.instead_of(&tryton.url()), "admin", PASSWORD));
    let held = line.fetch("parties", lin).await;
    // The push reads, sees nothing new, and writes; in between a person edits the same address.
    front.meet(Fate::Delay(Duration::ZERO));
    front.meet(Fate::Delay(Duration::from_secs(3)));
    let before = front.calls();
    let (pusher, delivery) = (line.clone(), update(&held, email("new@example.org"), email("lin@example.org")));
    let push = tokio::spawn(async move { pusher.by.push(&pusher.connection.cx, &delivery).await });
    while front.calls() < before + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tryton.person(&json!([["party.contact_mechanism", "write", [1], { "value": "person@example.org" }]]));
    let told = push.await.expect("no panic").expect_err("somebody was faster");
    assert_eq!(told.kind(), "conflict", "{told}");
    let mechanisms = json!([["email", "person@example.org", true], ["email", "moon@example.org", true]]);
    assert_eq!(tryton.party(lin)["mechanisms"], mechanisms);
    // Seen before the write, it is a conflict without a write; an edit elsewhere in the party is none.
    let late = update(&held, email("new@example.org"), email("lin@example.org"));
    assert_eq!(line.by.push(&line.connection.cx, &late).await.expect_err("seen").kind(), "conflict");
    let other = update(&held, json!({ "name": "林小月" }), json!({ "name": "林晓月" }));
    let receipt = line.by.push(&line.connection.cx, &other).await.expect("nobody changed the name");
    assert_eq!(receipt.stored.expect("read back").body["name"], "林小月");
    assert_eq!(tryton.party(lin)["mechanisms"], mechanisms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_value_names_nobody_and_a_cleared_one_is_archived() {
    let tryton = Tryton::start();
    let lin = tryton.make_party("Lin Xiaoyue", &[("email", "lin@example.org"), ("phone", "+86 21 5555 0101")]);
    let line = Line::new(&tryton, &tryton.url(), "admin", PASSWORD);
    let held = line.fetch("parties", lin).await;
    let phone = |value: Value| json!({ "contact_mechanisms": { "phone": [{ "value": value }] } });
    let wrong = update(&held, phone(json!("+999 12")), phone(json!("+862155550101")));
    let told = line.by.push(&line.connection.cx, &wrong).await.expect_err("no phone number");
    assert_eq!(told.kind(), "rejected", "{told}");
    let text = told.to_string();
    assert!(text.contains("is not valid") && !text.contains("+999") && !text.contains("Xiaoyue"), "{text}");
    let cleared = update(&held, phone(Value::Null), phone(json!("+862155550101")));
    let receipt = line.by.push(&line.connection.cx, &cleared).await.expect("cleared");
    let stored = receipt.stored.expect("read back");
    assert_eq!(stored.body.pointer("/contact_mechanisms/phone"), Some(&json!([{ "value": null }])));
    let mechanisms = json!([["email", "lin@example.org", true], ["phone", "+86 21 5555 0101", false]]);
    assert_eq!(tryton.party(lin)["mechanisms"], mechanisms);
    // Archived as a whole, it is gone for whoever writes and for whoever asks.
    tryton.person(&json!([["party.party", "write", [lin], { "active": false }]]));
    let late = update(&stored, json!({ "name": "Lin" }), json!({ "name": "Lin Xiaoyue" }));
    assert_eq!(line.by.push(&line.connection.cx, &late).await.expect_err("archived").kind(), "gone");
    assert_eq!(line.by.fetch(&line.connection.cx, &line.key("parties", lin)).await, Ok(None));
}

/// Stamps differ from run to run; all else is as recorded.
fn still(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match name.as_str() {
                    "write_date" | "create_date" => *value = json!("2026-02-03T04:05:06.000007Z"),
                    "_timestamp" => *value = json!("1770091506.00001"),
                    _ => still(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(still),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fixtures_are_what_the_server_shows() {
    let tryton = Tryton::start();
    let full = json!({
        "name": "Linden Teehaus GmbH", "code": "C-1042",
        "contact_mechanisms": [["create", [
            { "type": "email", "value": "teehaus@example.org", "name": "Office" },
            { "type": "email", "value": "einkauf@example.org" },
            { "type": "phone", "value": "+49 30 901820" },
            { "type": "mobile", "value": "+49 1512 3456789" },
            { "type": "website", "value": "https://teehaus.example" },
        ]]],
        "addresses": [["create", [{ "street": "Nanjing Road 7", "postal_code": "200000", "city": "Shanghai", "country": 1 }]]],
        "identifiers": [["create", [{ "type": "de_vat", "code": "DE136695976" }]]],
    });
    let made = tryton.person(&json!([
        ["party.party", "create", [full, { "name": "林晓月" }]],
        ["party.address", "search", [["party", "=", 2]], 0, 1, null],
    ]));
    let address = &made[1][0];
    let line = json!({ "product": 1, "unit": 1, "quantity": 2, "unit_price": { "decimal": "12.50" } });
    let title = json!({ "type": "title", "description": "Spring" });
    let sale = json!({
        "party": 2, "invoice_address": address, "shipment_address": address, "company": 1, "currency": 2, "sale_date": { "date": "2026-02-03" }, "comment": "Bitte bald",
        "lines": [["create", [title, line]]],
    });
    tryton.person(&json!([["sale.sale", "create", [sale]], ["sale.sale", "quote", [1]]]));
    let line = Line::new(&tryton, &tryton.url(), "admin", PASSWORD);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors/tryton/fixtures");
    for (stream, id, name) in [("parties", 2, "full"), ("parties", 3, "bare"), ("sales", 1, "quotation")] {
        let mut body = line.fetch(stream, id).await.body;
        still(&mut body);
        let file = folder.join(stream).join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&body).expect("JSON") + "\n";
        if std::env::var_os("HUILIU_WRITE").is_some() {
            std::fs::write(&file, &text).expect("the fixture is written");
        }
        let recorded = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(recorded, text, "HUILIU_WRITE=1 cargo test -p huiliu-tests --test it fixtures_are records anew");
    }
}
