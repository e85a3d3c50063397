//! The contract, for Tryton.

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Page, Receipt, Received, Record, RecordKey, Result, StreamName,
    Verified,
};
use huiliu_core::manifest::Manifest;
use serde_json::{Value, json};

use crate::rpc::Rpc;
use crate::streams::Stream;
use crate::{pull, push};

/// The connector.
pub struct Tryton {
    manifest: Manifest,
    rpc: Rpc,
}

impl Tryton {
    /// The connector under its manifest.
    pub fn new(manifest: Manifest) -> Self {
        let rpc = Rpc::new(manifest.connector.limits.clone());
        Self { manifest, rpc }
    }
}

#[async_trait]
impl Connector for Tryton {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        self.rpc.check(cx).await
    }

    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        pull::pull(&self.rpc, cx, Stream::of(stream)?, from).await
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        let stream = Stream::of(&key.stream)?;
        let Ok(id) = key.id.as_str().parse::<u64>() else { return Ok(None) };
        let domain = json!([["id", "=", id]]);
        let rows = self.rpc.search_read(cx, stream.model, domain, 1, Value::Null, &stream.fields()).await?;
        let received = rows.into_iter().next().map(|row| stream.received(row)).transpose()?;
        Ok(received.and_then(|received| match received {
            Received::Record(record) => Some(record),
            _ => None,
        }))
    }

    fn receive(&self, _cx: &Cx, _request: &Verified) -> Result<Vec<Received>> {
        Err(ConnectorError::broken("the system sends no webhooks; its streams are pulled"))
    }

    /// It is written, and then read.
    fn writes_in_steps(&self) -> bool {
        true
    }

    /// By the code that we choose.
    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        true
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        push::push(&self.rpc, cx, delivery).await
    }
}
