//! The load: a closed loop over plain HTTP/1.1, written so that it costs little beside the servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::servers::Server;
use crate::{peer, text};

/// What signs the calls, and what the servers prove them with.
pub const KEY: &str = "a secret of thirty-two characters";

/// A customer as a shop tells of one.
pub const BODY_BYTES: usize = 1620;

/// A number in the template that stands for the customer's.
const NUMBER: &str = "7000000000000";

/// A place in the template for the event's id.
const EVENT: &str = "00000000-0000-4000-8000-000000000000";

/// A place in the template for the signature.
const SIGNATURE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// One call, written anew for each event.
#[derive(Clone)]
pub struct Call {
    /// The call as it is sent.
    pub bytes: Vec<u8>,
    body: usize,
    numbers: Vec<usize>,
    event: usize,
    signature: usize,
    signer: Hmac<Sha256>,
}

impl Call {
    /// One to a server.
    pub fn new(server: Server) -> Self {
        let body = body();
        let (path, key) = match server {
            Server::Restate => (peer::PATH, peer::KEY),
            _ => ("/hooks/shop", "X-Shopify-Event-Id"),
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Shopify-Captain-Hook\r\nAccept: */*\r\n\
             Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nX-Shopify-Topic: customers/update\r\nX-Shopify-Hmac-Sha256: {SIGNATURE}\r\n\
             X-Shopify-Shop-Domain: huiliu-example.myshopify.com\r\nX-Shopify-Api-Version: 2026-10\r\n\
             {key}: {EVENT}\r\nX-Shopify-Triggered-At: 2026-11-26T03:04:05.123456789Z\r\n\r\n",
            body.len()
        );
        let text = format!("{head}{body}");
        let signer = Hmac::<Sha256>::new_from_slice(KEY.as_bytes());
        Self {
            body: head.len(),
            numbers: text.match_indices(NUMBER).map(|(at, _)| at).collect(),
            event: text.find(EVENT).unwrap_or_default(),
            signature: text.find(SIGNATURE).unwrap_or_default(),
            signer: signer.expect("any key will do"),
            bytes: text.into_bytes(),
        }
    }

    /// Makes it the call of another event.
    pub fn become_event(&mut self, number: u64) {
        let customer = (7_000_000_000_000 + number).to_string();
        for &at in &self.numbers {
            self.bytes[at..at + NUMBER.len()].copy_from_slice(customer.as_bytes());
        }
        self.bytes[self.event..self.event + EVENT.len()].copy_from_slice(event_id(number).as_bytes());
        let signature = self.signer.clone().chain_update(&self.bytes[self.body..]).finalize().into_bytes();
        let place = &mut self.bytes[self.signature..self.signature + SIGNATURE.len()];
        STANDARD.encode_slice(signature, place).expect("32 bytes are 44 characters");
    }
}

/// The id of an event: spread all over an index, as vendors' ids are.
pub fn event_id(number: u64) -> String {
    // The finalizer of SplitMix64: one to one, and as good as random.
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    format!("{:08x}-{:04x}-4000-8000-{number:012x}", mixed >> 32, mixed & 0xffff)
}

fn body() -> String {
    let written = |note: &str| {
        format!(
            r#"{{"id":{NUMBER},"email":"p{NUMBER}@example.com","created_at":"2026-01-02T03:04:05+08:00","updated_at":"2026-11-26T03:04:05+08:00","first_name":"梅梅","last_name":"韩","orders_count":3,"state":"enabled","total_spent":"4711.00","last_order_id":450789469,"note":"{note}","verified_email":true,"multipass_identifier":null,"tax_exempt":false,"tags":"vip, newsletter","last_order_name":"1169","currency":"CNY","phone":"+{NUMBER}","addresses":[{{"id":{NUMBER},"customer_id":{NUMBER},"first_name":"梅梅","last_name":"韩","company":"汇流示例有限公司","address1":"南京西路 1266 号","address2":"21 楼","city":"上海","province":"Shanghai","country":"China","zip":"200040","phone":"+{NUMBER}","name":"韩梅梅","province_code":"SH","country_code":"CN","country_name":"China","default":true}}],"tax_exemptions":[],"email_marketing_consent":{{"state":"subscribed","opt_in_level":"single_opt_in","consent_updated_at":"2026-01-02T03:04:05+08:00"}},"sms_marketing_consent":{{"state":"not_subscribed","opt_in_level":"single_opt_in","consent_updated_at":null,"consent_collected_from":"OTHER"}},"admin_graphql_api_id":"gid://shopify/Customer/{NUMBER}"}}"#
        )
    };
    let padding = BODY_BYTES.saturating_sub(written("").len());
    written(&"x".repeat(padding))
}

/// What the answers were.
#[derive(Default)]
pub struct Tally {
    /// How long each counted acknowledgement took, in microseconds.
    pub took_us: Vec<u32>,
    /// Answers that ask to come again later, and say when.
    pub refused: u64,
    /// Other answers, and broken connections.
    pub odd: Odd,
    /// The events that were acknowledged, counted or not.
    pub acknowledged: Vec<u64>,
}

/// Other answers by their status, and broken connections.
#[derive(Default)]
pub struct Odd(BTreeMap<u16, u64>);

/// Stands for the status of a connection that broke.
pub const BROKEN: u16 = 0;

impl Odd {
    /// One more.
    pub fn add(&mut self, status: u16) {
        *self.0.entry(status).or_default() += 1;
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} odd answers", self.0.values().sum::<u64>())?;
        if self.0.is_empty() { Ok(()) } else { write!(f, " (by status, {BROKEN} broke: {:?})", self.0) }
    }
}

impl Tally {
    /// Of all connections, once they have ended.
    pub async fn of(mut connections: JoinSet<Self>) -> Result<Self, String> {
        let mut all = Self::default();
        while let Some(ended) = connections.join_next().await {
            let one = ended.map_err(text)?;
            all.took_us.extend(one.took_us);
            all.acknowledged.extend(one.acknowledged);
            all.refused += one.refused;
            for (status, count) in one.odd.0 {
                *all.odd.0.entry(status).or_default() += count;
            }
        }
        Ok(all)
    }
}

struct Shared {
    server: Server,
    port: u16,
    repeats: u64,
    /// The next event's number.
    next: AtomicU64,
    /// Acknowledgements so far.
    done: AtomicU64,
    counts: AtomicBool,
    stops: AtomicBool,
}

/// Connections that send.
pub struct Load {
    shared: Arc<Shared>,
    connections: usize,
    tasks: JoinSet<Tally>,
}

impl Load {
    /// A load on the hub that does not run yet.
    pub fn new(port: u16, connections: usize, repeats: u64) -> Self {
        Self::to(Server::Hub, port, connections, repeats)
    }

    /// A load on a server that does not run yet.
    pub fn to(server: Server, port: u16, connections: usize, repeats: u64) -> Self {
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let (counts, stops) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            shared: Arc::new(Shared { server, port, repeats, next, done, counts, stops }),
            connections,
            tasks: JoinSet::new(),
        }
    }

    /// Begins with the event of this number.
    pub async fn start(&mut self, first: u64) -> Result<(), String> {
        self.shared.next.store(first, Ordering::Relaxed);
        for _ in 0..self.connections {
            let stream = TcpStream::connect(("127.0.0.1", self.shared.port)).await.map_err(text)?;
            stream.set_nodelay(true).map_err(text)?;
            self.tasks.spawn(send(self.shared.clone(), stream));
        }
        Ok(())
    }

    /// Counts from now on, if it did not; else counts no more. Answers when that was.
    pub fn mark(&self) -> Instant {
        let counted = self.shared.counts.load(Ordering::Relaxed);
        self.shared.counts.store(!counted, Ordering::Relaxed);
        Instant::now()
    }

    /// Acknowledgements so far.
    pub fn done(&self) -> u64 {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// The number that the next event would have.
    pub fn next(&self) -> u64 {
        self.shared.next.load(Ordering::Relaxed)
    }

    /// Ends it after the answers that are due.
    pub async fn stop(self) -> Result<Tally, String> {
        self.shared.stops.store(true, Ordering::Relaxed);
        Tally::of(self.tasks).await
    }
}

async fn send(shared: Arc<Shared>, mut stream: TcpStream) -> Tally {
    let (mut tally, mut call, mut reply) = (Tally::default(), Call::new(shared.server), Vec::with_capacity(1024));
    let (mut sent, mut number) = (0_u64, None);
    while !shared.stops.load(Ordering::Relaxed) {
        let repeats = sent % 100 < shared.repeats;
        sent += 1;
        let current = match number.filter(|_| repeats) {
            Some(known) => known,
            None => {
                let fresh = shared.next.fetch_add(1, Ordering::Relaxed);
                call.become_event(fresh);
                fresh
            }
        };
        number = Some(current);
        let counts = shared.counts.load(Ordering::Relaxed);
        let began = Instant::now();
        match exchange(&mut stream, &call.bytes, &mut reply).await {
            Some(Answer::Kept) => {
                if counts && shared.counts.load(Ordering::Relaxed) {
                    tally.took_us.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
                shared.done.fetch_add(1, Ordering::Relaxed);
                tally.acknowledged.push(current);
            }
            Some(Answer::Later) => {
                tally.refused += 1;
                // A sender that is told to wait waits; a moment is enough to keep the flood a flood.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Some(Answer::Odd(status)) => tally.odd.add(status),
            None => {
                tally.odd.add(BROKEN);
                break;
            }
        }
    }
    tally
}

/// What a call was told.
pub enum Answer {
    Kept,
    Later,
    Odd(u16),
}

/// Sends one call and reads its answer to the end. None: the connection broke.
async fn exchange(stream: &mut TcpStream, call: &[u8], reply: &mut Vec<u8>) -> Option<Answer> {
    reply.clear();
    stream.write_all(call).await.ok()?;
    loop {
        if stream.read_buf(reply).await.ok()? == 0 {
            return None;
        }
        if let Some((answer, _)) = answer(reply)? {
            return Some(answer);
        }
    }
}

/// The first answer of these bytes and its length, if it is whole. None: it is none.
#[allow(clippy::option_option)]
pub(crate) fn answer(reply: &[u8]) -> Option<Option<(Answer, usize)>> {
    let Some(end) = reply.windows(4).position(|it| it == b"\r\n\r\n") else { return Some(None) };
    let head = std::str::from_utf8(&reply[..end]).ok()?;
    let field = |name: &str| {
        head.split("\r\n").find_map(|line| line.split_once(": ").filter(|(it, _)| it.eq_ignore_ascii_case(name)))
    };
    let length = field("content-length").map_or(Some(0), |(_, length)| length.parse::<usize>().ok())?;
    let whole = end + 4 + length;
    if reply.len() < whole {
        return Some(None);
    }
    let answer = match head.get(9..12)? {
        "200" | "202" => Answer::Kept,
        "429" | "503" if field("retry-after").is_some() => Answer::Later,
        status => Answer::Odd(status.parse().ok()?),
    };
    Some(Some((answer, whole)))
}

/// Says a head byte by byte, for ever; ends when it is let go.
pub async fn dribble(port: u16) -> Result<(), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(text)?;
    stream.write_all(b"POST /hooks/shop HTTP/1.1\r\nX-Slow: ").await.map_err(text)?;
    let (mut reader, mut writer) = stream.split();
    let mut heard = [0_u8; 256];
    loop {
        tokio::select! {
            read = reader.read(&mut heard) => if read.unwrap_or(0) == 0 { return Ok(()) },
            () = tokio::time::sleep(Duration::from_millis(500)) => {
                if writer.write_all(b"x").await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
