//! Lets go of what is old, all the time and slowly, as `[retention]` says.

use std::time::Duration;

use huiliu_core::engine::Engine;
use huiliu_core::retention::{Pass, Retention};
use tokio::sync::watch;

/// From the end of a pass to the next.
const EVERY: Duration = Duration::from_mins(10);

/// Between two pieces: what waits for the writer goes first.
const BREATH: Duration = Duration::from_millis(10);

/// Passes until told to stop. A pass that fails is begun anew later.
pub async fn keep_small(engine: Engine, keep: Retention, mut stop: watch::Receiver<bool>) {
    let mut pass = Pass::new(keep);
    while !*stop.borrow() {
        let here = engine.clone();
        let done = tokio::task::spawn_blocking(move || (pass.piece(&here), pass)).await;
        let rest = match done {
            Ok((Ok(None), same)) => {
                pass = same;
                BREATH
            }
            Ok((Ok(Some(gone)), _)) => {
                if gone.is_some() {
                    let (items, ranges, repeats) = (gone.items, gone.ranges, gone.repeats);
                    tracing::info!(items, ranges, repeats, "let go of what is older than [retention] keeps");
                }
                pass = Pass::new(keep);
                EVERY
            }
            Ok((Err(error), _)) => {
                tracing::error!("what is old could not be let go, trying again: {error}");
                pass = Pass::new(keep);
                EVERY
            }
            Err(error) => {
                tracing::error!("what is old could not be let go, trying again: {error}");
                pass = Pass::new(keep);
                EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            _ = stop.changed() => {}
        }
    }
}
