//! One way to speak to both databases.
//!
//! Statements are written once, with `?1` for parameters. `{keys:ti}` stands for a table of keys `k0` (text), `k1`
//! (integer), … that travels as one JSON parameter, always `?1`, so that every lookup is one query for a whole batch. No
//! statement names `?1` itself.

mod alone;
mod bells;
mod cells;
mod checkpoints;
mod gate;
mod insert;
mod migrations;
pub mod partitions;
mod pool;
mod postgres_tls;
mod session;
mod syncs;
mod tx;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::blocks::Tail;
use super::leases::Fence;
pub use alone::Alone;
pub use bells::Bell;
pub use cells::{Keys, Param, Row};
use checkpoints::Checkpoints;
use gate::{Gate, Turn};
pub use insert::{Col, Insert};
use pool::Pool;
pub use pool::server_name;
use session::{Session, Transaction};
use syncs::Syncs;
pub use tx::Tx;

/// The store failed. The text says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `SQLite` said no.
    #[error("the SQLite store failed: {}", sqlite_text(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// Postgres said no.
    #[error("the Postgres store failed: {}", postgres_text(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// A stored value is not what this version writes.
    #[error("the store holds something this version cannot read: {0}")]
    Corrupt(String),
    /// The work was refused by who asked for it; nothing was written.
    #[error("nothing was written")]
    Refused,
    /// A plan was applied or taken back; nothing was written.
    #[error("other files are in force by now: start this process again, by them")]
    Superseded,
    /// Another node has taken the work over; nothing was written.
    #[error("another node has taken {0} over: nothing of it is written here any more")]
    TakenOver(String),
    /// The store cannot be opened.
    #[error("{0}")]
    Open(String),
}

fn postgres_text(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |db| format!("{} ({})", db.message(), db.code().code()))
}

fn sqlite_text(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::SystemIoFailure) => {
            format!("{error}: the disk does not take or give what is asked of it; mend it, then try again")
        }
        Some(rusqlite::ErrorCode::DiskFull) => format!("{error}: make room on the disk, then try again"),
        _ => error.to_string(),
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// What the store's functions return.
pub type Result<T> = std::result::Result<T, StoreError>;

enum Backend {
    Sqlite(Sqlite),
    Postgres(Pool),
}

struct Sqlite {
    path: PathBuf,
    writer: Gate<rusqlite::Connection>,
    readers: Mutex<Vec<rusqlite::Connection>>,
    syncs: Arc<Syncs>,
}

impl Sqlite {
    /// Its log is moved when it has so many pages.
    fn open(path: PathBuf, log_pages: i64) -> Result<(Self, Arc<Checkpoints>)> {
        let mut writer = open_sqlite(&path, false)?;
        let (syncs, checkpoints) = (Arc::new(Syncs::of(&writer)?), Arc::new(Checkpoints::new(log_pages)));
        let (noted, heard) = (syncs.clone(), checkpoints.clone());
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            noted.note();
            heard.hear(i64::from(pages));
            Ok(())
        }))?;
        Ok((Self { path, writer: Gate::new(writer), readers: Mutex::default(), syncs }, checkpoints))
    }

    /// Runs one writing transaction in a turn; says how many commits are to be on the disk for it to be there.
    fn commit<T>(
        &self,
        mut turn: Turn<'_, rusqlite::Connection>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T>,
    ) -> Result<(T, u64)> {
        let tx = turn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let result = finish(Tx::Sqlite(tx), work)?;
        Ok((result, self.syncs.committed()))
    }

    /// As [`Sqlite::commit`], and waits until it is on the disk; `committed` is called before that.
    fn write<T>(
        &self,
        turn: Turn<'_, rusqlite::Connection>,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T>,
        committed: impl FnOnce(),
    ) -> Result<T> {
        let (result, commits) = self.commit(turn, work)?;
        committed();
        self.syncs.wait(commits);
        Ok(result)
    }
}

/// What all clones of a store share.
struct Shared {
    backend: Backend,
    /// See [`Store::node`].
    node: String,
    /// Whether somebody may listen to what is rung here.
    is_heard: AtomicBool,
}

/// The durable store. Clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    tail: Arc<Tail>,
    /// What is written through this handle is written by whoever holds this.
    fence: Option<Arc<Fence>>,
}

/// Pages of the writer of a hub that serves, in MiB, where nobody says otherwise: all else that it has takes some 50 MiB
/// while it is busy. The system's own cache of the file stands behind it.
pub const SERVING_CACHE_MIB: u32 = 16;

