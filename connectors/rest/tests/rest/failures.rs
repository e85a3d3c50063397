//! What goes wrong becomes the right kind, with a text that says who, what and what next, and holds nothing secret or
//! personal.

use std::time::Duration;

use huiliu_core::connector::{Connector as _, ConnectorError, Operation, RecordKey};
use serde_json::{Value, json};

use crate::kit::{Answer, Server, connector, cx, delivery};

const TEXT: &str = r#"
limits = { timeout_ms = 300, response_bytes_max = 2000 }
errors = [
    { at = "/code", equals = "shop_suspended", kind = "unauthorized", message = "/text" },
    { status = 200, at = "/error_code", one_of = ["18", "19"], kind = "rate_limited" },
    { at = "/errors/*/extensions/code", equals = "THROTTLED", kind = "rate_limited", message = "/errors/0/message" },
    { at = "/data/customerUpdate/userErrors", kind = "rejected", message = "/data/customerUpdate/userErrors/0/message" },
    { status = 409, at = "/reason", equals = "duplicate", kind = "rejected" },
    { status = 404, at = "/reason", equals = "cursor", kind = "cursor_expired" },
]
[auth]
kind = "bearer"
token = "{secret.key}"
[streams.customers]
key = "/id"
records = "/items"
paginate = { kind = "none" }
pull = { path = "/customers" }
fetch = { path = "/customers/{record.id}" }
create = { method = "POST", path = "/customers" }
update = { path = "/graphql", graphql = "mutation($id: ID!, $in: In!) { x }", body = { id = "{record.id}", in = "{body}" } }
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Check,
    Pull,
    Fetch,
    Create,
    Update,
}

async fn fails(call: Call, answer: Answer) -> ConnectorError {
    let server = Server::start(move |_| answer.clone()).await;
    let (connector, cx) = (connector(TEXT), cx(&server));
    let body = json!({ "mail": "li.lei@example.com", "phone": 13_800_138_000_i64 });
    let error = match call {
        Call::Check => connector.check(&cx).await.err(),
        Call::Pull => connector.pull(&cx, &"customers".into(), None).await.err(),
        Call::Fetch => {
            let key = RecordKey { connection: "kit-1".into(), stream: "customers".into(), id: "5".into() };
            connector.fetch(&cx, &key).await.err()
        }
        Call::Create => connector.push(&cx, &delivery(Operation::Create, None, body)).await.err(),
        Call::Update => connector.push(&cx, &delivery(Operation::Update, Some("5"), body)).await.err(),
    };
    let error = error.unwrap_or_else(|| panic!("{call:?} should fail"));
    let text = error.to_string();
    for hidden in ["s3cret-key", "0ther-s3cret", "li.lei@example.com", "13800138000"] {
        assert!(!text.contains(hidden), "{text}");
    }
    error
}

#[tokio::test]
async fn a_status_means_what_the_call_was_for() {
    use Call::{Check, Create, Fetch, Pull, Update};
    for (status, call, kind) in [
        (400, Pull, "broken"),
        (400, Create, "rejected"),
        (400, Fetch, "rejected"),
        (401, Check, "unauthorized"),
        (401, Pull, "unauthorized"),
        (403, Create, "unauthorized"),
        (404, Pull, "broken"),
        (404, Check, "broken"),
        (404, Create, "rejected"),
        (404, Update, "gone"),
        (408, Pull, "transient"),
        (409, Pull, "transient"),
        (409, Create, "conflict"),
        (410, Pull, "cursor_expired"),
        (410, Update, "gone"),
        (412, Update, "conflict"),
        (422, Create, "rejected"),
        (425, Create, "transient"),
        (429, Pull, "rate_limited"),
        (500, Pull, "transient"),
        (501, Create, "transient"),
        (503, Fetch, "transient"),
        (302, Pull, "broken"),
        (307, Create, "broken"),
    ] {
        let error = fails(call, Answer::status(status)).await;
        assert_eq!(error.kind(), kind, "{status} of {call:?}: {error}");
        let text = error.to_string();
        assert!(text.contains("127.0.0.1 answered HTTP") && text.contains("kit-1") && text.contains("; "), "{text}");
    }
}

