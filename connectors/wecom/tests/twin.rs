//! The verbs against the twin.

mod kit;

use std::collections::BTreeMap;

use huiliu_core::connector::{
    Connector as _, ConnectorError, Cursor, Cx, Delivery, Network, Operation, Page, Receipt, Received, Record,
};
use huiliu_twins::wecom::{Customer, WecomTwin};
use huiliu_wecom::wecom::WeCom;
use serde_json::{Value, json};

use kit::{connector, key, twin, with_secret, with_setting};

/// All pages from a cursor, with the cursor that each began at.
async fn pages(connector: &WeCom, cx: &Cx, stream: &str, from: Option<&Cursor>) -> Vec<(Option<Cursor>, Page)> {
    let mut at = from.cloned();
    let mut pages = Vec::new();
    loop {
        let page = connector.pull(cx, &stream.into(), at.as_ref()).await.expect("a page");
        let (next, more) = (page.next.clone(), page.more);
        assert_eq!(more, !page.complete_scan, "a scan ends complete");
        pages.push((at, page));
        assert!(pages.len() < 100, "paging ends");
        if !more {
            return pages;
        }
        at = next;
    }
}

fn records<'a>(pages: impl IntoIterator<Item = &'a (Option<Cursor>, Page)>) -> BTreeMap<String, Value> {
    let items = pages.into_iter().flat_map(|(_, page)| &page.items);
    let records = items.map(|item| match item {
        Received::Record(record) => (record.id.to_string(), record.body.clone()),
        other => panic!("a pull brings records, not {other:?}"),
    });
    records.collect()
}

/// 120 members with 0 to 4 customers each: more than one group of members, more than one page in a group.
async fn crowd(twin: &WecomTwin) {
    let vip = twin.create_tag("等级", "VIP").await;
    assert!(!vip.is_empty());
    for member in 0..120 {
        let userid = format!("member{member:03}");
        twin.add_member(&userid);
        for customer in 0..member % 5 {
            let external =
                twin.preload_contact(&userid, Customer::named(&format!("客户{member}-{customer}")).with_gender(2));
            twin.edit_mobiles(&userid, &external, &["13800138000", "+85251234567"]);
            if customer == 0 {
                twin.set_tags(&userid, &external, &["VIP"]).await;
                twin.set_personal_tag(&userid, &external, "私人");
            }
        }
    }
}

#[tokio::test]
async fn a_scan_reads_everything_and_resumes_from_any_cursor() {
    let (twin, cx) = twin().await;
    crowd(&twin).await;
    let connector = connector();
    let all = pages(&connector, &cx, "contacts", None).await;
    assert_eq!(all.len(), 3, "two pages of the first hundred members, one of the others");
    let shown = records(&all);
    let snapshot = twin.snapshot();
    assert_eq!(shown.keys().collect::<Vec<_>>(), snapshot.as_object().expect("rows").keys().collect::<Vec<_>>());
    for (start, (from, _)) in all.iter().enumerate() {
        let rest = pages(&connector, &cx, "contacts", from.as_ref()).await;
        assert_eq!(records(&rest), records(&all[start..]), "from page {start}");
    }
    let next = all.last().and_then(|(_, page)| page.next.clone());
    assert_eq!(
        records(&pages(&connector, &cx, "contacts", next.as_ref()).await),
        shown,
        "the next scan is whole again"
    );
    // Both shapes of a contact are one shape: mobiles apart, which travel as numbers here and as texts there.
    for (id, body) in shown.iter().take(8) {
        let fetched = connector.fetch(&cx, &key("contacts", id)).await.expect("an answer").expect("the contact");
        assert_eq!(fetched.body["follow_info"]["tag_names"], body["follow_info"]["tag_names"]);
        assert_eq!(fetched.body["follow_info"]["tag_names"], snapshot[id]["follow_info"]["tag_names"]);
        assert_eq!(fetched.body["external_contact"], body["external_contact"]);
        assert_eq!((&fetched.body["corp_id"], &fetched.body["userid"]), (&body["corp_id"], &body["userid"]));
    }
    assert!(shown.values().any(|body| body["follow_info"]["tag_names"] == json!(["VIP"])));
}

#[tokio::test]
async fn a_scan_begins_again_when_the_members_change() {
    let (twin, cx) = twin().await;
    crowd(&twin).await;
    let connector = connector();
    let first = connector.pull(&cx, &"contacts".into(), None).await.expect("a page");
    twin.preload_contact("aaa-new", Customer::named("新客户"));
    let rest = pages(&connector, &cx, "contacts", first.next.as_ref()).await;
    assert_eq!(records(&rest).len(), twin.snapshot().as_object().expect("rows").len());
}

