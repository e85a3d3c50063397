//! What a caller hears, and what is kept.

mod kit;

use std::num::NonZeroU32;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use huiliu_webhooks::receive::{BODY_BYTES_MAX, HEADERS_BYTES_MAX};
use huiliu_webhooks::{Hook, IntakeError, Limits};
use kit::{Desk, Mood, base64, hmac_sha256};

const SHOP: &str = r#"
verify = { kind = "hmac_sha256", header = "X-Shop-Signature", encoding = "base64", secret = "{secret.webhook}" }
dedupe = ["header:X-Shop-Event", "header:X-Shop-Topic"]
"#;
const BODY: &[u8] = br#"{"id":7,"name":"Li"}"#;

fn shop() -> Desk {
    Desk::new(SHOP, &[("webhook", "hush")], 0)
}

async fn post(desk: &Desk, event: &str, body: &[u8], signed: &[u8]) -> kit::Answer {
    let signature = base64(&hmac_sha256(b"hush", signed));
    let headers = [
        ("X-Shop-Signature", signature.as_str()),
        ("X-Shop-Event", event),
        ("X-Shop-Topic", "customers/update"),
        ("Cookie", "session=1"),
        ("Authorization", "Bearer t"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Content-Type", "application/json"),
    ];
    desk.post("/hooks/shop?a=%201", &headers, body).await
}

#[tokio::test]
async fn a_proven_call_is_kept_without_credentials() {
    let desk = shop();
    let answer = post(&desk, "e1", BODY, BODY).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
    let kept = desk.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].connection.as_str(), "shop");
    assert_eq!(kept[0].target, "/hooks/shop?a=%201");
    assert_eq!(kept[0].body, BODY);
    assert_eq!(kept[0].dedupe, r#"["e1","customers/update"]"#);
    let mut names: Vec<&str> = kept[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "x-shop-event", "x-shop-topic"]);
}

