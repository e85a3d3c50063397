//! Keeps the stages going until told to stop. Stages wake each other; timers are for schedules and retries only.

mod bell;
mod bells;
mod borrowed;
mod errands;
mod shares;
mod thinking;

use std::sync::Arc;
use std::time::Duration;

use huiliu_core::connection::{Connection, State};
use huiliu_core::connector::StreamName;
use huiliu_core::engine::Engine;
use huiliu_core::manifest::Ability;
use huiliu_core::node::{self, Node};
use huiliu_core::pipeline::reconcile::{self, Pace};
use huiliu_core::pipeline::{pull, push};
use huiliu_core::store::streams;
use huiliu_webhooks::{Bounds, Limits};
use tokio::sync::watch;
use tokio::task::JoinSet;

use errands::errands;
use thinking::{Names, think};

use crate::console::{self, Door};
use crate::deployment::Deployment;
use crate::language::Language;
use crate::metrics::Metrics;
use crate::roles::{self, Role};
use crate::{config, endpoints, hooks, intake, letting_go};

pub use bells::Bells;
pub use borrowed::Borrowed;
use shares::Unit;

/// A stream is pulled this often when neither manifest nor configuration says otherwise.
const EVERY_DEFAULT: Duration = Duration::from_secs(300);

/// What another process did to the store (`go-live`, `import`, a retry) is noticed within this time.
const GLANCE: Duration = Duration::from_secs(5);

/// The shortest rest between two turns of a connection, so that a clock that jumps cannot make it spin.
const REST_MIN: Duration = Duration::from_millis(20);

/// How long a connection that cannot listen waits before it tries again.
const LISTEN_AGAIN: Duration = Duration::from_secs(30);

/// How long a connection that heard something waits before it listens again: a busy mailbox costs one login a second.
/// What happens meanwhile it is told when it listens.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// What a task does at its connection. Reading and errands go side by side: a write does not wait behind a long pull.
enum Work {
    /// Pulls these streams, each at its interval.
    Read(Vec<(StreamName, Duration)>),
    /// Fetches hinted keys and sends deliveries.
    Errands,
    /// Compares what the system shows with what is held, within a share of its quota.
    Compare(Pace),
}

/// Serves until ctrl-c or SIGTERM.
pub async fn serve(deployment: Deployment, language: Language) -> Result<(), String> {
    let listener = tokio::net::TcpListener::bind(&deployment.config.hub.listen).await;
    let listener = listener.map_err(|error| {
        format!(
            "hub.listen = {:?}: {error}; stop what listens there, or write another port",
            deployment.config.hub.listen
        )
    })?;
    let given = deployment.config.console.as_ref().filter(|_| deployment.config.hub.roles.contains(&Role::Console));
    let door = match given {
        Some(given) => Some(Door::open(given).await?),
        None => None,
    };
    if let Some(door) = &door {
        let (engine, address) = (deployment.engine.clone(), door.address.clone());
        let greeted = tokio::task::spawn_blocking(move || console::greet(&engine, &address, language)).await;
        greeted.map_err(|error| error.to_string())??;
    }
    let bells = Bells::of(&deployment.engine);
    let engine = deployment.engine.clone();
    let told = async move {
        tokio::select! {
            () = asked_to_stop() => {}
            () = superseded(&engine) => tracing::info!("other files are in force: this process ends its work"),
        }
    };
    serve_until(deployment, listener, door, bells, told).await
}

/// Ends when a plan was applied or taken back: the engine works by former files.
async fn superseded(engine: &Engine) {
    loop {
        tokio::time::sleep(GLANCE).await;
        let here = engine.clone();
        if on_thread(move || here.is_superseded()).await == Ok(true) {
            return;
        }
    }
}

