//! A program that takes signed events: it keeps every call as it came, and answers as told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Header names in lower case with their values.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Bytes,
}

impl Call {
    /// A header's value; empty text if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body's JSON.
    pub fn event(&self) -> Value {
        serde_json::from_slice(&self.body).expect("an event is JSON")
    }
}

#[derive(Default)]
struct Inner {
    calls: Vec<Call>,
    answers: VecDeque<u16>,
}

/// See the module. It stops when it is dropped.
pub struct Receiver {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(State(inner): State<Arc<Mutex<Inner>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    let mut inner = lock(&inner);
    inner.calls.push(Call { headers: headers.collect(), body });
    let answer = inner.answers.pop_front().and_then(|status| StatusCode::from_u16(status).ok());
    answer.unwrap_or(StatusCode::NO_CONTENT)
}

impl Receiver {
    /// Starts on a free loopback port.
    pub async fn start() -> Self {
        let inner = Arc::<Mutex<Inner>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(take).with_state(inner.clone());
        let server = tokio::spawn(async move {
            // It serves until it is dropped; an accept error ends a test with refused connections.
            let _ = axum::serve(listener, router).await;
        });
        Self { inner, address, server }
    }

    /// Where events go.
    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// The next call is answered with this HTTP status, once; answers queue up. Without one it is 204.
    pub fn answer(&self, status: u16) {
        lock(&self.inner).answers.push_back(status);
    }

    /// Everything that came.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.inner).calls.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}
