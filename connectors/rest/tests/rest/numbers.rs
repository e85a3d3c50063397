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
