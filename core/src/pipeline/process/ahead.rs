//! While a batch is matched and written, the next one is read and mapped: that depends on nothing but the inbox.
//!
//! It is done by a thread that lives as long as there are batches. One that came and went with each of them would leave
//! its memory behind, some megabytes each time, until somebody happens to need just that.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::{Ahead, BATCH_ITEMS, Leftovers, MEANING_LOCK, PIECE_ITEMS, Processed, basis, mended, tidy};
use crate::engine::Engine;
use crate::store::db::Result;

/// What follows a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing that is known of.
    Nothing,
    /// Another turn, if something waits.
    Turns,
}

/// Processes batch after batch, each read and mapped while the one before it was matched and written.
#[derive(Default)]
pub struct ReadAhead {
    next: Option<Ahead>,
    leftovers: Option<Leftovers>,
    reader: Option<Reader>,
}

impl ReadAhead {
    /// As [`super::batch`]; what was read ahead waits for the next call.
    ///
    /// # Errors
    /// The store failed.
    pub fn batch(&mut self, engine: &Engine) -> Result<Processed> {
        self.turn(engine, After::Turns)
    }

    pub(super) fn turn(&mut self, engine: &Engine, after: After) -> Result<Processed> {
        mended(engine)?;
        let _turn = engine.meaning();
        let mut total = Processed::default();
        loop {
            let basis = engine.store.read(basis)?;
            let count = if engine.store.is_pressed() { PIECE_ITEMS } else { BATCH_ITEMS };
            let Some(current) = self.take(engine, basis.0, count)? else {
                tidy(engine)?;
                return Ok(total);
            };
            let is_all = |items: usize| i64::try_from(items).is_ok_and(|items| items >= BATCH_ITEMS);
            // What follows a cut belongs to the same turn, as far as turns go.
            let goes_on = current.is_cut && !is_all(total.items + current.count);
            let is_followed = current.is_cut || is_all(current.count);
            let done = if goes_on || (is_followed && after == After::Turns) {
                self.settle_beside(current, engine, basis, count)?
            } else {
                let settled = engine.store.alone(MEANING_LOCK, |alone| current.settle(engine, basis, alone))?;
                settled.map(|(done, _)| done)
            };
            let Some(done) = done else { continue };
            total.add(&done);
            if !goes_on {
                return Ok(total);
            }
        }
    }

    /// The batch after a position: the one that was read ahead, if it is that and no larger than is wanted by now.
    pub(super) fn take(&mut self, engine: &Engine, after: i64, count: i64) -> Result<Option<Ahead>> {
        let fits = |ahead: &Ahead| ahead.after == after && i64::try_from(ahead.count).is_ok_and(|it| it <= count);
        match self.next.take().filter(fits) {
            Some(ahead) => Ok(Some(ahead)),
            None => Ahead::look(engine, after, count),
        }
    }

    /// Settles a batch, while what follows it is read and mapped.
    pub(super) fn settle_beside(
        &mut self,
        current: Ahead,
        engine: &Engine,
        basis: (i64, i64),
        count: i64,
    ) -> Result<Option<Processed>> {
        if self.reader.is_none() {
            self.reader =
                Reader::start().inspect_err(|error| tracing::warn!("batches are read one by one: {error}")).ok();
        }
        let job = Job { engine: engine.clone(), after: current.last, count, leftovers: self.leftovers.take() };
        let is_asked = self.reader.as_ref().is_some_and(|reader| reader.ask(job));
        let settled = engine.store.alone(MEANING_LOCK, |alone| current.settle(engine, basis, alone));
        let found = if is_asked { self.found() } else { Ok(None) };
        let settled = settled?;
        self.next = found?;
        Ok(settled.map(|(done, leftovers)| {
            self.leftovers = Some(leftovers);
            done
        }))
    }

    /// What the reader found; it panics as the reader did.
    fn found(&mut self) -> Result<Option<Ahead>> {
        match self.reader.as_ref().map(|reader| reader.found.recv()) {
            Some(Ok(found)) => found,
            None => Ok(None),
            Some(Err(_)) => match self.reader.take().and_then(Reader::end) {
                Some(panic) => std::panic::resume_unwind(panic),
                None => Ok(None),
            },
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // Nobody reads in a store that its owner takes for closed.
        let _ = self.reader.take().and_then(Reader::end);
    }
}

/// What is to be read, and what is to be taken apart after that: thousands of small texts, for which nobody need wait.
struct Job {
    engine: Engine,
    after: i64,
    count: i64,
    leftovers: Option<Leftovers>,
}

/// The thread that reads.
struct Reader {
    jobs: Sender<Job>,
    found: Receiver<Result<Option<Ahead>>>,
    thread: JoinHandle<()>,
}

impl Reader {
    fn start() -> std::io::Result<Self> {
        let (jobs, asked) = channel::<Job>();
        let (answers, found) = channel();
        let thread = std::thread::Builder::new().name("read-ahead".to_owned()).spawn(move || {
            while let Ok(Job { engine, after, count, leftovers }) = asked.recv() {
                if answers.send(Ahead::look(&engine, after, count)).is_err() {
                    return;
                }
                drop(leftovers);
            }
        })?;
        Ok(Self { jobs, found, thread })
    }

    fn ask(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// Waits for its end; what it panicked with, if it did.
    fn end(self) -> Option<Box<dyn std::any::Any + Send>> {
        let Self { jobs, thread, .. } = self;
        drop(jobs);
        thread.join().err()
    }
}
