//! Sealed callbacks: opened or refused, and what an event means.

mod kit;

use huiliu_core::connector::{Connector as _, Opened, RawRequest, Received, Reply, Verified};
use huiliu_twins::wecom::WecomTwin;

use kit::{connector, raw, twin, with_secret, with_setting};

fn url_check(twin: &WecomTwin) -> (RawRequest, String) {
    let (query, plain) = twin.url_check();
    let target = format!("/hooks/wecom?{query}");
    (RawRequest { method: "GET".to_owned(), target, headers: Vec::new(), body: Vec::new().into() }, plain)
}

#[tokio::test]
async fn the_url_check_is_answered_with_the_bare_plaintext() {
    let (twin, cx) = twin().await;
    let (request, plain) = url_check(&twin);
    let opened = connector().open(&cx, &request).expect("a genuine check");
    assert_eq!(opened, Opened::Handshake(Reply { body: plain.into(), ..Reply::ok() }));
}

#[tokio::test]
async fn a_changed_call_is_refused() {
    let (twin, cx) = twin().await;
    let genuine = raw(&twin.sealed("/hooks/wecom", "change_external_contact", "add_external_contact", &[]));
    let connector = connector();
    assert!(connector.open(&cx, &genuine).is_ok());
    for (what, changed) in [
        (
            "signature",
            RawRequest { target: genuine.target.replace("msg_signature=", "msg_signature=0"), ..genuine.clone() },
        ),
        ("timestamp", RawRequest { target: genuine.target.replace("timestamp=1", "timestamp=2"), ..genuine.clone() }),
        ("nonce", RawRequest { target: genuine.target.replace("nonce=n", "nonce=m"), ..genuine.clone() }),
        ("missing part", RawRequest { target: genuine.target.replace("nonce=", "once="), ..genuine.clone() }),
        ("no query", RawRequest { target: "/hooks/wecom".to_owned(), ..genuine.clone() }),
        ("no body", RawRequest { body: Vec::new().into(), ..genuine.clone() }),
        ("other body", RawRequest { body: "<xml><A>1</A></xml>".into(), ..genuine.clone() }),
        ("not UTF-8", RawRequest { body: vec![0xff; 8].into(), ..genuine.clone() }),
    ] {
        let refused = connector.open(&cx, &changed).expect_err(what);
        assert_eq!(refused.kind(), "unauthorized", "{what}: {refused}");
    }
    // The ciphertext, byte by byte.
    let text = String::from_utf8(genuine.body.to_vec()).expect("text");
    let start = text.find("<Encrypt><![CDATA[").expect("an envelope") + "<Encrypt><![CDATA[".len();
    let end = start + text[start..].find("]]>").expect("its end");
    for at in start..end {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = RawRequest { body: bytes.into(), ..genuine.clone() };
        assert_eq!(connector.open(&cx, &changed).expect_err("changed").kind(), "unauthorized");
    }
}

#[tokio::test]
async fn another_connections_call_is_refused() {
    let (twin, cx) = twin().await;
    let genuine = raw(&twin.sealed("/hooks/wecom", "change_external_contact", "add_external_contact", &[]));
    let connector = connector();
    for other in [
        with_secret(&cx, "callback_token", "another"),
        with_secret(&cx, "encoding_aes_key", "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR"),
        with_secret(&cx, "encoding_aes_key", "short"),
        with_setting(&cx, "corp_id", "wwffffffffffffffff"),
    ] {
        assert_eq!(connector.open(&other, &genuine).expect_err("another's").kind(), "unauthorized");
    }
}

#[tokio::test]
async fn a_day_old_call_is_refused_and_an_hour_old_one_is_not() {
    let (twin, cx) = twin().await;
    for (hours, accepted) in [(0, true), (1, true), (-1, true), (25, false), (-25, false)] {
        twin.set_time(kit::NOW - hours * 3600);
        let request = raw(&twin.sealed("/hooks/wecom", "change_external_contact", "add_external_contact", &[]));
        assert_eq!(connector().open(&cx, &request).is_ok(), accepted, "{hours} hours");
    }
}

