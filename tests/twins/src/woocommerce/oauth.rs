//! OAuth 1.0a as the shop checks it (class-wc-rest-authentication.php): parameters in the query, a fresh nonce, a
//! timestamp within 15 minutes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{CONSUMER_KEY, CONSUMER_SECRET};

/// How far a timestamp may be from the shop's time, in seconds.
const WINDOW_S: u64 = 15 * 60;

/// Who signs is the key's owner, or the sentence that says why not.
pub(super) fn check(
    method: &str,
    address: &str,
    params: &[(String, String)],
    nonces: &mut BTreeSet<String>,
    now_s: i64,
) -> Result<(), &'static str> {
    let get = |name: &str| params.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let needed = ["oauth_consumer_key", "oauth_timestamp", "oauth_nonce", "oauth_signature", "oauth_signature_method"];
    if needed.iter().all(|name| get(name).is_none()) {
        return Err("Sorry, you cannot list resources.");
    }
    if needed.iter().any(|name| get(name).is_none_or(str::is_empty)) {
        return Err("Missing OAuth parameter");
    }
    if get("oauth_consumer_key") != Some(CONSUMER_KEY) {
        return Err("Consumer key is invalid.");
    }
    if get("oauth_signature_method") != Some("HMAC-SHA256") {
        return Err("Invalid signature - signature method is invalid.");
    }
    if get("oauth_signature") != Some(signature(method, address, params, CONSUMER_SECRET).as_str()) {
        return Err("Invalid signature - provided signature does not match.");
    }
    let stamp = get("oauth_timestamp").and_then(|stamp| stamp.parse::<i64>().ok());
    if stamp.is_none_or(|stamp| stamp.abs_diff(now_s) > WINDOW_S) {
        return Err("Invalid timestamp.");
    }
    if !nonces.insert(get("oauth_nonce").unwrap_or_default().to_owned()) {
        return Err("Invalid nonce - nonce has already been used.");
    }
    Ok(())
}

/// The signature of a call by RFC 5849 without a token: HMAC-SHA256 over method, address and sorted parameters.
pub(crate) fn signature(method: &str, address: &str, params: &[(String, String)], secret: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.retain(|(name, _)| *name != "oauth_signature");
    pairs.sort_unstable();
    let joined: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let text = format!("{method}&{}&{}", encode(address), encode(&joined.join("&")));
    let mut mac = Hmac::<Sha256>::new_from_slice(format!("{secret}&").as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// PHP's `rawurlencode`.
fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => {
                let _ = write!(out, "%{other:02X}"); // Writing into a text cannot fail.
            }
        }
    }
    out
}
