//! One process among several that share a store: it says that it lives, and takes its share of the work.
//!
//! Units of work are spread evenly: whoever has fewer takes what is free, and whoever has two more than another gives one
//! away, one at a time. What nobody takes within [`PATIENCE`] anybody takes who can.

mod home;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::Store;
use crate::store::db::{Bell, Result};
use crate::store::leases::{self, Fence, Lease, Moment, NodeRow};

/// The unit of work that computes meaning: process, plan, automate, index.
pub const MEANING: &str = "meaning";

/// The unit of work of a connection: it is pulled, fetched from, written to, compared and listened to by one node.
pub fn unit_of(connection: &str) -> String {
    format!("connection {connection}")
}

/// What is free is left to whoever has fewer for so long.
const PATIENCE: Duration = Duration::from_secs(3);

/// See the module.
pub struct Node {
    store: Store,
    me: NodeRow,
    held: Mutex<BTreeMap<String, Arc<Fence>>>,
    /// Since when units are free.
    free: Mutex<BTreeMap<String, Instant>>,
    /// Whether the others can know it.
    is_known: AtomicBool,
}

/// What one look at the others came to.
#[derive(Default)]
pub struct Shares {
    /// Units that are ours from now on.
    pub taken: Vec<Arc<Fence>>,
    /// Units to be ended, then given back: others have fewer, or have it already.
    pub given: Vec<String>,
    /// How many nodes live, this one too.
    pub alive: usize,
}