/// Readers of `SQLite` kept for reuse.
const IDLE_MAX: usize = 6;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while a connection was held rolled its transaction back; the connection itself stays good.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens `sqlite:PATH` or `postgres://…`, and brings the schema up to date. `?connections=N` at the end of a Postgres URL
    /// bounds the connections that are open at once.
    pub fn open(url: &str) -> Result<Self> {
        let node = new_name()?;
        let mut checkpoints = None;
        let backend = if let Some(path) = url.strip_prefix("sqlite:") {
            let (sqlite, heard) = Sqlite::open(PathBuf::from(path), checkpoints::LOG_PAGES)?;
            checkpoints = Some(heard);
            Backend::Sqlite(sqlite)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Backend::Postgres(Pool::new(url, &node)?)
        } else {
            return Err(StoreError::Open(
                "store: write sqlite:PATH for a file, or postgres://user:password@host:5432/database".to_owned(),
            ));
        };
        let store = Self {
            shared: Arc::new(Shared { backend, node, is_heard: true.into() }),
            tail: Arc::default(),
            fence: None,
        };
        if let Some(checkpoints) = checkpoints {
            checkpoints.are_of(&store.shared);
        }
        store.migrate()?;
        Ok(store)
    }

    /// The name of this process among those that share the store: made by chance, another one at each start.
    pub fn node(&self) -> &str {
        &self.shared.node
    }

    /// The same store for whoever holds a unit of work: nothing is written through it any more once another node has
    /// taken the work over ([`StoreError::TakenOver`]). For Postgres.
    pub fn fenced(&self, fence: Arc<Fence>) -> Self {
        Self { fence: Some(fence), ..self.clone() }
    }

    /// Whether other processes may listen: where there are none, nothing is rung.
    pub fn set_heard(&self, is_heard: bool) {
        self.shared.is_heard.store(is_heard, Ordering::Relaxed);
    }

    /// Keeps other processes from serving the same file, as long as the answer is kept; the system forgets it with the process.
    /// On Postgres several share the work.
    ///
    /// # Errors
    /// Another process serves it.
    pub fn serve_alone(&self) -> Result<Option<std::fs::File>> {
        let Backend::Sqlite(Sqlite { path, .. }) = &self.shared.backend else { return Ok(None) };
        let mut lock = path.clone().into_os_string();
        lock.push("-serving");
        let told = |error: &dyn std::fmt::Display| StoreError::Open(format!("{}: {error}", lock.display()));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&lock).map_err(|error| told(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::Open(format!(
                "another process serves {} already: stop it first; several share the work on Postgres (hub.store)",
                path.display()
            ))),
            Err(std::fs::TryLockError::Error(error)) => Err(told(&error)),
        }
    }

    /// What is held by whoever writes through this handle.
    pub fn fence(&self) -> Option<&Arc<Fence>> {
        self.fence.as_ref()
    }

    /// Bounds the pages that the writer on `SQLite` keeps in memory to what a program that runs for long, beside others, may
    /// take; an import, which ends, is faster with more.
    pub fn keep_small(&self) -> Result<()> {
        self.keep_within(SERVING_CACHE_MIB)
    }

    /// As [`Store::keep_small`], with so many MiB.
    pub fn keep_within(&self, mib: u32) -> Result<()> {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => {
                let kib = u64::from(mib) << 10;
                Ok(sqlite.writer.pass().execute_batch(&format!("PRAGMA cache_size = -{kib}"))?)
            }
            Backend::Postgres(_) => Ok(()),
        }
    }

    /// Gives back the pages that are kept in memory, for a program that has nothing to do for a while: the system's own cache
    /// of the file stands behind them.
    pub fn give_pages_back(&self) -> Result<()> {
        if let Backend::Sqlite(sqlite) = &self.shared.backend {
            const GIVE_BACK: &str = "PRAGMA shrink_memory";
            sqlite.writer.pass().execute_batch(GIVE_BACK)?;
            lock(&sqlite.readers).iter().try_for_each(|reader| reader.execute_batch(GIVE_BACK))?;
        }
        Ok(())
    }

    /// The same store as a program that starts anew finds it: whatever was in memory only is gone. For a simulated crash.
    pub fn afresh(&self) -> Self {
        Self { tail: Arc::default(), ..self.clone() }
    }

    /// `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self.shared.backend {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgres",
        }
    }

    /// The blocks that are not in their tree yet.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Runs one writing transaction: commits if `work` returns Ok, else nothing happened. It is durable when this returns.
    pub fn write<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        self.write_then(work, || ())
    }

    /// As [`Store::write`]. `committed` is called as soon as others can read what was written: what they write about it is
    /// durable only together with it.
    pub fn write_then<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>, committed: impl FnOnce()) -> Result<T> {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => sqlite.write(sqlite.writer.pass(), work, committed),
            Backend::Postgres(pool) => self.write_on(pool, work, committed),
        }
    }

    /// As [`Store::write`], but returns when others can read it, on `SQLite` before it is on the disk: for what is done again
    /// with the same result if it is lost, and whose own effects are written later.
    pub fn write_behind<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => Ok(sqlite.commit(sqlite.writer.pass(), work)?.0),
            Backend::Postgres(pool) => pool.with(|session| self.written(session, work)),
        }
    }

    /// Returns once all that was written is on the disk.
    pub fn settle(&self) {
        if let Backend::Sqlite(sqlite) = &self.shared.backend {
            sqlite.syncs.wait(sqlite.syncs.committed());
        }
    }

    /// As [`Store::write_then`], before all who wait for that: somebody waits for the answer.
    pub fn write_first<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>, committed: impl FnOnce()) -> Result<T> {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => sqlite.write(sqlite.writer.pass_first(), work, committed),
            Backend::Postgres(pool) => self.write_on(pool, work, committed),
        }
    }

    /// Whether somebody who answers callers is likely to want to write soon, and would wait for a long transaction.
    pub fn is_pressed(&self) -> bool {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => sqlite.writer.is_pressed(),
            Backend::Postgres(_) => false,
        }
    }

    /// Runs reads on one snapshot, beside the writer.
    pub fn read<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.shared.backend {
            Backend::Sqlite(Sqlite { path, readers, .. }) => {
                let known = lock(readers).pop();
                let mut connection = match known {
                    Some(connection) => connection,
                    None => open_sqlite(path, true)?,
                };
                let result = finish(Tx::Sqlite(connection.transaction()?), work);
                let mut readers = lock(readers);
                if readers.len() < IDLE_MAX {
                    readers.push(connection);
                }
                result
            }
            Backend::Postgres(pool) => pool.with(|session| snapshot(session, work)),
        }
    }

    /// As [`Store::read`], for many keys all over large tables: on `SQLite` through the writer's connection, whose cache
    /// survives commits, where a reader's starts empty after each. Writers wait meanwhile.
    pub fn read_warm<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match &self.shared.backend {
            Backend::Sqlite(sqlite) => finish(Tx::Sqlite(sqlite.writer.pass().transaction()?), work),
            Backend::Postgres(pool) => pool.with(|session| snapshot(session, work)),
        }
    }

    fn write_on<T>(
        &self,
        pool: &Pool,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T>,
        committed: impl FnOnce(),
    ) -> Result<T> {
        let result = pool.with(|session| self.written(session, work))?;
        committed();
        Ok(result)
    }

    /// One writing transaction on Postgres: as whoever holds what this handle is for, if it is for something.
    fn written<T>(&self, session: &mut Session, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        Alone::Begun(self, self.begun(session)?).commit(work)
    }

    fn begun<'s>(&self, session: &'s mut Session) -> Result<Tx<'s>> {
        let mut tx = Tx::Postgres(Transaction::begin(session, "BEGIN"));
        if let Some(fence) = &self.fence {
            fence.check(&mut tx)?;
        }
        Ok(tx)
    }
}

