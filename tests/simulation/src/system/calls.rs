//! How a system answers the hub, well or badly.

use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, ExternalId, Operation, Page, Receipt, Received, Record, RecordKey,
    Result, StreamName, Verified,
};
use huiliu_core::manifest::Manifest;
use huiliu_core::store::streams::{self, StreamState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::store::{STREAM, living};
use super::{Shown, State, System};
use crate::mutant::Mutant;
use crate::scenario::{Fault, Versions};
use crate::script::letter;

/// Where an incremental pull stands.
#[derive(Serialize, Deserialize)]
struct Place {
    /// It began here.
    since: i64,
    /// The highest version that it showed.
    high: i64,
    /// The last record that it showed.
    after: Option<(i64, String)>,
}

const ANY_CALL: [Fault; 6] =
    [Fault::ServerError, Fault::Limited, Fault::LimitedUntil, Fault::ErrorInside, Fault::CutBefore, Fault::Garbled];

impl System {
    /// A call begins: it travels, and may be refused at the door. Returns how long the answer will travel.
    async fn reach(&self, what: &str) -> Result<i64> {
        let (there_us, back_us) = {
            let mut state = self.state();
            let mut dice = self.dice(&mut state);
            let mut part = || dice.between(1_000, self.spec.latency_ms * 1000);
            (part(), part())
        };
        self.shared.wait(there_us).await;
        let now_us = self.now_us();
        let refused = {
            let mut state = self.state();
            self.refusal(&mut state, now_us)
        };
        if let Some(error) = refused {
            self.shared.ledger().tell(now_us, || format!("{}: {what} fails: {error}", letter(self.index)));
            self.shared.wait(back_us).await;
            return Err(error);
        }
        Ok(back_us)
    }

    fn refusal(&self, state: &mut State, now_us: i64) -> Option<ConnectorError> {
        if state.refused_until_us > now_us {
            self.shared.ledger().troubled_us = Some(self.now_us());
            return Some(ConnectorError::Unauthorized { detail: "the token expired".to_owned() });
        }
        if state.banned_until_us > now_us {
            let left = Duration::from_micros(u64::try_from(state.banned_until_us - now_us).unwrap_or(0));
            return Some(ConnectorError::RateLimited { detail: "too many calls".to_owned(), after: Some(left) });
        }
        let fault = Self::is_struck(state, &ANY_CALL)?;
        Some(match fault {
            Fault::Limited => ConnectorError::RateLimited { detail: "HTTP 429".to_owned(), after: None },
            Fault::LimitedUntil => {
                ConnectorError::RateLimited { detail: "HTTP 429".to_owned(), after: Some(Duration::from_secs(90)) }
            }
            Fault::ErrorInside => ConnectorError::transient("HTTP 200: the system is busy"),
            Fault::CutBefore => ConnectorError::transient("the connection was cut before the answer"),
            Fault::Garbled => {
                self.shared.ledger().troubled_us = Some(self.now_us());
                ConnectorError::broken("the reply is not JSON")
            }
            _ => ConnectorError::transient("HTTP 500"),
        })
    }

    /// What lists show of a record now.
    fn listed<'a>(&self, state: &'a State, id: &str) -> Option<&'a Shown> {
        let now_us = self.now_us();
        state.lists.get(id)?.iter().rev().find(|shown| shown.from_us <= now_us)
    }

    fn incremental(&self, state: &mut State, from: Option<&Cursor>) -> Result<Page> {
        let mut place = match from {
            Some(cursor) => {
                serde_json::from_str(cursor.as_str()).map_err(|error| ConnectorError::broken(error.to_string()))?
            }
            None => Place { since: i64::MIN, high: i64::MIN, after: None },
        };
        let struck = Self::is_struck(state, &[Fault::EmptyPage, Fault::EmptyEnd]);
        if struck == Some(Fault::EmptyPage) {
            let next = serde_json::to_string(&place).unwrap_or_default();
            return Ok(Page { items: Vec::new(), next: Some(Cursor::from(next)), more: true, complete_scan: false });
        }
        let mut rows: Vec<(i64, String, Received)> = Vec::new();
        for id in state.lists.keys() {
            let Some(shown) = self.listed(state, id) else { continue };
            let behind = match &place.after {
                Some((version, after)) => (shown.version, id) > (*version, after),
                None => shown.version >= place.since,
            };
            if behind {
                rows.push((shown.version, id.clone(), self.item(id, shown)));
            }
        }
        rows.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        if struck == Some(Fault::EmptyEnd) {
            rows.clear();
        }
        let more = rows.len() > self.spec.page;
        rows.truncate(self.spec.page);
        place.high = rows.last().map_or(place.high, |row| place.high.max(row.0));
        if more {
            place.after = rows.last().map(|row| (row.0, row.1.clone()));
        } else {
            let overlap_us = self.spec.overlap_seconds * 1_000_000;
            let since = match self.spec.versions {
                Versions::Instant => place.high.max(Self::beginning()) - overlap_us,
                // A sequence is told without gaps: the next number is the next change.
                _ => place.high.max(0) + 1,
            };
            place = Place { since, high: place.high, after: None };
        }
        let next = serde_json::to_string(&place).unwrap_or_default();
        let items = rows.into_iter().map(|row| row.2).collect();
        Ok(Page { items, next: Some(Cursor::from(next)), more, complete_scan: false })
    }

    fn item(&self, id: &str, shown: &Shown) -> Received {
        match (&shown.record, &shown.successor) {
            (Some(record), _) => Received::Record(record.clone()),
            (None, Some(_)) => Received::Hint { stream: STREAM.into(), id: id.into() },
            (None, None) => {
                Received::Deleted { stream: STREAM.into(), id: id.into(), version: self.version(shown.version) }
            }
        }
    }

    /// Every record, some at a time, counted from the first: what is deleted meanwhile moves the others.
    fn scan(&self, state: &mut State, from: Option<&Cursor>) -> Page {
        let at: usize = from.and_then(|cursor| cursor.as_str().parse().ok()).unwrap_or(0);
        let cursor = |at: usize| Some(Cursor::from(at.to_string()));
        match Self::is_struck(state, &[Fault::EmptyPage, Fault::EmptyEnd]) {
            Some(Fault::EmptyPage) => {
                return Page { items: Vec::new(), next: cursor(at), more: true, complete_scan: false };
            }
            Some(_) => return Page { items: Vec::new(), next: cursor(0), more: false, complete_scan: true },
            None => {}
        }
        let all: Vec<Record> = state.rows.iter().filter_map(|(id, row)| self.record(id, row)).collect();
        let end = (at + self.spec.page).min(all.len());
        let items = all.get(at..end).unwrap_or_default().iter().cloned().map(Received::Record).collect();
        let more = end < all.len();
        Page { items, next: cursor(if more { end } else { 0 }), more, complete_scan: !more }
    }

    /// The planted bug that stores a cursor before its page.
    fn hurry(&self, cx: &Cx, page: &Page) {
        if self.shared.mutant != Mutant::HastyCursor {
            return;
        }
        let store = self.hasty.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(store), Some(next)) = (store, &page.next) {
            let key = (cx.connection.as_str().to_owned(), STREAM.to_owned());
            let moved = store.write(|tx| {
                let known = streams::all(tx)?.remove(&key).unwrap_or_default();
                let state = StreamState { cursor: Some(next.as_str().to_owned()), ..known };
                streams::put(tx, &key.0, &key.1, &state)
            });
            if moved.is_err() {
                self.shared.ledger().troubled_us = Some(self.now_us());
            }
        }
    }

    /// Carries out a write in one step, as the system's own lock does.
    fn carry_out(&self, delivery: &Delivery) -> Result<Record> {
        let mut state = self.state();
        let blind = self.shared.mutant == Mutant::BlindCreate;
        let id = match (&delivery.id, delivery.operation) {
            (Some(id), Operation::Update) => id.as_str().to_owned(),
            (None, Operation::Create) => {
                let Some((person, name, email)) = Self::whose(&delivery.body) else {
                    return Err(ConnectorError::Rejected { at: "/email".to_owned(), reason: "no address".to_owned() });
                };
                let known = if self.spec.keys {
                    state.made.get(&delivery.idempotency_key).cloned()
                } else {
                    living(&state, person).filter(|_| delivery.attempt > 1)
                };
                if let Some(id) = known.filter(|_| !blind) {
                    let record = state.rows.get(&id).and_then(|row| self.record(&id, row));
                    return record.ok_or_else(|| ConnectorError::transient("made before, and gone since"));
                }
                let id = self.new_row(&mut state, person, name, email);
                state.made.insert(delivery.idempotency_key.clone(), id.clone());
                id
            }
            _ => {
                self.shared
                    .ledger()
                    .wrong(self.now_us(), "a record is to be deleted, and nobody deleted one".to_owned());
                return Err(ConnectorError::broken("deletes are not carried on"));
            }
        };
        let Some(row) = state.rows.get(&id).filter(|row| !row.gone) else {
            return Err(ConnectorError::Gone { detail: "the record is gone".to_owned() });
        };
        if delivery.operation == Operation::Update {
            let shown = self.record(&id, row).map(|record| record.body).unwrap_or_default();
            let moved = match (self.spec.conditional, &delivery.base_version) {
                (true, Some(base)) => base.order != Some(row.version),
                _ => differs(&delivery.base, &shown),
            };
            if moved {
                return Err(ConnectorError::Conflict { detail: "the record is another by now".to_owned() });
            }
        }
        self.write(&mut state, &id, &delivery.body);
        let record = state.rows.get(&id).and_then(|row| self.record(&id, row));
        record.ok_or_else(|| ConnectorError::transient("gone at once"))
    }
}

