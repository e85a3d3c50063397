//! What the twins of small HTTP systems share: a port, a state behind a lock, a clock that can stand still, and
//! webhooks that leave beside an answer, not before it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;

use crate::hooks::{HookCall, Hooks};

/// State and webhooks of a running twin.
pub(crate) struct Desk<S> {
    state: Mutex<S>,
    now_ms: Mutex<Option<i64>>,
    webhook: Mutex<Option<String>>,
    hooks: Hooks,
    sending: tokio::sync::watch::Sender<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Send + 'static> Desk<S> {
    /// The state, for one short moment.
    pub fn lock(&self) -> MutexGuard<'_, S> {
        lock(&self.state)
    }

    /// Milliseconds since 1970.
    #[allow(clippy::disallowed_methods)] // A stand-in for a vendor has a clock of its own, as the vendor does.
    pub fn now_ms(&self) -> i64 {
        lock(&self.now_ms).unwrap_or_else(|| jiff::Timestamp::now().as_millisecond())
    }

    /// Stops the clock at this millisecond, or lets it run again.
    pub fn set_now_ms(&self, now_ms: Option<i64>) {
        *lock(&self.now_ms) = now_ms;
    }

    /// The sender of webhooks.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Where webhooks go, if anywhere.
    pub fn webhook(&self) -> Option<String> {
        lock(&self.webhook).clone()
    }

    /// Where webhooks go from now on.
    pub fn set_webhook(&self, url: Option<String>) {
        *lock(&self.webhook) = url;
    }

    /// Sends these calls, one after the other.
    pub async fn send(&self, calls: Vec<HookCall>) {
        for call in calls {
            self.hooks.send(call).await;
        }
    }

    /// Sends these calls while the answer is already on its way.
    pub fn send_later(self: &Arc<Self>, calls: Vec<HookCall>) {
        if calls.is_empty() {
            return;
        }
        self.sending.send_modify(|sending| *sending += 1);
        let desk = self.clone();
        tokio::spawn(async move {
            desk.send(calls).await;
            desk.sending.send_modify(|sending| *sending -= 1);
        });
    }

    /// Waits until all of them are sent.
    pub async fn settled(&self) {
        let mut sending = self.sending.subscribe();
        // The sender lives as long as the desk, so this cannot fail while it is borrowed.
        let _ = sending.wait_for(|sending| *sending == 0).await;
    }
}

/// A running twin's server; it stops when it is dropped.
pub(crate) struct Running<S> {
    /// What it works on.
    pub desk: Arc<Desk<S>>,
    /// Where it listens.
    pub address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl<S: Send + 'static> Running<S> {
    /// Starts on a free loopback port.
    pub async fn start(state: S, router: impl FnOnce(Arc<Desk<S>>) -> Router) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let desk = Arc::new(Desk {
            state: Mutex::new(state),
            now_ms: Mutex::default(),
            webhook: Mutex::default(),
            hooks: Hooks::new(),
            sending: tokio::sync::watch::Sender::new(0),
        });
        let router = router(desk.clone());
        let server = tokio::spawn(async move {
            // It serves until the twin is dropped; an accept error ends a test with refused connections.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { desk, address, server })
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        self.server.abort();
    }
}
