//! One call, from the first byte to the answer: bound it, prove it, keep it, answer. While no more may wait, it is sent away at
//! its head.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, OriginalUri, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use huiliu_core::connector::{RawRequest, Reply, Verified};
use huiliu_core::manifest::{Form, Verify, Webhook};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::calm::Calm;
use crate::dedupe;
use crate::form::{self, Limiter, Told};
use crate::hooks::{self, Hook, Hooks, Known};
use crate::intake::{Appended, Arrived, Intake, IntakeError};
use crate::verify::{self, Proven, Refusal};

/// The largest body: ten times the largest event any recorded vendor sends (an order with 250 lines, 100 kB).
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The largest sum of header names and values: what common proxies allow in front of us.
pub const HEADERS_BYTES_MAX: usize = 16 << 10;

/// A body must be here after so long: senders give up after 5 to 30 s, so who is slower only holds memory.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The append must have ended after so long: the strictest sender wants its answer in 5 s.
pub const APPEND_TIMEOUT: Duration = Duration::from_secs(4);

/// Bodies being read at one time take at most this much memory: 64 of the largest, 32,000 of the usual ones.
const IN_FLIGHT_KIB_MAX: u32 = 64 << 10;

/// When to come again after we were too busy or a store was too slow: both pass in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;

struct Server {
    hooks: Hooks,
    inbox: Arc<dyn Intake>,
    in_flight_kib: Semaphore,
    limiter: Limiter,
    overload: Calm,
}