/// Whether a record holds something else than the hub believes, where the hub believes anything.
fn differs(base: &Value, shown: &Value) -> bool {
    let parts = base.as_object().into_iter().flatten();
    parts.into_iter().any(|(key, value)| shown.get(key).unwrap_or(&Value::Null) != value)
}

#[async_trait]
impl Connector for System {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }

    async fn pull(&self, cx: &Cx, _stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        let back_us = self.reach("a pull").await?;
        let page = {
            let mut state = self.state();
            match self.spec.versions {
                Versions::None => self.scan(&mut state, from),
                _ => self.incremental(&mut state, from)?,
            }
        };
        self.hurry(cx, &page);
        let count = page.items.len();
        self.shared.ledger().tell(self.now_us(), || format!("{}: a pull shows {count} records", letter(self.index)));
        self.shared.wait(back_us).await;
        Ok(page)
    }

    async fn fetch(&self, _cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        let back_us = self.reach("a fetch").await?;
        let found = {
            let state = self.state();
            let mut id = key.id.as_str();
            while let Some(successor) = state.rows.get(id).and_then(|row| row.successor.as_deref()) {
                id = successor;
            }
            state.rows.get(id).and_then(|row| self.record(id, row))
        };
        self.shared.ledger().tell(self.now_us(), || format!("{}: {} is read", letter(self.index), key.id));
        self.shared.wait(back_us).await;
        Ok(found)
    }

    fn receive(&self, _cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        let mut told: Vec<Received> =
            serde_json::from_slice(&request.request.body).map_err(|error| ConnectorError::broken(error.to_string()))?;
        if self.shared.mutant == Mutant::Restamped {
            for one in &mut told {
                if let Received::Record(Record { version: Some(version), .. }) = one {
                    version.order = Some(self.now_us());
                }
            }
        }
        Ok(told)
    }

    /// By its key, or by the mail address that its connector looks for.
    fn knows_repeat(&self, _delivery: &Delivery) -> bool {
        true
    }

    async fn push(&self, _cx: &Cx, delivery: &Delivery) -> Result<Receipt> {
        let back_us = self.reach("a write").await?;
        let carried = self.carry_out(delivery);
        let cut = carried.is_ok() && Self::is_struck(&mut self.state(), &[Fault::CutAfter]).is_some();
        let ending = match (&carried, cut) {
            (_, true) => "is carried out, and its answer lost".to_owned(),
            (Ok(record), _) => format!("is stored in {}: {}", record.id, record.body),
            (Err(error), _) => format!("fails: {error}"),
        };
        let (now_us, number, attempt) = (self.now_us(), delivery.number, delivery.attempt);
        self.shared
            .ledger()
            .tell(now_us, || format!("{}: delivery {number}, attempt {attempt}, {ending}", letter(self.index)));
        self.shared.wait(back_us).await;
        if cut {
            return Err(ConnectorError::transient("the connection was cut after the request"));
        }
        let record = carried?;
        Ok(Receipt { id: ExternalId::from(record.id.as_str()), version: record.version.clone(), stored: Some(record) })
    }
}