#[tokio::test]
async fn texts_say_who_what_and_what_next() {
    let message = json!({ "message": "token s3cret-key of li.lei@example.com is bad" });
    let error = fails(Call::Create, Answer::json(&message).code(401)).await;
    assert_eq!(
        error.to_string(),
        "create in customers of kit-1 (delivery 7): 127.0.0.1 answered HTTP 401: token … of … is bad; check the rights \
         of the account, then run `huiliu connect kit-1`"
    );
    let error = fails(Call::Pull, Answer::status(302).with("location", "http://169.254.169.254/")).await;
    assert_eq!(
        error.to_string(),
        "pull customers of kit-1: 127.0.0.1 answered HTTP 302; it points elsewhere, and nobody follows with \
         credentials: set config.base_url"
    );
    let long = json!({ "message": "长".repeat(5_00) });
    assert!(fails(Call::Pull, Answer::json(&long).code(500)).await.to_string().chars().count() < 450);
}

#[tokio::test]
async fn waits_are_as_told() {
    let pull = |answer| fails(Call::Pull, answer);
    let wait = |error: ConnectorError| match error {
        ConnectorError::RateLimited { after, .. } | ConnectorError::Transient { after, .. } => after,
        other => panic!("{other:?}"),
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(wait(pull(Answer::status(429)).await), None);
    assert_eq!(wait(pull(Answer::status(429).with("retry-after", "17")).await), seconds(17));
    assert_eq!(wait(pull(Answer::status(503).with("retry-after", "17")).await), seconds(17));
    // The test's clock stands at midnight.
    let date = "Thu, 01 Jan 2026 00:02:00 GMT";
    assert_eq!(wait(pull(Answer::status(429).with("retry-after", date)).await), seconds(120));
    let past = "Wed, 31 Dec 2025 00:02:00 GMT";
    assert_eq!(wait(pull(Answer::status(429).with("retry-after", past)).await), seconds(0));
    for garbage in ["soon", "-5", "", "1e9", "99999999999999999999999"] {
        assert_eq!(wait(pull(Answer::status(429).with("retry-after", garbage)).await), None, "{garbage}");
    }
    let cost = json!({
        "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
        "extensions": { "cost": {
            "requestedQueryCost": 502,
            "throttleStatus": { "maximumAvailable": 2000.0, "currentlyAvailable": 352.0, "restoreRate": 100.0 },
        } },
    });
    assert_eq!(wait(pull(Answer::json(&cost)).await), Some(Duration::from_millis(1500)));
}

/// What a vendor asks one call, all calls of the connection heed.
#[tokio::test]
async fn a_told_wait_silences_the_connection() {
    let server = Server::start(|_| Answer::status(429).with("retry-after", "1")).await;
    let (connector, cx) = (connector(TEXT), cx(&server));
    connector.pull(&cx, &"customers".into(), None).await.unwrap_err();
    let begun = std::time::Instant::now();
    connector.check(&cx).await.unwrap_err();
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn calls_are_spaced_by_the_declared_rate() {
    let server = Server::start(|_| Answer::json(&json!({ "items": [] }))).await;
    let (connector, mut cx) = (connector(TEXT), cx(&server));
    cx.quota = std::sync::Arc::new(huiliu_core::quota::Quota::per_second(std::num::NonZeroU32::new(10).unwrap()));
    let begun = std::time::Instant::now();
    for _ in 0..16 {
        connector.check(&cx).await.unwrap();
    }
    // Ten at once, then one each tenth of a second.
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn errors_inside_http_200_are_errors() {
    for (reply, call, kind) in [
        (json!({ "code": "shop_suspended", "text": "closed" }), Call::Pull, "unauthorized"),
        (json!({ "error_code": 18 }), Call::Pull, "rate_limited"),
        (json!({ "error_code": "19" }), Call::Create, "rate_limited"),
        (
            json!({ "errors": [{ "message": "x" }, { "extensions": { "code": "THROTTLED" } }] }),
            Call::Update,
            "rate_limited",
        ),
        (json!({ "errors": [{ "message": "Field 'x' doesn't exist" }] }), Call::Update, "rejected"),
    ] {
        let error = fails(call, Answer::json(&reply)).await;
        assert_eq!(error.kind(), kind, "{reply}: {error}");
    }
    let refused = json!({ "data": { "customerUpdate": { "customer": null,
        "userErrors": [{ "field": ["input", "email"], "message": "li.lei@example.com is taken" }] } } });
    let ConnectorError::Rejected { at, reason } = fails(Call::Update, Answer::json(&refused)).await else { panic!() };
    assert_eq!(at, "/input/email");
    assert!(reason.contains(": … is taken; mend the value or its mapping"), "{reason}");
    // The same status means another thing where the manifest says so.
    let error = fails(Call::Create, Answer::json(&json!({ "reason": "duplicate" })).code(409)).await;
    assert_eq!(error.kind(), "rejected");
    let error = fails(Call::Pull, Answer::json(&json!({ "reason": "cursor" })).code(404)).await;
    assert_eq!(error.kind(), "cursor_expired");
}

#[tokio::test]
async fn a_reply_that_is_not_as_recorded_is_broken() {
    for body in [
        "<html>Sign in</html>",
        "{\"items\": [",
        "{}",
        r#"{"items": 5}"#,
        r#"{"items": [{"name": "no id"}]}"#,
        "\u{feff}{}",
    ] {
        let error = fails(Call::Pull, Answer::text(body)).await;
        assert_eq!(error.kind(), "broken", "{body}: {error}");
        assert!(!error.to_string().contains("no id\""), "no content in an error: {error}");
    }
    let deep = "[".repeat(900) + &"]".repeat(900);
    assert_eq!(fails(Call::Pull, Answer::text(&deep)).await.kind(), "broken");
}

#[tokio::test]
async fn a_reply_over_the_bound_is_refused() {
    let long = json!({ "items": [{ "id": 1, "text": "x".repeat(2_000) }] });
    let error = fails(Call::Pull, Answer::json(&long)).await;
    assert_eq!(error.to_string(), "127.0.0.1 answered with more than 2000 bytes; ask for smaller pages");
}

#[tokio::test]
async fn a_system_that_is_slow_or_away_is_tried_again() {
    let slow = Answer { delay: Duration::from_millis(900), ..Answer::status(200) };
    let error = fails(Call::Pull, slow).await;
    assert_eq!(error.kind(), "transient");
    assert!(error.to_string().starts_with("127.0.0.1 did not answer in time"), "{error}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = crate::kit::cx_at(&format!("http://127.0.0.1:{port}/?never=shown"));
    let error = connector(TEXT).pull(&away, &"customers".into(), None).await.unwrap_err();
    assert_eq!(error.kind(), "transient");
    assert!(error.to_string().starts_with("127.0.0.1 could not be reached"), "{error}");
    assert!(!error.to_string().contains("never"), "{error}");
}

/// A reply that ends before its announced length, and one that never ends.
#[tokio::test]
async fn a_cut_reply_is_tried_again() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for (text, kind) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"items\":", "transient"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"ite\r\n", "transient"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5000000000\r\n\r\n{", "broken"),
        ("nonsense\r\n\r\n", "transient"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4_096]).await;
            socket.write_all(text.as_bytes()).await.unwrap();
        });
        let error = connector(TEXT).pull(&crate::kit::cx_at(&url), &"customers".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_record_that_is_not_there_is_none() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/customers/1" => Answer::json(&json!({ "id": 1 })),
        "/customers/2" => Answer::status(410),
        "/customers/3" => Answer::json(&Value::Null),
        _ => Answer::status(404),
    })
    .await;
    let (connector, cx) = (connector(TEXT), cx(&server));
    for (id, is_there) in [("1", true), ("2", false), ("3", false), ("4", false)] {
        let key = RecordKey { connection: "kit-1".into(), stream: "customers".into(), id: id.into() };
        assert_eq!(connector.fetch(&cx, &key).await.unwrap().is_some(), is_there, "{id}");
    }
}
