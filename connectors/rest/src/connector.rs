//! The contract, from a manifest alone.

use std::collections::BTreeMap;

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, JsonText, Page, Receipt, Received, Record, RecordKey, Result,
    StreamName, Verified,
};
use huiliu_core::manifest::{Ability, Manifest, Method, Paginate, Stream};

use crate::check::{self, ManifestError};
use crate::cursor::Position;
use crate::failure::Verb;
use crate::template;
use crate::wire::{Draft, Wire, graphql_body};
use crate::{batch, pull, push, receive};

/// A system that is only a manifest.
#[derive(Debug)]
pub struct RestConnector {
    manifest: Manifest,
    streams: BTreeMap<String, Stream>,
}

impl RestConnector {
    /// Takes a manifest in, after checking everything about it that can be known without a connection.
    ///
    /// # Errors
    /// All mistakes at once, each naming its place and the nearest right word.
    pub fn new(manifest: Manifest) -> std::result::Result<Self, ManifestError> {
        check::manifest(&manifest)?;
        let streams = manifest.streams.keys().filter_map(|name| Some((name.clone(), manifest.stream(name)?))).collect();
        Ok(Self { manifest, streams })
    }

    fn stream(&self, name: &StreamName) -> Result<&Stream> {
        self.streams.get(name.as_str()).ok_or_else(|| {
            ConnectorError::broken(format!("connector {} has no stream {name}", self.manifest.connector.name))
        })
    }

    /// The call that proves the credentials: the manifest's own, else the first page of the first stream.
    fn check_draft(&self, wire: &Wire<'_>) -> Result<Option<Draft>> {
        let what = format!("check of {}", wire.cx.connection);
        if let Some(call) = &self.manifest.connector.check {
            let values = wire.values();
            let body = call.body.as_ref().map_or(Ok(None), |body| template::json(body, &values))?;
            let (method, body) = match &call.graphql {
                Some(document) => (Method::Post, Some(graphql_body(document, body))),
                None => (call.method, body),
            };
            let url = wire.url(call.path.as_deref(), &call.params, &values)?;
            let (headers, graphql) = (Vec::new(), call.graphql.is_some());
            let verb = Verb::Check;
            let (idempotency_key, list) = (None, None);
            return Ok(Some(Draft { what, verb, method, url, headers, body, graphql, idempotency_key, list }));
        }
        let Some((name, stream, pull)) =
            self.streams.iter().find_map(|(name, stream)| Some((name, stream, stream.pull.as_ref()?)))
        else {
            return Ok(None);
        };
        let paginate = stream.paginate.clone().unwrap_or(Paginate::None {});
        let name = StreamName::from(name);
        let draft = pull::draft(wire, &name, pull, &paginate, &Position::default(), Verb::Check)?;
        Ok(Some(Draft { what, ..draft }))
    }
}

#[async_trait]
impl Connector for RestConnector {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, cx: &Cx) -> Result<()> {
        let wire = Wire::new(&self.manifest, cx)?;
        // A system that is only listened to has nothing to call.
        let Some(draft) = self.check_draft(&wire)? else { return Ok(()) };
        wire.send(&draft).await.map(drop)
    }

    async fn pull(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        self.pull_text(cx, stream, from).await?.read()
    }

    async fn pull_text(&self, cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page<JsonText>> {
        let declared = self.stream(stream)?;
        if !declared.can(Ability::Pull) {
            // Nothing to ask: the webhooks bring everything.
            return Ok(Page { items: Vec::new(), next: None, more: false, complete_scan: false });
        }
        pull::page(&Wire::new(&self.manifest, cx)?, stream, declared, from).await
    }

    async fn fetch(&self, cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        push::fetch(&Wire::new(&self.manifest, cx)?, self.stream(&key.stream)?, key).await
    }

    fn receive(&self, _cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        receive::receive(&self.manifest, request)
    }

    fn knows_repeat(&self, delivery: &Delivery) -> bool {
        let stream = self.streams.get(delivery.stream.as_str());
        stream.is_some_and(|stream| push::knows_repeat(&self.manifest, stream, delivery))
    }

    async fn push(&self, cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        push::push(&Wire::new(&self.manifest, cx)?, self.stream(&delivery.stream)?, delivery).await
    }

    async fn push_many(&self, cx: &Cx, deliveries: &[Delivery]) -> Vec<Result<Receipt>> {
        let Some(first) = deliveries.first() else { return Vec::new() };
        let ready = Wire::new(&self.manifest, cx).and_then(|wire| Ok((wire, self.stream(&first.stream)?)));
        match ready {
            Ok((wire, stream)) => batch::push_many(&wire, stream, deliveries).await,
            Err(error) => deliveries.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}
