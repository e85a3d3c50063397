//! What a command may send to, beside nodes that serve.
//!
//! One process at a time sends to a connection: else what one is sending another would take for interrupted. On Postgres a
//! command takes the connections that no node serves, for as long as it runs; the nodes send to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_core::node::{Node, unit_of};
use huiliu_core::store::leases::BEAT;

use super::place;

/// The connections that are this command's until it is dropped.
pub struct Borrowed {
    mine: Vec<(Connection, Engine)>,
    node: Option<(Arc<Node>, Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Borrowed {
    /// Takes what is free. `command`: its name, for people who look who does what.
    ///
    /// # Errors
    /// The store failed.
    pub fn all_free(engine: &Engine, command: &str) -> Result<Self, String> {
        let all = engine.connections.values().filter(|it| it.connector.is_some());
        if engine.store.kind() == "sqlite" {
            return Ok(Self { mine: all.map(|it| (it.clone(), engine.clone())).collect(), node: None });
        }
        let units = all.clone().map(|it| unit_of(it.name.as_str())).collect();
        let node = Arc::new(Node::new(&engine.store, &place(), command, units));
        let fences = apart(|| node.take_free()).map_err(|error| error.to_string())?;
        let mine = all.filter_map(|it| {
            let fence = fences.iter().find(|fence| fence.unit == unit_of(it.name.as_str()))?;
            Some((it.clone(), engine.under(fence.clone())))
        });
        let mine = mine.collect();
        let (is_over, beating) = (Arc::new(AtomicBool::new(false)), node.clone());
        let over = is_over.clone();
        let beats = std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                std::thread::park_timeout(BEAT);
                if let Err(error) = beating.beat(false) {
                    tracing::warn!("this command cannot say that it lives, trying again: {error}");
                }
            }
        });
        Ok(Self { mine, node: Some((node, is_over, beats)) })
    }

    /// The connections, each with the engine to send to it.
    pub fn each(&self) -> impl Iterator<Item = &(Connection, Engine)> {
        self.mine.iter()
    }
}

/// On a thread of its own: the caller's may be one that must not wait for a database.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|all| match all.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let Some((node, is_over, beats)) = self.node.take() else { return };
        is_over.store(true, Ordering::Relaxed);
        beats.thread().unpark();
        let _ = beats.join();
        if let Err(error) = apart(|| node.leave()) {
            tracing::warn!("the nodes wait until this command is taken for dead: {error}");
        }
    }
}
