//! A real django-oscar shop, end to end: accounts and guests become golden customers with their orders, edits travel both
//! ways and then rest, deletions are verified, and a shop that dies in mid-push has one record in the end.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::store::streams;
use huiliu_tests::front::Front;
use huiliu_tests::oscar::{Oscar, PASSWORD, USERNAME};
use serde_json::{Value, json};

use crate::flow::{on_both_stores, shipped};
use crate::shops::{Shops, sqlite};

fn connection(api: String, clock: &Clock) -> Connection {
    let settings = [("base_url", api), ("username", USERNAME.to_owned())];
    shipped("shop", "oscar", &settings, &[("password", PASSWORD)], clock)
}

/// How many have an account, beside the hub.
fn accounts(shop: &Oscar) -> usize {
    shop.users().as_object().map_or(0, serde_json::Map::len)
}

/// Ms Zhang has an account and buys with it; Ms Han buys twice without one.
fn fill(shop: &Oscar) -> String {
    let zhang = json!({ "do": "register", "email": "zhang@example.com", "first_name": "珊", "last_name": "张" });
    let id = shop.act(&zhang);
    shop.act(&json!({ "do": "buy", "email": "zhang@example.com", "sku": "CUP-2", "quantity": 3, "account": true }));
    shop.act(&json!({ "do": "buy", "email": "han@example.com", "sku": "TEA-1", "quantity": 2 }));
    shop.act(&json!({ "do": "buy", "email": "Han@Example.com", "sku": "CUP-2", "quantity": 1 }));
    id.to_string()
}

