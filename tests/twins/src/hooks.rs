//! Sends a twin's webhooks, with the faults that real senders show.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;

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
}

/// The sending side of a twin's webhooks.
pub struct Hooks {
    client: reqwest::Client,
    fault: Mutex<Fault>,
    held: Mutex<Vec<HookCall>>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self::new()
    }
}

impl Hooks {
    /// A sender without faults.
    pub fn new() -> Self {
        #[allow(clippy::disallowed_methods)] // A stand-in for a vendor talks to loopback only.
        let client = reqwest::Client::new();
        Self { client, fault: Mutex::default(), held: Mutex::default() }
    }

    /// What happens to the calls from now on.
    pub fn set_fault(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = fault;
    }

    /// Sends a call under the present fault; a real vendor gives up after a few tries, and so does this one.
    pub async fn send(&self, call: HookCall) {
        let fault = *self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match fault {
            Fault::None => self.deliver(&call).await,
            Fault::Drop => {}
            Fault::Repeat => {
                self.deliver(&call).await;
                self.deliver(&call).await;
            }
            Fault::Hold => self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(call),
        }
    }

    /// Sends what was held, last first: the order a retry queue makes of it.
    pub async fn release(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for call in held.iter().rev() {
            self.deliver(call).await;
        }
    }

    async fn deliver(&self, call: &HookCall) {
        for _ in 0..TRIES {
            let mut request = self.client.post(&call.url).timeout(Duration::from_secs(5)).body(call.body.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            if request.send().await.is_ok_and(|reply| reply.status().is_success()) {
                return;
            }
        }
    }
}

/// WeCom retries three times; that is the smallest number any recorded vendor uses.
const TRIES: usize = 4;
