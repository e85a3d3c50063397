//! A way in front of a twin: it passes calls on, keeps what passed, and interferes where told to, by hand ([`Fate`]) or by
//! a scenario ([`Front::play`]).

mod gate;
mod layer;
mod mask;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};

use crate::script::dialect::{Dialect, Kind};
use crate::script::{Fault, Script};
pub use gate::Pair;
pub use layer::Act;
use layer::{After, Before, Layer};
pub use mask::Shape;

/// What happens to one call.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It never reaches the twin; this is answered.
    Answer(u16, Bytes),
    /// It is passed on, this much later.
    Delay(Duration),
    /// It is carried out, and a gateway's 504 is answered instead.
    LoseAnswer,
    /// It never reaches the twin, and the answer waits this long.
    Stall(Duration),
}

struct Inner {
    target: String,
    /// With the word that a call must carry to meet the fate, if any.
    fates: VecDeque<(Option<String>, Fate)>,
    passed: usize,
    client: reqwest::Client,
    layer: Option<Layer>,
}

impl Inner {
    /// The first fate that is meant for a call with this address and body.
    fn fate(&mut self, address: &str, body: &[u8]) -> Option<Fate> {
        let carries =
            |word: &str| address.contains(word) || body.windows(word.len()).any(|part| part == word.as_bytes());
        let at = self.fates.iter().position(|(word, _)| word.as_deref().is_none_or(carries))?;
        self.fates.remove(at).map(|(_, fate)| fate)
    }
}

/// See the module. It stops when it is dropped.
pub struct Front {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The header that tells whom the caller called: a signature may cover it.
pub const FRONT_HOST: &str = "x-called-host";

/// A call of a test is small, and so is a twin's reply; a larger one is a mistake, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

async fn pass(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    #[allow(clippy::disallowed_methods)] // Bounded.
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (fate, target, client) = {
        let mut inner = lock(&inner);
        inner.passed += 1;
        (inner.fate(&parts.uri.to_string(), &body), inner.target.clone(), inner.client.clone())
    };
    match &fate {
        Some(Fate::Answer(status, body)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            return (status, [("content-type", "application/json"), ("retry-after", "1")], body.clone())
                .into_response();
        }
        Some(Fate::Stall(wait)) => tokio::time::sleep(*wait).await,
        Some(Fate::Delay(wait)) => {
            let wait = *wait;
            // It is on its way, whether or not the caller lives to hear the answer.
            let sent = tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                forward(&client, &target, parts, body).await
            });
            return sent.await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response());
        }
        None if lock(&inner).layer.is_some() => return played(&inner, &client, &target, parts, body).await,
        Some(Fate::LoseAnswer) | None => {
            let answer = forward(&client, &target, parts, body).await;
            return if fate.is_some() { StatusCode::GATEWAY_TIMEOUT.into_response() } else { answer };
        }
    }
    StatusCode::GATEWAY_TIMEOUT.into_response()
}

/// A call that a scenario may strike.
async fn played(
    inner: &Mutex<Inner>,
    client: &reqwest::Client,
    target: &str,
    mut parts: Parts,
    body: Bytes,
) -> Response {
    let call = format!("{} {}", parts.method, parts.uri.path_and_query().map_or("/", |it| it.as_str()));
    let asked = lock(inner).layer.as_mut().map(|layer| {
        let before = layer.pass_gate(&call, &mut parts.headers, &body).map(|before| (Kind::Token, before));
        before.unwrap_or_else(|| layer.before(&call, &body))
    });
    let Some((kind, before)) = asked else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (address, body) = match before {
        Before::Pass(address, body) => (address, body),
        Before::Cut => return cut(&[]),
        Before::Answer(status, is_told, text) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut answer = (status, [("content-type", "application/json")], text).into_response();
            if is_told {
                answer.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
            }
            return answer;
        }
    };
    parts.uri = address.parse().unwrap_or(parts.uri);
    parts.headers.remove("content-length");
    let (mut head, reply) = forward(client, target, parts, body.into()).await.into_parts();
    #[allow(clippy::disallowed_methods)] // Bounded.
    let reply = axum::body::to_bytes(reply, BODY_BYTES_MAX).await.unwrap_or_default();
    let (after, act) = match lock(inner).layer.as_mut() {
        Some(layer) => layer.after(kind, &call, &reply),
        None => (After::Answer(reply.to_vec()), None),
    };
    if let Some(act) = act {
        act().await;
    }
    match after {
        After::Cut => cut(&reply[..reply.len() / 2]),
        After::Answer(reply) => {
            head.headers.remove("content-length");
            Response::from_parts(head, Body::from(reply))
        }
    }
}

/// An answer whose connection dies before its end.
fn cut(begun: &[u8]) -> Response {
    let died = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(futures::stream::iter([Ok(Bytes::copy_from_slice(begun)), Err(died)])).into_response()
}

