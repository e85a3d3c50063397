//! Signing what we send by the Standard Webhooks specification.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_core::connector::{ConnectorError, Result};
use huiliu_core::secrets::Secret;
use sha2::Sha256;

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

#[cfg(test)]
mod tests {
    use super::*;

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
