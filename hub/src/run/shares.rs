//! Who does what: units of work run here while this node holds them, and end when another takes them over.
//!
//! On SQLite one process does everything. On Postgres a node takes its share ([`Node`]), and everybody's bells are heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::engine::Engine;
use huiliu_core::node::{Node, Shares};
use huiliu_core::store::leases::{BEAT, Fence};
use huiliu_core::store::{Store, db, streams};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::{Bells, GLANCE, on_thread};

/// The longest wait before a listener tries again to reach the server.
const LISTEN_AGAIN_MAX: Duration = Duration::from_secs(5);

/// What comes before a unit of work. It blocks.
pub type Prepare = Arc<dyn Fn(&Engine) -> db::Result<()> + Send + Sync>;

/// Begins the tasks of a unit of work, which end when they are told to.
pub type Begin = Box<dyn Fn(&Engine, &watch::Receiver<bool>) -> JoinSet<()> + Send + Sync>;

/// Work that one node does at a time.
pub struct Unit {
    /// Its name.
    pub name: String,
    /// Finds out first what whoever had it before left behind.
    pub prepare: Prepare,
    /// Begins it.
    pub begin: Begin,
}

/// Whether it is ours to do a unit of work.
#[derive(Clone)]
enum Turn {
    Waits,
    /// Under this fence, if there are others.
    Ours(Option<Arc<Fence>>),
}

/// Does this node's share until told to stop; then what is under way is finished and given back. `node`: none does all.
pub async fn share(
    engine: Engine,
    units: Vec<Unit>,
    node: Option<Arc<Node>>,
    bells: Bells,
    mut stopped: watch::Receiver<bool>,
) {
    let mut turns = BTreeMap::new();
    let mut tasks = JoinSet::new();
    for unit in units {
        let first = if node.is_some() { Turn::Waits } else { Turn::Ours(None) };
        let (turn, ours) = watch::channel(first);
        turns.insert(unit.name.clone(), turn);
        tasks.spawn(work(engine.clone(), unit, node.clone(), ours, bells.shares.clone(), stopped.clone()));
    }
    if let Some(node) = node {
        listen(&engine.store, &bells, &stopped);
        loop {
            let takes = !*stopped.borrow();
            let here = node.clone();
            match on_thread(move || here.beat(takes)).await {
                Ok(shares) => pass_on(&turns, shares),
                Err(error) => tracing::error!("this node cannot say that it lives, trying again: {error}"),
            }
            follow_clocks(&engine, &node).await;
            // They end only when they were told to.
            if !takes && tasks.is_empty() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = bells.shares.notified() => {}
                _ = stopped.changed(), if takes => {}
                _ = tasks.join_next(), if !tasks.is_empty() => {}
            }
        }
        if let Err(error) = on_thread(move || node.leave()).await {
            tracing::warn!("the others wait until this node is taken for dead: {error}");
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Tells those who do units of work whether it is still their turn.
fn pass_on(turns: &BTreeMap<String, watch::Sender<Turn>>, shares: Shares) {
    for unit in &shares.given {
        if let Some(turn) = turns.get(unit) {
            turn.send_if_modified(|turn| {
                let was_ours = matches!(turn, Turn::Ours(_));
                *turn = Turn::Waits;
                was_ours
            });
        }
    }
    for fence in shares.taken {
        tracing::info!(unit = fence.unit, token = fence.token, nodes = shares.alive, "taken");
        if let Some(turn) = turns.get(&fence.unit) {
            turn.send_replace(Turn::Ours(Some(fence)));
        }
    }
}

/// Does one unit of work whenever it is this node's turn.
async fn work(
    engine: Engine,
    unit: Unit,
    node: Option<Arc<Node>>,
    mut turn: watch::Receiver<Turn>,
    shares: Arc<Notify>,
    mut stopped: watch::Receiver<bool>,
) {
    while !*stopped.borrow() {
        let Turn::Ours(fence) = turn.borrow_and_update().clone() else {
            tokio::select! {
                changed = turn.changed() => if changed.is_err() { return },
                _ = stopped.changed() => {}
            }
            continue;
        };
        let mine = fence.map_or_else(|| engine.clone(), |fence| engine.under(fence));
        let (end, ended) = watch::channel(false);
        let mut tasks = tokio::select! {
            tasks = begun(&unit, &mine, &ended) => tasks,
            _ = turn.changed() => JoinSet::new(),
            _ = stopped.changed() => JoinSet::new(),
        };
        if !tasks.is_empty() {
            tokio::select! {
                _ = turn.changed() => {}
                _ = stopped.changed() => {}
            }
        }
        let _ = end.send(true);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(unit = unit.name, "a stage ended badly: {error}");
            }
        }
        if let Some(node) = node.clone() {
            let name = unit.name.clone();
            match on_thread(move || node.release(&name)).await {
                Ok(()) => tracing::info!(unit = unit.name, "given back"),
                Err(error) => tracing::warn!(unit = unit.name, "cannot be given back: {error}"),
            }
            shares.notify_one();
        }
    }
}

/// Prepares a unit of work, again and again if the store fails, and begins its tasks.
async fn begun(unit: &Unit, engine: &Engine, ended: &watch::Receiver<bool>) -> JoinSet<()> {
    loop {
        let (prepare, here) = (unit.prepare.clone(), engine.clone());
        match on_thread(move || prepare(&here)).await {
            Ok(()) => return (unit.begin)(engine, ended),
            Err(error) => tracing::error!(unit = unit.name, "the store failed, trying again: {error}"),
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// How far the clocks of systems are off is measured by the node that calls them; the others stamp what those systems tell.
async fn follow_clocks(engine: &Engine, node: &Arc<Node>) {
    let here = engine.clone();
    let Ok(offsets) = on_thread(move || here.store.read(streams::clock_offsets)).await else { return };
    for connection in engine.connections.values() {
        let name = connection.name.as_str();
        if let Some(us) = offsets.get(name).filter(|_| !node.holds(&huiliu_core::node::unit_of(name))) {
            connection.cx.offset.follow(*us);
        }
    }
}

/// Rings this node's bells when others ring, on a thread that waits for them. While the server cannot be reached everybody
/// looks for himself now and then.
fn listen(store: &Store, bells: &Bells, stopped: &watch::Receiver<bool>) {
    let (store, bells, stopped) = (store.clone(), bells.clone(), stopped.clone());
    let begun = std::thread::Builder::new().name("bells".to_owned()).spawn(move || {
        let mut wait = Duration::from_millis(250);
        while !*stopped.borrow() {
            let heard = std::cell::Cell::new(false);
            let tell = |bell| {
                heard.set(true);
                bells.rung(&bell);
            };
            match store.listen(&tell, &|| *stopped.borrow()) {
                Ok(()) => return,
                Err(error) => tracing::warn!("other nodes are not heard, trying again: {error}"),
            }
            wait = if heard.get() { Duration::from_millis(250) } else { (wait * 2).min(LISTEN_AGAIN_MAX) };
            std::thread::sleep(wait);
        }
    });
    if let Err(error) = begun {
        tracing::warn!("other nodes are not heard, everybody looks for himself: {error}");
    }
}