impl Node {
    /// A node that may do these units of work. `place`: where it runs, for people.
    pub fn new(store: &Store, place: &str, roles: &str, units: Vec<String>) -> Self {
        let me = NodeRow {
            name: store.node().to_owned(),
            place: place.to_owned(),
            roles: roles.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            units,
            home: home::mine().unwrap_or_default(),
            is_alive: true,
            ..NodeRow::default()
        };
        Self { store: store.clone(), me, held: Mutex::default(), free: Mutex::default(), is_known: false.into() }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Fence>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that this node lives, and looks who does what. `takes`: whether it wants work.
    ///
    /// # Errors
    /// The store failed; what is held stays held as long as the others can tell.
    pub fn beat(&self, takes: bool) -> Result<Shares> {
        let said = Moment::now();
        let is_new = !self.is_known.load(Ordering::Relaxed);
        let (nodes, leases) = self.store.write(|tx| {
            leases::beat(tx, &self.me)?;
            if is_new {
                tx.ring(Bell::Shares);
            }
            leases::introduce(tx, &self.me.units)?;
            leases::forget(tx)?;
            let mut nodes = leases::nodes(tx)?;
            // Who was killed on this machine need not be waited for.
            for gone in nodes.iter_mut().filter(|it| it.is_alive && home::is_gone(&it.home)) {
                leases::end(tx, &gone.name)?;
                gone.is_alive = false;
            }
            Ok((nodes, leases::leases(tx)?))
        })?;
        self.is_known.store(true, Ordering::Relaxed);
        self.store.set_heard(nodes.iter().any(|it| it.is_alive && it.name != self.me.name));
        let mut shares = Shares { alive: nodes.iter().filter(|it| it.is_alive).count(), ..Shares::default() };
        for (unit, fence) in &*self.held() {
            let is_ours = |it: &&Lease| it.holder.as_ref() == Some(&self.me.name) && it.token == fence.token;
            if leases.iter().filter(|it| it.unit == *unit).any(|it| is_ours(&it)) {
                fence.renew(said);
            } else {
                fence.lose();
                shares.given.push(unit.clone());
            }
        }
        if !takes {
            return Ok(shares);
        }
        let wanted = self.choice(&nodes, &leases);
        shares.given.extend(wanted.give);
        for (unit, holder) in wanted.take {
            // The dead may hold locks that a taker would wait for.
            if let Some(holder) = holder {
                self.cut_off(&holder);
            }
            shares.taken.extend(self.take(&unit, said)?);
        }
        Ok(shares)
    }

    /// Says that this node lives, and takes all that nobody has who lives, whatever the share of others.
    ///
    /// # Errors
    /// The store failed.
    pub fn take_free(&self) -> Result<Vec<Arc<Fence>>> {
        self.beat(false)?;
        let said = Moment::now();
        let mut taken = Vec::new();
        for unit in &self.me.units {
            taken.extend(self.take(unit, said)?);
        }
        Ok(taken)
    }

    fn take(&self, unit: &str, said: Moment) -> Result<Option<Arc<Fence>>> {
        let Some(token) = self.store.write(|tx| leases::take(tx, unit, &self.me.name))? else { return Ok(None) };
        let fence = Arc::new(Fence::new(unit, &self.me.name, token, said));
        self.held().insert(unit.to_owned(), fence.clone());
        Ok(Some(fence))
    }

    fn cut_off(&self, holder: &str) {
        match self.store.write(|tx| leases::cut_off(tx, holder)) {
            Ok(0) => {}
            Ok(sessions) => tracing::warn!(node = holder, sessions, "it stands still: its sessions were ended"),
            Err(error) => tracing::warn!(node = holder, "its sessions cannot be ended, the server will: {error}"),
        }
    }

    fn choice(&self, nodes: &[NodeRow], leases: &[Lease]) -> Choice {
        let busy: BTreeSet<String> = self.held().keys().cloned().collect();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = |unit: &String| {
            let lease = leases.iter().find(|it| it.unit == *unit);
            lease.is_some_and(|it| !nodes.iter().any(|node| node.is_alive && Some(&node.name) == it.holder.as_ref()))
        };
        free.retain(|unit, _| is_free(unit));
        for unit in self.me.units.iter().filter(|unit| is_free(unit)) {
            free.entry(unit.clone()).or_insert_with(Instant::now);
        }
        let waited = free.iter().filter(|(_, since)| since.elapsed() >= PATIENCE).map(|(unit, _)| unit.clone());
        choose(&self.me, nodes, leases, &busy, &waited.collect())
    }

    /// Whether this node has a unit now.
    pub fn holds(&self, unit: &str) -> bool {
        self.held().get(unit).is_some_and(|fence| !fence.is_lost())
    }

    /// Gives a unit back that is not worked on any more, whoever has it by now.
    ///
    /// # Errors
    /// The store failed: it is free once this node is taken for dead.
    pub fn release(&self, unit: &str) -> Result<()> {
        let Some(fence) = self.held().remove(unit).filter(|fence| !fence.is_lost()) else { return Ok(()) };
        self.store.write(|tx| {
            tx.ring(Bell::Shares);
            leases::release(tx, unit, &self.me.name, fence.token).map(drop)
        })
    }

    /// Ends this node: others take over at once what it has.
    ///
    /// # Errors
    /// The store failed: the others take over once this node is taken for dead.
    pub fn leave(&self) -> Result<()> {
        self.held().clear();
        self.store.write(|tx| {
            tx.ring(Bell::Shares);
            leases::leave(tx, &self.me.name)
        })
    }
}

/// What a node is to take and to give.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    /// Units, with the dead who had them.
    take: Vec<(String, Option<String>)>,
    give: Option<String>,
}