#[tokio::test]
async fn nobody_has_customers() {
    let (twin, cx) = twin().await;
    let connector = connector();
    for _ in 0..2 {
        let page = connector.pull(&cx, &"contacts".into(), None).await.expect("a page");
        assert!(page.items.is_empty() && page.complete_scan && !page.more);
        twin.add_member("ann");
    }
}

#[tokio::test]
async fn a_customer_with_many_followers_is_found_on_a_later_page() {
    let (twin, cx) = twin().await;
    let external = twin.preload_contact("member0000", Customer::named("大客户"));
    for member in 1..1_100 {
        twin.share_contact(&format!("member{member:04}"), &external).await;
    }
    let id = format!("member1099:{external}");
    let record = connector().fetch(&cx, &key("contacts", &id)).await.expect("an answer").expect("the contact");
    assert_eq!(record.body["userid"], "member1099");
    assert_eq!(twin.calls()["externalcontact/get"], 3);
}

#[tokio::test]
async fn what_is_gone_is_none() {
    let (twin, cx) = twin().await;
    let external = twin.add_contact("ann", Customer::named("李雷")).await;
    let connector = connector();
    twin.delete_contact("ann", &external).await;
    for (stream, id) in [
        ("contacts", format!("ann:{external}")),
        ("contacts", "ann:wmNobody".to_owned()),
        ("chats", "wrNone".to_owned()),
        ("tags", "etNone".to_owned()),
    ] {
        assert_eq!(connector.fetch(&cx, &key(stream, &id)).await, Ok(None), "{stream} {id}");
    }
    assert_eq!(connector.fetch(&cx, &key("contacts", "nocolon")).await.expect_err("no id").kind(), "rejected");
    assert_eq!(connector.fetch(&cx, &key("orders", "1")).await.expect_err("no stream").kind(), "broken");
}

#[tokio::test]
async fn chats_and_tags_are_read() {
    let (twin, cx) = twin().await;
    let connector = connector();
    for number in 0..230 {
        twin.create_chat(if number % 2 == 0 { "ann" } else { "bob" }, &format!("群{number}"), &["ann", "wm1"]).await;
    }
    let whole = records(&pages(&connector, &cx, "chats", None).await);
    assert_eq!(whole.len(), 230);
    // Too many to list at once: owner by owner, and such a scan never calls itself complete.
    twin.set_chat_list_max(100);
    let (mut by_owner, mut at) = (BTreeMap::new(), None);
    loop {
        let page = connector.pull(&cx, &"chats".into(), at.as_ref()).await.expect("a page");
        assert!(!page.complete_scan);
        let more = page.more;
        by_owner.extend(records(&[(None, page.clone())]));
        at = page.next;
        if !more {
            break;
        }
    }
    assert_eq!(by_owner, whole);
    let tag = twin.create_tag("等级", "VIP").await;
    let record = connector.fetch(&cx, &key("tags", &tag)).await.expect("an answer").expect("the tag");
    assert_eq!((&record.body["name"], &record.body["group_name"]), (&json!("VIP"), &json!("等级")));
    assert_eq!(records(&pages(&connector, &cx, "tags", None).await)[&tag], record.body);
}

#[tokio::test]
async fn the_token_is_kept_and_renewed() {
    let (twin, cx) = twin().await;
    let connector = connector();
    let issued = || twin.calls().get("gettoken").copied().unwrap_or(0);
    connector.check(&cx).await.expect("good credentials");
    connector.check(&cx).await.expect("good credentials");
    assert_eq!(issued(), 1, "kept");
    twin.end_token();
    connector.check(&cx).await.expect("renewed after a refusal");
    assert_eq!(issued(), 2);
    cx.clock.advance_us((7200 - 61) * 1_000_000);
    connector.check(&cx).await.expect("61 s are left");
    assert_eq!(issued(), 2);
    cx.clock.advance_us(1_000_000);
    connector.check(&cx).await.expect("60 s are left: renewed before it ends");
    assert_eq!(issued(), 3);
}

#[tokio::test]
async fn a_token_that_stays_refused_pauses_the_connection() {
    let (twin, cx) = twin().await;
    let connector = connector();
    connector.check(&cx).await.expect("good credentials");
    twin.end_token();
    twin.refuse_next(1, 42001);
    connector.check(&cx).await.expect("expired, renewed");
    for bad in [with_secret(&cx, "corp_secret", "wrong"), with_setting(&cx, "corp_id", "ww1")] {
        assert_eq!(connector.check(&bad).await.expect_err("bad credentials").kind(), "unauthorized");
    }
}

