//! A stream of a million records is read from scratch while people edit them: a value that was replaced must never be
//! shown again once its successor was.
//!
//! Three systems share the records: one stamps every edit, one stamps whole seconds, so that two edits may bear one stamp,
//! one tells no version at all. A page shows what was there when it was asked for and takes some time to arrive; half of
//! the edits are made to just the records that are on such pages. Calls arrive late, repeated and out of order. Everything
//! else is the hub's own: intake, backfill, fetches, process and plan on SQLite on disk.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Network, Page, Receipt, Received, Record, RecordKey, Result,
    StreamName, Verified, Version,
};
use huiliu_core::engine::Engine;
use huiliu_core::link::LinkKey;
use huiliu_core::manifest::Manifest;
use huiliu_core::pipeline::intake::Intake;
use huiliu_core::pipeline::{plan, process, pull};
use huiliu_core::store::db::Tx;
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_core::store::{Store, console, goldens, inbox, links, streams};
use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use huiliu_mappings::value::FieldName;
use huiliu_mappings::{matching, merge};
use serde_json::{Value, json};

use crate::people::Dice;

const MANIFEST: &str = r#"
[connector]
name = "kit"
title = "Kit"
about = "A system in memory."
driver = "rust"
[streams.customers]
abilities = ["pull", "fetch"]
"#;

const MAPPING: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
[customers.fields]
emails.main = "/email"
title = "/title"
"#;

/// Edits a second.
const EDITS: u64 = 200;

/// Records on a page.
const PAGE: usize = 1000;

/// A page travels so many milliseconds at the most, and a call as many.
const TRAVEL_MS: u64 = 400;

/// Of each system, so many records get a quarter of all edits: what is looked at while it changes.
const HOT: u64 = 1000;

/// What a system says about recency.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tells {
    Stamps,
    Seconds,
    Nothing,
}

/// One record: how often it was edited, and when last.
#[derive(Clone, Copy)]
struct Cell {
    state: u64,
    stamp_us: i64,
}

/// One system.
struct Desk {
    name: &'static str,
    manifest: Manifest,
    tells: Tells,
    clock: Clock,
    count: u64,
    cells: Mutex<Vec<Cell>>,
    /// The first record of the page that is on its way.
    reads: AtomicU64,
    dice: Mutex<Dice>,
}

impl Desk {
    fn new(name: &'static str, tells: Tells, count: u64, clock: &Clock) -> std::result::Result<Self, String> {
        let manifest = Manifest::parse("kit/connector.toml", MANIFEST).map_err(|errors| format!("{errors:?}"))?;
        let fresh = Cell { state: 0, stamp_us: clock.now_us() - 3_600_000_000 };
        let cells = Mutex::new(vec![fresh; usize::try_from(count).map_err(text)?]);
        let (reads, dice) = (AtomicU64::new(0), Mutex::new(Dice(count)));
        Ok(Self { name, manifest, tells, clock: clock.clone(), count, cells, reads, dice })
    }

    fn roll(&self, sides: u64) -> u64 {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).roll(sides.max(1))
    }

    fn cells(&self) -> MutexGuard<'_, Vec<Cell>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, at: usize, cell: Cell) -> Record {
        let grain_us = if self.tells == Tells::Seconds { 1_000_000 } else { 1 };
        let stamp = jiff::Timestamp::from_microsecond(cell.stamp_us.div_euclid(grain_us) * grain_us);
        let version =
            stamp.ok().filter(|_| self.tells != Tells::Nothing).map(|at| Version::instant(at.to_string(), at));
        let (email, title) = (format!("{}{at}@example.com", self.name), format!("state {}", cell.state));
        let body = json!({ "email": email, "title": title });
        Record { stream: "customers".into(), id: at.to_string().into(), version, body }
    }

    /// One of the records that are looked at while they change.
    fn hot(&self, number: u64) -> u64 {
        number * (self.count / HOT).max(1) % self.count
    }

    /// Somebody edits a record; the answer is the call that tells of it.
    fn edit(&self) -> (usize, Vec<u8>) {
        let number = match self.roll(4) {
            0 => self.hot(self.roll(HOT)),
            1 => self.roll(self.count),
            _ => (self.reads.load(Ordering::SeqCst) + self.roll(PAGE as u64)) % self.count,
        };
        let at = usize::try_from(number).unwrap_or(0);
        let cell = {
            let mut cells = self.cells();
            let state = cells[at].state + 1;
            cells[at] = Cell { state, stamp_us: self.clock.now_us() };
            cells[at]
        };
        (at, serde_json::to_vec(&[Received::Record(self.record(at, cell))]).unwrap_or_default())
    }

    async fn travel(&self) {
        tokio::time::sleep(Duration::from_millis(self.roll(TRAVEL_MS / 4))).await;
    }
}