/// Serves on open ports until told to stop. Work under way is finished; a kill loses nothing either.
pub async fn serve_until(
    deployment: Deployment,
    listener: tokio::net::TcpListener,
    door: Option<Door>,
    bells: Bells,
    told_to_stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let engine = deployment.engine.clone();
    let here = engine.clone();
    let cache_mib = deployment.config.hub.cache_mib.get();
    on_thread(move || here.store.keep_within(cache_mib)).await?;
    let metrics = Metrics::install(&engine)?;
    let (stop, stopped) = watch::channel(false);
    let roles = deployment.config.hub.roles.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(metrics.clone().keep_small(stopped.clone()));
    // Whoever searches may do it on another node.
    let is_searched = door.is_some() || deployment.config.console.is_some();
    let names = if is_searched { Names::Entered } else { Names::Left };
    let units = units(&deployment, names, &bells)?;
    let node = (engine.store.kind() == "postgres").then(|| {
        let all = units.iter().map(|unit| unit.name.clone()).collect();
        Arc::new(Node::new(&engine.store, &place(), &roles::words(&roles), all))
    });
    tasks.spawn(shares::share(engine.clone(), units, node, bells.clone(), stopped.clone()));
    let app = endpoints::router(&engine, metrics).merge(way_in(&deployment, &bells, &mut tasks, &stopped).await?);
    if roles.contains(&Role::Process) {
        tasks.spawn(letting_go::keep_small(engine.clone(), deployment.config.retention, stopped.clone()));
    }
    if let Some(door) = door {
        tasks.spawn(console::serve(engine.clone(), door, bells, stopped));
    }
    let (listen, node) = (&deployment.config.hub.listen, engine.store.node());
    tracing::info!(%listen, node, roles = roles::words(&roles), connections = engine.connections.len(), "serving");
    huiliu_webhooks::serve(listener, app, bounds(&deployment), told_to_stop).await;
    let _ = stop.send(true);
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!("a stage ended badly: {error}");
        }
    }
    Ok(())
}

/// Where calls come in, as far as this node takes any, and what leads on from there to the inbox.
async fn way_in(
    deployment: &Deployment,
    bells: &Bells,
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
) -> Result<axum::Router, String> {
    let roles = &deployment.config.hub.roles;
    let (receives, processes) = (roles.contains(&Role::Receive), roles.contains(&Role::Process));
    if !receives && (!processes || deployment.config.intake.is_none()) {
        return Ok(axum::Router::new());
    }
    let (heard, led) = (bells.clone(), bells.clone());
    let way_in = intake::open(deployment, move || heard.think.ring()).await?;
    if processes {
        way_in.lead_on(tasks, move || led.think.ring(), stopped.clone());
    }
    let limits = |name: &str| limits(deployment, name);
    Ok(if receives { hooks::router_into(&deployment.engine, limits, way_in.log) } else { axum::Router::new() })
}

/// What whoever connects is granted.
fn bounds(deployment: &Deployment) -> Bounds {
    let hub = &deployment.config.hub;
    Bounds { places: hub.connections_max, head: Duration::from_secs(hub.head_seconds.into()) }
}

/// How much a connection may call.
fn limits(deployment: &Deployment, connection: &str) -> Limits {
    let given = deployment.config.connections.get(connection);
    given.map_or_else(Limits::default, |it| Limits { at_once: it.calls_at_once, per_second: it.calls_per_second })
}

/// What was handed over to whoever ends is sent: its attempts are on record. Nothing more is handed over.
async fn send_handed(engine: &Engine, connection: &Connection) {
    let claimed = engine.take_handed(connection.name.as_str());
    if !claimed.is_empty()
        && let Err(error) = push::finish(engine, connection, claimed).await
    {
        tracing::error!(connection = %connection.name, "the store failed at the end: {error}");
    }
}

/// Where this process runs, for people.
fn place() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    format!("{}:{}", host.as_deref().map_or("?", str::trim), std::process::id())
}

/// What there is to do for a node of these roles.
fn units(deployment: &Deployment, names: Names, bells: &Bells) -> Result<Vec<Unit>, String> {
    let roles = &deployment.config.hub.roles;
    let mut units = Vec::new();
    if roles.contains(&Role::Process) {
        units.push(meaning(names, bells.clone()));
    }
    if roles.contains(&Role::Exchange) {
        for connection in deployment.engine.connections.values().filter(|it| it.connector.is_some()) {
            let pace = Pace::Share(percent(deployment, connection));
            units.push(exchange(connection, schedule(deployment, connection)?, pace, bells.clone()));
        }
    }
    Ok(units)
}