#[tokio::test]
async fn error_codes_in_http_200_become_kinds() {
    let (twin, cx) = twin().await;
    let connector = connector();
    connector.check(&cx).await.expect("good credentials");
    for (code, kind) in [
        (-1, "transient"),
        (45009, "rate_limited"),
        (45033, "rate_limited"),
        (60020, "unauthorized"),
        (48002, "unauthorized"),
        (40096, "rejected"),
    ] {
        // Each with a quota of its own: a limit asks for silence.
        let cx = Cx { quota: std::sync::Arc::new(huiliu_core::quota::Quota::unlimited()), ..cx.clone() };
        twin.refuse_next(1, code);
        let error = connector.check(&cx).await.expect_err("refused");
        assert_eq!(error.kind(), kind, "{code}: {error}");
        for secret in [huiliu_twins::wecom::CORP_SECRET, "token-1"] {
            assert!(!error.to_string().contains(secret), "{error}");
        }
    }
}

#[tokio::test]
async fn an_unreachable_system_is_transient_and_shows_no_secret() {
    kit::provider();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let cx = kit::cx(&format!("http://{address}"));
    let error = connector().check(&cx).await.expect_err("nobody listens");
    assert_eq!(error.kind(), "transient", "{error}");
    assert!(!error.to_string().contains(huiliu_twins::wecom::CORP_SECRET));
}

fn delivery(id: &str, body: Value, base: Value) -> Delivery {
    Delivery {
        number: 1,
        operation: Operation::Update,
        stream: "contacts".into(),
        id: Some(id.into()),
        body,
        base,
        base_version: None,
        idempotency_key: "0".repeat(32),
        attempt: 1,
    }
}

fn stored(receipt: Receipt) -> Record {
    receipt.stored.expect("read back")
}

#[tokio::test]
async fn a_push_writes_exactly_what_it_says_and_reads_it_back() {
    let (twin, cx) = twin().await;
    let connector = connector();
    for (group, tag) in [("等级", "VIP"), ("等级", "普通"), ("地区", "上海")] {
        twin.create_tag(group, tag).await;
    }
    let external = twin.preload_contact("ann", Customer::named("韩梅梅"));
    twin.edit_description("ann", &external, "老客户").await;
    twin.edit_mobiles("ann", &external, &["13800138000", "13900139000"]);
    twin.set_tags("ann", &external, &["普通", "上海"]).await;
    let id = format!("ann:{external}");
    let body = json!({"follow_info": {
        "remark": "韩梅梅（上海）", "remark_corp_name": "星河贸易", "remark_mobiles": ["+8613700137000"],
        "tag_names": ["VIP", "上海"],
    }});
    let base = json!({"follow_info": {
        "remark": null, "remark_corp_name": null, "remark_mobiles": ["13800138000"], "tag_names": ["上海", "普通"],
    }});
    let sent = delivery(&id, body, base);
    let record = stored(connector.push(&cx, &sent).await.expect("written"));
    let follow = &record.body["follow_info"];
    assert_eq!(follow["remark"], "韩梅梅（上海）");
    assert_eq!(follow["remark_corp_name"], "星河贸易");
    assert_eq!(follow["remark_mobiles"], json!(["13700137000", "13900139000"]));
    assert_eq!(follow["tag_names"], json!(["VIP", "上海"]));
    assert_eq!(follow["description"], "老客户", "not mentioned, not touched");
    assert_eq!(twin.writes()[&id], 2, "one remark, one mark_tag");
    let before = twin.snapshot();
    connector.push(&cx, &sent).await.expect("a repeat");
    assert_eq!(twin.snapshot(), before, "a repeat changes nothing");
}

#[tokio::test]
async fn what_a_member_wrote_meanwhile_is_not_overwritten() {
    let (twin, cx) = twin().await;
    let external = twin.preload_contact("ann", Customer::named("韩梅梅"));
    twin.edit_description("ann", &external, " 早上打电话\u{200b}").await;
    let id = format!("ann:{external}");
    let text = |text: &str| json!({"follow_info": {"description": text}});
    let stale = delivery(&id, text("晚上打电话"), text("老客户"));
    assert_eq!(connector().push(&cx, &stale).await.expect_err("somebody was faster").kind(), "conflict");
    assert_eq!(twin.writes(), std::collections::BTreeMap::new());
    let fresh = delivery(&id, text("晚上打电话"), text("早上打电话"));
    connector().push(&cx, &fresh).await.expect("blanks at the ends and invisible signs are no edit");
    connector().push(&cx, &stale).await.expect("an earlier attempt wrote it");
}

