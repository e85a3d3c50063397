//! OAuth 2 against a real authorization server: `oidc-provider` from npm, whose refresh tokens rotate and which ends a
//! grant when an old one is used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::connector::{Connector as _, ConnectorError, Cx};
use huiliu_core::seal::{Seal, SealedVault};
use huiliu_core::secrets::{Secret, TokenVault};
use huiliu_core::store::Store;
use huiliu_rest::connector::RestConnector;
use huiliu_rest::http::{Http, Method, Request, Response};
use huiliu_rest::oauth::{TOKEN, authorize_url, exchange_code};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use crate::kit::{cx_at, manifest};

const BACK: &str = "http://127.0.0.1/back";

/// As provider.mjs has it: every character that a form or a header could spoil.
const SECRET: &str = "s3cret-key/+ %&:";

/// The server; it ends with the test, because its standard input does.
struct Provider {
    url: String,
    _child: Child,
}

impl Provider {
    async fn start() -> Self {
        let repo = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let tools = repo.join(".cache/test-tools/node");
        let missing = "install Node.js, then from the repository's root run: npm install --prefix \
                       .cache/test-tools/node $(cat tests/sdks/npm.txt)";
        assert!(tools.join("node_modules/oidc-provider").is_dir(), "oidc-provider is missing; {missing}");
        let mut command = Command::new("node");
        command.arg(repo.join("connectors/rest/tests/rest/provider.mjs")).arg(tools).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("node cannot be run ({error}); {missing}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("the server says where it listens");
        let told: Value = serde_json::from_str(&line).unwrap();
        Self { url: told["url"].as_str().unwrap().to_owned(), _child: child }
    }

    fn cx(&self) -> Cx {
        let secrets = [("key".to_owned(), Secret::new(SECRET))];
        Cx { secrets: Arc::new(secrets.into()), ..cx_at(&self.url) }
    }

    async fn call(&self, method: Method, path: &str) -> Value {
        let http = Http::for_cx(&self.cx(), Duration::from_secs(10), 1 << 20).unwrap();
        let url = Url::parse(&format!("{}{path}", self.url)).unwrap();
        serde_json::from_slice(&http.send(Request::new(method, url)).await.unwrap().body).unwrap()
    }

    /// How many tokens were issued by a grant type, or grants revoked.
    async fn count(&self, what: &str) -> i64 {
        self.call(Method::GET, "/control").await[what].as_i64().unwrap()
    }
}

fn connector(kind: &str, client: &str) -> RestConnector {
    let authorize = if kind == "oauth2_code" { "authorize_url = \"{config.base_url}/auth\"" } else { "" };
    RestConnector::new(manifest(&format!(
        r#"
[auth]
kind = "{kind}"
{authorize}
token_url = "{{config.base_url}}/token"
client = {client}
scopes = ["customers"]
[streams.customers]
key = "/id"
records = "/items"
paginate = {{ kind = "none" }}
pull = {{ path = "/api/customers" }}
"#
    )))
    .unwrap()
}

const BASIC: &str = r#"{ id = "app", secret = "{secret.key}" }"#;

/// Goes where a browser would be sent, with its cookies, until it is sent back to us.
async fn browse(cx: &Cx, from: Url) -> Url {
    let http = Http::for_cx(cx, Duration::from_secs(10), 1 << 20).unwrap();
    let mut cookies: BTreeMap<String, String> = BTreeMap::new();
    let mut url = from;
    for _ in 0..10 {
        if url.as_str().starts_with(BACK) {
            return url;
        }
        let jar: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::new(Method::GET, url.clone()).header("cookie", &jar.join("; ")).unwrap();
        let reply: Response = http.send(request).await.unwrap();
        for set in reply.headers.get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let page = String::from_utf8_lossy(&reply.body).into_owned();
        let next = reply.header("location").unwrap_or_else(|| panic!("{url}: HTTP {}: {page}", reply.status));
        url = url.join(next).unwrap();
    }
    panic!("the sign-in goes in circles at {url}");
}

fn query(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Signs in as `huiliu connect` does.
async fn sign_in(connector: &RestConnector, cx: &Cx) {
    let begun = authorize_url(connector.manifest(), cx, BACK).unwrap();
    let back = browse(cx, begun.url).await;
    assert_eq!(query(&back, "state"), begun.state);
    exchange_code(connector.manifest(), cx, BACK, &query(&back, "code"), &begun.verifier).await.unwrap();
}

async fn pull(connector: &RestConnector, cx: &Cx) -> Result<usize, ConnectorError> {
    connector.pull(cx, &"customers".into(), None).await.map(|page| page.items.len())
}

#[tokio::test]
async fn a_code_with_pkce_becomes_tokens_for_every_kind_of_client() {
    let provider = Provider::start().await;
    for client in [
        BASIC,
        r#"{ id = "app-post", secret = "{secret.key}", send = "post" }"#,
        r#"{ id = "app-public", send = "post" }"#,
    ] {
        let (connector, cx) = (connector("oauth2_code", client), provider.cx());
        sign_in(&connector, &cx).await;
        assert_eq!(pull(&connector, &cx).await, Ok(1), "{client}");
        let token = cx.tokens.current(TOKEN).unwrap().unwrap();
        assert!(token.refresh.is_some());
        assert_eq!(token.expires_at_us, Some(cx.clock.now_us() + 600_000_000));
        // A second before it is too old, it is renewed.
        cx.clock.advance_us(541_000_000);
        assert_eq!(pull(&connector, &cx).await, Ok(1), "{client}");
        assert_ne!(cx.tokens.current(TOKEN).unwrap().unwrap().refresh, token.refresh, "it rotated");
    }
    assert_eq!(provider.count("refresh_token").await, 3);
    assert_eq!(provider.count("revoked").await, 0);
}

#[tokio::test]
async fn a_code_without_its_verifier_or_with_a_wrong_one_is_refused() {
    let provider = Provider::start().await;
    let (connector, cx) = (connector("oauth2_code", BASIC), provider.cx());
    let begun = authorize_url(connector.manifest(), &cx, BACK).unwrap();
    assert_eq!(query(&begun.url, "code_challenge_method"), "S256");
    let code = query(&browse(&cx, begun.url).await, "code");
    let other = authorize_url(connector.manifest(), &cx, BACK).unwrap().verifier;
    let error = exchange_code(connector.manifest(), &cx, BACK, &code, &other).await.unwrap_err();
    assert_eq!(error.kind(), "unauthorized");
    assert_eq!(
        error.to_string(),
        "the authorization server refuses connection kit-1 (invalid_grant); run `huiliu connect kit-1`"
    );
    assert!(cx.tokens.current(TOKEN).unwrap().is_none());
    let error = pull(&connector, &cx).await.unwrap_err();
    assert_eq!(error.to_string(), "connection kit-1 is not signed in; run `huiliu connect kit-1`");
}

/// The server would end the grant if an old refresh token came twice: twenty calls at once must send one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_calls_refresh_once() {
    let provider = Provider::start().await;
    let (connector, cx) = (Arc::new(connector("oauth2_code", BASIC)), provider.cx());
    sign_in(&connector, &cx).await;
    for round in 1..=3 {
        if round == 2 {
            // By the clock, before any call is refused.
            cx.clock.advance_us(3_600_000_000);
        } else {
            // In the middle of a run, by the server.
            provider.call(Method::POST, "/control/expire").await;
        }
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let (connector, cx) = (connector.clone(), cx.clone());
                tokio::spawn(async move { pull(&connector, &cx).await })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Ok(1));
        }
        assert_eq!(provider.count("refresh_token").await, round);
    }
    assert_eq!(provider.count("revoked").await, 0);
}

