//! The play: the systems, the hub among them, and whoever waits for what must follow.

use std::time::{Duration, Instant};

use huiliu_core::engine::Engine;
use huiliu_core::explain;
use huiliu_core::manifest::Ability;
use huiliu_core::store::{db, inbox, streams};

use super::stage::Stage;
use super::systems::Systems;
use crate::run::Bells;

/// Nothing may take longer than this; with schedules of a few seconds it takes one or two.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the systems are looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// One day with its systems.
pub struct Play<'a> {
    /// The pretended systems.
    pub systems: &'a Systems,
    /// What the hub works on; the story looks into it, the verdict never does.
    pub engine: Engine,
    /// Wakes the hub where the story itself changes its store.
    pub bells: Bells,
    /// Where the story is told.
    pub stage: Stage,
    /// Scenes whose consequence did not come in time.
    pub missed: usize,
    /// Changes whose webhook was lost or is never sent, and that the schedule found all the same.
    pub found_again: usize,
}

impl Play<'_> {
    /// Waits until something is to be seen in the systems, and tells it.
    pub async fn follows(&mut self, en: &str, zh: &str, holds: impl Fn(&Systems) -> bool) {
        let started = Instant::now();
        while !holds(self.systems) {
            if started.elapsed() > PATIENCE {
                return self.miss(en, zh);
            }
            tokio::time::sleep(GLANCE).await;
        }
        self.stage.followed(en, zh, started.elapsed());
    }

    /// The same for a change that no webhook told.
    pub async fn is_found(&mut self, en: &str, zh: &str, holds: impl Fn(&Systems) -> bool) {
        let missed = self.missed;
        self.follows(en, zh, holds).await;
        self.found_again += usize::from(self.missed == missed);
    }

    /// Tells that something did not happen; the day cannot end well any more.
    pub fn miss(&mut self, en: &str, zh: &str) {
        self.missed += 1;
        self.stage.missed(en, zh);
    }

    /// Waits until the hub has read every stream once and has nothing to do.
    pub async fn is_read(&self) -> Result<Duration, String> {
        let streams = self.engine.connections.values().filter_map(|it| it.connector.as_ref());
        let streams = streams.flat_map(|it| it.manifest().streams.values());
        let known = streams.filter(|stream| stream.can(Ability::Pull)).count();
        let idle = self.until(move |engine| {
            engine.store.read(|tx| {
                let read = streams::all(tx)?.values().filter(|stream| stream.ok_us.is_some()).count();
                Ok(read == known && inbox::backlog(tx, "process")? == 0)
            })
        });
        idle.await?.ok_or_else(|| "the hub did not read the systems in time; RUST_LOG=info shows its log".to_owned())
    }

    /// Waits until the hub knows something; none if it does not in time.
    pub async fn until(
        &self,
        holds: impl Fn(&Engine) -> db::Result<bool> + Clone + Send + 'static,
    ) -> Result<Option<Duration>, String> {
        let started = Instant::now();
        while !self.ask(holds.clone()).await? {
            if started.elapsed() > PATIENCE {
                return Ok(None);
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(Some(started.elapsed()))
    }

    /// Waits until a customer's timeline shows so many things of a kind. `whom`: as for `huiliu show`.
    pub async fn timeline(&self, whom: &str, entity: &'static str, count: usize) -> Result<Option<Duration>, String> {
        let whom = whom.to_owned();
        self.until(move |engine| {
            let [id] = explain::find(engine, &whom)?[..] else { return Ok(false) };
            let timeline = explain::customer(engine, id)?.map(|customer| customer.timeline).unwrap_or_default();
            Ok(timeline.iter().filter(|entry| entry.entity == entity).count() == count)
        })
        .await
    }

    /// Tells what followed, if it came in time.
    pub fn came(&mut self, en: &str, zh: &str, after: Option<Duration>) {
        match after {
            Some(after) => self.stage.followed(en, zh, after),
            None => self.miss(en, zh),
        }
    }

    /// Asks the hub.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine) -> db::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let engine = self.engine.clone();
        on_thread(move || question(&engine).map_err(|error| error.to_string())).await
    }
}

/// Runs what waits for the disk on a thread of its own.
pub async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("a part of the demo stopped: {error}"))?
}