#[tokio::test]
async fn a_push_survives_a_crash_between_its_calls() {
    let (twin, cx) = twin().await;
    let connector = connector();
    twin.create_tag("等级", "VIP").await;
    let external = twin.preload_contact("ann", Customer::named("韩梅梅"));
    let id = format!("ann:{external}");
    let sent = delivery(
        &id,
        json!({"follow_info": {"remark": "新", "tag_names": ["VIP"]}}),
        json!({"follow_info": {"remark": null, "tag_names": []}}),
    );
    for call in ["externalcontact/remark", "externalcontact/mark_tag", "externalcontact/get"] {
        twin.lose_reply(call);
        assert_eq!(connector.push(&cx, &sent).await.expect_err("the reply is lost").kind(), "transient", "{call}");
        let record = stored(connector.push(&cx, &sent).await.expect("the next attempt"));
        assert_eq!(record.body["follow_info"]["remark"], "新");
        assert_eq!(record.body["follow_info"]["tag_names"], json!(["VIP"]));
    }
}

#[tokio::test]
async fn clearing_is_possible_even_when_nothing_is_left() {
    let (twin, cx) = twin().await;
    let connector = connector();
    let external = twin.preload_contact("ann", Customer::named("韩梅梅"));
    twin.edit_remark("ann", &external, "旧").await;
    twin.edit_mobiles("ann", &external, &["13800138000"]);
    let id = format!("ann:{external}");
    let sent = delivery(&id, json!({"follow_info": {"remark": ""}}), json!({"follow_info": {"remark": "旧"}}));
    let record = stored(connector.push(&cx, &sent).await.expect("cleared"));
    assert_eq!(record.body["follow_info"]["remark"], "");
    assert_eq!(record.body["follow_info"]["remark_mobiles"], json!(["13800138000"]), "kept");
    let mobiles = |list: Value| json!({"follow_info": {"remark_mobiles": list}});
    let sent = delivery(&id, mobiles(json!([null])), mobiles(json!(["13800138000"])));
    let record = stored(connector.push(&cx, &sent).await.expect("cleared"));
    assert_eq!(record.body["follow_info"]["remark_mobiles"], json!([]));
}

#[tokio::test]
async fn refused_deliveries_say_where_and_write_nothing() {
    let (twin, cx) = twin().await;
    let connector = connector();
    for group in ["等级", "地区"] {
        twin.create_tag(group, "双").await;
    }
    let external = twin.preload_contact("ann", Customer::named("韩梅梅"));
    let id = format!("ann:{external}");
    let update = |follow: Value| delivery(&id, json!({"follow_info": follow}), json!({}));
    let operation = |operation| Delivery { operation, ..update(json!({"remark": "x"})) };
    for (sent, at, word) in [
        (update(json!({"remark": "x", "tag_names": ["无"]})), "/follow_info/tag_names", "admin console"),
        (update(json!({"remark": "x", "tag_names": ["双"]})), "/follow_info/tag_names", "several tag groups"),
        (update(json!({"remark": "字".repeat(21)})), "", "40058"),
        (update(json!({"add_way": 2})), "/follow_info/add_way", "direction"),
        (operation(Operation::Create), "", "nobody can create"),
        (operation(Operation::Delete), "", "removed by the member"),
        (Delivery { stream: "chats".into(), ..update(json!({})) }, "", "only contacts"),
    ] {
        match connector.push(&cx, &sent).await.expect_err(word) {
            ConnectorError::Rejected { at: found, reason } => {
                assert!(found == at && reason.contains(word), "{found}: {reason}");
            }
            other => panic!("{word}: {other}"),
        }
    }
    assert!(twin.writes().is_empty());
    twin.delete_contact("ann", &external).await;
    assert_eq!(connector.push(&cx, &update(json!({"remark": "x"}))).await.expect_err("gone").kind(), "gone");
}

#[tokio::test]
async fn a_company_that_would_be_dropped_in_silence_is_refused() {
    let (twin, cx) = twin().await;
    let external = twin.preload_contact("ann", Customer { kind: 2, ..Customer::named("Lucy") });
    let sent = delivery(&format!("ann:{external}"), json!({"follow_info": {"remark_corp_name": "星河"}}), json!({}));
    match connector().push(&cx, &sent).await.expect_err("not kept") {
        ConnectorError::Rejected { at, .. } => assert_eq!(at, "/follow_info/remark_corp_name"),
        other => panic!("{other}"),
    }
    assert!(twin.writes().is_empty());
}

/// The way out is the engine's: without the operator's word an inner address is not called.
#[tokio::test]
async fn an_inner_address_is_called_only_where_the_operator_says_so() {
    let (_twin, cx) = twin().await;
    let public = Cx { network: Network::Public, ..cx.clone() };
    let error = connector().check(&public).await.unwrap_err();
    assert_eq!(error.kind(), "broken");
    assert!(error.to_string().contains("is not a public address"), "{error}");
    connector().check(&cx).await.unwrap();
}