#[tokio::test]
async fn a_refused_refresh_tells_how_to_sign_in_again() {
    let provider = Provider::start().await;
    let (connector, cx) = (connector("oauth2_code", BASIC), provider.cx());
    sign_in(&connector, &cx).await;
    // A copy of the tokens, as an old backup would hold them.
    let copy = Cx { tokens: Arc::new(TokenVault::in_memory()), ..provider.cx() };
    copy.tokens.put(TOKEN, &cx.tokens.current(TOKEN).unwrap().unwrap()).unwrap();
    provider.call(Method::POST, "/control/expire").await;
    assert_eq!(pull(&connector, &cx).await, Ok(1));
    for used in [&copy, &cx] {
        provider.call(Method::POST, "/control/expire").await;
        let before = used.tokens.current(TOKEN).unwrap().unwrap();
        let error = pull(&connector, used).await.unwrap_err();
        assert_eq!(error.kind(), "unauthorized");
        let text = error.to_string();
        assert_eq!(
            text,
            "the authorization server refuses connection kit-1 (invalid_grant); run `huiliu connect kit-1`"
        );
        assert!(!text.contains(&before.access) && !text.contains(&before.refresh.unwrap()));
    }
    assert_eq!(provider.count("revoked").await, 1, "the copy ended the grant of both");
}

