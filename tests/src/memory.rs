//! A system in memory that stores records as real ones do: it trims, changes case, counts versions, and refuses stale
//! conditional writes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, ExternalId, Operation, Page, Receipt, Received, Record, RecordKey,
    Result, StreamName, Verified, Version,
};
use huiliu_core::manifest::Manifest;
use huiliu_mappings::lens::laws::overlay;
use serde_json::Value;

const MANIFEST: &str = r#"
[connector]
name = "kit"
title = "Kit"
about = "A system in memory."
driver = "rust"
[streams.customers]
abilities = ["pull", "fetch", "create", "update"]
[streams.orders]
abilities = ["pull"]
"#;

/// See the module.
pub struct Memory {
    manifest: Manifest,
    shouts: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: BTreeMap<String, (i64, Value)>,
    sequence: i64,
    writes: usize,
    made: BTreeMap<String, String>,
    fault: Option<ConnectorError>,
}

impl Memory {
    /// `shouts`: titles are stored in upper case.
    pub fn new(shouts: bool) -> Self {
        let manifest = Manifest::parse("kit/connector.toml", MANIFEST).expect("the kit's manifest is right");
        Self { manifest, shouts, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, state: &mut State, id: &str, patch: &Value) -> Record {
        state.sequence += 1;
        let version = state.sequence;
        let entry = state.records.entry(id.to_owned()).or_insert((0, Value::Object(serde_json::Map::new())));
        overlay(&mut entry.1, patch);
        if let (true, Some(title)) = (self.shouts, entry.1.get("title").and_then(Value::as_str)) {
            entry.1["title"] = Value::String(title.trim().to_uppercase());
        }
        entry.0 = version;
        record(id, version, &entry.1)
    }

    /// A person edits a record.
    pub fn edit(&self, id: &str, patch: &Value) {
        let mut state = self.state();
        self.store(&mut state, id, patch);
    }

    /// A record as it stands.
    pub fn get(&self, id: &str) -> Value {
        self.state().records.get(id).map(|(_, body)| body.clone()).unwrap_or_default()
    }

    /// The ids of all records.
    pub fn ids(&self) -> Vec<String> {
        self.state().records.keys().cloned().collect()
    }

    /// How often the hub wrote.
    pub fn writes(&self) -> usize {
        self.state().writes
    }

    /// The next write is carried out, and then this is answered.
    pub fn fail_next_answer(&self, error: ConnectorError) {
        self.state().fault = Some(error);
    }
}

fn record(id: &str, version: i64, body: &Value) -> Record {
    Record { stream: "customers".into(), id: id.into(), version: Some(Version::sequence(version)), body: body.clone() }
}

#[async_trait]
impl Connector for Memory {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }

    async fn pull(&self, _cx: &Cx, _stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        let after: i64 =
            from.map_or(Ok(0), |cursor| cursor.as_str().parse()).map_err(|_| ConnectorError::broken("cursor"))?;
        let state = self.state();
        let items = state.records.iter().filter(|(_, (version, _))| *version > after);
        let items = items.map(|(id, (version, body))| Received::Record(record(id, *version, body))).collect();
        Ok(Page { items, next: Some(Cursor::from(state.sequence.to_string())), more: false, complete_scan: false })
    }

    async fn fetch(&self, _cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        Ok(self.state().records.get(key.id.as_str()).map(|(version, body)| record(key.id.as_str(), *version, body)))
    }

    fn receive(&self, _cx: &Cx, _request: &Verified) -> Result<Vec<Received>> {
        Ok(Vec::new())
    }

    async fn push(&self, _cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        let mut state = self.state();
        let id = match (&delivery.id, delivery.operation) {
            (Some(id), Operation::Update) => id.as_str().to_owned(),
            _ => match state.made.get(&delivery.idempotency_key) {
                Some(known) => known.clone(),
                None => format!("made{}", state.made.len() + 1),
            },
        };
        let known = state.records.get(&id).map(|(version, _)| *version);
        if let (Some(base), Some(known)) = (&delivery.base_version, known)
            && base.order != Some(known)
        {
            return Err(ConnectorError::Conflict { detail: format!("the record is at version {known}") });
        }
        state.made.insert(delivery.idempotency_key.clone(), id.clone());
        state.writes += 1;
        let stored = self.store(&mut state, &id, &delivery.body);
        match state.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(Receipt { id: ExternalId::from(id), version: stored.version.clone(), stored: Some(stored) }),
        }
    }
}
