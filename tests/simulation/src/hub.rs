//! The hub of a day: the real engine on a real store, and what it is doing just now.
//!
//! The store is an SQLite database in memory, which all days of a thread use one after the other: the same code as ever,
//! only that the disk costs nothing and a statement is prepared once. A crash drops everything that runs and takes the
//! database up anew, without what the program only had in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use huiliu_core::clock::Clock;
use huiliu_core::connection::{Connection, State};
use huiliu_core::connector::{Connector, Cx, Network};
use huiliu_core::engine::Engine;
use huiliu_core::pipeline::intake::Intake;
use huiliu_core::pipeline::{pull, push};
use huiliu_core::store::db::Result;
use huiliu_core::store::{Store, streams};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_mappings::{matching, merge};

use crate::ledger::DAY_ONE_US;
use crate::scenario::Habit;
use crate::system::System;

/// How the systems' records read and write.
const MAPPING: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
[customers.fields]
display_name = "/name"
emails.main = "/email"
phones.main = "/phone"
title = "/title"
remark = "/remark"
lifecycle = { from = "/lifecycle", values = { lead = "lead", prospect = "prospect", customer = "customer", former = "former" } }
"#;

/// What all days share: rules, lenses, and a store with its schema.
pub struct Kit {
    matching: matching::Rules,
    survive: merge::Rules,
    plain: Vec<Arc<Lens>>,
    coded: Vec<Arc<Lens>>,
    store: Store,
    /// Empties the store between days; by a connection of its own, whose statements push no others out of a cache.
    sweeper: rusqlite::Connection,
    tables: Vec<String>,
}

/// Databases in memory are known by name in the whole process.
static KITS: AtomicU64 = AtomicU64::new(0);

impl Kit {
    /// Prepares what days share; one for each thread.
    pub fn new() -> std::result::Result<Self, String> {
        let number = KITS.fetch_add(1, Ordering::SeqCst);
        let name = format!("file:/huiliu-simulation-{number}?vfs=memdb");
        let store = Store::open(&format!("sqlite:{name}")).map_err(|error| error.to_string())?;
        let sweeper = rusqlite::Connection::open(&name).map_err(|error| error.to_string())?;
        let tables = tables(&sweeper).map_err(|error| error.to_string())?;
        let mut coded = MAPPING.to_owned();
        for word in ["lead", "prospect", "customer", "former"] {
            coded = coded.replace(&format!("= \"{word}\""), &format!("= \"{}\"", word.to_uppercase()));
        }
        // The entity is no code.
        let coded = coded.replace("entity = \"CUSTOMER\"", "entity = \"customer\"");
        let (matching, survive) = (matching::Rules::shipped(), merge::Rules::shipped());
        Ok(Self { matching, survive, plain: lenses(MAPPING)?, coded: lenses(&coded)?, store, sweeper, tables })
    }

    /// The store, without anything in it.
    pub fn store(&self) -> std::result::Result<Store, String> {
        let empty = || -> rusqlite::Result<()> {
            let mut triggers = self.sweeper.prepare_cached("SELECT name FROM sqlite_master WHERE type = 'trigger'")?;
            let names: Vec<String> = triggers.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let drops = names.iter().map(|name| format!("DROP TRIGGER {name}"));
            let deletes = self.tables.iter().map(|table| format!("DELETE FROM \"{table}\""));
            let all: Vec<String> = drops.chain(deletes).collect();
            self.sweeper.execute_batch(&format!("BEGIN;{};COMMIT", all.join(";")))
        };
        empty().map_err(|error| format!("the store of the day before cannot be emptied: {error}"))?;
        Ok(self.store.afresh())
    }
}

/// The tables that a day fills: all but the list of migrations, and the numbers that were given.
fn tables(database: &rusqlite::Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migration'
               AND (name NOT LIKE 'sqlite%' OR name = 'sqlite_sequence')";
    database.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn lenses(mapping: &str) -> std::result::Result<Vec<Arc<Lens>>, String> {
    let lenses =
        Lens::parse_file("simulation.toml", mapping, &Model::shipped()).map_err(|errors| format!("{errors:?}"))?;
    Ok(lenses.into_iter().map(Arc::new).collect())
}

/// What a task of the hub does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Pulls the stream of a system.
    Read(usize),
    /// Fetches hinted keys.
    Fetch(usize),
    /// Sends deliveries.
    Push(usize),
}

/// What came of it: how many records, keys or deliveries; whether something went wrong.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// How many.
    pub count: usize,
    /// Whether it ended early.
    pub failed: bool,
}

type Running = Pin<Box<dyn Future<Output = Result<Done>>>>;

/// See the module.
pub struct Hub {
    /// The engine.
    pub engine: Engine,
    /// The way in.
    pub intake: Intake,
    /// Held by the writer behind it as long as it runs.
    writes: Arc<()>,
    /// Where the hasty bug gets its store from.
    systems: Vec<Arc<System>>,
    /// What runs, by number.
    tasks: BTreeMap<u64, (Work, Running)>,
    /// What is to be done once more, because something new came while it was done.
    pub again: BTreeSet<usize>,
    parker: Arc<Parker>,
}

