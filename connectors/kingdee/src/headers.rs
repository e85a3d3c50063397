//! The signed headers that make a call without a login ("Login B" of the official SDK 8.x).
//!
//! Source: the `PyPI` package `kingdee.cdp.webapi.sdk` 8.2.0, published by the vendor; a test compares with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::secrets::Secret;
use sha2::Sha256;

/// Every app id's second half is masked with these bytes, in every installation.
const MASK: &[u8; 32] = b"0054f397c6234378b09ca7d3e5debce7";

/// The second half of an app id is 32 characters of base64 without padding: this many masked bytes.
const MASKED_BYTES: usize = 24;

/// Who calls, in which account set.
pub struct Signer {
    /// Account set (数据中心) id.
    pub acct_id: String,
    /// The user in whose name the app acts.
    pub user_name: String,
    /// Language of messages: 2052 is simplified Chinese.
    pub lcid: String,
    /// Organization number, `0` for the user's own.
    pub org_num: String,
    /// `number_base64`, as the account's third-party login list shows it.
    pub app_id: Secret,
    /// Its secret.
    pub app_secret: Secret,
}

impl Signer {
    /// The signer of a connection, from its settings and secrets.
    pub fn of(cx: &Cx) -> Result<Self> {
        Ok(Self {
            acct_id: cx.setting("acct_id")?.to_owned(),
            user_name: cx.setting("user_name")?.to_owned(),
            lcid: cx.setting("lcid")?.to_owned(),
            org_num: cx.setting("org_num")?.to_owned(),
            app_id: cx.secret("app_id")?.clone(),
            app_secret: cx.secret("app_secret")?.clone(),
        })
    }

    /// The headers of one POST to `path` (with its leading slash, without query) at `now_s`, in seconds since 1970.
    ///
    /// # Errors
    /// [`ConnectorError::Unauthorized`] when the app id does not have the vendor's form.
    pub fn sign(&self, path: &str, now_s: i64) -> Result<Vec<(&'static str, String)>> {
        let (client_id, client_secret) = unmask(self.app_id.expose())?;
        let stamp = now_s.to_string();
        // The official SDK uses the second as nonce too; the server accepts it more than once.
        let text = format!("POST\n{}\n\nx-api-nonce:{stamp}\nx-api-timestamp:{stamp}\n", escape(path));
        let app_data = format!("{},{},{},{}", self.acct_id, self.user_name, self.lcid, self.org_num);
        let app_id = self.app_id.expose();
        Ok(vec![
            ("X-Api-ClientID", client_id.to_owned()),
            ("X-Api-Auth-Version", "2.0".to_owned()),
            ("x-api-timestamp", stamp.clone()),
            ("x-api-nonce", stamp),
            ("x-api-signheaders", "x-api-timestamp,x-api-nonce".to_owned()),
            ("X-Api-Signature", signature(&client_secret, &text)),
            ("X-Kd-Appkey", app_id.to_owned()),
            ("X-Kd-Appdata", BASE64.encode(&app_data)),
            ("X-Kd-Signature", signature(self.app_secret.expose(), &format!("{app_id}{app_data}"))),
        ])
    }
}

/// Client id and client secret inside an app id.
fn unmask(app_id: &str) -> Result<(&str, String)> {
    let malformed = || ConnectorError::Unauthorized {
        detail: "secret.app_id is not of the form number_text with 32 characters of text; copy it whole from the \
                 third-party login list of the account"
            .to_owned(),
    };
    let (client_id, masked) = app_id.split_once('_').ok_or_else(malformed)?;
    let masked = BASE64.decode(masked).ok().filter(|bytes| bytes.len() == MASKED_BYTES).ok_or_else(malformed)?;
    let plain: Vec<u8> = masked.iter().zip(MASK).map(|(byte, mask)| byte ^ mask).collect();
    Ok((client_id, BASE64.encode(plain)))
}

/// The vendor signs with the base64 of the hexadecimal digest, not of the digest.
fn signature(key: &str, text: &str) -> String {
    // HMAC takes a key of any length, so this cannot fail; an empty signature would simply be refused.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    BASE64.encode(hex::encode(mac.finalize().into_bytes()))
}

/// The path with everything but letters, digits and `_.-~` escaped, slashes included.
fn escape(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::with_capacity(path.len() + 16), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}"); // Writing to a string cannot fail.
        }
        text
    })
}
