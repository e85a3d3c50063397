//! HTTP for every connector: bounded in time and size, kept to the addresses the connection may call.
//!
//! Redirects are not followed: a system that moves is told by the operator, and a credential never travels to a host
//! that nobody named. Proxies from the environment are not used, since they would hide the address rule's object.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use huiliu_core::clock::Clock;
use huiliu_core::connector::{ConnectorError, Cx, Network, Result};
use huiliu_core::offset::ClockOffset;
use huiliu_core::quota::Quota;
use jiff::Timestamp;
pub use reqwest::Method;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use crate::address::{self, Refused, Resolver};
use crate::version;

/// A host that does not even take the connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request, complete but for what the transport adds. It has no debug form: its headers hold credentials.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Option<Bytes>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None }
    }

    /// Sets a header. The value is marked as sensitive, so that no log of the transport shows it.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] if name or value cannot stand in a header; the value is not shown.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self> {
        let refused =
            || ConnectorError::broken(format!("the value for header {name} holds characters that no header takes"));
        let name = HeaderName::try_from(name).map_err(|_| refused())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| refused())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Sets a JSON body and its content type.
    pub fn json(mut self, body: &Value) -> Self {
        self.headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(Bytes::from(body.to_string()));
        self
    }

    /// Sets a form body and its content type.
    pub fn form<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.headers.insert(reqwest::header::CONTENT_TYPE, form);
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body = Some(Bytes::from(body));
        self
    }
}

/// A whole reply, whatever its status.
#[derive(Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Bytes,
}

impl Response {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, if it is readable text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Retry-After`: seconds, or an HTTP date counted from `now`.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        let wait_ms = at.as_millisecond().saturating_sub(now.as_millisecond());
        Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
    }
}

/// The way out for one connection.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    network: Network,
    quota: Arc<Quota>,
    clock: Clock,
    offset: Arc<ClockOffset>,
    timeout: Duration,
    bytes_max: u64,
}

impl Http {
    /// The way out for a connection: each call ends within `timeout`, and a reply above `bytes_max` is refused.
    ///
    /// # Errors
    /// [`ConnectorError::Broken`] if no client can be set up on this machine.
    pub fn for_cx(cx: &Cx, timeout: Duration, bytes_max: u64) -> Result<Self> {
        Ok(Self {
            client: client(cx.network, Protocol::Any)?,
            network: cx.network,
            quota: cx.quota.clone(),
            clock: cx.clock.clone(),
            offset: cx.offset.clone(),
            timeout,
            bytes_max,
        })
    }

    /// The same, never over HTTP/2: some vendors' gateways answer it with 502.
    ///
    /// # Errors
    /// As [`Http::for_cx`].
    pub fn http1_only(mut self) -> Result<Self> {
        self.client = client(self.network, Protocol::Http1)?;
        Ok(self)
    }

    /// How long a reply asks to wait, by the connection's clock.
    pub fn retry_after(&self, response: &Response) -> Option<Duration> {
        response.retry_after(self.clock.now())
    }

    /// Waits for the quota, sends, and reads the whole reply. A reply of any status is a reply; a `Retry-After` on 429
    /// and 503 silences the connection's other calls too.
    ///
    /// # Errors
    /// [`ConnectorError::Unreached`] when there was no connection, [`ConnectorError::Transient`] when no complete reply
    /// came, [`ConnectorError::Broken`] for a forbidden address
    /// or a reply over the bound. The texts name the host and the cause, never the query.
    pub async fn send(&self, request: Request) -> Result<Response> {
        address::check_url(&request.url, self.network)?;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let endpoint = request.url.path().to_owned();
        self.quota.acquire_at(&endpoint).await;
        let mut builder =
            self.client.request(request.method, request.url).headers(request.headers).timeout(self.timeout);
        if let Some(body) = request.body {
            builder = builder.body(body);
        }
        let asked_us = self.clock.now_us();
        let mut answer = builder.send().await.map_err(|error| lost(&host, error))?;
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        // A reply out of a cache tells the time at which it went in there.
        if let (Some(told), false) = (version::date(&headers), headers.contains_key("age")) {
            self.offset.told(told.as_microsecond(), asked_us, self.clock.now_us());
        }
        let too_long = || {
            let bound = self.bytes_max;
            ConnectorError::broken(format!("{host} answered with more than {bound} bytes; ask for smaller pages"))
        };
        if answer.content_length().is_some_and(|length| length > self.bytes_max) {
            return Err(too_long());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| lost(&host, error))? {
            if (body.len() + chunk.len()) as u64 > self.bytes_max {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        let response = Response { status, headers, body: body.freeze() };
        if matches!(status, 429 | 503)
            && let Some(wait) = response.retry_after(self.clock.now())
        {
            if status == 429 {
                self.quota.refused(&endpoint, Some(wait));
            } else {
                self.quota.pause(wait);
            }
        }
        Ok(response)
    }
}

#[derive(Clone, Copy)]
enum Protocol {
    Any,
    Http1,
}

/// One client a kind: its connection pool is worth sharing.
fn client(network: Network, protocol: Protocol) -> Result<reqwest::Client> {
    static CLIENTS: [OnceLock<reqwest::Client>; 4] =
        [OnceLock::new(), OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let kind = match (network, protocol) {
        (Network::Public, Protocol::Any) => 0,
        (Network::Public, Protocol::Http1) => 1,
        (Network::Private, Protocol::Any) => 2,
        (Network::Private, Protocol::Http1) => 3,
    };
    if let Some(known) = CLIENTS[kind].get() {
        return Ok(known.clone());
    }
    // Whoever is first chooses the crypto provider of the process; ring is the workspace's choice for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(concat!("huiliu/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .dns_resolver(Arc::new(Resolver(network)));
    let builder = if matches!(protocol, Protocol::Http1) { builder.http1_only() } else { builder };
    let fresh = builder.build().map_err(|error| {
        let cause = deepest(&error);
        ConnectorError::broken(format!("no HTTP client on this machine: {cause}; is ca-certificates installed?"))
    })?;
    Ok(CLIENTS[kind].get_or_init(|| fresh).clone())
}

/// No complete reply: says host and cause. The URL's query can hold a credential, so it never shows.
fn lost(host: &str, error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return ConnectorError::broken(refused.to_string());
        }
        source = cause.source();
    }
    let what = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "could not be reached"
    } else {
        "gave no complete answer"
    };
    let detail = format!("{host} {what}: {}", deepest(&error));
    // Without a connection nothing of the request has left.
    if error.is_connect() {
        ConnectorError::Unreached { detail, after: None }
    } else {
        ConnectorError::transient(detail)
    }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
