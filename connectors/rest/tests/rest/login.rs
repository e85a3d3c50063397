//! Sessions: one login, carried until it is refused, and then one more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use huiliu_core::connector::{Connector as _, ConnectorError};
use huiliu_rest::check;
use huiliu_rest::connector::RestConnector;
use serde_json::{Value, json};

use crate::kit::{Answer, Asked, Server, connector, cx, manifest};

const STREAM: &str = r#"
[streams.customers]
key = "/id"
records = "/items"
paginate = { kind = "none" }
pull = { path = "/customers" }
"#;

/// A login whose reply holds the token in its body.
const IN_BODY: &str = r#"
[auth]
kind = "login"
path = "/sessions"
body = { user = "{config.shop}", password = "{secret.key}" }
token = "body:/session/token"
header = "X-Session"
"#;

/// A GraphQL login whose reply holds it in a header; what is refused is refused under HTTP 200.
const IN_HEADER: &str = r#"
errors = [{ at = "/errors/*/extensions/code", equals = "FORBIDDEN", kind = "unauthorized", message = "/errors/0/message" }]
[auth]
kind = "login"
graphql = "mutation login($user: String!) { login(user: $user) { id } }"
body = { user = "{config.shop}" }
token = "header:x-token"
header = "Authorization"
prefix = "Bearer "
"#;

/// A system that ends sessions: only the token of its last login is good.
struct Desk {
    server: Server,
    connector: RestConnector,
    logins: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

fn refused(in_header: bool) -> Answer {
    let body = json!({ "errors": [{ "message": "you may not", "extensions": { "code": "FORBIDDEN" } }] });
    Answer::json(&body).code(if in_header { 200 } else { 401 })
}

async fn desk(auth: &str) -> Desk {
    let (logins, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, over) = (logins.clone(), ended.clone());
    let in_header = auth == IN_HEADER;
    let server = Server::start(move |asked: &Asked| {
        if asked.path == "/sessions" || asked.body.contains("mutation login") {
            let token = format!("token-{}", counted.fetch_add(1, Ordering::SeqCst) + 1);
            return Answer::json(&json!({ "session": { "token": token } })).with("x-token", &token);
        }
        let carried = if in_header {
            asked.header("authorization").replace("Bearer ", "")
        } else {
            asked.header("x-session").to_owned()
        };
        let number = carried.strip_prefix("token-").and_then(|number| number.parse::<usize>().ok()).unwrap_or(0);
        if number > over.load(Ordering::SeqCst) { Answer::json(&json!({ "items": [] })) } else { refused(in_header) }
    })
    .await;
    Desk { server, connector: connector(&format!("{auth}{STREAM}")), logins, ended }
}

#[tokio::test]
async fn one_login_serves_many_calls_and_one_more_follows_when_it_is_refused() {
    for auth in [IN_BODY, IN_HEADER] {
        let desk = desk(auth).await;
        let cx = cx(&desk.server);
        for _ in 0..3 {
            desk.connector.pull(&cx, &"customers".into(), None).await.unwrap();
        }
        let asked = desk.server.asked();
        assert_eq!((asked.len(), desk.logins.load(Ordering::SeqCst)), (4, 1));
        assert_eq!(asked[0].header("authorization"), "", "the login carries no token");
        desk.ended.store(1, Ordering::SeqCst);
        desk.connector.pull(&cx, &"customers".into(), None).await.unwrap();
        assert_eq!((desk.server.asked().len(), desk.logins.load(Ordering::SeqCst)), (3, 2), "refused, login, again");
    }
}

#[tokio::test]
async fn the_login_sends_settings_and_secrets_in_their_places() {
    let desk = desk(IN_BODY).await;
    desk.connector.check(&cx(&desk.server)).await.unwrap();
    let asked = desk.server.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/sessions"));
    assert_eq!(asked[0].json(), json!({ "user": "one", "password": "s3cret-key" }));
    assert_eq!(asked[1].header("x-session"), "token-1");
}

#[tokio::test]
async fn many_calls_that_meet_the_end_of_a_session_log_in_once() {
    let desk = Arc::new(desk(IN_HEADER).await);
    let cx = cx(&desk.server);
    desk.connector.check(&cx).await.unwrap();
    desk.ended.store(1, Ordering::SeqCst);
    let calls = (0..20).map(|_| {
        let (desk, cx) = (desk.clone(), cx.clone());
        tokio::spawn(async move { desk.connector.pull(&cx, &"customers".into(), None).await.map(drop) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(desk.logins.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_a_fresh_session_may_not_do_is_told_after_one_more_login() {
    for auth in [IN_BODY, IN_HEADER] {
        let desk = desk(auth).await;
        desk.ended.store(usize::MAX, Ordering::SeqCst);
        let error = desk.connector.check(&cx(&desk.server)).await.unwrap_err();
        assert_eq!(error.kind(), "unauthorized", "{error}");
        assert_eq!(desk.logins.load(Ordering::SeqCst), 2, "no login for ever");
        assert!(!error.to_string().contains("token-"), "{error}");
    }
}

#[tokio::test]
async fn a_refused_login_says_so_and_shows_no_password() {
    let replies = [
        (401, json!({ "message": "one with s3cret-key is wrong" })),
        (200, json!({ "errors": [] })),
        (200, json!({ "session": { "token": "" } })),
    ];
    for (status, reply) in replies {
        let server = Server::start(move |_| Answer::json(&reply).code(status)).await;
        let connector = connector(&format!("{IN_BODY}{STREAM}"));
        let error = connector.check(&cx(&server)).await.unwrap_err();
        assert_eq!(error.kind(), "unauthorized", "{error}");
        assert!(error.to_string().contains("huiliu connect kit-1"), "{error}");
        assert!(!error.to_string().contains("s3cret-key"), "{error}");
        assert_eq!(server.asked().len(), 1, "a login is not tried again");
    }
    let server = Server::start(|_| Answer::status(503)).await;
    let busy = connector(&format!("{IN_BODY}{STREAM}")).check(&cx(&server)).await;
    assert!(matches!(busy, Err(ConnectorError::Transient { .. })), "{busy:?}");
}

#[test]
fn mistakes_in_a_login_are_named() {
    let told = |auth: &str| check::manifest(&manifest(&format!("{auth}{STREAM}"))).unwrap_err().to_string();
    let cases: [(&str, &str, &str); 4] = [
        ("body:/session/token", "session.token", "auth.token: it is `header:NAME` or `body:/pointer`"),
        ("path = \"/sessions\"\n", "", "auth: name the login's `path`"),
        ("X-Session", "", "auth.header: it is empty"),
        ("{secret.key}", "{secret.kex}", "secret.kex is not declared"),
    ];
    for (right, wrong, message) in cases {
        let text = told(&IN_BODY.replace(right, wrong));
        assert!(text.contains(message), "{text}");
    }
    let unknown: Value = json!(check::manifest(&manifest(&format!("{IN_BODY}{STREAM}"))).is_ok());
    assert_eq!(unknown, json!(true));
}
