//! Sending.

use huiliu_core::connector::{Connector as _, ConnectorError, Operation, Receipt, Result};
use serde_json::{Value, json};

use crate::kit::{Kit, create};

crate::on_both! {
    a_sent_mail_is_the_record_that_was_promised
    a_mail_is_not_sent_twice
}

fn greeting() -> Value {
    json!({ "to": [{ "name": "林晓月", "address": "lin@example.org" }], "cc": ["bo@example.org"], "subject": "报价 100",
            "text": "您好\n.\n附上报价。", "in_reply_to": "CA+0001@example.org", "references": ["CA+0001@example.org"] })
}

async fn push(kit: &Kit, body: Value, attempt: u32) -> Result<Receipt> {
    kit.email.push(&kit.cx, &create(body, attempt)).await
}

async fn a_sent_mail_is_the_record_that_was_promised(mut kit: Kit) {
    let receipt = push(&kit, greeting(), 1).await.unwrap();
    assert_eq!(receipt.id.as_str(), "0123456789abcdef0123456789abcdef@example.test");
    let sent = kit.twin.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to, ["lin@example.org", "bo@example.org"]);
    let stored = receipt.stored.unwrap();
    assert_eq!((&stored.body["subject"], &stored.body["direction"]), (&json!("报价 100"), &json!("out")));
    assert_eq!(stored.body["thread_id"], "CA+0001@example.org");
    assert_eq!(stored.body["date"], "2026-02-02T02:40:00Z");
    kit.set("mailbox", "Sent");
    let (records, _) = kit.pull_all(None).await;
    assert_eq!(records, [stored], "what is read from the folder of sent mails is what the receipt said");
    kit.set("bodies", "true");
    let (records, _) = kit.pull_all(None).await;
    assert_eq!(records[0].body["text"], "您好\n.\n附上报价。");
}

async fn a_mail_is_not_sent_twice(kit: Kit) {
    let first = push(&kit, greeting(), 1).await.unwrap();
    let again = push(&kit, greeting(), 2).await.unwrap();
    assert_eq!((kit.twin.sent().len(), again), (1, first));
}

#[tokio::test]
async fn a_lost_answer_is_transient_and_the_repeat_has_the_same_message_id() {
    let kit = Kit::twin().await;
    kit.twin.lose_replies(1);
    let error = push(&kit, greeting(), 1).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Transient { .. }), "{error:?}");
    push(&kit, greeting(), 2).await.unwrap();
    let ids = kit.twin.sent().into_iter().map(|sent| {
        let text = String::from_utf8(sent.raw).unwrap();
        text.lines().find(|line| line.starts_with("Message-ID:")).unwrap().to_owned()
    });
    assert_eq!(ids.collect::<Vec<_>>(), ["Message-ID: <0123456789abcdef0123456789abcdef@example.test>"; 2]);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let mut kit = Kit::twin().await;
    let to = |address: &str| json!({ "to": [address], "subject": "s", "text": "t" });
    let error = push(&kit, to("busy@example.org"), 1).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Transient { .. }), "{error:?}");
    let error = push(&kit, to("nobody@example.org"), 1).await.unwrap_err();
    assert!(matches!(&error, ConnectorError::Rejected { at, .. } if at == "/to"), "{error:?}");
    assert!(!error.to_string().contains("nobody"), "{error}");
    for body in [to("no address"), json!({ "subject": "s" }), json!({ "to": [{ "name": "only" }] })] {
        let error = push(&kit, body, 1).await.unwrap_err();
        assert!(matches!(&error, ConnectorError::Rejected { at, .. } if at == "/to"), "{error:?}");
    }
    let update = huiliu_core::connector::Delivery { operation: Operation::Update, ..create(greeting(), 1) };
    let error = kit.email.push(&kit.cx, &update).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Rejected { .. }), "{error:?}");
    kit.set_password("wrong");
    let error = push(&kit, to("lin@example.org"), 1).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unauthorized { .. }), "{error:?}");
    assert!(kit.twin.sent().is_empty());
}

#[tokio::test]
async fn only_a_letter_of_today_is_sent() {
    let kit = Kit::twin().await;
    let with = |field: &str, value: Value| {
        let mut body = greeting();
        body[field] = value;
        body
    };
    // The clock stands at 2026-02-02 02:40 UTC.
    for (field, value) in [
        ("kind", json!("call")),
        ("kind", json!(null)),
        ("direction", json!("in")),
        ("direction", json!(null)),
        ("date", json!("2026-02-01T02:39:00Z")),
        ("date", json!("yesterday")),
    ] {
        let error = push(&kit, with(field, value.clone()), 1).await.unwrap_err();
        let place = format!("/{field}");
        assert!(matches!(&error, ConnectorError::Rejected { at, .. } if *at == place), "{value}: {error:?}");
    }
    assert!(kit.twin.sent().is_empty());
    let dates = ["2026-02-02T01:00:00Z", "2026-02-02T10:00:00+08:00", "2026-02-03T00:00:00Z"];
    let expected = ["2026-02-02T01:00:00Z", "2026-02-02T02:00:00Z", "2026-02-02T02:40:00Z"];
    for (date, expected) in dates.into_iter().zip(expected) {
        let receipt = push(&kit, with("date", json!(date)), 1).await.unwrap();
        assert_eq!(receipt.stored.unwrap().body["date"], expected, "what was written when, not in the future");
    }
}

#[tokio::test]
async fn a_text_cannot_become_a_header() {
    let kit = Kit::twin().await;
    let body = json!({ "to": [{ "name": "a\r\nBcc: evil@example.org", "address": "lin@example.org" }],
                       "subject": "s\r\nBcc: evil@example.org", "text": "t", "in_reply_to": "a@b>\r\nBcc: evil@example.org" });
    push(&kit, body, 1).await.unwrap();
    let sent = kit.twin.sent();
    let text = String::from_utf8(sent[0].raw.clone()).unwrap();
    assert_eq!(sent[0].to, ["lin@example.org"]);
    assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
}

#[tokio::test]
async fn participants_are_the_recipients_where_no_other_are_named() {
    let kit = Kit::twin().await;
    let body = json!({ "participants": ["hub@example.test", "lin@example.org"], "subject": "s", "text": "t" });
    push(&kit, body, 1).await.unwrap();
    assert_eq!(kit.twin.sent()[0].to, ["lin@example.org"]);
}
