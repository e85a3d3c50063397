//! A system that a deployment brings itself: begun, checked, and served end to end.

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};

use crate::kit::{Call, Folder, free_port, script, until};

const KEY: &str = "0123456789abcdef";

#[test]
fn what_is_begun_keeps_the_contract() {
    let folder = Folder::new("");
    folder.run(&["connector", "new", "till"]).out();
    let connector = folder.path().join("connectors/till").display().to_string();
    let missing = folder.run(&["connector", "check", &connector]);
    assert!(!missing.fine && missing.out.contains("connector check --write"), "{missing:?}");
    let said = folder.run(&["connector", "check", "--write", &connector]).out();
    for promise in [
        "wrote fixtures/requests/customers.update.json",
        "good and bad credentials are told apart: secret.token right and wrong",
        "paging ends and resumes from any cursor: records/pages: customers 5/3",
        "a conflict refetches and replans: ",
        "no secret or personal value reaches a log: ",
        "0 mistake(s)",
    ] {
        assert!(said.contains(promise), "{promise}: {said}");
    }
    let said = folder.run(&["--lang", "zh", "connector", "check", &connector]).out();
    assert!(said.contains("能区分有效与无效的凭据") && said.contains("0 处错误"), "{said}");
}

/// Faults that somebody may write, and the line of the manifest that the check points at.
#[test]
fn a_promise_that_is_not_kept_names_its_line() {
    let folder = Folder::new("");
    folder.run(&["connector", "new", "till"]).out();
    let connector = folder.path().join("connectors/till").display().to_string();
    let good = folder.read("connectors/till/connector.toml");
    for (from, to, key, word) in [
        (", precondition = \"if_match\"", "", "update = ", "declare `precondition`"),
        (", idempotency_header = \"Idempotency-Key\"", "", "create = ", "made 3 records"),
        ("check = {", "# check = {", "", "0 mistake(s)"),
    ] {
        assert!(good.contains(from), "{from}");
        folder.write("connectors/till/connector.toml", &good.replace(from, to));
        let said = folder.run(&["connector", "check", "--write", &connector]);
        assert!(said.out.contains(word), "{from}: {said:?}");
        if !key.is_empty() {
            let line = good.lines().position(|line| line.starts_with(key)).expect("the key") + 1;
            assert!(!said.fine && said.out.contains(&format!("connector.toml:{line}:")), "{from}: {said:?}");
        }
    }
    folder.write("connectors/till/connector.toml", &good.replace("key = \"/id\"", "key = \"/number\""));
    let said = folder.run(&["connector", "check", &connector]);
    assert!(said.out.contains("person.json: it has no id at /number"), "{said:?}");
}

const PAGING: &str = "paginate = { kind = \"cursor\", from = \"/next\", param = \"after\" }";
const AUTH: &str = "kind = \"bearer\"\ntoken = \"{secret.token}\"";
const VERIFY: &str =
    "{ kind = \"hmac_sha256\", header = \"X-Signature\", encoding = \"hex\", secret = \"{secret.webhook}\" }";
const CREATE: &str = "create = { method = \"POST\", path = \"/customers\", idempotency_header = \"Idempotency-Key\" }";

/// A manifest of other kinds: how pages follow, how calls prove themselves, how a create is known again, how it calls us.
const KINDS: [[&str; 4]; 5] = [
    [
        "paginate = { kind = \"page\", param = \"page\", size = 50, size_param = \"per_page\" }",
        "kind = \"api_key\"\nparam = \"key\"\nvalue = \"{secret.token}\"",
        "create = { method = \"POST\", path = \"/customers\", wrap = \"/customer\", lookup = { path = \"/search\", params = { email = \"{record.email}\" }, records = \"/found\", match_at = \"/email\" }, batch = { path = \"/many\", size = 10, items = \"/made\", results = \"/made\" } }",
        "{ kind = \"shared_token\", param = \"token\", secret = \"{secret.webhook}\" }",
    ],
    [
        "paginate = { kind = \"offset\", param = \"skip\", size = 50 }",
        "kind = \"basic\"\nusername = \"hub\"\npassword = \"{secret.token}\"",
        "create = { method = \"PUT\", path = \"/customers/by/{record.email}\" }",
        "{ kind = \"basic\", username = \"till\", password = \"{secret.webhook}\" }",
    ],
    [
        "paginate = { kind = \"link_header\" }",
        "kind = \"oauth2_client\"\ntoken_url = \"https://{config.account}.example.com/token\"\nclient = { id = \"app\", secret = \"{secret.token}\" }",
        "create = { method = \"POST\", path = \"/customers\", body = { key = \"{record.email}\", data = \"{body}\" } }",
        "{ kind = \"standard\", secret = \"{secret.webhook}\" }",
    ],
    [
        "paginate = { kind = \"page\", param = \"page\", first = 0, size = 50, pages_header = \"X-Pages\" }",
        "kind = \"oauth1\"\nconsumer_key = \"app\"\nconsumer_secret = \"{secret.token}\"",
        CREATE,
        "{ kind = \"none\", reason = \"it stands in the same room\" }",
    ],
    [
        "paginate = { kind = \"none\" }",
        "kind = \"oauth2_code\"\nauthorize_url = \"https://{config.account}.example.com/sign-in\"\ntoken_url = \"https://{config.account}.example.com/token\"\nclient = { id = \"app\", secret = \"{secret.token}\", send = \"post\" }",
        CREATE,
        "{ kind = \"hmac_sha256\", header = \"X-Signature\", encoding = \"base64\", prefix = \"sha256=\", secret = \"{secret.webhook}\" }",
    ],
];

