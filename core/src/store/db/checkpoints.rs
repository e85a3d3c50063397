//! Moves what was committed from the write-ahead log of `SQLite` into its file, beside whoever writes.
//!
//! Left to itself `SQLite` does that on the thread whose commit made the log too long, and everybody who wants to write
//! waits a tenth of a second for it. Here a thread of its own moves what there is while others go on writing, which has a
//! processor when they leave one, and another keeps them waiting for the little that came meanwhile only: after that the log
//! begins anew.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::gate::Gate;
use super::{Backend, Result, Shared, Sqlite, StoreError, open_sqlite};

/// Pages of 4 KiB in the log from which on it is moved: what is written often is moved once.
pub const LOG_PAGES: i64 = 16_000;

/// So many pages are moved while others wait; of more, most are moved before that.
const REST_PAGES: i64 = 500;

/// After so many rounds beside the writers they wait for the rest, however much it is.
const ROUNDS: usize = 4;

/// Knows how long the log is, and who is at it.
pub struct Checkpoints {
    shared: OnceLock<Weak<Shared>>,
    most: i64,
    /// Pages in the log from which on it is moved next.
    from: AtomicI64,
    is_under_way: AtomicBool,
}

/// How many pages the log has, and how many of them are in the file.
struct Log {
    pages: i64,
    moved: i64,
}

impl Checkpoints {
    /// A log is moved when it has so many pages.
    pub fn new(most: i64) -> Self {
        Self { shared: OnceLock::new(), most, from: AtomicI64::new(most), is_under_way: AtomicBool::new(false) }
    }

    /// Whose log it is.
    pub fn are_of(&self, shared: &Arc<Shared>) {
        let _ = self.shared.set(Arc::downgrade(shared));
    }

    /// The log has so many pages.
    pub fn hear(self: &Arc<Self>, pages: i64) {
        if pages < self.from.load(Ordering::Relaxed) || self.is_under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        let here = self.clone();
        let begun = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || here.run(pages));
        if let Err(error) = begun {
            tracing::warn!("the log of the store grows until a thread can move it: {error}");
            self.is_under_way.store(false, Ordering::Release);
        }
    }

    fn run(&self, pages: i64) {
        if let Some(shared) = self.shared.get().and_then(Weak::upgrade)
            && let Backend::Sqlite(Sqlite { path, writer, .. }) = &shared.backend
        {
            let left = move_log(path, writer).unwrap_or_else(|error| {
                tracing::warn!(
                    "the log of the store could not be moved into {}, trying later: {error}",
                    path.display()
                );
                pages
            });
            self.from.store(left + self.most, Ordering::Relaxed);
        }
        self.is_under_way.store(false, Ordering::Release);
    }
}

/// Moves all that it can, and says how many pages of the log are left: none, unless somebody reads what was before.
fn move_log(path: &Path, writer: &Gate<rusqlite::Connection>) -> Result<i64> {
    let beside = open_sqlite(path, true)?;
    // Priority is given away for good. For the rest, while others wait, it is not given away.
    let rounds = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
        step_back();
        move_most(&beside).map(|()| beside)
    });
    let rounds = rounds.map_err(|error| StoreError::Open(format!("no thread can begin: {error}")))?;
    let beside = rounds.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let _nobody_writes = writer.pass_soon();
    let log = checkpoint(&beside)?;
    Ok(log.pages - log.moved)
}

/// Lets every other thread go first. While both cores were busy, a move beside calls took their time: the slowest of a hundred
/// waited three times as long. Elsewhere than on Linux a priority is the whole process's, and stays.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(STEPS_BACK) {
        tracing::debug!("the log is moved at full priority: {error}");
    }
}

/// A tenth of the processor time of a thread that is no less busy.
#[cfg(target_os = "linux")]
const STEPS_BACK: i32 = 10;

/// Moves what there is beside whoever writes.
fn move_most(beside: &rusqlite::Connection) -> Result<()> {
    let mut moved = 0;
    for _ in 0..ROUNDS {
        let log = checkpoint(beside)?;
        let is_little = log.pages - log.moved <= REST_PAGES && log.moved - moved <= REST_PAGES;
        moved = log.moved;
        if is_little {
            break;
        }
    }
    Ok(())
}

fn checkpoint(connection: &rusqlite::Connection) -> Result<Log> {
    let read = |row: &rusqlite::Row<'_>| Ok(Log { pages: row.get(1)?, moved: row.get(2)? });
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read)?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const MOST: i64 = 100;

    fn store(path: &Path) -> (Arc<Shared>, Arc<Checkpoints>) {
        let (sqlite, checkpoints) = Sqlite::open(path.to_owned(), MOST).expect("SQLite opens");
        sqlite.writer.pass().execute_batch("CREATE TABLE t (x BLOB)").expect("a table");
        let shared = Arc::new(Shared { backend: Backend::Sqlite(sqlite), node: String::new(), is_heard: false.into() });
        checkpoints.are_of(&shared);
        (shared, checkpoints)
    }

    /// Ten pages, and more; then whoever moves the log is done.
    fn put(shared: &Shared, checkpoints: &Checkpoints) {
        let Backend::Sqlite(sqlite) = &shared.backend else { panic!("it is SQLite") };
        sqlite.writer.pass().execute("INSERT INTO t VALUES (zeroblob(40960))", []).expect("written");
        let begun = Instant::now();
        while checkpoints.is_under_way.load(Ordering::Acquire) {
            assert!(begun.elapsed() < Duration::from_secs(60), "it ends");
            std::thread::yield_now();
        }
    }

    fn log_pages(path: &Path) -> u64 {
        let log = path.with_extension("db-wal");
        std::fs::metadata(log).expect("the log").len() / 4096
    }

    #[test]
    fn the_log_begins_anew_once_nobody_reads_what_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.db");
        let (shared, checkpoints) = store(&path);
        for _ in 0..100 {
            put(&shared, &checkpoints);
        }
        assert!((100..200).contains(&log_pages(&path)), "{}", log_pages(&path));

        // Whoever reads what was keeps the log from ending, and after that it does.
        let reader = open_sqlite(&path, true).expect("SQLite opens");
        let count = || reader.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0)).expect("read");
        reader.execute_batch("BEGIN").expect("begun");
        assert_eq!(count(), 100);
        for _ in 0..50 {
            put(&shared, &checkpoints);
        }
        let longest = log_pages(&path);
        assert!(longest > 500, "{longest}");
        assert_eq!(count(), 100, "it reads what was");
        reader.execute_batch("COMMIT").expect("ended");
        for _ in 0..100 {
            put(&shared, &checkpoints);
        }
        let pages = log_pages(&path);
        assert!(pages < longest + 150, "{longest} and {pages}: the former place is written over");
        assert_eq!(count(), 250);
    }
}