fn opened(cx: &huiliu_core::connector::Cx, request: &RawRequest) -> (Verified, String) {
    match connector().open(cx, request).expect("a genuine call") {
        Opened::Message { body, dedupe, reply } => {
            assert_eq!(reply, Reply::ok());
            (Verified { request: RawRequest { body, ..request.clone() } }, dedupe)
        }
        Opened::Handshake(_) => panic!("an event is no handshake"),
    }
}

#[tokio::test]
async fn a_repeat_is_known_and_two_events_of_one_second_are_two() {
    let (twin, cx) = twin().await;
    let event = |user: &str| {
        let fields = [("UserID", user), ("ExternalUserID", "wm1")];
        raw(&twin.sealed("/hooks/wecom", "change_external_contact", "edit_external_contact", &fields))
    };
    let (one, other, again) = (event("ann"), event("bob"), event("ann"));
    assert_eq!(opened(&cx, &one).1, opened(&cx, &one).1);
    assert_ne!(opened(&cx, &one).1, opened(&cx, &other).1);
    // The second edit of a second: equal content, another call.
    assert_ne!(opened(&cx, &one).1, opened(&cx, &again).1);
}

fn shown(received: &Received) -> String {
    match received {
        Received::Hint { stream, id } => format!("hint {stream}/{id}"),
        Received::Deleted { stream, id, version } => {
            let version = version.as_ref().expect("events are stamped");
            assert_eq!(version.order, Some(kit::NOW * 1_000_000));
            format!("deleted {stream}/{id}")
        }
        Received::Merged { stream, id, into } => format!("merged {stream} {id} {into}"),
        Received::Poke { stream } => format!("poke {stream}"),
        Received::Record(_) => "record".to_owned(),
    }
}

/// Event, change, fields, and what they mean.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[tokio::test]
async fn events_become_hints_deletions_and_pokes() {
    let (twin, cx) = twin().await;
    let contact = [("UserID", "ann"), ("ExternalUserID", "wm1")];
    let (chat, tag, group) =
        ([("ChatId", "wr1")], [("Id", "et1"), ("TagType", "tag")], [("Id", "g1"), ("TagType", "tag_group")]);
    let rows: [Row; 18] = [
        ("change_external_contact", "add_external_contact", &contact, &["hint contacts/ann:wm1"]),
        ("change_external_contact", "edit_external_contact", &contact, &["hint contacts/ann:wm1"]),
        ("change_external_contact", "add_half_external_contact", &contact, &["hint contacts/ann:wm1"]),
        ("change_external_contact", "transfer_fail", &contact, &["hint contacts/ann:wm1"]),
        ("change_external_contact", "del_external_contact", &contact, &["deleted contacts/ann:wm1"]),
        ("change_external_contact", "del_follow_user", &contact, &["deleted contacts/ann:wm1"]),
        ("change_external_contact", "msg_audit_approved", &contact, &[]),
        ("change_external_chat", "create", &chat, &["hint chats/wr1"]),
        ("change_external_chat", "update", &chat, &["hint chats/wr1"]),
        ("change_external_chat", "dismiss", &chat, &["deleted chats/wr1"]),
        ("change_external_tag", "create", &tag, &["hint tags/et1"]),
        ("change_external_tag", "update", &tag, &["hint tags/et1", "poke contacts"]),
        ("change_external_tag", "delete", &tag, &["deleted tags/et1", "poke contacts"]),
        ("change_external_tag", "delete", &group, &["poke tags", "poke contacts"]),
        ("change_external_tag", "create", &group, &["poke tags"]),
        ("change_external_tag", "shuffle", &group, &["poke tags"]),
        ("change_contact", "create_user", &[], &[]),
        ("kf_msg_or_event", "", &[], &[]),
    ];
    for json in [false, true] {
        twin.set_json_callbacks(json);
        for (event, change, fields, expected) in &rows {
            let (verified, _) = opened(&cx, &raw(&twin.sealed("/hooks/wecom", event, change, fields)));
            let received = connector().receive(&cx, &verified).expect("a readable event");
            assert_eq!(received.iter().map(shown).collect::<Vec<_>>(), *expected, "{event} {change}");
        }
    }
    let (broken, _) =
        opened(&cx, &raw(&twin.sealed("/hooks/wecom", "change_external_contact", "add_external_contact", &[])));
    assert_eq!(connector().receive(&cx, &broken).expect_err("no ids").kind(), "rejected");
}
