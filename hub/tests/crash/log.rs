//! The hub behind a NATS stream. It dies at every point between the call and the inbox, and the servers with it: what was
//! acknowledged is in the inbox, once and in order. What cannot be kept is refused, and said once.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::crash::Point;
use huiliu_core::secrets::Secret;
use huiliu_core::store::{Store as Opened, inbox};
use huiliu_rest::sign;
use huiliu_tests::nats::{self, Kind, Nats};
use huiliu_tests::postgres;

use crate::kit::{self, Folder, free_port};
use crate::program::{Fate, Program};
use crate::world::Store;

/// What a call passes on its way into the inbox.
pub const POINTS: [Point; 6] =
    [Point::LogSent, Point::LogKept, Point::LogRead, Point::LogWritten, Point::LogCommitted, Point::LogPurged];

const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Nothing takes longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A deployment behind these servers, and the URL of its store.
fn deployment(store: Store, nats: &Nats, port: u16) -> (Folder, String) {
    let folder = Folder::new("");
    let (written, url) = match store {
        Store::Sqlite => {
            let file = folder.path().join("data/huiliu.db");
            ("sqlite:data/huiliu.db".to_owned(), format!("sqlite:{}", file.display()))
        }
        Store::Postgres => {
            let url = postgres::database();
            (url.clone(), url)
        }
    };
    let (servers, monitors, replicas) = (nats.urls(), nats.monitors(), nats.urls().len());
    folder.write(
        "huiliu.toml",
        &format!(
            "[hub]\nlisten = '127.0.0.1:{port}'\nstore = '{written}'\n[intake]\nservers = {servers:?}\n\
             monitors = {monitors:?}\nreplicas = {replicas}\nlogin = 'password'\nuser = '{}'\n\
             [connections.one]\nconnector = 'webhook'\n[connections.two]\nconnector = 'webhook'\n",
            nats::USER
        ),
    );
    folder.tell(&["secret", "intake", "password"], nats::PASSWORD).out();
    for connection in ["one", "two"] {
        folder.tell(&["secret", connection, "webhook"], KEY).out();
    }
    (folder, url)
}

