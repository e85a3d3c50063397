//! A finding with the records that wait for it, for people.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::redrive::body_of;
use super::{Finding, Kind, Parked};
use crate::engine::Engine;
use crate::store::db::Result;
use crate::store::inbox::{self, InboxItem};
use crate::store::{deliveries, drifts};

/// Something that waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shown {
    /// What waits.
    pub parked: Parked,
    /// What stands at the finding's place in it.
    pub value: Option<Value>,
    /// The record, or what was to be written.
    pub body: Option<Value>,
}

/// A finding, and at most `count` of what waits for it. None: there is no such finding.
pub fn shown(engine: &Engine, number: i64, count: i64) -> Result<Option<(Finding, Vec<Shown>)>> {
    engine.store.read(|tx| {
        let Some(finding) = drifts::by_number(tx, number)? else { return Ok(None) };
        let waiting = drifts::waiting(tx, number, "", count)?;
        let positions = waiting.iter().map(|one| one.position);
        let mut bodies: BTreeMap<i64, Value> = BTreeMap::new();
        if finding.kind == Kind::Refused {
            bodies.extend(
                deliveries::dead_of(tx, positions)?.into_iter().map(|it| (it.delivery.number, it.delivery.body)),
            );
        } else if let Some(connection) = engine.connections.get(&finding.connection) {
            let items: BTreeMap<i64, InboxItem> =
                inbox::at_all(tx, positions)?.into_iter().map(|item| (item.position, item)).collect();
            for one in &waiting {
                let item = items.get(&one.position);
                let body = item.and_then(|item| body_of(connection, item, &finding.stream, &one.key));
                bodies.extend(body.map(|body| (one.position, body)));
            }
        }
        let rows = waiting.into_iter().map(|parked| {
            let body = bodies.get(&parked.position).cloned();
            Shown { value: body.as_ref().and_then(|body| body.pointer(&finding.place)).cloned(), body, parked }
        });
        let rows = rows.collect();
        Ok(Some((finding, rows)))
    })
}
