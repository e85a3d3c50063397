//! A system in memory that stores records as real ones do: it trims, changes case, counts versions, and refuses stale
//! conditional writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use huiliu_core::clock::Clock;
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

/// Records on a page of a scan.
const SCAN_PAGE: usize = 2;

/// See the module.
pub struct Memory {
    manifest: Manifest,
    shouts: bool,
    scans: bool,
    forgets: bool,
    watch: Option<Watch>,
    state: Mutex<State>,
}

/// A clock of its own, by which it stamps its records.
struct Watch {
    clock: Clock,
    ahead_us: i64,
    is_told: bool,
}

impl Watch {
    fn now_us(&self) -> i64 {
        self.clock.now_us() + self.ahead_us
    }

    /// What an HTTP reply tells: whole seconds.
    fn tell(&self, cx: &Cx) {
        if self.is_told {
            let now_us = cx.clock.now_us();
            cx.offset.told(self.now_us().div_euclid(1_000_000) * 1_000_000, now_us, now_us);
        }
    }
}

#[derive(Default)]
struct State {
    records: BTreeMap<String, (i64, Value)>,
    sequence: i64,
    writes: usize,
    made: BTreeMap<String, String>,
    fault: Option<ConnectorError>,
    write_fault: Option<ConnectorError>,
    pull_fault: Option<ConnectorError>,
    fetch_fault: Option<ConnectorError>,
    hidden: BTreeSet<String>,
    required: Option<String>,
    /// By former id: when it was merged, into whom, and how that can be known.
    merged: BTreeMap<String, (i64, String, Telling)>,
    /// A create that is tried again finds what was made.
    finds: bool,
    /// A field of which no two records have the same value.
    unique: Option<String>,
}

impl State {
    /// The record that this one is taken for.
    fn same(&self, body: &Value) -> Option<String> {
        let value = body.get(self.unique.as_ref()?)?;
        let is_same = |(_, it): &(i64, Value)| self.unique.as_ref().and_then(|field| it.get(field)) == Some(value);
        self.records.iter().find(|(_, it)| is_same(it)).map(|(id, _)| id.clone())
    }
}

/// How a system lets know that it made one record of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// The former id answers with the record that stands for it.
    ById,
    /// The list of changes names both ids; the former one is unknown otherwise.
    InList,
    /// Not at all, but for a call of its own.
    Never,
}

impl Memory {
    /// `shouts`: titles are stored in upper case.
    pub fn new(shouts: bool) -> Self {
        let manifest = Manifest::parse("kit/connector.toml", MANIFEST).expect("the kit's manifest is right");
        Self { manifest, shouts, scans: false, forgets: false, watch: None, state: Mutex::default() }
    }

    /// Takes no key and cannot be asked: whoever creates twice has two records.
    pub fn forgetful() -> Self {
        Self { forgets: true, ..Self::new(false) }
    }

    /// Stamps records by a clock that is ahead of the hub's, and tells its time with every reply, if it does.
    pub fn clocked(clock: Clock, ahead_us: i64, is_told: bool) -> Self {
        Self { watch: Some(Watch { clock, ahead_us, is_told }), ..Self::new(false) }
    }

    /// Shows every record at every pull, two to a page, and knows no versions. `fetches`: one record can be read alone.
    pub fn scanned(fetches: bool) -> Self {
        let manifest = if fetches { MANIFEST.to_owned() } else { MANIFEST.replace("\"fetch\", ", "") };
        let manifest = Manifest::parse("kit/connector.toml", &manifest).expect("the kit's manifest is right");
        Self { manifest, shouts: false, scans: true, forgets: false, watch: None, state: Mutex::default() }
    }

    /// A person removes a record.
    pub fn remove(&self, id: &str) {
        self.state().records.remove(id);
    }