#[tokio::test]
async fn a_tampered_call_is_refused_and_not_kept() {
    let desk = shop();
    let answer = post(&desk, "e1", br#"{"id":8,"name":"Li"}"#, BODY).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let told: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(told["error"], "unauthorized");
    assert!(told["message"].as_str().unwrap().starts_with("The signature does not fit the body."));
    let unsigned = desk.post("/hooks/shop", &[], BODY).await;
    assert_eq!(unsigned.status, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.kept(), []);
}

#[tokio::test]
async fn a_repeat_is_answered_like_the_first_and_kept_once() {
    let desk = shop();
    assert_eq!(post(&desk, "e1", BODY, BODY).await.status, StatusCode::OK);
    assert_eq!(post(&desk, "e1", BODY, BODY).await.status, StatusCode::OK);
    assert_eq!(desk.kept().len(), 1);
    assert_eq!(post(&desk, "e2", BODY, BODY).await.status, StatusCode::OK);
    assert_eq!(desk.kept().len(), 2);
}

#[tokio::test]
async fn ack_after_append() {
    let desk = shop();
    desk.mood(Mood::Fail(IntakeError::Full { retry_after_seconds: 7 }));
    let full = post(&desk, "e1", BODY, BODY).await;
    assert_eq!((full.status, &full.headers["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &"7".parse().unwrap()));
    desk.mood(Mood::Fail(IntakeError::Failed("disk at /var/lib".into())));
    let failed = post(&desk, "e1", BODY, BODY).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!failed.body.contains("/var/lib"), "the store's words are for the log");
    assert_eq!(desk.kept(), []);
    let told = std::sync::Arc::new(tokio::sync::Notify::new());
    desk.mood(Mood::Wait(std::sync::Arc::clone(&told)));
    let mut call = std::pin::pin!(post(&desk, "e1", BODY, BODY));
    for _ in 0..100 {
        let answered = look(call.as_mut()).await;
        assert!(answered.is_none(), "answered before the append ended: {answered:?}");
    }
    told.notify_one();
    assert_eq!(call.await.status, StatusCode::OK);
    assert_eq!(desk.kept().len(), 1);
}

/// One look at a future: what it returned, if it has ended.
async fn look<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(ended) => std::task::Poll::Ready(Some(ended)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_slow_append_is_answered_in_time() {
    let desk = shop();
    desk.mood(Mood::Hang);
    let begun = tokio::time::Instant::now();
    let answer = post(&desk, "e1", BODY, BODY).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn who_comes_when_no_more_may_wait_is_sent_away_at_the_head() {
    let desk = shop();
    desk.mood(Mood::Full(3));
    let call = |path: &str| Request::post(path).body(Body::new(Never)).unwrap();
    let full = desk.send(call("/hooks/shop")).await;
    assert_eq!((full.status, &full.headers["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &"3".parse().unwrap()));
    assert!(full.body.contains(r#""error":"full""#), "{}", full.body);
    let other = desk.send(Request::post("/hooks/other").body(Body::from("{}")).unwrap()).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    desk.mood(Mood::Keep);
    assert_eq!(post(&desk, "e1", BODY, BODY).await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let desk = shop();
    let answer = desk.send(Request::post("/hooks/shop").body(Body::new(Never)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn bounds_hold() {
    let desk = shop();
    let fits = vec![b' '; BODY_BYTES_MAX];
    assert_eq!(post(&desk, "e1", &fits, &fits).await.status, StatusCode::OK);
    let over = vec![b' '; BODY_BYTES_MAX + 1];
    assert_eq!(post(&desk, "e2", &over, &over).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let announced = Request::post("/hooks/shop").header("content-length", BODY_BYTES_MAX + 1);
    assert_eq!(desk.send(announced.body(Body::empty()).unwrap()).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let wide = "a".repeat(HEADERS_BYTES_MAX);
    let answer = desk.post("/hooks/shop", &[("x-wide", &wide)], BODY).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(desk.kept().len(), 1);
}

#[tokio::test]
async fn other_methods_and_other_names_find_nothing() {
    let desk = shop();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let request = Request::builder().method(method).uri("/hooks/shop").body(Body::empty()).unwrap();
        let answer = desk.send(request).await;
        assert_eq!(
            (answer.status, &answer.headers["allow"]),
            (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
        );
    }
    assert_eq!(desk.post("/hooks/other", &[], BODY).await.status, StatusCode::NOT_FOUND);
    desk.hooks.replace([]);
    assert_eq!(
        post(&desk, "e1", BODY, BODY).await.status,
        StatusCode::NOT_FOUND,
        "a removed connection is gone at once"
    );
    assert_eq!(desk.kept(), []);
}

#[tokio::test]
async fn a_connection_without_its_secret_asks_to_come_again() {
    let desk = Desk::new(SHOP, &[], 0);
    let answer = post(&desk, "e1", BODY, BODY).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.body.contains("huiliu connect"), "how to mend it is for the log");
    assert_eq!(desk.kept(), []);
}

#[tokio::test]
async fn a_sealed_envelope_is_opened_by_its_connector() {
    let desk = Desk::new(r#"verify = { kind = "connector" }"#, &[("webhook", "k")], 0);
    let hello = desk.send(Request::get("/hooks/shop?echo=a%2Bb+c").body(Body::empty()).unwrap()).await;
    assert_eq!((hello.status, hello.body.as_str()), (StatusCode::OK, "a+b+c"));
    let answer = desk.post("/hooks/shop?msg_signature=1", &[], b"sealed:<xml/>").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "success"));
    let again = desk.post("/hooks/shop?msg_signature=2", &[], b"sealed:<xml/>").await;
    assert_eq!((again.status, again.body.as_str()), (StatusCode::OK, "success"));
    assert_eq!(desk.post("/hooks/shop", &[], b"<xml/>").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(desk.post("/hooks/shop", &[], b"odd").await.status, StatusCode::BAD_REQUEST);
    let event_by_get = Request::get("/hooks/shop").body(Body::from("sealed:x")).unwrap();
    assert_eq!(desk.send(event_by_get).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let kept = desk.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].body.as_ref(), kept[0].dedupe.as_str()), (&b"<xml/>"[..], "event-7"));
}

#[tokio::test]
async fn a_token_in_the_address_does_not_enter_the_inbox() {
    let webhook = r#"verify = { kind = "shared_token", param = "code", secret = "{secret.webhook}" }"#;
    let desk = Desk::new(webhook, &[("webhook", "hush")], 0);
    for target in ["/hooks/shop?a=1&code=hush&b=2", "/hooks/shop?code=hush"] {
        assert_eq!(desk.post(target, &[], target.as_bytes()).await.status, StatusCode::OK);
    }
    let targets: Vec<String> = desk.kept().into_iter().map(|it| it.target).collect();
    assert_eq!(targets, ["/hooks/shop?a=1&b=2", "/hooks/shop"]);
}

/// What is being read, and what waits for the inbox, takes a bounded amount of memory together.
#[tokio::test(start_paused = true)]
async fn who_comes_when_memory_is_spoken_for_is_asked_to_come_again() {
    let desk = shop();
    desk.mood(Mood::Hang);
    // A call that does not tell its length counts as the longest, and 63 of them fill what there is.
    let large = vec![b' '; BODY_BYTES_MAX];
    let mut waiting: Vec<_> = (0..63).map(|_| Box::pin(post(&desk, "e1", &large, &large))).collect();
    for call in &mut waiting {
        assert!(look(call.as_mut()).await.is_none(), "it waits for the inbox");
    }
    let told = post(&desk, "e2", BODY, BODY).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.headers["retry-after"], "5");
    assert!(told.body.contains("\"busy\""), "{}", told.body);
    drop(waiting);
    desk.mood(Mood::Keep);
    assert_eq!(post(&desk, "e2", BODY, BODY).await.status, StatusCode::OK, "there is room again");
}

/// A body that never brings anything.
struct Never;

impl http_body::Body for Never {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

/// The desk's connection with other limits.
fn limited(limits: Limits) -> Desk {
    let desk = shop();
    let hook =
        Hook { connection: "shop".into(), connector: kit::paper(SHOP), cx: kit::cx(&[("webhook", "hush")], 0), limits };
    desk.hooks.replace([hook]);
    desk
}

#[tokio::test]
async fn a_connection_that_calls_more_often_than_it_may_is_told_to_come_again() {
    let desk = limited(Limits { per_second: NonZeroU32::new(2), ..Limits::default() });
    let mut told = Vec::new();
    for event in ["e1", "e2", "e3"] {
        // What proves nothing uses up nothing.
        assert_eq!(post(&desk, event, BODY, b"forged").await.status, StatusCode::UNAUTHORIZED);
        told.push(post(&desk, event, BODY, BODY).await);
    }
    let statuses: Vec<StatusCode> = told.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]);
    assert_eq!(told[2].headers["retry-after"], "1");
    assert!(told[2].body.contains("too_many"), "{}", told[2].body);
    assert_eq!(desk.kept().len(), 2);
}

#[tokio::test]
async fn a_connection_whose_calls_wait_leaves_room_for_others() {
    let desk = limited(Limits { at_once: 1, ..Limits::default() });
    let told = std::sync::Arc::new(tokio::sync::Notify::new());
    desk.mood(Mood::Wait(std::sync::Arc::clone(&told)));
    let (first, second) = tokio::join!(post(&desk, "e1", BODY, BODY), async {
        // Nothing of it is waited for.
        let second = desk.send(Request::post("/hooks/shop").body(Body::new(Never)).unwrap()).await;
        told.notify_one();
        second
    });
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(second.headers["retry-after"], "1");
    desk.mood(Mood::Keep);
    assert_eq!(post(&desk, "e2", BODY, BODY).await.status, StatusCode::OK, "its turn is over with its answer");
}