async fn forward(client: &reqwest::Client, target: &str, parts: Parts, body: Bytes) -> Response {
    let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    let mut headers = parts.headers;
    if let Some(host) = headers.remove("host") {
        headers.insert(FRONT_HOST, host);
    }
    let sent = client.request(parts.method, format!("{target}{path}")).headers(headers).body(body).send().await;
    let Ok(reply) = sent else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, mut headers) = (reply.status(), reply.headers().clone());
    headers.remove("transfer-encoding");
    headers.remove("content-length");
    #[allow(clippy::disallowed_methods)] // A twin's replies are small.
    let body = reply.bytes().await.unwrap_or_default();
    (status, headers, body).into_response()
}

impl Front {
    /// Stands in front of `target` (`http://host:port`).
    pub async fn of(target: &str) -> Self {
        // HTTP clients want a TLS provider even for plain loopback; whoever comes second finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[allow(clippy::disallowed_methods)] // Loopback to a twin.
        let client = reqwest::Client::new();
        let inner = Arc::new(Mutex::new(Inner {
            target: target.to_owned(),
            fates: VecDeque::new(),
            passed: 0,
            client,
            layer: None,
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().fallback(pass).with_state(inner.clone());
        let server = tokio::spawn(async move {
            // It serves until it is dropped; an accept error ends a test with refused connections.
            let _ = axum::serve(listener, router).await;
        });
        Self { inner, address, server }
    }

    /// The same address with this one in front: `http://twin:1/k3` becomes `http://front:2/k3`.
    pub fn instead_of(&self, url: &str) -> String {
        let target = lock(&self.inner).target.clone();
        url.replacen(&target, &format!("http://{}", self.address), 1)
    }

    /// From now on it stands in front of another target.
    pub fn aim(&self, target: &str) {
        target.clone_into(&mut lock(&self.inner).target);
    }

    /// The next call meets this fate, once; fates queue up.
    pub fn meet(&self, fate: Fate) {
        lock(&self.inner).fates.push_back((None, fate));
    }

    /// The next call whose address or body carries this word meets this fate, once.
    pub fn meet_with(&self, word: &str, fate: Fate) {
        lock(&self.inner).fates.push_back((Some(word.to_owned()), fate));
    }

    /// How many fates wait for their call.
    pub fn waiting(&self) -> usize {
        lock(&self.inner).fates.len()
    }

    /// Fates that no call has met are taken back.
    pub fn forget(&self) {
        lock(&self.inner).fates.clear();
    }

    /// Plays a scenario with a system of this dialect from now on: its habits, and the faults that [`Front::arm`] lays on.
    pub fn play(&self, dialect: Dialect, script: &Script) {
        lock(&self.inner).layer = Some(Layer::new(dialect, script));
    }

    /// Tokens are asked for from now on, and given at `/oauth/token`; the twin gets `own` in that header.
    pub fn guard(&self, header: &'static str, own: &str) {
        self.with(|layer| layer.guard(header, own));
    }

    /// A person signs in; none where nobody asks for tokens.
    pub fn sign_in(&self) -> Option<Pair> {
        lock(&self.inner).layer.as_mut().and_then(Layer::sign_in)
    }

    /// The next step of the scenario begins at this millisecond since 1970.
    pub fn step(&self, now_ms: i64) {
        self.with(|layer| layer.step(now_ms));
    }

    /// Each of these faults strikes the next call that it fits.
    pub fn arm(&self, faults: impl IntoIterator<Item = Fault>) {
        self.with(|layer| layer.arm(faults));
    }

    /// Nobody counts calls any more.
    pub fn end_quota(&self) {
        self.with(Layer::end_quota);
    }

    /// What people do when pages move: it happens before such a page is answered.
    pub fn between_pages(&self, act: Act) {
        self.with(|layer| layer.between = Some(act));
    }

    /// Records are shown in another form from now on; none: in their own.
    pub fn reshape(&self, shape: Option<Shape>) {
        self.with(|layer| layer.mask.shape = shape);
    }

    /// The twin's record of this id bears another one from now on; the former answers as one that never was.
    pub fn rename(&self, from: &str, to: &str) {
        self.with(|layer| layer.mask.rename(from, to));
    }

    /// Puts on record what struck beside the wire.
    pub fn note(&self, what: &str) {
        self.with(|layer| layer.note(what));
    }

    /// What struck so far, a line each: the step, the fault, the call.
    pub fn history(&self) -> Vec<String> {
        lock(&self.inner).layer.as_ref().map_or_else(Vec::new, Layer::history)
    }

    /// Faults that no call has met yet.
    pub fn armed(&self) -> Vec<Fault> {
        lock(&self.inner).layer.as_ref().map_or_else(Vec::new, Layer::armed)
    }

    fn with(&self, act: impl FnOnce(&mut Layer)) {
        if let Some(layer) = &mut lock(&self.inner).layer {
            act(layer);
        }
    }

    /// How many calls came.
    pub fn calls(&self) -> usize {
        lock(&self.inner).passed
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}
