//! The stages by hand: pulled, thought and pushed until nothing moves any more.

use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::connection::{Connection, State};
use huiliu_core::engine::Engine;
use huiliu_core::manifest::Ability;
use huiliu_core::pipeline::{automate, plan, process, pull, push};
use huiliu_core::store::db::Result as Stored;
use huiliu_core::store::{Store, Tx, deliveries, inbox, streams};
use huiliu_mappings::{matching, merge};

/// Systems that agree do so within a second or two; a throttled one needs its vendor's wait.
pub const SETTLE_MAX: Duration = Duration::from_secs(60);

/// What a stage's own failure says.
type Result<T> = std::result::Result<T, String>;

/// An engine over these connections, all of which may be written.
///
/// # Errors
/// The store's own.
pub async fn live(store: Store, clock: Clock, connections: impl IntoIterator<Item = Connection>) -> Result<Engine> {
    let engine = Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock);
    let names: Vec<(String, String)> =
        engine.connections.values().map(|it| (it.name.as_str().to_owned(), it.system.clone())).collect();
    write(&engine, move |tx| {
        for (name, system) in &names {
            streams::introduce(tx, name, system, 0)?;
            streams::set_state(tx, name, State::Live, None, 0)?;
        }
        Ok(())
    })
    .await?;
    Ok(engine)
}

/// Asks the store.
///
/// # Errors
/// The store's own.
pub async fn read<T: Send + 'static>(
    engine: &Engine,
    ask: impl FnOnce(&mut Tx<'_>) -> Stored<T> + Send + 'static,
) -> Result<T> {
    let store = engine.store.clone();
    blocking(move || store.read(ask).map_err(|error| error.to_string())).await
}

/// Writes to the store.
///
/// # Errors
/// The store's own.
pub async fn write<T: Send + 'static>(
    engine: &Engine,
    act: impl FnMut(&mut Tx<'_>) -> Stored<T> + Send + 'static,
) -> Result<T> {
    let store = engine.store.clone();
    blocking(move || store.write(act).map_err(|error| error.to_string())).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

/// Pulls every stream once; the answer is what the systems said went wrong.
///
/// # Errors
/// The store's own.
pub async fn pull(engine: &Engine) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for connection in engine.connections.values() {
        let Some(connector) = &connection.connector else { continue };
        for (name, _) in connector.manifest().streams.iter().filter(|(_, stream)| stream.can(Ability::Pull)) {
            let pulled = pull::stream(engine, connection, &name.as_str().into(), 1).await;
            told.extend(pulled.map_err(|error| error.to_string())?.error);
        }
    }
    Ok(told)
}

/// Fetches what was hinted and makes of the inbox what it means; the answer is how much is owed to whom.
///
/// # Errors
/// The store's own.
pub async fn think(engine: &Engine) -> Result<usize> {
    for connection in engine.connections.values() {
        pull::fetches(engine, connection).await.map_err(|error| error.to_string())?;
    }
    let here = engine.clone();
    blocking(move || {
        let thought = process::batch(&here).map_err(|error| error.to_string())?.changes;
        let owed = plan::batch(&here).map_err(|error| error.to_string())?.1;
        Ok(thought + owed + automate::batch(&here).map_err(|error| error.to_string())?.0)
    })
    .await
}

/// Writes what is due; the answer is how many deliveries were tried.
///
/// # Errors
/// The store's own.
pub async fn push(engine: &Engine) -> Result<usize> {
    let mut tried = 0;
    for connection in engine.connections.values() {
        tried += push::batch(engine, connection).await.map_err(|error| error.to_string())?;
    }
    Ok(tried)
}

/// Until nothing waits and nothing moves, pulls or not; the answer is what the systems said went wrong on the way.
///
/// # Errors
/// The store's own, and that the systems never agree.
pub async fn settle(engine: &Engine, pulls: bool) -> Result<Vec<String>> {
    #[allow(clippy::disallowed_methods)] // How long a person waits for it, not what happened when.
    let started = Instant::now();
    let mut all = Vec::new();
    while started.elapsed() < SETTLE_MAX {
        let told = if pulls { pull(engine).await? } else { Vec::new() };
        let moved = think(engine).await? + push(engine).await?;
        let quiet = moved == 0 && told.is_empty();
        all.extend(told);
        let waits = read(engine, |tx| {
            let backlog = inbox::backlog(tx, "process")? + inbox::fetches_waiting(tx)?;
            Ok(backlog > 0 || deliveries::next_due_us(tx)?.is_some())
        });
        if quiet && !waits.await? {
            return Ok(all);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("the systems do not agree within {} s: {all:?}", SETTLE_MAX.as_secs()))
}

/// Lets webhooks in on a loopback port; the answer is the address before `/hooks/`.
///
/// # Errors
/// No port is free.
pub async fn listen(engine: &Engine) -> Result<String> {
    let hooks = crate::hooks::router(engine, |_| huiliu_webhooks::Limits::default(), || {})?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move { axum::serve(listener, hooks).await });
    Ok(format!("http://{address}"))
}
