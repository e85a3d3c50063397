//! A power cut: what was acknowledged is there afterwards, whatever else the disk has and has not.
//!
//! The real program serves while strace writes down what it does to its files and says to its callers. Then its disk is
//! built as it may be after a power cut at any step: all that was synced, and of what was not any part, in any order,
//! torn within a page. From each the hub opens its store, which is whole and holds every event that was acknowledged by
//! then, once. A disk that lies about its syncs loses some, so the test would see it.
//!
//! `HUILIU_POWER_EVENTS=20000 HUILIU_POWER_CUTS=500 cargo test -p huiliu-hub --test power` takes longer, and passes
//! checkpoints of the log.

mod disk;
#[path = "../cli/kit.rs"]
#[allow(dead_code)] // The tests of the command line use the rest.
mod kit;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use disk::{Disk, Syncs};
use huiliu_core::store::{Store, inbox};
use huiliu_twins::dice::Dice;
use kit::{Folder, free_port, until};
use trace::Step;

/// Callers at one time, so that commits hold several events.
const CALLERS: usize = 8;

const TOKEN: &str = "a token that proves the shop";

const SHOP: &str = r#"
[connector]
name = "shop"
title = "Shop"
about = "A shop that sends a token with its webhooks."
driver = "rest"
base_url = "http://127.0.0.1:9"
[connector.secret]
token = { description = "What proves the webhooks." }
[auth]
kind = "none"
reason = "it is never called"
[defaults]
key = "/id"
[streams.customers]
about = "Customers."
[webhook]
verify = { kind = "shared_token", header = "X-Token", secret = "{secret.token}" }
dedupe = ["header:X-Event"]
carries = "record"
route = { by = "header:X-Topic", topics = { "customer" = "customers" } }
"#;

const MAPPING: &str = r#"
[customers]
entity = "customer"
[customers.identities]
email = "/email"
[customers.fields]
kind = { const = "person" }
display_name = "/name"
emails.main = "/email"
"#;

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Sends events one after the other over one connection until there are enough or the hub is gone; what was sent, and
/// over which port.
fn call(port: u16, caller: usize, events: usize) -> (u16, Vec<String>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    let mut sent = Vec::new();
    for at in 0..events {
        let event = format!("e{caller}-{at}");
        let body = format!(r#"{{"id":"{event}","name":"Person {event}","email":"{event}@example.com"}}"#);
        let head = format!(
            "POST /hooks/shop HTTP/1.1\r\nHost: it\r\nX-Token: {TOKEN}\r\nX-Topic: customer\r\nX-Event: {event}"
        );
        let call = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        sent.push(event);
        if stream.write_all(call.as_bytes()).is_err() {
            break;
        }
        let mut heard = [0_u8; 1024];
        match stream.read(&mut heard) {
            Ok(read) if read > 0 => assert!(heard.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&heard)),
            _ => break,
        }
    }
    (stream.local_addr().expect("it has one").port(), sent)
}

