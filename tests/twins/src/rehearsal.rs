//! A stand-in for a system of which nothing is known but its manifest and its fixtures.
//!
//! It reads the manifest backwards: a request is matched against the declared calls, and answered with the fixtures'
//! records through the declared paths, pages, filters, authentication, writes and batches; recorded webhook calls are
//! signed anew by the declared scheme. It proves that manifest, mapping and fixtures fit each other and that the engine
//! keeps the contract with them. It cannot prove that the vendor speaks so: that is what recorded fixtures, a twin or
//! a real server are for.

pub mod answer;
pub mod book;
pub mod calls;
pub mod gate;
pub mod hooks;
pub mod pages;
pub mod pattern;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use huiliu_core::manifest::{Auth, Manifest, Paginate, SettingKind};
use serde_json::{Value, json};

use crate::front::FRONT_HOST;
use answer::{Asked, Desk, PAGE};
use book::Book;
use gate::Tokens;

/// Where tokens are exchanged.
const TOKEN_PATH: &str = "/rehearsal/token";

/// One request as it came in, without credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers that say something about the call.
    pub headers: BTreeMap<String, String>,
    /// JSON body; null if there is none.
    pub body: Value,
}

struct Inner {
    manifest: Manifest,
    known: BTreeMap<String, String>,
    moved: BTreeMap<String, Vec<(String, String)>>,
    base: String,
    book: Book,
    tokens: Tokens,
    seen: Vec<Request>,
    strange: Vec<String>,
}

impl Inner {
    /// Where the caller thinks that this is: a front may stand in between, and signatures cover the address.
    fn called(&self, headers: &HeaderMap) -> String {
        let host = headers.get(FRONT_HOST).or_else(|| headers.get("host")).and_then(|host| host.to_str().ok());
        host.map_or_else(|| self.base.clone(), |host| format!("http://{host}"))
    }
}

/// See the module. It stops when it is dropped.
pub struct Rehearsal {
    inner: Arc<Mutex<Inner>>,
    server: tokio::task::JoinHandle<()>,
}

