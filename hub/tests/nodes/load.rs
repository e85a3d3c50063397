//! Who sends events: in order about each person, to whichever node answers, again until one did.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;

use crate::cluster::Cluster;

pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Senders side by side: one that waits for a node which stands still does not hold the others up.
const SENDERS: u32 = 4;

/// A node that does not answer by then is tried later.
const ANSWER: Duration = Duration::from_millis(1_500);

/// What was said, and acknowledged.
#[derive(Default)]
pub struct Said {
    pub events: usize,
    /// The last word about each person.
    pub last: BTreeMap<u32, u32>,
    /// When each word was sent first.
    pub sent: BTreeMap<(u32, u32), Instant>,
}

/// See the module.
pub struct Load {
    is_over: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Said>>,
}

impl Load {
    /// Speaks of so many people in turn, one each `every`.
    pub fn begin(cluster: &Cluster, people: u32, every: Duration) -> Self {
        Self::to(&cluster.ports(), people, every)
    }

    /// The same, to one node alone.
    pub fn at(cluster: &Cluster, place: usize, people: u32, every: Duration) -> Self {
        Self::to(&cluster.ports()[place..=place], people, every)
    }

    fn to(ports: &[u16], people: u32, every: Duration) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let senders = (0..SENDERS).map(|first| {
            let (ports, is_over) = (ports.to_vec(), is_over.clone());
            std::thread::spawn(move || speak(&ports, first, people, every * SENDERS, &is_over))
        });
        Self { senders: senders.collect(), is_over }
    }

    /// Ends; what was said until then.
    pub fn end(self) -> Said {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Said::default();
        for sender in self.senders {
            let said = sender.join().expect("a sender ends");
            all.events += said.events;
            all.last.extend(said.last);
            all.sent.extend(said.sent);
        }
        all
    }
}

fn speak(ports: &[u16], first: u32, people: u32, every: Duration, is_over: &AtomicBool) -> Said {
    let mut said = Said::default();
    let (begun, mut at, mut silent) = (Instant::now(), 0_usize, vec![None::<Instant>; ports.len()]);
    for number in 0_u32.. {
        std::thread::sleep((begun + every * number).saturating_duration_since(Instant::now()));
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let person = (first + number * SENDERS) % people;
        let step = said.last.get(&person).map_or(0, |step| step + 1);
        let (id, body) = (format!("evt-{person}-{step}"), event(person, step));
        said.sent.insert((person, step), Instant::now());
        loop {
            at = (at + 1) % ports.len();
            if silent[at].is_some_and(|since| since.elapsed() < ANSWER * 2) && ports.len() > 1 {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            if post(ports[at], &id, &body) == Some(200) {
                break;
            }
            silent[at] = Some(Instant::now());
            std::thread::sleep(Duration::from_millis(20));
        }
        said.last.insert(person, step);
        said.events += 1;
    }
    said
}

fn event(person: u32, step: u32) -> String {
    let stamp = jiff::Timestamp::from_second(1_767_225_600 + i64::from(step)).unwrap_or_default();
    json!({ "type": "customer.updated", "data": {
        "id": format!("c-{person}"), "updated_at": stamp.to_string(), "kind": "person",
        "display_name": format!("Person {person}"), "title": format!("step {step}"),
        "emails": { "main": format!("person{person}@example.com") },
        "phones": { "mobile": format!("+86138{person:08}") } } })
    .to_string()
}

/// Sends an event by Standard Webhooks; the status of the answer, if there is one.
#[allow(clippy::disallowed_methods)] // The sender's clock, not the hub's.
pub fn post(port: u16, id: &str, body: &str) -> Option<u16> {
    let stamp = jiff::Timestamp::now().as_second().to_string();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY).expect("a key");
    mac.update(format!("{id}.{stamp}.{body}").as_bytes());
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(
        stream,
        "POST /hooks/events HTTP/1.1\r\nhost: hub\r\nconnection: close\r\ncontent-type: application/json\r\nwebhook-id: {id}\r\n\
         webhook-timestamp: {stamp}\r\nwebhook-signature: v1,{signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
