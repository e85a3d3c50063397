//! A real Vendure shop, end to end: customers of guest checkouts and accounts with their orders, exact money, stamps that
//! whole batches share, sessions that end, and a shop that dies in mid-push.

use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_tests::front::Front;
use huiliu_tests::vendure::{PASSWORD, USERNAME, Vendure};
use serde_json::{Value, json};

use crate::flow::{on_both_stores, shipped};
use crate::shops::{Shops, sqlite};

const WEBHOOK_SECRET: &str = "a-key-for-webhooks-0123456789";

fn connection(api: String, clock: &Clock) -> Connection {
    let settings = [("base_url", api), ("username", USERNAME.to_owned())];
    shipped("shop", "vendure", &settings, &[("password", PASSWORD), ("webhook", WEBHOOK_SECRET)], clock)
}

/// Ms Zhang has an account and buys with it; Ms Han buys twice without one.
fn fill(shop: &Vendure) {
    shop.register("zhang@example.com", "珊", "张", "13800138000");
    shop.buy("zhang@example.com", None, "TEA-1", 1);
    shop.buy("han@example.com", Some(("梅梅", "韩")), "CUP-2", 3);
    shop.buy("Han@Example.com", Some(("梅梅", "韩")), "TEA-1", 2);
}

/// The id of the customer with this address.
fn id_of(shop: &Vendure, email: &str) -> String {
    let all = shop.customers();
    let mut found = all.iter().filter(|(_, it)| it["emailAddress"] == email).map(|(id, _)| id.clone());
    found.next().unwrap_or_else(|| panic!("nobody has {email}: {all:?}"))
}

fn writes(shop: &Vendure) -> u64 {
    shop.writes("createCustomer") + shop.writes("updateCustomer")
}

#[test]
fn orders_find_their_customers_and_edits_travel_both_ways() {
    on_both_stores(async |store| {
        let shop = Vendure::start(&[]);
        fill(&shop);
        let shops = Shops::live(store, Clock::System, connection(shop.api(), &Clock::System)).await;
        shops.settle().await;

        let total = |amount: &str| json!({ "amount": amount, "currency": "USD" });
        let bought = shops.customer("zhang@example.com").await;
        let totals = |orders: &[Value]| orders.iter().map(|order| order["total"].clone()).collect::<Vec<_>>();
        assert_eq!(totals(&bought.orders), [total("158.60")]);
        // A guest's checkout makes a customer, and the second one finds it.
        let guest = shops.customer("han@example.com").await;
        assert_eq!(totals(&guest.orders), [total("312.20"), total("76.64")]);
        let line = json!({ "sku": "CUP-2", "name": "Porcelain cup", "quantity": "3", "price": total("23.88") });
        assert_eq!(guest.orders[1]["lines"], json!([line]));
        assert_eq!((shops.crm.ids().len(), shop.customers().len(), writes(&shop)), (2, 2, 0));

        // An edit in the CRM reaches the shop, an edit in the shop the CRM; what comes back is no news.
        let zhang = id_of(&shop, "zhang@example.com");
        let (known, _) = shops.in_crm("zhang@example.com");
        shops.crm.edit(&known, &json!({ "given": "珊珊", "phone": "13900139000" }));
        shops.settle().await;
        let told = &shop.customers()[&zhang];
        assert_eq!((&told["firstName"], &told["phoneNumber"]), (&json!("珊珊"), &json!("+8613900139000")));
        shop.edit(&zhang, &json!({ "lastName": "章", "emailAddress": "zhang.shan@example.com" }));
        shops.settle().await;
        let (_, told) = shops.in_crm("zhang.shan@example.com");
        assert_eq!((&told["family"], &told["given"]), (&json!("章"), &json!("珊珊")));
        // Whoever is entered in the CRM without a name is made in the shop all the same.
        shops.crm.edit("c9", &json!({ "email": "wu@example.com" }));
        shops.settle().await;
        assert_eq!(shop.customers()[&id_of(&shop, "wu@example.com")]["firstName"], "");
        // A phone number that is cleared there is cleared here.
        shop.edit(&zhang, &json!({ "phoneNumber": "" }));
        shops.settle().await;
        assert_eq!(shops.in_crm("zhang.shan@example.com").1["phone"], Value::Null);

        let quiet = (writes(&shop), shops.crm.writes(), shops.changes().await);
        shops.settle().await;
        assert_eq!((writes(&shop), shops.crm.writes(), shops.changes().await), quiet);
        assert_eq!(quiet.0, 2, "one change and one creation");
    });
}

