//! To read, think and write as one, while others on other nodes wait.

use super::{Backend, Result, Store, Tx, finish};

/// The right to write what was thought: once, in the transaction that has held the lock since before anything was read.
pub enum Alone<'s> {
    /// `SQLite` has one process that thinks, and it takes turns by itself.
    Anytime(&'s Store),
    /// A transaction on Postgres that holds the lock.
    Begun(&'s Store, Tx<'s>),
}

impl Store {
    /// Runs `think` while this process alone holds a lock of that number on Postgres; see [`Tx::lock`]. What it reads it reads
    /// in transactions of its own, and what it writes it writes through [`Alone::commit`]. So nobody who takes the same lock changes
    /// between its look and its write what it stands on. If the server ends the session, because the process stood
    /// still, the lock goes and the write fails with it.
    pub fn alone<T>(&self, number: i64, think: impl FnOnce(Alone<'_>) -> Result<T>) -> Result<T> {
        match &self.shared.backend {
            Backend::Sqlite(_) => think(Alone::Anytime(self)),
            Backend::Postgres(pool) => pool.with(|session| {
                let mut tx = self.begun(session)?;
                tx.lock(number)?;
                // What is read meanwhile is read elsewhere: the lock must be held by then.
                tx.settle()?;
                think(Alone::Begun(self, tx))
            }),
        }
    }
}

impl Alone<'_> {
    /// Writes and commits, if `work` returns Ok; the lock is free then. On `SQLite` it is [`Store::write_behind`], on
    /// Postgres it is durable when this returns.
    pub fn commit<T>(self, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        match self {
            Self::Anytime(store) => store.write_behind(work),
            Self::Begun(store, mut tx) => {
                let result = work(&mut tx)?;
                tx.send_bells(store)?;
                finish(tx, |_| Ok(result))
            }
        }
    }
}