#[async_trait::async_trait]
impl Connector for Desk {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn check(&self, _cx: &Cx) -> Result<()> {
        Ok(())
    }

    async fn pull(&self, _cx: &Cx, _stream: &StreamName, from: Option<&Cursor>) -> Result<Page> {
        let at: usize = from.and_then(|cursor| cursor.as_str().parse().ok()).unwrap_or(0);
        self.reads.store(at as u64, Ordering::SeqCst);
        let (page, more) = {
            let cells = self.cells();
            let page: Vec<(usize, Cell)> = cells.iter().copied().enumerate().skip(at).take(PAGE).collect();
            (page, at + PAGE < cells.len())
        };
        let end = at + page.len();
        let items = page.into_iter().map(|(at, cell)| Received::Record(self.record(at, cell))).collect();
        // What is edited from here on is not on the page.
        self.travel().await;
        Ok(Page { items, next: Some(Cursor::from(end.to_string())), more, complete_scan: false })
    }

    async fn fetch(&self, _cx: &Cx, key: &RecordKey) -> Result<Option<Record>> {
        let at: usize = key.id.as_str().parse().map_err(|_| ConnectorError::broken("no such id"))?;
        let shown = self.cells().get(at).map(|cell| self.record(at, *cell));
        self.travel().await;
        Ok(shown)
    }

    fn receive(&self, _cx: &Cx, request: &Verified) -> Result<Vec<Received>> {
        serde_json::from_slice(&request.request.body).map_err(|error| ConnectorError::broken(error.to_string()))
    }

    async fn push(&self, _cx: &Cx, _delivery: &Delivery) -> Result<Receipt> {
        Err(ConnectorError::broken("it is only read"))
    }
}

