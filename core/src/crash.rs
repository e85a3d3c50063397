//! Where a test ends the process as a power cut would: before and after every step that keeps something.
//!
//! In a build with debug assertions, `HUILIU_CRASH_AT=NAME:COUNT` kills the process with a signal that it cannot catch,
//! the COUNTth time it passes the point NAME: no destructor runs, nothing is flushed, nobody is answered. The crash suite
//! (`hub/tests/crash`) does it at each of [`Point::ALL`], on both stores, and fails for a point that is never passed. A
//! release build holds none of it.

macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place in the code at which the process may be ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// Every point there is.
            pub const ALL: &[Self] = &[$(Self::$point),*];

            /// The name that `HUILIU_CRASH_AT` takes.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// Webhook calls are written, and their group commit has not begun.
    IntakeWritten = "intake_written",
    /// The group is durable, and no caller was answered.
    IntakeCommitted = "intake_committed",
    /// All callers of the group were answered.
    IntakeAnswered = "intake_answered",
    /// A group of calls is on its way to the log, and not acknowledged.
    LogSent = "log_sent",
    /// The log has acknowledged a group, and no caller was answered.
    LogKept = "log_kept",
    /// Messages of the log were read, and nothing of them is written.
    LogRead = "log_read",
    /// Calls from the log are in the inbox with the position that they reach, not committed.
    LogWritten = "log_written",
    /// They are durable, and the log still has them.
    LogCommitted = "log_committed",
    /// What was taken in is gone from the log.
    LogPurged = "log_purged",
    /// A page and its cursor are written, not committed.
    PageWritten = "page_written",
    /// A page and its cursor are durable.
    PageCommitted = "page_committed",
    /// A page of a backfill and its cursor are written, not committed.
    BackfillWritten = "backfill_written",
    /// A page of a backfill and its cursor are durable.
    BackfillCommitted = "backfill_committed",
    /// A fetched record is written and its hint closed, not committed.
    FetchWritten = "fetch_written",
    /// A fetched record is durable and its hint closed.
    FetchCommitted = "fetch_committed",
    /// Links, golden records and changes of a batch are written, its position is not.
    ProcessHalfWritten = "process_half_written",
    /// A batch and the stage's position are written, not committed.
    ProcessWritten = "process_written",
    /// A batch and the stage's position are committed, and nobody was woken.
    ProcessCommitted = "process_committed",
    /// Blocks are written into their tree, not committed.
    TidyWritten = "tidy_written",
    /// Blocks are in their tree, and the memory does not know it.
    TidyCommitted = "tidy_committed",
    /// Deliveries and the plan's position are written, not committed.
    PlanWritten = "plan_written",
    /// Deliveries and the plan's position are durable.
    PlanCommitted = "plan_committed",
    /// Creates that waited for a first complete read are written, not committed.
    CatchUpWritten = "catch_up_written",
    /// Creates that waited for a first complete read are durable.
    CatchUpCommitted = "catch_up_committed",
    /// Attempts are written, not committed.
    AttemptWritten = "attempt_written",
    /// Attempts are on record, and nothing has left the machine.
    AttemptCommitted = "attempt_committed",
    /// The target has answered, and nothing of it is on record.
    PushAnswered = "push_answered",
    /// What the target stored is written, not committed.
    ReceiptWritten = "receipt_written",
    /// What the target stored is held.
    ReceiptCommitted = "receipt_committed",
    /// After a crash: what was being sent is written as pending, not committed.
    RecoverWritten = "recover_written",
    /// After a crash: what was being sent is pending again.
    RecoverCommitted = "recover_committed",
    /// Names are entered, not committed.
    IndexWritten = "index_written",
    /// Names and the index's position are durable.
    IndexCommitted = "index_committed",
    /// Firings of rules, their deliveries and the stage's position are written, not committed.
    FiringWritten = "firing_written",
    /// Firings of rules and their deliveries are durable, and nothing was sent.
    FiringCommitted = "firing_committed",
    /// A step of a replay and its place are written, not committed.
    ReplayWritten = "replay_written",
    /// A step of a replay and its place are durable.
    ReplayCommitted = "replay_committed",
    /// What a steward said is written, not committed.
    CommandWritten = "command_written",
    /// What a steward said is durable, and nobody was told that it is.
    CommandCommitted = "command_committed",
    /// A planned change of the rules is in force and begun, not committed.
    ApplyWritten = "apply_written",
    /// It is begun, and no record is others yet.
    ApplyBegun = "apply_begun",
    /// Every record follows it, and it is not noted as applied.
    ApplyThrough = "apply_through",
    /// The former files are in force again, and nothing is put back yet.
    UndoBegun = "undo_begun",
    /// Deliveries that put back what stood before are written, not committed.
    RestoreWritten = "restore_written",
    /// Deliveries that put back what stood before are queued.
    RestoreCommitted = "restore_committed",
    /// Every record follows the former rules, and it is not noted as undone.
    UndoThrough = "undo_through",
    /// A token is going to be asked for, and that is on record.
    TokenNoted = "token_noted",
    /// A vendor has issued a token, perhaps in place of one that it takes no more, and it is not stored.
    TokenIssued = "token_issued",
    /// A token is sealed and stored, and was not used.
    TokenSealed = "token_sealed",
}

/// Ends the process here if the environment says so.
#[cfg(debug_assertions)]
pub fn point(here: Point) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static WANTED: OnceLock<Option<(Point, u32)>> = OnceLock::new();
    static PASSED: AtomicU32 = AtomicU32::new(0);
    if let Some((point, count)) = WANTED.get_or_init(wanted)
        && *point == here
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *count
    {
        die(here);
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_: Point) {}

#[cfg(debug_assertions)]
fn wanted() -> Option<(Point, u32)> {
    let text = std::env::var("HUILIU_CRASH_AT").ok()?;
    let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
    let point = Point::ALL.iter().find(|point| point.name() == name);
    // A test that misspells a point must not pass.
    Some((*point.expect("HUILIU_CRASH_AT names a point"), count.parse().expect("HUILIU_CRASH_AT has a count")))
}

#[cfg(debug_assertions)]
fn die(here: Point) -> ! {
    eprintln!("crash: {}", here.name());
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal is there before the call returns; elsewhere this comes closest to it.
    std::process::abort()
}

/// How many blocks may wait before they go into their tree: a test has too few customers to ever get there.
pub fn blocks_max(most: usize) -> usize {
    #[cfg(debug_assertions)]
    if let Some(fewer) = std::env::var("HUILIU_BLOCKS_MAX").ok().and_then(|text| text.parse().ok()) {
        return fewer;
    }
    most
}
