//! An office CRM in memory: companies, their deals, and tasks that can be made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, ExternalId, Page, Receipt, Received, Record, RecordKey, Result,
    StreamName, Verified, Version,
};
use huiliu_core::manifest::Manifest;
use huiliu_mappings::lens::laws::overlay;
use huiliu_tests::kit;
use serde_json::{Value, json};

const MANIFEST: &str = r#"
[connector]
name = "office"
title = "Office"
about = "A CRM in memory."
driver = "rust"
[streams.customers]
abilities = ["pull", "fetch", "update"]
[streams.deals]
abilities = ["pull", "fetch"]
[streams.tasks]
abilities = ["pull", "fetch", "create"]
"#;

const MAPPING: &str = r#"
[customers]
entity = "customer"
[customers.identities]
tax_id = "/tax"
[customers.fields]
legal_name = "/name"
industry = "/industry"
tags = "/tags"
[deals]
entity = "deal"
[deals.fields]
name = "/name"
stage = "/stage"
owner = "/owner"
amount = { from = "/amount", currency_from = "/currency", direction = "in" }
[deals.references]
record = { lens = "customers", from = "/customer" }
[tasks]
entity = "interaction"
[tasks.fields]
subject = "/subject"
kind = "/kind"
body = "/note"
"#;

type Key = (String, String);

#[derive(Default)]
struct State {
    records: BTreeMap<Key, (i64, Value)>,
    sequence: i64,
    made: BTreeMap<String, String>,
    lost: usize,
}

/// See the module.
pub struct Office {
    manifest: Manifest,
    state: Mutex<State>,
}

impl Office {
    pub fn open() -> Arc<Self> {
        let manifest = Manifest::parse("office/connector.toml", MANIFEST).expect("the manifest is right");
        Arc::new(Self { manifest, state: Mutex::default() })
    }

    /// The connection `crm` to it.
    pub fn connection(self: &Arc<Self>, clock: &Clock) -> Connection {
        let mut connection = kit::connection("crm", clock, Some(self.clone()));
        connection.lenses = kit::lenses(MAPPING);
        connection
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A person edits a record, or makes it: `deals/d1`.
    pub fn edit(&self, key: &str, patch: &Value) {
        let (stream, id) = key.split_once('/').expect("stream and id");
        store(&mut self.state(), &(stream.to_owned(), id.to_owned()), patch);
    }

    /// All records of a stream.
    pub fn all(&self, stream: &str) -> Vec<Value> {
        let state = self.state();
        state.records.iter().filter(|((of, _), _)| of == stream).map(|(_, (_, body))| body.clone()).collect()
    }

    /// The next write is carried out, and its answer is lost.
    pub fn lose_answer(&self) {
        self.state().lost = 1;
    }
}

fn store(state: &mut State, key: &Key, patch: &Value) -> Record {
    state.sequence += 1;
    let sequence = state.sequence;
    let entry = state.records.entry(key.clone()).or_insert((0, json!({})));
    overlay(&mut entry.1, patch);
    entry.0 = sequence;
    shown(key, sequence, &entry.1)
}

fn shown((stream, id): &Key, version: i64, body: &Value) -> Record {
    let version = Some(Version::sequence(version));
    Record { stream: stream.as_str().into(), id: id.as_str().into(), version, body: body.clone() }
}

#[async_trait]
impl Connector for Office {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }

    async fn pull(&self, _cx: &Cx, stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        let after: i64 = from.and_then(|cursor| cursor.as_str().parse().ok()).unwrap_or(0);
        let state = self.state();
        let mine = state.records.iter().filter(|((of, _), (version, _))| of == stream.as_str() && *version > after);
        let items = mine.map(|(key, (version, body))| Received::Record(shown(key, *version, body))).collect();
        Ok(Page { items, next: Some(Cursor::from(state.sequence.to_string())), more: false, complete_scan: false })
    }

    async fn fetch(&self, _cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        let key = (key.stream.as_str().to_owned(), key.id.as_str().to_owned());
        Ok(self.state().records.get(&key).map(|(version, body)| shown(&key, *version, body)))
    }

    fn receive(&self, _cx: &Cx, _request: &Verified) -> Result<Vec<Received>> {
        Err(ConnectorError::broken("it tells nothing"))
    }

    async fn push(&self, _cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        let mut state = self.state();
        let next = format!("t{}", state.made.len() + 1);
        let id = match &delivery.id {
            Some(id) => id.as_str().to_owned(),
            None => state.made.entry(delivery.idempotency_key.clone()).or_insert(next).clone(),
        };
        let stored = store(&mut state, &(delivery.stream.as_str().to_owned(), id.clone()), &delivery.body);
        if std::mem::take(&mut state.lost) > 0 {
            return Err(ConnectorError::transient("the answer was lost"));
        }
        Ok(Receipt { id: ExternalId::from(id), version: stored.version.clone(), stored: Some(stored) })
    }
}
