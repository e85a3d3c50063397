//! One refresh for each expiry, whoever dies: processes with many tasks each before an issuer that lets a refresh token be
//! used once and ends all tokens when it sees one again (`oidc-provider` from npm).
//!
//! Forty expiries; a thousand with HUILIU_EXPIRIES=1000. A holder that is killed after the issuer gave the next token, and
//! before that was stored, takes it to the grave: then somebody has to sign in again, and that is all that may happen.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::connector::{ConnectorError, Cx, Network};
use huiliu_core::manifest::Manifest;
use huiliu_core::seal::{Seal, SealedVault};
use huiliu_core::secrets::{Secret, Token, TokenVault};
use huiliu_core::store::Store;
use huiliu_rest::oauth::{self, TOKEN};
use huiliu_rest::wire;
use huiliu_tests::dice::Dice;
use huiliu_tests::judge;
use huiliu_tests::server::{Server, free_port};
use serde_json::Value;

/// Tasks of each process.
const TASKS: usize = 50;

/// Clocks run so much faster, so that a token of 61 s, which is renewed in its last minute, is due every fifth of a second.
const FASTER: i64 = 5;

/// A kill comes after so many expiries.
const KILL_EVERY: u64 = 8;

/// What a child is told.
const TOLD: &str = "HUILIU_RENEWER";

fn manifest(issuer: &str) -> Manifest {
    let text = format!(
        "[connector]\nname = 'shop'\ntitle = 'Shop'\nabout = 'A shop.'\ndriver = 'rest'\nbase_url = '{issuer}'\n\
         [connector.secret]\nkey = {{ description = 'The secret.' }}\n\
         [auth]\nkind = 'oauth2_code'\nauthorize_url = '{issuer}/auth'\ntoken_url = '{issuer}/token'\n\
         introspect_url = '{issuer}/token/introspection'\nclient = {{ id = 'hub', secret = '{{secret.key}}' }}\n[streams]\n"
    );
    Manifest::parse("connector.toml", &text).expect("a manifest")
}

fn vault(url: &str, key: &Path) -> TokenVault {
    let store = Store::open(url).expect("it opens");
    let seal = Seal::open(key).expect("a key");
    TokenVault::new(Arc::new(SealedVault { store, seal, connection: "shop".to_owned() }))
}

/// A process that uses the token all the time until it is killed; run as a test it does nothing.
#[test]
fn renewer() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let manifest = Arc::new(manifest(&text("issuer")));
    let (ahead, began_us) = (Clock::manual(0), told["began_us"].as_i64().expect("an instant"));
    let tokens = Arc::new(vault(&text("store"), Path::new(&text("key"))));
    let secrets = Arc::new([("key".to_owned(), Secret::new("hub-secret"))].into());
    let cx = Cx { tokens, secrets, ..Cx::bare("shop", ahead.clone(), Network::Private) };
    let help = text("help");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let (manifest, cx, help) = (manifest.clone(), cx.clone(), help.clone());
            tasks.spawn(async move { use_token(&manifest, &cx, &help, task as u64).await });
        }
        loop {
            let now_us = Clock::System.now_us();
            ahead.advance_us(began_us + (now_us - began_us) * FASTER - ahead.now_us());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

async fn use_token(manifest: &Manifest, cx: &Cx, help: &str, seed: u64) {
    let auth = manifest.auth.as_ref().expect("it signs in");
    let http = wire::http(manifest, cx).expect("a way out");
    let mut dice = Dice::new(seed);
    tokio::time::sleep(Duration::from_millis(20)).await;
    loop {
        if let Err(ConnectorError::Unauthorized { detail }) = oauth::token(manifest, auth, cx, &http, None).await {
            std::fs::write(help, detail).expect("it can call for help");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tokio::time::sleep(Duration::from_millis(50 + dice.below(300) as u64)).await;
    }
}

/// An issuer, the store, and what processes are told.
struct Rig {
    server: Server,
    url: String,
    folder: tempfile::TempDir,
    began_us: i64,
    signed_in: u64,
    started: usize,
}

impl Rig {
    fn start(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let make = move || {
            let mut command = Command::new("node");
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("it/tokens/issuer.mjs"));
            command.env("ISSUER_TOOLS", judge::tools().join("node")).env("ISSUER_LIFE_SECONDS", "61");
            command.env("PORT", port.to_string());
            command
        };
        let server = Server::start(port, folder.path().join("log"), "/health", make);
        let mut rig =
            Self { server, url: url.to_owned(), folder, began_us: Clock::System.now_us(), signed_in: 0, started: 0 };
        rig.sign_in();
        rig
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    fn ask(&self, path: &str) -> Value {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("{}{path}", self.issuer());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let reply = reqwest::Client::builder().build().expect("a client").get(url).send().await.expect("an answer");
            let body = reply.error_for_status().expect("a good one");
            #[allow(clippy::disallowed_methods)] // Our own server, a few bytes.
            let text = body.text().await.expect("a text");
            serde_json::from_str(&text).expect("JSON")
        })
    }

    /// A person signs in: what is stored is worth nothing yet, and is renewed at once.
    fn sign_in(&mut self) {
        self.signed_in += 1;
        let refresh = self.ask("/sign-in")["refresh_token"].as_str().map(str::to_owned);
        let token = Token { access: "none".into(), refresh, expires_at_us: Some(0), extra: [].into(), rotates: false };
        vault(&self.url, &self.folder.path().join("key")).put(TOKEN, &token).expect("it is stored");
    }

    /// A process; most of them end themselves while they renew, before they ask or before they store the answer.
    fn process(&mut self) -> Child {
        let ends = ["token_noted:2", "token_issued:3", "", "token_issued:5", "token_noted:4", ""][self.started % 6];
        self.started += 1;
        let told = serde_json::json!({
            "issuer": self.issuer(), "store": self.url, "began_us": self.began_us,
            "key": self.folder.path().join("key"), "help": self.folder.path().join("help"),
        });
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "tokens::family::renewer", "--test-threads=1"]).env(TOLD, told.to_string());
        if !ends.is_empty() {
            command.env("HUILIU_CRASH_AT", ends);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
    }

    /// Looks whether anybody calls for a person, and whether there is a reason: the refresh token that is stored is spent.
    fn help(&mut self) {
        let path = self.folder.path().join("help");
        let Ok(detail) = std::fs::read_to_string(&path) else { return };
        let stored = || {
            let token = vault(&self.url, &self.folder.path().join("key")).current(TOKEN);
            token.expect("it reads").and_then(|token| token.refresh).unwrap_or_default()
        };
        // A renewal that is under way has spent its token, too; half a second later it is over.
        let before = stored();
        std::thread::sleep(Duration::from_millis(500));
        let is_spent = before == stored() && self.ask(&format!("/spent?token={before}")) == Value::Bool(true);
        if is_spent && !detail.is_empty() {
            assert!(detail.contains("interrupted") && detail.contains("run `huiliu connect shop`"), "{detail}");
            self.sign_in();
        }
        let _ = std::fs::remove_file(&path);
    }
}

