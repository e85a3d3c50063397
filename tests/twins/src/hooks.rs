//! Sends a twin's webhooks, with the faults that real senders show.

use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::dice::Dice;

/// One webhook call, ready to be sent.
#[derive(Clone, Debug)]
pub struct HookCall {
    /// Full URL.
    pub url: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// Raw body.
    pub body: Bytes,
}

/// What happens to the next calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Sent once, at once.
    #[default]
    None,
    /// Never sent.
    Drop,
    /// Sent twice.
    Repeat,
    /// Kept back until [`Hooks::release`].
    Hold,
    /// Sent once with one byte of its body changed, as somebody would who does not know the secret.
    Forge,
}

/// What became of the calls so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that were answered with success, repeats included.
    pub accepted: u64,
    /// Second sendings of a call that had been answered already.
    pub repeated: u64,
    /// Calls that were kept back and sent in another order.
    pub reordered: u64,
    /// Calls that were never sent.
    pub dropped: u64,
    /// Calls that were never answered with success: forged ones are refused, others were given up.
    pub refused: u64,
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            repeated: self.repeated + other.repeated,
            reordered: self.reordered + other.reordered,
            dropped: self.dropped + other.dropped,
            refused: self.refused + other.refused,
        }
    }
}

/// The sending side of a twin's webhooks.
pub struct Hooks {
    client: reqwest::Client,
    fault: Mutex<Fault>,
    held: Mutex<Vec<HookCall>>,
    tally: Mutex<Tally>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self::new()
    }
}

impl Hooks {
    /// A sender without faults.
    pub fn new() -> Self {
        // HTTP clients want a TLS provider even for plain loopback; whoever comes second finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[allow(clippy::disallowed_methods)] // A stand-in for a vendor talks to loopback only.
        let client = reqwest::Client::new();
        Self { client, fault: Mutex::default(), held: Mutex::default(), tally: Mutex::default() }
    }

    /// What happens to the calls from now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = fault;
    }

    /// Sends a call under the present fault; a real vendor gives up after a few tries, and so does this one.
    pub async fn send(&self, call: HookCall) {
        let fault = *self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match fault {
            Fault::None => self.deliver(&call, TRIES).await,
            Fault::Drop => self.count(|tally| tally.dropped += 1),
            Fault::Repeat => {
                self.deliver(&call, TRIES).await;
                self.count(|tally| tally.repeated += 1);
                self.deliver(&call, TRIES).await;
            }
            Fault::Forge => self.deliver(&forged(call), 1).await,
            Fault::Hold => self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(call),
        }
    }

    /// Sends what was held, last first: the order a retry queue makes of it.
    pub async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for call in held.iter().rev() {
            self.count(|tally| tally.reordered += 1);
            self.deliver(call, TRIES).await;
        }
    }

    /// Sends what was held all at once, in an order of chance: some of a hundred are lost, and some are sent twice.
    /// Answers how many calls were sent.
    pub async fn storm(&self, mut dice: Dice, dropped_percent: usize, repeated_percent: usize) -> usize {
        let mut calls = std::mem::take(&mut *self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        shuffle(&mut dice, &mut calls);
        let (dropped, repeated) = (calls.len() * dropped_percent / 100, calls.len() * repeated_percent / 100);
        calls.truncate(calls.len() - dropped);
        let sent = calls.len();
        calls.extend_from_within(..repeated.min(sent));
        shuffle(&mut dice, &mut calls);
        self.count(|tally| {
            tally.dropped += dropped as u64;
            tally.repeated += repeated as u64;
            tally.reordered += sent as u64;
        });
        let sending = calls.into_iter().map(|call| async move { self.deliver(&call, TRIES).await });
        futures::stream::iter(sending).buffer_unordered(TOGETHER).collect::<()>().await;
        sent
    }

    /// What became of the calls so far.
    pub fn tally(&self) -> Tally {
        *self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn count(&self, what: impl FnOnce(&mut Tally)) {
        what(&mut self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    async fn deliver(&self, call: &HookCall, tries: usize) {
        for _ in 0..tries {
            let mut request = self.client.post(&call.url).timeout(Duration::from_secs(5)).body(call.body.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if request.send().await.is_ok_and(|reply| reply.status().is_success()) {
                self.count(|tally| tally.accepted += 1);
                return;
            }
        }
        self.count(|tally| tally.refused += 1);
    }
}

/// Calls that a vendor's many machines send at the same time.
const TOGETHER: usize = 32;

fn shuffle<T>(dice: &mut Dice, things: &mut [T]) {
    for end in (1..things.len()).rev() {
        things.swap(end, dice.below(end + 1));
    }
}

fn forged(call: HookCall) -> HookCall {
    let mut body = call.body.to_vec();
    let middle = body.len() / 2;
    if let Some(byte) = body.get_mut(middle) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    HookCall { body: body.into(), ..call }
}

/// WeCom retries three times; that is the smallest number any recorded vendor uses.
const TRIES: usize = 4;

/// The signature that many vendors put beside a body: base64 of its HMAC-SHA256.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}
