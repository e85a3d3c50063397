//! Writes to GraphQL systems: the id among the fields, and looking for what a lost answer may have made.

use std::sync::{Arc, Mutex};

use huiliu_core::connector::{Connector as _, Delivery, Operation};
use huiliu_rest::check;
use serde_json::{Value, json};

use crate::kit::{Answer, Server, connector, cx, delivery, manifest};

const STREAM: &str = r#"
[auth]
kind = "bearer"
token = "{secret.key}"
[streams.customers]
key = "/id"
[streams.customers.create]
graphql = "mutation make($mail: String!) { make(mail: $mail) { id mail } }"
body = { mail = "{record.mail}" }
record = "/data/make"
[streams.customers.create.lookup]
graphql = "query find($mail: String!) { people(mail: $mail) { id mail } }"
body = { mail = "{record.mail}" }
records = "/data/people"
match_at = "/mail"
[streams.customers.update]
graphql = "mutation change($input: Input!) { change(input: $input) { id mail } }"
body = { input = "{body}" }
id_at = "/id"
record = "/data/change"
"#;

/// People who are made and found by their address.
async fn people() -> (Server, Arc<Mutex<Vec<Value>>>) {
    let kept: Arc<Mutex<Vec<Value>>> = Arc::default();
    let people = kept.clone();
    let server = Server::start(move |asked| {
        let mut people = people.lock().unwrap();
        let (call, mail) = (asked.json(), asked.json()["variables"]["mail"].clone());
        if call["query"].as_str().is_some_and(|query| query.starts_with("query find")) {
            let found: Vec<&Value> = people.iter().filter(|it| it["mail"] == mail).collect();
            return Answer::json(&json!({ "data": { "people": found } }));
        }
        let id = people.len() + 1;
        people.push(json!({ "id": id, "mail": mail }));
        Answer::status(504)
    })
    .await;
    (server, kept)
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_found_by_a_query() {
    let (server, kept) = people().await;
    let (connector, cx) = (connector(STREAM), cx(&server));
    let first = delivery(Operation::Create, None, json!({ "mail": "li@example.com" }));
    assert_eq!(connector.push(&cx, &first).await.unwrap_err().kind(), "transient");
    let receipt = connector.push(&cx, &Delivery { attempt: 2, ..first }).await.unwrap();
    assert_eq!((receipt.id.as_str(), kept.lock().unwrap().len()), ("1", 1));
    let asked = server.asked();
    assert_eq!(asked[1].method, "POST");
    assert_eq!(asked[1].json()["variables"], json!({ "mail": "li@example.com" }));
}

#[tokio::test]
async fn the_id_stands_among_the_changed_fields_and_a_cleared_one_stays_null() {
    let server = Server::start(|_| Answer::json(&json!({ "data": { "change": { "id": "7", "mail": null } } }))).await;
    let change = delivery(Operation::Update, Some("7"), json!({ "mail": null }));
    let receipt = connector(STREAM).push(&cx(&server), &change).await.unwrap();
    assert_eq!(receipt.id.as_str(), "7");
    assert_eq!(server.asked()[0].json()["variables"], json!({ "input": { "mail": null, "id": "7" } }));
}

#[test]
fn mistakes_in_lookups_and_ids_are_named() {
    let cases = [
        (
            "graphql = \"query find($mail: String!) { people(mail: $mail) { id mail } }\"\nbody = { mail = \"{record.mail}\" }\n",
            "",
            "name the `path` to look at",
        ),
        ("record = \"/data/make\"", "record = \"/data/make\"\nid_at = \"/id\"", "only a record that is there"),
        ("id_at = \"/id\"", "id_at = \"id\"", "did you mean `/id`?"),
    ];
    for (right, wrong, message) in cases {
        let told = check::manifest(&manifest(&STREAM.replacen(right, wrong, 1))).unwrap_err().to_string();
        assert!(told.contains(message), "{told}");
    }
}
