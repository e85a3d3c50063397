//! What the tests share: the connector, and a connection to the twin.

#![allow(dead_code)] // Each test binary uses its own part.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connector::{Cx, Network, RawRequest, RecordKey};
use huiliu_core::manifest::Manifest;
use huiliu_core::quota::Quota;
use huiliu_core::secrets::{Secret, TokenVault};
use huiliu_twins::hooks::HookCall;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, ENCODING_AES_KEY, WecomTwin};
use huiliu_wecom::wecom::{MANIFEST, WeCom};

/// 2026-01-02 03:04:05 UTC, in seconds.
pub const NOW: i64 = 1_767_323_045;

pub fn connector() -> WeCom {
    WeCom::new(Manifest::parse("connectors/wecom/connector.toml", MANIFEST).expect("the manifest is right"))
}

pub fn cx(base_url: &str) -> Cx {
    let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let secrets = text(&[
        ("corp_secret", CORP_SECRET),
        ("callback_token", CALLBACK_TOKEN),
        ("encoding_aes_key", ENCODING_AES_KEY),
    ]);
    Cx {
        connection: "wecom".into(),
        settings: Arc::new(text(&[("corp_id", CORP_ID), ("base_url", base_url)])),
        secrets: Arc::new(secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect()),
        clock: Clock::manual(NOW * 1_000_000),
        quota: Arc::new(Quota::unlimited()),
        tokens: Arc::new(TokenVault::in_memory()),
        network: Network::Private,
        offset: Arc::default(),
    }
}

/// The same connection with another secret or setting.
pub fn with_secret(cx: &Cx, name: &str, value: &str) -> Cx {
    let mut secrets = (*cx.secrets).clone();
    secrets.insert(name.to_owned(), Secret::new(value));
    Cx { secrets: Arc::new(secrets), tokens: Arc::new(TokenVault::in_memory()), ..cx.clone() }
}

pub fn with_setting(cx: &Cx, name: &str, value: &str) -> Cx {
    let mut settings = (*cx.settings).clone();
    settings.insert(name.to_owned(), value.to_owned());
    Cx { settings: Arc::new(settings), tokens: Arc::new(TokenVault::in_memory()), ..cx.clone() }
}

/// HTTP clients want a TLS provider even for plain loopback; whoever comes second finds it installed.
pub fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A twin whose clock stands where the connection's stands.
pub async fn twin() -> (Arc<WecomTwin>, Cx) {
    provider();
    let twin = WecomTwin::start().await;
    twin.set_time(NOW);
    let cx = cx(&twin.base_url());
    (twin, cx)
}

pub fn key(stream: &str, id: &str) -> RecordKey {
    RecordKey { connection: "wecom".into(), stream: stream.into(), id: id.into() }
}

/// A twin's call as the webhook receiver hands it over.
pub fn raw(call: &HookCall) -> RawRequest {
    RawRequest {
        method: "POST".to_owned(),
        target: call.url.clone(),
        headers: call.headers.clone(),
        body: call.body.clone(),
    }
}
