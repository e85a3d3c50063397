//! Nodes and leases: who of several processes does what, on Postgres.
//!
//! A node says all the time that it lives. What it holds is free once it has said nothing for [`SPAN_US`] of the server's
//! time, and whoever takes it then gets a larger token. The token is the fence: whoever writes for a unit of work locks the
//! row of its lease in the very transaction, so a node that stood still meanwhile writes nothing any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::db::{Col, Insert, Param, Result, Store, StoreError, Tx, server_name};
use crate::clock::Clock;

/// Who has not said for so long that it lives has lost what it held, microseconds of the server's time.
pub const SPAN_US: i64 = 6_000_000;

/// A node says so often that it lives.
pub const BEAT: Duration = Duration::from_secs(2);

/// So long after it said that it lives a node may act without asking: by its own clocks, and with a second to spare.
const SURE: Duration = Duration::from_secs(5);

/// Nodes that are no more are shown for so long.
const SHOWN_US: i64 = 600_000_000;

/// The server's time, microseconds since 1970 UTC.
const NOW: &str = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint";

/// A process that shares the work.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct NodeRow {
    /// Its name, another one at each start.
    pub name: String,
    /// Where it runs.
    pub place: String,
    /// Its roles, separated by commas.
    pub roles: String,
    /// The version of the program.
    pub version: String,
    /// The units of work that it may do.
    #[serde(skip)]
    pub units: Vec<String>,
    /// What tells others on its machine whether it lives; empty: nothing does.
    #[serde(skip)]
    pub home: String,
    /// Microseconds since it started, by the server.
    pub age_us: i64,
    /// Microseconds since it last said that it lives, by the server.
    pub silent_us: i64,
    /// Whether what it holds is its own.
    pub is_alive: bool,
    /// The units that it holds.
    pub holds: Vec<String>,
}

/// Who has a unit of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The unit.
    pub unit: String,
    /// The node that has it, dead or alive.
    pub holder: Option<String>,
    /// How often it was taken.
    pub token: i64,
}

/// Says that a node lives.
pub fn beat(tx: &mut Tx<'_>, node: &NodeRow) -> Result<()> {
    let units = serde_json::to_string(&node.units)?;
    let sql = format!(
        "INSERT INTO node (name, place, roles, version, units, home, started_us, seen_us, ends_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, {NOW}, {NOW}, {NOW} + ?7)
         ON CONFLICT (name) DO UPDATE SET seen_us = excluded.seen_us, ends_us = excluded.ends_us"
    );
    let texts = [&node.name, &node.place, &node.roles, &node.version, &units, &node.home].map(|text| Param::Text(text));
    tx.execute_later(&sql, &[&texts[..], &[Param::Int(SPAN_US)]].concat())
}

/// All nodes that live or did some minutes ago, oldest first, with what they hold. Empty on `SQLite`.
pub fn nodes(tx: &mut Tx<'_>) -> Result<Vec<NodeRow>> {
    if matches!(tx, Tx::Sqlite(_)) {
        return Ok(Vec::new());
    }
    let held = leases(tx)?;
    let sql = format!(
        "SELECT name, place, roles, version, units, {NOW} - started_us, {NOW} - seen_us, ends_us - {NOW}, home
         FROM node ORDER BY started_us, name"
    );
    tx.query(&sql, &[], |row| {
        let name = row.text(0)?;
        let mine = held.iter().filter(|lease| lease.holder.as_ref() == Some(&name));
        Ok(NodeRow {
            holds: mine.map(|lease| lease.unit.clone()).collect(),
            place: row.text(1)?,
            roles: row.text(2)?,
            version: row.text(3)?,
            units: serde_json::from_str(&row.text(4)?)?,
            age_us: row.int(5)?,
            silent_us: row.int(6)?,
            is_alive: row.int(7)? > 0,
            home: row.text(8)?,
            name,
        })
    })
}

/// All leases, by unit.
pub fn leases(tx: &mut Tx<'_>) -> Result<Vec<Lease>> {
    tx.query("SELECT unit, holder, token FROM lease ORDER BY unit", &[], |row| {
        Ok(Lease { unit: row.text(0)?, holder: row.opt_text(1)?, token: row.int(2)? })
    })
}

const UNIT: Insert = Insert {
    table: "lease",
    columns: &[("unit", Col::Text), ("token", Col::Int), ("since_us", Col::Int)],
    conflict: "ON CONFLICT (unit) DO NOTHING",
};

/// Makes units known; nobody has them yet.
pub fn introduce(tx: &mut Tx<'_>, units: &[String]) -> Result<()> {
    let cells: Vec<Param<'_>> =
        units.iter().flat_map(|unit| [Param::Text(unit), Param::Int(0), Param::Int(0)]).collect();
    tx.insert_later(&UNIT, &cells)
}

