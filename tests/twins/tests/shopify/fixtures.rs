//! Fixtures and mapping.

use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_mappings::value::Fields;
use serde_json::{Value, json};

use crate::kit::{NOW, ask, repo, twin};
use crate::told::listen;

fn lenses() -> Vec<Lens> {
    let file = "mappings/systems/shopify.toml";
    Lens::parse_file(file, &std::fs::read_to_string(repo(file)).unwrap(), &Model::shipped()).unwrap()
}

fn lens(name: &str) -> Lens {
    lenses().into_iter().find(|lens| lens.name() == name).unwrap()
}

fn read(name: &str) -> Value {
    let path = repo("connectors/shopify/fixtures").join(name);
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("fixtures/{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("fixtures/{name}: {error}"))
}

fn check(name: &str, found: &Value) {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        let path = repo("connectors/shopify/fixtures").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{found:#}\n")).unwrap();
    }
    assert_eq!(read(name), *found, "fixtures/{name} is not what is read; UPDATE_FIXTURES=1 writes it anew");
}

#[tokio::test]
async fn fixtures_are_what_is_read_and_told() {
    let twin = twin().await;
    let heard = listen(&twin).await;
    let full = json!({ "firstName": "梅梅", "lastName": "韩", "email": "han.meimei@example.com", "phone": "+8613800138000",
        "note": "展会认识", "tags": ["VIP", "上海"], "emailConsent": "SUBSCRIBED", "smsConsent": "UNSUBSCRIBED",
        "address": { "address1": "南京西路 1 号", "city": "上海", "province": "上海", "zip": "200000", "countryCodeV2": "CN" } });
    let meimei = twin.add_customer(&full).await.unwrap();
    let jim = twin.put_customer(&json!({ "firstName": "Jim" })).unwrap();
    let asked = json!({ "email": "lucy@example.com", "firstName": "Lucy", "emailConsent": "PENDING" });
    let lucy = twin.put_customer(&asked).unwrap();
    twin.set_now_s(Some(NOW + 60));
    let lines = json!([{ "sku": "TEA-1", "name": "龙井 250g", "quantity": 2, "price": "128.00" },
                       { "name": "礼盒", "quantity": 1, "price": "19.99" }]);
    let order = json!({ "customer": meimei, "email": "han.meimei@example.com", "note": "请尽快", "lines": lines });
    let known = twin.place_order(&order).await.unwrap();
    let guest = json!({ "email": "guest@example.com", "phone": "+8613900139000", "status": "PENDING", "lines": lines });
    let guest = twin.place_order(&guest).await.unwrap();
    for (stream, kind, name, id) in [
        ("customers", "customer", "full", &meimei),
        ("customers", "customer", "bare", &jim),
        ("customers", "customer", "email_only", &lucy),
        ("orders", "order", "of_customer", &known),
        ("orders", "order", "of_guest", &guest),
    ] {
        let reply = ask(&twin, &format!("{stream}.fetch"), json!({ "id": id })).await;
        let pulled = ask(&twin, &format!("{stream}.pull"), json!({ "first": 9, "after": null, "query": null })).await;
        let found = &reply["data"][kind];
        assert!(
            pulled["data"][stream]["nodes"].as_array().unwrap().contains(found),
            "pull and fetch show {name} alike"
        );
        check(&format!("{stream}/{name}.json"), found);
    }
    assert!(twin.delete_order(&known).await);
    twin.delete_customer(&meimei).await.unwrap();
    twin.edit_order(&guest, &json!({ "status": "PAID" })).await.unwrap();
    twin.edit_order(&guest, &json!({ "cancelled": true })).await.unwrap();
    twin.merge_customers(&lucy, &jim).await.unwrap();
    let heard = heard.lock().unwrap();
    let customers = ["customers/create", "customers/update", "customers/delete", "customers/merge"];
    let orders = ["orders/create", "orders/updated", "orders/paid", "orders/cancelled", "orders/delete"];
    for topic in customers.into_iter().chain(orders) {
        let call = heard.iter().find(|call| call.header("x-shopify-topic") == topic).unwrap();
        let found = json!({ "method": "POST", "target": "/hooks/shopify", "headers": call.headers, "body": call.body, "now": NOW + 60 });
        check(&format!("webhook/{}.json", topic.replace('/', "_")), &found);
    }
}

#[test]
fn records_in_canonical_words() {
    let (customer, _) = lens("customers").map(&read("customers/full.json"));
    let expected = json!({ "kind": "person", "given_name": "梅梅", "family_name": "韩",
        "emails.main": "han.meimei@example.com", "phones.main": { "number": "+8613800138000", "type": "mobile" },
        "addresses.main": { "street": "南京西路 1 号", "city": "上海", "province": "上海", "postal_code": "200000", "country": "CN" },
        "tags": ["VIP", "上海"], "remark": "展会认识", "consent.email": "subscribed", "consent.sms": "unsubscribed" });
    assert_eq!(json!(customer.fields), expected);
    let identities: Vec<String> = customer.identities.iter().map(|it| format!("{}={}", it.kind, it.value)).collect();
    assert_eq!(identities, ["email=han.meimei@example.com", "phone=+8613800138000"]);

    let (order, _) = lens("orders").map(&read("orders/of_customer.json"));
    let cny = |amount: &str| json!({ "amount": amount, "currency": "CNY" });
    let expected = json!({ "number": "#1001", "status": "PAID", "ordered_at": "2026-01-02T03:05:05Z", "note": "请尽快",
        "total": cny("275.99"), "lines": [{ "sku": "TEA-1", "name": "龙井 250g", "quantity": "2", "price": cny("128.00") },
                                          { "name": "礼盒", "quantity": "1", "price": cny("19.99") }] });
    assert_eq!(json!(order.fields), expected);
    let (guest, _) = lens("orders").map(&read("orders/of_guest.json"));
    let of = |references: &Value| {
        references
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_object().unwrap().keys().next().unwrap().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&json!(order.references)), ["record", "identity"]);
    assert_eq!(of(&json!(guest.references)), ["identity", "identity"], "a guest order has no customer");
}

/// What a lens renders, the shop stores, and shows again as the same canonical fields.
#[tokio::test]
async fn what_is_pushed_reads_back_equal() {
    let twin = twin().await;
    let lens = lens("customers");
    let (mapped, _) = lens.map(&read("customers/full.json"));
    let wanted: Fields = lens.project(&mapped.fields).into_iter().filter(|(_, value)| !value.is_null()).collect();
    let input = lens.render(&wanted);
    assert_eq!(input["email"], "han.meimei@example.com", "CustomerSetInput is flat");
    let reply =
        ask(&twin, "customers.create", json!({ "identifier": { "email": input["email"] }, "input": input })).await;
    let (stored, issues) = lens.map(&reply["data"]["customerSet"]["customer"]);
    assert_eq!(issues, []);
    for (field, value) in &wanted {
        assert_eq!(stored.fields.get(field), Some(value), "{field}");
    }
    // Clearing reads back as cleared.
    let id = &reply["data"]["customerSet"]["customer"]["id"];
    let cleared: Fields = ["given_name", "phones.main", "remark"].map(|field| (field.into(), Value::Null)).into();
    let update = json!({ "identifier": { "id": id }, "input": lens.render(&cleared) });
    let reply = ask(&twin, "customers.update", update).await;
    let (stored, _) = lens.map(&reply["data"]["customerSet"]["customer"]);
    for field in ["given_name", "remark"] {
        assert_eq!(stored.fields.get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!(reply["data"]["customerSet"]["customer"]["defaultPhoneNumber"], Value::Null);
}
