//! The key under which a repeat of the same event is known. Runs only on proven calls.

use huiliu_core::connector::Verified;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A longer key is replaced by its hash: keys are indexed, and no recorded vendor's event id is longer than 64 bytes.
const KEY_BYTES_MAX: usize = 200;

/// Joins what the manifest's `dedupe` rules (`header:NAME`, `body:/pointer`, `body`) find. Without rules, or when a
/// rule finds nothing, the whole body stands for the event: two different events must never share a key.
pub fn key(rules: &[String], verified: &Verified) -> String {
    let body: Option<Value> = rules
        .iter()
        .any(|rule| rule.starts_with("body:"))
        .then(|| serde_json::from_slice(&verified.request.body).ok())
        .flatten();
    let parts: Option<Vec<String>> = rules.iter().map(|rule| part(rule, verified, body.as_ref())).collect();
    let key = match parts.as_deref() {
        None | Some([]) => hash(&verified.request.body),
        Some([one]) => one.clone(),
        // As a JSON array, so that ("a", "bc") and ("ab", "c") stay apart.
        Some(several) => Value::from(several.to_vec()).to_string(),
    };
    if key.len() > KEY_BYTES_MAX { hash(key.as_bytes()) } else { key }
}

fn part(rule: &str, verified: &Verified, body: Option<&Value>) -> Option<String> {
    if rule == "body" {
        return Some(hash(&verified.request.body));
    }
    let found = match rule.split_once(':')? {
        ("header", name) => verified.request.header(&name.to_ascii_lowercase())?.to_owned(),
        ("body", pointer) => match body?.pointer(pointer)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        },
        _ => return None,
    };
    (!found.is_empty()).then_some(found)
}

fn hash(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use huiliu_core::connector::{RawRequest, Verified};

    use super::{hash, key};

    fn check(rules: &[&str], body: &str, expected: &str) {
        let headers = vec![("x-id".to_owned(), "e1".to_owned()), ("x-empty".to_owned(), String::new())];
        let request = RawRequest { method: "POST".into(), target: "/".into(), headers, body: body.to_owned().into() };
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        assert_eq!(key(&rules, &Verified { request }), expected, "{rules:?} {body}");
    }

    #[test]
    fn rules_find_the_key() {
        let body = r#"{"id": 9007199254740993, "n": {"t": "x"}, "l": []}"#;
        check(&["header:X-Id"], body, "e1");
        check(&["body:/id"], body, "9007199254740993");
        check(&["header:X-Id", "body:/n/t"], body, r#"["e1","x"]"#);
        check(&["body"], body, &hash(body.as_bytes()));
    }

    #[test]
    fn without_a_key_the_body_stands_for_the_event() {
        for rules in [&[][..], &["header:X-None"], &["header:X-Empty"], &["body:/l"], &["header:X-Id", "body:/none"]] {
            check(rules, r#"{"l": []}"#, &hash(br#"{"l": []}"#));
        }
        check(&["body:/id"], "id=7&form", &hash(b"id=7&form"));
    }

    #[test]
    fn a_long_key_is_hashed() {
        let long = "a".repeat(201);
        check(&["body:/id"], &format!(r#"{{"id": "{long}"}}"#), &hash(long.as_bytes()));
    }
}
