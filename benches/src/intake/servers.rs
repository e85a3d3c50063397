//! The servers that are compared. Each listens on a port that it prints, and serves until it is killed.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_core::seal::SealedVault;
use huiliu_hub::{deployment, endpoints, hooks, logs, memory, metrics, run};
use huiliu_tests::postgres;
use huiliu_webhooks::{Bounds, Limits};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::load::KEY;
use crate::{peer, text};

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Server {
    /// Proves a call and answers.
    Bare,
    /// Proves a call, appends it to SQLite unless its event is known, and answers after a commit of all that waited.
    Floor,
    /// The hub's way in, with nobody behind it.
    Hub,
    /// The whole hub, which processes what arrives meanwhile.
    Live,
    /// As the floor, appending to Postgres.
    FloorPg,
    /// The hub's way in on Postgres, with nobody behind it.
    HubPg,
    /// The peer; see `--peer`.
    Restate,
}

impl Server {
    /// Those that are compared where nobody chooses, in the order of their turns.
    pub const USUAL: [Self; 4] = [Self::Bare, Self::Floor, Self::Hub, Self::Live];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Floor => "floor",
            Self::Hub => "hub",
            Self::Live => "live",
            Self::FloorPg => "floor-pg",
            Self::HubPg => "hub-pg",
            Self::Restate => "restate",
        }
    }

    /// Whether others are compared with it.
    pub fn is_floor(self) -> bool {
        matches!(self, Self::Floor | Self::FloorPg)
    }

    fn store(self) -> Option<String> {
        matches!(self, Self::FloorPg | Self::HubPg).then(postgres::durable)
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// A shop that tells of its customers and cannot be asked for anything.
const SHOP: &str = r#"
[connector]
name = "shop"
title = "Shop"
about = "A shop that signs its webhooks."
driver = "rest"
base_url = "http://127.0.0.1:9"
[connector.secret]
client_secret = { description = "What signs the webhooks." }
[auth]
kind = "none"
reason = "it is never called"
[defaults]
key = "/id"
version = "/updated_at"
version_kind = "instant"
[streams.customers]
about = "Customers."
[webhook]
verify = { kind = "hmac_sha256", header = "X-Shopify-Hmac-Sha256", encoding = "base64", secret = "{secret.client_secret}" }
dedupe = ["header:X-Shopify-Event-Id", "header:X-Shopify-Topic"]
carries = "record"
route = { by = "header:X-Shopify-Topic", topics = { "customers/create" = "customers", "customers/update" = "customers" } }
"#;

const MAPPING: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
phone = "/phone"
[customers.fields]
kind = { const = "person" }
given_name = "/first_name"
family_name = "/last_name"
emails.main = "/email"
phones.main = "/phone"
remark = "/note"
"#;

/// The file that names the floor's Postgres.
const STORE: &str = "store";

/// Makes the folder of a server: a hub with one shop. Clients of Postgres have a runtime of their own, which the thread of
/// another runtime may not have: so a thread does it.
pub fn prepare(server: Server, folder: &Path) -> Result<(), String> {
    let made = std::thread::scope(|all| all.spawn(|| make(server, folder)).join());
    made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn make(server: Server, folder: &Path) -> Result<(), String> {
    if server == Server::Restate {
        return Ok(());
    }
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(crate::text)
    };
    write("connectors/shop/connector.toml", SHOP)?;
    write("mappings/shop.toml", MAPPING)?;
    let store = server.store();
    if let (Server::FloorPg, Some(url)) = (server, &store) {
        return write(STORE, url);
    }
    let hub = store.map_or(String::new(), |url| format!("[hub]\nstore = '{url}'\n"));
    let shop = "[connections.shop]\nconnector = 'shop'\nwrites = false\nchanging = { percent = 100 }\n";
    write("huiliu.toml", &format!("{hub}{shop}"))?;
    let at = deployment::open(folder)?;
    let vault = SealedVault { store: at.engine.store.clone(), seal: at.seal.clone(), connection: "shop".to_owned() };
    vault.put("secret.client_secret", KEY)
}

/// More than any load has connections: what is measured is how many calls may wait.
const PLACES: Bounds = Bounds { places: 1 << 14, head: Duration::from_secs(15) };

/// Runs a server over a folder until it is killed.
pub fn serve(server: Server, folder: &Path, installed: Option<&Path>) -> Result<(), String> {
    let is_hub = matches!(server, Server::Hub | Server::Live | Server::HubPg);
    if is_hub {
        memory::keep_small();
    }
    // Before there is a runtime, as in `prepare`.
    let opened = is_hub.then(|| deployment::open(folder)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(text)?;
    runtime.block_on(async {
        if server == Server::Restate {
            return peer::serve(installed.ok_or("--peer is missing")?, folder).await;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        println!("{}", listener.local_addr().map_err(text)?.port());
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        let app = match (server, opened) {
            (Server::Live, Some(at)) => {
                logs::start(logs::Format::Text, "warn");
                let bells = run::Bells::of(&at.engine);
                return run::serve_until(at, listener, None, bells, std::future::pending()).await;
            }
            (_, Some(at)) => {
                logs::start(logs::Format::Text, "warn");
                at.engine.store.keep_small().map_err(text)?;
                let metrics = metrics::Metrics::install(&at.engine)?;
                tokio::spawn(metrics.clone().keep_small(stopped));
                let app = endpoints::router(&at.engine, metrics);
                let app = app.merge(hooks::router(&at.engine, |_| Limits::default(), || {})?);
                huiliu_webhooks::serve(listener, app, PLACES, std::future::pending()).await;
                return Ok(());
            }
            (Server::Floor, None) => floor(folder)?,
            (Server::FloorPg, None) => floor_pg(std::fs::read_to_string(folder.join(STORE)).map_err(text)?),
            (_, None) => Router::new().route("/hooks/shop", post(bare)),
        };
        let app = app.into_make_service_with_connect_info::<std::net::SocketAddr>();
        axum::serve(listener, app).await.map_err(text)
    })
}

fn is_proven(headers: &HeaderMap, body: &[u8]) -> bool {
    let given = headers.get("x-shopify-hmac-sha256").and_then(|it| STANDARD.decode(it.as_bytes()).ok());
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes());
    let (Ok(mac), Some(given)) = (mac, given) else { return false };
    mac.chain_update(body).verify_slice(&given).is_ok()
}

async fn bare(headers: HeaderMap, body: Bytes) -> StatusCode {
    if is_proven(&headers, &body) { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

struct Waiting {
    event: String,
    body: Bytes,
    answer: oneshot::Sender<bool>,
}

/// Calls in one commit of the floor, and calls that may wait for it.
const GROUP_MAX: usize = 512;
const WAITING_MAX: usize = 4096;

fn floor(folder: &Path) -> Result<Router, String> {
    let database = rusqlite::Connection::open(folder.join("floor.db")).map_err(text)?;
    // It copies its log into the database as seldom as the hub does: that is faster than as often as SQLite would.
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000;
                   CREATE TABLE inbox (position INTEGER PRIMARY KEY, event TEXT NOT NULL UNIQUE, body BLOB NOT NULL);";
    database.execute_batch(pragmas).map_err(text)?;
    Ok(grouping(move |receiver| write(&database, receiver).map_err(text)))
}

fn floor_pg(url: String) -> Router {
    let table = "CREATE TABLE inbox (position BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
                 event TEXT NOT NULL UNIQUE, body BYTEA NOT NULL)";
    // It has a runtime of its own, so it is spoken to from a thread.
    grouping(move |receiver| {
        let mut client = ::postgres::Client::connect(&url, ::postgres::NoTls).map_err(text)?;
        client.batch_execute(table).map_err(text)?;
        write_pg(&mut client, receiver).map_err(text)
    })
}

/// A router whose calls a thread takes in groups.
fn grouping(work: impl FnOnce(&Receiver<Waiting>) -> Result<(), String> + Send + 'static) -> Router {
    let (sender, receiver) = sync_channel(WAITING_MAX);
    std::thread::spawn(move || {
        if let Err(error) = work(&receiver) {
            eprintln!("floor: {error}");
        }
    });
    Router::new().route("/hooks/shop", post(append)).with_state(sender)
}

async fn append(State(sender): State<SyncSender<Waiting>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if !is_proven(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let Some(event) = headers.get("x-shopify-event-id").and_then(|it| it.to_str().ok()) else {
        return StatusCode::BAD_REQUEST;
    };
    let (answer, answered) = oneshot::channel();
    if sender.try_send(Waiting { event: event.to_owned(), body, answer }).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if answered.await == Ok(true) { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
}

fn write(database: &rusqlite::Connection, receiver: &Receiver<Waiting>) -> rusqlite::Result<()> {
    let mut insert = database.prepare("INSERT INTO inbox (event, body) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    let mut begin = database.prepare("BEGIN IMMEDIATE")?;
    let mut commit = database.prepare("COMMIT")?;
    while let Some(group) = next_group(receiver) {
        begin.execute([])?;
        for waiting in &group {
            insert.execute((&waiting.event, waiting.body.as_ref()))?;
        }
        commit.execute([])?;
        for waiting in group {
            let _ = waiting.answer.send(true);
        }
    }
    Ok(())
}

/// Waits for a call, and takes those that wait with it.
fn next_group(receiver: &Receiver<Waiting>) -> Option<Vec<Waiting>> {
    let mut group = vec![receiver.recv().ok()?];
    while group.len() < GROUP_MAX
        && let Ok(next) = receiver.try_recv()
    {
        group.push(next);
    }
    Some(group)
}

fn write_pg(client: &mut ::postgres::Client, receiver: &Receiver<Waiting>) -> Result<(), ::postgres::Error> {
    let append = "INSERT INTO inbox (event, body) SELECT * FROM UNNEST($1::text[], $2::bytea[]) ON CONFLICT DO NOTHING";
    let append = client.prepare(append)?;
    while let Some(group) = next_group(receiver) {
        let events: Vec<&str> = group.iter().map(|waiting| waiting.event.as_str()).collect();
        let bodies: Vec<&[u8]> = group.iter().map(|waiting| waiting.body.as_ref()).collect();
        client.execute(&append, &[&events, &bodies])?;
        for waiting in group {
            let _ = waiting.answer.send(true);
        }
    }
    Ok(())
}
