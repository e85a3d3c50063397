//! The address rule: a connection on the public network reaches no inner address, however it is written.

use std::time::Duration;

use huiliu_core::connector::{Connector as _, Cx, Network};
use huiliu_rest::http::{Http, Method, Request};
use serde_json::json;
use url::Url;

use crate::kit::{Answer, Server, connector, cx};

const TEXT: &str = r#"
[auth]
kind = "bearer"
token = "{secret.key}"
[streams.customers]
key = "/id"
records = "/items"
paginate = { kind = "none" }
pull = { path = "/customers" }
"#;

/// The server listens on loopback: each of these would reach it, were it not for the rule.
#[tokio::test]
async fn loopback_is_refused_in_every_spelling_and_by_name() {
    let server = Server::start(|_| Answer::json(&json!({ "items": [] }))).await;
    let port = Url::parse(&server.url).unwrap().port().unwrap();
    let connector = connector(TEXT);
    let at = |host: &str, network| Cx { network, ..crate::kit::cx_at(&format!("http://{host}:{port}")) };
    for host in
        ["127.0.0.1", "127.1", "0x7f.0.0.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST"]
    {
        let error = connector.check(&at(host, Network::Public)).await.unwrap_err();
        assert_eq!(error.kind(), "broken", "{host}: {error}");
        let text = error.to_string();
        assert!(text.contains("is not a public address") && text.contains("network = \"private\""), "{host}: {text}");
    }
    assert_eq!(server.asked().len(), 0);
    for host in ["127.0.0.1", "2130706433", "localhost"] {
        connector.check(&at(host, Network::Private)).await.unwrap();
    }
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn inner_networks_and_metadata_services_are_refused() {
    let connector = connector(TEXT);
    for host in [
        "10.0.0.1",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
    ] {
        let cx = Cx { network: Network::Public, ..crate::kit::cx_at(&format!("http://{host}")) };
        let error = connector.check(&cx).await.unwrap_err();
        assert!(error.to_string().contains("is not a public address"), "{host}: {error}");
    }
    let file = Cx { network: Network::Private, ..crate::kit::cx_at("file:///etc/passwd") };
    assert_eq!(connector.check(&file).await.unwrap_err().kind(), "broken");
}

/// A public page that points inside leads nowhere, and neither does any other redirect.
#[tokio::test]
async fn redirects_are_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let inner = Server::start(|_| Answer::json(&json!({ "items": [] }))).await;
        let there = inner.url.clone();
        let outer = Server::start(move |_| Answer::status(status).with("location", &there)).await;
        let error = connector(TEXT).pull(&cx(&outer), &"customers".into(), None).await.unwrap_err();
        assert_eq!(error.kind(), "broken", "{status}: {error}");
        assert_eq!((outer.asked().len(), inner.asked().len()), (1, 0));
    }
}

#[tokio::test]
async fn the_way_out_serves_other_crates_too() {
    let server = Server::start(|asked| Answer::text(&asked.body).with("x-seen", asked.header("content-type"))).await;
    let http = Http::for_cx(&cx(&server), Duration::from_secs(5), 100).unwrap().http1_only().unwrap();
    let url = Url::parse(&server.url).unwrap();
    let form = Request::new(Method::POST, url.clone()).form([("a", "1 &"), ("b", "ü")]);
    let reply = http.send(form).await.unwrap();
    assert_eq!((reply.status, reply.body.as_ref()), (200, b"a=1+%26&b=%C3%BC".as_slice()));
    assert_eq!(reply.header("x-seen"), Some("application/x-www-form-urlencoded"));
    let long = Request { body: Some(vec![b'x'; 101].into()), ..Request::new(Method::POST, url) };
    assert_eq!(http.send(long).await.err().map(|error| error.kind()), Some("broken"));
}