/// One stamp for more customers than a page holds, and no stamp finer than a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_polling_shared_stamps_changes_nothing() {
    let shop = Vendure::start(&[]);
    fill(&shop);
    shop.crowd(110);
    let clock = Clock::manual(Clock::System.now_us());
    let (_folder, store) = sqlite();
    let shops = Shops::live(store, clock.clone(), connection(shop.api(), &clock)).await;
    shops.settle().await;
    assert_eq!((shops.customers().await.len(), shops.crm.ids().len()), (112, 112));
    shops.rests_for_an_hour(&clock, &|| writes(&shop)).await;
    // And a change that bears the very stamp that the last pull ended at is seen.
    let buyer = id_of(&shop, "buyer7@example.com");
    shop.edit(&buyer, &json!({ "firstName": "柒" }));
    shop.crowd(0);
    shops.settle().await;
    assert_eq!(shops.in_crm("buyer7@example.com").1["given"], "柒");
    shops.rests_for_an_hour(&clock, &|| writes(&shop)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_dies_in_mid_push_has_one_customer_in_the_end() {
    let shop = Vendure::start(&[]);
    let front = Front::of(&shop.api().replace("/admin-api", "")).await;
    let (_folder, store) = sqlite();
    let there = connection(front.instead_of(&shop.api()), &Clock::System);
    let shops = Arc::new(Shops::live(store, Clock::System, there).await);
    shops.settle().await;
    let made = |email: &str| shop.customers().values().filter(|it| it["emailAddress"] == email).count();
    shops.survive_a_dying_shop(shop.server(), &front, &made, &|| shop.writes("createCustomer")).await;
}

/// Sessions of one second: each is replaced by one login when the shop refuses it, and nothing is told to an operator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_are_opened_again() {
    let shop = Vendure::start(&[("SESSION_DURATION", "1s".to_owned())]);
    // A checkout would outlast its own session.
    shop.register("zhang@example.com", "珊", "张", "13800138000");
    shop.register("han@example.com", "梅梅", "韩", "13800138001");
    let (_folder, store) = sqlite();
    let shops = Shops::live(store, Clock::System, connection(shop.api(), &Clock::System)).await;
    let logins = || shop.server().log().lines().filter(|line| *line == "mutation login login").count();
    for round in 1..=3 {
        shops.settle().await;
        assert!(logins() >= round, "{} logins after {round} rounds", logins());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    assert_eq!(shops.customers().await.len(), 2);
}

/// Thinks without pulling until this is so.
async fn until(shops: &Shops, what: &str, done: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        assert_eq!(shops.hub.settle(false).await, Vec::<String>::new());
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} was never told");
}

/// The plugin of tests/servers/vendure tells of what happens, of removals too, which no list shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_customer_is_told_by_a_signed_webhook() {
    let (_folder, store) = sqlite();
    let (front, clock) = (Front::of("http://127.0.0.1:1").await, Clock::System);
    let hooks = front.instead_of("http://127.0.0.1:1/hooks/shop");
    let shop = Vendure::start(&[("WEBHOOK_URL", hooks), ("WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned())]);
    let shops = Shops::live(store, clock.clone(), connection(shop.api(), &clock)).await;
    front.aim(&shops.hub.listen().await);
    // Both are read once: from then on records are made.
    shops.settle().await;
    shop.register("zhang@example.com", "珊", "张", "13800138000");
    until(&shops, "the account", async || shops.customers().await.len() == 1).await;
    let zhang = id_of(&shop, "zhang@example.com");
    shop.remove(&zhang);
    until(&shops, "the removal", async || shops.customers().await[0].records == ["crm/customers/made1"]).await;
    assert_eq!(shops.in_crm("zhang@example.com").1["given"], "珊", "the CRM keeps its copy");
}