/// The stages of thought.
fn meaning(names: Names, bells: Bells) -> Unit {
    Unit {
        name: node::MEANING.to_owned(),
        // Whoever had it before may have seen that a finding is over.
        prepare: Arc::new(|engine| {
            engine.look_for_mended();
            Ok(())
        }),
        begin: Box::new(move |engine, ended| {
            let mut tasks = JoinSet::new();
            let (here, heard, end) = (engine.clone(), bells.clone(), ended.clone());
            tasks.spawn_blocking(move || think(&here, &heard, names, &end));
            let (heard, mut end) = (bells.clone(), ended.clone());
            tasks.spawn(async move {
                let _ = end.changed().await;
                heard.think.ring();
            });
            tasks
        }),
    }
}

/// All that is done at a system.
fn exchange(connection: &Connection, schedule: Vec<(StreamName, Duration)>, pace: Pace, bells: Bells) -> Unit {
    let (left, connection) = (connection.clone(), connection.clone());
    Unit {
        name: node::unit_of(connection.name.as_str()),
        prepare: Arc::new(move |engine| {
            let recovered = push::take_up(engine, &left)?;
            if recovered > 0 {
                let name = &left.name;
                tracing::info!(connection = %name, recovered, "deliveries that a stop interrupted are sent again under the same key");
            }
            Ok(())
        }),
        begin: Box::new(move |engine, ended| {
            let mut tasks = JoinSet::new();
            for work in [Work::Read(schedule.clone()), Work::Errands, Work::Compare(pace.clone())] {
                tasks.spawn(tend(engine.clone(), connection.clone(), work, bells.clone(), ended.clone()));
            }
            tasks.spawn(listen(engine.clone(), connection.clone(), bells.clone(), ended.clone()));
            tasks
        }),
    }
}