/// What the system is made of.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// Records by stream.
    pub records: BTreeMap<String, Vec<Value>>,
    /// By stream, where a value is read and where it is written, if these are two places.
    pub moved: BTreeMap<String, Vec<(String, String)>>,
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rehearsal {
    /// Stands in for the system of this manifest on a free loopback port.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(manifest: &Manifest, cast: Cast) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let manifest = staged(manifest, &base);
        let known = known(&manifest, &base);
        let mut book = Book::default();
        for (name, bodies) in cast.records {
            let Some(stream) = manifest.stream(&name) else { continue };
            for body in bodies {
                book.preload(&name, &stream, body);
            }
        }
        let inner = Inner {
            manifest,
            known,
            moved: cast.moved,
            base,
            book,
            tokens: Tokens::default(),
            seen: Vec::new(),
            strange: Vec::new(),
        };
        let inner = Arc::new(Mutex::new(inner));
        let router = Router::new().fallback(serve).with_state(inner.clone());
        let server = tokio::spawn(async move {
            // It serves until it is dropped; an accept error ends a rehearsal with refused connections.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { inner, server })
    }

    /// The manifest as it is rehearsed: short pages, and tokens from here.
    pub fn manifest(&self) -> Manifest {
        lock(&self.inner).manifest.clone()
    }

    /// Where it listens.
    pub fn base_url(&self) -> String {
        lock(&self.inner).base.clone()
    }

    /// Invented settings for the connection.
    pub fn settings(&self) -> BTreeMap<String, String> {
        self.known("config.")
    }

    /// Invented secrets for the connection.
    pub fn secrets(&self) -> BTreeMap<String, String> {
        self.known("secret.")
    }

    fn known(&self, kind: &str) -> BTreeMap<String, String> {
        let inner = lock(&self.inner);
        inner
            .known
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(kind)?.to_owned(), value.clone())))
            .collect()
    }

    /// The refresh token of a sign-in that somebody went through before.
    pub fn signed_in(&self) -> String {
        lock(&self.inner).tokens.signed_in()
    }

    /// How many records a stream has.
    pub fn count(&self, stream: &str) -> usize {
        lock(&self.inner).book.count(stream)
    }

    /// Writes so far.
    pub fn writes(&self) -> u64 {
        lock(&self.inner).book.writes
    }

    /// The requests since the last time this was asked.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.inner).seen)
    }

    /// Requests that no call of the manifest accounts for.
    pub fn strange(&self) -> Vec<String> {
        lock(&self.inner).strange.clone()
    }

    /// A recorded webhook call, signed anew for this system's secrets.
    pub fn signed(&self, call: &Value, connection: &str) -> hooks::Signed {
        let inner = lock(&self.inner);
        hooks::signed(&inner.manifest, &inner.known, call, connection)
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The manifest with the system's own addresses led here, and pages short enough that a few fixtures fill several.
fn staged(manifest: &Manifest, base: &str) -> Manifest {
    let mut manifest = manifest.clone();
    if let Some(Auth::Oauth2Code { token_url, .. } | Auth::Oauth2Client { token_url, .. }) = &mut manifest.auth {
        *token_url = format!("{base}{TOKEN_PATH}");
    }
    let short = |paginate: &mut Option<Paginate>| {
        if let Some(Paginate::Page { size, .. } | Paginate::Offset { size, .. } | Paginate::Keyset { size, .. }) =
            paginate
        {
            *size = PAGE as u64;
        }
    };
    short(&mut manifest.defaults.paginate);
    for stream in manifest.streams.values_mut() {
        short(&mut stream.paginate);
        if let Some(changes) = &mut stream.changes {
            short(&mut changes.paginate);
        }
        if let Some(deletes) = &mut stream.deletes {
            short(&mut deletes.paginate);
        }
    }
    // Nobody is spared here, and a check asks more in a second than a vendor allows.
    manifest.connector.limits.requests_per_second = None;
    manifest
}

/// 32 bytes in base64: a Standard Webhooks key.
const STANDARD_KEY: &str = "whsec_cmVoZWFyc2FsLXJlaGVhcnNhbC1yZWhlYXJzYWwhISE=";

fn known(manifest: &Manifest, base: &str) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for (name, setting) in &manifest.connector.config {
        let invented = match setting.kind {
            SettingKind::String => "rehearsal".to_owned(),
            SettingKind::Url => base.to_owned(),
            SettingKind::Integer => "1".to_owned(),
            SettingKind::Boolean => "false".to_owned(),
            SettingKind::Enum => setting.values.first().cloned().unwrap_or_default(),
        };
        let given = setting.default.clone().filter(|text| !text.is_empty() && setting.kind != SettingKind::Url);
        known.insert(format!("config.{name}"), given.unwrap_or(invented));
    }
    known.insert("config.base_url".to_owned(), base.to_owned());
    let standard = standard_secrets(manifest);
    for name in manifest.connector.secret.keys() {
        let invented =
            if standard.contains(name) { STANDARD_KEY.to_owned() } else { format!("rehearsed-{name}-5ecre7") };
        known.insert(format!("secret.{name}"), invented);
    }
    known
}

/// The names of the secrets that must have the form of a Standard Webhooks key.
fn standard_secrets(manifest: &Manifest) -> Vec<String> {
    use huiliu_core::manifest::Verify;
    let outward = match &manifest.auth {
        Some(Auth::StandardWebhook { secret }) => Some(secret),
        _ => None,
    };
    let inward = match manifest.webhook.as_ref().map(|webhook| &webhook.verify) {
        Some(Verify::Standard { secret }) => Some(secret),
        _ => None,
    };
    let name = |template: &String| Some(template.strip_prefix("{secret.")?.strip_suffix('}')?.to_owned());
    outward.into_iter().chain(inward).filter_map(name).collect()
}

/// Headers that travel with every call and say nothing about it, and those that hold credentials.
fn says_something(manifest: &Manifest, name: &str) -> bool {
    let manifests_own = manifest.connector.headers.keys().any(|known| known.eq_ignore_ascii_case(name));
    let writes = manifest.streams.values().flat_map(|stream| [&stream.create, &stream.update, &stream.delete]);
    let idempotency = writes.flatten().filter_map(|call| call.idempotency_header.as_deref());
    manifests_own
        || ["content-type", "if-match", "if-unmodified-since", "webhook-id"].contains(&name)
        || idempotency.into_iter().any(|known| known.eq_ignore_ascii_case(name))
}

