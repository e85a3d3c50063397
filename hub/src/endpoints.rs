//! What a supervisor asks: does the process live, may it have work, how does it do.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use huiliu_core::engine::Engine;
use huiliu_core::store::overview;

use crate::metrics::Metrics;

/// A store that takes longer is not ready: probes give up after some seconds themselves.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// `/healthz`, `/readyz` and `/metrics`. They show names of connections, no record: keep them from the public all the
/// same, and let a proxy pass on `/hooks/` only.
pub fn router(engine: &Engine, metrics: Metrics) -> Router {
    let ready = Router::new().route("/readyz", get(readyz)).with_state(engine.clone());
    let metrics = Router::new().route("/metrics", get(render)).with_state(metrics);
    Router::new().route("/healthz", get(|| async { "ok\n" })).merge(ready).merge(metrics)
}

async fn readyz(State(engine): State<Engine>) -> Response {
    let asked = tokio::task::spawn_blocking(move || engine.store.read(overview::ready));
    let reason = match tokio::time::timeout(ANSWER_MAX, asked).await {
        Ok(Ok(Ok(()))) => return "ready\n".into_response(),
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(error)) => format!("the store's thread stopped: {error}"),
        Err(_) => format!("the store did not answer within {} s", ANSWER_MAX.as_secs()),
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response()
}

async fn render(State(metrics): State<Metrics>) -> Response {
    match tokio::task::spawn_blocking(move || metrics.render()).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