/// Ends with ctrl-c or SIGTERM.
pub async fn asked_to_stop() {
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

/// The streams of a connection that are pulled, with their intervals.
pub fn schedule(deployment: &Deployment, connection: &Connection) -> Result<Vec<(StreamName, Duration)>, String> {
    let given = deployment.config.connections.get(connection.name.as_str()).map(|it| &it.every);
    let Some(connector) = &connection.connector else { return Ok(Vec::new()) };
    let streams = connector.manifest().streams.iter().filter(|(_, stream)| stream.can(Ability::Pull));
    streams
        .map(|(name, stream)| {
            let text = given.and_then(|given| given.get(name)).or(stream.every.as_ref());
            let every = text.map_or(Ok(EVERY_DEFAULT), |text| config::duration(text));
            Ok((StreamName::from(name), every.map_err(|told| format!("{}.{name}: {told}", connection.name))?))
        })
        .collect()
}

/// Does what is due at one connection, then rests until the next time or until it is woken.
async fn tend(engine: Engine, connection: Connection, work: Work, bells: Bells, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let rest = match turn(&engine, &connection, &work, &bells, &stop).await {
            Ok(rest) => {
                if matches!(work, Work::Errands) {
                    engine.rest(connection.name.as_str());
                }
                rest
            }
            Err(error) => {
                tracing::error!(connection = %connection.name, "the store failed, trying again: {error}");
                GLANCE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = bells.heard(connection.name.as_str(), &work) => {}
            _ = stop.changed() => {}
        }
    }
    if matches!(work, Work::Errands) {
        send_handed(&engine, &connection).await;
    }
}

/// One turn of a connection: what is due of each stream, or hinted keys and deliveries. Returns how long it may rest.
async fn turn(
    engine: &Engine,
    connection: &Connection,
    work: &Work,
    bells: &Bells,
    stop: &watch::Receiver<bool>,
) -> Result<Duration, String> {
    if matches!(work, Work::Errands) {
        return errands(engine, connection, bells, stop).await;
    }
    let here = engine.clone();
    let (states, known) =
        on_thread(move || here.store.read(|tx| Ok((streams::states(tx)?, streams::all(tx)?)))).await?;
    let name = connection.name.as_str();
    if states.get(name).is_some_and(|(state, _)| *state == State::Paused) {
        return Ok(GLANCE);
    }
    let schedule = match work {
        Work::Read(schedule) => schedule,
        Work::Errands => return Ok(GLANCE),
        Work::Compare(pace) => return compare(engine, connection, pace, bells).await,
    };
    for (stream, every) in schedule {
        let state = known.get(&(name.to_owned(), stream.as_str().to_owned()));
        if state.is_none_or(|state| !state.stopped && state.due_us <= engine.clock.now_us()) {
            let every_us = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
            let pulled = pull::stream(engine, connection, stream, every_us).await.map_err(|error| error.to_string())?;
            if pulled.records > 0 {
                tracing::info!(connection = name, %stream, records = pulled.records, "pulled");
                // A list may hold keys without content: they are fetched beside the next page.
                if let Some(bell) = bells.tend.get(name) {
                    bell.notify_one();
                }
            }
            // The first complete read lets go what waited for it, even if it brought nothing.
            if pulled.records > 0 || state.is_none_or(|state| state.read_to.is_none()) {
                bells.think.ring();
            }
        }
    }
    let (here, name) = (engine.clone(), connection.name.clone());
    let known = on_thread(move || here.store.read(streams::all)).await?;
    let due = schedule.iter().filter_map(|(stream, _)| {
        let state = known.get(&(name.as_str().to_owned(), stream.as_str().to_owned()))?;
        (!state.stopped).then_some(state.due_us)
    });
    Ok(rest(engine, due.min()))
}

/// One step of the comparison; what it repairs wakes everybody.
async fn compare(engine: &Engine, connection: &Connection, pace: &Pace, bells: &Bells) -> Result<Duration, String> {
    let done = reconcile::batch(engine, connection, pace).await.map_err(|error| error.to_string())?;
    if done.confirmed + done.repaired > 0 {
        let (name, confirmed, repaired) = (&connection.name, done.confirmed, done.repaired);
        tracing::info!(connection = %name, confirmed, repaired, "reconciled");
    }
    if done.wakes {
        bells.ring();
    }
    Ok(rest(engine, done.next_us))
}

/// The share of a connection's calls that its comparison may take.
fn percent(deployment: &Deployment, connection: &Connection) -> u32 {
    let given = deployment.config.connections.get(connection.name.as_str());
    given.map_or(reconcile::SHARE_PERCENT, |given| given.reconcile_percent)
}

/// Until something is due, and never longer than a glance: other processes write to the store, too.
fn rest(engine: &Engine, due_us: Option<i64>) -> Duration {
    let wait_us = due_us.map_or(i64::MAX, |due_us| due_us - engine.clock.now_us());
    Duration::from_micros(u64::try_from(wait_us).unwrap_or(0)).clamp(REST_MIN, GLANCE)
}

/// Lets the system say that a stream changed (IMAP IDLE and the like): its pull is brought forward.
async fn listen(engine: Engine, connection: Connection, bells: Bells, mut stop: watch::Receiver<bool>) {
    let Some(connector) = connection.connector.clone() else { return };
    while !*stop.borrow() {
        let (here, name) = (engine.clone(), connection.name.clone());
        let states = on_thread(move || here.store.read(streams::states)).await;
        // A refused password that is tried over and over locks the account.
        if states.is_ok_and(|states| states.get(name.as_str()).is_some_and(|(state, _)| *state == State::Paused)) {
            tokio::select! {
                () = tokio::time::sleep(GLANCE) => continue,
                _ = stop.changed() => return,
            }
        }
        let heard = tokio::select! {
            heard = connector.listen(&connection.cx) => heard,
            _ = stop.changed() => return,
        };
        let rest = match heard {
            Ok(stream) => {
                let (here, name) = (engine.clone(), connection.name.clone());
                let now_us = engine.clock.now_us();
                let brought = on_thread(move || {
                    let told = [(name.as_str().to_owned(), stream.as_str().to_owned())].into();
                    here.store.write(|tx| streams::bring_forward(tx, &told, now_us))
                });
                match brought.await {
                    Ok(_) => LISTEN_PAUSE,
                    Err(error) => {
                        tracing::error!(connection = %connection.name, "the store failed, trying again: {error}");
                        GLANCE
                    }
                }
            }
            Err(error) => {
                tracing::warn!(connection = %connection.name, kind = error.kind(), "cannot listen, the schedule goes on: {error}");
                LISTEN_AGAIN
            }
        };
        if let Some(bell) = bells.read.get(connection.name.as_str()) {
            bell.notify_one();
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stop.changed() => return,
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
