//! What the tests share: the manifest, a shop, calls over HTTP as a client would make them, and the vendor's tools.

#![allow(dead_code)] // Each test binary uses its own part.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use huiliu_core::manifest::Manifest;
use huiliu_twins::shopify::{ACCESS_TOKEN, ShopifyTwin};
use serde_json::{Value, json};

/// 2026-01-02 03:04:05 UTC, in seconds.
pub const NOW: i64 = 1_767_323_045;

pub fn repo(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

pub fn manifest() -> Manifest {
    let file = "connectors/shopify/connector.toml";
    let text = std::fs::read_to_string(repo(file)).unwrap();
    Manifest::parse(file, &text).unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// The GraphQL document of a call: `customers.pull`, `orders.fetch`, `check`.
pub fn document(call: &str) -> String {
    documents().into_iter().find(|(name, _)| name == call).unwrap_or_else(|| panic!("no call {call}")).1
}

/// Every GraphQL document of the manifest with the name of its call.
pub fn documents() -> Vec<(String, String)> {
    let manifest = manifest();
    let mut documents = Vec::new();
    let mut add = |name: String, document: Option<String>| {
        documents.extend(document.map(|document| (name, document)));
    };
    add("check".to_owned(), manifest.connector.check.and_then(|call| call.graphql));
    for (stream, it) in manifest.streams {
        add(format!("{stream}.pull"), it.pull.and_then(|call| call.graphql));
        for (verb, call) in [("fetch", it.fetch), ("create", it.create), ("update", it.update), ("delete", it.delete)] {
            add(format!("{stream}.{verb}"), call.and_then(|call| call.graphql));
        }
    }
    documents
}

/// HTTP clients want a TLS provider even for plain loopback; whoever comes second finds it installed.
fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A shop whose clock stands at [`NOW`].
pub async fn twin() -> ShopifyTwin {
    provider();
    let twin = ShopifyTwin::start().await.unwrap();
    twin.set_now_s(Some(NOW));
    twin
}

/// One call with the right token.
pub async fn ask(twin: &ShopifyTwin, call: &str, variables: Value) -> Value {
    let body = json!({ "query": document(call), "variables": variables });
    let (status, reply) = post(twin, ACCESS_TOKEN, &body).await;
    assert_eq!(status, 200, "{reply}");
    reply
}

#[allow(clippy::disallowed_methods)] // Loopback, and the twin's replies are small.
pub async fn post(twin: &ShopifyTwin, token: &str, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(twin.base_url()).header("X-Shopify-Access-Token", token).json(body);
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), serde_json::from_str(&reply.text().await.unwrap()).unwrap())
}

/// Runs a script of this folder with the vendor's packages and what it needs on its standard input.
pub fn node(script: &str, package: &str, input: &Value) -> Value {
    let tools = repo(".cache/test-tools/node");
    let missing = format!(
        "{package} is missing; install Node.js, then from the repository's root run: npm install --prefix \
         .cache/test-tools/node @shopify/dev-mcp graphql @shopify/shopify-api"
    );
    assert!(tools.join("node_modules").join(package).is_dir(), "{missing}");
    let script = repo("tests/twins/tests/shopify").join(script);
    let mut command = Command::new("node");
    command.arg(script).arg(tools).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("node cannot be run ({error}); {missing}"));
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
