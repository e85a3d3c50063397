//! The manifest, driven by the REST engine against the twin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{
    Connector as _, ConnectorError, Cursor, Cx, Delivery, Network, Operation, RawRequest, Received, Record, RecordKey,
    Verified,
};
use huiliu_core::quota::Quota;
use huiliu_core::secrets::Secret;
use huiliu_rest::connector::RestConnector;
use huiliu_twins::shopify::{Fault, ShopifyTwin};
use serde_json::{Value, json};

use crate::kit::{NOW, manifest, node, twin};
use crate::told::{Call, listen};

struct Kit {
    twin: ShopifyTwin,
    shopify: RestConnector,
    cx: Cx,
}

async fn kit() -> Kit {
    let twin = twin().await;
    twin.record_exchanges();
    let settings: BTreeMap<String, String> =
        twin.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let secrets = twin.secrets().into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
    let cx = Cx {
        settings: Arc::new(settings),
        secrets: Arc::new(secrets),
        ..Cx::bare("shop", Clock::manual(NOW * 1_000_000), Network::Private)
    };
    Kit { twin, shopify: RestConnector::new(manifest()).unwrap(), cx }
}

impl Kit {
    /// Pulls until nothing more is waiting: the ids in order, the pages and the last cursor.
    async fn pull_all(&self, stream: &str, mut from: Option<Cursor>) -> (Vec<String>, usize, Option<Cursor>) {
        let (mut ids, mut pages) = (Vec::new(), 0);
        loop {
            // The bucket fills by the shop's clock, which stands still here; one test below runs out of points.
            self.twin.set_points(2_000);
            let page = self.shopify.pull(&self.cx, &stream.into(), from.as_ref()).await.unwrap();
            pages += 1;
            ids.extend(page.items.iter().map(|item| match item {
                Received::Record(record) => record.id.to_string(),
                other => panic!("a record, not {other:?}"),
            }));
            from = page.next.or(from);
            if !page.more {
                return (ids, pages, from);
            }
        }
    }

    async fn fetch(&self, stream: &str, id: &str) -> Option<Record> {
        let key = RecordKey { connection: "shop".into(), stream: stream.into(), id: id.into() };
        self.shopify.fetch(&self.cx, &key).await.unwrap()
    }

    /// Every call that the engine made, and every reply, against the vendor's schema.
    fn schema_mistakes(&self) -> Value {
        let calls: Vec<Value> = self
            .twin
            .exchanges()
            .iter()
            .filter(|(_, reply)| reply.get("data").is_some())
            .map(|(asked, reply)| {
                let name = asked["query"].as_str().unwrap().split(['(', '{']).next().unwrap().trim();
                json!({ "name": name, "document": asked["query"], "variables": asked["variables"], "reply": reply })
            })
            .collect();
        assert!(!calls.is_empty());
        let input = json!({ "version": huiliu_twins::shopify::API_VERSION, "calls": calls });
        node("validate.mjs", "@shopify/dev-mcp", &input)
    }
}

fn delivery(operation: Operation, id: Option<&str>, body: Value, attempt: u32) -> Delivery {
    Delivery {
        number: 1,
        operation,
        stream: "customers".into(),
        id: id.map(Into::into),
        body,
        base: Value::Null,
        base_version: None,
        idempotency_key: "0123456789abcdef0123456789abcdef".to_owned(),
        attempt,
    }
}

fn named(number: usize) -> Value {
    json!({ "firstName": format!("Buyer {number}"), "email": format!("buyer{number}@example.com") })
}

#[tokio::test]
async fn credentials_are_told_apart() {
    let kit = kit().await;
    kit.shopify.check(&kit.cx).await.unwrap();
    let wrong =
        Cx { secrets: Arc::new([("access_token".to_owned(), Secret::new("shpat_no"))].into()), ..kit.cx.clone() };
    let error = kit.shopify.check(&wrong).await.unwrap_err();
    assert_eq!(error.kind(), "unauthorized");
    assert!(!error.to_string().contains("shpat_no"));
}