#[test]
fn every_kind_can_be_rehearsed() {
    let folder = Folder::new("");
    folder.run(&["connector", "new", "till"]).out();
    let connector = folder.path().join("connectors/till").display().to_string();
    let good = folder.read("connectors/till/connector.toml");
    for [paging, auth, create, verify] in KINDS {
        let mut text = good.clone();
        for (from, to) in [(PAGING, paging), (AUTH, auth), (CREATE, create), (VERIFY, verify)] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        folder.write("connectors/till/connector.toml", &text);
        let said = folder.run(&["connector", "check", "--write", &connector]);
        assert!(said.fine, "{paging}\n{auth}\n{create}\n{verify}\n{said:?}");
    }
    // Deletions that are listed, and those that a record says of itself.
    let listed = "[streams.customers.deletes]\nkey = \"/id\"\npull = { path = \"/gone\" }\n\n[webhook]";
    let marked = "delete = { method = \"DELETE\", path = \"/customers/{record.id}\" }\ndeleted_when = { at = \"/gone\", equals = \"yes\" }\n\n[webhook]";
    for deletes in [listed, marked] {
        folder.write("connectors/till/connector.toml", &good.replace("\n[webhook]", &format!("\n{deletes}")));
        let said = folder.run(&["connector", "check", "--write", &connector]);
        assert!(said.fine, "{deletes}\n{said:?}");
    }
}

/// A till's server: lists, reads, makes and changes customers.
fn till(customers: &Arc<Mutex<Vec<Value>>>) -> u16 {
    let customers = customers.clone();
    let mut second = 0;
    script(move |call: &Call| {
        if call.headers.get("authorization").map(String::as_str) != Some("Bearer t0ken-of-the-till") {
            return (401, "{}".to_owned());
        }
        second += 1;
        let stamp = format!("2026-03-01T10:{:02}:{:02}Z", second / 60, second % 60);
        let mut all = customers.lock().unwrap();
        let path = call.target.split('?').next().unwrap_or_default();
        let id = path.trim_start_matches("/customers").trim_start_matches('/');
        match (call.method.as_str(), id) {
            ("GET", "") => (200, json!({ "items": *all, "next": null }).to_string()),
            ("POST", "") => {
                let mut made: Value = serde_json::from_str(&call.body).unwrap();
                made["id"] = json!(format!("n{}", all.len() + 1));
                made["updated_at"] = json!(stamp);
                all.push(made.clone());
                (200, made.to_string())
            }
            (method, id) => {
                let Some(held) = all.iter_mut().find(|it| it["id"] == id) else { return (404, "{}".to_owned()) };
                if method == "PATCH" {
                    let patch: Value = serde_json::from_str(&call.body).unwrap();
                    for (name, value) in patch.as_object().unwrap() {
                        held[name] = value.clone();
                    }
                    held["updated_at"] = json!(stamp);
                }
                (200, held.to_string())
            }
        }
    })
}

/// Both tills run the connector that the deployment brings: one is pulled and calls, the other is written.
#[test]
fn a_deployments_own_connector_is_served_end_to_end() {
    let li = json!({ "id": "1", "updated_at": "2026-03-01T09:00:00Z", "name": "李雷", "email": "li.lei@example.com", "phone": "+8613800138000" });
    let (first, second) = (Arc::new(Mutex::new(vec![li])), Arc::new(Mutex::new(Vec::new())));
    let (port, one, two) = (free_port(), till(&first), till(&second));
    let folder = Folder::new(&format!(
        "[hub]\nlisten = '127.0.0.1:{port}'\n\
         [connections.east]\nconnector = 'till'\nnetwork = 'private'\nconfig.account = 'east'\nconfig.base_url = 'http://127.0.0.1:{one}'\n\
         [connections.west]\nconnector = 'till'\nnetwork = 'private'\ncreates = ['customers']\nconfig.account = 'west'\nconfig.base_url = 'http://127.0.0.1:{two}'\n"
    ));
    folder.run(&["connector", "new", "till"]).out();
    for name in ["east", "west"] {
        folder.tell(&["secret", name, "token"], "t0ken-of-the-till").out();
        folder.tell(&["secret", name, "webhook"], KEY).out();
    }
    folder.run(&["check", "--reach"]).out();
    folder.run(&["sync", "east"]).out();
    folder.run(&["sync", "west"]).out();
    folder.run(&["go-live", "west", "--yes"]).out();
    let hub = folder.serve(port, &[]);
    until("the second till has the customer", || {
        second
            .lock()
            .unwrap()
            .first()
            .filter(|it: &&Value| it["name"] == "李雷" && it["email"] == "li.lei@example.com")
            .map(drop)
    });
    {
        let mut all = first.lock().unwrap();
        all[0]["name"] = json!("李磊");
        all[0]["updated_at"] = json!("2026-03-01T12:00:00Z");
    }
    let body = r#"{"id":"1"}"#;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes()).expect("a key");
    mac.update(body.as_bytes());
    let signature = mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let call = |signature: &str| {
        let headers = [("X-Signature", signature), ("X-Delivery", "d-1"), ("X-Topic", "customer.updated")];
        hub.call("POST", "/hooks/east", &headers, body).0
    };
    assert_eq!(call(&"0".repeat(64)), 401);
    assert_eq!(call(&signature), 200);
    until("the second till has the new name", || {
        second.lock().unwrap().first().filter(|it: &&Value| it["name"] == "李磊").map(drop)
    });
    assert_eq!(second.lock().unwrap().len(), 1, "nothing was made twice");
}