    /// A person merges a record into another one, which may be new: then it is as the former was.
    pub fn merge(&self, former: &str, into: &str, telling: Telling) {
        let mut state = self.state();
        state.sequence += 1;
        let version = state.sequence;
        if let Some((_, body)) = state.records.remove(former) {
            let survivor = state.records.entry(into.to_owned()).or_insert((0, body));
            survivor.0 = version;
        }
        state.merged.insert(former.to_owned(), (version, into.to_owned(), telling));
    }

    /// A record that scans do not show although it is there, as when somebody lost the right to see it; or does again.
    pub fn hide(&self, id: &str, hidden: bool) {
        let mut state = self.state();
        if hidden {
            state.hidden.insert(id.to_owned())
        } else {
            state.hidden.remove(id)
        };
    }

    /// The second page of the next pull fails.
    pub fn fail_next_pull(&self, error: ConnectorError) {
        self.state().pull_fault = Some(error);
    }

    /// The next record cannot be read alone.
    pub fn fail_next_fetch(&self, error: ConnectorError) {
        self.state().fetch_fault = Some(error);
    }

    fn scan(&self, from: Option<&str>) -> Result<Page> {
        let mut state = self.state();
        if let (Some(fault), Some(_)) = (&state.pull_fault, from.filter(|from| !from.is_empty())) {
            let fault = fault.clone();
            state.pull_fault = None;
            return Err(fault);
        }
        let rest = state.records.iter().filter(|(id, _)| from.is_none_or(|from| id.as_str() > from));
        let rest: Vec<_> = rest.filter(|(id, _)| !state.hidden.contains(*id)).collect();
        let more = rest.len() > SCAN_PAGE;
        let next = rest.get(SCAN_PAGE - 1).filter(|_| more).map_or_else(String::new, |(id, _)| (*id).clone());
        let items = rest.iter().take(SCAN_PAGE).map(|(id, (_, body))| Received::Record(self.shown(id, 0, body)));
        Ok(Page { items: items.collect(), next: Some(Cursor::from(next)), more, complete_scan: !more })
    }

