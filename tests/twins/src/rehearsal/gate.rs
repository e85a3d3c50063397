//! Who may come in, by the manifest's `[auth]`; and the token endpoint of an OAuth 2 system.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_core::manifest::{Auth, OauthClient};
use serde_json::{Value, json};
use sha2::Sha256;

use super::pattern::settled;
use crate::woocommerce::oauth;

/// Tokens that were handed out.
#[derive(Debug, Default)]
pub struct Tokens {
    number: u64,
    access: Option<String>,
    refresh: Option<String>,
}

impl Tokens {
    /// A sign-in that somebody went through before: the refresh token it left.
    pub fn signed_in(&mut self) -> String {
        self.number += 1;
        let refresh = format!("rehearsal-refresh-{}", self.number);
        self.refresh = Some(refresh.clone());
        refresh
    }

    /// A session's token.
    pub fn session(&mut self) -> String {
        self.number += 1;
        let session = format!("rehearsal-session-{}", self.number);
        self.access = Some(session.clone());
        session
    }

    /// The reply to a token request: status and body.
    pub fn issue(
        &mut self,
        client: &OauthClient,
        known: &BTreeMap<String, String>,
        headers: &HeaderMap,
        form: &BTreeMap<String, String>,
    ) -> (u16, Value) {
        let id = settled(&client.id, known);
        let secret = client.secret.as_ref().map(|secret| settled(secret, known)).unwrap_or_default();
        let basic = headers.get("authorization").and_then(|value| value.to_str().ok())
            == Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}"))).as_str());
        let given = |name: &str| form.get(name).map_or("", String::as_str);
        let posted = given("client_id") == id && given("client_secret") == secret;
        if !basic && !posted {
            return (401, json!({ "error": "invalid_client" }));
        }
        let refreshes = given("grant_type") == "refresh_token";
        if refreshes && self.refresh.as_deref() != Some(given("refresh_token")) {
            return (400, json!({ "error": "invalid_grant" }));
        }
        self.number += 1;
        let access = format!("rehearsal-access-{}", self.number);
        self.access = Some(access.clone());
        let mut reply = json!({ "access_token": access, "token_type": "Bearer", "expires_in": 3600 });
        if refreshes {
            reply["refresh_token"] = Value::from(self.signed_in());
        }
        (200, reply)
    }
}

/// What of a call proves who calls.
pub struct Call<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// The address without its query.
    pub address: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Query parameters.
    pub query: &'a [(String, String)],
    /// Raw body.
    pub body: &'a [u8],
}

impl Call<'_> {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Whether the call carries what `[auth]` asks for.
pub fn admits(auth: Option<&Auth>, known: &BTreeMap<String, String>, tokens: &Tokens, call: &Call<'_>) -> bool {
    match auth {
        Some(Auth::ApiKey { header, param, value }) => {
            let wanted = settled(value, known);
            header.as_ref().and_then(|name| call.header(name)).or(param.as_ref().and_then(|name| call.param(name)))
                == Some(wanted.as_str())
        }
        Some(Auth::Basic { username, password }) => {
            let pair = format!("{}:{}", settled(username, known), settled(password, known));
            call.header("authorization") == Some(format!("Basic {}", BASE64_STANDARD.encode(pair)).as_str())
        }
        Some(Auth::Bearer { token }) => {
            call.header("authorization") == Some(format!("Bearer {}", settled(token, known)).as_str())
        }
        Some(Auth::Oauth1 { consumer_key, consumer_secret, .. }) => {
            let signed = oauth::signature(call.method, call.address, call.query, &settled(consumer_secret, known));
            call.param("oauth_consumer_key") == Some(settled(consumer_key, known).as_str())
                && call.param("oauth_signature") == Some(signed.as_str())
        }
        Some(Auth::Oauth2Code { .. } | Auth::Oauth2Client { .. }) => {
            let bearer = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            bearer.is_some() && bearer == tokens.access.as_deref()
        }
        Some(Auth::Login { header, prefix, .. }) => {
            let given = call.header(header).and_then(|value| value.strip_prefix(prefix.as_str()));
            given.is_some() && given == tokens.access.as_deref()
        }
        Some(Auth::StandardWebhook { secret }) => {
            let (id, stamp) = (call.header("webhook-id"), call.header("webhook-timestamp"));
            let signed =
                standard(&settled(secret, known), id.unwrap_or_default(), stamp.unwrap_or_default(), call.body);
            call.header("webhook-signature") == Some(signed.as_str())
        }
        Some(Auth::TimestampSignature { secret }) => {
            let (secret, stamp) = (settled(secret, known), call.param("timestamp").unwrap_or_default());
            let signature = hmac(secret.as_bytes(), &[stamp.as_bytes(), b"\n", secret.as_bytes()]);
            call.param("sign") == Some(BASE64_STANDARD.encode(signature).as_str())
        }
        Some(Auth::Connector {}) | None => false,
        Some(Auth::None { .. }) => true,
    }
}

/// The bytes of an HMAC-SHA256.
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // A key of any length can be used.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// `v1,…` by the Standard Webhooks specification.
pub fn standard(secret: &str, id: &str, stamp: &str, body: &[u8]) -> String {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).unwrap_or_default();
    let signature = hmac(&key, &[id.as_bytes(), b".", stamp.as_bytes(), b".", body]);
    format!("v1,{}", BASE64_STANDARD.encode(signature))
}
