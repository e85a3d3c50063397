//! The contract, for an address book and for a calendar.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use huiliu_core::connector::{
    ConnectionName, Connector, ConnectorError, Cursor, Cx, Delivery, ExternalId, Page, Receipt, Received, Record,
    RecordKey, Result, StreamName, Verified,
};
use huiliu_core::manifest::Manifest;

use crate::client::Client;
use crate::discover::{self, Collection};
use crate::kind::Kind;
use crate::pull::Listings;
use crate::{pull, push};

/// Collections that were found are believed this long, in microseconds: a new address book shows within a quarter of an
/// hour.
const FOUND_US: i64 = 15 * 60 * 1_000_000;

/// When the collections of a connection were found, and which.
type Found = (i64, Vec<Collection>);

/// The connector.
pub struct Dav {
    kind: Kind,
    manifest: Manifest,
    listings: Listings,
    found: Mutex<BTreeMap<(ConnectionName, String), Found>>,
}

impl Dav {
    /// The connector with a parsed manifest: `carddav` or `caldav`.
    ///
    /// # Errors
    /// In words, for a manifest of another name.
    pub fn new(manifest: Manifest) -> std::result::Result<Self, String> {
        let kind = match manifest.connector.name.as_str() {
            "carddav" => Kind::Cards,
            "caldav" => Kind::Events,
            name => return Err(format!("`{name}` is neither carddav nor caldav")),
        };
        Ok(Self { kind, manifest, listings: Listings::default(), found: Mutex::default() })
    }

    fn client<'a>(&self, cx: &'a Cx) -> Result<Client<'a>> {
        Client::new(self.kind, &self.manifest.connector.limits, cx)
    }

    /// The collections, from memory while they are fresh.
    async fn collections(&self, client: &Client<'_>) -> Result<Vec<Collection>> {
        let chosen = client.cx.settings.get("collections").map(String::as_str).unwrap_or_default();
        let key = (client.cx.connection.clone(), format!("{}|{chosen}", client.base));
        let now_us = client.cx.clock.now_us();
        let fresh = |found: &Found| (0..FOUND_US).contains(&(now_us - found.0));
        let kept = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&key).filter(|it| fresh(it)).cloned();
        if let Some((_, kept)) = kept {
            return Ok(kept);
        }
        let found = discover::collections(client).await?;
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (now_us, found.clone()));
        Ok(found)
    }

    fn forget(&self, connection: &ConnectionName) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _), _| name != connection);
    }

    fn known(&self, stream: &StreamName) -> Result<()> {
        if self.manifest.streams.contains_key(stream.as_str()) {
            return Ok(());
        }
        Err(ConnectorError::broken(format!("{} has no stream `{stream}`", self.manifest.connector.title)))
    }
}

#[async_trait]
impl Connector for Dav {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        discover::collections(&self.client(cx)?).await.map(drop)
    }

    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        self.known(stream)?;
        let client = self.client(cx)?;
        let collections = self.collections(&client).await?;
        let page = pull::pull(&client, &self.listings, &collections, stream, from).await;
        if matches!(page, Err(ConnectorError::CursorExpired { .. })) {
            self.forget(&cx.connection);
        }
        page
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        self.known(&key.stream)?;
        pull::fetch(&self.client(cx)?, &key.stream, key.id.as_str()).await
    }

    fn receive(&self, _cx: &Cx, _request: &Verified) -> Result<Vec<Received>> {
        Err(ConnectorError::broken("a DAV server sends no webhooks; it is pulled"))
    }

    /// By the address that we choose.
    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        true
    }

    fn makes(&self, delivery: &Delivery, id: &ExternalId) -> bool {
        push::is_own_address(delivery, id.as_str())
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        self.known(&delivery.stream)?;
        let client = self.client(cx)?;
        let collections = self.collections(&client).await?;
        push::push(&client, &collections, delivery).await
    }
}
