//! A real shop with more accounts and orders than a page holds.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_tests::oscar::{Oscar, PASSWORD, USERNAME};
use serde_json::json;

use super::{Stage, origin, size};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let shop = Arc::new(Oscar::start());
    shop.act(&json!({ "do": "crowd", "users": 105, "orders": 105 }));
    let front = Front::of(&origin(&shop.api())).await;
    let settings = [("base_url", front.instead_of(&shop.api())), ("username", USERNAME.to_owned())];
    let connection = shipped("oscar", "oscar", &settings, &[("password", PASSWORD)], &Clock::System);
    let (counted, wrote) = (shop.clone(), shop);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("password", "another")),
        refusals: &[(r#"{"detail":"nothing under results"}"#, "broken")],
        paged: &["customers", "orders"],
        create: Some(("customers", json!({ "first_name": "雷", "email": "li.lei@example.com" }))),
        count: Box::new(move || size(&counted.users())),
        field: Some("family_name"),
        writes: Box::new(move || wrote.writes(200) + wrote.writes(201)),
    }
}