#[tokio::test]
async fn every_page_is_read_and_resuming_from_any_cursor_gives_the_rest() {
    let kit = kit().await;
    let made: Vec<String> = (0..205).map(|number| kit.twin.put_customer(&named(number)).unwrap()).collect();
    let (ids, pages, _) = kit.pull_all("customers", None).await;
    assert_eq!((ids.len(), pages), (205, 3));
    assert_eq!(ids, made);
    let mut from = None;
    for seen in [100, 200] {
        from = kit.shopify.pull(&kit.cx, &"customers".into(), from.as_ref()).await.unwrap().next;
        assert_eq!(kit.pull_all("customers", from.clone()).await.0, made[seen..], "from the cursor after {seen}");
    }
    for _ in 0..20 {
        kit.twin.place_order(&json!({ "email": "guest@example.com" })).await.unwrap();
    }
    let (orders, pages, _) = kit.pull_all("orders", None).await;
    assert_eq!((orders.len(), pages), (20, 3));
    assert_eq!(kit.schema_mistakes(), json!([]));
}

#[tokio::test]
async fn a_later_pull_brings_what_changed_and_what_the_index_was_late_with() {
    let kit = kit().await;
    let old = kit.twin.put_customer(&named(1)).unwrap();
    kit.twin.set_now_s(Some(NOW + 3_600));
    kit.twin.set_index_held(true);
    let late = kit.twin.put_customer(&named(2)).unwrap();
    kit.twin.set_index_held(false);
    kit.twin.set_now_s(Some(NOW + 3_660));
    let last = kit.twin.put_customer(&named(3)).unwrap();
    let (ids, _, cursor) = kit.pull_all("customers", None).await;
    assert_eq!(ids, [old.clone(), late.clone(), last.clone()]);
    kit.cx.clock.advance_us(3_700 * 1_000_000);
    kit.twin.set_now_s(Some(NOW + 3_700));
    kit.twin.edit_customer(&old, &json!({ "note": "new" })).await.unwrap();
    let (ids, _, cursor) = kit.pull_all("customers", cursor).await;
    assert!(ids.contains(&old), "{ids:?}");
    // Nothing new: what lies in the look-back may come again, and nothing else.
    kit.cx.clock.advance_us(7_200 * 1_000_000);
    let (again, _, _) = kit.pull_all("customers", cursor).await;
    assert!(again.iter().all(|id| [&old, &late, &last].contains(&id)), "{again:?}");
    let queries: Vec<String> = kit
        .twin
        .exchanges()
        .iter()
        .filter_map(|(asked, _)| Some(asked["variables"]["query"].as_str()?.to_owned()))
        .collect();
    assert_eq!(queries.len(), 2, "the first pull is a full one: {queries:?}");
    assert!(queries[0].starts_with("updated_at:>='2026-01-02T") && queries[0].ends_with("Z'"), "{}", queries[0]);
    assert_eq!(kit.schema_mistakes(), json!([]));
}

#[tokio::test]
async fn a_record_is_fetched_as_it_is_pulled() {
    let kit = kit().await;
    let id = kit.twin.put_customer(&named(1)).unwrap();
    let order =
        kit.twin.place_order(&json!({ "customer": id, "lines": [{ "name": "茶", "price": "9.90" }] })).await.unwrap();
    for (stream, id) in [("customers", &id), ("orders", &order)] {
        let page = kit.shopify.pull(&kit.cx, &stream.into(), None).await.unwrap();
        let fetched = kit.fetch(stream, id).await.unwrap();
        assert_eq!(page.items, [Received::Record(fetched.clone())]);
        let version = fetched.version.unwrap();
        assert_eq!((version.order, version.is_instant), (Some(NOW * 1_000_000), true));
    }
    assert_eq!(kit.fetch("customers", "gid://shopify/Customer/1").await, None);
    assert_eq!(kit.schema_mistakes(), json!([]));
}

