//! The stages of the pipeline, one file each, in flow order.

pub mod automate;
pub mod index;
pub mod intake;
pub mod plan;
pub mod process;
pub mod pull;
pub mod push;
pub mod reconcile;

/// Runs store work on a thread made for blocking, so that no network task waits behind a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> crate::store::db::Result<T> + Send + 'static,
) -> crate::store::db::Result<T> {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result,
        Err(error) => Err(crate::store::StoreError::Corrupt(format!("a stage stopped in the middle: {error}"))),
    }
}
