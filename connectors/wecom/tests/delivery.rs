//! Callbacks over the wire: what staff do is told, what the API does is not.

mod kit;

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::Uri;
use huiliu_core::connector::{Connector as _, Cx, Delivery, Opened, Operation, RawRequest, Received, Verified};
use huiliu_twins::hooks::Fault;
use huiliu_twins::wecom::{AGENT_ID, Customer};
use serde_json::json;

use kit::{connector, twin};

type Calls = Arc<Mutex<Vec<RawRequest>>>;

/// Keeps every call that arrives; answers its address too.
async fn receiver() -> (Calls, String) {
    async fn keep(State(calls): State<Calls>, target: Uri, body: Bytes) {
        let call = RawRequest { method: "POST".to_owned(), target: target.to_string(), headers: Vec::new(), body };
        calls.lock().expect("no panic elsewhere").push(call);
    }
    let calls = Calls::default();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free loopback port");
    let url = format!("http://{}/hooks/wecom", listener.local_addr().expect("an address"));
    let routes = axum::Router::new().route("/hooks/wecom", axum::routing::post(keep)).with_state(Arc::clone(&calls));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (calls, url)
}

/// What the kept calls say, with the key of each; the calls are forgotten.
fn told(cx: &Cx, calls: &Calls) -> Vec<(String, String)> {
    let kept = std::mem::take(&mut *calls.lock().expect("no panic elsewhere"));
    let mut told = Vec::new();
    for request in kept {
        let Opened::Message { body, dedupe, .. } = connector().open(cx, &request).expect("a genuine call") else {
            panic!("an event is no handshake");
        };
        let verified = Verified { request: RawRequest { body, ..request } };
        for received in connector().receive(cx, &verified).expect("a readable event") {
            let what = match received {
                Received::Hint { stream, id } => format!("hint {stream}/{id}"),
                Received::Deleted { stream, id, .. } => format!("deleted {stream}/{id}"),
                other => format!("{other:?}"),
            };
            told.push((what, dedupe.clone()));
        }
    }
    told
}

#[tokio::test]
async fn staff_are_heard_and_our_own_writes_are_not() {
    let (twin, cx) = twin().await;
    let (calls, url) = receiver().await;
    twin.set_callback(&url);
    let external = twin.add_contact("ann", Customer::named("李雷")).await;
    let id = format!("ann:{external}");
    let hint = format!("hint contacts/{id}");
    twin.edit_remark("ann", &external, "李雷-上海").await;
    let heard = told(&cx, &calls);
    assert_eq!(heard.iter().map(|(what, _)| what.clone()).collect::<Vec<_>>(), [hint.clone(), hint.clone()]);
    twin.edit_mobiles("ann", &external, &["13800138000"]);
    twin.rename_customer(&external, "李蕾");
    let delivery = Delivery {
        number: 1,
        operation: Operation::Update,
        stream: "contacts".into(),
        id: Some(id.as_str().into()),
        body: json!({"follow_info": {"description": "我们写的"}}),
        base: json!({}),
        base_version: None,
        idempotency_key: "0".repeat(32),
        attempt: 1,
    };
    connector().push(&cx, &delivery).await.expect("written");
    assert_eq!(told(&cx, &calls), [], "neither mobiles, names nor the API are told");
    assert_eq!(twin.writes()[&id], 1);
    twin.hooks.set_fault(Fault::Repeat);
    twin.edit_company("ann", &external, "星河").await;
    let heard = told(&cx, &calls);
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[0], heard[1], "a repeat has the key of the first");
    twin.hooks.set_fault(Fault::Drop);
    twin.delete_contact("ann", &external).await;
    assert_eq!(told(&cx, &calls), []);
    assert_eq!(twin.snapshot(), json!({}));
}

#[tokio::test]
async fn members_are_told_once_and_who_cannot_hear_is_counted() {
    let (twin, bare) = twin().await;
    twin.add_member("lin");
    let notice = |to: serde_json::Value, text: &str, attempt: u32| Delivery {
        number: 1,
        operation: Operation::Create,
        stream: "notices".into(),
        id: None,
        body: json!({ "kind": "message", "direction": "out", "text": text, "to": to, "reference": "#1" }),
        base: serde_json::Value::Null,
        base_version: None,
        idempotency_key: "0123456789abcdef0123456789abcdef".to_owned(),
        attempt,
    };
    let error = connector().push(&bare, &notice(json!(["lin"]), "a", 1)).await.expect_err("no AgentId is set");
    assert!(error.to_string().contains("config.agent_id"), "{error}");
    let cx = kit::with_setting(&bare, "agent_id", &AGENT_ID.to_string());
    twin.lose_reply("message/send");
    let lost = connector().push(&cx, &notice(json!(["lin"]), "a", 1)).await.expect_err("its answer is lost");
    assert_eq!(lost.kind(), "transient");
    connector().push(&cx, &notice(json!(["lin"]), "a", 2)).await.expect("it is asked again");
    assert_eq!(twin.messages(), [("lin".to_owned(), "a\n#1".to_owned())]);

    let error = connector().push(&cx, &notice(json!(["lin", "nobody"]), "b", 1)).await.expect_err("one is missing");
    assert_eq!(error.kind(), "rejected");
    assert!(error.to_string().starts_with("1 of the members") && !error.to_string().contains("nobody"), "{error}");
    assert_eq!(twin.messages().len(), 2, "the others were told");
    for to in [json!(["nobody"]), json!(["@all"]), json!([])] {
        let error = connector().push(&cx, &notice(to, "c", 1)).await.expect_err("nobody hears it");
        assert_eq!(error.kind(), "rejected", "{error}");
    }
    let other = kit::with_setting(&bare, "agent_id", "7");
    let error = connector().push(&other, &notice(json!(["lin"]), "d", 1)).await.expect_err("another app");
    assert!(error.to_string().contains("is not the AgentId of this app"), "{error}");
}
