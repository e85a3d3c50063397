//! An Odoo with more partners than a page holds, for either way to speak with it.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_twins::odoo::OdooTwin;
use serde_json::json;

use super::{Stage, size};
use crate::flow::shipped;

/// See the module.
pub async fn stage(system: &str) -> Stage {
    let twin = Arc::new(OdooTwin::start().await.expect("a port"));
    for number in 0..205 {
        let buyer = json!({ "name": format!("Buyer {number}"), "email": format!("buyer{number}@example.com") });
        let id = twin.add_partner(&buyer);
        if number < 3 {
            twin.add_order(&json!({ "partner_id": id }));
        }
    }
    let front = Front::of(&twin.url()).await;
    let mut settings = twin.settings();
    settings[0].1 = front.instead_of(&settings[0].1);
    let connection = shipped(system, system, &settings, &twin.secrets(), &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("api_key", "another-key")),
        refusals: match system {
            "odoo" => &[(r#"{"result":[]}"#, "broken")],
            _ => &[
                (r#"{"error":{"data":{"name":"odoo.exceptions.AccessDenied","message":"no"}}}"#, "unauthorized"),
                (r#"{"error":{"data":{"name":"psycopg2.errors.SerializationFailure"}}}"#, "transient"),
                (r#"{"error":{"data":{"name":"builtins.ValueError"}}}"#, "broken"),
            ],
        },
        paged: &["partners"],
        create: Some(("partners", json!({ "name": "李雷", "is_company": false, "email": "li.lei@example.com" }))),
        count: Box::new(move || size(&counted.partners())),
        field: Some("title"),
        writes: Box::new(move || wrote.writes()),
    }
}
