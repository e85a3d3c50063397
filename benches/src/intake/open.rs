//! The load of senders who do not wait for each other: so many events a second, whatever becomes of those before.
//!
//! A burst goes over whichever connection is free, one call behind the other (HTTP/1.1 lets a client do so), and its answers
//! come in their order. So a call costs the sender little more than its signature, and there is as much left for the hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::{Answer, BROKEN, Call, Tally, answer};
use crate::servers::Server;
use crate::text;

/// Calls that are sent at once.
const BURST: u64 = 8;

struct Shared {
    /// Bursts a second.
    rate: f64,
    began: Instant,
    first: u64,
    /// Bursts that were begun.
    bursts: AtomicU64,
    /// Answers so far that keep an event, and those that ask to come again.
    kept: AtomicU64,
    refused: AtomicU64,
    stops: AtomicBool,
}

/// Connections that send.
pub struct Open {
    shared: Arc<Shared>,
    tasks: JoinSet<Tally>,
}

impl Open {
    /// Begins to send so many events a second, from the event of this number on.
    pub async fn start(port: u16, connections: usize, rate: f64, first: u64) -> Result<Self, String> {
        let mut streams = Vec::with_capacity(connections);
        for _ in 0..connections {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(text)?;
            stream.set_nodelay(true).map_err(text)?;
            streams.push(stream);
        }
        let count = AtomicU64::default;
        #[allow(clippy::cast_precision_loss)] // A handful.
        let rate = rate / BURST as f64;
        let (began, stops) = (Instant::now(), AtomicBool::new(false));
        let shared = Arc::new(Shared { rate, began, first, bursts: count(), kept: count(), refused: count(), stops });
        let mut tasks = JoinSet::new();
        for stream in streams {
            tasks.spawn(send(shared.clone(), stream));
        }
        Ok(Self { shared, tasks })
    }

    /// Answers so far: those that keep an event, and those that ask to come again.
    pub fn answered(&self) -> [u64; 2] {
        [&self.shared.kept, &self.shared.refused].map(|count| count.load(Ordering::Relaxed))
    }

    /// Ends it after the answers that are due.
    pub async fn stop(self) -> Result<Tally, String> {
        self.shared.stops.store(true, Ordering::Relaxed);
        Tally::of(self.tasks).await
    }
}

async fn send(shared: Arc<Shared>, mut stream: TcpStream) -> Tally {
    let (mut tally, mut call) = (Tally::default(), Call::new(Server::Hub));
    let (mut calls, mut reply) = (Vec::new(), Vec::with_capacity(4096));
    while !shared.stops.load(Ordering::Relaxed) {
        let burst = shared.bursts.fetch_add(1, Ordering::Relaxed);
        #[allow(clippy::cast_precision_loss)] // Some millions.
        let due = shared.began + Duration::from_secs_f64(burst as f64 / shared.rate);
        tokio::time::sleep_until(due.into()).await;
        let first = shared.first + burst * BURST;
        calls.clear();
        for number in first..first + BURST {
            call.become_event(number);
            calls.extend_from_slice(&call.bytes);
        }
        if exchange(&shared, &mut stream, &calls, (first, due), (&mut reply, &mut tally)).await.is_none() {
            tally.odd.add(BROKEN);
            break;
        }
    }
    tally
}

/// Sends a burst and counts its answers, to the last. None: the connection broke.
async fn exchange(
    shared: &Shared,
    stream: &mut TcpStream,
    calls: &[u8],
    (first, due): (u64, Instant),
    (reply, tally): (&mut Vec<u8>, &mut Tally),
) -> Option<()> {
    let (mut reader, mut writer) = stream.split();
    // What is answered early is read before all is written: neither waits for the other.
    let write = async { writer.write_all(calls).await.ok() };
    let read = async {
        reply.clear();
        let mut number = first;
        while number < first + BURST {
            if reader.read_buf(reply).await.ok()? == 0 {
                return None;
            }
            let mut taken = 0;
            while let Some((answer, length)) = answer(&reply[taken..])? {
                match answer {
                    Answer::Kept => {
                        tally.acknowledged.push(number);
                        tally.took_us.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
                        shared.kept.fetch_add(1, Ordering::Relaxed);
                    }
                    Answer::Later => {
                        tally.refused += 1;
                        shared.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    Answer::Odd(status) => tally.odd.add(status),
                }
                number += 1;
                taken += length;
            }
            reply.drain(..taken);
        }
        Some(())
    };
    let (written, read) = tokio::join!(write, read);
    written.and(read)
}
