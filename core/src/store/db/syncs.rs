//! What was committed to `SQLite` is on the disk before whoever committed it goes on, and nobody else waits for that.
//!
//! Left to itself `SQLite` syncs its log within a commit, and everybody who wants to write waits for the disk. Here a commit
//! appends to the log and lets the next one write; then whoever committed has the log synced, once for all who wait by
//! then. What is on the disk is always a beginning of what was committed, in its order: who builds on a commit that is not
//! synced yet becomes durable together with it, never before.
//!
//! A sync that fails ends the process, as it does in Postgres: the system may forget what it could not write, and a second
//! sync that succeeds would prove nothing. Started again, the store is read from what the disk has.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// What the process ends with when the disk fails: `EX_IOERR` of `sysexits.h`.
const DISK_FAILED: i32 = 74;

/// The syncs of a log.
pub struct Syncs {
    /// None: there is no log of its own, and `SQLite` syncs by itself.
    log: Option<PathBuf>,
    file: OnceLock<File>,
    /// Commits so far that wrote something.
    committed: AtomicU64,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// So many commits are on the disk.
    synced: u64,
    is_under_way: bool,
    /// One failed: no other is begun, for it might succeed and prove nothing.
    has_failed: bool,
}

impl Syncs {
    /// For this writer, which leaves syncing to us from now on if it has a log.
    pub fn of(writer: &rusqlite::Connection) -> rusqlite::Result<Self> {
        let mode: String = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let log = writer
            .path()
            .filter(|path| mode == "wal" && !path.is_empty())
            .map(|path| PathBuf::from(format!("{path}-wal")));
        if log.is_some() {
            // Still syncs the log before it is moved into the file, and a log that begins anew.
            writer.execute_batch("PRAGMA synchronous = NORMAL")?;
        }
        Ok(Self {
            log,
            file: OnceLock::new(),
            committed: AtomicU64::new(0),
            state: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    /// A commit is in the log.
    pub fn note(&self) {
        self.committed.fetch_add(1, Ordering::AcqRel);
    }

    /// How many commits there were: what was read until now is in these.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Returns once so many commits are on the disk.
    pub fn wait(&self, commits: u64) {
        let Some(log) = &self.log else { return };
        if let Err(error) = self.wait_for(commits, || self.sync(log)) {
            let place = log.display();
            tracing::error!(
                "the disk did not take what was written to {place}: {error}; this process ends, for nobody knows what is \
                 there: mend the disk, then start it again"
            );
            std::process::exit(DISK_FAILED);
        }
    }

    fn wait_for(&self, commits: u64, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let lock = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = lock();
        while state.synced < commits {
            if state.has_failed {
                return Err(io::Error::other("a sync before failed"));
            }
            if state.is_under_way {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_under_way = true;
            drop(state);
            let until = self.committed();
            let result = sync();
            state = lock();
            state.is_under_way = false;
            match &result {
                Ok(()) => state.synced = until,
                Err(_) => state.has_failed = true,
            }
            self.ended.notify_all();
            result?;
        }
        Ok(())
    }

    fn sync(&self, log: &Path) -> io::Result<()> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = File::options().read(true).write(true).open(log)?;
                self.file.get_or_init(|| file)
            }
        };
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn without_disk() -> Arc<Syncs> {
        let writer = rusqlite::Connection::open_in_memory().expect("SQLite opens");
        let syncs = Syncs::of(&writer).expect("asked");
        assert!(syncs.log.is_none(), "what is in memory has no log");
        Arc::new(syncs)
    }

    #[test]
    fn a_sync_counts_for_whoever_committed_before_it_began() {
        const COMMITS: u64 = 400;
        let syncs = without_disk();
        let (begun, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (syncs, begun, ended) = (syncs.clone(), begun.clone(), ended.clone());
                std::thread::spawn(move || {
                    for _ in 0..COMMITS / 8 {
                        syncs.note();
                        let (mine, before) = (syncs.committed(), begun.load(Ordering::SeqCst));
                        let sync = || {
                            begun.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_micros(200));
                            ended.fetch_add(1, Ordering::SeqCst);
                            Ok(())
                        };
                        syncs.wait_for(mine, sync).expect("synced");
                        // One that was under way when it was committed proves nothing.
                        assert!(ended.load(Ordering::SeqCst) > before, "a sync began after the commit and ended");
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("it ended");
        }
        assert!(ended.load(Ordering::SeqCst) <= COMMITS);
    }

    #[test]
    fn one_sync_is_for_all_who_wait() {
        const OTHERS: u64 = 7;
        let (syncs, count) = (without_disk(), Arc::new(AtomicU64::new(0)));
        let (let_go, hold) = std::sync::mpsc::channel::<()>();
        syncs.note();
        let (here, counted) = (syncs.clone(), count.clone());
        let first = std::thread::spawn(move || {
            here.wait_for(1, || {
                counted.fetch_add(1, Ordering::SeqCst);
                hold.recv().map_err(io::Error::other)
            })
        });
        while count.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let others: Vec<_> = (0..OTHERS)
            .map(|_| {
                syncs.note();
                let (syncs, count, mine) = (syncs.clone(), count.clone(), syncs.committed());
                std::thread::spawn(move || {
                    syncs.wait_for(mine, || {
                        count.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    })
                })
            })
            .collect();
        let_go.send(()).expect("the first one waits");
        first.join().expect("it ended").expect("synced");
        for other in others {
            other.join().expect("it ended").expect("synced");
        }
        assert_eq!(count.load(Ordering::SeqCst), 2, "one that was under way, and one for all who came meanwhile");
    }

    #[test]
    fn what_is_synced_is_not_synced_again_and_a_failure_is_told() {
        let syncs = without_disk();
        let never = || -> io::Result<()> { panic!("there is nothing to sync") };
        syncs.wait_for(0, never).expect("nothing was committed");
        syncs.note();
        syncs.wait_for(1, || Ok(())).expect("synced");
        syncs.wait_for(1, never).expect("it was synced");
        syncs.note();
        let told = syncs.wait_for(2, || Err(io::Error::other("the disk is broken"))).expect_err("it failed");
        assert_eq!(told.to_string(), "the disk is broken");
        syncs.wait_for(2, never).expect_err("what another sync says proves nothing");
        syncs.wait_for(1, never).expect("what was synced before stays so");
    }
}
