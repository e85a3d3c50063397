//! Keeps the stages going until told to stop.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use huiliu_core::connection::{Connection, State};
use huiliu_core::connector::StreamName;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::streams;
use tokio::sync::watch;

use crate::config;
use crate::deployment::Deployment;

/// A stream is pulled this often when neither manifest nor configuration says otherwise.
const EVERY_DEFAULT: Duration = Duration::from_secs(300);

/// How long the loop of a connection rests when nothing is due.
const REST: Duration = Duration::from_millis(500);

/// Serves until ctrl-c or SIGTERM. Work under way is finished; a kill loses nothing either.
pub async fn serve(deployment: Deployment) -> Result<(), String> {
    let engine = deployment.engine.clone();
    let recovering = engine.clone();
    let recovered = on_thread(move || push::recover(&recovering)).await?;
    if recovered > 0 {
        tracing::info!(recovered, "deliveries that a stop interrupted are sent again under the same key");
    }
    let listener = tokio::net::TcpListener::bind(&deployment.config.hub.listen).await;
    let listener = listener.map_err(|error| format!("hub.listen = {:?}: {error}", deployment.config.hub.listen))?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    for connection in engine.connections.values().filter(|it| it.connector.is_some()) {
        let schedule = schedule(&deployment, connection)?;
        tasks.spawn(tend(engine.clone(), connection.clone(), schedule, stopped.clone()));
    }
    let news = std::sync::Arc::new(tokio::sync::Notify::new());
    let heard = news.clone();
    let hooks = crate::hooks::router(&engine, move || heard.notify_one())?;
    tasks.spawn(think(engine.clone(), news, stopped.clone()));
    let app = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(|| async { "ready\n" }))
        .merge(hooks);
    tracing::info!(listen = %deployment.config.hub.listen, connections = engine.connections.len(), "serving");
    let served = axum::serve(listener, app).with_graceful_shutdown(asked_to_stop()).await;
    let _ = stop.send(true);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!("a stage ended badly: {error}");
        }
    }
    served.map_err(|error| error.to_string())
}

async fn asked_to_stop() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

/// The streams of a connection with their intervals.
fn schedule(deployment: &Deployment, connection: &Connection) -> Result<Vec<(StreamName, Duration)>, String> {
    let given = deployment.config.connections.get(connection.name.as_str()).map(|it| &it.every);
    let Some(connector) = &connection.connector else { return Ok(Vec::new()) };
    let streams =
        connector.manifest().streams.iter().filter(|(_, stream)| stream.can(huiliu_core::manifest::Ability::Pull));
    streams
        .map(|(name, stream)| {
            let text = given.and_then(|given| given.get(name)).or(stream.every.as_ref());
            let every = text.map_or(Ok(EVERY_DEFAULT), |text| config::duration(text));
            Ok((StreamName::from(name), every.map_err(|told| format!("{}.{name}: {told}", connection.name))?))
        })
        .collect()
}

async fn tend(
    engine: Engine,
    connection: Connection,
    schedule: Vec<(StreamName, Duration)>,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        if let Err(error) = turn(&engine, &connection, &schedule).await {
            tracing::error!(connection = %connection.name, "the store failed, trying again: {error}");
        }
        tokio::select! {
            () = tokio::time::sleep(REST) => {}
            _ = stop.changed() => {}
        }
    }
}

/// One turn of a connection: what is due of each stream, hinted keys, deliveries.
async fn turn(engine: &Engine, connection: &Connection, schedule: &[(StreamName, Duration)]) -> Result<(), String> {
    let here = engine.clone();
    let (states, known) =
        on_thread(move || here.store.read(|tx| Ok((streams::states(tx)?, streams::all(tx)?)))).await?;
    let name = connection.name.as_str();
    if states.get(name).is_some_and(|(state, _)| *state == State::Paused) {
        return Ok(());
    }
    for (stream, every) in schedule {
        let state = known.get(&(name.to_owned(), stream.as_str().to_owned()));
        if state.is_none_or(|state| !state.stopped && state.due_us <= engine.clock.now_us()) {
            let every_us = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
            let pulled = pull::stream(engine, connection, stream, every_us).await.map_err(|error| error.to_string())?;
            if pulled.records > 0 {
                tracing::info!(connection = name, %stream, records = pulled.records, "pulled");
            }
        }
    }
    pull::fetches(engine, connection).await.map_err(|error| error.to_string())?;
    while push::batch(engine, connection).await.map_err(|error| error.to_string())? > 0 {}
    Ok(())
}

/// Processes and plans whatever the others brought.
async fn think(engine: Engine, news: std::sync::Arc<tokio::sync::Notify>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let here = engine.clone();
        let worked = on_thread(move || Ok(process::batch(&here)?.items + plan::batch(&here)?.0)).await;
        match worked {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => tracing::error!("processing failed, trying again: {error}"),
        }
        tokio::select! {
            () = news.notified() => {}
            () = tokio::time::sleep(REST) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> huiliu_core::store::db::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(error) => Err(format!("a stage stopped in the middle: {error}")),
    }
}
