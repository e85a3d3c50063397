//! A shop with more people than a page holds, and points that flow back at once.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_twins::shopify::ShopifyTwin;
use serde_json::json;

use super::{Stage, origin, size};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let twin = Arc::new(ShopifyTwin::start().await.expect("a port"));
    for number in 0..105 {
        let buyer = json!({ "firstName": format!("Buyer {number}"), "email": format!("buyer{number}@example.com") });
        let id = twin.put_customer(&buyer).expect("a customer");
        if number < 12 {
            twin.place_order(&json!({ "customer": id })).await.expect("an order");
        }
    }
    // The suite asks more often than a schedule does: its points flow back at once (tests/it/shopify.rs runs out of them).
    let filled = Arc::downgrade(&twin);
    tokio::spawn(async move {
        while let Some(twin) = filled.upgrade() {
            twin.set_points(2_000);
            drop(twin);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    let front = Front::of(&origin(&twin.base_url())).await;
    let mut settings = twin.settings();
    settings[0].1 = front.instead_of(&settings[0].1);
    let connection = shipped("shopify", "shopify", &settings, &twin.secrets(), &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("access_token", "shpat_another")),
        refusals: &[
            (r#"{"errors":[{"message":"x","extensions":{"code":"THROTTLED"}}]}"#, "rate_limited"),
            (r#"{"errors":[{"message":"x","extensions":{"code":"ACCESS_DENIED"}}]}"#, "unauthorized"),
            (r#"{"errors":[{"message":"x","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#, "transient"),
            (r#"{"errors":[{"message":"Field 'x' doesn't exist"}]}"#, "broken"),
            (r#"{"data":{}}"#, "broken"),
        ],
        paged: &["customers", "orders"],
        create: Some(("customers", json!({ "firstName": "雷", "email": "li.lei@example.com" }))),
        count: Box::new(move || size(&counted.snapshot()["customers"])),
        field: Some("remark"),
        writes: Box::new(move || wrote.writes().values().sum()),
    }
}
