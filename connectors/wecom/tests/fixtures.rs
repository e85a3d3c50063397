//! The fixtures are what the connector reads from the twin and what the twin sends; the mapping understands them both
//! ways. `UPDATE_FIXTURES=1 cargo test -p huiliu-wecom --test fixtures` writes them anew.

mod kit;

use std::path::PathBuf;

use huiliu_core::connector::{Connector as _, Opened, RawRequest, Received, Record, Verified};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_twins::wecom::Customer;
use serde_json::{Value, json};

use kit::{connector, key, raw, twin};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("fixtures/{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("fixtures/{name}: {error}"))
}

fn updating() -> bool {
    std::env::var_os("UPDATE_FIXTURES").is_some()
}

fn write(name: &str, value: &Value) {
    let path = path(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the fixtures folder");
    std::fs::write(&path, format!("{value:#}\n")).expect("a fixture is written");
}

fn check(name: &str, found: &Value) {
    if updating() {
        write(name, found);
    }
    assert_eq!(read(name), *found, "fixtures/{name} is not what is read; UPDATE_FIXTURES=1 writes it anew");
}

fn body(record: Option<Record>) -> Value {
    record.expect("the record").body
}

#[tokio::test]
async fn fixtures_are_what_is_read() {
    let (twin, cx) = twin().await;
    let connector = connector();
    let vip = twin.create_tag("等级", "VIP").await;
    twin.create_tag("地区", "上海").await;
    let full = Customer::named("韩梅梅").with_unionid("oTwinUnion0001").with_gender(2);
    let external = twin.preload_contact("lin", full);
    twin.edit_remark("lin", &external, "韩梅梅-星河").await;
    twin.edit_description("lin", &external, "展会认识，偏好电话联系").await;
    twin.edit_company("lin", &external, "星河贸易").await;
    twin.edit_mobiles("lin", &external, &["13800138000", "+85251234567"]);
    twin.set_tags("lin", &external, &["VIP", "上海"]).await;
    twin.set_personal_tag("lin", &external, "老同学");
    twin.preload_contact("lin", Customer::named("Jim"));
    let page = connector.pull(&cx, &"contacts".into(), None).await.expect("a page");
    let rows: Vec<Value> = page
        .items
        .into_iter()
        .map(|item| match item {
            Received::Record(record) => record.body,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rows.len(), 2);
    check("contacts/batch_full.json", &rows[0]);
    check("contacts/batch_bare.json", &rows[1]);
    let fetched = connector.fetch(&cx, &key("contacts", &format!("lin:{external}"))).await.expect("an answer");
    check("contacts/get_full.json", &body(fetched));
    let chat = twin.create_chat("lin", "星河客户群", &["lin", &external]).await;
    check("chats/chat.json", &body(connector.fetch(&cx, &key("chats", &chat)).await.expect("an answer")));
    check("tags/tag.json", &body(connector.fetch(&cx, &key("tags", &vip)).await.expect("an answer")));
}

/// Raw calls: `now` is the second at which they were made, against which their age is judged.
#[tokio::test]
async fn recorded_calls_open() {
    let (twin, cx) = twin().await;
    let contact = [("UserID", "lin"), ("ExternalUserID", "wmTwin1")];
    let rows = [
        (
            "webhook/add_contact.json",
            "change_external_contact",
            "add_external_contact",
            false,
            json!(["hint", "contacts", "lin:wmTwin1"]),
        ),
        (
            "webhook/del_contact.json",
            "change_external_contact",
            "del_external_contact",
            false,
            json!(["deleted", "contacts", "lin:wmTwin1"]),
        ),
        (
            "webhook/edit_contact_json.json",
            "change_external_contact",
            "edit_external_contact",
            true,
            json!(["hint", "contacts", "lin:wmTwin1"]),
        ),
    ];
    for (name, event, change, as_json, expected) in rows {
        if updating() {
            twin.set_json_callbacks(as_json);
            let call = raw(&twin.sealed("/hooks/wecom", event, change, &contact));
            let text = String::from_utf8(call.body.to_vec()).expect("text");
            write(
                name,
                &json!({
                    "now": kit::NOW, "method": "POST", "target": call.target, "headers": call.headers, "body": text,
                }),
            );
        }
        let recorded = read(name);
        let text = |name: &str| recorded[name].as_str().expect("a text").to_owned();
        assert_eq!(recorded["now"], kit::NOW);
        let request = RawRequest {
            method: text("method"),
            target: text("target"),
            headers: serde_json::from_value(recorded["headers"].clone()).expect("pairs"),
            body: text("body").into(),
        };
        let Opened::Message { body, .. } = connector().open(&cx, &request).expect("a genuine call") else {
            panic!("{name} is no handshake");
        };
        let received =
            connector().receive(&cx, &Verified { request: RawRequest { body, ..request } }).expect("an event");
        let shown: Vec<Value> = received
            .iter()
            .map(|it| match it {
                Received::Hint { stream, id } => json!(["hint", stream, id]),
                Received::Deleted { stream, id, .. } => json!(["deleted", stream, id]),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, [expected], "{name}");
    }
}

#[test]
fn records_in_canonical_words() {
    let text = include_str!("../../../mappings/systems/wecom.toml");
    let lenses =
        Lens::parse_file("mappings/systems/wecom.toml", text, &Model::shipped()).expect("the mapping is right");
    let lens = lenses.iter().find(|lens| lens.name() == "contacts").expect("contacts");
    let map = |name: &str| {
        let body = read(name);
        lens.map(&body).0
    };
    let full = map("contacts/batch_full.json");
    assert_eq!(full, map("contacts/get_full.json"), "both shapes say the same");
    let field = |name: &str| full.fields.get(name).cloned().unwrap_or_default();
    assert_eq!(field("display_name"), "韩梅梅");
    assert_eq!(field("gender"), "female");
    assert_eq!(field("company"), "星河贸易");
    assert_eq!(field("phones.mobile"), json!({"number": "+8613800138000", "type": "mobile"}));
    assert_eq!(field("tags"), json!(["VIP", "上海"]));
    let identities: Vec<String> = full.identities.iter().map(|it| format!("{}={}", it.kind, it.value)).collect();
    assert!(identities.contains(&"unionid=oTwinUnion0001".to_owned()), "{identities:?}");
    assert!(identities.iter().any(|it| it.starts_with("external_userid=ww0123456789abcdef:wmTwin")), "{identities:?}");
    let bare = map("contacts/batch_bare.json");
    assert_eq!(bare.fields.get("gender"), None, "an unknown gender is no statement");
    assert_eq!(bare.fields.get("company"), Some(&Value::Null));
}
