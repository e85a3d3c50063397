//! The other end of the pushes: says yes, and notes when each event arrives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::text;
use crate::wire::message;

/// When each event arrived first, by its number.
#[derive(Clone, Default)]
pub struct Arrived(Arc<Mutex<Vec<Option<Instant>>>>);

impl Arrived {
    /// When an event arrived.
    pub fn at(&self, number: u32) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(number as usize).copied().flatten()
    }

    /// So many events arrived.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().count()
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn note(&self, number: u32, at: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = number as usize;
        if all.len() <= number {
            all.resize(number + 1, None);
        }
        all[number].get_or_insert(at);
    }
}

/// Listens on this machine; returns where.
pub async fn listen(arrived: Arrived) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
    let address = listener.local_addr().map_err(text)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, arrived.clone()));
        }
    });
    Ok(format!("http://{address}/events"))
}

async fn take(mut stream: TcpStream, arrived: Arrived) {
    let _ = stream.set_nodelay(true);
    let mut heard = Vec::with_capacity(4096);
    while stream.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {
        let now = Instant::now();
        while let Some((body, end)) = message(&heard) {
            let event: Value = serde_json::from_slice(&heard[body..end]).unwrap_or_default();
            let title = event.pointer("/data/title").and_then(Value::as_str);
            if let Some(number) = title.and_then(|it| it.parse().ok()) {
                arrived.note(number, now);
            }
            heard.drain(..end);
            if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                return;
            }
        }
    }
}