/// What runs beside each other, and what was found.
struct Run {
    engine: Engine,
    desks: Vec<Arc<Desk>>,
    intake: Intake,
    /// By desk: the records that were edited.
    edited: Mutex<BTreeSet<(usize, usize)>>,
    edits: AtomicU64,
    calls: AtomicU64,
    /// All pages are in and processed: people go home.
    is_read: AtomicBool,
    /// Nothing is under way any more.
    is_over: AtomicBool,
    looks: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// Reads so many records, and says what was seen.
pub fn measure(records: u64, folder: &Path) -> std::result::Result<(), String> {
    let run = Arc::new(begin(records, folder)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(text)?;
    let begun = Instant::now();
    let thinking = on_thread(&run, think);
    let watching = on_thread(&run, watch);
    let seconds = runtime.block_on(live(&run, begun))?;
    drop(runtime);
    for thread in [thinking, watching] {
        thread.join().map_err(|_| "a stage panicked".to_owned())??;
    }
    let all = begun.elapsed().as_secs_f64();
    let (changes, back) = history(&run.engine.store)?;
    let missed = missed(&run)?;
    let wrong = run.wrong.lock().map_err(text)?.len();
    let (edits, calls, looks) = (&run.edits, &run.calls, &run.looks);
    let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
    println!("{records} records read in {seconds:.0} s, all processed after {all:.0} s");
    println!("{} edits meanwhile, told by {} calls", count(edits), count(calls));
    println!("arrivals by outcome: {}", outcomes(folder)?);
    println!("{changes} changes in the log, {back} of them back to an earlier state");
    println!("{} looks at records while they changed, {wrong} of them at an earlier state", count(looks));
    println!("{missed} edited records do not show their last state at the end");
    if back > 0 || wrong > 0 || missed > 0 { Err("a stale value was visible".to_owned()) } else { Ok(()) }
}

fn begin(records: u64, folder: &Path) -> std::result::Result<Run, String> {
    let clock = Clock::System;
    let third = (records / 3).max(HOT);
    let systems =
        [("stamped", Tells::Stamps, third), ("seconds", Tells::Seconds, third), ("silent", Tells::Nothing, third)];
    let lenses = Lens::parse_file("backfill.toml", MAPPING, &Model::shipped()).map_err(|it| format!("{it:?}"))?;
    let lenses: Vec<Arc<Lens>> = lenses.into_iter().map(Arc::new).collect();
    let mut desks = Vec::new();
    for (name, tells, count) in systems {
        desks.push(Arc::new(Desk::new(name, tells, count, &clock)?));
    }
    let connections = desks.iter().map(|desk| {
        let connector: Arc<dyn Connector> = desk.clone();
        Connection::bare(Cx::bare(desk.name, clock.clone(), Network::Private), "kit", Some(connector), lenses.clone())
    });
    let store = Store::open(&format!("sqlite:{}", folder.join("backfill.db").display())).map_err(text)?;
    let rules = (matching::Rules::shipped(), merge::Rules::shipped());
    let engine = Engine::new(store.clone(), rules.0, rules.1, connections, clock.clone());
    let now_us = clock.now_us();
    let introduced = store.write(|tx| desks.iter().try_for_each(|it| streams::introduce(tx, it.name, "kit", now_us)));
    introduced.map_err(text)?;
    let intake = Intake::start(store, clock, || {}).map_err(text)?;
    Ok(Run {
        engine,
        desks,
        intake,
        edited: Mutex::default(),
        edits: AtomicU64::default(),
        calls: AtomicU64::default(),
        is_read: AtomicBool::default(),
        is_over: AtomicBool::default(),
        looks: AtomicU64::default(),
        wrong: Mutex::default(),
    })
}

type Thread = std::thread::JoinHandle<std::result::Result<(), String>>;

fn on_thread(run: &Arc<Run>, work: impl Fn(&Run) -> std::result::Result<(), String> + Send + 'static) -> Thread {
    let run = run.clone();
    std::thread::spawn(move || work(&run))
}

/// People edit and systems tell of it while their streams are read; returns how long the reading took.
async fn live(run: &Arc<Run>, begun: Instant) -> std::result::Result<f64, String> {
    let mut readers = tokio::task::JoinSet::new();
    let mut fetchers = tokio::task::JoinSet::new();
    for connection in run.engine.connections.values() {
        let (here, whose) = (run.clone(), connection.clone());
        readers.spawn(async move {
            while pull::backfill(&here.engine, &whose, &"customers".into()).await.map_err(text)?.more {}
            Ok::<_, String>(())
        });
        let (here, whose) = (run.clone(), connection.clone());
        fetchers.spawn(async move {
            while !here.is_over.load(Ordering::SeqCst) {
                if pull::fetches(&here.engine, &whose).await.map_err(text)? == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Ok::<_, String>(())
        });
    }
    let here = run.clone();
    let people = tokio::spawn(async move {
        let mut next = tokio::time::interval(Duration::from_millis(1000 / EDITS));
        let mut calls = tokio::task::JoinSet::new();
        while !here.is_read.load(Ordering::SeqCst) {
            next.tick().await;
            edit(&here, &mut calls);
            while calls.try_join_next().is_some() {}
        }
        calls.join_all().await;
    });
    while let Some(read) = readers.join_next().await {
        read.map_err(text)??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    // People go on until what was read is processed.
    let store = &run.engine.store;
    let read = |tx: &mut Tx<'_>| Ok(inbox::progress(tx, process::POSITION)? + inbox::backlog(tx, process::POSITION)?);
    let last = store.read(read).map_err(text)?;
    while store.read(|tx| inbox::progress(tx, process::POSITION)).map_err(text)? < last {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    run.is_read.store(true, Ordering::SeqCst);
    people.await.map_err(text)?;
    while waiting(&run.engine.store)? > 0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    run.is_over.store(true, Ordering::SeqCst);
    while let Some(fetched) = fetchers.join_next().await {
        fetched.map_err(text)??;
    }
    Ok(seconds)
}

/// One edit, and the calls that tell of it: each as late as it likes, some twice.
fn edit(run: &Arc<Run>, calls: &mut tokio::task::JoinSet<()>) {
    let number = run.edits.fetch_add(1, Ordering::SeqCst);
    let at = usize::try_from(number % 3).unwrap_or(0);
    let desk = run.desks[at].clone();
    let (record, body) = desk.edit();
    run.edited.lock().unwrap_or_else(PoisonError::into_inner).insert((at, record));
    let times = if desk.roll(5) == 0 { 2 } else { 1 };
    for time in 0..times {
        let item = InboxItem {
            connection: desk.name.to_owned(),
            kind: ItemKind::Webhook,
            target: Some("/hooks".to_owned()),
            headers: Some("[]".to_owned()),
            body: body.clone(),
            ..InboxItem::default()
        };
        let (run, late_ms) = (run.clone(), desk.roll(TRAVEL_MS));
        calls.spawn(async move {
            tokio::time::sleep(Duration::from_millis(late_ms)).await;
            let item = InboxItem { received_us: run.engine.clock.now_us(), ..item };
            match run.intake.append(item, format!("{number}-{time}")).await {
                Ok(_) => drop(run.calls.fetch_add(1, Ordering::SeqCst)),
                Err(error) => run.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string()),
            }
        });
    }
}

/// Arrivals and fetches that wait.
fn waiting(store: &Store) -> std::result::Result<u64, String> {
    let waits = store.read(|tx| Ok(inbox::backlog(tx, process::POSITION)? + inbox::fetches_waiting(tx)?));
    u64::try_from(waits.map_err(text)?).map_err(text)
}

/// Processes what comes.
fn think(run: &Run) -> std::result::Result<(), String> {
    while !run.is_over.load(Ordering::SeqCst) {
        let done = process::batch(&run.engine).map_err(text)?;
        let (planned, _) = plan::batch(&run.engine).map_err(text)?;
        if done.items + planned == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// Looks at some records again and again, as whoever reads the console does.
fn watch(run: &Run) -> std::result::Result<(), String> {
    let mut dice = Dice(1);
    let mut seen: HashMap<LinkKey, u64> = HashMap::new();
    while !run.is_over.load(Ordering::SeqCst) {
        let mut keys = BTreeSet::new();
        for desk in &run.desks {
            for _ in 0..50 {
                keys.insert(key(desk.name, desk.hot(dice.roll(HOT))));
            }
        }
        for (key, state) in shown(&run.engine.store, &keys)? {
            run.looks.fetch_add(1, Ordering::SeqCst);
            let before = seen.insert(key.clone(), state).unwrap_or(0);
            if state < before {
                let told = format!("{key} showed state {before}, then {state}");
                run.wrong.lock().map_err(text)?.push(told);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn key(connection: &str, number: u64) -> LinkKey {
    LinkKey { connection: connection.into(), lens: "customers".to_owned(), id: number.to_string().into() }
}

fn state_of(title: Option<&Value>) -> Option<u64> {
    title?.as_str()?.strip_prefix("state ")?.parse().ok()
}

/// The state that the golden records of these records show.
fn shown(store: &Store, keys: &BTreeSet<LinkKey>) -> std::result::Result<Vec<(LinkKey, u64)>, String> {
    let title = FieldName::from("title");
    let found = store.read(|tx| {
        let links = links::by_keys(tx, keys)?;
        let goldens = goldens::by_ids(tx, links.iter().map(|link| link.golden).collect::<BTreeSet<_>>())?;
        let states: HashMap<i64, u64> =
            goldens.iter().filter_map(|it| Some((it.id, state_of(it.fields.get(&title))?))).collect();
        Ok(links.into_iter().filter_map(|link| Some((link.key, *states.get(&link.golden)?))).collect())
    });
    found.map_err(text)
}

/// Every change that any reader could see: how many, and how many went back.
fn history(store: &Store) -> std::result::Result<(u64, u64), String> {
    let title = FieldName::from("title");
    let mut seen: HashMap<i64, u64> = HashMap::new();
    let (mut after, mut count, mut back) = (0, 0, 0);
    loop {
        let page = store.read(|tx| console::changes_after(tx, after, 20_000)).map_err(text)?;
        let Some(last) = page.last() else { return Ok((count, back)) };
        after = last.position;
        for change in page {
            count += 1;
            let Some(state) = change.diff.get(&title).and_then(|(_, after)| state_of(Some(after))) else { continue };
            let before = seen.insert(change.golden, state).unwrap_or(0);
            back += u64::from(state < before);
        }
    }
}

/// How many edited records do not show what they are.
fn missed(run: &Run) -> std::result::Result<u64, String> {
    let edited = run.edited.lock().map_err(text)?;
    let edited: Vec<(usize, usize)> = edited.iter().copied().collect();
    let mut missed = 0;
    for part in edited.chunks(1000) {
        let keys: BTreeSet<LinkKey> = part.iter().map(|(desk, at)| key(run.desks[*desk].name, *at as u64)).collect();
        let shown: HashMap<LinkKey, u64> = shown(&run.engine.store, &keys)?.into_iter().collect();
        for (desk, at) in part {
            let desk = &run.desks[*desk];
            let state = desk.cells()[*at].state;
            missed += u64::from(shown.get(&key(desk.name, *at as u64)) != Some(&state));
        }
    }
    Ok(missed)
}

/// What became of what arrived: that there was something to be mistaken about.
fn outcomes(folder: &Path) -> std::result::Result<String, String> {
    let database = rusqlite::Connection::open(folder.join("backfill.db")).map_err(text)?;
    let sql = "SELECT outcome, COUNT(*) FROM journal GROUP BY outcome ORDER BY outcome";
    let mut rows = database.prepare(sql).map_err(text)?;
    let counts = rows.query_map([], |row| Ok(format!("{} {}", row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
    let counts: rusqlite::Result<Vec<String>> = counts.map_err(text)?.collect();
    Ok(counts.map_err(text)?.join(", "))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
