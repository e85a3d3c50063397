//! The mapping understands what the connector reads.

use std::path::PathBuf;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use serde_json::{Value, json};

fn lens() -> Lens {
    let text = include_str!("../../../../mappings/systems/email.toml");
    Lens::parse_file("mappings/systems/email.toml", text, &Model::shipped()).unwrap().remove(0)
}

fn fixture(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/messages").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_mail_in_canonical_words() {
    let (mail, _) = lens().map(&fixture("1-plain.json"));
    let expected = json!({ "kind": "email", "direction": "in", "subject": "询价：100 台水泵",
        "thread": "CA+0001.inquiry@example.org", "occurred_at": "2026-02-02T01:15:00Z",
        "participants": ["Lin.Xiaoyue@example.org", "bo.chen@example.org", "hub@example.test"] });
    assert_eq!(json!(mail.fields), expected);
    assert_eq!(
        json!(mail.references),
        json!([{ "identity": { "kind": "email", "value": "lin.xiaoyue@example.org" } }])
    );
    assert_eq!(mail.identities, []);
    let (reply, _) = lens().map(&fixture("6-reply-out.json"));
    assert_eq!(reply.references, mail.references, "both sides of a conversation belong to the same person");
}
