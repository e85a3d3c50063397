//! Whatever stands in a manifest, a cursor or a reply: no panic, and a mistake names its place.

use huiliu_core::manifest::Paginate;
use huiliu_rest::check;
use huiliu_rest::cursor::Position;
use huiliu_rest::http::{HeaderMap, HeaderValue};
use huiliu_rest::paging::{self, Asked, Shown};
use huiliu_rest::template::Template;
use huiliu_rest::{pointer, throttle};
use proptest::prelude::*;
use serde_json::Value;
use url::Url;

use huiliu_core::manifest::Manifest;

/// Uses every section, so that changing any line of it changes something that is checked.
const WHOLE: &str = r#"
[connector]
name = "kit"
title = "Kit"
about = "A system."
driver = "rest"
base_url = "https://{config.shop}.example/api"
limits = { requests_per_second = 4, timeout_ms = 10000 }
config.shop = { type = "string", description = "The shop." }
secret.key = { description = "The key." }
headers = { "X-Shop" = "{config.shop}" }
errors = [{ status = 403, at = "/code", equals = "suspended", kind = "unauthorized" }]
check = { path = "/me" }
[auth]
kind = "oauth2_client"
token_url = "https://{config.shop}.example/token"
client = { id = "{config.shop}", secret = "{secret.key}" }
[defaults]
key = "/id"
version = "/updated_at"
records = "/items"
paginate = { kind = "cursor", from = "/next", param = "after", more = "/more" }
[streams.customers]
pull = { path = "/customers", params = { a = "b" }, since = { param = "since", overlap_seconds = 120, zone = "Asia/Shanghai" } }
fetch = { path = "/customers/{record.id}" }
update = { method = "PATCH", path = "/customers/{record.id}", precondition = "if_match", wrap = "/customer" }
deleted_when = { at = "/archived", equals = "true" }
[streams.customers.create]
method = "POST"
path = "/customers"
lookup = { path = "/customers", params = { mail = "{record.mail}" }, records = "/items", match_at = "/mail" }
batch = { path = "/batch", size = 10, items = "/in", results = "/out", errors = [{ at = "/error", kind = "rejected" }] }
[streams.customers.deletes]
pull = { path = "/deleted", since = { param = "since", overlap_seconds = 120 } }
paginate = { kind = "page", param = "page", size = 50 }
[webhook]
verify = { kind = "hmac_sha256", header = "X-Sig", encoding = "base64", secret = "{secret.key}" }
dedupe = ["header:X-Id"]
route = { by = "header:X-Topic", topics = { "c" = "customers" }, deletes = { "d" = "customers" } }
key_form = { customers = "gid/{id}" }
"#;

fn mistakes(text: &str) -> Vec<String> {
    match Manifest::parse("connectors/kit/connector.toml", text) {
        Err(diagnostic) => vec![diagnostic.to_string()],
        Ok(manifest) => check::manifest(&manifest).err().map(|error| error.mistakes).unwrap_or_default(),
    }
}

#[test]
fn the_whole_manifest_is_right() {
    assert_eq!(mistakes(WHOLE), [""; 0]);
}

/// Each mistake, by hand, with the place and the word that the message must hold.
#[test]
fn a_mistake_names_its_place() {
    for (right, wrong, place) in [
        ("\"/id\"", "\"id\"", "streams.customers.key"),
        ("path = \"/me\"", "path = \"/me?x=1\"", "connector.check.path"),
        ("{config.shop}.example/api", "{config.shp}.example/api", "connector.base_url: config.shp is not declared"),
        ("secret = \"{secret.key}\" }\n[def", "secret = \"{secret.kee}\" }\n[def", "auth.client.secret"),
        (
            "path = \"/customers/{record.id}\" }\nup",
            "path = \"/customers/{record.id\" }\nup",
            "streams.customers.fetch.path",
        ),
        (
            "precondition = \"if_match\"",
            "precondition = \"read_compare\", batch = { path = \"/b\", size = 1, items = \"\", results = \"\" }",
            "streams.customers.update.batch",
        ),
        ("Asia/Shanghai", "Asia/Shanghay", "streams.customers.pull.since.zone"),
        ("size = 50", "size = 0", "streams.customers.deletes.pull: paginate"),
        ("items = \"/in\"", "items = \"in\"", "streams.customers.create.batch"),
        ("errors = [{ at = \"/error\", kind", "errors = [{ kind", "streams.customers.create.batch.errors"),
        ("header:X-Topic", "haeder:X-Topic", "webhook.route.by"),
        ("topics = { \"c\" = \"customers\" }", "topics = { \"c\" = \"customer\" }", "there is no stream `customer`"),
        ("gid/{id}", "gid/", "webhook.key_form.customers"),
        ("kind = \"oauth2_client\"", "kind = \"oauth2_clint\"", "connector.toml:"),
        ("version = \"/updated_at\"", "verison = \"/updated_at\"", "connector.toml:"),
        ("lookup = {", "# {", "declare `lookup`"),
    ] {
        let text = WHOLE.replacen(right, wrong, 1);
        assert_ne!(text, WHOLE, "{right}");
        let found = mistakes(&text);
        assert!(found.iter().any(|mistake| mistake.contains(place)), "{wrong}: {place} is not in {found:?}");
    }
}

