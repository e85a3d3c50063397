//! The power fails under load. What the drive then holds is made from a diary of the hub's writes and syncs: all that was
//! synced is there, and of the rest any part, in any order, torn within a page (`disk.rs`). Every event that was
//! acknowledged must be in the inbox once, whatever was sent must be on record as sent, the store must be whole, and a hub
//! that starts over it must go on.
//!
//! `HUILIU_POWER_CUTS=50 cargo test -p huiliu-hub --test power -- --nocapture` cuts more often, and says what it saw.

mod disk;
#[path = "../cli/kit.rs"]
#[allow(dead_code)] // The tests of the command line use the rest.
mod kit;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::secrets::Secret;
use huiliu_rest::sign;
use huiliu_twins::dice::Dice;

use kit::Folder;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Cuts of a run, unless `HUILIU_POWER_CUTS` says otherwise.
const CUTS: u64 = 6;

/// Callers at once: several events share a commit.
const CALLERS: usize = 8;

fn cuts() -> u64 {
    std::env::var("HUILIU_POWER_CUTS").ok().and_then(|it| it.parse().ok()).unwrap_or(CUTS)
}

/// A copy of a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let place = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            copy(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).expect("copied");
        }
    }
}

/// Tells an event of somebody new; whether it was acknowledged.
fn tell(port: u16, number: usize) -> Option<bool> {
    let (id, seconds) = (format!("event-{number}"), Clock::System.now().as_second());
    let body = format!(
        r#"{{"type":"customer.created","data":{{"id":"c{number}","display_name":"王{number}","emails":{{"main":"c{number}@example.com"}}}}}}"#
    );
    let signature = sign::standard_webhook(&Secret::new(KEY), &id, seconds, body.as_bytes()).expect("a signature");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let length = body.len();
    let call = format!(
        "POST /hooks/events HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nwebhook-id: {id}\r\nwebhook-timestamp: {seconds}\r\n\
         webhook-signature: {signature}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(call.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split(' ').nth(1)?.starts_with('2'))
}

/// The numbers of the events that were acknowledged until the hub was killed: under load, or, after so long without any, while
/// it sends what they came to, so that nobody else has the disk synced.
fn load(folder: &Folder, port: u16, env: &[(&str, &str)], length: Duration, alone: Duration) -> Vec<usize> {
    let serving = folder.serve(port, env);
    let next = AtomicUsize::new(0);
    let (acknowledged, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    std::thread::scope(|all| {
        for _ in 0..CALLERS {
            all.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if tell(port, number) == Some(true) {
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(number);
                    }
                }
            });
        }
        std::thread::sleep(length);
        if !alone.is_zero() {
            is_over.store(true, Ordering::Relaxed);
            std::thread::sleep(alone);
        }
        drop(serving);
        is_over.store(true, Ordering::Relaxed);
    });
    acknowledged.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The events in the inbox, each as often as it is there; the store must be whole.
fn kept(store: &Path) -> Vec<usize> {
    let database = rusqlite::Connection::open(store).expect("the store opens");
    let whole: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(whole, "ok");
    let mut bodies = database.prepare("SELECT body FROM inbox").expect("an inbox");
    let rows = bodies.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("read");
    let number = |body: Vec<u8>| {
        let event: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        event["data"]["id"].as_str().and_then(|id| id.strip_prefix('c')?.parse().ok()).expect("a number")
    };
    rows.map(|body| number(body.expect("a body"))).collect()
}

/// The idempotency keys of what is on record as sent.
fn attempted(store: &Path) -> BTreeSet<String> {
    let database = rusqlite::Connection::open(store).expect("the store opens");
    let sql = "SELECT d.idempotency_key FROM delivery AS d JOIN attempt AS t ON t.delivery = d.id";
    let mut keys = database.prepare(sql).expect("deliveries");
    let rows = keys.query_map([], |row| row.get(0)).expect("read");
    rows.map(|key| key.expect("a key")).collect()
}