/// Lets the hub serve under strace; what it did, and the events that each port sent, in order.
fn served(folder: &Folder, port: u16, events: usize) -> (Vec<Step>, BTreeMap<u16, Vec<String>>) {
    let log = folder.path().join("trace.log");
    let hub = folder.command(&["serve"]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-yy", "-xx", "-s", "1000000", "-e", &format!("trace={}", trace::CALLS), "-o"]);
    strace.arg(&log).arg(hub.get_program()).args(hub.get_args());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut strace = strace.spawn().expect("strace starts; ./test.sh installs it");
    let is_ready =
        || TcpStream::connect(("127.0.0.1", port)).is_ok() && kit::call(port, "GET", "/readyz", &[], "").0 == 200;
    until("the hub is ready", || is_ready().then_some(()));
    let callers = (0..CALLERS).map(|caller| std::thread::spawn(move || call(port, caller, events / CALLERS)));
    let callers: Vec<_> = callers.collect();
    let sent = callers.into_iter().map(|caller| caller.join().expect("no panic")).collect();
    let text = std::fs::read_to_string(&log).expect("a log");
    let pid = text.split_whitespace().next().expect("it did something");
    assert!(Command::new("kill").args(["-9", pid]).status().is_ok_and(|it| it.success()), "the hub runs");
    strace.wait().expect("strace ends with it");
    let text = std::fs::read_to_string(&log).expect("a log");
    (trace::read(&text, &folder.path().join("data").canonicalize().expect("a folder")), sent)
}

/// The events that a store holds; it must be whole.
fn kept(data: &Path) -> Result<Vec<String>, String> {
    let path = data.join("huiliu.db");
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let store = Store::open(&format!("sqlite:{}", path.display())).map_err(|error| text(&error))?;
    let items = store.read(|tx| inbox::after(tx, 0, i64::MAX)).map_err(|error| text(&error))?;
    let database = rusqlite::Connection::open(&path).map_err(|error| text(&error))?;
    let whole: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(|error| text(&error))?;
    if whole != "ok" {
        return Err(whole);
    }
    let event = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).ok()?["id"].as_str().map(str::to_owned);
    Ok(items.iter().filter_map(|item| event(&item.body)).collect())
}

/// Cuts the power so many times, at steps that chance chooses; how many acknowledged events were missing in all.
fn missing(steps: &[Step], sent: &BTreeMap<u16, Vec<String>>, mut disk: Disk, cuts: usize) -> usize {
    let mut dice = Dice::new(7);
    let mut moments: BTreeSet<usize> = (0..cuts).map(|_| dice.below(steps.len() + 1)).collect();
    let (mut heard, mut missing) = (BTreeMap::<u16, usize>::new(), 0);
    for (number, step) in steps.iter().enumerate() {
        if moments.remove(&number) {
            let after = tempfile::tempdir().expect("a folder");
            disk.cut(&mut dice, after.path());
            let acknowledged = heard.iter().flat_map(|(port, count)| sent.get(port).into_iter().flatten().take(*count));
            match kept(after.path()) {
                Ok(all) => {
                    let kept: BTreeSet<&String> = all.iter().collect();
                    assert_eq!(kept.len(), all.len(), "an event is there twice after step {number}");
                    missing += acknowledged.filter(|event| !kept.contains(event)).count();
                }
                Err(_) => missing += acknowledged.count().max(1),
            }
        }
        if let Step::Acknowledged { port } = step {
            *heard.entry(*port).or_default() += 1;
        }
        disk.take(number, step);
    }
    missing
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut() {
    let (events, cuts) = (number("HUILIU_POWER_EVENTS", 400), number("HUILIU_POWER_CUTS", 40));
    let port = free_port();
    let shop = "[connections.shop]\nconnector = 'shop'\nwrites = false\nchanging = { percent = 100 }\n";
    let folder = Folder::new(&format!("[hub]\nlisten = '127.0.0.1:{port}'\n{shop}"));
    folder.write("connectors/shop/connector.toml", SHOP);
    folder.write("mappings/shop.toml", MAPPING);
    folder.tell(&["secret", "shop", "token"], TOKEN).out();
    let before = Disk::of(&folder.path().join("data").canonicalize().expect("a folder"));
    let (steps, sent) = served(&folder, port, events);
    let acknowledged = steps.iter().filter(|step| matches!(step, Step::Acknowledged { .. })).count();
    let all: usize = sent.values().map(Vec::len).sum();
    assert!(acknowledged >= all && all == events / CALLERS * CALLERS, "{acknowledged} of {all} were acknowledged");
    assert_eq!(missing(&steps, &sent, before.with(Syncs::Obeyed), cuts), 0, "acknowledged, and not there");
    assert!(missing(&steps, &sent, before.with(Syncs::Ignored), cuts) > 0, "the test would not see a disk that lies");
}
