//! Webhooks into the inbox: the way in of `huiliu-webhooks` on whatever keeps calls here.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::intake::{self, Call, Intake, Log};
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_webhooks::{Appended, Arrived, Hook, Hooks, IntakeError, Limits};

/// The writer empties a full queue within a second or two.
const AGAIN_SECONDS: u32 = 2;

struct IntoInbox {
    log: Arc<dyn Log>,
    engine: Engine,
}

#[async_trait]
impl huiliu_webhooks::Intake for IntoInbox {
    async fn append(&self, arrived: Arrived) -> Result<Appended, IntakeError> {
        let headers =
            serde_json::to_string(&arrived.headers).map_err(|error| IntakeError::Failed(error.to_string()))?;
        let known = self.engine.connections.get(arrived.connection.as_str());
        let item = InboxItem {
            connection: arrived.connection.as_str().to_owned(),
            kind: ItemKind::Webhook,
            target: Some(arrived.target),
            headers: Some(headers),
            body: arrived.body.to_vec(),
            received_us: self.engine.clock.now_us(),
            clock_offset_us: known.map_or(0, |connection| connection.cx.offset.us()),
            ..InboxItem::default()
        };
        match self.log.append(Call { item, dedupe: arrived.dedupe }).await {
            Ok(intake::Appended::Fresh) => Ok(Appended::Fresh),
            Ok(intake::Appended::Repeat) => Ok(Appended::Repeat),
            Err(intake::IntakeError::Full) => Err(IntakeError::Full { retry_after_seconds: AGAIN_SECONDS }),
            Err(intake::IntakeError::Failed(told)) => Err(IntakeError::Failed(told)),
            Err(intake::IntakeError::Away(_)) => Err(IntakeError::Away),
        }
    }

    fn full(&self) -> Option<u32> {
        self.log.is_full().then_some(AGAIN_SECONDS)
    }
}

/// `/hooks/{connection}` for every connection whose manifest has a webhook. What is proven is kept in the store; `wake` is
/// called after every commit, and `limits` says how much each connection may call.
pub fn router(
    engine: &Engine,
    limits: impl Fn(&str) -> Limits,
    wake: impl Fn() + Send + 'static,
) -> Result<Router, String> {
    let intake = Intake::start(engine.store.clone(), engine.clock.clone(), wake);
    let intake = intake.map_err(|error| format!("the intake cannot start: {error}"))?;
    Ok(router_into(engine, limits, Arc::new(intake)))
}

/// The same, and what is proven is kept in `log`.
pub fn router_into(engine: &Engine, limits: impl Fn(&str) -> Limits, log: Arc<dyn Log>) -> Router {
    let hooks = engine.connections.values().filter_map(|connection| {
        let connector = connection.connector.clone().filter(|it| it.manifest().webhook.is_some())?;
        let limits = limits(connection.name.as_str());
        Some(Hook { connection: connection.name.clone(), connector, cx: connection.cx.clone(), limits })
    });
    huiliu_webhooks::router(Hooks::new(hooks), Arc::new(IntoInbox { log, engine: engine.clone() }))
}
