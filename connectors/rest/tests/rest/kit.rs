//! A server that says what the test tells it to, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Response, Uri};
use huiliu_core::clock::Clock;
use huiliu_core::connector::{Connector as _, Cursor, Cx, Delivery, Network, Operation, Received};
use huiliu_core::manifest::Manifest;
use huiliu_core::secrets::Secret;
use huiliu_rest::connector::RestConnector;
use serde_json::Value;
use tokio::task::JoinHandle;
use url::Url;

/// 2026-01-01T00:00:00Z in seconds.
pub const DAY_ONE_S: i64 = 1_767_225_600;

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub delay: Duration,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), delay: Duration::ZERO }
    }

    pub fn json(body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::status(200) }
    }

    pub fn text(body: &str) -> Self {
        Self { body: body.to_owned(), ..Self::status(200) }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn code(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

type Script = Arc<Mutex<dyn FnMut(&Asked) -> Answer + Send>>;

#[derive(Clone)]
struct Desk {
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// The server; it stops when it is dropped.
pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts on a free port; `script` is called for each request.
    pub async fn start(script: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let desk = Desk { script: Arc::new(Mutex::new(script)), asked: asked.clone() };
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::max(1 << 20)).with_state(desk);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, task }
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn answer(State(desk): State<Desk>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let url = Url::parse("http://here").unwrap().join(&uri.to_string()).unwrap();
    let asked = Asked {
        method: method.to_string(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    desk.asked.lock().unwrap().push(asked.clone());
    let answer = (desk.script.lock().unwrap())(&asked);
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

/// A manifest with these lines below `[connector]`, or a panic with its mistakes.
pub fn connector(text: &str) -> RestConnector {
    RestConnector::new(manifest(text)).unwrap()
}

/// The same, not yet checked.
pub fn manifest(text: &str) -> Manifest {
    let head = r#"
[connector]
name = "kit"
title = "Kit"
about = "A system that a test plays."
driver = "rest"
base_url = "{config.base_url}"
config.base_url = { type = "url", description = "Where the test listens." }
config.shop = { type = "string", description = "A part of the address.", default = "one" }
secret.key = { description = "A secret." }
secret.other = { description = "Another secret." }
"#;
    Manifest::parse("connectors/kit/connector.toml", &format!("{head}{text}")).unwrap()
}

/// What a connection to the server may touch.
pub fn cx(server: &Server) -> Cx {
    cx_at(&server.url)
}

/// What a connection to an address may touch.
pub fn cx_at(base_url: &str) -> Cx {
    let settings = [("base_url", base_url), ("shop", "one")];
    let secrets = [("key", "s3cret-key"), ("other", "0ther-s3cret")];
    Cx {
        settings: Arc::new(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        secrets: Arc::new(secrets.map(|(name, value)| (name.to_owned(), Secret::new(value))).into()),
        ..Cx::bare("kit-1", Clock::manual(DAY_ONE_S * 1_000_000), Network::Private)
    }
}

/// A first attempt to write into `customers`.
pub fn delivery(operation: Operation, id: Option<&str>, body: Value) -> Delivery {
    Delivery {
        number: 7,
        operation,
        stream: "customers".into(),
        id: id.map(Into::into),
        body,
        base: Value::Null,
        base_version: None,
        idempotency_key: "0123456789abcdef0123456789abcdef".to_owned(),
        attempt: 1,
    }
}

/// The ids of received items; deletions with a dash before.
pub fn ids(items: &[Received]) -> Vec<String> {
    items
        .iter()
        .map(|item| match item {
            Received::Record(record) => record.id.to_string(),
            Received::Deleted { id, .. } => format!("-{id}"),
            Received::Merged { id, into, .. } => format!("{id}>{into}"),
            other => panic!("neither a record nor a deletion: {other:?}"),
        })
        .collect()
}

/// Pulls `customers` until nothing more is waiting: the ids in order, all cursors on the way (the first is the one
/// that was given), and whether the last page closed a complete scan.
pub async fn pull_all(
    connector: &RestConnector,
    cx: &Cx,
    from: Option<Cursor>,
) -> (Vec<String>, Vec<Option<Cursor>>, bool) {
    let (mut found, mut cursors) = (Vec::new(), vec![from]);
    loop {
        let here = cursors.last().cloned().flatten();
        let page = connector.pull(cx, &"customers".into(), here.as_ref()).await.unwrap();
        found.extend(ids(&page.items));
        cursors.push(page.next.or(here));
        assert!(cursors.len() < 200, "paging does not end");
        if !page.more {
            return (found, cursors, page.complete_scan);
        }
    }
}
