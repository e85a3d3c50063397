//! A real django-oscar shop with its REST API, on a database of its own, and the people in it.
//!
//! tests/servers/oscar/ is the shop's project; its `install.sh` makes the database that each start copies. Buyers and
//! staff act through `act.py` in that folder: never through our connector.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::judge;
use crate::server::{Server, free_port};

/// The hub's account in the shop.
pub const USERNAME: &str = "hub";

/// Its password.
pub const PASSWORD: &str = "hub-password-1";

/// See the module.
pub struct Oscar {
    server: Server,
    people: Mutex<People>,
    _folder: tempfile::TempDir,
}

struct People {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl People {
    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the people answer");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("`{line}` is no answer ({error}); run ./test.sh"))
    }
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/oscar")
}

/// Python with the shop's settings, on this database.
fn python(database: &Path) -> Command {
    let mut command = Command::new(judge::tools().join("oscar/venv/bin/python"));
    command.args(["-W", "ignore"]).current_dir(project());
    command.env("SHOP_DB", database).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

impl Oscar {
    /// Starts a shop where nobody but the hub has an account yet.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("shop.sqlite3");
        std::fs::copy(judge::tools().join("oscar/shop.sqlite3"), &database)
            .unwrap_or_else(|error| panic!("the shop's database is not there ({error}); run ./test.sh"));
        let (port, at) = (free_port(), database.clone());
        let make = move || {
            let mut command = python(&at);
            command.args(["manage.py", "runserver", "--noreload", &format!("127.0.0.1:{port}")]);
            command
        };
        let server = Server::start(port, folder.path().join("log"), "/api/", make);
        let mut people = python(&database);
        people.arg("act.py").arg(format!("http://127.0.0.1:{port}"));
        let mut child = people.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let (asks, answers) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut people = People { child, asks, answers: BufReader::new(answers) };
        people.answer();
        Self { server, people: Mutex::new(people), _folder: folder }
    }

    /// The server process.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where its API is.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.server.port)
    }

    /// Somebody does something; the words are those of `act.py`.
    pub fn act(&self, what: &Value) -> Value {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.asks.write_all(format!("{what}\n").as_bytes()).expect("the people listen");
        let answer = people.answer();
        assert!(answer["failed"].is_null(), "{what}: {answer}");
        answer["done"].clone()
    }

    /// Everybody with an account but the hub, by id, as the shop's table holds them.
    pub fn users(&self) -> Value {
        self.act(&json!({ "do": "users" }))
    }

    /// The writes through the admin API that the shop's own log tells of, by their answer's status.
    pub fn writes(&self, status: u16) -> u64 {
        let (log, end) = (self.server.log(), format!(" HTTP/1.1\" {status} "));
        let write = |line: &&str| line.contains(" /api/admin/") && !line.contains("\"GET ") && line.contains(&end);
        log.lines().filter(write).count() as u64
    }
}

impl Drop for Oscar {
    fn drop(&mut self) {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.child.kill().ok();
        people.child.wait().ok();
    }
}