#[tokio::test]
async fn a_create_that_is_tried_again_makes_one_customer() {
    let kit = kit().await;
    let body = json!({ "firstName": "雷", "lastName": "李", "email": "li.lei@example.com", "phone": "+8613800138000", "tags": ["b", "a"] });
    kit.twin.fault(Fault::CutAfter);
    let lost = kit.shopify.push(&kit.cx, &delivery(Operation::Create, None, body.clone(), 1)).await.unwrap_err();
    assert_eq!(lost.kind(), "transient");
    let receipt = kit.shopify.push(&kit.cx, &delivery(Operation::Create, None, body.clone(), 2)).await.unwrap();
    let again = kit.shopify.push(&kit.cx, &delivery(Operation::Create, None, body, 3)).await.unwrap();
    assert_eq!(receipt.id, again.id);
    let customers = kit.twin.snapshot()["customers"].as_object().unwrap().clone();
    assert_eq!(customers.keys().collect::<Vec<_>>(), [receipt.id.as_str()]);
    let stored = receipt.stored.unwrap();
    assert_eq!(stored.body["tags"], json!(["a", "b"]), "what the shop stored");
    // Without an e-mail address a repeat is refused, not doubled.
    let phone = json!({ "firstName": "P", "phone": "+8613900139000" });
    kit.shopify.push(&kit.cx, &delivery(Operation::Create, None, phone.clone(), 1)).await.unwrap();
    let refused = kit.shopify.push(&kit.cx, &delivery(Operation::Create, None, phone, 2)).await.unwrap_err();
    assert_eq!(refused.kind(), "rejected");
    assert_eq!(kit.schema_mistakes(), json!([]));
}

#[tokio::test]
async fn an_update_writes_what_it_names_and_a_newer_edit_stops_it() {
    let kit = kit().await;
    let id = kit.twin.put_customer(&named(1)).unwrap();
    let known = kit.fetch("customers", &id).await.unwrap();
    kit.twin.set_now_s(Some(NOW + 60));
    let update = |body: Value, base: Value, version: &Record| Delivery {
        base,
        base_version: version.version.clone(),
        ..delivery(Operation::Update, Some(&id), body, 1)
    };
    let write = update(json!({ "note": "ours", "email": "Other@Example.com" }), json!({ "note": null }), &known);
    let receipt = kit.shopify.push(&kit.cx, &write).await.unwrap();
    let stored = receipt.stored.unwrap();
    assert_eq!(stored.body["note"], "ours");
    assert_eq!(stored.body["firstName"], "Buyer 1");
    assert_eq!(stored.body["defaultEmailAddress"]["emailAddress"], "other@example.com");
    assert_eq!(kit.twin.writes()[&id], 1);
    kit.twin.set_now_s(Some(NOW + 120));
    kit.twin.edit_customer(&id, &json!({ "note": "a person's" })).await.unwrap();
    let late = update(json!({ "note": "late" }), json!({ "note": "ours" }), &stored);
    assert_eq!(kit.shopify.push(&kit.cx, &late).await.unwrap_err().kind(), "conflict");
    assert_eq!(kit.twin.snapshot()["customers"][&id]["note"], "a person's");
    assert_eq!(kit.twin.writes()[&id], 1);
    assert_eq!(kit.schema_mistakes(), json!([]));
}

