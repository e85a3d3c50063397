//! The console: nobody gets in without a login, nothing is done for a foreign page, and a person finds her way.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{Folder, PATIENCE, browse, free_port, until};

const PASSWORD: &str = "correct horse battery staple";

/// An answer with its head.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The value of a cookie that the answer sets.
    fn cookie(&self, name: &str) -> Option<String> {
        let set = self.header("set-cookie");
        let line = set.lines().find_map(|line| line.strip_prefix(&format!("{name}=")))?;
        Some(line.split(';').next()?.to_owned())
    }

    /// What the forms of a page carry.
    pub fn form(&self) -> String {
        let after = self.body.split("name=\"form\" value=\"").nth(1).expect("a form");
        after.split('"').next().expect("a value").to_owned()
    }
}

fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    if method == "POST" {
        request += "Content-Type: application/x-www-form-urlencoded\r\n";
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).expect("send");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A hub with a console, serving; both end when this is dropped.
pub struct Hub {
    port: u16,
    hooks: u16,
    origin: String,
    link: String,
    pub folder: Folder,
    _serving: Program,
}

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program and waits for a line with a link to the first account.
fn start(mut command: Command, patience: Duration) -> (Program, String) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut program = Program(child.expect("huiliu starts"));
    let out = BufReader::new(program.0.stdout.take().expect("a pipe"));
    let (found, finds) = mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = found.send(line);
        }
    });
    loop {
        let line = finds.recv_timeout(patience).expect("a link is printed");
        if line.contains("/invite/") {
            return (program, line.trim().to_owned());
        }
    }
}

fn hub() -> Hub {
    hub_with("")
}

/// With this in its huiliu.toml.
fn hub_with(config: &str) -> Hub {
    hub_of(Folder::new(config))
}

/// On a folder that was made before.
pub fn hub_of(folder: Folder) -> Hub {
    let (port, hooks) = (free_port(), free_port());
    let config = folder.read("huiliu.toml");
    let own = format!("[hub]\nlisten = '127.0.0.1:{hooks}'\n[console]\nlisten = '127.0.0.1:{port}'\n");
    folder.write("huiliu.toml", &(own + &config));
    let (serving, link) = start(folder.command(&["serve"]), PATIENCE);
    until("the console is open", || TcpStream::connect(("127.0.0.1", port)).ok());
    let path = link.strip_prefix(&format!("http://127.0.0.1:{port}")).expect("its own address").to_owned();
    Hub { port, hooks, origin: format!("http://127.0.0.1:{port}"), link: path, folder, _serving: serving }
}

impl Hub {
    pub fn get(&self, path: &str, cookies: &str) -> Answer {
        ask(self.port, "GET", path, &[("Cookie", cookies)], "")
    }

    pub fn post(&self, path: &str, cookies: &str, form: &str, rest: &str) -> Answer {
        let headers = [("Cookie", cookies), ("Origin", self.origin.as_str())];
        ask(self.port, "POST", path, &headers, &format!("form={form}&{rest}"))
    }

    /// What a supervisor reads.
    pub fn metrics(&self) -> String {
        ask(self.hooks, "GET", "/metrics", &[], "").body
    }

    /// A page in Chinese.
    pub fn get_zh(&self, path: &str, cookies: &str) -> String {
        ask(self.port, "GET", path, &[("Cookie", cookies), ("Accept-Language", "zh-CN")], "").body
    }

    /// Makes the first account.
    pub fn account(&self) {
        let page = self.get(&self.link, "");
        let cookie = format!("form={}", page.cookie("form").expect("a cookie for the form"));
        let fields = format!("name=Wang&password={PASSWORD}&again={PASSWORD}");
        let made = self.post(&self.link, &cookie, &page.form(), &fields);
        assert_eq!((made.status, made.header("location").as_str()), (303, "/login?said=welcome"), "{}", made.body);
    }