    fn shown(&self, id: &str, version: i64, body: &Value) -> Record {
        let shown = record(id, version, body);
        let at = self.watch.as_ref().and_then(|_| jiff::Timestamp::from_microsecond(version).ok());
        match at {
            Some(at) => Record { version: Some(Version::instant(at.to_string(), at)), ..shown },
            None if self.scans => Record { version: None, ..shown },
            None => shown,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, state: &mut State, id: &str, patch: &Value) -> Record {
        state.sequence = (state.sequence + 1).max(self.watch.as_ref().map_or(0, Watch::now_us));
        let version = state.sequence;
        let entry = state.records.entry(id.to_owned()).or_insert((0, Value::Object(serde_json::Map::new())));
        overlay(&mut entry.1, patch);
        if let (true, Some(title)) = (self.shouts, entry.1.get("title").and_then(Value::as_str)) {
            entry.1["title"] = Value::String(title.trim().to_uppercase());
        }
        entry.0 = version;
        self.shown(id, version, &entry.1)
    }

    /// A person edits a record.
    pub fn edit(&self, id: &str, patch: &Value) {
        let mut state = self.state();
        self.store(&mut state, id, patch);
    }

    /// A record bears this version from now on, as when it was committed late, or together with others.
    pub fn stamp(&self, id: &str, version: i64) {
        if let Some(entry) = self.state().records.get_mut(id) {
            entry.0 = version;
        }
    }

    /// The highest version given so far.
    pub fn sequence(&self) -> i64 {
        self.state().sequence
    }

    /// An update of the system changes the form of all its records: each is stored anew.
    pub fn reshape(&self, how: impl Fn(&mut Value)) {
        let mut state = self.state();
        let mut sequence = state.sequence;
        for (version, body) in state.records.values_mut() {
            sequence += 1;
            how(body);
            *version = sequence;
        }
        state.sequence = sequence;
    }

    /// From now on every write must leave a value here.
    pub fn require(&self, field: &str) {
        self.state().required = Some(field.to_owned());
    }

    /// From now on a create that is tried again finds what was made, and writes nothing.
    pub fn find_repeats(&self) {
        self.state().finds = true;
    }

    /// From now on a create whose value in this field some record has writes over that record, and no other tells a repeat.
    pub fn tell_apart_by(&self, field: &str) {
        self.state().unique = Some(field.to_owned());
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

    /// The next write is not carried out, and this is answered.
    pub fn fail_next_write(&self, error: ConnectorError) {
        self.state().write_fault = Some(error);
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

    async fn pull(&self, cx: &Cx, _stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        if let Some(watch) = &self.watch {
            watch.tell(cx);
        }
        if self.scans {
            return self.scan(from.map(Cursor::as_str));
        }
        let after: i64 =
            from.map_or(Ok(0), |cursor| cursor.as_str().parse()).map_err(|_| ConnectorError::broken("cursor"))?;
        let state = self.state();
        let items = state.records.iter().filter(|(_, (version, _))| *version > after);
        let items = items.map(|(id, (version, body))| Received::Record(self.shown(id, *version, body)));
        let merged = state.merged.iter().filter(|(_, it)| it.0 > after && it.2 == Telling::InList);
        let merged = merged.map(|(id, (_, into, _))| Received::Merged {
            stream: "customers".into(),
            id: id.into(),
            into: into.into(),
        });
        let items = items.chain(merged).collect();
        Ok(Page { items, next: Some(Cursor::from(state.sequence.to_string())), more: false, complete_scan: false })
    }

    async fn fetch(&self, _cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        let mut state = self.state();
        if let Some(fault) = state.fetch_fault.take() {
            return Err(fault);
        }
        let mut id = key.id.as_str();
        while let Some((_, into, Telling::ById)) = state.merged.get(id) {
            id = into;
        }
        Ok(state.records.get(id).map(|(version, body)| self.shown(id, *version, body)))
    }

    fn receive(&self, _cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        serde_json::from_slice(&request.request.body).map_err(|error| ConnectorError::broken(error.to_string()))
    }

    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        !self.forgets
    }

    async fn push(&self, _cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        let mut state = self.state();
        if let Some(fault) = state.write_fault.take() {
            return Err(fault);
        }
        let id = match (&delivery.id, delivery.operation) {
            (Some(id), Operation::Update) => id.as_str().to_owned(),
            _ => match state.made.get(&delivery.idempotency_key) {
                Some(known) if !self.forgets && state.unique.is_none() => known.clone(),
                _ if let Some(same) = state.same(&delivery.body) => same,
                _ => format!("made{}", state.records.keys().filter(|id| id.starts_with("made")).count() + 1),
            },
        };
        if (state.finds, delivery.operation) == (true, Operation::Create)
            && state.made.contains_key(&delivery.idempotency_key)
            && let Some((version, body)) = state.records.get(&id)
        {
            let found = self.shown(&id, *version, body);
            return Ok(Receipt { id: ExternalId::from(id), version: found.version.clone(), stored: Some(found) });
        }
        let known = state.records.get(&id).map(|(version, _)| *version);
        if known.is_none() && delivery.operation == Operation::Update {
            return Err(ConnectorError::Gone { detail: format!("there is no {id}") });
        }
        if let (Some(base), Some(known)) = (&delivery.base_version, known)
            && base.order != Some(known)
        {
            return Err(ConnectorError::Conflict { detail: format!("the record is at version {known}") });
        }
        if let Some(field) = &state.required {
            let there = |body: &Value| body.get(field).is_some_and(|value| !value.is_null());
            if !there(&delivery.body) && !state.records.get(&id).is_some_and(|(_, body)| there(body)) {
                let reason = format!("{field} must not be empty");
                return Err(ConnectorError::Rejected { at: field.clone(), reason });
            }
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
