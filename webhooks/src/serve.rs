//! An open port, kept open for those who say something.
//!
//! There are so many places, each a connection and some kilobytes. Whoever does not send a whole head in time, from the
//! opening or the last answer on, is let go; and while all places are taken, so is the one who has kept his the longest
//! without saying anything whole, for whoever comes next. So those who dribble push out each other, and never a call that
//! is being answered.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tower::ServiceExt as _;

use crate::calm::Calm;
use crate::receive::HEADERS_BYTES_MAX;

/// What whoever connects is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections at one time.
    pub places: usize,
    /// A whole head must be here after so long, from the opening or the last answer on.
    pub head: Duration,
}

impl Default for Bounds {
    /// Some 40 MB at the most; senders give up after 5 to 30 s.
    fn default() -> Self {
        Self { places: 2048, head: Duration::from_secs(15) }
    }
}

/// Nobody is let go for another one before so long: whoever has something to say has said it by then.
const GRACE: Duration = Duration::from_secs(1);

/// What a connection may hold of what was not taken yet: room for the largest head, and little more.
const BUFFER_BYTES: usize = HEADERS_BYTES_MAX + (4 << 10);

/// Calls that are being answered when it is told to stop may take so long.
const END: Duration = Duration::from_secs(20);

/// While no connection can be accepted (too many open files) it is tried again after so long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What is said to whom there is no place for.
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves until told to stop; calls under way are answered.
pub async fn serve(listener: TcpListener, app: Router, bounds: Bounds, told_to_stop: impl Future<Output = ()>) {
    let places = Places::of(bounds);
    let (stop, stopped) = watch::channel(());
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let overload = Calm::default();
    let mut told_to_stop = pin!(told_to_stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut told_to_stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("no connection can be accepted now: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Some(place) = places.take() else {
            if let Some(connections) = overload.times(Instant::now()) {
                tracing::warn!(connections, "all places are taken; those who came are sent away to come again");
            }
            let _ = stream.try_write(NO_PLACE);
            continue;
        };
        let (app, stopped, alive) = (app.clone(), stopped.clone(), alive.clone());
        tokio::spawn(async move {
            answer(stream, peer, app, place, stopped).await;
            drop(alive);
        });
    }
    drop((listener, stop, alive));
    if tokio::time::timeout(END, gone.recv()).await.is_err() {
        tracing::warn!("calls that were under way are cut off after {} s", END.as_secs());
    }
}

/// One connection, to its end.
async fn answer(stream: TcpStream, peer: SocketAddr, app: Router, place: Taken, mut stopped: watch::Receiver<()>) {
    let here = place.place.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (app, here) = (app.clone(), here.clone());
        async move {
            here.begins(&request);
            let mut request = request.map(|body| Body::new(Heard { body, place: here.clone() }));
            request.extensions_mut().insert(ConnectInfo(peer));
            let answered = app.oneshot(request).await;
            here.waits();
            answered
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(place.head).max_buf_size(BUFFER_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stops = false;
    loop {
        tokio::select! {
            // Whoever hangs up or sends what is no HTTP hurts nobody else.
            _ = connection.as_mut() => return,
            () = place.place.leave.notified() => return,
            _ = stopped.changed(), if !stops => {
                stops = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A body that says when it is whole: from then on the call is worked on.
struct Heard {
    body: Incoming,
    place: Arc<Place>,
}

impl http_body::Body for Heard {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.place.works();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// One connection's place.
struct Place {
    begun: Instant,
    /// Since when, in milliseconds from then on, it waits for something whole; [`WORKS`]: it does not.
    waits_ms: AtomicU64,
    leave: Notify,
}

const WORKS: u64 = u64::MAX;

impl Place {
    fn begins<B: http_body::Body>(&self, request: &Request<B>) {
        if request.body().is_end_stream() { self.works() } else { self.waits() }
    }

    fn works(&self) {
        self.waits_ms.store(WORKS, Ordering::Relaxed);
    }

    fn waits(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(WORKS - 1);
        self.waits_ms.store(ms, Ordering::Relaxed);
    }

    /// How long it has been waiting.
    fn waited(&self) -> Option<Duration> {
        let since_ms = self.waits_ms.load(Ordering::Relaxed);
        (since_ms != WORKS).then(|| self.begun.elapsed().saturating_sub(Duration::from_millis(since_ms)))
    }
}

/// All places.
struct Places {
    bounds: Bounds,
    taken: Mutex<HashMap<u64, Arc<Place>>>,
    next: AtomicU64,
}

/// A place that is taken; it is free again when this is dropped.
struct Taken {
    place: Arc<Place>,
    number: u64,
    head: Duration,
    places: Arc<Places>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.places.taken().remove(&self.number);
    }
}

impl Places {
    fn of(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, taken: Mutex::default(), next: AtomicU64::new(0) })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Place>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, if there is one, or one that somebody has kept for nothing.
    fn take(self: &Arc<Self>) -> Option<Taken> {
        let mut taken = self.taken();
        if taken.len() >= self.bounds.places {
            let waiting = taken.iter().filter_map(|(number, place)| Some((place.waited()?, *number)));
            let (waited, number) = waiting.max()?;
            if waited < GRACE {
                return None;
            }
            if let Some(place) = taken.remove(&number) {
                place.leave.notify_one();
            }
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let place = Place { begun: Instant::now(), waits_ms: AtomicU64::new(0), leave: Notify::new() };
        let place = Arc::new(place);
        taken.insert(number, place.clone());
        Some(Taken { place, number, head: self.bounds.head, places: self.clone() })
    }
}
