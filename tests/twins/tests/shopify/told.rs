//! What the shop tells by webhook.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderMap;
use bytes::Bytes;
use huiliu_twins::hooks::Fault;
use huiliu_twins::shopify::{CLIENT_SECRET, ShopifyTwin, sign};
use serde_json::{Value, json};

use crate::kit::{ask, node, twin};

/// A webhook call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Call {
    pub fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no header {name}")).1
    }
}

type Heard = Arc<Mutex<Vec<Call>>>;

/// Listens on loopback and keeps what it hears.
pub async fn listen(twin: &ShopifyTwin) -> Heard {
    async fn hear(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let vendor = headers.filter(|(name, _)| name.starts_with("x-shopify-") || name == "content-type");
        let call = Call { headers: vendor.collect(), body: String::from_utf8(body.to_vec()).unwrap() };
        heard.lock().unwrap().push(call);
    }
    let heard = Heard::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    twin.set_webhook(&format!("http://{}/hooks/shopify", listener.local_addr().unwrap()));
    let router = axum::Router::new().route("/hooks/shopify", axum::routing::post(hear)).with_state(heard.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    heard
}

fn topics(heard: &Heard) -> Vec<String> {
    heard.lock().unwrap().iter().map(|call| call.header("x-shopify-topic").to_owned()).collect()
}

#[tokio::test]
async fn every_change_is_told_also_those_made_through_the_api() {
    let twin = twin().await;
    let heard = listen(&twin).await;
    let id = twin.add_customer(&json!({ "firstName": "A", "email": "a@example.com" })).await.unwrap();
    twin.edit_customer(&id, &json!({ "note": "n" })).await.unwrap();
    twin.edit_customer(&id, &json!({ "note": "n" })).await.unwrap();
    let order = twin.place_order(&json!({ "customer": id })).await.unwrap();
    twin.edit_order(&order, &json!({ "status": "REFUNDED" })).await.unwrap();
    assert!(twin.delete_order(&order).await);
    let asked = json!({ "identifier": { "id": id }, "input": { "note": "ours" } });
    ask(&twin, "customers.update", asked).await;
    let create = json!({ "identifier": { "email": "b@example.com" }, "input": { "email": "b@example.com" } });
    ask(&twin, "customers.create", create).await;
    twin.settled().await;
    twin.delete_customer(&id).await.unwrap();
    let mut told = topics(&heard);
    // The two that follow API calls leave beside the answers, in any order.
    told[8..10].sort();
    let expected = [
        "customers/create",
        "customers/update",
        "orders/create",
        "orders/updated",
        "orders/paid",
        "customers/update",
        "orders/updated",
        "orders/delete",
        "customers/create",
        "customers/update",
        "customers/delete",
    ];
    assert_eq!(told, expected);
    let heard = heard.lock().unwrap();
    let event = |at: usize| heard[at].header("x-shopify-event-id");
    assert!((3..6).all(|at| event(at) == event(2)), "one act, one event id");
    assert!(event(6) != event(2) && event(1) != event(0));
    let body: Value = serde_json::from_str(&heard[10].body).unwrap();
    assert_eq!(format!("gid://shopify/Customer/{}", body["id"]), id, "a number above 2^53 keeps its digits");
}

#[tokio::test]
async fn the_vendors_sdk_accepts_the_signatures_and_refuses_any_other() {
    let twin = twin().await;
    let heard = listen(&twin).await;
    let id = twin.add_customer(&json!({ "firstName": "雷", "email": "lei@example.com" })).await.unwrap();
    twin.place_order(&json!({ "customer": id, "note": "请尽快" })).await.unwrap();
    let genuine = heard.lock().unwrap().clone();
    let mut calls: Vec<Value> = genuine.iter().map(|it| json!({ "headers": it.headers, "body": it.body })).collect();
    calls.push(json!({ "headers": genuine[0].headers, "body": genuine[0].body.replace('雷', "蕾") }));
    calls.push(json!({ "headers": genuine[0].headers, "body": format!("{} ", genuine[0].body) }));
    let count = calls.len();
    let input = json!({ "secret": CLIENT_SECRET, "calls": calls });
    let verdicts = node("webhooks.mjs", "@shopify/shopify-api", &input);
    for (at, verdict) in verdicts.as_array().unwrap().iter().enumerate() {
        assert_eq!(verdict["valid"], at < count - 2, "call {at}: {verdict}");
    }
    assert_eq!(verdicts[0]["topic"], "CUSTOMERS_CREATE", "the SDK writes topics in its own way");
    let other = node("webhooks.mjs", "@shopify/shopify-api", &json!({ "secret": "another", "calls": input["calls"] }));
    assert!(other.as_array().unwrap().iter().all(|verdict| verdict["valid"] == false), "{other}");
    assert_eq!(genuine[0].header("x-shopify-hmac-sha256"), sign(CLIENT_SECRET, genuine[0].body.as_bytes()));
}

#[tokio::test]
async fn deliveries_drop_repeat_and_come_out_of_order() {
    let twin = twin().await;
    let heard = listen(&twin).await;
    let note = |text: &str| json!({ "note": text });
    let id = twin.put_customer(&json!({ "firstName": "A" })).unwrap();
    twin.hooks().set_fault(Fault::Drop);
    twin.edit_customer(&id, &note("1")).await.unwrap();
    twin.hooks().set_fault(Fault::Repeat);
    twin.edit_customer(&id, &note("2")).await.unwrap();
    twin.hooks().set_fault(Fault::Hold);
    twin.edit_customer(&id, &note("3")).await.unwrap();
    twin.edit_customer(&id, &note("4")).await.unwrap();
    twin.hooks().set_fault(Fault::None);
    twin.hooks().release().await;
    let heard = heard.lock().unwrap();
    let notes: Vec<Value> =
        heard.iter().map(|it| serde_json::from_str::<Value>(&it.body).unwrap()["note"].clone()).collect();
    assert_eq!(json!(notes), json!(["2", "2", "4", "3"]));
    assert_eq!(heard[0].header("x-shopify-event-id"), heard[1].header("x-shopify-event-id"));
}
