//! What the API answers.

use huiliu_twins::shopify::{Fault, ShopifyTwin};
use serde_json::{Value, json};

use crate::kit::{NOW, ask, document, post, twin};

/// All ids of a stream, page by page, and how many pages it took.
async fn ids(twin: &ShopifyTwin, stream: &str, first: u64, query: Option<&str>) -> (Vec<String>, usize) {
    let (mut ids, mut after, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let variables = json!({ "first": first, "after": after, "query": query });
        let reply = ask(twin, &format!("{stream}.pull"), variables).await;
        let page = &reply["data"][stream];
        ids.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()));
        pages += 1;
        if page["pageInfo"]["hasNextPage"] == false {
            return (ids, pages);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

async fn set(twin: &ShopifyTwin, identifier: Value, input: Value) -> Value {
    let reply = ask(twin, "customers.update", json!({ "identifier": identifier, "input": input })).await;
    reply["data"]["customerSet"].clone()
}

fn named(number: usize) -> Value {
    json!({ "firstName": format!("Buyer {number}"), "email": format!("buyer{number}@example.com") })
}

#[tokio::test]
async fn pages_end_and_hold_everyone_once_even_under_one_stamp() {
    let twin = twin().await;
    let made: Vec<String> = (0..7).map(|number| twin.put_customer(&named(number)).unwrap()).collect();
    assert_eq!(ids(&twin, "customers", 3, None).await, (made.clone(), 3));
    assert_eq!(ids(&twin, "customers", 7, None).await, (made.clone(), 1));
    twin.set_now_s(Some(NOW + 60));
    twin.edit_customer(&made[2], &json!({ "note": "later" })).await.unwrap();
    let since = |at: &str| format!("updated_at:>='{at}'");
    assert_eq!(ids(&twin, "customers", 3, Some(&since("2026-01-02T03:04:06Z"))).await.0, [made[2].clone()]);
    // The index knows whole seconds only.
    assert_eq!(ids(&twin, "customers", 9, Some(&since("2026-01-02T03:04:05.9Z"))).await.0.len(), 7);
    assert_eq!(ids(&twin, "customers", 9, Some(&since("2026-01-02T04:00:00Z"))).await.0.len(), 0);
}

#[tokio::test]
async fn a_late_index_hides_what_is_there() {
    let twin = twin().await;
    twin.set_index_held(true);
    let id = twin.put_customer(&named(1)).unwrap();
    let since = "updated_at:>='2026-01-01T00:00:00Z'";
    assert_eq!(ids(&twin, "customers", 9, Some(since)).await.0.len(), 0);
    assert_eq!(ask(&twin, "customers.fetch", json!({ "id": id })).await["data"]["customer"]["id"], id);
    twin.set_index_held(false);
    assert_eq!(ids(&twin, "customers", 9, Some(since)).await.0, [id]);
}

#[tokio::test]
async fn values_are_kept_in_the_shops_own_form() {
    let twin = twin().await;
    let id = twin.put_customer(&json!({ "lastName": "李" })).unwrap();
    let input = json!({ "firstName": " 雷 ", "email": " Li.Lei@Example.com ", "phone": "138 0013 8000",
        "tags": ["vip", " 上海", "VIP", "b, a"], "note": "" });
    let payload = set(&twin, json!({ "id": id }), input.clone()).await;
    assert_eq!(payload["userErrors"], json!([]));
    let customer = &payload["customer"];
    assert_eq!(customer["firstName"], "雷");
    assert_eq!(customer["note"], Value::Null);
    assert_eq!(customer["defaultEmailAddress"]["emailAddress"], "li.lei@example.com");
    assert_eq!(customer["defaultPhoneNumber"]["phoneNumber"], "+8613800138000");
    assert_eq!(customer["tags"], json!(["a", "b", "vip", "上海"]));
    assert_eq!(twin.snapshot()["customers"][&id]["tags"], customer["tags"]);
    // The same again changes nothing, and what is not mentioned stays.
    twin.set_now_s(Some(NOW + 60));
    assert_eq!(set(&twin, json!({ "id": id }), input).await["customer"]["updatedAt"], "2026-01-02T03:04:05Z");
    let renamed = set(&twin, json!({ "id": id }), json!({ "firstName": "蕾", "phone": null })).await;
    assert_eq!(renamed["customer"]["updatedAt"], "2026-01-02T03:05:05Z");
    assert_eq!(renamed["customer"]["lastName"], "李");
    assert_eq!(renamed["customer"]["defaultPhoneNumber"], Value::Null);
    assert_eq!(twin.writes()[&id], 3);
}

#[tokio::test]
async fn a_create_by_email_is_repeatable() {
    let twin = twin().await;
    let create =
        json!({ "identifier": { "email": "a@example.com" }, "input": { "email": "a@example.com", "firstName": "A" } });
    let first = ask(&twin, "customers.create", create.clone()).await;
    let second = ask(&twin, "customers.create", create).await;
    assert_eq!(first["data"]["customerSet"]["customer"]["id"], second["data"]["customerSet"]["customer"]["id"]);
    assert_eq!(twin.snapshot()["customers"].as_object().unwrap().len(), 1);
    // Without an identifier the second one is refused.
    let input = json!({ "input": { "phone": "13900139000" } });
    assert_eq!(ask(&twin, "customers.create", input.clone()).await["data"]["customerSet"]["userErrors"], json!([]));
    let again = ask(&twin, "customers.create", input).await;
    assert_eq!(again["data"]["customerSet"]["userErrors"][0]["code"], "TAKEN");
}

#[tokio::test]
async fn refusals_of_values_are_user_errors() {
    let twin = twin().await;
    let id = twin.put_customer(&named(1)).unwrap();
    twin.put_customer(&json!({ "email": "taken@example.com", "phone": "13800138000" })).unwrap();
    let long = "x".repeat(256);
    let this = json!({ "id": id });
    for (identifier, input, field, code) in [
        (&this, json!({ "email": "no" }), json!(["input", "email"]), "INVALID"),
        (&this, json!({ "email": "Taken@example.com" }), json!(["input", "email"]), "TAKEN"),
        (&this, json!({ "phone": "12" }), json!(["input", "phone"]), "INVALID"),
        (&this, json!({ "phone": "+86 138-0013-8000" }), json!(["input", "phone"]), "TAKEN"),
        (&this, json!({ "tags": [long] }), json!(["input", "tags"]), "TOO_LONG"),
        (&json!({ "id": "gid://shopify/Customer/1" }), json!({}), json!(["identifier"]), "NOT_FOUND"),
        (&json!({ "email": "x@example.com" }), json!({}), json!(["input"]), "MISSING_FIELD_REQUIRED"),
        (&json!({ "email": "x@example.com" }), json!({ "email": "y@example.com" }), json!(["input"]), "INPUT_MISMATCH"),
        (&Value::Null, json!({ "note": "nobody" }), json!(["input"]), "INVALID"),
    ] {
        let before = twin.snapshot();
        let payload = set(&twin, identifier.clone(), input.clone()).await;
        assert_eq!(payload["customer"], Value::Null, "{input}");
        assert_eq!(payload["userErrors"][0]["field"], field, "{input}");
        assert_eq!(payload["userErrors"][0]["code"], code, "{input}");
        assert_eq!(twin.snapshot(), before, "{input}");
    }
    assert!(twin.writes().is_empty());
}

#[tokio::test]
async fn points_run_out_and_flow_back() {
    let twin = twin().await;
    for number in 0..5 {
        twin.put_customer(&named(number)).unwrap();
    }
    twin.set_points(252);
    let page = json!({ "first": 100, "after": null, "query": null });
    let refused = ask(&twin, "customers.pull", page.clone()).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "THROTTLED");
    assert!(refused.get("data").is_none());
    let cost = &refused["extensions"]["cost"];
    assert_eq!(cost["requestedQueryCost"], 502);
    assert_eq!(cost["actualQueryCost"], Value::Null);
    let status = cost["throttleStatus"].to_string();
    assert_eq!(status, r#"{"currentlyAvailable":252,"maximumAvailable":2000.0,"restoreRate":100.0}"#);
    // (502 - 252) / 100 seconds later there is enough, to the point.
    twin.set_now_s(Some(NOW + 2));
    assert!(ask(&twin, "customers.pull", page.clone()).await.get("data").is_none());
    twin.set_now_s(Some(NOW + 3));
    assert_eq!(ask(&twin, "customers.pull", page).await["data"]["customers"]["nodes"].as_array().unwrap().len(), 5);
    assert_eq!((twin.calls(), twin.throttled()), (3, 2));
}

#[tokio::test]
async fn no_call_of_the_manifest_is_too_dear() {
    let twin = twin().await;
    for stream in ["customers", "orders"] {
        let first = kit_first(stream);
        let reply =
            ask(&twin, &format!("{stream}.pull"), json!({ "first": first, "after": null, "query": null })).await;
        assert!(reply["errors"].is_null(), "{reply}");
        let dear = ask(&twin, &format!("{stream}.pull"), json!({ "first": 250, "after": null, "query": null })).await;
        assert_eq!(dear["errors"][0]["extensions"]["code"], "MAX_COST_EXCEEDED");
    }
}

/// The page size that the manifest asks for.
fn kit_first(stream: &str) -> Value {
    crate::kit::manifest().streams[stream].pull.clone().unwrap().body.unwrap()["first"].clone()
}

#[tokio::test]
async fn failures_come_as_the_vendor_sends_them() {
    let twin = twin().await;
    let body = json!({ "query": document("check") });
    let (status, reply) = post(&twin, "shpat_wrong", &body).await;
    assert_eq!(status, 401);
    assert!(reply["errors"].is_string());
    twin.fault(Fault::Status(502));
    twin.fault(Fault::Code("INTERNAL_SERVER_ERROR".to_owned()));
    assert_eq!(post(&twin, huiliu_twins::shopify::ACCESS_TOKEN, &body).await.0, 502);
    let (status, reply) = post(&twin, huiliu_twins::shopify::ACCESS_TOKEN, &body).await;
    assert_eq!((status, &reply["errors"][0]["extensions"]["code"]), (200, &json!("INTERNAL_SERVER_ERROR")));
    assert_eq!(ask(&twin, "check", json!({})).await["data"]["shop"]["id"], "gid://shopify/Shop/1");
}

#[tokio::test]
async fn orders_name_their_customer_or_a_guest() {
    let twin = twin().await;
    let buyer = twin.put_customer(&named(1)).unwrap();
    twin.set_now_s(Some(NOW + 60));
    let lines =
        json!([{ "sku": "A", "name": "茶", "quantity": 3, "price": "12.50" }, { "name": "B", "price": "0.49" }]);
    let known = twin.place_order(&json!({ "customer": buyer, "lines": lines })).await.unwrap();
    let guest = twin.place_order(&json!({ "email": "Guest@example.com", "phone": "13900139000" })).await.unwrap();
    assert_eq!(ids(&twin, "orders", 1, None).await, (vec![known.clone(), guest.clone()], 2));
    let order = ask(&twin, "orders.fetch", json!({ "id": known })).await["data"]["order"].clone();
    assert_eq!(order["customer"]["id"], buyer);
    assert_eq!(order["totalPriceSet"]["shopMoney"], json!({ "amount": "37.99", "currencyCode": "CNY" }));
    assert_eq!(order["lineItems"]["nodes"][0]["originalUnitPriceSet"]["shopMoney"]["amount"], "12.5");
    let order = ask(&twin, "orders.fetch", json!({ "id": guest })).await["data"]["order"].clone();
    assert_eq!((&order["customer"], &order["email"]), (&Value::Null, &json!("guest@example.com")));
    // An order moves its customer's stamp.
    assert_eq!(twin.snapshot()["customers"][&buyer]["updatedAt"], "2026-01-02T03:05:05Z");
    twin.delete_customer(&buyer).await.unwrap_err();
    assert!(twin.delete_order(&known).await);
    twin.delete_customer(&buyer).await.unwrap();
    let gone = ask(&twin, "customers.fetch", json!({ "id": buyer })).await;
    assert_eq!(gone["data"], json!({ "customer": null }));
}