/// `busy`: what is ours, or not yet ended; `waited`: what was left to others for long enough.
fn choose(
    me: &NodeRow,
    nodes: &[NodeRow],
    leases: &[Lease],
    busy: &BTreeSet<String>,
    waited: &BTreeSet<String>,
) -> Choice {
    let mut count: BTreeMap<&str, usize> =
        nodes.iter().filter(|it| it.is_alive).map(|it| (it.name.as_str(), 0)).collect();
    let mut choice = Choice::default();
    let mut open = Vec::new();
    for lease in leases {
        match lease.holder.as_deref().and_then(|holder| count.get_mut(holder)) {
            Some(count) => *count += 1,
            None => open.push(lease),
        }
    }
    let mut mine = count.remove(me.name.as_str()).unwrap_or(0);
    let least_of = |unit: &String| {
        let able = nodes.iter().filter(|it| it.is_alive && it.name != me.name && it.units.contains(unit));
        able.filter_map(|it| count.get(it.name.as_str())).min().copied()
    };
    for lease in open.into_iter().filter(|it| me.units.contains(&it.unit) && !busy.contains(&it.unit)) {
        if least_of(&lease.unit).is_none_or(|least| least >= mine) || waited.contains(&lease.unit) {
            choice.take.push((lease.unit.clone(), lease.holder.clone()));
            mine += 1;
        }
    }
    if choice.take.is_empty() {
        let ours = leases.iter().filter(|it| it.holder.as_ref() == Some(&me.name) && busy.contains(&it.unit));
        let mut spare = ours.filter(|it| least_of(&it.unit).is_some_and(|least| least + 2 <= mine));
        // Whoever computes meaning knows much by heart: it is given away last.
        choice.give = spare.clone().find(|it| it.unit != MEANING).or_else(|| spare.next()).map(|it| it.unit.clone());
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, units: &[&str]) -> NodeRow {
        let units = units.iter().map(|unit| (*unit).to_owned()).collect();
        NodeRow { name: name.to_owned(), units, is_alive: true, ..NodeRow::default() }
    }

    fn lease(unit: &str, holder: &str) -> Lease {
        let holder = (!holder.is_empty()).then(|| holder.to_owned());
        Lease { unit: unit.to_owned(), holder, token: 1 }
    }

    fn set(units: &[&str]) -> BTreeSet<String> {
        units.iter().map(|unit| (*unit).to_owned()).collect()
    }

    const ALL: [&str; 4] = [MEANING, "p", "q", "r"];

    #[test]
    fn one_takes_all_and_gives_to_who_comes() {
        let (a, b) = (node("a", &ALL), node("b", &ALL));
        let free = ALL.map(|unit| lease(unit, ""));
        let took = choose(&a, std::slice::from_ref(&a), &free, &set(&[]), &set(&[]));
        assert_eq!(took.take.len(), 4);
        let all_a = ALL.map(|unit| lease(unit, "a"));
        let both = [a.clone(), b.clone()];
        let gives = choose(&a, &both, &all_a, &set(&ALL), &set(&[]));
        assert_eq!((gives.take.len(), gives.give.as_deref()), (0, Some("p")));
        let three = [lease(MEANING, "a"), lease("p", ""), lease("q", "a"), lease("r", "a")];
        assert_eq!(choose(&a, &both, &three, &set(&[MEANING, "q", "r"]), &set(&[])).take, [], "it was just given");
        assert_eq!(choose(&b, &both, &three, &set(&[]), &set(&[])).take, [("p".to_owned(), None)]);
        let even = [lease(MEANING, "a"), lease("p", "b"), lease("q", "b"), lease("r", "a")];
        assert_eq!(choose(&a, &both, &even, &set(&[MEANING, "r"]), &set(&[])), Choice::default());
    }

    #[test]
    fn what_the_dead_had_goes_to_the_living_who_can() {
        let (a, mut b, c) = (node("a", &ALL), node("b", &ALL), node("c", &["r"]));
        b.is_alive = false;
        let held = [lease(MEANING, "b"), lease("p", "b"), lease("q", "a"), lease("r", "b")];
        let nodes = [a.clone(), b, c.clone()];
        let dead = Some("b".to_owned());
        let took = choose(&a, &nodes, &held, &set(&["q"]), &set(&[])).take;
        assert_eq!(took, [(MEANING.to_owned(), dead.clone()), ("p".to_owned(), dead.clone())], "r is for who has less");
        assert_eq!(choose(&c, &nodes, &held, &set(&[]), &set(&[])).take, [("r".to_owned(), dead.clone())]);
        let late = choose(&a, &nodes, &held, &set(&["q"]), &set(&["r"])).take;
        assert!(late.contains(&("r".to_owned(), dead)), "nobody else came");
        assert!(
            choose(&a, &nodes, &held, &set(&["q", "p"]), &set(&[])).take.iter().all(|(unit, _)| unit != "p"),
            "not ended yet"
        );
    }
}
