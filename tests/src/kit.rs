//! Small deployments: two systems with a few fields, on either store, with a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::connection::{Connection, State};
use huiliu_core::connector::{Connector, Cx, Network, Received, Version};
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::process;
use huiliu_core::store::goldens::{self, Golden};
use huiliu_core::store::inbox::{self, InboxItem, ItemKind};
use huiliu_core::store::{Store, links, streams};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_mappings::{matching, merge};
use serde_json::Value;

/// 2026-01-01 in microseconds.
pub const DAY_ONE_US: i64 = 1_767_225_600_000_000;

/// How the kit's systems read and write.
pub const MAPPING: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
phone = "/phone"
tax_id = "/tax_id"
[customers.fields]
display_name = "/name"
emails.main = "/email"
phones.main = "/phone"
title = "/title"
tags = "/tags"
[orders]
entity = "order"
[orders.fields]
number = "/no"
[orders.references]
record = { lens = "customers", from = "/customer" }
email = "/email"
"#;

/// Runs a check on `SQLite` and on Postgres.
pub fn on_both_stores(check: impl Fn(Store)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("test.db");
    check(Store::open(&format!("sqlite:{}", path.display())).expect("SQLite opens"));
    check(Store::open(&crate::postgres::database()).expect("Postgres opens"));
}

/// A connection that nothing is known of but its mapping; `connector` speaks for it, if given.
pub fn connection(name: &str, clock: &Clock, connector: Option<Arc<dyn Connector>>) -> Connection {
    Connection::bare(Cx::bare(name, clock.clone(), Network::Private), "kit", connector, lenses(MAPPING))
}

/// An engine by the shipped rules over these connections, each of which may be written.
pub fn live(store: Store, clock: Clock, connections: impl IntoIterator<Item = Connection>) -> Engine {
    let engine = Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock);
    go_live(&engine);
    engine
}

/// Lets every connection be written.
pub fn go_live(engine: &Engine) {
    let done = engine.store.write(|tx| {
        engine.connections.values().try_for_each(|it| {
            streams::introduce(tx, it.name.as_str(), &it.system, DAY_ONE_US)?;
            streams::set_state(tx, it.name.as_str(), State::Live, None, DAY_ONE_US).map(drop)
        })
    });
    done.expect("the store works");
}

/// The lenses of a mapping.
pub fn lenses(mapping: &str) -> Vec<Arc<Lens>> {
    let lenses = Lens::parse_file("kit.toml", mapping, &Model::shipped()).expect("the mapping is right");
    lenses.into_iter().map(Arc::new).collect()
}

/// An engine with the connections `a`, `b` and `c`.
pub fn engine(store: Store) -> Engine {
    let clock = Clock::manual(DAY_ONE_US);
    let connections = ["a", "b", "c"].map(|name| connection(name, &clock, None));
    Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock)
}

/// A record as it would arrive from a pull: `a/customers/1`, changed at `seconds`.
pub fn record(key: &str, seconds: i64, body: &Value) -> InboxItem {
    let mut parts = key.splitn(3, '/').map(str::to_owned);
    let at = jiff::Timestamp::from_second(DAY_ONE_US / 1_000_000 + seconds).expect("an instant");
    InboxItem {
        connection: parts.next().expect("a connection"),
        kind: ItemKind::Record,
        stream: parts.next(),
        external_id: parts.next(),
        version: serde_json::to_string(&Version::instant(at.to_string(), at)).ok(),
        body: body.to_string().into_bytes(),
        received_us: DAY_ONE_US + 3_600_000_000,
        ..InboxItem::default()
    }
}

/// A webhook call of a connection, verified and not yet understood.
pub fn call(engine: &Engine, connection: &str, what: &[Received]) {
    let item = InboxItem {
        connection: connection.to_owned(),
        kind: ItemKind::Webhook,
        body: serde_json::to_vec(what).expect("JSON"),
        received_us: engine.clock.now_us(),
        ..InboxItem::default()
    };
    engine.store.write(|tx| inbox::append(tx, &[item])).expect("append");
}

/// Appends items and processes until nothing waits.
pub fn feed(engine: &Engine, items: &[InboxItem]) -> process::Processed {
    engine.store.write(|tx| inbox::append(tx, items)).expect("append");
    let mut total = process::Processed::default();
    loop {
        let done = process::batch(engine).expect("process");
        if done.items == 0 {
            return total;
        }
        total.items += done.items;
        total.created += done.created;
        total.changes += done.changes;
        total.reviews += done.reviews;
        total.dead += done.dead;
        total.hints += done.hints;
    }
}

/// Living golden customers: fields, and the names of their links.
pub fn customers(engine: &Engine) -> Vec<(Value, Vec<String>)> {
    engine
        .store
        .read(|tx| {
            let all: Vec<Golden> = goldens::after(tx, "customer", 0, 10_000)?;
            let mut members: BTreeMap<i64, Vec<String>> = BTreeMap::new();
            for link in links::by_goldens(tx, all.iter().map(|it| it.id))? {
                members.entry(link.golden).or_default().push(link.key.to_string());
            }
            let mut shown: Vec<(Value, Vec<String>)> = all
                .into_iter()
                .map(|golden| {
                    let mut names = members.remove(&golden.id).unwrap_or_default();
                    names.sort();
                    (serde_json::to_value(&golden.fields).unwrap_or_default(), names)
                })
                .collect();
            shown.sort_by(|a, b| a.1.cmp(&b.1));
            Ok(shown)
        })
        .expect("read")
}
