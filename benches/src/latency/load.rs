//! The sender: each event when it is due, whatever became of those before, over whichever connection is free.
//!
//! A thread of its own sleeps until the next event is due and writes the call that it has made meanwhile, so that the sender
//! adds to the time of an event no more than that write; one runtime of one thread hears the answers.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::secrets::Secret;
use huiliu_rest::sign;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::wire::message;
use crate::{KEY, text};

/// What is sent, and how often.
#[derive(Clone, Copy)]
pub struct Load {
    /// Events a second.
    pub rate: u32,
    /// Events in all.
    pub all: u32,
}

/// When an event was due, and when it was answered, if it was.
#[derive(Clone, Copy)]
pub struct Sent {
    /// When it was to be sent.
    pub due: Instant,
    /// When the end of an answer that keeps it was there.
    pub answered: Option<Instant>,
}

impl Load {
    /// An odd event changes somebody whom an even one made so many events before: long after that was pushed, so that
    /// each event has its own push.
    fn apart(&self) -> u32 {
        8 * self.rate
    }

    /// The event of a number: even ones make a customer, odd ones change one.
    pub fn event(&self, number: u32) -> String {
        let makes = number.is_multiple_of(2) || number < self.apart();
        let person = if makes { number } else { number - self.apart() - 1 };
        let stamp = jiff::Timestamp::from_second(1_767_225_600 + i64::from(number)).unwrap_or_default();
        json!({ "type": if makes { "customer.created" } else { "customer.updated" }, "data": {
            "id": format!("c-{person}"), "updated_at": stamp.to_string(), "kind": "person",
            "display_name": format!("Person {person}"), "title": number.to_string(),
            "emails": { "main": format!("person{person}@example.com") },
            "phones": { "mobile": format!("+86138{person:08}") } } })
        .to_string()
    }

    /// The call that says so, signed now.
    fn call(&self, path: &str, number: u32) -> Result<Vec<u8>, String> {
        let (body, seconds) = (self.event(number), Clock::System.now().as_second());
        let id = format!("evt-{number}");
        let signature = sign::standard_webhook(&Secret::new(KEY), &id, seconds, body.as_bytes()).map_err(text)?;
        let call = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nwebhook-id: {id}\r\nwebhook-timestamp: {seconds}\r\n\
             webhook-signature: {signature}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(call.into_bytes())
    }

    /// Sends every event when it is due, to these servers (`http://HOST:PORT/PATH`) in turn; tells of each, in order.
    pub async fn send(self, urls: &[String]) -> Result<Vec<Sent>, String> {
        let servers = urls.iter().map(|url| Server::at(url)).collect::<Result<Vec<_>, _>>()?;
        let sender = std::thread::spawn(move || self.send_all(&servers));
        while !sender.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sender.join().map_err(|_| "the sender ended early".to_owned())?
    }

    fn send_all(self, servers: &[Server]) -> Result<Vec<Sent>, String> {
        let began = Instant::now() + Duration::from_millis(5);
        let mut dues = Vec::new();
        for number in 0..self.all {
            let server = &servers[number as usize % servers.len()];
            let call = self.call(&server.path, number)?;
            let due = began + Duration::from_secs(1) * number / self.rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            server.write(number, &call)?;
            dues.push(due);
        }
        // What is not answered by then is not answered.
        let patience = Instant::now() + Duration::from_secs(10);
        while servers.iter().any(Server::is_busy) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut sent: Vec<Sent> = dues.into_iter().map(|due| Sent { due, answered: None }).collect();
        for (number, at) in servers.iter().flat_map(Server::answers) {
            sent[number as usize].answered = Some(at);
        }
        Ok(sent)
    }
}

/// A server, and the connections to it.
struct Server {
    host: String,
    path: String,
    shared: Arc<Mutex<Shared>>,
    runtime: Handle,
}

#[derive(Default)]
struct Shared {
    /// Connections over which nothing is under way; the last was used last.
    idle: Vec<Arc<Connection>>,
    /// Calls that are not answered yet.
    under_way: usize,
    answers: Vec<(u32, Instant)>,
}

struct Connection {
    stream: TcpStream,
    /// The event that is under way, or was.
    carries: AtomicU32,
}

impl Server {
    fn at(url: &str) -> Result<Self, String> {
        let (host, path) = url.trim_start_matches("http://").split_once('/').ok_or("a URL without a path")?;
        Ok(Self { host: host.to_owned(), path: format!("/{path}"), shared: Arc::default(), runtime: Handle::current() })
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a call of some hundred bytes, which a connection that is free takes at once.
    fn write(&self, number: u32, call: &[u8]) -> Result<(), String> {
        let free = {
            let mut shared = self.shared();
            shared.under_way += 1;
            shared.idle.pop()
        };
        let connection = match free {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.carries.store(number, Ordering::Relaxed);
        loop {
            match connection.stream.try_write(call) {
                Ok(written) if written == call.len() => return Ok(()),
                Ok(written) => return Err(format!("{written} of {} bytes of a call were taken", call.len())),
                // A new one is ready when the runtime has heard so.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(text(error)),
            }
        }
    }

    fn connect(&self) -> Result<Arc<Connection>, String> {
        let stream = std::net::TcpStream::connect(&self.host).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_nonblocking(true).map_err(text)?;
        let _inside = self.runtime.enter();
        let stream = TcpStream::from_std(stream).map_err(text)?;
        let connection = Arc::new(Connection { stream, carries: AtomicU32::new(0) });
        self.runtime.spawn(hear(connection.clone(), self.shared.clone()));
        Ok(connection)
    }

    fn is_busy(&self) -> bool {
        self.shared().under_way > 0
    }

    fn answers(&self) -> Vec<(u32, Instant)> {
        self.shared().answers.clone()
    }
}

/// Hears the answers of a connection, and frees it after each.
async fn hear(connection: Arc<Connection>, shared: Arc<Mutex<Shared>>) {
    let mut heard = Vec::with_capacity(1024);
    while connection.stream.readable().await.is_ok() {
        match connection.stream.try_read_buf(&mut heard) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let now = Instant::now();
        let Some((_, end)) = message(&heard) else { continue };
        let kept = heard.get(9) == Some(&b'2');
        heard.drain(..end);
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.under_way -= 1;
        if kept {
            shared.answers.push((connection.carries.load(Ordering::Relaxed), now));
        }
        shared.idle.push(connection.clone());
    }
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.idle.retain(|it| !Arc::ptr_eq(it, &connection));
}
