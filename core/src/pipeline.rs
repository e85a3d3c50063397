//! The stages of the pipeline, one file each, in flow order.

pub mod automate;
pub mod index;
pub mod intake;
pub mod log;
pub mod plan;
pub mod process;
pub mod pull;
pub mod push;
pub mod reconcile;
pub mod think;

/// Before something leaves the machine: fails if another node may be at it by now, because this one stood still.
async fn stand(engine: &crate::engine::Engine) -> crate::store::db::Result<()> {
    if engine.store.fence().is_none_or(|fence| fence.is_sure()) {
        return Ok(());
    }
    let store = engine.store.clone();
    blocking(move || crate::store::leases::stand(&store)).await
}

/// Runs store work on a thread made for blocking, so that no network task waits behind a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> crate::store::db::Result<T> + Send + 'static,
) -> crate::store::db::Result<T> {
    // A simulation has no runtime: one step is taken at a time, and nobody waits behind it.
    if tokio::runtime::Handle::try_current().is_err() {
        return work();
    }
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result,
        Err(error) => Err(crate::store::StoreError::Corrupt(format!("a stage stopped in the middle: {error}"))),
    }
}
