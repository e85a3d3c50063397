//! What stewards do: settle doubts, split and link, pin values, release a brake.
//!
//! Each command is one transaction: what it rules, what it recomputes, the change log with the steward as its cause, and
//! a line that says what was done and why. What other systems must be told afterwards follows from the change log, as
//! for any change.

use serde_json::{Value, json};

use crate::engine::Engine;
use crate::pipeline::process::MEANING_LOCK;
use crate::pipeline::pull;
use crate::store::db::{StoreError, Tx};
use crate::store::inbox;
use crate::store::stewards::{self, Command};
use crate::store::streams::{self, Mark};

/// Who gives a command, and why.
#[derive(Clone, Copy, Debug)]
pub struct Steward<'a> {
    /// The person's name.
    pub name: &'a str,
    /// The reason, for those who ask later.
    pub why: &'a str,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// What the command names is not as it supposes. The text says what to do.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a command returns.
pub type Result<T> = std::result::Result<T, ReviewError>;

fn refused<T>(reason: impl Into<String>) -> Result<T> {
    Err(ReviewError::Refused(reason.into()))
}

/// Runs a command in one transaction, alone among those who compute meaning, on this node and on others.
fn command<T>(engine: &Engine, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
    let _turn = engine.meaning();
    let mut refusal = None;
    let done = engine.store.write(|tx| {
        tx.lock(MEANING_LOCK)?;
        let given = inbox::progress(tx, stewards::COMMANDS)?;
        inbox::set_progress(tx, stewards::COMMANDS, given + 1)?;
        match work(tx) {
            Ok(done) => Ok(done),
            Err(ReviewError::Store(error)) => Err(error),
            Err(error) => {
                refusal = Some(error);
                Err(StoreError::Refused)
            }
        }
    });
    match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(done?),
    }
}

fn note(engine: &Engine, tx: &mut Tx<'_>, steward: Steward<'_>, what: &str, detail: &Value, change: i64) -> Result<()> {
    let made_us = engine.clock.now_us();
    let (made_by, why) = (steward.name.to_owned(), steward.why.to_owned());
    let command = Command { number: 0, what: what.to_owned(), detail: detail.clone(), made_by, why, change, made_us };
    Ok(stewards::put_command(tx, &command)?)
}

/// Lets the scan that the brake held back close what it missed. Returns how many records that is at most: what was
/// heard of since stays.
pub fn release(engine: &Engine, connection: &str, stream: &str, steward: Steward<'_>) -> Result<i64> {
    command(engine, |tx| {
        let key = (connection.to_owned(), stream.to_owned());
        let Some(brake) = streams::all(tx)?.remove(&key).and_then(|state| state.brake) else {
            return refused(format!("{connection}/{stream}: no brake holds a scan back; see `huiliu status`"));
        };
        let mark = Mark { scan: brake.scan, released_by: Some(steward.name.to_owned()) };
        let item = pull::scan_item(&connection.into(), &stream.into(), &mark, engine.clock.now_us())?;
        inbox::append(tx, &[item])?;
        streams::set_brake(tx, connection, stream, None)?;
        let detail =
            json!({ "connection": connection, "stream": stream, "missing": brake.missing, "open": brake.open });
        note(engine, tx, steward, "release", &detail, 0)?;
        Ok(brake.missing)
    })
}