/// Tokens outlive the process, sealed: what was rotated is stored before it is used.
#[tokio::test]
async fn a_restart_goes_on_with_the_rotated_token() {
    let provider = Provider::start().await;
    let connector = connector("oauth2_code", BASIC);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.db");
    let run = || {
        let store = Store::open(&format!("sqlite:{}", path.display())).unwrap();
        let seal = Seal::open(&folder.path().join("key")).unwrap();
        let vault = SealedVault { store, seal, connection: "kit-1".to_owned() };
        Cx { tokens: Arc::new(TokenVault::new(Arc::new(vault))), ..provider.cx() }
    };
    sign_in(&connector, &run()).await;
    for refreshed in 1..=3 {
        provider.call(Method::POST, "/control/expire").await;
        assert_eq!(pull(&connector, &run()).await, Ok(1));
        assert_eq!(provider.count("refresh_token").await, refreshed);
    }
    let token = run().tokens.current(TOKEN).unwrap().unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let shows = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!shows(&token.access) && !shows(token.refresh.as_deref().unwrap()), "a token lies open on the disk");
    }
}

#[tokio::test]
async fn client_credentials_are_fetched_once_and_again_when_refused() {
    let provider = Provider::start().await;
    let connector = connector("oauth2_client", r#"{ id = "robot", secret = "{secret.key}" }"#);
    let cx = provider.cx();
    for _ in 0..3 {
        assert_eq!(pull(&connector, &cx).await, Ok(1));
    }
    assert_eq!(provider.count("client_credentials").await, 1);
    provider.call(Method::POST, "/control/expire").await;
    assert_eq!(pull(&connector, &cx).await, Ok(1));
    assert_eq!(provider.count("client_credentials").await, 2);
    let wrong = [("key".to_owned(), Secret::new("another"))];
    let wrong = Cx { secrets: Arc::new(wrong.into()), ..provider.cx() };
    let error = pull(&connector, &wrong).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the authorization server refuses connection kit-1 (invalid_client); run `huiliu connect kit-1`"
    );
}

/// The server's answer is lost: nobody knows whether a token was issued. For client credentials that costs nothing.
#[tokio::test]
async fn a_token_endpoint_that_stumbles_is_tried_again() {
    let provider = Provider::start().await;
    let connector = connector("oauth2_client", r#"{ id = "robot", secret = "{secret.key}" }"#);
    let cx = provider.cx();
    provider.call(Method::POST, "/control/fail").await;
    let error = pull(&connector, &cx).await.unwrap_err();
    assert_eq!(error.kind(), "transient");
    assert!(error.to_string().starts_with("127.0.0.1 gave no complete answer"), "{error}");
    assert_eq!(pull(&connector, &cx).await, Ok(1));
}