/// A folder with a sender of events and a target that is told of everybody, and what that target got: the keys.
fn deployment(port: u16) -> (Folder, String, Arc<Mutex<BTreeSet<String>>>) {
    let got: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let noted = got.clone();
    let target = kit::script(move |call| {
        let key = call.headers.get("webhook-id").expect("an id").clone();
        noted.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        (200, "{}".to_owned())
    });
    let config = format!(
        "[hub]\nlisten = '127.0.0.1:{port}'\n[connections.events]\nconnector = 'webhook'\nwrites = false\n\
         [connections.target]\nconnector = 'webhook'\nnetwork = 'private'\nconfig.url = 'http://127.0.0.1:{target}/'\n\
         creates = ['customers']\n"
    );
    let folder = Folder::new(&config);
    for secret in [["events", "webhook"], ["target", "webhook"], ["target", "signing"]] {
        folder.tell(&["secret", secret[0], secret[1]], KEY).out();
    }
    folder.run(&["go-live", "target", "--yes"]).out();
    (folder, config, got)
}

#[test]
fn what_was_acknowledged_outlives_a_power_cut() {
    let tools = tempfile::tempdir().expect("a folder");
    let library = disk::library(tools.path());
    let (mut all, mut sent, mut lost, mut kept_unsynced) = (0, 0, 0, 0);
    for cut in 0..cuts() {
        let mut dice = Dice::new(cut);
        let port = kit::free_port();
        let (folder, config, got) = deployment(port);
        let after = Folder::new(&config);
        copy(folder.path(), after.path());
        let (root, diary) = (folder.path().canonicalize().expect("a path"), tools.path().join(format!("diary-{cut}")));
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        let (library, root_text, diary_text) = (text(&library), text(&root), text(&diary));
        let env =
            [("LD_PRELOAD", library.as_str()), ("DISK_ROOT", root_text.as_str()), ("DISK_DIARY", diary_text.as_str())];
        let length = Duration::from_millis(dice.between(300, 1800).unsigned_abs());
        let alone = Duration::from_millis(if cut % 2 == 0 { 0 } else { dice.between(20, 400).unsigned_abs() });
        let acknowledged = load(&folder, port, &env, length, alone);
        assert!(acknowledged.len() > CALLERS, "{} were acknowledged", acknowledged.len());
        let got = std::mem::take(&mut *got.lock().unwrap_or_else(PoisonError::into_inner));
        assert!(!got.is_empty(), "something was sent");

        let left = disk::cut(&diary, &root, after.path(), &mut dice);
        assert!(left.synced > 100, "{left:?}");
        std::fs::remove_file(&diary).expect("it is done with");
        let store = after.path().join("data/huiliu.db");
        let found = kept(&store);
        let unique: BTreeSet<usize> = found.iter().copied().collect();
        assert_eq!(unique.len(), found.len(), "cut {cut}: none is there twice");
        let missing: Vec<&usize> = acknowledged.iter().filter(|it| !unique.contains(it)).collect();
        assert!(missing.is_empty(), "cut {cut}, {left:?}: of {} these are lost: {missing:?}", acknowledged.len());
        let attempted = attempted(&store);
        let unknown: Vec<&String> = got.iter().filter(|key| !attempted.contains(*key)).collect();
        assert!(unknown.is_empty(), "cut {cut}, {left:?}: of {} sent nothing is known of {unknown:?}", got.len());
        goes_on(&after, port, found.len());
        (all, sent) = (all + acknowledged.len(), sent + got.len());
        (lost, kept_unsynced) = (lost + left.lost, kept_unsynced + left.kept);
    }
    println!(
        "{} cuts: {all} acknowledged, 0 lost; {sent} sent, all on record; {lost} writes that were not synced lost, {kept_unsynced} kept",
        cuts()
    );
    assert!(lost > 0, "the cuts took something away");
}

