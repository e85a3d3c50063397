//! Planning within a transaction that also took in what it plans for: what is little costs one commit.

use super::{BATCH_CHANGES, POSITION, released, step, tell};
use crate::crash::{Point, point};
use crate::engine::Engine;
use crate::store::db::{Result, Tx};
use crate::store::deliveries::Planned;
use crate::store::{goldens, inbox};

/// Plans in a transaction that did something else, too, and holds [`PLAN_LOCK`], by files that are in force. None: what
/// waits needs a batch of its own. Once it is durable, [`planned_along`] is to be called.
pub(in crate::pipeline) fn along(engine: &Engine, tx: &mut Tx<'_>) -> Result<Option<Vec<Planned>>> {
    let position = inbox::progress(tx, POSITION)?;
    let changes = goldens::changed_after(tx, position, BATCH_CHANGES)?;
    if released(engine, tx)?.is_some() || i64::try_from(changes.len()).is_ok_and(|count| count >= BATCH_CHANGES) {
        return Ok(None);
    }
    if changes.is_empty() {
        return Ok(Some(Vec::new()));
    }
    Ok(Some(step(engine, tx, position, &changes)?.1))
}

/// What [`along`] planned is durable.
pub(in crate::pipeline) fn planned_along(engine: &Engine, planned: &[Planned]) {
    point(Point::PlanCommitted);
    tell(engine, planned);
}
