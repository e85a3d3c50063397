//! `connect`: from nothing to a connection that works.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::kit::{Call, Folder, free_port, script};

/// A system that signs people in by OAuth 2 codes.
const CRM: &str = r#"[connector]
name = "crm"
title = "Sample CRM"
about = "Buyers of a sample CRM."
driver = "rest"
base_url = "{config.address}"
check = { path = "/me" }
config.address = { type = "url", description = "Where the CRM is." }
secret.client_id = { description = "The app's id." }
secret.client_secret = { description = "The app's secret." }
[auth]
kind = "oauth2_code"
authorize_url = "{config.address}/authorize"
token_url = "{config.address}/token"
client = { id = "{secret.client_id}", secret = "{secret.client_secret}" }
scopes = ["buyers"]
[defaults]
key = "/id"
[streams.buyers]
records = "/items"
paginate = { kind = "none" }
pull = { path = "/buyers" }
"#;
const BUYERS: &str = "[buyers]\nentity = 'customer'\n[buyers.fields]\ndisplay_name = '/name'\n";

fn pair<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

/// The CRM's side: a code is good once, with the challenge's verifier, the same redirect and the app's credentials.
fn crm(challenge: std::sync::mpsc::Receiver<(String, String)>) -> u16 {
    let mut used = false;
    script(move |call: &Call| match (call.method.as_str(), call.target.as_str()) {
        ("POST", "/token") => {
            let (challenge, redirect) = challenge.recv().expect("the test saw the page");
            let form: Vec<(String, String)> = url::form_urlencoded::parse(call.body.as_bytes()).into_owned().collect();
            let verifier = Sha256::digest(pair(&form, "code_verifier"));
            let client = format!("Basic {}", BASE64_STANDARD.encode("app-1:s3cret"));
            let good = !used
                && pair(&form, "grant_type") == "authorization_code"
                && pair(&form, "code") == "code-1"
                && pair(&form, "redirect_uri") == redirect
                && BASE64_URL_SAFE_NO_PAD.encode(verifier) == challenge
                && call.headers.get("authorization") == Some(&client);
            used = true;
            if good {
                let tokens =
                    r#"{"access_token":"at-1","token_type":"Bearer","expires_in":3600,"refresh_token":"rt-1"}"#;
                (200, tokens.to_owned())
            } else {
                (400, r#"{"error":"invalid_grant"}"#.to_owned())
            }
        }
        ("GET", "/me") if call.headers.get("authorization").is_some_and(|it| it == "Bearer at-1") => {
            (200, r#"{"name":"app"}"#.to_owned())
        }
        _ => (401, r#"{"error":"unauthorized"}"#.to_owned()),
    })
}

fn deployment(crm: u16, redirect: &str) -> Folder {
    let folder = Folder::new(&format!(
        "[hub]\nredirect = '{redirect}'\n[connections.crm]\nconnector = 'crm'\nnetwork = 'private'\n\
         config.address = 'http://127.0.0.1:{crm}'\n"
    ));
    folder.write("connectors/crm/connector.toml", CRM);
    folder.write("mappings/crm.toml", BUYERS);
    folder
}

#[test]
fn a_person_signs_in_and_the_connection_observes() {
    let (seen, challenge) = std::sync::mpsc::channel();
    let crm = crm(challenge);
    let redirect = format!("http://127.0.0.1:{}/callback", free_port());
    let folder = deployment(crm, &redirect);
    let mut command = folder.command(&["connect", "crm"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"client_id=app-1\nclient_secret=s3cret\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let page = lines.find(|line| line.contains("/authorize?")).expect("the page is told");
    let page = Url::parse(&page).expect("a URL");
    let query: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    assert_eq!(page.port(), Some(crm));
    let asked =
        ["response_type", "client_id", "redirect_uri", "scope", "code_challenge_method"].map(|it| pair(&query, it));
    assert_eq!(asked, ["code", "app-1", &redirect, "buyers", "S256"]);
    seen.send((pair(&query, "code_challenge").to_owned(), redirect.clone())).unwrap();

    let browser = |query: &str| {
        let port = Url::parse(&redirect).unwrap().port().unwrap();
        crate::kit::call(port, "GET", &format!("/callback?{query}"), &[], "").0
    };
    assert_eq!(browser("code=code-1&state=forged"), 400, "an answer to another sign-in is refused");
    assert_eq!(browser(&format!("code=code-1&state={}", pair(&query, "state"))), 200);
    let rest = lines.collect::<Vec<_>>().join("\n");
    assert!(child.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("Signed in; the tokens are sealed."), "{rest}");
    assert!(rest.contains("Sample CRM answers, and the credentials work."), "{rest}");
    assert!(rest.contains("It observes") && rest.contains("huiliu go-live crm"), "{rest}");

    // Signed in is signed in: the second time only the check runs.
    let again = folder.run(&["connect", "crm"]).out();
    assert!(again.contains("secret.client_id: sealed") && !again.contains("Sign in:"), "{again}");
    let store = std::fs::read(folder.path().join("data/huiliu.db")).unwrap();
    let wal = std::fs::read(folder.path().join("data/huiliu.db-wal")).unwrap_or_default();
    for secret in ["s3cret", "at-1", "rt-1"] {
        let open = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!open(&store) && !open(&wal) && !again.contains(secret), "{secret} lies open");
    }
}

#[test]
fn a_refusal_is_told_with_what_to_do() {
    let (_, challenge) = std::sync::mpsc::channel();
    let redirect = "https://hub.example/callback";
    let folder = deployment(crm(challenge), redirect);
    let told = folder.tell(&["connect", "crm"], "client_id=app-1\n").err();
    assert!(told.contains("client_secret=…") && told.contains("huiliu connect crm"), "{told}");
    // The redirect is elsewhere: nobody can listen there, so the address is given.
    let given = "client_secret=s3cret\nredirected=https://hub.example/callback?code=code-1&state=forged\n";
    let told = folder.tell(&["connect", "crm"], given).err();
    assert!(told.contains("not the answer to this sign-in"), "{told}");
    let told = folder.tell(&["connect", "crm"], "client_sekret=x\n").err();
    assert!(told.contains("did you mean `client_secret`?"), "{told}");
    let told = folder.tell(&["connect", "crm"], "").err();
    assert!(told.contains("https://hub.example/callback is not on this machine"), "{told}");
}

#[test]
fn a_new_table_is_shown_or_written() {
    let folder = Folder::new("[hub]\n");
    let told = folder.run(&["connect", "shopify"]).err();
    assert!(
        told.contains("[connections.shopify]\nconnector = \"shopify\"") && told.contains("config.shop = \"…\""),
        "{told}"
    );
    let told = folder.run(&["connect", "till"]).err();
    assert!(told.contains("--connector CONNECTOR") && told.contains("shopify"), "{told}");
    let told = folder.run(&["connect", "till", "--connector", "shopfy"]).err();
    assert!(told.contains("did you mean `shopify`?"), "{told}");
    let told = folder.run(&["connect", "till", "--connector", "shopify"]).err();
    assert!(told.contains("config.shop is missing"), "{told}");
    assert_eq!(folder.read("huiliu.toml"), "[hub]\n", "nothing is written before it is whole");

    // An address of this machine is called only if somebody says that it is meant.
    let shop = "config.base_url=http://127.0.0.1:9/api\nconfig.username=hub\npassword=x\n";
    let told = folder.tell(&["connect", "till", "--connector", "oscar"], shop).err();
    assert!(told.contains("add `--network private`"), "{told}");
    let told = folder.tell(&["--lang", "zh", "connect", "till", "--connector", "oscar"], shop).err();
    assert!(told.contains("请加上 `--network private`"), "{told}");
    assert_eq!(folder.read("huiliu.toml"), "[hub]\n", "nothing is written before it is allowed");
    let told = folder.tell(&["connect", "till", "--connector", "oscar", "--network", "private"], shop).err();
    assert!(told.contains("could not be asked"), "nothing listens there: {told}");
    assert!(folder.read("huiliu.toml").contains("\nnetwork = \"private\""), "{}", folder.read("huiliu.toml"));
    let told = folder.run(&["connect", "till", "--network", "public"]).err();
    assert!(told.contains("write `network = \"public\"` into [connections.till]"), "{told}");
    let told = folder.run(&["connect", "rows", "--connector", "file"]).err();
    assert!(told.contains("`huiliu import FILE --suggest --connection rows`"), "{told}");
    folder.write("huiliu.toml", "[hub]\n");

    // A sender of events needs a key and no network.
    let key = format!("whsec_{}", BASE64_STANDARD.encode([7; 32]));
    let said = folder.tell(&["connect", "events", "--connector", "webhook"], &format!("webhook={key}\n")).out();
    assert!(said.contains("added [connections.events]") && said.contains("/hooks/events"), "{said}");
    assert!(!said.contains(&key), "{said}");
    assert!(folder.read("huiliu.toml").contains("[connections.events]\nconnector = \"webhook\"\n"));
    let status = folder.run(&["status", "--json"]).json();
    assert_eq!(status["connections"][0]["state"], "observing");
}
