//! How calls prove who calls.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use huiliu_core::connector::{Connector as _, Cx, Operation};
use huiliu_rest::connector::RestConnector;
use serde_json::json;

use crate::kit::{Answer, Asked, Server, connector, cx, delivery};

const STREAM: &str = r#"
[streams.customers]
key = "/id"
records = ""
paginate = { kind = "none" }
pull = { path = "/customers", params = { kept = "yes" } }
create = { method = "POST", path = "/customers" }
"#;

async fn one_call(auth: &str, headers: &str) -> (Asked, RestConnector, Cx) {
    let server = Server::start(|_| Answer::json(&json!([]))).await;
    let connector = connector(&format!("{headers}\n[auth]\n{auth}\n{STREAM}"));
    let cx = cx(&server);
    connector.pull(&cx, &"customers".into(), None).await.unwrap();
    let mut asked = server.asked();
    assert_eq!(asked.len(), 1);
    (asked.remove(0), connector, cx)
}

#[tokio::test]
async fn a_key_travels_in_a_header() {
    let (asked, ..) = one_call(
        r#"kind = "api_key"
header = "X-Key"
value = "Token {secret.key}""#,
        "",
    )
    .await;
    assert_eq!(asked.header("x-key"), "Token s3cret-key");
    assert_eq!(asked.param("kept"), "yes");
}

#[tokio::test]
async fn a_key_travels_in_the_query() {
    let auth = r#"kind = "api_key"
param = "api_key"
value = "{secret.key}""#;
    let (asked, ..) = one_call(auth, "").await;
    assert_eq!((asked.param("api_key"), asked.param("kept")), ("s3cret-key", "yes"));
}

#[tokio::test]
async fn basic_and_bearer_are_as_the_standards_say() {
    let auth = r#"kind = "basic"
username = "{config.shop}"
password = "{secret.key}""#;
    let (asked, ..) = one_call(auth, "").await;
    assert_eq!(asked.header("authorization"), format!("Basic {}", BASE64_STANDARD.encode("one:s3cret-key")));
    let (asked, ..) = one_call("kind = \"bearer\"\ntoken = \"{secret.key}\"", "").await;
    assert_eq!(asked.header("authorization"), "Bearer s3cret-key");
}

/// A key pair signs each call: a new nonce each time, nothing of the secret in the call, and what was asked is kept.
#[tokio::test]
async fn oauth_1_signs_the_query_and_never_sends_the_secret() {
    let auth =
        "kind = \"oauth1\"\nconsumer_key = \"{config.shop}\"\nconsumer_secret = \"{secret.key}\"\nover_tls = \"basic\"";
    let (first, connector, cx) = one_call(auth, "").await;
    assert_eq!((first.param("kept"), first.param("oauth_consumer_key")), ("yes", "one"));
    assert_eq!(first.param("oauth_timestamp"), crate::kit::DAY_ONE_S.to_string());
    assert_eq!((first.param("oauth_signature_method"), first.header("authorization")), ("HMAC-SHA256", ""));
    assert!(!format!("{first:?}").contains("s3cret-key"));
    let server = Server::start(|_| Answer::json(&json!([]))).await;
    let again = Cx { settings: crate::kit::cx(&server).settings, ..cx };
    connector.pull(&again, &"customers".into(), None).await.unwrap();
    assert_ne!(server.asked()[0].param("oauth_nonce"), first.param("oauth_nonce"));
}

/// What an independent implementation (oauthlib 3.2.2, PyPI) signs for the same call.
#[test]
fn oauth_1_signs_as_oauthlib_does() {
    let url = url::Url::parse(
        "http://shop.example:8080/wp-json/wc/v3/orders?status=any&search=%E6%9D%8E%20%E9%9B%B7%2Ba%26b&page=2",
    )
    .unwrap();
    let secret = huiliu_core::secrets::Secret::new("cs_not_a_real_secret");
    let stamp =
        huiliu_rest::sign::Oauth1Stamp { seconds: 1_767_323_045, nonce: "00112233445566778899aabbccddeeff".into() };
    let sign = |method: &str, url: &url::Url| {
        let params = huiliu_rest::sign::oauth1(method, url, "ck_not_a_real_key", &secret, &stamp).unwrap();
        params.into_iter().find(|(name, _)| name == "oauth_signature").unwrap().1
    };
    assert_eq!(sign("GET", &url), "ArHa2dNsOgAQ2K0GtV/8UceNjvdrjCMXbsRK7V7Olyk=");
    let default = url::Url::parse("http://SHOP.example:80/wp-json/wc/v3/orders").unwrap();
    let bare = url::Url::parse("http://shop.example/wp-json/wc/v3/orders").unwrap();
    assert_eq!(sign("POST", &default), sign("POST", &bare));
    assert_ne!(sign("POST", &bare), sign("GET", &bare));
}

