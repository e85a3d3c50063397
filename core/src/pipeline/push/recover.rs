//! What was being sent when somebody died is sent again, under the same key.

use std::collections::BTreeSet;

use crate::connection::Connection;
use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::store::db::{Result, Tx};
use crate::store::deliveries;

/// What was on its way when the hub died has arrived after this time. Systems that take a key of ours know a repeat;
/// where a repeat is only found by looking, it must not be looked for before it is there.
pub(super) const IN_FLIGHT_US: i64 = 5_000_000;

/// After a crash: what was being sent is sent again under the same key.
pub fn recover(engine: &Engine) -> Result<u64> {
    let recovered = engine.store.write(|tx| {
        let numbers = deliveries::sending(tx)?;
        let recovered = give_back(engine, tx, engine.connections.values(), &numbers)?;
        point(Point::RecoverWritten);
        Ok(recovered)
    })?;
    point(Point::RecoverCommitted);
    Ok(recovered)
}

/// The same for one connection, by whoever takes it over: until then somebody else sent to it, who is dead, or who stands
/// still and sends nothing any more. What this node did not send earlier, or whose answers it did not store, is among them.
pub fn take_up(engine: &Engine, connection: &Connection) -> Result<u64> {
    let name = connection.name.as_str();
    engine.forget_unanswered(name);
    drop(engine.take_handed(name));
    let recovered = engine.store.write(|tx| {
        let numbers = deliveries::sending_to(tx, name)?;
        let recovered = give_back(engine, tx, [connection], &numbers)?;
        if recovered > 0 {
            point(Point::RecoverWritten);
        }
        Ok(recovered)
    })?;
    if recovered > 0 {
        point(Point::RecoverCommitted);
    }
    Ok(recovered)
}

/// Lets deliveries of these connections wait again whose answers nobody knows.
pub(super) fn give_back<'a>(
    engine: &Engine,
    tx: &mut Tx<'_>,
    of: impl IntoIterator<Item = &'a Connection>,
    numbers: &BTreeSet<i64>,
) -> Result<u64> {
    // A create may be on its way still, and what it makes is found a while after.
    let due_us = engine.clock.now_us().saturating_add(IN_FLIGHT_US);
    let mut creates = Vec::new();
    for connection in of {
        let Some(manifest) = connection.connector.as_ref().map(|it| it.manifest()) else { continue };
        let lags = manifest.streams.keys().filter_map(|stream| Some((stream, manifest.lookup_lag_us(stream)?)));
        let name = connection.name.as_str();
        creates.extend(lags.map(|(stream, lag_us)| (name, stream.as_str(), due_us.saturating_add(lag_us))));
    }
    deliveries::give_back(tx, numbers, &creates, engine.clock.now_us())
}
