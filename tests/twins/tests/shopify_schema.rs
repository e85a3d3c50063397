//! The manifest's documents and the twin's replies against Shopify's own schema, which npm @shopify/dev-mcp ships. The
//! twin and the manifest cannot share a mistake that the schema knows better.

#[path = "shopify/kit.rs"]
mod kit;

use huiliu_twins::shopify::API_VERSION;
use serde_json::{Value, json};

use kit::{ask, documents, manifest, node, post, twin};

/// What is wrong with these calls, in sentences.
fn mistakes(calls: &[Value]) -> Vec<String> {
    let input = json!({ "version": API_VERSION, "calls": calls });
    let told = node("validate.mjs", "@shopify/dev-mcp", &input);
    told.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_twin_and_the_manifest_speak_one_version() {
    assert_eq!(manifest().connector.config["version"].default.as_deref(), Some(API_VERSION));
}

#[test]
fn every_document_is_valid_and_uses_nothing_deprecated() {
    let documents = documents();
    assert_eq!(documents.len(), 7, "check, and six calls of two streams");
    let calls = documents.iter().map(|(name, document)| json!({ "name": name, "document": document }));
    assert_eq!(mistakes(&calls.collect::<Vec<_>>()), Vec::<String>::new());
}

/// The check itself: what it must find, it finds.
#[test]
fn the_check_finds_mistakes() {
    let reply = json!({ "data": { "customer": { "id": 7, "updatedAt": null, "more": 1 } } });
    let set = "mutation s($identifier: CustomerSetIdentifiers, $input: CustomerSetInput!) { \
               customerSet(identifier: $identifier, input: $input) { userErrors { code } } }";
    let found = mistakes(&[
        json!({ "name": "a", "document": "{ customers(first: 1) { nodes { email } } }" }),
        json!({ "name": "b", "document": "{ customers(first: 1) { nodes { nickname } } }" }),
        json!({ "name": "c", "document": "query c($id: ID!) { customer(id: $id) { id updatedAt } }", "reply": reply }),
        json!({ "name": "d", "document": set, "variables": { "input": { "id": "gid://shopify/Customer/1" } } }),
        json!({ "name": "e", "document": set, "variables": { "input": {}, "identifier": { "email": null } } }),
        json!({ "name": "f", "document": set, "variables": { "input": { "nickname": "x" } } }),
    ]);
    let all = found.join("\n");
    for expected in [
        "a: 1:33: The field Customer.email is deprecated",
        "b: 1:33: Cannot query field \"nickname\"",
        "c: reply/customer/id: 7 is no ID",
        "c: reply/customer/updatedAt: null where the schema says DateTime!",
        "c: reply/customer/more: answered, but not asked for",
        "d: variables: input field CustomerSetInput.id is deprecated",
        "e: variables: Variable \"$identifier\" got invalid value null at \"identifier.email\"",
        "f: variables: Variable \"$input\" got invalid value",
    ] {
        assert!(all.contains(expected), "{expected}\nnot in\n{all}");
    }
}

#[tokio::test]
async fn the_twins_replies_fit_the_schema() {
    let twin = twin().await;
    twin.record_exchanges();
    let full = json!({ "firstName": "雷", "lastName": "李", "email": "Li.Lei@example.com", "phone": "138 0013 8000",
        "note": "老客户", "tags": ["vip", "上海"], "emailConsent": "SUBSCRIBED", "smsConsent": "PENDING",
        "address": { "address1": "文一路 1 号", "city": "杭州", "province": "浙江", "zip": "310000", "countryCodeV2": "CN" } });
    let id = twin.put_customer(&full).unwrap();
    twin.put_customer(&json!({ "lastName": "韩" })).unwrap();
    let lines =
        json!([{ "sku": "A-1", "name": "茶", "quantity": 2, "price": "12.50" }, { "name": "Gift", "price": "5" }]);
    let order =
        twin.place_order(&json!({ "customer": id, "email": "li.lei@example.com", "lines": lines })).await.unwrap();
    twin.place_order(&json!({ "email": "guest@example.com", "lines": lines })).await.unwrap();
    for stream in ["customers", "orders"] {
        let call = format!("{stream}.pull");
        let page = ask(&twin, &call, json!({ "first": 1 })).await;
        let after = &page["data"][stream]["pageInfo"]["endCursor"];
        let query = "updated_at:>='2026-01-01T00:00:00Z'";
        ask(&twin, &call, json!({ "first": 9, "after": after, "query": query })).await;
        ask(&twin, &call, json!({ "first": 9, "after": null, "query": "updated_at:>'2026-02-01T00:00:00Z'" })).await;
    }
    ask(&twin, "check", json!({})).await;
    ask(&twin, "customers.fetch", json!({ "id": id })).await;
    ask(&twin, "customers.fetch", json!({ "id": "gid://shopify/Customer/1" })).await;
    ask(&twin, "orders.fetch", json!({ "id": order })).await;
    let input = json!({ "email": "new@example.com", "firstName": "New", "tags": ["b", "a"] });
    let made = json!({ "identifier": { "email": "new@example.com" }, "input": input });
    ask(&twin, "customers.create", made).await;
    let identifier = json!({ "id": id });
    ask(&twin, "customers.update", json!({ "identifier": identifier, "input": { "note": null } })).await;
    ask(&twin, "customers.update", json!({ "identifier": identifier, "input": { "email": "no" } })).await;
    ask(&twin, "customers.update", json!({ "identifier": identifier, "input": { "email": "new@example.com" } })).await;
    let exchanges = twin.exchanges();
    assert_eq!(exchanges.len(), 14);
    let calls = exchanges.iter().enumerate().map(|(at, (asked, reply))| {
        json!({ "name": format!("call {at}"), "document": asked["query"], "variables": asked["variables"], "reply": reply })
    });
    assert_eq!(mistakes(&calls.collect::<Vec<_>>()), Vec::<String>::new());
}

/// What the schema refuses, the twin refuses too.
#[tokio::test]
async fn the_twin_refuses_what_the_schema_refuses() {
    let twin = twin().await;
    for (document, variables) in [
        ("{ customers(first: 1) { nodes { nickname } } }", json!({})),
        ("{ customers(first: 1) { nodes } }", json!({})),
        ("{ customers { nodes { id } } }", json!({})),
        ("query q($first: Int!) { customers(first: $first) { nodes { id } } }", json!({})),
        ("query q($first: Int!) { customers(first: $first) { nodes { id } } }", json!({ "first": "50" })),
        ("query q($first: Int!) { customers(first: $first) { nodes { id } } }", json!({ "first": 1, "size": 2 })),
        ("{ nobody { id } }", json!({})),
        ("{ customers(first: 1) { nodes { id } ", json!({})),
    ] {
        let body = json!({ "query": document, "variables": variables });
        let (status, reply) = post(&twin, huiliu_twins::shopify::ACCESS_TOKEN, &body).await;
        assert_eq!(status, 200);
        assert!(reply["errors"][0]["message"].is_string() && reply.get("data").is_none(), "{document}: {reply}");
    }
}