    /// Logs in; returns the session's cookie.
    pub fn log_in(&self) -> String {
        let page = self.get("/login", "");
        let cookie = format!("form={}", page.cookie("form").expect("a cookie for the form"));
        let fields = format!("name=wang&password={PASSWORD}&next=%2Fcustomers%3Fq%3Dli");
        let done = self.post("/login", &cookie, &page.form(), &fields);
        assert_eq!((done.status, done.header("location").as_str()), (303, "/customers?q=li"), "{}", done.body);
        let set = done.header("set-cookie");
        assert!(set.contains("HttpOnly; SameSite=Strict") && !set.contains("Secure"), "{set}");
        format!("session={}", done.cookie("session").expect("a session"))
    }
}

const PAGES: &[&str] = &[
    "/",
    "/connections/shop",
    "/customers",
    "/customers/1",
    "/records?key=a/b/1",
    "/reviews",
    "/reviews/1",
    "/conflicts",
    "/conflicts/1",
    "/dead-letters",
    "/nowhere",
];

#[test]
fn nothing_is_reachable_without_a_login() {
    let hub = hub();
    for page in PAGES {
        let answer = hub.get(page, "session=guessed");
        assert_eq!(answer.status, 303, "{page}");
        assert!(answer.header("location").starts_with("/login"), "{page}: {}", answer.header("location"));
        assert_eq!(answer.body, "", "{page} says something");
    }
    assert_eq!(hub.get("/live/connections", "").status, 401);
    for action in [
        "/dead-letters/retry",
        "/connections/shop/pause",
        "/connections/shop/brake",
        "/connections/shop/drift",
        "/reviews",
        "/reviews/1",
        "/logout",
    ] {
        let answer = hub.post(action, "", "x", "one=1");
        assert_eq!(answer.status, 401, "{action}");
    }
    let page = hub.get("/login", "");
    for (name, value) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert!(page.header(name).contains(value), "{name}: {}", page.head);
    }
    assert!(!page.header("content-security-policy").contains("unsafe"), "{}", page.head);
    assert!(!page.body.contains("style=") && !page.body.contains("onclick"), "{}", page.body);
    let style = page.body.split("href=\"/static/console.css").nth(1).expect("a style sheet");
    assert!(style.starts_with('?'), "its address changes with it");
    assert!(hub.get("/static/console.css", "").header("cache-control").contains("immutable"));
    assert_eq!(hub.get("/static/..%2Fsecret.key", "").status, 404);
}

