//! The contract, for 金蝶云星空.

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Page, Receipt, Received, Record, RecordKey, Result, StreamName,
    Verified,
};
use huiliu_core::manifest::Manifest;

use crate::query::{self, Ask};
use crate::streams::Form;
use crate::wire::Wire;
use crate::{pull, push};

/// The manifest as it is shipped.
pub const MANIFEST: &str = include_str!("../connector.toml");

/// The connector.
pub struct Kingdee {
    manifest: Manifest,
    wire: Wire,
}

impl Kingdee {
    /// The connector with a parsed manifest.
    pub fn new(manifest: Manifest) -> Self {
        let wire = Wire::new(manifest.connector.limits.clone());
        Self { manifest, wire }
    }

    /// The connector with the manifest as it is shipped.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] if the manifest has a mistake.
    pub fn shipped() -> Result<Self> {
        let manifest = Manifest::parse("connectors/kingdee/connector.toml", MANIFEST)
            .map_err(|diagnostic| ConnectorError::broken(diagnostic.to_string()))?;
        Ok(Self::new(manifest))
    }
}

#[async_trait]
impl Connector for Kingdee {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// By the number that we choose.
    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        true
    }

    fn writes_in_steps(&self) -> bool {
        true
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        let mut form = Form::of(cx, &StreamName::from("customers"))?;
        form.fields.truncate(1);
        let ask = Ask { filter: "", order: form.key, start_row: 0, limit: 1 };
        query::rows(&self.wire, cx, &form, &ask).await.map(drop)
    }

    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        pull::pull(&self.wire, cx, stream, from).await
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        let form = Form::of(cx, &key.stream)?;
        if !query::is_id(key.id.as_str()) {
            return Ok(None);
        }
        let filter = format!("{} = {}", form.key, key.id);
        let rows = query::record_rows(&self.wire, cx, &form, &filter, pull::page_size(cx)?).await?;
        if rows.is_empty() { Ok(None) } else { query::record(&form, &key.stream, &rows).map(Some) }
    }

    fn receive(&self, _cx: &Cx, _request: &Verified) -> Result<Vec<Received>> {
        Err(ConnectorError::broken("the system sends no webhooks; its streams are pulled"))
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        push::push(&self.wire, cx, delivery).await
    }
}
