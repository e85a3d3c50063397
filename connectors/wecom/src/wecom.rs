//! The connector: each verb handed to its stream.

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Opened, Page, RawRequest, Receipt, Received, Record, RecordKey,
    Result, StreamName, Verified,
};
use huiliu_core::manifest::Manifest;

use crate::api::Api;
use crate::tags::TagCache;
use crate::wire::Wire;
use crate::{callback, chats, contacts, notices, push, tags};

/// 企业微信.
pub struct WeCom {
    manifest: Manifest,
    wire: Wire,
    tags: TagCache,
}

/// The text of `connectors/wecom/connector.toml`.
pub const MANIFEST: &str = include_str!("../connector.toml");

impl WeCom {
    /// The connector under its manifest.
    pub fn new(manifest: Manifest) -> Self {
        let wire = Wire::new(manifest.connector.limits.clone());
        Self { manifest, wire, tags: TagCache::default() }
    }

    fn api<'a>(&'a self, cx: &'a Cx) -> Api<'a> {
        Api::new(cx, &self.wire)
    }
}

#[async_trait]
impl Connector for WeCom {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        contacts::members(&self.api(cx)).await.map(|_| ())
    }

    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        let api = self.api(cx);
        match stream.as_str() {
            "contacts" => contacts::pull(&api, &self.tags, from).await,
            "chats" => chats::pull(&api, from).await,
            "tags" => tags::pull(&api).await,
            _ => Err(unknown(stream)),
        }
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        let api = self.api(cx);
        match key.stream.as_str() {
            "contacts" => contacts::fetch(&api, &self.tags, key.id.as_str()).await,
            "chats" => chats::fetch(&api, key.id.as_str()).await,
            "tags" => tags::fetch(&api, key.id.as_str()).await,
            _ => Err(unknown(&key.stream)),
        }
    }

    fn open(&self, cx: &Cx, request: &RawRequest) -> Result<Opened> {
        callback::open(cx, request)
    }

    fn receive(&self, _cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        callback::receive(request)
    }

    /// Notes and tags are two calls, and what was stored is read with a third.
    fn writes_in_steps(&self) -> bool {
        true
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        match delivery.stream.as_str() {
            "notices" => notices::push(&self.api(cx), delivery).await,
            _ => push::push(&self.api(cx), &self.tags, delivery).await,
        }
    }
}

fn unknown(stream: &StreamName) -> ConnectorError {
    ConnectorError::broken(format!("WeCom has no stream {stream}; it has contacts, chats, tags and notices"))
}