/// `/hooks/{connection}`: POST for events; GET for the handshake of a sealed envelope and for a form.
pub fn router(hooks: Hooks, inbox: Arc<dyn Intake>) -> Router {
    let in_flight_kib = Semaphore::new(IN_FLIGHT_KIB_MAX as usize);
    Router::new().route("/hooks/{connection}", any(answer)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(
        Arc::new(Server { hooks, inbox, in_flight_kib, limiter: Limiter::default(), overload: Calm::default() }),
    )
}

async fn answer(
    State(server): State<Arc<Server>>,
    OriginalUri(uri): OriginalUri,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let target = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
    let began = Instant::now();
    let known = server.hooks.get(&name);
    let hook = known.as_ref().map(|known| &known.hook);
    let outcome = receive(&server, known.as_deref(), target, request).await;
    outcome.log(hook.map_or("unknown", |hook| hook.connection.as_str()), &server.overload);
    hooks::count(known.as_deref(), outcome.word(), began.elapsed());
    outcome.response()
}

/// How a call ended.
enum Outcome {
    Fresh(Reply),
    Repeat(Reply),
    Handshake(Reply),
    Form(&'static str, Reply),
    Unknown,
    Method,
    HeadersTooLarge,
    BodyTooLarge,
    BodyBroken,
    BodySlow,
    Busy,
    Refused(Refusal),
    Full { retry_after_seconds: u32 },
    TooMany { retry_after_seconds: u32 },
    Slow,
    Away,
    Failed(String),
}

async fn receive(server: &Server, known: Option<&Known>, target: String, request: Request) -> Outcome {
    if let Some(known) = known.filter(|_| request.method() == Method::POST) {
        if let Some(retry_after_seconds) = known.crowded() {
            return Outcome::TooMany { retry_after_seconds };
        }
        if let Some(retry_after_seconds) = server.inbox.full() {
            return Outcome::Full { retry_after_seconds };
        }
    }
    let method = request.method().as_str().to_owned();
    let Some(headers) = lower_case(request.headers()) else { return Outcome::HeadersTooLarge };
    // Known where the server was started so that it tells: `into_make_service_with_connect_info`.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let (_memory, body) = match read(server, request).await {
        Ok(read) => read,
        Err(outcome) => return outcome,
    };
    let served = known.and_then(|known| Some((known, known.hook.connector.manifest().webhook.as_ref()?)));
    let Some((known, webhook)) = served else {
        verify::pretend(&body);
        return Outcome::Unknown;
    };
    if let Verify::Form(rule) = &webhook.verify {
        let raw = RawRequest { method, target, headers, body };
        return form(server, (known, webhook, rule), raw, peer).await;
    }
    let hook = &known.hook;
    let sealed = matches!(webhook.verify, Verify::Connector {});
    let is_post = method == "POST";
    let is_handshake = sealed && method == "GET";
    if !is_post && !is_handshake {
        return Outcome::Method;
    }
    let raw = RawRequest { method, target, headers, body };
    match verify::verify(hook.connector.as_ref(), webhook, &hook.cx, raw) {
        Ok(Proven::Handshake(reply)) => Outcome::Handshake(reply),
        Ok(Proven::Message { .. }) if !is_post => Outcome::Method,
        Ok(Proven::Message { verified, dedupe, reply }) => {
            let dedupe = dedupe.unwrap_or_else(|| dedupe::key(&webhook.dedupe, &verified));
            keep(server, known, arrived(hook, webhook, verified, dedupe), reply).await
        }
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// A form answers people, and lets the pages of its origins read the answer.
async fn form(
    server: &Server,
    (known, webhook, rule): (&Known, &Webhook, &Form),
    raw: RawRequest,
    peer: Option<IpAddr>,
) -> Outcome {
    let hook = &known.hook;
    if !["GET", "POST", "OPTIONS"].contains(&raw.method.as_str()) {
        return Outcome::Method;
    }
    let desk = match form::Desk::new(rule, &hook.cx) {
        Ok(desk) => desk,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    let shared = desk.shared(&raw);
    let open = |mut reply: Reply| {
        reply.headers.extend(shared.iter().cloned());
        reply
    };
    match desk.receive(&server.limiter, raw, peer) {
        Ok(Told::Answer(word, reply)) => Outcome::Form(word, open(reply)),
        Ok(Told::Keep { verified, dedupe, done, again }) => {
            match keep(server, known, arrived(hook, webhook, verified, dedupe), open(done)).await {
                Outcome::Repeat(_) => Outcome::Repeat(open(again)),
                other => other,
            }
        }
        Err(refusal) => Outcome::Refused(refusal),
    }
}

async fn keep(server: &Server, known: &Known, arrived: Arrived, reply: Reply) -> Outcome {
    let _turn = match known.turn() {
        Ok(turn) => turn,
        Err(retry_after_seconds) => return Outcome::TooMany { retry_after_seconds },
    };
    match tokio::time::timeout(APPEND_TIMEOUT, server.inbox.append(arrived)).await {
        Ok(Ok(Appended::Fresh)) => Outcome::Fresh(reply),
        Ok(Ok(Appended::Repeat)) => Outcome::Repeat(reply),
        Ok(Err(IntakeError::Full { retry_after_seconds })) => Outcome::Full { retry_after_seconds },
        Ok(Err(error @ IntakeError::Failed(_))) => Outcome::Failed(error.to_string()),
        Ok(Err(IntakeError::Away)) => Outcome::Away,
        Err(_) => Outcome::Slow,
    }
}

/// The body, and the memory it was granted.
async fn read(server: &Server, request: Request) -> Result<(SemaphorePermit<'_>, Bytes), Outcome> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = declared.unwrap_or(BODY_BYTES_MAX);
    if bytes > BODY_BYTES_MAX {
        return Err(Outcome::BodyTooLarge);
    }
    let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(IN_FLIGHT_KIB_MAX);
    let memory = server.in_flight_kib.try_acquire_many(kib).map_err(|_| Outcome::Busy)?;
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok((memory, body)),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Outcome::BodyTooLarge),
        Ok(Err(_)) => Err(Outcome::BodyBroken),
        Err(_) => Err(Outcome::BodySlow),
    }
}

/// Names come in lower case from the HTTP library. A value that is not text is left out: as a missing header it
/// proves nothing.
fn lower_case(headers: &HeaderMap) -> Option<Vec<(String, String)>> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let text = |value: &HeaderValue| String::from_utf8(value.as_bytes().to_vec()).ok();
    (bytes <= HEADERS_BYTES_MAX)
        .then(|| headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect())
}

/// Whether a header never enters the inbox: credentials, and what only the transport needs (proxies write the address of
/// the person behind the call there).
fn is_dropped(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-encoding"
            | "authorization"
            | "connection"
            | "content-length"
            | "cookie"
            | "forwarded"
            | "host"
            | "proxy-authorization"
            | "transfer-encoding"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-proto"
            | "x-real-ip"
    )
}

fn arrived(hook: &Hook, webhook: &Webhook, verified: Verified, dedupe: String) -> Arrived {
    let RawRequest { target, mut headers, body, .. } = verified.request;
    let (credential, param) = match &webhook.verify {
        Verify::HmacSha256 { header, .. } => (Some(header.as_str()), None),
        Verify::SharedToken { header, param, .. } => (header.as_deref(), param.as_deref()),
        Verify::Standard { .. } => (Some("webhook-signature"), None),
        Verify::HubspotV3 { .. } => (Some("x-hubspot-signature-v3"), None),
        Verify::Form(_) => (None, Some("token")),
        Verify::Basic { .. } | Verify::Connector {} | Verify::None { .. } => (None, None),
    };
    headers
        .retain(|(name, _)| !is_dropped(name) && !credential.is_some_and(|dropped| name.eq_ignore_ascii_case(dropped)));
    let target = param.map_or_else(|| target.clone(), |param| without_param(&target, param));
    Arrived { connection: hook.connection.clone(), target, headers, body, dedupe }
}

fn without_param(target: &str, param: &str) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let kept: Vec<&str> =
        query.split('&').filter(|pair| pair.split_once('=').map_or(*pair, |(key, _)| key) != param).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

