//! An account with more contacts than a page holds.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_twins::hubspot::HubspotTwin;
use serde_json::json;

use super::{Stage, size};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let twin = Arc::new(HubspotTwin::start().await.expect("a port"));
    for number in 0..105 {
        let buyer = json!({ "firstname": format!("Buyer {number}"), "email": format!("buyer{number}@example.com") });
        twin.put("contacts", &buyer).expect("a contact");
    }
    let front = Front::of(&twin.url()).await;
    let mut settings = twin.settings("https://hub.example");
    settings[0].1 = front.instead_of(&settings[0].1);
    let connection = shipped("hubspot", "hubspot", &settings, &twin.secrets(), &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("access_token", "pat-another")),
        refusals: &[(r#"{"total":0}"#, "broken"), (r#"{"status":"error","category":"RATE_LIMITS"}"#, "rate_limited")],
        paged: &["contacts"],
        create: Some(("contacts", json!({ "properties": { "firstname": "雷", "email": "li.lei@example.com" } }))),
        count: Box::new(move || size(&counted.snapshot("contacts"))),
        field: Some("company"),
        writes: Box::new(move || wrote.writes()),
    }
}
