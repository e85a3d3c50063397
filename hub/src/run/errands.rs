//! The errands of a connection: keys to fetch, deliveries to send.

use std::time::Duration;

use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{pull, push};
use huiliu_core::store::deliveries::Planned;
use huiliu_core::store::streams::{self, Errands};
use tokio::sync::watch;

use super::{Bells, GLANCE, on_thread, rest};

/// What was handed over is sent at once; whether anything else is due is asked only where nobody knows. Says how long the
/// connection may rest.
pub async fn errands(
    engine: &Engine,
    connection: &Connection,
    bells: &Bells,
    stop: &watch::Receiver<bool>,
) -> Result<Duration, String> {
    let name = connection.name.as_str();
    let claimed = engine.take_handed(name);
    let sent_first = if claimed.is_empty() { None } else { sent(engine, connection, claimed, bells).await? };
    let mut next = match sent_first {
        Some(next) => next,
        None => asked(engine, connection).await?,
    };
    loop {
        if next.is_paused || *stop.borrow() {
            return Ok(GLANCE);
        }
        let fetches = is_due(engine, next.fetch_us);
        let sends = is_due(engine, next.send_us) || engine.owes_answers(name);
        let fetched = if fetches { pull::fetches(engine, connection).await.map_err(|it| it.to_string())? } else { 0 };
        if fetched > 0 {
            bells.think.ring();
        }
        let after = if sends { sent(engine, connection, Vec::new(), bells).await? } else { None };
        if fetched == 0 && after.is_none() {
            return Ok(rest(engine, next.next_us()));
        }
        next = match after {
            Some(after) if !fetches => after,
            _ => asked(engine, connection).await?,
        };
    }
}

async fn asked(engine: &Engine, connection: &Connection) -> Result<Errands, String> {
    let (here, name) = (engine.clone(), connection.name.clone());
    on_thread(move || here.store.read(|tx| streams::errands(tx, name.as_str()))).await
}

/// Sends until nothing more is due; none: nothing was.
async fn sent(
    engine: &Engine,
    connection: &Connection,
    claimed: Vec<Planned>,
    bells: &Bells,
) -> Result<Option<Errands>, String> {
    let sent = push::round(engine, connection, claimed).await.map_err(|error| error.to_string())?;
    if sent.tried > 0 {
        // What a conflict read again waits in the inbox, and what was planned anew may be for others.
        bells.call_for(&engine.take_errands());
    }
    Ok(sent.next)
}

fn is_due(engine: &Engine, due_us: Option<i64>) -> bool {
    due_us.is_some_and(|due_us| due_us <= engine.clock.now_us())
}
