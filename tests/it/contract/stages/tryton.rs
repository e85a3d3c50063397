//! A real Tryton with a handful of people and sales in it, read in short pages.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_tests::tryton::{PASSWORD, Tryton};
use serde_json::{Value, json};

use super::Stage;
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let tryton = Arc::new(Tryton::start());
    let people = (0..7).map(|number| {
        json!({
            "name": format!("客户{number}"),
            "contact_mechanisms": [["create", [{ "type": "email", "value": format!("lin{number}@example.org") }]]],
        })
    });
    let sales = (2..7).map(|party| {
        let lines =
            json!([["create", [{ "product": 1, "unit": 1, "quantity": 2, "unit_price": { "decimal": "12.50" } }]]]);
        json!({ "party": party, "company": 1, "currency": 1, "lines": lines })
    });
    tryton.person(&json!([
        ["party.party", "create", people.collect::<Value>()],
        ["sale.sale", "create", sales.collect::<Value>()],
    ]));
    let front = Front::of(&tryton.url()).await;
    let mut settings = tryton.settings();
    settings[0].1 = front.instead_of(&tryton.url());
    settings.push(("page_size", "3".to_owned()));
    let connection = shipped("tryton", "tryton", &settings, &[("password", PASSWORD)], &Clock::System);
    let (counted, wrote) = (tryton.clone(), tryton);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("password", "another-horse-43")),
        refusals: &[
            (r#"{"id":1,"error":["UserError",["You are not allowed to access \"Party\".","",null]]}"#, "unauthorized"),
            (r#"{"id":1,"error":["'party.party'",""]}"#, "broken"),
            (r#"{"id":1,"error":["division by zero",""]}"#, "transient"),
        ],
        paged: &["parties", "sales"],
        create: Some((
            "parties",
            json!({ "name": "汇流", "contact_mechanisms": { "email": [{ "value": "hui@example.org" }] } }),
        )),
        count: Box::new(move || counted.parties().len()),
        field: Some("website"),
        writes: Box::new(move || wrote.writes()),
    }
}