/// Texts that look a little like what is expected.
fn near() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "{",
        "}",
        "{config.shop}",
        "{record.",
        "id}",
        "/",
        "~",
        "~1",
        "*",
        "<",
        ">",
        ";",
        ",",
        "rel=",
        "next",
        "\"",
        "=",
        " ",
        "0",
        "9223372036854775808",
        "-1",
        "é",
        "李",
        "\u{0}",
        "\\",
        "'",
        "http://",
        "//",
        ".",
        "..",
        "[",
        "]",
        "null",
        "page",
    ]);
    prop::collection::vec(parts, 0..12).prop_map(|parts| parts.concat())
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        near().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(near(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn paginate() -> impl Strategy<Value = Paginate> {
    let text = || prop_oneof![Just("/next".to_owned()), Just("after".to_owned()), near()];
    prop_oneof![
        (text(), text(), prop::option::of(text())).prop_map(|(from, param, more)| Paginate::Cursor {
            from,
            param,
            more
        }),
        (text(), any::<u64>(), any::<u64>()).prop_map(|(param, first, size)| Paginate::Page {
            param,
            first,
            size,
            size_param: None,
            pages_header: Some("x-pages".to_owned()),
        }),
        (text(), any::<u64>()).prop_map(|(param, size)| Paginate::Offset { param, size, size_param: Some("n".into()) }),
        Just(Paginate::LinkHeader {}),
        Just(Paginate::None {}),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_spoiled_manifest_is_right_or_says_where_it_is_not(at in 0..WHOLE.len(), cut in 0_usize..40, put in near()) {
        let end = (at + cut).min(WHOLE.len());
        prop_assume!(WHOLE.is_char_boundary(at) && WHOLE.is_char_boundary(end));
        let text = format!("{}{put}{}", &WHOLE[..at], &WHOLE[end..]);
        for mistake in mistakes(&text) {
            prop_assert!(mistake.contains(':') || mistake.contains("streams.") || mistake.contains("connector."), "{}", mistake);
            prop_assert!(mistake.len() < 4_000);
        }
    }

    #[test]
    fn any_text_is_no_manifest_or_one(text in any::<String>()) {
        let _ = mistakes(&text);
    }

    #[test]
    fn a_template_is_parsed_or_refused(text in near()) {
        if let Err(message) = Template::parse(&text) {
            prop_assert!(message.contains('`'), "{}", message);
        }
    }

    #[test]
    fn pointers_find_and_put_anywhere(value in json(), pointer in near(), new in json()) {
        let mut value = value;
        prop_assert!(pointer::find(&value, &pointer).len() <= 64);
        let _ = throttle::wait(&value);
        pointer::put(&mut value, &pointer, new.clone());
        // A pointer without a star that was put is found again.
        if pointer.is_empty() || pointer.starts_with('/') && !pointer.contains('~') {
            prop_assert_eq!(value.pointer(&pointer), Some(&new));
        }
    }

    #[test]
    fn a_cursor_is_opened_or_expired(text in prop_oneof![near(), any::<String>()]) {
        if let Err(error) = Position::open(Some(&text.into())) {
            prop_assert_eq!(error.kind(), "cursor_expired");
        }
    }

    #[test]
    fn paging_goes_on_or_says_why_not(
        paginate in paginate(),
        page in prop::option::of(near()),
        link in near(),
        reply in json(),
        records in 0_usize..100,
    ) {
        let mut url = Url::parse("https://a.example/x?y=1").unwrap();
        let mut body = None;
        let asked = paging::ask(&paginate, page.as_deref(), &mut Asked { url: &mut url, body: &mut body });
        prop_assert_eq!(url.host_str(), Some("a.example"), "{:?}", asked);
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&link) {
            headers.insert("link", value);
        }
        let next = paging::next(&paginate, page.as_deref(), &url, &headers, &Shown { reply: &reply, records, last: None });
        if let (Ok(Some(next)), Paginate::Cursor { .. }) = (next, paginate) {
            prop_assert_ne!(page, Some(next), "the same page again");
        }
    }
}
