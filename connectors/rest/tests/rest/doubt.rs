//! What is known of a create that failed: whether it was sent at all, and whether a repeat would be told from it.

use huiliu_core::connector::{Connector as _, ConnectorError, Operation};
use serde_json::{Value, json};

use crate::kit::{Answer, Server, connector, cx, cx_at, delivery};

const HEAD: &str = r#"
[auth]
kind = "bearer"
token = "{secret.key}"
[streams.customers]
key = "/id"
records = "/items"
paginate = { kind = "none" }
"#;

fn knows(head: &str, create: &str, body: Value) -> bool {
    let connector = connector(&format!("{head}create = {{ method = \"POST\", path = \"/customers\"{create} }}\n"));
    connector.knows_repeat(&delivery(Operation::Create, None, body))
}

#[test]
fn a_repeat_is_known_by_a_key_or_by_a_value_that_the_delivery_has() {
    const LOOKUP: &str = r#", lookup = { path = "/customers", records = "/items", match_at = "/mail" }"#;
    let (named, mailed) = (json!({ "name": "Jim" }), json!({ "name": "Jim", "mail": "jim@example.com" }));
    assert!(!knows(HEAD, "", mailed.clone()), "nothing is declared");
    assert!(knows(HEAD, r#", idempotency_header = "Idempotency-Key""#, named.clone()));
    assert!(knows(HEAD, LOOKUP, mailed.clone()));
    assert!(!knows(HEAD, LOOKUP, named.clone()), "there is nothing to look for");
    assert!(!knows(HEAD, LOOKUP, json!({ "mail": "" })));
    assert!(knows(HEAD, r#", unique_at = ["/phone", "/mail"]"#, mailed));
    assert!(!knows(HEAD, r#", unique_at = ["/phone"]"#, named.clone()));
    assert!(knows(HEAD, "", json!({ "id": "ours", "name": "Jim" })), "we chose its id");
    let signed = HEAD.replace("kind = \"bearer\"\ntoken", "kind = \"standard_webhook\"\nsecret");
    assert!(knows(&signed, "", named));
}

#[tokio::test]
async fn what_never_left_was_certainly_not_done() {
    let create = r#"create = { method = "POST", path = "/customers" }"#;
    let one = delivery(Operation::Create, None, json!({ "name": "Jim" }));
    let plain = connector(&format!("{HEAD}{create}"));
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = plain.push(&cx_at(&format!("http://{nobody}")), &one).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Unreached { .. }) && !error.leaves_doubt(), "{error:?}");
    assert_eq!(error.kind(), "transient");
    // Nor where the token was not to be had.
    let login = HEAD.replace(
        "kind = \"bearer\"\ntoken = \"{secret.key}\"",
        "kind = \"login\"\npath = \"/login\"\ntoken = \"body:/token\"\nheader = \"x-session\"",
    );
    let server = Server::start(|asked| match asked.path.as_str() {
        "/login" => Answer::status(503),
        _ => Answer::json(&json!({ "id": 1 })),
    })
    .await;
    let error = connector(&format!("{login}{create}")).push(&cx(&server), &one).await.unwrap_err();
    assert!(!error.leaves_doubt(), "{error:?}");
    assert!(server.asked().iter().all(|asked| asked.path == "/login"));
    // A gateway's word is no word of the system's.
    let server = Server::start(|_| Answer::status(502)).await;
    assert!(plain.push(&cx(&server), &one).await.unwrap_err().leaves_doubt());
}