/// Reads on one snapshot of Postgres.
fn snapshot<T>(session: &mut Session, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
    let mut tx = Tx::Postgres(Transaction::begin(session, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"));
    let result = work(&mut tx)?;
    if let Tx::Postgres(tx) = tx {
        tx.end();
    }
    Ok(result)
}

/// Eight letters that no other process has.
fn new_name() -> Result<String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Open(format!("no randomness for a name: {error}")))?;
    Ok(hex::encode(bytes))
}

fn finish<T>(mut tx: Tx<'_>, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
    let result = work(&mut tx)?;
    match tx {
        Tx::Sqlite(tx) => tx.commit()?,
        Tx::Postgres(tx) => tx.commit()?,
    }
    Ok(result)
}

fn open_sqlite(path: &Path, reader: bool) -> Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path).map_err(|error| {
        StoreError::Open(format!(
            "cannot open the store {}: {error}; does its folder exist and may this user write there?",
            path.display()
        ))
    })?;
    // WAL with FULL: a commit is on disk before it returns, or `syncs` sees to that. The caches are bounded: 64 MiB for the writer, 1 for a
    // reader, of which there are several, and whose pages are stale after each commit. The log is moved by `checkpoints`.
    let cache_kib = if reader { 1 << 10 } else { 64 << 10 };
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000; PRAGMA cache_size = -{cache_kib};
         PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864; PRAGMA wal_autocheckpoint = 0;"
    ))?;
    // Plans do not depend on bound values. Otherwise a statement with `LIMIT ?1` is prepared anew whenever it is run: that
    // was a fifth of all processor time.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(384);
    Ok(connection)
}