/// Wakes the one thread of a day.
struct Parker {
    thread: std::thread::Thread,
    rung: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Parker {
    fn rest(&self) {
        while !self.rung.swap(false, Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

/// How long a stream may rest before it is due again.
pub fn every_us(system: &System) -> i64 {
    system.spec.every_minutes * 60_000_000
}

impl Hub {
    /// Takes the store up, and what a stop interrupted.
    pub fn start(kit: &Kit, store: &Store, clock: &Clock, systems: &[Arc<System>]) -> Result<Self> {
        let store = store.afresh();
        let connections = systems.iter().map(|system| connection(kit, clock, system));
        let engine = Engine::new(store.clone(), kit.matching.clone(), kit.survive.clone(), connections, clock.clone());
        store.write(|tx| {
            for system in systems {
                streams::introduce(tx, &system.spec.name, "kit", DAY_ONE_US)?;
                if streams::states(tx)?.get(&system.spec.name).is_some_and(|it| it.0 == State::Observing) {
                    streams::set_state(tx, &system.spec.name, State::Live, None, DAY_ONE_US)?;
                }
            }
            Ok(())
        })?;
        push::recover(&engine)?;
        for system in systems {
            *system.hasty.lock().unwrap_or_else(PoisonError::into_inner) = Some(store.clone());
        }
        let writes = Arc::new(());
        let held = writes.clone();
        let intake = Intake::start(store, clock.clone(), move || drop(held.clone()))
            .map_err(|error| huiliu_core::store::StoreError::Open(format!("the intake cannot start: {error}")))?;
        let parker = Arc::new(Parker { thread: std::thread::current(), rung: AtomicBool::new(false) });
        let (tasks, again, systems) = (BTreeMap::new(), BTreeSet::new(), systems.to_vec());
        Ok(Self { engine, intake, writes, systems, tasks, again, parker })
    }

    /// Ends it where it stands: what runs is dropped, and nobody writes any more when this returns.
    pub fn kill(self) {
        let Self { engine, intake, writes, systems, tasks, .. } = self;
        drop((engine, intake, tasks));
        for system in systems {
            *system.hasty.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        while Arc::strong_count(&writes) > 1 {
            std::thread::yield_now();
        }
    }

    /// Whether this is being done.
    pub fn is_busy(&self, work: Work) -> bool {
        self.tasks.values().any(|(known, _)| *known == work)
    }

    /// Whether anything is being done.
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Begins something under a number; the world then drives it.
    pub fn begin(&mut self, number: u64, work: Work, system: &Arc<System>) {
        let engine = self.engine.clone();
        let name = system.spec.name.clone();
        let every_us = every_us(system);
        let running: Running = Box::pin(async move {
            let Some(connection) = engine.connections.get(&name).cloned() else {
                return Ok(Done { count: 0, failed: true });
            };
            Ok(match work {
                Work::Read(_) => {
                    let pulled = pull::stream(&engine, &connection, &"customers".into(), every_us).await?;
                    Done { count: pulled.records, failed: pulled.error.is_some() }
                }
                Work::Fetch(_) => Done { count: pull::fetches(&engine, &connection).await?, failed: false },
                Work::Push(_) => {
                    let claimed = engine.take_handed(&name);
                    let count = claimed.len();
                    if count > 0 {
                        push::finish(&engine, &connection, claimed).await?;
                        return Ok(Done { count, failed: false });
                    }
                    Done { count: push::batch(&engine, &connection).await?, failed: false }
                }
            })
        });
        self.tasks.insert(number, (work, running));
    }

    /// Runs a task until it ends or waits for the time; `waits` says which. None: there is no such task any more.
    pub fn drive(&mut self, number: u64, waits: impl Fn() -> bool) -> Option<(Work, Poll<Result<Done>>)> {
        let (work, running) = self.tasks.get_mut(&number)?;
        let work = *work;
        let polled = poll(&self.parker, running.as_mut(), waits);
        if polled.is_ready() {
            self.tasks.remove(&number);
        }
        Some((work, polled))
    }

    /// Runs something that waits for threads only.
    pub fn finish<T>(&self, running: impl Future<Output = T>) -> T {
        let mut running = std::pin::pin!(running);
        loop {
            if let Poll::Ready(value) = poll(&self.parker, running.as_mut(), || false) {
                return value;
            }
        }
    }
}

/// Polls, and rests while a thread works, until it is ready or `waits` for the time: in between nothing else runs, so
/// the order of all steps is the world's.
fn poll<T>(
    parker: &Arc<Parker>,
    mut running: Pin<&mut (impl Future<Output = T> + ?Sized)>,
    waits: impl Fn() -> bool,
) -> Poll<T> {
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        match running.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return Poll::Ready(value),
            Poll::Pending if waits() => return Poll::Pending,
            Poll::Pending => parker.rest(),
        }
    }
}

fn connection(kit: &Kit, clock: &Clock, system: &Arc<System>) -> Connection {
    let name = system.spec.name.as_str();
    let connector: Arc<dyn Connector> = system.clone();
    let lenses = if system.spec.stores.contains(&Habit::Codes) { &kit.coded } else { &kit.plain };
    let cx = Cx::bare(name, clock.clone(), Network::Private);
    let mut connection = Connection::bare(cx, "kit", Some(connector), lenses.clone());
    connection.creates.insert("customers".to_owned());
    connection
}