/// Takes a unit that nobody has who lives; its token. None: somebody has it.
pub fn take(tx: &mut Tx<'_>, unit: &str, node: &str) -> Result<Option<i64>> {
    let sql = format!(
        "UPDATE lease SET holder = ?2, token = token + 1, since_us = {NOW} WHERE unit = ?1 AND (holder IS NULL
         OR NOT EXISTS (SELECT 1 FROM node AS n WHERE n.name = lease.holder AND n.ends_us > {NOW})) RETURNING token"
    );
    tx.query_opt(&sql, &[Param::Text(unit), Param::Text(node)], |row| row.int(0))
}

/// Gives a unit back.
pub fn release(tx: &mut Tx<'_>, unit: &str, node: &str, token: i64) -> Result<u64> {
    tx.execute(
        "UPDATE lease SET holder = NULL WHERE unit = ?1 AND holder = ?2 AND token = ?3",
        &[Param::Text(unit), Param::Text(node), Param::Int(token)],
    )
}

/// Gives everything back, and ends a node.
pub fn leave(tx: &mut Tx<'_>, node: &str) -> Result<()> {
    tx.execute_later("UPDATE lease SET holder = NULL WHERE holder = ?1", &[Param::Text(node)])?;
    tx.execute_later("DELETE FROM node WHERE name = ?1", &[Param::Text(node)])
}

/// Takes a node for dead: it is known not to live any more.
pub fn end(tx: &mut Tx<'_>, node: &str) -> Result<()> {
    tx.execute_later("UPDATE node SET ends_us = seen_us WHERE name = ?1", &[Param::Text(node)])
}

/// Forgets nodes that have been dead for long.
pub fn forget(tx: &mut Tx<'_>) -> Result<u64> {
    tx.execute(&format!("DELETE FROM node WHERE ends_us < {NOW} - ?1"), &[Param::Int(SHOWN_US)])
}

/// Ends the sessions of a node that is dead or stands still: what it had begun is rolled back, and its locks are free. How
/// many there were.
pub fn cut_off(tx: &mut Tx<'_>, node: &str) -> Result<usize> {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = ?1 AND datname = current_database() AND pid <> pg_backend_pid()";
    Ok(tx.query(sql, &[Param::Text(&server_name(node))], |_| Ok(()))?.len())
}

/// The proof that a node has a unit of work.
pub struct Fence {
    /// The unit.
    pub unit: String,
    /// The node.
    pub node: String,
    /// Its token.
    pub token: i64,
    lost: AtomicBool,
    seen: Mutex<Moment>,
}

/// A moment by two clocks: one stands still while the machine sleeps, the other may be set.
#[derive(Clone, Copy)]
pub struct Moment {
    steady: Instant,
    wall_us: i64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall_us: Clock::System.now_us() }
    }

    /// Whether by both clocks less than this has passed since.
    fn is_within(self, span: Duration) -> bool {
        let wall_us = Clock::System.now_us() - self.wall_us;
        let is_wall = i64::try_from(span.as_micros()).is_ok_and(|most_us| (0..most_us).contains(&wall_us));
        is_wall && self.steady.elapsed() < span
    }
}

impl Fence {
    /// For a unit that was taken; `said`: when its node began to say that it lives.
    pub fn new(unit: &str, node: &str, token: i64, said: Moment) -> Self {
        Self { unit: unit.to_owned(), node: node.to_owned(), token, lost: AtomicBool::new(false), seen: said.into() }
    }

    /// Whether another node has the unit by now, as far as is known here.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Another node has it.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Its node said at this moment that it lives.
    pub fn renew(&self, said: Moment) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    /// Whether nobody can have taken the unit by now, by the clocks of this machine alone.
    pub fn is_sure(&self) -> bool {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        !self.is_lost() && seen.is_within(SURE)
    }

    /// The transaction fails if another node has the unit; else nobody takes it before it ends.
    pub fn check(self: &Arc<Self>, tx: &mut Tx<'_>) -> Result<()> {
        let sql = "SELECT token FROM lease WHERE unit = ?1 AND holder = ?2 FOR SHARE";
        let fence = self.clone();
        tx.prove(sql, &[Param::Text(&self.unit), Param::Text(&self.node)], move |token| {
            if token == Some(fence.token) {
                return Ok(());
            }
            fence.lose();
            Err(StoreError::TakenOver(fence.unit.clone()))
        })
    }
}

/// Before something leaves the machine for a unit of work: fails if another node may be at it by now. A node that was
/// silent for too long asks the store first, and says that it lives.
pub fn stand(store: &Store) -> Result<()> {
    let Some(fence) = store.fence().filter(|fence| !fence.is_sure()) else { return Ok(()) };
    let said = Moment::now();
    let sql = format!("UPDATE node SET seen_us = {NOW}, ends_us = {NOW} + ?2 WHERE name = ?1");
    // Every write through this handle checks the fence first.
    let is_known = store.write(|tx| tx.execute(&sql, &[Param::Text(&fence.node), Param::Int(SPAN_US)]))? > 0;
    if !is_known {
        fence.lose();
        return Err(StoreError::TakenOver(fence.unit.clone()));
    }
    fence.renew(said);
    Ok(())
}
