//! Every scheme takes what it should, and refuses every call in which one byte differs.

mod kit;

use huiliu_core::connector::RawRequest;
use huiliu_webhooks::verify::{Proven, Refusal, verify};
use kit::{STANDARD_SECRET, base64, cx, hmac_sha256, paper, standard_signature};

const NOW: i64 = 1_614_265_330;
const STANDARD: &str = r#"verify = { kind = "standard", secret = "{secret.webhook}" }"#;
const SHOPIFY: &str = r#"verify = { kind = "hmac_sha256", header = "X-Shopify-Hmac-Sha256", encoding = "base64", secret = "{secret.webhook}" }"#;
const HEX: &str = r#"verify = { kind = "hmac_sha256", header = "X-Sig", encoding = "hex", prefix = "sha256=", secret = "{secret.webhook}" }"#;
const BASIC: &str = r#"verify = { kind = "basic", username = "{config.user}", password = "{secret.webhook}" }"#;
const TOKEN: &str =
    r#"verify = { kind = "shared_token", header = "X-Token", param = "token", secret = "Bearer {secret.webhook}" }"#;

fn call(headers: &[(&str, &str)], body: &[u8]) -> RawRequest {
    RawRequest {
        method: "POST".into(),
        target: "/hooks/shop".into(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.to_vec().into(),
    }
}

fn prove(webhook: &str, secret: &str, now: i64, request: RawRequest) -> Result<Proven, Refusal> {
    let connector = paper(webhook);
    let table = huiliu_core::connector::Connector::manifest(connector.as_ref()).webhook.clone().unwrap();
    verify(connector.as_ref(), &table, &cx(&[("webhook", secret)], now), request)
}

fn refused(result: &Result<Proven, Refusal>) -> bool {
    matches!(result, Err(Refusal::Unauthorized(_)))
}

/// The call passes; every change of one bit in a header or the body, and every lost or doubled header, is refused.
fn check(webhook: &str, secret: &str, request: &RawRequest) {
    let proven = prove(webhook, secret, NOW, request.clone());
    assert!(matches!(&proven, Ok(Proven::Message { .. })), "{webhook}: {proven:?}");
    for at in 0..request.body.len() {
        for bit in 0..8 {
            let mut body = request.body.to_vec();
            body[at] ^= 1 << bit;
            let changed = RawRequest { body: body.into(), ..request.clone() };
            let result = prove(webhook, secret, NOW, changed);
            assert!(refused(&result), "{webhook}: body byte {at} bit {bit}: {result:?}");
        }
    }
    for header in 0..request.headers.len() {
        for at in 0..request.headers[header].1.len() {
            for bit in 0..7 {
                let mut changed = request.clone();
                let mut value = changed.headers[header].1.clone().into_bytes();
                value[at] ^= 1 << bit;
                changed.headers[header].1 = String::from_utf8(value).unwrap();
                let result = prove(webhook, secret, NOW, changed.clone());
                assert!(refused(&result), "{webhook}: {:?}: {result:?}", changed.headers[header]);
            }
        }
        let mut lost = request.clone();
        lost.headers.remove(header);
        assert!(refused(&prove(webhook, secret, NOW, lost)), "{webhook}: lost {:?}", request.headers[header].0);
        let mut doubled = request.clone();
        doubled.headers.push(request.headers[header].clone());
        assert!(refused(&prove(webhook, secret, NOW, doubled)), "{webhook}: doubled {:?}", request.headers[header].0);
    }
}

#[test]
fn the_published_standard_webhooks_vector() {
    let headers = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ];
    check(STANDARD, STANDARD_SECRET, &call(&headers, br#"{"test": 2432232314}"#));
}

#[test]
fn a_body_hmac_in_base64_and_in_hex() {
    let body = r#"{"id":706405506930370084,"first_name":"李"}"#.as_bytes();
    let mac = hmac_sha256(b"hush", body);
    check(SHOPIFY, "hush", &call(&[("x-shopify-hmac-sha256", &base64(&mac))], body));
    check(HEX, "hush", &call(&[("x-sig", &format!("sha256={}", hex::encode(&mac)))], body));
    let capitals = format!("sha256={}", hex::encode_upper(&mac));
    assert!(refused(&prove(HEX, "hush", NOW, call(&[("x-sig", &capitals)], body))));
}

#[test]
fn an_hmac_as_rfc_4231_computes_it() {
    // Test case 2.
    let mac = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    check(HEX, "Jefe", &call(&[("x-sig", mac)], b"what do ya want for nothing?"));
}

#[test]
fn a_password_and_a_token() {
    let changed_only = |webhook: &str, header: (&str, &str)| {
        let whole = call(&[header], b"");
        check(webhook, "pass:word", &whole);
    };
    // The scheme's name may be written in any case (RFC 7617), so only the credentials are tampered with here.
    let given = base64(b"hub:pass:word");
    for scheme in ["Basic", "basic", "BASIC"] {
        let request = call(&[("authorization", &format!("{scheme} {given}"))], b"x");
        assert!(prove(BASIC, "pass:word", NOW, request).is_ok(), "{scheme}");
    }
    for (at, byte) in given.bytes().enumerate() {
        let mut value = given.clone().into_bytes();
        value[at] = if byte == b'A' { b'B' } else { b'A' };
        let value = format!("Basic {}", String::from_utf8(value).unwrap());
        assert!(refused(&prove(BASIC, "pass:word", NOW, call(&[("authorization", &value)], b"x"))), "{value}");
    }
    changed_only(TOKEN, ("x-token", "Bearer pass:word"));
    for (target, fits) in [
        ("/hooks/shop?token=Bearer%20pass:word", true),
        ("/hooks/shop?token=Bearer%20pass:Word", false),
        ("/hooks/shop?token=", false),
    ] {
        let request = RawRequest { target: target.into(), ..call(&[], b"x") };
        assert_eq!(prove(TOKEN, "pass:word", NOW, request).is_ok(), fits, "{target}");
    }
}

#[test]
fn five_minutes_both_ways_and_not_a_second_more() {
    let stamp = NOW.to_string();
    let signature = standard_signature("msg_1", &stamp, b"{}");
    let request =
        call(&[("webhook-id", "msg_1"), ("webhook-timestamp", &stamp), ("webhook-signature", &signature)], b"{}");
    for (now, fits) in [(NOW - 301, false), (NOW - 300, true), (NOW + 300, true), (NOW + 301, false)] {
        assert_eq!(prove(STANDARD, STANDARD_SECRET, now, request.clone()).is_ok(), fits, "{}", now - NOW);
    }
}

#[test]
fn one_of_several_signatures_is_enough_and_other_kinds_do_not_count() {
    let stamp = NOW.to_string();
    let good = standard_signature("msg_1", &stamp, b"{}");
    let bad = standard_signature("msg_2", &stamp, b"{}");
    let with = |signature: &str| {
        call(&[("webhook-id", "msg_1"), ("webhook-timestamp", &stamp), ("webhook-signature", signature)], b"{}")
    };
    let many = format!("{}{good}", format!("{bad} ").repeat(8));
    for (signature, fits) in [
        (format!("{bad} {good}"), true),
        (format!("v1a,AAAA {good} {bad}"), true),
        (format!("{bad} {bad}"), false),
        (good.replace("v1,", "v1a,"), false),
        (good.replace("v1,", ""), false),
        (good.trim_end_matches('=').to_owned(), false),
        (many, false),
    ] {
        assert_eq!(prove(STANDARD, STANDARD_SECRET, NOW, with(&signature)).is_ok(), fits, "{signature}");
    }
}

#[test]
fn the_border_between_id_and_time_cannot_be_moved() {
    // All three sign the same text.
    let signature = standard_signature("msg", "1614265330", b"1614265330.{}");
    for (id, stamp, body, fits) in [
        ("msg", "1614265330", "1614265330.{}", true),
        ("msg.1614265330", "1614265330", "{}", false),
        ("msg", "1614265330.1614265330", "{}", false),
    ] {
        let headers = [("webhook-id", id), ("webhook-timestamp", stamp), ("webhook-signature", signature.as_str())];
        assert_eq!(prove(STANDARD, STANDARD_SECRET, NOW, call(&headers, body.as_bytes())).is_ok(), fits, "{id}");
    }
}

#[test]
fn a_connection_without_its_secret_accepts_nothing_and_says_what_to_do() {
    let body = b"{}";
    let empty_key = base64(&hmac_sha256(b"", body));
    for (secrets, told) in
        [(&[][..], "huiliu connect shop"), (&[("webhook", "")], "is empty; run `huiliu connect shop`")]
    {
        for webhook in [STANDARD, SHOPIFY, HEX, BASIC, TOKEN, r#"verify = { kind = "connector" }"#] {
            let connector = paper(webhook);
            let table = huiliu_core::connector::Connector::manifest(connector.as_ref()).webhook.clone().unwrap();
            let request = call(&[("x-shopify-hmac-sha256", &empty_key), ("authorization", "Basic aHViOg==")], body);
            match verify(connector.as_ref(), &table, &cx(secrets, NOW), request) {
                Err(Refusal::NotReady(text)) => assert!(text.contains(told), "{text}"),
                other => panic!("{webhook}: {other:?}"),
            }
        }
    }
    for weak in ["whsec_", "whsec_c2hvcnQ=", "not base64!"] {
        assert!(matches!(prove(STANDARD, weak, NOW, call(&[], body)), Err(Refusal::NotReady(_))), "{weak}");
    }
    let unknown = SHOPIFY.replace("{secret.webhook}", "{record.id}");
    let request = call(&[("x-shopify-hmac-sha256", "AAAA")], body);
    assert!(matches!(prove(&unknown, "x", NOW, request), Err(Refusal::NotReady(_))));
}

proptest::proptest! {
    #[test]
    fn no_input_panics_or_passes(names in proptest::collection::vec("\\PC{0,40}", 3), body: Vec<u8>, target in "\\PC{0,60}") {
        for (webhook, secret) in [(STANDARD, STANDARD_SECRET), (SHOPIFY, "k"), (HEX, "k"), (BASIC, "k"), (TOKEN, "k")] {
            for stamp in ["1614265330", names[1].as_str()] {
                let headers = [
                    ("webhook-id", names[0].as_str()),
                    ("webhook-timestamp", stamp),
                    ("webhook-signature", names[2].as_str()),
                    ("x-shopify-hmac-sha256", names[0].as_str()),
                    ("x-sig", names[1].as_str()),
                    ("authorization", names[2].as_str()),
                    ("x-token", names[0].as_str()),
                ];
                let request = RawRequest { target: format!("/hooks/shop?{target}"), ..call(&headers, &body) };
                proptest::prop_assert!(prove(webhook, secret, NOW, request).is_err());
            }
        }
    }
}

/// WooCommerce asks once, unsigned, whether anybody is here. Anything beside exactly that must prove its origin.
#[test]
fn a_declared_ping_is_answered_and_nothing_else_passes_unsigned() {
    const WOO: &str = r#"verify = { kind = "hmac_sha256", header = "X-Sig", encoding = "base64", secret = "{secret.webhook}" }
ping = { kind = "form", field = "webhook_id" }"#;
    let form = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
    let ask = |headers: &[(&str, &str)], body: &[u8]| prove(WOO, "key", NOW, call(headers, body));
    assert!(matches!(ask(&form, b"webhook_id=17"), Ok(Proven::Handshake(reply)) if reply.status == 200));
    for body in [
        &b"webhook_id="[..],
        b"webhook_id=17&x=1",
        b"webhook_id=1e3",
        b"webhook_id=-1",
        b"id=17",
        b"{\"id\":1}",
        b"webhook_id=123456789012345678901",
    ] {
        assert!(refused(&ask(&form, body)), "{}", String::from_utf8_lossy(body));
    }
    assert!(refused(&ask(&[("content-type", "application/json")], b"webhook_id=17")));
    assert!(refused(&ask(&[], b"webhook_id=17")));
    let strict = WOO.split('\n').next().unwrap();
    assert!(refused(&prove(strict, "key", NOW, call(&form, b"webhook_id=17"))), "only where it is declared");
}

/// HubSpot signs the address that the world knows, and tells the time in milliseconds.
#[test]
fn hubspot_v3_covers_method_address_body_and_time() {
    const HUBSPOT: &str =
        r#"verify = { kind = "hubspot_v3", secret = "{secret.webhook}", public_url = "https://hub.example/" }"#;
    let (body, stamp) = (br#"[{"objectId":1}]"#, (NOW * 1_000 + 7).to_string());
    let signed = |address: &str| {
        let text = [b"POST", address.as_bytes(), body.as_slice(), stamp.as_bytes()].concat();
        base64(&hmac_sha256(b"app secret", &text))
    };
    let signature = signed("https://hub.example/hooks/shop");
    let headers = [("x-hubspot-signature-v3", signature.as_str()), ("x-hubspot-request-timestamp", stamp.as_str())];
    check(HUBSPOT, "app secret", &call(&headers, body));
    let at = |seconds: i64| prove(HUBSPOT, "app secret", NOW + seconds, call(&headers, body));
    assert!(at(300).is_ok() && at(-299).is_ok());
    assert!(refused(&at(301)) && refused(&at(-300)), "neither too old nor from the future");
    let elsewhere = signed("http://127.0.0.1:8080/hooks/shop");
    let headers = [("x-hubspot-signature-v3", elsewhere.as_str()), ("x-hubspot-request-timestamp", stamp.as_str())];
    assert!(refused(&prove(HUBSPOT, "app secret", NOW, call(&headers, body))), "the socket's address proves nothing");
    let mut other = call(&headers, body);
    "/hooks/shop?x=1".clone_into(&mut other.target);
    assert!(refused(&prove(HUBSPOT, "app secret", NOW, other)));
}
