//! A real Tryton ERP, started with a database of its own on a free loopback port; `tests/servers/tryton/install.sh`
//! installs it. People in it work through Proteus, the client library of Tryton's authors, over XML-RPC, which has nothing
//! in common with our connector.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::judge;
use crate::server::{Server, free_port};

/// The database.
pub const DATABASE: &str = "tryton";

/// A user who may do everything.
pub const USERNAME: &str = "admin";

/// The password of that user.
pub const PASSWORD: &str = "correct-horse-42";

/// A user who sees parties, and no sales.
pub const GUEST: (&str, &str) = ("guest", "quiet-otter-17");

/// The number of the party that is the company itself: the only one there is at first.
pub const COMPANY: u64 = 1;

const CLIENT: &str = include_str!("tryton/client.py");

/// A running server. It ends when this is dropped.
pub struct Tryton {
    server: Server,
    folder: tempfile::TempDir,
}

impl Tryton {
    /// Starts it on a copy of the installed database: a company, currencies, a product, no customers.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more lines in its configuration file.
    pub fn start_with(config: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("tryton").tempdir().expect("a folder");
        let template = judge::tools().join("tryton/template.sqlite");
        std::fs::copy(&template, folder.path().join("tryton.sqlite")).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; run ./test.sh, or tests/servers/tryton/install.sh .cache/test-tools/tryton",
                template.display()
            )
        });
        let (port, home) = (free_port(), folder.path().display());
        // The server itself answers no GET; a file beside it does, once it is up.
        let file = folder.path().join("trytond.conf");
        let config = format!(
            "[database]\nuri = sqlite://\npath = {home}\n[web]\nlisten = 127.0.0.1:{port}\nroot = {home}\n{config}\n"
        );
        std::fs::write(&file, config).expect("its configuration");
        let server = Server::start(port, folder.path().join("log"), "/trytond.conf", move || {
            let mut command = Command::new(judge::tools().join("tryton/venv/bin/trytond"));
            command.arg("-c").arg(&file).args(["-d", DATABASE]);
            command
        });
        Self { server, folder }
    }

    /// Ends it as a power cut does; its database stays.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again after [`Tryton::kill`], on the same port and database.
    pub fn restart(&self) {
        self.server.restart();
    }

    /// The file of its SQLite database, to be looked into.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("tryton.sqlite")
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// Its address: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// The settings of a connection to it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("base_url", self.url()), ("database", DATABASE.to_owned()), ("username", USERNAME.to_owned())]
    }

    /// Calls as a person makes them: model, method, arguments; one result each.
    pub fn person(&self, calls: &Value) -> Vec<Value> {
        let mut command = Command::new(judge::tools().join("tryton/venv/bin/python"));
        command.args(["-c", CLIENT]);
        let url = format!("http://{USERNAME}:{PASSWORD}@127.0.0.1:{}/{DATABASE}/rpc/", self.server.port);
        let results = judge::ask(command, &json!({ "url": url, "calls": calls }));
        results.as_array().cloned().expect("a result for each call")
    }

    /// Makes a party with contact mechanisms of these kinds and values; the answer is its number.
    pub fn make_party(&self, name: &str, mechanisms: &[(&str, &str)]) -> u64 {
        let mechanisms: Vec<Value> =
            mechanisms.iter().map(|(kind, value)| json!({ "type": kind, "value": value })).collect();
        let party = json!({ "name": name, "contact_mechanisms": [["create", mechanisms]] });
        self.person(&json!([["party.party", "create", [party]]]))[0][0].as_u64().expect("a number")
    }

    /// A party as a person sees it, with its contact mechanisms as `[type, value, active]` in their order.
    pub fn party(&self, id: u64) -> Value {
        let fields =
            ["name", "code", "contact_mechanisms.type", "contact_mechanisms.value", "contact_mechanisms.active"];
        let found = self.person(&json!([["party.party", "search_read", [["id", "=", id]], 0, 1, null, fields]]));
        let row = &found[0][0];
        let mechanisms = row["contact_mechanisms."].as_array().into_iter().flatten();
        let shown = |it: &Value| json!([it["type"], it["value"], it["active"] != 0 && it["active"] != false]);
        json!({ "name": row["name"], "code": row["code"], "mechanisms": mechanisms.map(shown).collect::<Vec<_>>() })
    }

    /// Numbers of the parties besides the company.
    pub fn parties(&self) -> Vec<u64> {
        let found = self.person(&json!([["party.party", "search", [["id", "!=", COMPANY]], 0, null, [["id", "ASC"]]]]));
        found[0].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    }

    /// How often a record of a party was made, changed or removed since the start, by the server's own log.
    pub fn writes(&self) -> u64 {
        let logged = json!([["event", "in", ["write", "delete"]]]);
        let found = self.person(&json!([
            ["ir.model.log", "search_count", logged],
            ["party.party", "search_count", []],
            ["party.contact_mechanism", "search_count", []],
        ]));
        found.iter().filter_map(Value::as_u64).sum()
    }
}
