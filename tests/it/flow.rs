//! The whole flow with real connectors: shipped systems against their twins, pumped until nothing moves any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::engine::Engine;
use huiliu_core::explain;
use huiliu_core::secrets::Secret;
use huiliu_core::store::db::Result;
use huiliu_core::store::{Store, Tx, goldens, links};
use huiliu_hub::contract::pump;
use huiliu_mappings::model::Model;
use huiliu_tests::kit;
use serde_json::{Value, json};

/// A connection `name` to a shipped system, as the hub would make it.
pub fn shipped(
    name: &str,
    system: &str,
    settings: &[(&str, String)],
    secrets: &[(&str, &str)],
    clock: &Clock,
) -> Connection {
    // One TLS provider for the process, as the hub's main installs it; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let catalog = huiliu_hub::connectors::catalog(&Model::shipped()).expect("what ships fits together");
    let known = catalog.system(system).expect("it ships");
    let connector = huiliu_hub::connectors::connector(&known.manifest).expect("it can be run");
    let mut connection = kit::connection(name, clock, Some(connector));
    let declared = known.manifest.connector.config.iter();
    let defaults = declared.filter_map(|(name, setting)| Some((name.clone(), setting.default.clone()?)));
    let mut all: BTreeMap<String, String> = defaults.collect();
    all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    connection.cx.settings = Arc::new(all);
    connection.cx.secrets =
        Arc::new(secrets.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect());
    system.clone_into(&mut connection.system);
    connection.lenses.clone_from(&known.lenses);
    connection
}

/// An engine whose connections are all live.
pub struct Hub {
    pub engine: Engine,
}

impl Hub {
    /// Takes connections in and lets them be written.
    pub async fn live(store: Store, clock: Clock, connections: impl IntoIterator<Item = Connection>) -> Self {
        Self { engine: pump::live(store, clock, connections).await.expect("the store works") }
    }

    /// Lets webhooks in on a loopback port; the answer is the address before `/hooks/`.
    pub async fn listen(&self) -> String {
        pump::listen(&self.engine).await.expect("the intake starts")
    }

    pub async fn read<T: Send + 'static>(&self, ask: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static) -> T {
        pump::read(&self.engine, ask).await.expect("read")
    }

    /// Pulls every stream once; the answer is what went wrong.
    pub async fn pull(&self) -> Vec<String> {
        pump::pull(&self.engine).await.expect("the store works")
    }

    /// Fetches what was hinted, thinks, writes; the answer is how much moved.
    pub async fn think(&self) -> usize {
        let thought = pump::think(&self.engine).await.expect("the store works");
        thought + pump::push(&self.engine).await.expect("the store works")
    }

    /// Until nothing waits and nothing moves, pulls or not; the answer is what went wrong on the way.
    pub async fn settle(&self, pulls: bool) -> Vec<String> {
        pump::settle(&self.engine, pulls).await.expect("the systems agree")
    }

    /// Living golden records of an entity, oldest first, with the names of their links.
    pub async fn goldens(&self, entity: &'static str) -> Vec<(Value, Vec<String>)> {
        self.read(move |tx| {
            let all = goldens::after(tx, entity, 0, 1_000)?;
            let mut shown = Vec::new();
            for golden in all.into_iter().filter(|it| it.merged_into.is_none()) {
                let mut names: Vec<String> =
                    links::by_goldens(tx, [golden.id])?.iter().map(|it| it.key.to_string()).collect();
                names.sort();
                shown.push((json!(golden.fields), names));
            }
            Ok(shown)
        })
        .await
    }

    /// The links of a connection whose records are there.
    pub async fn open_links(&self, connection: &'static str) -> Vec<String> {
        self.read(move |tx| {
            let mut names = Vec::new();
            for entity in ["customer", "order", "deal"] {
                let all = goldens::after(tx, entity, 0, 1_000)?;
                let members = links::by_goldens(tx, all.iter().map(|it| it.id))?;
                let open = members.iter().filter(|it| it.open && it.key.connection.as_str() == connection);
                names.extend(open.map(|it| it.key.to_string()));
            }
            names.sort();
            Ok(names)
        })
        .await
    }

    /// The numbers of the orders and the names of the deals that belong to the first customer, sorted.
    pub async fn timeline(&self) -> Vec<Value> {
        let first = self.read(|tx| Ok(goldens::after(tx, "customer", 0, 1)?.first().map(|it| it.id))).await;
        let here = self.engine.clone();
        let asked = tokio::task::spawn_blocking(move || explain::customer(&here, first.unwrap_or_default()));
        let told = asked.await.expect("no panic").expect("the store works").expect("a customer");
        let names = told
            .timeline
            .into_iter()
            .filter_map(|entry| entry.fields.get("number").or_else(|| entry.fields.get("name")).cloned());
        let mut names: Vec<Value> = names.collect();
        names.sort_by_key(ToString::to_string);
        names
    }

    /// Pulls everything once a minute for an hour in which nothing happens; nothing may change. `tick` is told each new
    /// second, for the clocks of others.
    pub async fn quiet_hour(&self, clock: &Clock, tick: &(dyn Fn(i64) + Sync)) {
        let changes = async || self.read(|tx| Ok(goldens::changed_after(tx, 0, 10_000)?.len())).await;
        let before = changes().await;
        for _ in 0..60 {
            clock.advance_us(60_000_000);
            tick(clock.now_us() / 1_000_000);
            assert_eq!(self.settle(true).await, Vec::<String>::new());
        }
        assert_eq!(changes().await, before, "an hour without changes makes no change");
    }
}

/// Runs a flow on `SQLite` and on Postgres.
pub fn on_both_stores(flow: impl AsyncFn(Store)) {
    kit::on_both_stores(|store| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        // A Postgres connection may not be closed inside a runtime.
        let kept = store.clone();
        runtime.block_on(flow(store));
        drop(runtime);
        drop(kept);
    });
}