fn hold(url: &str, processes: usize) {
    let expiries = std::env::var("HUILIU_EXPIRIES").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let mut rig = Rig::start(url);
    let mut running: Vec<Child> = (0..processes).map(|_| rig.process()).collect();
    let (mut dice, mut kills, mut next) = (Dice::new(7), 0, KILL_EVERY);
    let (mut moved, mut last) = (Instant::now(), 0);
    loop {
        std::thread::sleep(Duration::from_millis(20 + dice.below(60) as u64));
        rig.help();
        let refreshed = rig.ask("/told")["refreshed"].as_u64().expect("a number");
        if refreshed != last {
            (moved, last) = (Instant::now(), refreshed);
        }
        assert!(moved.elapsed() < Duration::from_secs(60), "nobody renews any more, after {refreshed}");
        if refreshed >= expiries {
            break;
        }
        for one in &mut running {
            if one.try_wait().expect("a process").is_some() {
                *one = rig.process();
                kills += 1;
            }
        }
        if refreshed >= next {
            // All at once now and then, so that whoever renews is among them; else one.
            let count = if dice.below(2) == 0 { processes } else { 1 };
            for one in running.iter_mut().take(count) {
                one.kill().expect("it can be killed");
                one.wait().expect("it ends");
                *one = rig.process();
            }
            running.rotate_left(1);
            (kills, next) = (kills + count as u64, refreshed + KILL_EVERY);
        }
    }
    for one in &mut running {
        one.kill().expect("it can be killed");
        one.wait().expect("it ends");
    }
    let told = rig.ask("/told");
    let again = rig.signed_in - 1;
    eprintln!("{processes} processes of {TASKS} tasks, {kills} killed, {again} times signed in again: {told}");
    assert_eq!(
        (&told["revoked"], &told["presented_most"]),
        (&0.into(), &1.into()),
        "each refresh token is sent once: {told}"
    );
    assert!(again <= kills, "only a kill costs a token: {again} of {kills}");
}

#[test]
fn each_refresh_token_is_sent_once_by_whoever_lives() {
    hold(&huiliu_tests::postgres::database(), 3);
}

#[test]
fn one_process_on_sqlite_that_is_killed_spends_no_token_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    hold(&format!("sqlite:{}", folder.path().join("hub.db").display()), 1);
}
