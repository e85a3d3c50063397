//! What every stage needs: the store, the rules, the connections, the time.

mod handed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use huiliu_mappings::merge::Directions;
use huiliu_mappings::value::FieldName;
use huiliu_mappings::{automation, matching, merge};

use crate::clock::Clock;
use crate::connection::Connection;
use crate::link::Word;
use crate::store::db::{Result, StoreError, Tx};
use crate::store::leases::Fence;
use crate::store::{Store, proposals};
use handed::Handed;

/// The running pieces of core. Clones share it.
#[derive(Clone)]
pub struct Engine {
    /// The durable store; in the engine of a stage, as whoever holds that stage's work.
    pub store: Store,
    inner: Arc<Inner>,
}

/// See [`Engine`].
pub struct Inner {
    /// Who is who.
    pub matching: matching::Rules,
    /// What survives.
    pub survive: merge::Rules,
    /// What is to happen when golden records change.
    pub automation: automation::Rules,
    /// The connections by name.
    pub connections: BTreeMap<String, Connection>,
    /// The time.
    pub clock: Clock,
    /// Held by whoever computes meaning (process, plan, the end of a push, a steward's command): they read, think and
    /// write as one, while the inbox goes on taking arrivals.
    meaning: Mutex<()>,
    /// Whether the store is known to hold no rule: there are none here either.
    automates_nothing: AtomicBool,
    /// Whether findings about drift may be over: the mappings are read when the engine is made.
    mended: AtomicBool,
    /// Deliveries by connection whose answers could not be stored.
    unanswered: Mutex<BTreeMap<String, BTreeSet<i64>>>,
    /// The number of the files that it works by; 0: nobody noted it, as in a command that ends soon.
    files: AtomicI64,
    /// Connections for which something was queued since anybody asked.
    errands: Mutex<BTreeSet<(Errand, String)>>,
    /// Who sends, and what is claimed for whom.
    handed: Mutex<Handed>,
}

/// What a connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// Pull a stream that is due.
    Read,
    /// Fetch records, send deliveries.
    Tend,
    /// Take in what is in the inbox: no connection's own.
    Think,
}

impl std::ops::Deref for Engine {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Engine {
    /// Puts the pieces together.
    pub fn new(
        store: Store,
        matching: matching::Rules,
        survive: merge::Rules,
        connections: impl IntoIterator<Item = Connection>,
        clock: Clock,
    ) -> Self {
        let connections = connections.into_iter().map(|it| (it.name.as_str().to_owned(), it)).collect();
        let inner = Inner {
            matching,
            survive,
            automation: automation::Rules::default(),
            connections,
            clock,
            meaning: Mutex::new(()),
            unanswered: Mutex::default(),
            automates_nothing: false.into(),
            mended: true.into(),
            files: 0.into(),
            errands: Mutex::default(),
            handed: Mutex::default(),
        };
        Self { store, inner: Arc::new(inner) }
    }

    /// The same engine for the stages of a unit of work that this node holds: what they write they write under its fence.
    pub fn under(&self, fence: Arc<Fence>) -> Self {
        Self { store: self.store.fenced(fence), inner: self.inner.clone() }
    }

    /// The same with automation rules.
    pub fn automated(&self, rules: automation::Rules) -> Self {
        let connections = self.connections.clone();
        let inner = Inner {
            matching: self.matching.clone(),
            survive: self.survive.clone(),
            automation: rules,
            connections,
            clock: self.clock.clone(),
            meaning: Mutex::new(()),
            unanswered: Mutex::default(),
            automates_nothing: false.into(),
            mended: true.into(),
            files: self.files.load(Ordering::Relaxed).into(),
            errands: Mutex::default(),
            handed: Mutex::default(),
        };
        Self { store: self.store.clone(), inner: Arc::new(inner) }
    }

    /// The same rules and connections over another store, which automates nothing.
    pub fn over(&self, store: Store) -> Self {
        let connections = self.connections.values().cloned();
        Self::new(store, self.matching.clone(), self.survive.clone(), connections, self.clock.clone())
    }