#[test]
fn a_link_makes_one_account_and_a_guesser_waits() {
    let hub = hub();
    assert_eq!(hub.get("/invite/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "").status, 409);
    hub.account();
    assert_eq!(hub.get(&hub.link, "").status, 409, "the link is used up");
    let page = hub.get("/login", "");
    let cookie = format!("form={}", page.cookie("form").expect("a cookie"));
    let mut told = Vec::new();
    for _ in 0..8 {
        told.push(hub.post("/login", &cookie, &page.form(), "name=wang&password=wrong").status);
    }
    assert_eq!(told[..6], [403; 6], "{told:?}");
    assert!(told[6..].contains(&429), "{told:?}");
    let outside = hub.post("/login", &cookie, &page.form(), "name=li&password=wrong&next=%2F%2Fevil.example");
    assert!(!outside.body.contains("evil"), "only addresses of this site are gone on to");
    // A new password by a new link, which ends the wait.
    let line = hub.folder.run(&["console", "invite", "--for", "WANG"]).out();
    let path = line.trim().strip_prefix(&hub.origin).expect("its address").to_owned();
    let page = hub.get(&path, "");
    assert!(page.body.contains("wang"), "{}", page.body);
    let cookie = format!("form={}", page.cookie("form").expect("a cookie"));
    let unequal = hub.post(&path, &cookie, &page.form(), &format!("password={PASSWORD}&again=another+one+here"));
    assert_eq!(unequal.status, 422, "{}", unequal.body);
    let made = hub.post(&path, &cookie, &page.form(), &format!("password={PASSWORD}&again={PASSWORD}"));
    assert_eq!(made.status, 303, "{}", made.body);
    hub.log_in();
    let told = hub.folder.run(&["console", "invite", "--for", "nobody"]).err();
    assert!(told.contains("no account nobody"), "{told}");
}

#[test]
fn nothing_is_done_for_a_foreign_page() {
    let hub = hub();
    hub.account();
    let session = hub.log_in();
    let page = hub.get("/dead-letters", &session);
    assert_eq!(page.status, 200);
    assert!(page.cookie("form").is_none(), "a session needs no other cookie");
    let form = page.form();
    let try_it = |headers: &[(&str, &str)], body: &str| ask(hub.port, "POST", "/dead-letters/retry", headers, body);
    let cookie = ("Cookie", session.as_str());
    let fine = format!("form={form}&one=1");
    // What a page of ours sends is understood; there is only no such letter.
    let origin = ("Origin", hub.origin.as_str());
    assert_eq!(try_it(&[cookie, origin], &fine).status, 409);
    assert_eq!(try_it(&[cookie], &fine).status, 403, "no origin");
    assert_eq!(try_it(&[cookie, ("Origin", "null")], &fine).status, 403);
    assert_eq!(try_it(&[cookie, ("Origin", "http://evil.example")], &fine).status, 403);
    assert_eq!(try_it(&[cookie, origin], "one=1").status, 403, "no token");
    let other = hub.get("/login", "");
    assert_eq!(try_it(&[cookie, origin], &format!("form={}&one=1", other.form())).status, 403, "another's token");
    assert_eq!(try_it(&[cookie, origin], &"x".repeat(70_000)).status, 413);
    assert_eq!(hub.get("/connections/none", &session).status, 404);
    assert_eq!(hub.get("/reviews/1", &session).status, 404);
    assert_eq!(hub.get("/conflicts/1", &session).status, 404);
    assert_eq!(hub.post("/conflicts/1", &session, "stolen", "winner=shop").status, 403, "no token");
    assert_eq!(hub.post("/conflicts/1", &session, &form, "winner=shop").status, 409, "there is no such conflict");
    let scripted = hub.get("/customers?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E", &session);
    assert!(scripted.status == 200 && !scripted.body.contains("<script>alert"), "values are escaped");
    let chinese = ask(hub.port, "GET", "/", &[cookie, ("Accept-Language", "zh-CN,zh;q=0.9")], "");
    assert!(chinese.body.contains("lang=\"zh-CN\"") && chinese.body.contains("连接"), "{}", chinese.body);
    assert_eq!(hub.get("/?lang=zh", &session).cookie("lang").as_deref(), Some("zh"));
    let out = hub.post("/logout", &session, &form, "");
    assert_eq!(out.header("location"), "/login");
    assert_eq!(hub.get("/", &session).status, 303, "the session is over on this side too");
}

#[test]
fn a_connection_shows_how_complete_it_is() {
    let shop = "[connections.shop]\nconnector = 'shopify'\nnetwork = 'private'\nreconcile_percent = 0\n\
                config = { shop = 'demo', base_url = 'http://127.0.0.1:9/' }\n";
    let hub = hub_with(shop);
    hub.account();
    let session = hub.log_in();
    let store = rusqlite::Connection::open(hub.folder.path().join("data/huiliu.db")).expect("the store");
    store.busy_timeout(PATIENCE).expect("patience");
    let round = "INSERT INTO reconcile_round VALUES ('shop', 'customers', 3, 'rest', NULL, '{\"inbox\":1,\"link\":1}',
        '{\"records\":0,\"fields\":{}}', 1, 9000000000000000, 0, NULL,
        '{\"records\":1000000,\"fields\":{\"title\":1000000}}', 1)";
    store.execute(round, []).expect("a round");
    for at in 0..23 {
        let one =
            "INSERT INTO divergence VALUES ('shop', 'customers', ?1, 'missed', '[\"title\"]', 'repairing', NULL, 1, 0,
                   NULL, 1, 9000000000000000)";
        store.execute(one, [at.to_string()]).expect("a divergence");
    }
    let page = hub.get("/connections/shop", &session).body;
    for shown in ["Completeness", "1000000", "99.997 %", "23 differ, repairing"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let page = hub.get_zh("/connections/shop", &session);
    assert!(page.contains("完整性") && page.contains("23 条不一致，修复中"), "{page}");
}

/// A delivery that gave up, as push leaves it: the newest one to the ERP that was done.
fn bury(folder: &std::path::Path) {
    let store = rusqlite::Connection::open(folder.join("data/huiliu.db")).expect("the store");
    store.busy_timeout(PATIENCE).expect("patience");
    let delivery: i64 = store
        .query_row("SELECT MAX(id) FROM delivery WHERE connection = 'erp' AND state = 'done'", [], |row| row.get(0))
        .expect("a delivery to the ERP");
    let reason = "the system refused the value at /FContact: the customer is locked by an open audit";
    store
        .execute("UPDATE delivery SET state = 'dead', error = ?2 WHERE id = ?1", rusqlite::params![delivery, reason])
        .expect("it gave up");
    store
        .execute(
            "INSERT INTO dead_letter (stage, connection, stream, external_id, item, reason, at_us, state)
             SELECT 'push', connection, stream, external_id, id, ?2, planned_us, 'waiting' FROM delivery WHERE id = ?1",
            rusqlite::params![delivery, reason],
        )
        .expect("it is buried");
}

#[test]
fn a_person_finds_her_way() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("day");
    std::fs::create_dir(&folder).expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_huiliu"));
    command.args(["demo", "--folder"]).arg(&folder).env("HUILIU_LANG", "en");
    // The day of the demo comes first.
    let (_demo, link) = start(command, Duration::from_secs(180));
    let address = link.split("/invite/").next().expect("an address").to_owned();
    bury(&folder);
    let shots = std::env::var("HUILIU_SHOTS").ok();
    let told = browse(
        "console/walk.mjs",
        &json!({"address": address, "link": link, "name": "wang", "password": PASSWORD, "shots": shots}),
    );
    let problems: Vec<&str> = told["problems"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let seen = &told["seen"];
    assert!(told["pages"].as_i64() > Some(50), "{told}");
    assert_eq!(seen["focus"], "main");
    for text in ["韩梅梅", "梅梅", "韩"] {
        let found = seen["found"][text].as_array().expect("a list");
        assert!(found.iter().any(|it| it.as_str().is_some_and(|name| name.contains("梅梅"))), "{text}: {seen}");
    }
    assert_eq!((&seen["lettersBefore"], &seen["lettersAfter"]), (&json!(1), &json!(0)), "{seen}");
    assert_eq!(seen["retried"], "1 tried again; 0 must be mended elsewhere first.");
    assert_eq!(seen["decided"], "Decided: different. They stay apart.");
    assert_eq!(seen["settled"], "It was decided: different.");
    assert!(seen["paused"].as_str().is_some_and(|it| it.contains("Paused by wang")), "{seen}");
    assert!(seen["resumed"].as_str().is_some_and(|it| it.contains("In step")), "{seen}");
    assert_eq!(seen["missing"], "There is no such page");
    assert!(seen["cards"].as_i64() >= Some(5), "{seen}");
    assert_eq!((&seen["live"], &seen["afterLogout"]), (&json!(true), &json!("/login")));
    // The delivery was carried out once more, and everything that was done is on record with the name.
    let store = rusqlite::Connection::open(folder.join("data/huiliu.db")).expect("the store");
    until("the delivery is done", || {
        let left: i64 = store
            .query_row("SELECT COUNT(*) FROM delivery WHERE state IN ('dead', 'pending', 'sending')", [], |row| {
                row.get(0)
            })
            .ok()?;
        (left == 0).then_some(())
    });
    let mut commands = store.prepare("SELECT what, made_by, why FROM command ORDER BY id DESC LIMIT 5").expect("sql");
    let rows = commands.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    let rows: Vec<(String, String, String)> = rows.map(|row| row.expect("a row")).collect();
    let told: Vec<&str> = rows.iter().rev().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(told, ["retry", "later", "decide", "pause", "resume"]);
    assert!(rows.iter().all(|(_, by, _)| by == "wang"), "{rows:?}");
    assert_eq!(rows[2].2, "they are colleagues");
}
