//! A form's way in: what a caller hears, what is kept, and any bytes at all.

mod kit;

use axum::body::Body;
use axum::http::Request;
use huiliu_webhooks::form::Token;
use kit::Desk;
use proptest::prelude::{ProptestConfig, any, prop};
use serde_json::Value;

const FORM: &str = r#"
carries = "record"
[webhook.verify]
kind = "form"
secret = "{secret.webhook}"
origins = "https://www.shop.example"
fields = "name, email*"
consents = "email"
consent_text = "I agree"
consent_version = "3"
title = "Contact"
thank_you = ""
address_header = "X-Forwarded-For"
trap = "homepage_url"
seconds_min = 2
seconds_max = 7200
per_minute = 3
"#;
const KEY: &str = "sixteen or more characters";
const NOW: i64 = 1_770_000_000;
const FORM_TYPE: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn desk() -> Desk {
    Desk::new(FORM, &[("webhook", KEY)], NOW)
}

fn target(age: i64, number: u8) -> String {
    let token = Token { issued_seconds: NOW - age, nonce: [number; 16] }.write(KEY.as_bytes(), "shop").unwrap();
    format!("/hooks/shop?token={token}&x=1")
}

#[tokio::test]
async fn a_submission_is_kept_as_json_without_its_token() {
    let desk = desk();
    let body = b"name=Li+Lei&email=a%40example.com&consent_email=on&homepage_url=&box=1&box=2&utm_source=fair";
    let answer = desk
        .post(
            &target(60, 1),
            &[FORM_TYPE, ("referer", "https://www.shop.example/x"), ("x-forwarded-for", "192.0.2.1")],
            body,
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let kept = desk.kept().remove(0);
    assert_eq!(kept.target, "/hooks/shop?x=1");
    assert_eq!(kept.dedupe, format!("form:{}", "01".repeat(16)));
    assert!(kept.headers.iter().all(|(name, _)| name != "x-forwarded-for"), "nobody's address is kept");
    let body: Value = serde_json::from_slice(&kept.body).unwrap();
    assert_eq!(body["values"], serde_json::json!({"name": "Li Lei", "email": "a@example.com", "box": "1, 2"}));
    assert_eq!(
        (&body["consent"]["email"]["text"], &body["consent"]["email"]["version"]),
        (&"I agree".into(), &"3".into())
    );
    assert_eq!((&body["page"], &body["channel"]), (&"https://www.shop.example/x".into(), &"fair".into()));
}

#[tokio::test]
async fn what_proves_nothing_is_kept_out() {
    let check = async |target: &str, headers: &[(&str, &str)], body: &str, status: u16| {
        let desk = desk();
        let answer = desk.post(target, headers, body.as_bytes()).await;
        assert_eq!(answer.status.as_u16(), status, "{target} {headers:?} {body}: {}", answer.body);
        assert!(desk.kept().is_empty(), "{target} {headers:?} {body}");
    };
    let good = target(60, 1);
    check("/hooks/shop", &[FORM_TYPE], "email=a", 403).await;
    check("/hooks/shop?token=", &[FORM_TYPE], "email=a", 403).await;
    check(&target(1, 1), &[FORM_TYPE], "email=a", 425).await;
    check(&target(7201, 1), &[FORM_TYPE], "email=a", 403).await;
    check(&target(-30, 1), &[FORM_TYPE], "email=a", 403).await;
    check(&good, &[FORM_TYPE, ("origin", "https://evil.example")], "email=a", 403).await;
    check(&good, &[FORM_TYPE, ("origin", "null")], "email=a", 403).await;
    check(&good, &[FORM_TYPE], "name=x", 422).await;
    check(&good, &[FORM_TYPE], "email=a&homepage_url=x", 200).await;
    check(&good, &[("content-type", "multipart/form-data; boundary=x")], "--x", 415).await;
    check(&good, &[("content-type", "application/json")], "[1]", 400).await;
    check(&good, &[FORM_TYPE], &format!("email={}", "a".repeat(20_001)), 413).await;
    check(&good, &[FORM_TYPE], &"a=1&".repeat(61), 413).await;
    check(&good, &[FORM_TYPE], &format!("email={}", "a".repeat(65_600)), 413).await;
}

#[tokio::test]
async fn an_address_has_its_share_and_a_short_key_proves_nothing() {
    let desk = desk();
    let mut told = Vec::new();
    for address in ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1", "10.0.0.1, 192.0.2.1", "192.0.2.2"] {
        told.push(desk.post("/hooks/shop", &[FORM_TYPE, ("x-forwarded-for", address)], b"").await.status.as_u16());
    }
    assert_eq!(told, [403, 403, 403, 429, 429, 403]);
    let short = Desk::new(FORM, &[("webhook", "short")], NOW);
    assert_eq!(short.post(&target(60, 1), &[FORM_TYPE], b"email=a").await.status, 503);
    let put = desk.send(Request::put("/hooks/shop").body(Body::empty()).unwrap()).await;
    assert_eq!(put.status, 405);
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "([a-z_]{1,12}=(\\PC|[%+&=<\"]){0,20}&){0,8}", json in any::<bool>(), number in any::<u8>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let kind = if json { ("content-type", "application/json") } else { FORM_TYPE };
        runtime.block_on(async {
            for body in [bytes.as_slice(), text.as_bytes()] {
                let desk = desk();
                let answer = desk.post(&target(60, number), &[kind], body).await;
                assert!([200, 400, 413, 415, 422].contains(&answer.status.as_u16()), "{}", answer.status);
                for kept in desk.kept() {
                    serde_json::from_slice::<Value>(&kept.body).unwrap();
                }
            }
        });
    }
}
