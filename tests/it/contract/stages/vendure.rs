//! A real shop with more customers than a page holds, all of one stamp.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_tests::vendure::{PASSWORD, USERNAME, Vendure};
use serde_json::json;

use super::{Stage, origin};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let shop = Arc::new(Vendure::start(&[]));
    shop.crowd(105);
    shop.buy("guest1@example.com", Some(("梅梅", "韩")), "TEA-1", 1);
    let front = Front::of(&origin(&shop.api())).await;
    let settings = [("base_url", front.instead_of(&shop.api())), ("username", USERNAME.to_owned())];
    let secrets = [("password", PASSWORD), ("webhook", "a-key-for-webhooks-0123456789")];
    let connection = shipped("vendure", "vendure", &settings, &secrets, &Clock::System);
    let (counted, wrote) = (shop.clone(), shop);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("password", "another")),
        refusals: &[
            (r#"{"errors":[{"message":"x","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#, "transient"),
            (r#"{"errors":[{"message":"Cannot query field \"x\""}]}"#, "broken"),
            (r#"{"data":{}}"#, "broken"),
        ],
        paged: &["customers"],
        create: Some(("customers", json!({ "firstName": "雷", "emailAddress": "li.lei@example.com" }))),
        count: Box::new(move || counted.customers().len()),
        field: Some("family_name"),
        writes: Box::new(move || wrote.writes("createCustomer") + wrote.writes("updateCustomer")),
    }
}
