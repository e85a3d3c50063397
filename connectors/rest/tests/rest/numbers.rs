//! Ids are text and no number passes through a float: what comes in goes out digit by digit.

use huiliu_core::connector::{Connector as _, Operation, Received};
use serde_json::Value;

use crate::kit::{Answer, Server, connector, cx, delivery};

const TEXT: &str = r#"
[auth]
kind = "none"
reason = "a test"
[streams.customers]
key = "/id"
records = "/items"
paginate = { kind = "none" }
pull = { path = "/customers" }
create = { method = "POST", path = "/customers", body = { inner = "{body}", total = "{record.total}", text = "sum {record.total}" } }
"#;

const RECORD: &str = r#"{"id":18446744073709551617,"big":9007199254740993,"total":0.10,"rate":1.10000000000000000001,"tiny":1E-40,"minus":-0.0,"text":"007"}"#;

#[tokio::test]
async fn every_digit_survives_the_way_in_and_out() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "GET" => Answer::text(&format!("{{\"items\":[{RECORD}]}}")),
        _ => Answer::text("{\"id\":123456789012345678901234567890}"),
    })
    .await;
    let (connector, cx) = (connector(TEXT), cx(&server));
    let page = connector.pull(&cx, &"customers".into(), None).await.unwrap();
    let [Received::Record(record)] = page.items.as_slice() else { panic!("{page:?}") };
    assert_eq!(record.id.as_str(), "18446744073709551617");
    let expected: Value = serde_json::from_str(RECORD).unwrap();
    assert_eq!(record.body, expected);
    let receipt = connector.push(&cx, &delivery(Operation::Create, None, record.body.clone())).await.unwrap();
    assert_eq!(receipt.id.as_str(), "123456789012345678901234567890");
    let sent = server.asked().pop().unwrap().body;
    for digits in
        ["18446744073709551617", "9007199254740993", "\"total\":0.10", "1.10000000000000000001", "-0.0", "\"007\""]
    {
        assert!(sent.contains(digits), "{digits}: {sent}");
    }
    assert!(sent.contains("\"text\":\"sum 0.10\""), "{sent}");
    assert!(sent.to_uppercase().contains("1E-40"), "{sent}");
}

#[tokio::test]
async fn what_is_only_kept_stays_text_and_spoils_no_page() {
    // A blank more, and half of a character.
    let records = [RECORD, r#"{"id": "2",  "note": "\ud800"}"#, r#"{"id":"3"}"#];
    let server = {
        let body = format!("{{\"items\":[{}]}}", records.join(", "));
        Server::start(move |_| Answer::text(&body)).await
    };
    let (connector, cx) = (connector(TEXT), cx(&server));
    let page = connector.pull_text(&cx, &"customers".into(), None).await.unwrap();
    let texts: Vec<&str> = page
        .items
        .iter()
        .map(|item| match item {
            Received::Record(record) => record.body.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, records);
    assert!(!format!("{page:?}").contains("note"), "no value shows in a log");
    let error = connector.pull(&cx, &"customers".into(), None).await.unwrap_err();
    assert!(error.to_string().contains("a record cannot be read"), "who wants values hears why not: {error}");
}

#[tokio::test]
async fn an_error_rule_may_look_into_the_records() {
    let rule = r#"errors = [{ at = "/items/*/refused", kind = "transient", message = "/items/0/refused" }]"#;
    let manifest = format!("{rule}{TEXT}");
    let server = Server::start(|_| Answer::text(r#"{"items":[{"id":"1","refused":"later"}]}"#)).await;
    let error = connector(&manifest).pull_text(&cx(&server), &"customers".into(), None).await.unwrap_err();
    assert!(error.to_string().contains("later"), "{error}");
}