async fn serve(
    State(inner): State<Arc<Mutex<Inner>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    raw: Bytes,
) -> Response {
    let mut inner = lock(&inner);
    let target = uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let url = reqwest::Url::parse(&format!("http://rehearsal{target}"));
    let query: Vec<(String, String)> = url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
    if uri.path() == TOKEN_PATH {
        return token(&mut inner, &headers, &raw);
    }
    let body: Value = serde_json::from_slice(&raw).unwrap_or_default();
    if let Some(answer) = log_in(&mut inner, &method, uri.path(), &body) {
        return answer;
    }
    note(&mut inner, &method, &target, &headers, &body);
    let called = inner.called(&headers);
    let address = format!("{called}{}", uri.path());
    let call = gate::Call { method: method.as_str(), address: &address, headers: &headers, query: &query, body: &raw };
    if !gate::admits(inner.manifest.auth.as_ref(), &inner.known, &inner.tokens, &call) {
        return answered(401, &[], &json!({ "message": "the credentials are wrong" }));
    }
    let path = unescaped(uri.path());
    let Inner { manifest, known, moved, book, strange, .. } = &mut *inner;
    let asked = Asked { method: method.as_str(), path, base: &called, call, body };
    let mut desk = Desk { manifest, known, moved, book };
    match desk.answer(&asked) {
        Some(answer) => answered(answer.status, &answer.headers, &answer.body),
        None => {
            strange.push(format!("{method} {}", asked.path));
            answered(404, &[], &json!({ "message": "no call of the manifest looks like this" }))
        }
    }
}

/// Keeps what a request says; a query parameter that holds the key is left out.
fn note(inner: &mut Inner, method: &Method, target: &str, headers: &HeaderMap, body: &Value) {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let said = headers.iter().filter(|(name, _)| says_something(&inner.manifest, name.as_str()));
    let headers = said.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let mut target = target.to_owned();
    for (name, value) in inner.known.iter().filter(|(name, _)| name.starts_with("secret.")) {
        target = target.replace(value.as_str(), &format!("{{{name}}}"));
    }
    // A signature is another one every time.
    if let Some((path, query)) = target.clone().split_once('?') {
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("oauth_")).collect();
        target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    }
    inner.seen.push(Request { method: method.to_string(), target, headers, body: body.clone() });
}

/// Opens a session, if this is the call that asks for one.
fn log_in(inner: &mut Inner, method: &Method, path: &str, body: &Value) -> Option<Response> {
    let Some(Auth::Login { path: at, graphql, body: template, token, .. }) = &inner.manifest.auth else { return None };
    let wanted = format!("/{}", at.as_deref().unwrap_or_default().trim_start_matches('/'));
    let asks = graphql.as_ref().map_or(at.is_some(), |document| body["query"] == document.as_str());
    if *method != Method::POST || path != wanted || !asks {
        return None;
    }
    let given = if graphql.is_some() { &body["variables"] } else { body };
    let wanted = template.as_ref().map(|template| pattern::settled_json(template, &inner.known)).unwrap_or_default();
    if !wanted.is_null() && *given != wanted {
        return Some(answered(401, &[], &json!({ "message": "the credentials are wrong" })));
    }
    let session = inner.tokens.session();
    let mut reply = json!({});
    Some(match token.split_once(':') {
        Some(("body", place)) => {
            book::put(&mut reply, place, Value::from(session));
            answered(200, &[], &reply)
        }
        Some((_, name)) => answered(200, &[(name.to_owned(), session)], &reply),
        None => answered(500, &[], &reply),
    })
}

fn token(inner: &mut Inner, headers: &HeaderMap, raw: &[u8]) -> Response {
    let form = reqwest::Url::parse(&format!("http://rehearsal/?{}", String::from_utf8_lossy(raw)));
    let form: BTreeMap<String, String> = form.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default();
    let Some(Auth::Oauth2Code { client, .. } | Auth::Oauth2Client { client, .. }) = inner.manifest.auth.clone() else {
        return answered(404, &[], &json!({ "error": "no OAuth 2 here" }));
    };
    let (status, body) = inner.tokens.issue(&client, &inner.known, headers, &form);
    answered(status, &[], &body)
}

fn answered(status: u16, headers: &[(String, String)], body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [("content-type", "application/json")], body.to_string()).into_response();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// A path without its percent-escapes.
fn unescaped(path: &str) -> String {
    let query = format!("http://rehearsal/?p={}", path.replace('+', "%2B").replace('&', "%26").replace('#', "%23"));
    let url = reqwest::Url::parse(&query).ok();
    url.and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned())).unwrap_or_else(|| path.to_owned())
}
