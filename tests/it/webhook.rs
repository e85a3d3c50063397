//! The generic webhook, end to end: an event in makes a customer, a change elsewhere goes out as an event that the
//! published Standard Webhooks libraries accept, byte for byte, and what comes back of it changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::secrets::Secret;
use huiliu_core::store::{Store, inbox};
use huiliu_rest::sign;
use huiliu_tests::memory::Memory;
use huiliu_tests::receiver::{Call, Receiver};
use huiliu_tests::{judge, kit};
use serde_json::{Value, json};

use crate::flow::{Hub, on_both_stores, shipped};

const INCOMING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNING: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

struct Program {
    receiver: Receiver,
    crm: Arc<Memory>,
    hub: Hub,
    address: String,
}

async fn program(store: Store) -> Program {
    let clock = Clock::System;
    let receiver = Receiver::start().await;
    let secrets = [("webhook", INCOMING), ("signing", SIGNING)];
    let mut program = shipped("program", "webhook", &[("url", receiver.url())], &secrets, &clock);
    program.creates.insert("customers".to_owned());
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock, [program, other]).await;
    let address = hub.listen().await;
    Program { receiver, crm, hub, address }
}

impl Program {
    /// The program tells an event, and is answered.
    #[allow(clippy::disallowed_methods)] // Loopback, and the hub's answers are small.
    async fn tell(&self, id: &str, event: &Value) -> u16 {
        let (body, seconds) = (event.to_string(), Clock::System.now().as_second());
        let signature =
            sign::standard_webhook(&Secret::new(INCOMING), id, seconds, body.as_bytes()).expect("a signature");
        let request = reqwest::Client::new().post(format!("{}/hooks/program", self.address)).body(body);
        let request = request.header("webhook-id", id).header("webhook-timestamp", seconds.to_string());
        let reply = request.header("webhook-signature", signature).header("content-type", "application/json");
        reply.send().await.expect("an answer").status().as_u16()
    }

    async fn settle(&self) {
        assert_eq!(self.hub.settle(true).await, Vec::<String>::new());
        assert_eq!(self.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    }
}

fn event(kind: &str, data: &Value) -> Value {
    json!({ "type": kind, "data": data })
}

#[test]
fn events_come_in_and_go_out_and_echoes_die() {
    on_both_stores(async |store| {
        let it = program(store).await;
        let known = json!({ "id": "c-1", "updated_at": "2026-03-01T02:03:04Z", "kind": "person", "display_name": "周晓明",
            "emails": { "main": "zhou@example.com" } });
        for _ in 0..2 {
            assert_eq!(it.tell("msg_1", &event("customer.created", &known)).await, 200);
        }
        it.settle().await;
        assert_eq!(it.crm.get("made1")["email"], "zhou@example.com");
        assert_eq!(it.receiver.calls().len(), 0, "what the program said is not told back to it");

        // A change elsewhere goes out, under the id that the program gave.
        it.crm.edit("made1", &json!({ "title": "采购经理" }));
        it.settle().await;
        let calls = it.receiver.calls();
        let expected = json!({ "type": "customer.updated", "id": "c-1", "data": { "title": "采购经理" } });
        assert_eq!(calls.iter().map(Call::event).collect::<Vec<_>>(), [expected]);

        // A customer made elsewhere: tried again after a failure, told under one id, which names it from then on.
        it.receiver.answer(500);
        it.crm.edit("c2", &json!({ "name": "韩梅梅", "email": "han@example.com" }));
        it.settle().await;
        let made = it.receiver.calls().split_off(1);
        let ids: BTreeSet<&str> = made.iter().map(|call| call.header("webhook-id")).collect();
        assert_eq!((made.len(), ids.len()), (2, 1), "a retry keeps its id");
        let id = made[0].header("webhook-id").to_owned();
        assert_eq!(
            (made[1].event()["type"].as_str(), made[1].event()["id"].as_str()),
            (Some("customer.created"), Some(&*id))
        );
        it.crm.edit("c2", &json!({ "title": "店长" }));
        it.settle().await;
        let told = it.receiver.calls().pop().expect("an event").event();
        assert_eq!(told, json!({ "type": "customer.updated", "id": id, "data": { "title": "店长" } }));

        // The program tells what it holds now: nothing new.
        let (writes, calls) = (it.crm.writes(), it.receiver.calls().len());
        let held =
            json!({ "id": id, "display_name": "韩梅梅", "emails": { "main": "han@example.com" }, "title": "店长" });
        assert_eq!(it.tell("msg_9", &event("customer.updated", &held)).await, 200);
        it.settle().await;
        assert_eq!((it.crm.writes(), it.receiver.calls().len()), (writes, calls), "an echo changes nothing");
    });
}

const PYTHON: &str = r#"
import json, sys
from standardwebhooks import Webhook
ask = json.load(sys.stdin)
def fits(call):
    try:
        Webhook(ask["secret"]).verify(bytes(call["body"]), call["headers"])
        return True
    except Exception:
        return False
print(json.dumps([fits(call) for call in ask["calls"]]))
"#;

const NODE: &str = r#"
const { Webhook } = require("standardwebhooks");
const ask = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const fits = (call) => {
  try {
    new Webhook(ask.secret).verify(Buffer.from(call.body).toString("utf8"), call.headers);
    return true;
  } catch { return false; }
};
console.log(JSON.stringify(ask.calls.map(fits)));
"#;

#[test]
fn published_libraries_accept_our_events_and_no_changed_byte() {
    on_both_stores(async |store| {
        if store.kind() != "sqlite" {
            return; // The store has no part in it.
        }
        let it = program(store).await;
        it.crm.edit("c1", &json!({ "name": "李雷", "email": "li.lei@example.com", "tags": ["展会"] }));
        it.settle().await;
        it.crm.edit("c1", &json!({ "title": "店长" }));
        it.settle().await;
        let genuine = it.receiver.calls();
        assert_eq!(genuine.len(), 2);
        let as_json = |call: &Call| {
            let headers =
                ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name, call.header(name)));
            json!({ "headers": std::collections::BTreeMap::from(headers), "body": call.body.to_vec() })
        };
        let mut calls: Vec<Value> = genuine.iter().map(as_json).collect();
        // Each byte of the body changed by one bit, and each signed header by one character.
        for at in 0..genuine[0].body.len() {
            let mut changed = as_json(&genuine[0]);
            changed["body"][at] = json!(genuine[0].body[at] ^ 1);
            calls.push(changed);
        }
        for (name, value) in
            [("webhook-id", "other"), ("webhook-timestamp", "1614265330"), ("webhook-signature", "v1,AAAA")]
        {
            let mut changed = as_json(&genuine[0]);
            changed["headers"][name] = json!(value);
            calls.push(changed);
        }
        let expected: Vec<bool> = (0..calls.len()).map(|at| at < genuine.len()).collect();
        let ask = |secret: &str| json!({ "secret": secret, "calls": calls });
        for told in [judge::python(PYTHON, &ask(SIGNING)), judge::node(NODE, &ask(SIGNING))] {
            assert_eq!(told, json!(expected));
        }
        let nobody = json!(vec![false; calls.len()]);
        assert_eq!(judge::python(PYTHON, &ask(INCOMING)), nobody, "another key proves nothing");
        assert_eq!(judge::node(NODE, &ask(INCOMING)), nobody);
    });
}