#[tokio::test]
async fn refusals_become_the_right_kind() {
    let kit = kit().await;
    let id = kit.twin.put_customer(&named(1)).unwrap();
    kit.twin.put_customer(&named(2)).unwrap();
    let version = kit.fetch("customers", &id).await.unwrap().version;
    let push = async |id: &str, body: Value| {
        let update = Delivery { base_version: version.clone(), ..delivery(Operation::Update, Some(id), body, 1) };
        kit.shopify.push(&kit.cx, &update).await.unwrap_err()
    };
    for email in ["nonsense", "buyer2@example.com"] {
        let ConnectorError::Rejected { at, reason } = push(&id, json!({ "email": email })).await else {
            panic!("rejected: {email}")
        };
        assert!(at.contains("email"), "{at}");
        assert!(!reason.contains(email), "no personal value in an error: {reason}");
    }
    assert_eq!(push("gid://shopify/Customer/1", json!({ "note": "x" })).await.kind(), "gone");
    for (fault, kind) in [
        (Fault::Status(500), "transient"),
        (Fault::Status(502), "transient"),
        (Fault::Status(402), "unauthorized"),
        (Fault::Status(423), "unauthorized"),
        (Fault::Status(404), "broken"),
        (Fault::Status(429), "rate_limited"),
        (Fault::Code("INTERNAL_SERVER_ERROR".to_owned()), "transient"),
        (Fault::Code("ACCESS_DENIED".to_owned()), "unauthorized"),
        (Fault::Code("undefinedField".to_owned()), "broken"),
        (Fault::CutAfter, "transient"),
    ] {
        kit.twin.fault(fault.clone());
        let error = kit.shopify.pull(&kit.cx, &"customers".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_throttled_call_waits_until_the_points_are_back() {
    let kit = kit().await;
    kit.twin.put_customer(&named(1)).unwrap();
    kit.twin.set_points(452);
    let requested = {
        let error = kit.shopify.pull(&kit.cx, &"customers".into(), None).await.unwrap_err();
        let cost = kit.twin.exchanges()[0].1["extensions"]["cost"]["requestedQueryCost"].as_u64().unwrap();
        let wait = Duration::from_millis((cost - 452) * 10);
        assert!(
            matches!(&error, ConnectorError::RateLimited { after: Some(after), .. } if *after == wait),
            "{error:?}"
        );
        cost
    };
    assert!(requested > 452);
    kit.twin.set_now_s(Some(NOW + 1));
    let rested = Cx { quota: Arc::new(Quota::unlimited()), ..kit.cx.clone() };
    assert_eq!(kit.shopify.pull(&rested, &"customers".into(), None).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn webhooks_become_hints_and_deletions() {
    let kit = kit().await;
    let heard = listen(&kit.twin).await;
    let id = kit.twin.add_customer(&named(1)).await.unwrap();
    let order = kit.twin.place_order(&json!({ "customer": id })).await.unwrap();
    kit.twin.delete_order(&order).await;
    kit.twin.delete_customer(&id).await.unwrap();
    let receive = |call: &Call| {
        let request = RawRequest {
            method: "POST".to_owned(),
            target: "/hooks/shop".to_owned(),
            headers: call.headers.clone(),
            body: call.body.clone().into(),
        };
        kit.shopify.receive(&kit.cx, &Verified { request }).unwrap()
    };
    let heard = heard.lock().unwrap().clone();
    for call in &heard {
        let topic = call.header("x-shopify-topic");
        let (stream, gid) = if topic.starts_with("customers/") { ("customers", &id) } else { ("orders", &order) };
        let received = receive(call);
        let [one] = received.as_slice() else { panic!("{topic}: {received:?}") };
        match one {
            Received::Hint { stream: found, id } if !topic.ends_with("/delete") => {
                assert_eq!((found.as_str(), id.as_str()), (stream, gid.as_str()), "{topic}");
            }
            Received::Deleted { stream: found, id, .. } if topic.ends_with("/delete") => {
                assert_eq!((found.as_str(), id.as_str()), (stream, gid.as_str()), "{topic}");
            }
            other => panic!("{topic}: {other:?}"),
        }
    }
    assert_eq!(heard.len(), 7);
    let mut privacy = heard[0].clone();
    for (name, value) in &mut privacy.headers {
        if name == "x-shopify-topic" {
            *value = "customers/redact".to_owned();
        }
    }
    assert_eq!(receive(&privacy), [], "answered and kept out");
}
