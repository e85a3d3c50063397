//! Signing what we send: the Standard Webhooks specification, OAuth 1.0a (RFC 5849) without a token, and the time itself.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_core::connector::{ConnectorError, Result};
use huiliu_core::secrets::Secret;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::template::escaped;

/// The `webhook-signature` of a message: `v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`.
///
/// # Errors
/// [`ConnectorError::Unauthorized`] if the secret is not `whsec_` and base64.
pub fn standard_webhook(secret: &Secret, id: &str, timestamp_seconds: i64, body: &[u8]) -> Result<String> {
    let encoded = secret.expose().trim().strip_prefix("whsec_").unwrap_or(secret.expose().trim());
    let key = BASE64_STANDARD.decode(encoded).ok().filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| ConnectorError::Unauthorized {
        detail: "the signing secret is not written as `whsec_` and base64".to_owned(),
    })?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| ConnectorError::broken(error.to_string()))?;
    mac.update(format!("{id}.{timestamp_seconds}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

/// The base64 of the HMAC-SHA256 of milliseconds, a line feed and the secret, under the secret: 加签 of DingTalk's custom
/// robots (open.dingtalk.com: custom robot, security settings).
///
/// # Errors
/// [`ConnectorError::Broken`] never, in practice: a key of any length can be used.
pub fn timestamp_signature(secret: &Secret, stamp_ms: i64) -> Result<String> {
    let secret = secret.expose().trim();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| ConnectorError::broken(error.to_string()))?;
    mac.update(format!("{stamp_ms}\n{secret}").as_bytes());
    Ok(BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

/// What makes a signed call the only one of its kind.
pub struct Oauth1Stamp {
    /// Seconds since 1970; servers refuse what is minutes away from their own time.
    pub seconds: i64,
    /// Letters and digits that no other call of this second bears.
    pub nonce: String,
}

/// A nonce that no other call of this key bears: 32 hexadecimal digits over the time and a count.
pub fn nonce(key: &str, now_us: i64) -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    hex::encode(&Sha256::digest(format!("{key} {now_us} {} {call}", std::process::id()))[..16])
}

/// The query parameters that sign a call by OAuth 1.0a with HMAC-SHA256 and a key pair alone (RFC 5849, 3.4.1 and
/// 3.4.2): method, address and every parameter of the query are covered, a JSON body is not.
///
/// # Errors
/// [`ConnectorError::Broken`] if the address has no host.
pub fn oauth1(
    method: &str,
    url: &Url,
    key: &str,
    secret: &Secret,
    stamp: &Oauth1Stamp,
) -> Result<Vec<(String, String)>> {
    let mut params = vec![
        ("oauth_consumer_key".to_owned(), key.to_owned()),
        ("oauth_nonce".to_owned(), stamp.nonce.clone()),
        ("oauth_signature_method".to_owned(), "HMAC-SHA256".to_owned()),
        ("oauth_timestamp".to_owned(), stamp.seconds.to_string()),
        ("oauth_version".to_owned(), "1.0".to_owned()),
    ];
    let asked = url.query_pairs().map(|(name, value)| (escaped(&name), escaped(&value)));
    let mut signed: Vec<(String, String)> = asked.collect();
    signed.extend(params.iter().map(|(name, value)| (escaped(name), escaped(value))));
    signed.sort();
    let signed: Vec<String> = signed.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let host = url.host_str().ok_or_else(|| ConnectorError::broken("the address has no host"))?;
    // The default port of a scheme is no part of the address.
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let address = format!("{}://{host}{port}{}", url.scheme(), url.path());
    let text = format!("{method}&{}&{}", escaped(&address), escaped(&signed.join("&")));
    let mac_key = format!("{}&", escaped(secret.expose()));
    let mut mac = Hmac::<Sha256>::new_from_slice(mac_key.as_bytes())
        .map_err(|error| ConnectorError::broken(error.to_string()))?;
    mac.update(text.as_bytes());
    params.push(("oauth_signature".to_owned(), BASE64_STANDARD.encode(mac.finalize().into_bytes())));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by DingtalkChatbot 1.5.7 (PyPI) with its clock stopped, and by the sample code of DingTalk's own page.
    #[test]
    fn a_stamp_is_signed_as_dingtalks_robots_want_it() {
        let signed = |secret: &str, stamp_ms| timestamp_signature(&Secret::new(secret), stamp_ms).unwrap();
        assert_eq!(signed("SECthis is secret", 1_577_836_800_000), "HSo4otzodoEFGujZo/Itiq5S1p1Ws5OYf1+j8s45PMg=");
        assert_eq!(signed("this is secret", 1_577_836_800_000), "fFV9t5lBS7KH4+5B0JjR99ab+AJkXFauQXycgTkS/tc=");
    }

    #[test]
    fn the_published_vector_holds() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = |body: &str| {
            standard_webhook(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body.as_bytes()).unwrap()
        };
        assert_eq!(signed(r#"{"test": 2432232314}"#), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_ne!(signed(r#"{"test": 2432232315}"#), signed(r#"{"test": 2432232314}"#));
        assert!(standard_webhook(&Secret::new("whsec_?"), "a", 1, b"").is_err());
    }
}
