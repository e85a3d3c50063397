//! A shop with more buyers than a page holds, one of whom the account may not see.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_twins::woocommerce::WooTwin;
use serde_json::json;

use super::{Stage, size};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let twin = Arc::new(WooTwin::start().await.expect("a port"));
    for number in 0..105 {
        let buyer = json!({ "first_name": format!("Buyer {number}"), "email": format!("buyer{number}@example.com") });
        let id = twin.put_customer(&buyer).expect("a customer");
        twin.put_order(&json!({ "customer_id": id, "billing": { "email": format!("buyer{number}@example.com") } }));
        if number == 3 {
            twin.hide(id);
        }
    }
    let front = Front::of(&twin.url()).await;
    let settings = [("url", front.instead_of(&twin.url()))];
    twin.set_home(&settings[0].1);
    let connection = shipped("woocommerce", "woocommerce", &settings, &twin.secrets(), &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("consumer_secret", "cs_another")),
        refusals: &[("<!DOCTYPE html><title>Briefly unavailable for scheduled maintenance</title>", "broken")],
        paged: &["customers", "orders"],
        create: Some(("customers", json!({ "first_name": "雷", "email": "li.lei@example.com" }))),
        count: Box::new(move || size(&counted.snapshot()["customers"])),
        field: Some("company"),
        writes: Box::new(move || wrote.writes()),
    }
}