/// A hub that starts over what is left takes everybody in.
fn goes_on(folder: &Folder, port: u16, events: usize) {
    let serving = folder.serve(port, &[]);
    kit::until("everybody is taken in", || {
        let status = folder.run(&["status", "--json"]).json();
        (status["inbox_waiting"] == 0).then_some(())
    });
    drop(serving);
    let database = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).expect("the store opens");
    let customers: i64 = database.query_row("SELECT COUNT(*) FROM golden", [], |row| row.get(0)).expect("read");
    assert_eq!(usize::try_from(customers), Ok(events));
}

/// After a sync that failed nobody knows what the disk has, whatever the next sync says.
#[test]
fn a_disk_that_does_not_sync_ends_the_hub() {
    let tools = tempfile::tempdir().expect("a folder");
    let (library, broken) = (disk::library(tools.path()), tools.path().join("broken"));
    let port = kit::free_port();
    let (folder, ..) = deployment(port);
    let root = folder.path().canonicalize().expect("a path");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let (library, root, diary, sign) = (text(&library), text(&root), text(&tools.path().join("diary")), text(&broken));
    let env = [
        ("LD_PRELOAD", library.as_str()),
        ("DISK_ROOT", root.as_str()),
        ("DISK_DIARY", diary.as_str()),
        ("DISK_BROKEN", sign.as_str()),
    ];
    let log = std::fs::File::create(folder.path().join("broken.log")).expect("a log");
    let mut hub = folder.command(&["serve"]).envs(env).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    let hub = hub.as_mut().expect("huiliu starts");
    kit::until("it takes a call", || tell(port, 1).filter(|is_taken| *is_taken));
    std::fs::write(&broken, "").expect("written");
    assert_ne!(tell(port, 2), Some(true), "what is not on the disk is not acknowledged");
    let status = kit::until("it ends by itself", || hub.try_wait().expect("it is ours"));
    assert_eq!(status.code(), Some(74), "{status}");
    let log = folder.read("broken.log");
    assert!(log.contains("the disk did not take what was written to") && log.contains("mend the disk"), "{log}");

    let begun = folder.command(&["serve"]).envs(env).stdin(Stdio::null()).output().expect("huiliu runs");
    let told = String::from_utf8_lossy(&begun.stderr);
    assert!(
        !begun.status.success() && told.contains("mend"),
        "it does not start over such a disk, and says why: {told}"
    );

    std::fs::remove_file(&broken).expect("removed");
    let again = folder.serve(port, &[]);
    assert_eq!(tell(port, 3), Some(true));
    drop(again);
    let found = kept(&folder.path().join("data/huiliu.db"));
    assert!(found.contains(&1) && found.contains(&3), "{found:?}");
}

/// Without syncs the same cut does lose what was committed: else the test above could not fail.
#[test]
fn a_store_that_does_not_sync_loses_what_it_said_it_had() {
    const WRITER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('PRAGMA journal_mode = WAL')
db.execute('PRAGMA synchronous = ' + sys.argv[2])
db.execute('CREATE TABLE t (n INTEGER)')
for n in range(200):
    db.execute('INSERT INTO t VALUES (?)', [n])
    print(n, flush=True)
sys.stdin.readline()
";
    let tools = tempfile::tempdir().expect("a folder");
    let library = disk::library(tools.path());
    let lost = |synchronous: &str| -> i64 {
        let (folder, after) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let root: PathBuf = folder.path().canonicalize().expect("a path");
        let diary = tools.path().join(synchronous);
        let mut python = Command::new("python3");
        python.args(["-c", WRITER]).arg(root.join("t.db")).arg(synchronous);
        python.env("LD_PRELOAD", &library).env("DISK_ROOT", &root).env("DISK_DIARY", &diary);
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let said = out.lines().map_while(Result::ok).take(200).count();
        assert_eq!(said, 200);
        child.kill().expect("killed");
        child.wait().expect("ended");
        disk::cut(&diary, &root, after.path(), &mut Dice::new(7));
        let found = || {
            let database = rusqlite::Connection::open(after.path().join("t.db")).ok()?;
            database.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0)).ok()
        };
        200 - found().unwrap_or(0)
    };
    assert_eq!(lost("FULL"), 0);
    assert!(lost("OFF") > 0);
}
