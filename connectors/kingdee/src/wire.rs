//! Carries one signed call out and sorts what can go wrong by what the hub does next.

use std::time::Duration;

use bytes::Bytes;
use huiliu_core::connector::{ConnectorError, Cx, Result};
use huiliu_core::manifest::Limits;
use huiliu_rest::http::{Http, Method, Request, Response};
use serde_json::Value;
use url::Url;

use crate::headers::Signer;
use crate::reply::{self, Failure};

/// What a call does to the system. It decides what may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Repeating it costs nothing.
    Read,
    /// Never repeated here, whatever the answer says: the delivery is retried as a whole, and reads the state first.
    Write,
}

/// The way to the system.
pub struct Wire {
    limits: Limits,
}

/// A reason longer than this is cut: it is for a person to read.
const REASON_CHARS_MAX: usize = 300;

/// A record that somebody holds open is free again after minutes, not seconds.
const BUSY_RETRY: Duration = Duration::from_mins(1);

/// Texts of the system's record locks (网络控制). Unverified: the vendor publishes no list of its messages. A lock that
/// says something else is a refusal, and a person retries it.
const BUSY_TEXTS: &[&str] = &["网络控制", "网控"];

impl Wire {
    /// A way to the system within these bounds.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Calls a service with a JSON body and opens the answer.
    pub async fn call(&self, cx: &Cx, service: &str, body: &Value, intent: Intent) -> Result<Value> {
        let first = self.once(cx, service, body).await?;
        let failure = match (reply::open(&first), intent) {
            (Ok(value), _) => return Ok(value),
            // A signed call needs no login, so asking again is the whole of a new session.
            (Err(Failure::NoSession), Intent::Read) => {
                let second = self.once(cx, service, body).await?;
                match reply::open(&second) {
                    Ok(value) => return Ok(value),
                    Err(failure) => failure,
                }
            }
            (Err(failure), _) => failure,
        };
        Err(sort(service, failure, body, intent))
    }

    async fn once(&self, cx: &Cx, service: &str, body: &Value) -> Result<Bytes> {
        let base = cx.setting("base_url")?.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/{service}.common.kdsvc")).map_err(|_| {
            ConnectorError::broken(format!("config.base_url of connection {} is not a URL", cx.connection))
        })?;
        let signed = Signer::of(cx)?.sign(url.path(), cx.clock.now().as_second())?;
        let mut request = Request::new(Method::POST, url).json(body);
        for (name, value) in signed {
            request = request.header(name, &value)?;
        }
        let timeout = Duration::from_millis(self.limits.timeout_ms);
        // Over HTTP/2 the vendor's gateway has answered 502.
        let http = Http::for_cx(cx, timeout, self.limits.response_bytes_max)?.http1_only()?;
        let response = http.send(request).await?;
        accept(&response, http.retry_after(&response), short(service))?;
        Ok(response.body)
    }
}

/// `Save` of `Kingdee.BOS.WebApi.ServicesStub.DynamicFormService.Save`.
fn short(service: &str) -> &str {
    service.rsplit('.').next().unwrap_or(service)
}

/// The system answers with 200 or 206; anything else comes from what stands before it.
fn accept(response: &Response, after: Option<Duration>, what: &str) -> Result<()> {
    let detail = format!("{what}: HTTP {}", response.status);
    match response.status {
        200 | 206 => Ok(()),
        401 | 403 => Err(ConnectorError::Unauthorized { detail }),
        429 => Err(ConnectorError::RateLimited { detail, after }),
        408 | 500..=599 => Err(ConnectorError::Transient { detail, after }),
        _ => Err(ConnectorError::broken(format!("{detail}; check config.base_url"))),
    }
}

fn sort(service: &str, failure: Failure, sent: &Value, intent: Intent) -> ConnectorError {
    let what = short(service);
    match (failure, intent) {
        (Failure::NoSession, Intent::Read) => ConnectorError::Unauthorized {
            detail: format!(
                "{what}: the system gave no session twice; check app id, app secret, user and account set, and that \
                 the app is enabled in the third-party login list"
            ),
        },
        (Failure::NoSession, Intent::Write) => {
            ConnectorError::transient(format!("{what}: the session was lost; the delivery starts over"))
        }
        (Failure::Fault { message }, _) => {
            ConnectorError::transient(format!("{what}: the system failed inside: {}", redact(&message, sent)))
        }
        (Failure::Malformed, Intent::Read) => {
            ConnectorError::broken(format!("{what}: the answer is not JSON; check config.base_url"))
        }
        // The write may have happened; the retried delivery finds out.
        (Failure::Malformed, Intent::Write) => ConnectorError::transient(format!("{what}: the answer is not JSON")),
        (Failure::Refused { message, .. }, Intent::Read) => {
            let reason = redact(&message, sent);
            ConnectorError::broken(format!(
                "{what}: refused: {reason}; if a field is unknown, compare the field keys in the settings with \
                 QueryBusinessInfo"
            ))
        }
        (Failure::Refused { field, message }, Intent::Write) => {
            let reason = format!("{what}: {}", redact(&message, sent));
            if BUSY_TEXTS.iter().any(|busy| message.contains(busy)) {
                ConnectorError::Transient { detail: reason, after: Some(BUSY_RETRY) }
            } else {
                ConnectorError::Rejected { at: field, reason }
            }
        }
    }
}

/// The system's message without the values we sent, which may be personal, and not longer than a person reads.
fn redact(message: &str, sent: &Value) -> String {
    let mut text = message.to_owned();
    hide(&mut text, sent);
    match text.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn hide(text: &mut String, sent: &Value) {
    match sent {
        // The model travels as JSON inside a text.
        Value::String(value) if value.starts_with('{') => {
            if let Ok(inner) = serde_json::from_str::<Value>(value) {
                hide(text, &inner);
            }
        }
        // One character says nothing about anybody, and hiding it would make the message unreadable.
        Value::String(value) if value.trim().chars().count() > 1 => *text = text.replace(value.trim(), "…"),
        Value::Array(list) => list.iter().for_each(|value| hide(text, value)),
        Value::Object(map) => map.values().for_each(|value| hide(text, value)),
        _ => {}
    }
}
