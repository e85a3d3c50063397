//! An address book on a real Radicale with people in it.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_tests::radicale::{PASSWORD, Radicale, USERNAME};
use serde_json::json;

use super::Stage;
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let radicale = Arc::new(tokio::task::spawn_blocking(|| filled("people", "vcf", card)).await.expect("it starts"));
    let front = Front::of(&radicale.url()).await;
    let settings = [("url", front.instead_of(&radicale.url())), ("username", USERNAME.to_owned())];
    let connection = shipped("carddav", "carddav", &settings, &[("password", PASSWORD)], &Clock::System);
    let (counted, wrote) = (radicale.clone(), radicale);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("password", "another")),
        refusals: &[("{}", "broken")],
        paged: &["contacts"],
        create: Some(("contacts", json!({ "fn": "李雷", "tel": { "cell": "+8613800138000" } }))),
        count: Box::new(move || counted.count("people")),
        field: Some("remark"),
        writes: Box::new(move || wrote.noted("people")),
    }
}

/// A server with 120 members in a collection.
pub fn filled(collection: &str, ending: &str, text: impl Fn(usize) -> String) -> Radicale {
    let radicale = Radicale::start();
    let members: Vec<(String, String)> =
        (0..120).map(|number| (format!("{collection}/m{number:03}.{ending}"), text(number))).collect();
    radicale.put(&members);
    radicale
}

fn card(number: usize) -> String {
    format!(
        "BEGIN:VCARD\r\nVERSION:3.0\r\nUID:m{number}\r\nFN:Buyer {number}\r\nN:Buyer;{number};;;\r\n\
         EMAIL;TYPE=WORK:buyer{number}@example.com\r\nEND:VCARD\r\n"
    )
}