#[tokio::test]
async fn no_authentication_sends_none_and_headers_of_the_manifest_go_along() {
    let headers = r#"headers = { "X-Shop" = "{config.shop}", "X-Api-Version" = "2026-01" }"#;
    let (asked, ..) = one_call("kind = \"none\"\nreason = \"a list that everybody may read\"", headers).await;
    assert_eq!(asked.header("authorization"), "");
    assert_eq!((asked.header("x-shop"), asked.header("x-api-version")), ("one", "2026-01"));
    assert!(asked.header("user-agent").starts_with("huiliu/"));
}

#[tokio::test]
async fn a_missing_secret_names_the_command_that_sets_it() {
    let (_, connector, cx) = one_call("kind = \"bearer\"\ntoken = \"{secret.key}\"", "").await;
    let empty = Cx { secrets: std::sync::Arc::default(), ..cx };
    let error = connector.check(&empty).await.unwrap_err();
    assert_eq!(error.kind(), "unauthorized");
    assert_eq!(error.to_string(), "secret.key of connection kit-1 is not set; run `huiliu connect kit-1`");
}

#[tokio::test]
async fn a_secret_with_a_line_break_is_refused_and_not_shown() {
    let (_, connector, cx) = one_call("kind = \"bearer\"\ntoken = \"{secret.key}\"", "").await;
    let secrets = [("key".to_owned(), huiliu_core::secrets::Secret::new("abc\r\nX-Evil: 1"))];
    let broken = Cx { secrets: std::sync::Arc::new(secrets.into()), ..cx };
    let error = connector.check(&broken).await.unwrap_err();
    assert!(!error.to_string().contains("abc"), "{error}");
}

/// The signature of the Standard Webhooks specification over what was really sent.
#[tokio::test]
async fn a_standard_webhook_is_signed_over_the_sent_body() {
    let server = Server::start(|_| Answer::text("thanks, no JSON")).await;
    let connector = connector(&format!("[auth]\nkind = \"standard_webhook\"\nsecret = \"{{secret.key}}\"\n{STREAM}"));
    let mut cx = cx(&server);
    let whsec = format!("whsec_{}", BASE64_STANDARD.encode("0123456789abcdef01234567"));
    let secrets = [("key".to_owned(), huiliu_core::secrets::Secret::new(whsec))];
    cx.secrets = std::sync::Arc::new(secrets.into());
    let receipt = connector.push(&cx, &delivery(Operation::Create, None, json!({ "name": "李雷" }))).await.unwrap();
    let asked = server.asked().remove(0);
    assert_eq!(asked.header("webhook-id"), "0123456789abcdef0123456789abcdef");
    assert_eq!(receipt.id.as_str(), "0123456789abcdef0123456789abcdef");
    let seconds = asked.header("webhook-timestamp");
    let text = format!("{}.{seconds}.{}", asked.header("webhook-id"), asked.body);
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"0123456789abcdef01234567").unwrap();
    hmac::Mac::update(&mut mac, text.as_bytes());
    let expected = BASE64_STANDARD.encode(hmac::Mac::finalize(mac).into_bytes());
    assert_eq!(asked.header("webhook-signature"), format!("v1,{expected}"));
}

#[tokio::test]
async fn a_setting_that_is_a_part_of_the_address_cannot_leave_it() {
    let text = format!("[auth]\nkind = \"bearer\"\ntoken = \"{{secret.key}}\"\n{STREAM}");
    let mut manifest = crate::kit::manifest(&text);
    manifest.connector.base_url = Some("https://{config.shop}.example.com".to_owned());
    manifest.connector.config.remove("base_url");
    let connector = RestConnector::new(manifest).unwrap();
    let server = Server::start(|_| Answer::json(&json!([]))).await;
    for shop in ["evil.test/", "a@evil.test", "a?b", "a#b", "a:80", "", "a\\b", "a%2fb"] {
        let mut cx = cx(&server);
        cx.settings = std::sync::Arc::new([("shop".to_owned(), shop.to_owned())].into());
        let error = connector.check(&cx).await.unwrap_err();
        assert!(error.to_string().starts_with("config.shop may hold letters"), "{shop}: {error}");
    }
    assert_eq!(server.asked().len(), 0);
}