/// Tells an event; the whole answer, none where nobody answers.
fn tell(port: u16, connection: &str, number: usize, key: &str) -> Option<(u16, String)> {
    let (id, seconds) = (format!("{connection}-{number}"), Clock::System.now().as_second());
    let data = format!(r#"{{"id":"{id}","full_name":"王{number}"}}"#);
    let body = format!(r#"{{"type":"customer.created","id":"{id}","data":{data}}}"#);
    let signature = sign::standard_webhook(&Secret::new(key), &id, seconds, body.as_bytes()).expect("a signature");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let told = write!(
        stream,
        "POST /hooks/{connection} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nwebhook-id: {id}\r\n\
         webhook-timestamp: {seconds}\r\nwebhook-signature: {signature}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    told.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some((answer.split(' ').nth(1)?.parse().ok()?, answer))
}

/// The events in the inbox by connection, in order.
fn kept(url: &str) -> BTreeMap<String, Vec<usize>> {
    let store = Opened::open(url).expect("the store");
    let mut kept = BTreeMap::<String, Vec<usize>>::new();
    for item in store.read(|tx| inbox::after(tx, 0, 100_000)).expect("the inbox") {
        let event: serde_json::Value = serde_json::from_slice(&item.body).expect("JSON");
        let number = event["id"].as_str().and_then(|id| id.split_once('-')?.1.parse().ok()).expect("a number");
        kept.entry(item.connection).or_default().push(number);
    }
    kept
}

/// Keeps the program running until something is so.
#[track_caller]
fn until(program: &mut Program, what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    loop {
        program.tend();
        if is_so() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: never\n{}", program.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// By then one of the servers has died and come back.
const EVENTS: usize = 41;

/// Two senders, each of whom waits for its answer, until the hub has died at every point.
fn deaths(store: Store) {
    let nats = Nats::start(Kind { servers: 3, login: true, ..Kind::default() });
    let port = free_port();
    let (folder, url) = deployment(store, &nats, port);
    // At the beginning, and amid the stream.
    let deaths: VecDeque<String> =
        ["1", "3"].into_iter().flat_map(|count| POINTS.map(|point| format!("{}:{count}", point.name()))).collect();
    let mut program = Program::on(folder, Fate { deaths, ..Fate::default() });
    let mut number = 0;
    while !program.is_through() || number < EVENTS {
        for connection in ["one", "two"] {
            until(&mut program, "it is kept", || {
                tell(port, connection, number, KEY).is_some_and(|(code, _)| code == 200)
            });
        }
        // The sender did not hear it.
        tell(port, "one", number / 2, KEY);
        if number == 20 {
            nats.kill(1);
        }
        if number == 40 {
            nats.restart(1);
        }
        number += 1;
        assert!(number < 3_000, "{store:?}: it is still to die, and does not\n{}", program.log());
    }
    until(&mut program, "all is taken in", || kept(&url).values().map(Vec::len).sum::<usize>() == 2 * number);
    std::thread::sleep(Duration::from_secs(1));
    for (connection, events) in kept(&url) {
        assert_eq!(events, (0..number).collect::<Vec<_>>(), "{connection} on {store:?}: each once, in order");
    }
}

#[test]
fn a_death_at_any_point_before_the_inbox_loses_and_doubles_nothing() {
    std::thread::scope(|both| {
        let all = Store::BOTH.map(|store| both.spawn(move || deaths(store)));
        for one in all {
            one.join().expect("it ends well");
        }
    });
}

fn value(port: u16, series: &str) -> String {
    let metrics = kit::call(port, "GET", "/metrics", &[], "").1;
    let found = metrics.lines().find_map(|line| Some(line.strip_prefix(series)?.trim().to_owned()));
    found.unwrap_or_else(|| panic!("{series}: {metrics}"))
}

fn lines(folder: &Path, text: &str) -> usize {
    let log = std::fs::read_to_string(folder.join("serve.log")).expect("a log");
    log.lines().filter(|line| line.contains(text)).count()
}

/// All servers go and come back: calls are refused meanwhile, that is said once, and everything goes on by itself.
#[test]
fn while_the_servers_are_away_calls_are_refused_and_it_is_said_once() {
    let nats = Nats::start(Kind { servers: 3, login: true, ..Kind::default() });
    let port = free_port();
    let (folder, url) = deployment(Store::Sqlite, &nats, port);
    let path = folder.path().to_owned();
    let _hub = folder.serve(port, &[]);
    assert_eq!(tell(port, "one", 0, KEY).map(|it| it.0), Some(200));
    let wrong = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWQ=";
    assert_eq!(tell(port, "one", 1, wrong).map(|it| it.0), Some(401), "a wrong signature");
    kit::until("it is taken in", || (kept(&url).get("one").map(Vec::as_slice) == Some(&[0])).then_some(()));
    assert_eq!(value(port, "huiliu_intake_waiting"), "0");
    for number in 0..3 {
        nats.kill(number);
    }
    let mut refused = 0;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let (code, answer) = tell(port, "one", 1, KEY).expect("an answer");
        assert_eq!(code, 503, "{answer}");
        assert!(answer.to_ascii_lowercase().contains("retry-after: "), "{answer}");
        refused += 1;
    }
    assert!(refused > 50, "each is answered at once: {refused}");
    kit::until("it is told", || (value(port, "huiliu_intake_stopped") == "1").then_some(()));
    let status = folder.run(&["status"]).out();
    assert!(status.contains("Stream huiliu_intake: ") && status.contains("  stopped: "), "{status}");
    let chinese = folder.run(&["--lang", "zh", "intake"]).out();
    assert!(
        chinese.contains("流 huiliu_intake：已读入至第 ") && chinese.contains("已停止：NATS 服务器没有应答"),
        "{chinese}"
    );
    assert!((1..=3).contains(&lines(&path, "calls cannot be kept")), "{}", folder.read("serve.log"));
    assert!((1..=4).contains(&lines(&path, "nothing of the stream is taken")), "{}", folder.read("serve.log"));
    for number in 0..3 {
        nats.restart(number);
    }
    kit::until("it is kept again", || (tell(port, "one", 1, KEY)?.0 == 200).then_some(()));
    kit::until("it is taken in", || (kept(&url).get("one").map(Vec::as_slice) == Some(&[0, 1])).then_some(()));
    kit::until("it is known", || (value(port, "huiliu_intake_stopped") == "0").then_some(()));
    assert!((1..=4).contains(&lines(&path, "calls are kept again")), "{}", folder.read("serve.log"));
    assert!(folder.run(&["intake"]).out().starts_with("Stream huiliu_intake: taken in up to message "));
    for secret in [nats::PASSWORD, "王1"] {
        assert_eq!(lines(&path, secret), 0, "{secret} is in the log");
    }
}
