//! A connection with any manifest, an inbox that remembers, and a way to call the router.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_core::clock::Clock;
use huiliu_core::connector::{
    Connector, ConnectorError, Cursor, Cx, Delivery, Network, Opened, Page, RawRequest, Receipt, Received, Record,
    RecordKey, Reply, Result, StreamName, Verified,
};
use huiliu_core::manifest::Manifest;
use huiliu_core::quota::Quota;
use huiliu_core::secrets::{Secret, TokenVault};
use huiliu_webhooks::{Appended, Arrived, Hook, Hooks, Intake, IntakeError, Limits, router};
use tower::ServiceExt as _;

/// A connector that is only its manifest; its sealed envelope is the word `sealed:` before the content.
pub struct Paper(pub Manifest);

#[async_trait]
impl Connector for Paper {
    fn manifest(&self) -> &Manifest {
        &self.0
    }
    async fn check(&self, _: &Cx) -> Result<()> {
        Ok(())
    }
    async fn pull(&self, _: &Cx, _: &StreamName, _: Option<&Cursor>) -> Result<Page> {
        Err(ConnectorError::broken("nothing to pull"))
    }
    async fn fetch(&self, _: &Cx, _: &RecordKey) -> Result<Option<Record>> {
        Ok(None)
    }
    fn open(&self, _: &Cx, request: &RawRequest) -> Result<Opened> {
        if let Some(echo) = request.query("echo").filter(|_| request.method == "GET") {
            return Ok(Opened::Handshake(Reply { body: echo.into(), ..Reply::ok() }));
        }
        match request.body.strip_prefix(b"sealed:") {
            Some(inside) => Ok(Opened::Message {
                body: inside.to_vec().into(),
                dedupe: "event-7".into(),
                reply: Reply { body: "success".into(), ..Reply::ok() },
            }),
            None if request.body.starts_with(b"odd") => {
                Err(ConnectorError::Rejected { at: String::new(), reason: "the envelope has no content".into() })
            }
            None => Err(ConnectorError::Unauthorized { detail: "the envelope's signature is wrong".into() }),
        }
    }
    fn receive(&self, _: &Cx, _: &Verified) -> Result<Vec<Received>> {
        Ok(Vec::new())
    }
    async fn push(&self, _: &Cx, _: &Delivery) -> Result<Receipt> {
        Err(ConnectorError::broken("nothing to push"))
    }
}

/// A manifest with this `[webhook]` table.
pub fn paper(webhook: &str) -> Arc<Paper> {
    let text = format!(
        "[connector]\nname = \"paper\"\ntitle = \"Paper\"\nabout = \"A test.\"\ndriver = \"rust\"\n\
         [connector.secret.webhook]\ndescription = \"The key.\"\n[streams]\n[webhook]\n{webhook}"
    );
    Arc::new(Paper(Manifest::parse("connector.toml", &text).unwrap()))
}

/// A context with these secrets, at this time.
pub fn cx(secrets: &[(&str, &str)], now_seconds: i64) -> Cx {
    Cx {
        connection: "shop".into(),
        settings: Arc::new(BTreeMap::from([("user".to_owned(), "hub".to_owned())])),
        secrets: Arc::new(secrets.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect()),
        clock: Clock::manual(now_seconds * 1_000_000),
        quota: Arc::new(Quota::unlimited()),
        tokens: Arc::new(TokenVault::in_memory()),
        network: Network::Public,
        offset: Arc::default(),
    }
}

/// What the next append does.
#[derive(Clone, Debug, Default)]
pub enum Mood {
    /// Keep it.
    #[default]
    Keep,
    /// Say this instead.
    Fail(IntakeError),
    /// Say beforehand that no more may wait, for so many seconds.
    Full(u32),
    /// Never end.
    Hang,
    /// Keep it when told to.
    Wait(Arc<tokio::sync::Notify>),
}

/// An inbox in memory.
#[derive(Default)]
pub struct Inbox {
    pub kept: Mutex<Vec<Arrived>>,
    pub mood: Mutex<Mood>,
}

#[async_trait]
impl Intake for Inbox {
    async fn append(&self, arrived: Arrived) -> std::result::Result<Appended, IntakeError> {
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Fail(error) => return Err(error),
            Mood::Hang => std::future::pending().await,
            Mood::Wait(told) => told.notified().await,
            Mood::Keep | Mood::Full(_) => {}
        }
        let mut kept = self.kept.lock().unwrap();
        if kept.iter().any(|known| known.dedupe == arrived.dedupe) {
            return Ok(Appended::Repeat);
        }
        kept.push(arrived);
        Ok(Appended::Fresh)
    }

    fn full(&self) -> Option<u32> {
        match *self.mood.lock().unwrap() {
            Mood::Full(seconds) => Some(seconds),
            _ => None,
        }
    }
}

/// A running router with one connection, `shop`.
pub struct Desk {
    pub inbox: Arc<Inbox>,
    pub hooks: Hooks,
    app: axum::Router,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub body: String,
}

impl Desk {
    pub fn new(webhook: &str, secrets: &[(&str, &str)], now_seconds: i64) -> Self {
        Self::of(paper(webhook), secrets, now_seconds)
    }

    pub fn of(connector: Arc<Paper>, secrets: &[(&str, &str)], now_seconds: i64) -> Self {
        let limits = Limits::default();
        let hook = Hook { connection: "shop".into(), connector, cx: cx(secrets, now_seconds), limits };
        let (hooks, inbox) = (Hooks::new([hook]), Arc::new(Inbox::default()));
        let app = router(hooks.clone(), Arc::<Inbox>::clone(&inbox));
        Self { inbox, hooks, app }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.app.clone().oneshot(request).await.unwrap().into_parts();
        #[expect(clippy::disallowed_methods, reason = "the router's own answers, bounded at 64 KiB")]
        let body = axum::body::to_bytes(body, 64 << 10).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub async fn post(&self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let request =
            headers.iter().fold(Request::post(target), |request, (name, value)| request.header(*name, *value));
        self.send(request.body(Body::from(body.to_vec())).unwrap()).await
    }

    pub fn kept(&self) -> Vec<Arrived> {
        self.inbox.kept.lock().unwrap().clone()
    }

    pub fn mood(&self, mood: Mood) {
        *self.inbox.mood.lock().unwrap() = mood;
    }
}

pub fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<sha2::Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A published key (the specification's own example), and not anybody's secret.
pub const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Signs as Standard Webhooks asks.
pub fn standard_signature(id: &str, stamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(STANDARD_SECRET.trim_start_matches("whsec_")).unwrap();
    let text = [id.as_bytes(), b".", stamp.as_bytes(), b".", body].concat();
    format!("v1,{}", base64(&hmac_sha256(&key, &text)))
}
