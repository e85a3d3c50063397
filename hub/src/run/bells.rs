//! What wakes whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use huiliu_core::engine::{Engine, Errand};
use huiliu_core::store::db::Bell as Rung;
use tokio::sync::Notify;

use super::Work;
use super::bell::Bell;

/// The bells of a process. Clones share them.
#[derive(Clone)]
pub struct Bells {
    /// Something is in the inbox.
    pub(super) think: Arc<Bell>,
    /// A stream of a connection may be due, by name.
    pub(super) read: Arc<BTreeMap<String, Notify>>,
    /// A connection has an errand, by name.
    pub(super) tend: Arc<BTreeMap<String, Notify>>,
    /// Somebody gave work back.
    pub(super) shares: Arc<Notify>,
}

impl Bells {
    /// The bells of an engine, silent.
    pub fn of(engine: &Engine) -> Self {
        let bells = || Arc::new(engine.connections.keys().map(|name| (name.clone(), Notify::new())).collect());
        Self { think: Arc::default(), read: bells(), tend: bells(), shares: Arc::default() }
    }

    /// Wakes everybody: the store was changed from outside of the stages.
    pub fn ring(&self) {
        self.think.ring();
        self.call();
    }

    /// Another process rings.
    pub(super) fn rung(&self, bell: &Rung) {
        match bell {
            Rung::All => self.ring(),
            Rung::Think => self.think.ring(),
            Rung::Read(name) => self.read.get(name).into_iter().for_each(Notify::notify_one),
            Rung::Tend(name) => self.tend.get(name).into_iter().for_each(Notify::notify_one),
            Rung::Shares => self.shares.notify_one(),
        }
    }

    /// Wakes everybody who goes to a system.
    pub(super) fn call(&self) {
        self.read.values().chain(self.tend.values()).for_each(Notify::notify_one);
    }

    /// Wakes those who have something to do.
    pub(super) fn call_for(&self, errands: &BTreeSet<(Errand, String)>) {
        for (errand, connection) in errands {
            let bells = match errand {
                Errand::Read => &self.read,
                Errand::Tend => &self.tend,
                Errand::Think => {
                    self.think.ring();
                    continue;
                }
            };
            if let Some(bell) = bells.get(connection) {
                bell.notify_one();
            }
        }
    }

    pub(super) async fn heard(&self, connection: &str, work: &Work) {
        let bells = match work {
            Work::Read(_) => &self.read,
            Work::Errands => &self.tend,
            // It is in no hurry: a glance now and then is enough.
            Work::Compare(_) => return std::future::pending().await,
        };
        match bells.get(connection) {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }
}
