//! Recorded webhook calls, signed anew: a folder's fixtures were proven by a secret that nobody kept.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use huiliu_core::manifest::{Encoding, Manifest, Verify};
use serde_json::Value;

use super::gate::{hmac, standard};
use super::pattern::settled;

/// A call ready to be sent.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Path and query.
    pub target: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// Raw body.
    pub body: Vec<u8>,
}

/// 2026-01-02T03:05:05Z: when a call was made that does not say so.
pub const NOW_SECONDS: i64 = 1_767_323_105;

/// The second at which a recorded call was made.
pub fn second(call: &Value) -> i64 {
    call["now"].as_i64().unwrap_or(NOW_SECONDS)
}

/// A recorded call's headers, by name in lower case.
pub fn headers(call: &Value) -> Vec<(String, String)> {
    let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_ascii_lowercase(), pair.get(1)?.as_str()?.to_owned()));
    match &call["headers"] {
        Value::Array(pairs) => pairs.iter().filter_map(pair).collect(),
        Value::Object(map) => map
            .iter()
            .filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned())))
            .collect(),
        _ => Vec::new(),
    }
}

/// A recorded call's raw body: a text as it came, or JSON that somebody wrote by hand.
pub fn body(call: &Value) -> Vec<u8> {
    match &call["body"] {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

/// Proves a recorded call by the manifest's scheme and these secrets.
pub fn signed(manifest: &Manifest, known: &BTreeMap<String, String>, call: &Value, connection: &str) -> Signed {
    let (mut headers, body, mut target) = (headers(call), body(call), format!("/hooks/{connection}"));
    let mut set = |name: &str, value: String| {
        let name = name.to_ascii_lowercase();
        headers.retain(|(known, _)| *known != name);
        headers.push((name, value));
    };
    match manifest.webhook.as_ref().map(|webhook| &webhook.verify) {
        Some(Verify::HmacSha256 { header, encoding, secret, prefix }) => {
            let mac = hmac(settled(secret, known).as_bytes(), &[&body]);
            let mac = match encoding {
                Encoding::Hex => hex::encode(mac),
                Encoding::Base64 => BASE64_STANDARD.encode(mac),
            };
            set(header, format!("{prefix}{mac}"));
        }
        Some(Verify::SharedToken { header, param, secret }) => match (header, param) {
            (Some(header), _) => set(header, settled(secret, known)),
            (None, Some(param)) => target = format!("{target}?{param}={}", settled(secret, known)),
            (None, None) => {}
        },
        Some(Verify::Basic { username, password }) => {
            let pair = format!("{}:{}", settled(username, known), settled(password, known));
            set("authorization", format!("Basic {}", BASE64_STANDARD.encode(pair)));
        }
        Some(Verify::Standard { secret }) => {
            let (id, stamp) = ("evt-rehearsal", second(call).to_string());
            set("webhook-signature", standard(&settled(secret, known), id, &stamp, &body));
            set("webhook-id", id.to_owned());
            set("webhook-timestamp", stamp);
        }
        Some(Verify::HubspotV3 { secret, public_url }) => {
            let address = format!("{}{target}", settled(public_url, known).trim_end_matches('/'));
            let stamp = (second(call) * 1_000).to_string();
            let mac = hmac(settled(secret, known).as_bytes(), &[b"POST", address.as_bytes(), &body, stamp.as_bytes()]);
            set("x-hubspot-signature-v3", BASE64_STANDARD.encode(mac));
            set("x-hubspot-request-timestamp", stamp);
        }
        // A form's token is given out by the hub itself.
        Some(Verify::Form(_) | Verify::Connector {} | Verify::None { .. }) | None => {}
    }
    Signed { target, headers, body }
}
