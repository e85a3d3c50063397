//! Webhook calls as the shop makes them: signed over the raw body, told apart by event and topic.

use bytes::Bytes;
use serde_json::Value;

use super::shop::stamp;
use super::{API_VERSION, CLIENT_SECRET, SHOP};
use crate::hooks::{HookCall, sign};

/// Something that subscribers are told.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// `customers/update`.
    pub(super) topic: &'static str,
    /// The same for every topic that one act causes.
    pub(super) act: u64,
    /// This delivery's own number.
    pub(super) delivery: u64,
    /// When it happened.
    pub(super) at_s: i64,
    /// The payload.
    pub(super) body: Value,
}

impl Event {
    pub(super) fn call(&self, url: &str) -> HookCall {
        let body = self.body.to_string();
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            ("X-Shopify-Topic", self.topic.to_owned()),
            ("X-Shopify-Hmac-Sha256", sign(CLIENT_SECRET, body.as_bytes())),
            ("X-Shopify-Shop-Domain", format!("{SHOP}.myshopify.com")),
            ("X-Shopify-API-Version", API_VERSION.to_owned()),
            ("X-Shopify-Webhook-Id", uuid(0xd, self.delivery)),
            ("X-Shopify-Event-Id", uuid(0xe, self.act)),
            ("X-Shopify-Triggered-At", stamp(self.at_s)),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        HookCall { url: url.to_owned(), headers, body: Bytes::from(body) }
    }
}

fn uuid(kind: u8, number: u64) -> String {
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}
