//! The contract, for a mailbox.

use std::time::Duration;

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Page, Receipt, Received, Record, RecordKey, Result, StreamName,
    Verified,
};
use huiliu_core::manifest::Manifest;

use crate::imap::Session;
use crate::listen::{self, Seen};
use crate::settings::Settings;
use crate::{pull, send};

/// The manifest as it is shipped.
pub const MANIFEST: &str = include_str!("../connector.toml");

/// The only stream.
const MESSAGES: &str = "messages";

/// The connector.
pub struct Email {
    manifest: Manifest,
    seen: Seen,
}

impl Email {
    /// The connector with a parsed manifest.
    pub fn new(manifest: Manifest) -> Self {
        Self { manifest, seen: Seen::default() }
    }

    /// The connector with the manifest as it is shipped.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] if the manifest has a mistake.
    pub fn shipped() -> Result<Self> {
        let manifest = Manifest::parse("connectors/email/connector.toml", MANIFEST)
            .map_err(|diagnostic| ConnectorError::broken(diagnostic.to_string()))?;
        Ok(Self::new(manifest))
    }

    fn settings(&self, cx: &Cx) -> Result<Settings> {
        Settings::of(cx, Duration::from_millis(self.manifest.connector.limits.timeout_ms))
    }
}

#[async_trait]
impl Connector for Email {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        let settings = self.settings(cx)?;
        let mut session = Session::open(cx, &settings).await?;
        for folder in settings.folders() {
            session.examine(folder).await?;
        }
        session.close().await;
        send::check(cx, &settings).await
    }

    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        known(stream)?;
        let (page, opened) = pull::pull(cx, &self.settings(cx)?, stream, from).await?;
        self.seen.note(&cx.connection, opened);
        Ok(page)
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        known(&key.stream)?;
        pull::fetch(cx, &self.settings(cx)?, &key.stream, &key.id).await
    }

    fn receive(&self, _cx: &Cx, _request: &Verified) -> Result<Vec<Received>> {
        Err(ConnectorError::broken("a mailbox sends no webhooks; it is listened to and pulled"))
    }

    /// By the `Message-ID` that we choose.
    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        true
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        known(&delivery.stream)?;
        send::push(cx, &self.settings(cx)?, delivery).await
    }

    async fn listen(&self, cx: &Cx) -> Result<StreamName> {
        listen::listen(cx, &self.settings(cx)?, &self.seen).await?;
        Ok(StreamName::from(MESSAGES))
    }
}

fn known(stream: &StreamName) -> Result<()> {
    if stream.as_str() == MESSAGES {
        return Ok(());
    }
    Err(ConnectorError::broken(format!("a mailbox has no stream `{stream}`; its only stream is `{MESSAGES}`")))
}
