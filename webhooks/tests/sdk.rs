//! Published libraries as independent judges: what they sign is accepted, what we sign is accepted by them, and both
//! refuse what was changed. The judges are not ours, so they cannot share our mistakes.

mod kit;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use huiliu_core::clock::Clock;
use kit::{Desk, STANDARD_SECRET, base64, hmac_sha256, standard_signature};
use serde_json::{Value, json};

const STANDARD: &str = r#"verify = { kind = "standard", secret = "{secret.webhook}" }"#;
const SHOPIFY: &str = r#"verify = { kind = "hmac_sha256", header = "X-Shopify-Hmac-Sha256", encoding = "base64", secret = "{secret.webhook}" }"#;
const BODY: &str = r#"{"type":"customer.updated","data":{"id":"c-1","given_name":"晓明","n":12345678901234567890}}"#;

/// Signs the body, and judges the offered signatures.
const STANDARD_PYTHON: &str = r#"
import json, sys
from datetime import datetime, timezone
from standardwebhooks import Webhook
ask = json.load(sys.stdin)
hook = Webhook(ask["secret"])
def fits(offer):
    try:
        hook.verify(ask["body"], {"webhook-id": ask["id"], "webhook-timestamp": ask["stamp"], "webhook-signature": offer})
        return True
    except Exception:
        return False
when = datetime.fromtimestamp(int(ask["stamp"]), tz=timezone.utc)
print(json.dumps({"signed": hook.sign(ask["id"], when, ask["body"]), "fits": [fits(offer) for offer in ask["offers"]]}))
"#;

const STANDARD_NODE: &str = r#"
const { Webhook } = require("standardwebhooks");
const ask = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const hook = new Webhook(ask.secret);
const fits = (offer) => {
  try {
    hook.verify(ask.body, { "webhook-id": ask.id, "webhook-timestamp": ask.stamp, "webhook-signature": offer });
    return true;
  } catch { return false; }
};
const signed = hook.sign(ask.id, new Date(Number(ask.stamp) * 1000), ask.body);
console.log(JSON.stringify({ signed, fits: ask.offers.map(fits) }));
"#;

const SHOPIFY_NODE: &str = r#"
require("@shopify/shopify-api/adapters/node");
const { shopifyApi } = require("@shopify/shopify-api");
const ask = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const shop = shopifyApi({ apiKey: "key", apiSecretKey: ask.secret, hostName: "hub.example", apiVersion: "2026-10",
  isEmbeddedApp: false, logger: { level: 0, log: () => {} } });
const headers = (offer) => ({ "x-shopify-hmac-sha256": offer, "x-shopify-topic": "customers/update",
  "x-shopify-shop-domain": "shop.myshopify.com", "x-shopify-api-version": "2026-10", "x-shopify-webhook-id": "w-1" });
const fits = async (offer) => (await shop.webhooks.validate({ rawBody: ask.body,
  rawRequest: { method: "POST", url: "/hooks/shop", headers: headers(offer) }, rawResponse: {} })).valid;
const signed = require("node:crypto").createHmac("sha256", ask.secret).update(ask.body, "utf8").digest("base64");
Promise.all([signed, ...ask.offers].map(fits)).then(([own, ...fits]) =>
  console.log(JSON.stringify({ signed: own ? signed : null, fits })));
"#;

fn tools() -> PathBuf {
    std::env::var_os("HUILIU_TEST_TOOLS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.cache/test-tools"), PathBuf::from)
}

fn python(script: &str, ask: &Value) -> Value {
    let mut command = Command::new(tools().join("python/bin/python"));
    command.args(["-c", script]);
    run(command, ask, "python3 -m venv TOOLS/python && TOOLS/python/bin/pip install standardwebhooks")
}

fn node(script: &str, ask: &Value) -> Value {
    let mut command = Command::new("node");
    command.args(["-e", script]).env("NODE_PATH", tools().join("node/node_modules"));
    run(command, ask, "npm install --prefix TOOLS/node @shopify/shopify-api standardwebhooks")
}

fn run(mut command: Command, ask: &Value, install: &str) -> Value {
    let install = install.replace("TOOLS", &tools().display().to_string());
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("the judge did not start ({error}); install it: {install}"));
    child.stdin.take().unwrap().write_all(ask.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the judge failed; if it is not installed: {install}\n{told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn standard(judge: impl Fn(&Value) -> Value) {
    let now = Clock::System.now_us() / 1_000_000;
    let desk = Desk::new(STANDARD, &[("webhook", STANDARD_SECRET)], now);
    let stamp = now.to_string();
    let ours = standard_signature("msg_1", &stamp, BODY.as_bytes());
    let other = standard_signature("msg_2", &stamp, BODY.as_bytes());
    let offers = [ours.clone(), other.clone(), format!("{other} {ours}")];
    let ask = json!({"secret": STANDARD_SECRET, "id": "msg_1", "stamp": stamp, "body": BODY, "offers": offers});
    let told = judge(&ask);
    assert_eq!(told["fits"], json!([true, false, true]), "the judge on our signatures");
    let signed = told["signed"].as_str().unwrap();
    for (offer, status) in [(signed, 200), (offers[1].as_str(), 401), (offers[2].as_str(), 200)] {
        let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", stamp.as_str()), ("webhook-signature", offer)];
        assert_eq!(desk.post("/hooks/shop", &headers, BODY.as_bytes()).await.status, status, "{offer}");
    }
}

#[tokio::test]
async fn standard_webhooks_for_python() {
    standard(|ask| python(STANDARD_PYTHON, ask)).await;
}

#[tokio::test]
async fn standard_webhooks_for_node() {
    standard(|ask| node(STANDARD_NODE, ask)).await;
}

#[tokio::test]
async fn shopify_for_node() {
    let desk = Desk::new(SHOPIFY, &[("webhook", "hush")], 0);
    let ours = base64(&hmac_sha256(b"hush", BODY.as_bytes()));
    let other = base64(&hmac_sha256(b"hush!", BODY.as_bytes()));
    let told = node(SHOPIFY_NODE, &json!({"secret": "hush", "body": BODY, "offers": [ours, other]}));
    assert_eq!(told["fits"], json!([true, false]), "the judge on our signatures");
    let signed = told["signed"].as_str().expect("the judge accepts a signature made by node's crypto");
    for (offer, status) in [(signed, 200), (other.as_str(), 401)] {
        let answer = desk.post("/hooks/shop", &[("X-Shopify-Hmac-Sha256", offer)], BODY.as_bytes()).await;
        assert_eq!(answer.status, status, "{offer}");
    }
}