    /// Which way the fields of a connection travel; one that is not configured any more is heard as ever.
    pub fn directions(&self, connection: &str) -> &Directions {
        self.connections.get(connection).map_or(Directions::none(), |it| &it.directions)
    }

    /// How far the word of a connection about each field of an entity counts.
    pub fn words_of<'a>(&'a self, connection: &str, entity: &'a str) -> impl Fn(&FieldName) -> Word + 'a {
        let directions = self.directions(connection);
        move |field| {
            if !directions.says(entity, field) {
                Word::Unheard
            } else if self.survive.unites(entity, field) && !directions.owns(entity, field) {
                Word::Items
            } else {
                Word::Whole
            }
        }
    }

    /// Notes deliveries that were sent, and whose answers the store did not take.
    pub(crate) fn note_unanswered(&self, connection: &str, numbers: impl IntoIterator<Item = i64>) {
        let mut all = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(connection.to_owned()).or_default().extend(numbers);
    }

    /// The noted deliveries of a connection.
    pub(crate) fn unanswered(&self, connection: &str) -> BTreeSet<i64> {
        let all = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(connection).cloned().unwrap_or_default()
    }

    /// Whether deliveries of a connection were sent whose answers the store did not take.
    pub fn owes_answers(&self, connection: &str) -> bool {
        let all = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(connection).is_some_and(|numbers| !numbers.is_empty())
    }

    /// Forgets noted deliveries: they wait again.
    pub(crate) fn forget_unanswered(&self, connection: &str) {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).remove(connection);
    }

    /// Notes what is in the store for connections to do.
    pub(crate) fn note_errands<'a>(&self, errand: Errand, connections: impl IntoIterator<Item = &'a str>) {
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        errands.extend(connections.into_iter().map(|connection| (errand, connection.to_owned())));
    }

    /// What connections have to do since this was asked last, so that nobody else need be woken. What other processes
    /// queued is not in it.
    pub fn take_errands(&self) -> BTreeSet<(Errand, String)> {
        std::mem::take(&mut *self.errands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that something waits to be taken in, or may go on.
    pub(crate) fn note_thinking(&self) {
        self.note_errands(Errand::Think, [""]);
    }

    /// Binds it to files that are in force, by their number: once others are, it computes nothing any more.
    pub fn work_by(&self, files: i64) {
        self.files.store(files, Ordering::Relaxed);
    }

    /// Whether other files than its own are in force by now.
    ///
    /// # Errors
    /// The store failed.
    pub fn is_superseded(&self) -> Result<bool> {
        match self.store.read(|tx| self.check_files(tx)) {
            Err(StoreError::Superseded) => Ok(true),
            other => other.map(|()| false),
        }
    }

    /// Refuses to compute by files that are not in force any more.
    pub(crate) fn check_files(&self, tx: &mut Tx<'_>) -> Result<()> {
        let mine = self.files.load(Ordering::Relaxed);
        let is_current = mine == 0 || proposals::in_force(tx)?.is_none_or(|it| it.number <= mine);
        if is_current { Ok(()) } else { Err(StoreError::Superseded) }
    }

    /// Whether there are no rules, and the store knows that, too.
    pub(crate) fn automates_nothing(&self) -> bool {
        self.automates_nothing.load(Ordering::Relaxed)
    }

    /// Notes that no rule is in the store any more, where there are none here.
    pub(crate) fn note_no_rules(&self) {
        self.automates_nothing.store(true, Ordering::Relaxed);
    }

    /// Has the next batch look for findings about drift that are over.
    pub fn look_for_mended(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    /// Whether that is due; asked once, it is done.
    pub(crate) fn is_to_look_for_mended(&self) -> bool {
        self.mended.swap(false, Ordering::Relaxed)
    }

    /// Takes the turn to compute meaning, in this process. Other processes are kept away by [`Store::alone`], or by the lock
    /// with which a transaction begins that reads all it needs itself.
    pub fn meaning(&self) -> MutexGuard<'_, ()> {
        // The mutex guards no data: after a panic the next holder reads everything anew from the store.
        self.meaning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
