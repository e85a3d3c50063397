//! One stage a connector: its twin with people in it, and what is particular to the system. The checks are common.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{Delivery, Operation};
use huiliu_tests::front::Front;
use huiliu_tests::receiver::Receiver;
use huiliu_twins::kingdee::KingdeeTwin;
use huiliu_twins::mailbox::MailboxTwin;
use huiliu_twins::shopify::ShopifyTwin;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};
use serde_json::{Value, json};

use crate::flow::shipped;

/// A connector on its stage.
pub struct Stage {
    /// The connection, with the front in between where the system speaks HTTP.
    pub connection: Connection,
    /// Where calls can be interfered with.
    pub front: Option<Front>,
    /// A secret that proves calls to the system, with a wrong value of the right form. None: there is no such call.
    pub bad_secret: Option<(&'static str, &'static str)>,
    /// Replies under HTTP 200 that are errors, in the system's own words, and their kind.
    pub refusals: &'static [(&'static str, &'static str)],
    /// Streams with more records than one page holds.
    pub paged: &'static [&'static str],
    /// A record that can be made. None: nothing is made there.
    pub create: Option<(&'static str, Value)>,
    /// How many records of the create's stream the system holds.
    pub count: Box<dyn Fn() -> usize>,
    /// A canonical field of customers that travels both ways. None: nobody else can change a record there.
    pub field: Option<&'static str>,
    /// The system's own writes since the start, for quiescence.
    pub writes: Box<dyn Fn() -> u64>,
}

/// The stage of a connector; a connector without one fails the suite.
pub async fn stage(name: &str) -> Option<Stage> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Some(match name {
        "email" => email().await,
        "kingdee" => kingdee().await,
        "shopify" => shopify().await,
        "webhook" => webhook().await,
        "wecom" => wecom().await,
        _ => return None,
    })
}

/// A delivery of the suite.
pub fn delivery(stream: &str, body: &Value, attempt: u32) -> Delivery {
    Delivery {
        number: 1,
        operation: Operation::Create,
        stream: stream.into(),
        id: None,
        body: body.clone(),
        base: Value::Null,
        base_version: None,
        idempotency_key: "00112233445566778899aabbccddeeff".to_owned(),
        attempt,
    }
}

fn origin(url: &str) -> String {
    let end = url["http://".len()..].find('/').map_or(url.len(), |at| at + "http://".len());
    url[..end].to_owned()
}

fn size(value: &Value) -> usize {
    value.as_object().map_or(0, serde_json::Map::len)
}

async fn shopify() -> Stage {
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

async fn wecom() -> Stage {
    let twin = WecomTwin::start().await;
    twin.add_member("lin");
    twin.add_member("zhang");
    for number in 0..130 {
        let member = if number % 2 == 0 { "lin" } else { "zhang" };
        twin.preload_contact(member, Customer::named(&format!("客户{number}")));
    }
    twin.create_tag("等级", "vip").await;
    let front = Front::of(&origin(&twin.base_url())).await;
    let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", front.instead_of(&twin.base_url()))];
    let secrets =
        [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
    let connection = shipped("wecom", "wecom", &settings, &secrets, &Clock::System);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("corp_secret", "another")),
        refusals: &[
            (r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, "rate_limited"),
            (r#"{"errcode":-1,"errmsg":"system busy"}"#, "transient"),
            (r#"{"errcode":60020,"errmsg":"not allow to access from your ip"}"#, "unauthorized"),
        ],
        paged: &["contacts"],
        create: None,
        count: Box::new(|| 0),
        field: Some("remark"),
        writes: Box::new(move || twin.writes().values().sum()),
    }
}

async fn kingdee() -> Stage {
    let twin = Arc::new(KingdeeTwin::start().await.expect("a port"));
    for number in 0..7 {
        let id =
            twin.put_customer(&json!({ "FName": format!("测试公司{number}"), "FNumber": format!("C{number:03}") }));
        let id: u64 = id.parse().expect("a number");
        let lines = json!([{ "FMaterialId.FNumber": "M1", "FMaterialId.FName": "测试物料", "FQty": 2 }]);
        twin.put_order(&json!({ "FBillNo": format!("X{number}"), "FCustId": id, "FDate": "2023-11-15T00:00:00",
            "entries": lines }));
    }
    let front = Front::of(&origin(&twin.base_url())).await;
    let mut settings = twin.settings().to_vec();
    for (name, value) in &mut settings {
        if *name == "base_url" {
            *value = front.instead_of(value);
        }
    }
    settings.push(("page_size", "3".to_owned()));
    let connection = shipped("kingdee", "kingdee", &settings, &twin.secrets(), &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("app_secret", "fedcba9876543210fedcba9876543210")),
        refusals: &[("response_error: something", "transient")],
        paged: &["customers", "orders"],
        create: Some(("customers", json!({ "FName": "汇流测试贸易有限公司", "FShortName": "汇流" }))),
        count: Box::new(move || size(&counted.snapshot()["customers"])),
        field: Some("short_name"),
        writes: Box::new(move || wrote.writes().saves),
    }
}

async fn webhook() -> Stage {
    let receiver = Arc::new(Receiver::start().await);
    let front = Front::of(&origin(&receiver.url())).await;
    let secrets =
        [("webhook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("signing", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")];
    let settings = [("url", front.instead_of(&receiver.url()))];
    let connection = shipped("webhook", "webhook", &settings, &secrets, &Clock::System);
    let (counted, wrote) = (receiver.clone(), receiver);
    Stage {
        connection,
        front: Some(front),
        bad_secret: None, // A receiver that refuses a signature says 401, which is among the common refusals.
        refusals: &[],
        paged: &[],
        create: Some(("customers", json!({ "display_name": "李雷" }))),
        count: Box::new(move || {
            let calls = counted.calls();
            calls.iter().map(|call| call.header("webhook-id")).collect::<std::collections::BTreeSet<_>>().len()
        }),
        field: None, // Nothing can be pulled; tests/it/webhook.rs lets an echo come back.
        writes: Box::new(move || wrote.calls().len() as u64),
    }
}

async fn email() -> Stage {
    let twin = Arc::new(MailboxTwin::start().await.expect("a port"));
    for number in 0..45 {
        twin.deliver(
            format!(
                "From: Lin <lin{number}@example.org>\r\nTo: hub@example.test\r\nSubject: {number}\r\n\
                 Message-ID: <m{number}@example.org>\r\nDate: Mon, 2 Feb 2026 09:15:00 +0800\r\n\r\nHello\r\n"
            )
            .as_bytes(),
        );
    }
    let secrets = twin.secrets();
    let secrets: Vec<(&str, &str)> = secrets.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut settings = twin.settings();
    settings.push(("bodies", "true".to_owned())); // Pages of whole mails are short.
    let connection = shipped("email", "email", &settings, &secrets, &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: None, // It speaks IMAP and SMTP; connectors/email/tests interferes with those.
        bad_secret: Some(("password", "another")),
        refusals: &[],
        paged: &["messages"],
        create: None, // Sending is tried again in connectors/email/tests/dovecot/send.rs.
        count: Box::new(move || counted.sent().len()),
        field: None, // A mail does not change.
        writes: Box::new(move || wrote.sent().len() as u64),
    }
}
