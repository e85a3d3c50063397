//! What a proven call means.

use huiliu_core::connector::{Connector as _, RawRequest, Received, Verified};
use serde_json::{Value, json};

use crate::kit::{connector, cx_at};

fn manifest(webhook: &str) -> String {
    format!(
        r#"
[auth]
kind = "none"
reason = "a test"
[defaults]
key = "/id"
version = "/changed"
version_kind = "seconds"
[streams.customers]
fetch = {{ path = "/customers/{{record.id}}" }}
deleted_when = {{ at = "/archived", equals = "true", merged_into = "/master" }}
[streams.orders]
fetch = {{ path = "/orders/{{record.id}}" }}
[webhook]
verify = {{ kind = "none", reason = "a test" }}
{webhook}
"#
    )
}

/// What a call brings, in words: `record customers 1 @5`, `hint …`, `gone …`, `poke …`, or the error's kind.
fn receive(webhook: &str, headers: &[(&str, &str)], body: &str) -> Vec<String> {
    let request = RawRequest {
        method: "POST".to_owned(),
        target: "/hooks/kit-1".to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.to_owned().into(),
    };
    let cx = cx_at("http://127.0.0.1:1");
    match connector(&manifest(webhook)).receive(&cx, &Verified { request }) {
        Ok(received) => received.iter().map(word).collect(),
        Err(error) => vec![error.kind().to_owned()],
    }
}

fn word(received: &Received) -> String {
    let at = |version: &Option<huiliu_core::connector::Version>| version.as_ref().map_or("-", |it| &it.text).to_owned();
    match received {
        Received::Record(record) => format!("record {} {} @{}", record.stream, record.id, at(&record.version)),
        Received::Deleted { stream, id, version } => format!("gone {stream} {id} @{}", at(version)),
        Received::Hint { stream, id } => format!("hint {stream} {id}"),
        Received::Merged { stream, id, into } => format!("merged {stream} {id} {into}"),
        Received::Poke { stream } => format!("poke {stream}"),
    }
}

const BY_HEADER: &str = r#"
route = { by = "header:X-Topic", topics = { "customer.updated" = "customers", "order.updated" = "orders" }, deletes = { "customer.deleted" = "customers" } }
"#;

#[test]
fn a_header_routes_hints() {
    let body = json!({ "id": 12_345_678_901_234_567_890_u64, "changed": 5 }).to_string();
    let by = |topic: &str| receive(BY_HEADER, &[("x-topic", topic)], &body);
    assert_eq!(by("customer.updated"), ["hint customers 12345678901234567890"]);
    assert_eq!(by("order.updated"), ["hint orders 12345678901234567890"]);
    assert_eq!(by("customer.deleted"), ["gone customers 12345678901234567890 @5"]);
    assert_eq!(by("customer.redact"), [""; 0], "a topic that is not listed is kept out");
    assert_eq!(receive(BY_HEADER, &[], &body), [""; 0]);
    assert_eq!(receive(BY_HEADER, &[("x-topic", "customer.updated")], "{\"name\": 1}"), ["poke customers"]);
    assert_eq!(receive(BY_HEADER, &[("x-topic", "customer.deleted")], "{}"), ["broken"]);
    assert_eq!(receive(BY_HEADER, &[("x-topic", "customer.updated")], "<xml/>"), ["broken"]);
    assert_eq!(receive(BY_HEADER, &[("x-topic", "foreign")], "<xml/>"), [""; 0]);
}

const BY_BODY: &str = r#"
carries = "record"
record = "/data"
route = { by = "body:/event", topics = { "c.up" = "customers", "o.up" = "orders" }, deletes = { "c.gone" = "customers" } }
"#;

#[test]
fn the_body_routes_whole_records() {
    let event = |topic: &str, data: Value| json!({ "event": topic, "data": data });
    let events = json!([
        event("c.up", json!({ "id": "a", "changed": 7 })),
        event("o.up", json!({ "id": 2 })),
        event("c.gone", json!({ "id": "b" })),
        event("c.up", json!({ "id": "c", "changed": 8, "archived": true })),
        event("x.up", json!({ "id": "d" })),
    ]);
    let all = ["record customers a @7", "record orders 2 @-", "gone customers b @-", "gone customers c @8"];
    assert_eq!(receive(BY_BODY, &[], &events.to_string()), all);
    assert_eq!(receive(BY_BODY, &[], &event("c.up", json!({ "changed": 1 })).to_string()), ["broken"]);
    assert_eq!(receive(BY_BODY, &[], &event("c.up", json!({ "id": 1, "changed": "x" })).to_string()), ["broken"]);
    assert_eq!(receive(BY_BODY, &[], "{}"), [""; 0]);
    assert_eq!(receive(BY_BODY, &[], "5"), [""; 0]);
}

#[test]
fn every_call_may_belong_to_one_stream() {
    let webhook = "carries = \"record\"\nroute = { by = \"stream:customers\" }";
    assert_eq!(receive(webhook, &[], r#"{"id":"00017","changed":1}"#), ["record customers 00017 @1"]);
}

#[test]
fn a_webhooks_id_may_be_another_form_of_the_key() {
    let webhook = r#"
key = "/numeric"
key_form = { customers = "gid://kit/Customer/{id}" }
route = { by = "stream:customers" }
"#;
    assert_eq!(receive(webhook, &[], r#"{"id":"x","numeric":77}"#), ["hint customers gid://kit/Customer/77"]);
}

/// One call may bring many events, and one event may name many records.
#[test]
fn every_record_that_an_event_names_is_hinted() {
    let webhook = r#"key = "/objectId"
more_keys = ["/primary", "/merged"]
route = { by = "body:/type", topics = { "contact.merge" = "customers", "contact.creation" = "customers" }, deletes = { "contact.deletion" = "customers" } }
"#;
    let body = r#"[{"type":"contact.creation","objectId":1},{"type":"contact.merge","primary":2,"merged":[2,3]},
        {"type":"deal.creation","objectId":9},{"type":"contact.deletion","objectId":4}]"#;
    let found = receive(webhook, &[], body);
    assert_eq!(found, ["hint customers 1", "hint customers 2", "hint customers 3", "gone customers 4 @-"]);
}

/// A topic of its own may say who was merged into whom; records that come whole may say it too.
#[test]
fn a_merge_names_both() {
    let webhook = r#"key_form = { customers = "c-{id}" }
merge = { from = ["/loser", "/losers"], into = "/winner", when = { at = "/done", equals = "true" } }
route = { by = "body:/type", topics = { "up" = "customers" }, merges = { "merged" = "customers" } }
"#;
    let body = r#"[{"type":"merged","done":true,"winner":2,"losers":[1,2,3]},
        {"type":"merged","done":true,"winner":"c-5","loser":"c-4"},{"type":"merged","done":false,"winner":6,"loser":7}]"#;
    let found = receive(webhook, &[], body);
    assert_eq!(found, ["merged customers c-1 c-2", "merged customers c-3 c-2", "merged customers c-4 c-5"]);
    assert_eq!(
        receive(webhook, &[], r#"{"type":"merged","done":true,"loser":4}"#),
        ["broken"],
        "into whom is not said"
    );
    let event = |into: Value| json!({ "event": "c.up", "data": { "id": "c", "archived": true, "master": into } });
    assert_eq!(receive(BY_BODY, &[], &event(json!("d")).to_string()), ["merged customers c d"]);
    assert_eq!(receive(BY_BODY, &[], &event(Value::Null).to_string()), ["gone customers c @-"]);
}
