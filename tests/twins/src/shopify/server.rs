//! HTTP: one address, the access token, the leaky bucket of points, refusals under 200.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{self, Refusal};
use super::hooks_out::Event;
use super::shop::Saved;
use super::{ACCESS_TOKEN, API_VERSION, Fault, Inner, document};

/// A single query may not ask for more.
const COST_MAX: u64 = 1_000;
/// A mutation costs this much at least.
const MUTATION_COST: u64 = 10;

/// The leaky bucket: what is left flows back with time.
#[derive(Debug)]
pub(super) struct Bucket {
    available_milli: u64,
    at_ms: i64,
}

/// The size of the bucket on the standard plan.
const BUCKET_POINTS: u64 = 2_000;
/// What flows back in a second on the standard plan.
const RESTORE_POINTS: u64 = 100;

impl Default for Bucket {
    fn default() -> Self {
        Self { available_milli: BUCKET_POINTS * 1_000, at_ms: i64::MIN }
    }
}

impl Bucket {
    pub(super) fn set(&mut self, points: u64, now_ms: i64) {
        *self = Self { available_milli: points * 1_000, at_ms: now_ms };
    }

    fn refill(&mut self, now_ms: i64) {
        let passed = u64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(0);
        let filled = self.available_milli.saturating_add(passed.saturating_mul(RESTORE_POINTS));
        self.available_milli = filled.min(BUCKET_POINTS * 1_000);
        self.at_ms = now_ms;
    }

    fn points(&self) -> u64 {
        self.available_milli / 1_000
    }

    fn take(&mut self, points: u64) {
        self.available_milli = self.available_milli.saturating_sub(points * 1_000);
    }

    fn status(&self, requested: u64, actual: Option<u64>) -> Value {
        // The vendor writes two of the three with a decimal point.
        let text = format!(
            r#"{{"maximumAvailable":{BUCKET_POINTS}.0,"currentlyAvailable":{},"restoreRate":{RESTORE_POINTS}.0}}"#,
            self.points()
        );
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        json!({ "cost": { "requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": status } })
    }
}

/// The twin's routes.
pub(super) fn router(inner: Arc<Inner>) -> Router {
    Router::new().route("/admin/api/{version}/graphql.json", post(serve)).with_state(inner)
}

async fn serve(
    State(inner): State<Arc<Inner>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = inner.lock().faults.pop_front();
    if let Some(Fault::Status(status)) = fault {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        return (status, reply(&json!({ "errors": status.canonical_reason() }))).into_response();
    }
    if version != API_VERSION {
        return (StatusCode::NOT_FOUND, reply(&json!({ "errors": "Not Found" }))).into_response();
    }
    if headers.get("x-shopify-access-token").is_none_or(|token| token.as_bytes() != ACCESS_TOKEN.as_bytes()) {
        let text = "[API] Invalid API key or access token (unrecognized login or wrong password)";
        return (StatusCode::UNAUTHORIZED, reply(&json!({ "errors": text }))).into_response();
    }
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let asked = serde_json::from_slice::<Value>(&body).ok().filter(|asked| json && asked["query"].is_string());
    let Some(asked) = asked else {
        let text = json!({ "errors": { "query": "Required parameter missing or invalid" } });
        return (StatusCode::BAD_REQUEST, reply(&text)).into_response();
    };
    if let Some(Fault::Code(code)) = &fault {
        return reply(&errors("This call was refused on purpose", code));
    }
    let (answer, events) = carry_out(&inner, &asked);
    if let Some(exchanges) = &mut inner.lock().exchanges {
        exchanges.push((asked, answer.clone()));
    }
    inner.send_later(events);
    match fault {
        Some(Fault::CutAfter) => cut(&answer.to_string()),
        _ => reply(&answer),
    }
}

fn carry_out(inner: &Inner, asked: &Value) -> (Value, Vec<Event>) {
    let now_ms = inner.now_ms();
    let mut state = inner.lock();
    state.calls += 1;
    let none = json!({});
    let variables = asked.get("variables").filter(|given| given.is_object()).unwrap_or(&none);
    let operation = match document::parse(asked["query"].as_str().unwrap_or_default(), variables) {
        Ok(operation) => operation,
        Err(message) => return (json!({ "errors": [{ "message": message }] }), Vec::new()),
    };
    let least = if operation.is_mutation { MUTATION_COST } else { 0 };
    let requested = operation.fields.iter().map(answer::cost).sum::<u64>().max(least);
    if requested > COST_MAX {
        let text = format!("Query cost is {requested}, which exceeds the single query max cost limit ({COST_MAX}).");
        return (errors(&text, "MAX_COST_EXCEEDED"), Vec::new());
    }
    state.bucket.refill(now_ms);
    if requested > state.bucket.points() {
        state.throttled += 1;
        let mut refusal = errors("Throttled", "THROTTLED");
        refusal["extensions"] = state.bucket.status(requested, None);
        return (refusal, Vec::new());
    }
    let now_s = now_ms.div_euclid(1_000);
    match answer::answer(&mut state.shop, &operation, now_s) {
        Ok((data, saved)) => {
            let actual = answer::weight(&data).saturating_sub(1).clamp(least, requested.max(1));
            state.bucket.take(actual);
            let cost = state.bucket.status(requested, Some(actual));
            let mut events = Vec::new();
            for (id, how) in saved {
                events.extend(match how {
                    Saved::Created => Some(state.customer_event("customers/create", id, now_s)),
                    Saved::Changed => Some(state.customer_event("customers/update", id, now_s)),
                    Saved::Unchanged => None,
                });
            }
            (json!({ "data": data, "extensions": cost }), events)
        }
        Err(Refusal { message, code }) => (errors(&message, code), Vec::new()),
    }
}

fn errors(message: &str, code: &str) -> Value {
    json!({ "errors": [{ "message": message, "extensions": { "code": code } }] })
}

fn reply(body: &Value) -> Response {
    let headers =
        [(header::CONTENT_TYPE.as_str(), "application/json; charset=utf-8"), ("x-shopify-api-version", API_VERSION)];
    (headers, body.to_string()).into_response()
}

/// An answer whose connection dies before its end.
fn cut(text: &str) -> Response {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let died = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(futures::stream::iter([Ok(half), Err(died)])).into_response()
}