impl Outcome {
    /// The word in metrics and logs.
    fn word(&self) -> &'static str {
        match self {
            Self::Fresh(_) => "fresh",
            Self::Repeat(_) => "repeat",
            Self::Handshake(_) => "handshake",
            Self::Form(word, _) => word,
            Self::Unknown => "unknown",
            Self::Method => "method",
            Self::HeadersTooLarge => "headers_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyBroken => "body_broken",
            Self::BodySlow => "body_slow",
            Self::Busy => "busy",
            Self::Refused(Refusal::Unauthorized(_)) => "unauthorized",
            Self::Refused(Refusal::Malformed(_)) => "malformed",
            Self::Refused(Refusal::NotReady(_)) => "not_ready",
            Self::Full { .. } => "full",
            Self::TooMany { .. } => "too_many",
            Self::Slow => "slow",
            Self::Away => "away",
            Self::Failed(_) => "failed",
        }
    }

    /// Once a call, with the connection's name and no word of the content; that we are overloaded, once a second.
    fn log(&self, connection: &str, overload: &Calm) {
        let outcome = self.word();
        match self {
            Self::Fresh(_) | Self::Repeat(_) | Self::Handshake(_) | Self::Form(..) | Self::Unknown | Self::Away => {
                tracing::debug!(connection, outcome, "webhook answered");
            }
            Self::Refused(refusal @ Refusal::NotReady(_)) => {
                tracing::error!(connection, outcome, reason = %refusal, "webhook refused: mend the connection");
            }
            Self::Refused(refusal) => tracing::warn!(connection, outcome, reason = %refusal, "webhook refused"),
            Self::Failed(reason) => {
                tracing::error!(connection, outcome, reason, "webhook not kept; the sender will retry");
            }
            Self::Full { .. } | Self::TooMany { .. } | Self::Slow | Self::Busy => {
                if let Some(calls) = overload.times(Instant::now()) {
                    tracing::warn!(connection, outcome, calls, "webhooks not kept; the senders will retry");
                }
            }
            Self::Method | Self::HeadersTooLarge | Self::BodyTooLarge | Self::BodyBroken | Self::BodySlow => {
                tracing::warn!(connection, outcome, "webhook refused");
            }
        }
    }

    fn response(self) -> Response {
        let word = self.word();
        let (status, message) = match self {
            Self::Fresh(reply) | Self::Repeat(reply) | Self::Handshake(reply) | Self::Form(_, reply) => {
                return sent(reply);
            }
            Self::Unknown => (StatusCode::NOT_FOUND, "No webhook is served at this address.".to_owned()),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "Send events with POST.".to_owned()),
            Self::HeadersTooLarge => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                format!("The headers are larger than {HEADERS_BYTES_MAX} bytes."),
            ),
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("The body is larger than {BODY_BYTES_MAX} bytes."))
            }
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "The body did not arrive whole. Send it again.".to_owned()),
            Self::BodySlow => (StatusCode::REQUEST_TIMEOUT, "The body took too long. Send it again.".to_owned()),
            Self::Refused(Refusal::Unauthorized(text)) => (StatusCode::UNAUTHORIZED, text),
            Self::Refused(Refusal::Malformed(text)) => (StatusCode::BAD_REQUEST, text),
            // What is missing is the operator's business: it is in the log.
            Self::Refused(Refusal::NotReady(_)) => {
                return later(
                    UNAVAILABLE,
                    word,
                    "This connection is not set up to prove calls yet.",
                    RETRY_AFTER_SECONDS,
                );
            }
            Self::Full { retry_after_seconds } => {
                return later(UNAVAILABLE, word, "Too much is waiting. Send it again later.", retry_after_seconds);
            }
            Self::TooMany { retry_after_seconds } => {
                let message = "This connection calls more than it may. Send it again later.";
                return later(StatusCode::TOO_MANY_REQUESTS, word, message, retry_after_seconds);
            }
            Self::Slow | Self::Busy => {
                return later(UNAVAILABLE, word, "Too busy now. Send it again later.", RETRY_AFTER_SECONDS);
            }
            Self::Away => {
                return later(
                    UNAVAILABLE,
                    word,
                    "Events cannot be kept now. Send it again later.",
                    RETRY_AFTER_SECONDS,
                );
            }
            Self::Failed(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The event could not be kept. Send it again later.".to_owned())
            }
        };
        let mut response = refusal(status, word, &message);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

fn later(status: StatusCode, word: &str, message: &str, after_seconds: u32) -> Response {
    let mut response = refusal(status, word, message);
    response.headers_mut().insert(header::RETRY_AFTER, after_seconds.into());
    response
}

fn refusal(status: StatusCode, word: &str, message: &str) -> Response {
    let body = serde_json::json!({"error": word, "message": message}).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn sent(reply: Reply) -> Response {
    // A connector's own status that is no HTTP status is a fault of ours, not an acceptance.
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(header::CONTENT_TYPE, reply.content_type)], Body::from(reply.body)).into_response();
    for (name, value) in reply.headers {
        // A setting that no header takes is left out; the page says the rest.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