#[test]
fn orders_find_their_customers_and_edits_travel_both_ways() {
    on_both_stores(async |store| {
        let shop = Oscar::start();
        let zhang = fill(&shop);
        let shops = Shops::live(store, Clock::System, connection(shop.api(), &Clock::System)).await;
        shops.settle().await;

        let bought = shops.customer("zhang@example.com").await;
        assert_eq!(bought.orders.len(), 1, "{bought:?}");
        let total = |amount: &str| json!({ "amount": amount, "currency": "CNY" });
        assert_eq!(bought.orders[0]["total"], total("59.70"));
        let line = json!({ "sku": "CUP-2", "name": "Porcelain cup", "quantity": "3", "price": total("19.90") });
        assert_eq!(bought.orders[0]["lines"], json!([line]));
        // Two guest orders are one customer, whatever the spelling of the address.
        let guest = shops.customer("han@example.com").await;
        let totals: Vec<&Value> = guest.orders.iter().map(|order| &order["total"]).collect();
        assert_eq!(totals, [&total("19.90"), &total("256.00")]);
        assert_eq!(guest.records.iter().filter(|name| name.starts_with("shop/guests/")).count(), 2, "{guest:?}");
        // They, Ms Zhang and the hub's own account are all that the CRM is told of; a guest gets no account by it.
        assert_eq!(shops.crm.ids().len(), 3);
        assert_eq!(accounts(&shop), 1);

        // An edit in the CRM reaches the shop, an edit in the shop the CRM; what comes back is no news.
        let (known, _) = shops.in_crm("zhang@example.com");
        shops.crm.edit(&known, &json!({ "given": "珊珊" }));
        shops.settle().await;
        assert_eq!(shop.users()[&zhang]["first_name"], "珊珊");
        shop.act(&json!({ "do": "edit", "id": zhang, "last_name": "章", "email": "zhang.shan@example.com" }));
        shops.settle().await;
        let (_, told) = shops.in_crm("zhang.shan@example.com");
        assert_eq!((&told["family"], &told["given"]), (&json!("章"), &json!("珊珊")));
        let quiet = (shop.writes(200), shop.writes(201), shops.crm.writes(), shops.changes().await);
        shops.settle().await;
        assert_eq!((shop.writes(200), shop.writes(201), shops.crm.writes(), shops.changes().await), quiet);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_who_opens_an_account_stays_one_customer() {
    let shop = Oscar::start();
    let buy = json!({ "do": "buy", "email": "han@example.com", "sku": "TEA-1", "quantity": 2 });
    shop.act(&buy);
    let (_folder, store) = sqlite();
    let shops = Shops::live(store, Clock::System, connection(shop.api(), &Clock::System)).await;
    shops.settle().await;
    // The hub may open accounts there, and a guest is a customer without one.
    assert_eq!(accounts(&shop), 0);
    let guest = shops.customer("han@example.com").await;
    assert_eq!((guest.records.len(), guest.orders.len()), (2, 1), "{guest:?}");

    shop.act(&json!({ "do": "register", "email": "han@example.com", "first_name": "梅梅", "last_name": "韩" }));
    let mut again = buy;
    again["account"] = json!(true);
    shop.act(&again);
    shops.settle().await;
    let customer = shops.customer("han@example.com").await;
    assert_eq!(customer.records[1..], ["shop/customers/2", "shop/guests/1"]);
    assert_eq!((customer.orders.len(), &customer.fields["given_name"]), (2, &json!("梅梅")), "{customer:?}");
    assert_eq!(shops.in_crm("han@example.com").1["given"], "梅梅");
}

/// Records without a stamp, read whole again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_polling_the_shop_changes_nothing() {
    let shop = Oscar::start();
    fill(&shop);
    shop.act(&json!({ "do": "crowd", "users": 20, "orders": 20 }));
    let clock = Clock::manual(Clock::System.now_us());
    let (_folder, store) = sqlite();
    let shops = Shops::live(store, clock.clone(), connection(shop.api(), &clock)).await;
    shops.settle().await;
    shops.rests_for_an_hour(&clock, &|| shop.writes(200) + shop.writes(201)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_dies_in_mid_push_has_one_record_in_the_end() {
    let shop = Oscar::start();
    let front = Front::of(&shop.api().replace("/api", "")).await;
    let (_folder, store) = sqlite();
    let there = connection(front.instead_of(&shop.api()), &Clock::System);
    let shops = Arc::new(Shops::live(store, Clock::System, there).await);
    shops.settle().await;
    let made = |email: &str| {
        let users = shop.users();
        users.as_object().expect("users").values().filter(|it| it["email"] == email).count()
    };
    shops.survive_a_dying_shop(shop.server(), &front, &made, &|| shop.writes(201)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vanishes_from_the_shop_is_asked_for_and_a_brake_holds_the_rest() {
    let shop = Oscar::start();
    let zhang = fill(&shop);
    shop.act(&json!({ "do": "crowd", "users": 20, "orders": 0 }));
    let (_folder, store) = sqlite();
    let shops = Shops::live(store, Clock::System, connection(shop.api(), &Clock::System)).await;
    shops.settle().await;
    let in_shop = async || {
        let all = shops.customers().await;
        all.iter().flat_map(|it| &it.records).filter(|name| name.starts_with("shop/customers/")).count()
    };
    let before = in_shop().await;
    let calls = shop.writes(204);
    shop.act(&json!({ "do": "remove", "id": zhang }));
    shops.settle().await;
    assert_eq!(in_shop().await, before - 1);
    // The CRM keeps its copy, and nothing is made anew where somebody removed it.
    assert_eq!(shops.in_crm("zhang@example.com").1["family"], "张");
    assert_eq!(shop.writes(204), calls, "the hub deletes nothing");

    let crowd: Vec<String> = shop
        .users()
        .as_object()
        .expect("users")
        .iter()
        .filter(|(_, user)| user["email"].as_str().is_some_and(|email| email.starts_with("buyer")))
        .map(|(id, _)| id.clone())
        .collect();
    for id in &crowd[..15] {
        shop.act(&json!({ "do": "remove", "id": id }));
    }
    shops.settle().await;
    assert_eq!(in_shop().await, before - 1, "more than ten at once: nothing is closed");
    let all = shops.hub.read(streams::all).await;
    let brake = all[&("shop".to_owned(), "customers".to_owned())].brake.as_ref().map(|brake| brake.missing);
    assert_eq!(brake, Some(15));
}
