//! A real Radicale (CardDAV and CalDAV) on a free loopback port, and a person with another program at it: `requests`,
//! `vobject` and `caldav` of PyPI, not our own code.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::judge;
use crate::server::{Server, free_port};

/// The account of the hub.
pub const USERNAME: &str = "hub";

/// Its password.
pub const PASSWORD: &str = "correct-horse";

/// A running server with one address book `people` and one calendar `meetings`. It ends when this is dropped.
pub struct Radicale {
    server: Server,
    dir: tempfile::TempDir,
}

fn python() -> PathBuf {
    judge::tools().join("radicale/bin/python")
}

/// What the person's program does. It prints one JSON value.
const CLIENT: &str = r#"
import json, sys, requests
ask = json.load(sys.stdin)
web = requests.Session()
web.auth, web.trust_env = (ask["username"], ask["password"]), False
base = ask["base"]
def call(method, path, ok=(200, 201, 204, 207), **more):
    reply = web.request(method, base + path, timeout=20, **more)
    assert reply.status_code in ok, (method, path, reply.status_code, reply.text[:300])
    reply.encoding = "utf-8"
    return reply
"#;

/// Changes properties with `vobject`, as an address book program does: whoever was faster is read again.
const EDIT: &str = r"
import vobject
for attempt in range(5):
    reply = call('GET', ask['path'])
    card = vobject.readOne(reply.text)
    for name, value in ask['values'].items():
        if hasattr(card, name):
            getattr(card, name).value = value
        else:
            card.add(name).value = value
    headers = {'If-Match': reply.headers['ETag'], 'Content-Type': 'text/vcard'}
    if call('PUT', ask['path'], (200, 201, 204, 412), data=card.serialize().encode(), headers=headers).status_code != 412:
        break
else:
    raise SystemExit('somebody was faster five times')
print('null')
";

impl Radicale {
    /// Starts it with its two empty collections.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("rd").tempdir_in("/tmp").expect("a folder");
        let port = free_port();
        let home = dir.path().display();
        std::fs::write(dir.path().join("users"), format!("{USERNAME}:{PASSWORD}\n")).expect("written");
        let config = format!(
            "[server]\nhosts = 127.0.0.1:{port}\nmax_connections = 50\n[auth]\ntype = htpasswd\nhtpasswd_filename = {home}/users\n\
             htpasswd_encryption = plain\ndelay = 0\n[storage]\nfilesystem_folder = {home}/data\n\
             [logging]\nlevel = warning\n"
        );
        std::fs::write(dir.path().join("config"), config).expect("written");
        let configured = dir.path().join("config");
        let server = Server::start(port, dir.path().join("log"), "/.web/", move || {
            let mut command = Command::new(python());
            command.args(["-m", "radicale", "--config"]).arg(&configured).env("TZ", "UTC");
            command
        });
        let radicale = Self { server, dir };
        radicale.make("people", "People", "urn:ietf:params:xml:ns:carddav", "addressbook");
        radicale.make("meetings", "Meetings", "urn:ietf:params:xml:ns:caldav", "calendar");
        radicale
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// Makes a collection of the account.
    pub fn make(&self, name: &str, title: &str, namespace: &str, kind: &str) {
        let body = format!(
            "<mkcol xmlns=\"DAV:\" xmlns:K=\"{namespace}\"><set><prop><resourcetype><collection/><K:{kind}/></resourcetype>\
             <displayname>{title}</displayname></prop></set></mkcol>"
        );
        let script = "call('MKCOL', ask['path'], data=ask['body'].encode(), headers={'Content-Type': 'application/xml'})\nprint('null')";
        self.person(script, json!({ "path": format!("/{USERNAME}/{name}/"), "body": body }));
    }

    /// A person's program does something: Python on top of `call(method, path, …)`, `web` and `ask`; it prints JSON.
    pub fn person(&self, script: &str, mut ask: Value) -> Value {
        ask["base"] = json!(self.url());
        ask["username"] = json!(USERNAME);
        ask["password"] = json!(PASSWORD);
        let mut command = Command::new(python());
        command.args(["-c", &format!("{CLIENT}{script}")]);
        judge::ask(command, &ask)
    }

    /// Puts texts at paths below the account: `people/a.vcf`.
    pub fn put(&self, members: &[(String, String)]) {
        let script = "kind = lambda p: 'text/vcard' if p.endswith('.vcf') else 'text/calendar'\n\
                      for path, text in ask['members']:\n    \
                      call('PUT', '/hub/' + path, data=text.encode(), headers={'Content-Type': kind(path)})\nprint('null')";
        self.person(script, json!({ "members": members }));
    }

    /// The text at a path below the account; none where nothing is.
    pub fn text(&self, path: &str) -> Option<String> {
        let script = "r = call('GET', '/hub/' + ask['path'], ok=(200, 404))\nprint(json.dumps(r.text if r.status_code == 200 else None))";
        self.person(script, json!({ "path": path })).as_str().map(str::to_owned)
    }

    /// A person changes properties of the card at a path below the account: `{"title": "店长"}`.
    pub fn edit(&self, path: &str, values: &Value) {
        self.person(EDIT, json!({ "path": format!("/{USERNAME}/{path}"), "values": values }));
    }

    /// Removes what is at a path below the account.
    pub fn remove(&self, path: &str) {
        self.person("call('DELETE', '/hub/' + ask['path'])\nprint('null')", json!({ "path": path }));
    }

    /// How many members a collection holds, as its files show.
    pub fn count(&self, collection: &str) -> usize {
        let entries = std::fs::read_dir(self.folder(collection)).into_iter().flatten().flatten();
        entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).count()
    }

    /// How many members of a collection bear a note: the hub's own writes in the tests.
    pub fn noted(&self, collection: &str) -> u64 {
        let entries = std::fs::read_dir(self.folder(collection)).into_iter().flatten().flatten();
        let noted = |path: &Path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("NOTE:"));
        entries.filter(|entry| entry.path().is_file() && noted(&entry.path())).count() as u64
    }

    /// The text of a member of the collection `people`, as its file shows.
    pub fn stored(&self, member: &str) -> Option<String> {
        std::fs::read_to_string(self.folder("people").join(member)).ok()
    }

    /// The texts of all members of the collection `people`, as its files show.
    pub fn all(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder("people")).into_iter().flatten().flatten();
        let cards = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "vcf"));
        cards.filter_map(|path| std::fs::read_to_string(path).ok()).collect()
    }

    fn folder(&self, collection: &str) -> PathBuf {
        self.dir.path().join("data/collection-root").join(USERNAME).join(collection)
    }

    /// The server forgets every sync token that it gave out, as one does whose history has been cleaned up.
    pub fn forget_tokens(&self, collection: &str) {
        std::fs::remove_dir_all(self.folder(collection).join(".Radicale.cache/sync-token"))
            .expect("it had given tokens out");
    }

    /// Ends the server at once, as a crash does.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts it again with the same data on the same port.
    pub fn restart(&self) {
        self.server.restart();
    }
}
