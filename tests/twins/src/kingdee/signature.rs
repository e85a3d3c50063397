//! Checks the signed headers as the vendor's server must: from the app's own secrets, written after the vendor's SDK
//! and not after our connector.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{ACCT_ID, APP_ID, APP_SECRET, USER_NAME};

/// The SDK carries the mask turned by thirteen letters.
const TURNED_MASK: &str = "0054s397p6234378o09pn7q3r5qropr7";

/// Whether the headers of a POST to this path are the app's.
pub fn is_genuine(headers: &HeaderMap, path: &str) -> bool {
    check(headers, path).is_some_and(|genuine| genuine)
}

fn check(headers: &HeaderMap, path: &str) -> Option<bool> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (client_id, masked) = APP_ID.split_once('_')?;
    let data = String::from_utf8(BASE64.decode(header("x-kd-appdata")?).ok()?).ok()?;
    let mut parts = data.split(',');
    let is_ours = parts.next() == Some(ACCT_ID)
        && parts.next() == Some(USER_NAME)
        && parts.next().is_some_and(|lcid| lcid.parse::<u32>().is_ok())
        && parts.next().is_some_and(|org| org.parse::<u32>().is_ok())
        && parts.next().is_none();
    let nonce = header("x-api-nonce")?;
    let stamp = header("x-api-timestamp")?;
    let text = [
        "POST",
        &path.replace('/', "%2F"),
        "",
        &format!("x-api-nonce:{nonce}"),
        &format!("x-api-timestamp:{stamp}"),
        "",
    ]
    .join("\n");
    Some(
        is_ours
            && header("x-api-clientid")? == client_id
            && header("x-api-auth-version")? == "2.0"
            && header("x-api-signheaders")? == "x-api-timestamp,x-api-nonce"
            && stamp.parse::<i64>().is_ok()
            && header("x-kd-appkey")? == APP_ID
            && is_signed(header("x-api-signature")?, &client_secret(masked)?, &text)
            && is_signed(header("x-kd-signature")?, APP_SECRET, &format!("{APP_ID}{data}")),
    )
}

fn client_secret(masked: &str) -> Option<String> {
    let mask = TURNED_MASK.bytes().map(|byte| match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        other => other,
    });
    let bytes: Vec<u8> = BASE64.decode(masked).ok()?.into_iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    Some(BASE64.encode(bytes))
}

/// The signature is base64 of hexadecimal digits.
fn is_signed(signature: &str, key: &str, text: &str) -> bool {
    let digest = BASE64.decode(signature).ok().and_then(|digits| hex::decode(digits).ok());
    let (Some(digest), Ok(mut mac)) = (digest, Hmac::<Sha256>::new_from_slice(key.as_bytes())) else { return false };
    mac.update(text.as_bytes());
    mac.verify_slice(&digest).is_ok()
}
