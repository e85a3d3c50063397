//! What an operator does from day to day: look, retry, pull now, go live.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use huiliu_hub::{config, connectors, example};
use huiliu_mappings::model::Model;
use serde_json::{Value, json};

use crate::kit::{Call, Folder, free_port, script_after, until};

const TILL: &str = r#"[connector]
name = "till"
title = "Till"
title_zh = "收银台"
about = "The till's buyers."
driver = "rest"
base_url = "{config.address}"
check = { path = "/buyers" }
config.address = { type = "url", description = "Where the till is." }
[auth]
kind = "none"
reason = "it stands in the same room"
[defaults]
key = "/id"
[streams.buyers]
records = "/items"
paginate = { kind = "none" }
pull = { path = "/buyers" }
fetch = { path = "/buyers/{record.id}" }
update = { method = "PATCH", path = "/buyers/{record.id}" }
"#;
pub const BUYERS: &str = "[buyers]\nentity = 'customer'\n[buyers.identities]\nemail = { from = '/email', normalize = 'email' }\n\
                      [buyers.fields]\ntitle = '/title'\nemails.work = { from = '/email', normalize = 'email' }\n";
const MEMBERS: &str = "[rows]\nentity = 'customer'\n[rows.identities]\nemail = { from = '/email', normalize = 'email' }\n\
                       [rows.fields]\ntitle = '/title'\nemails.work = { from = '/email', normalize = 'email' }\n";

/// A till that keeps its buyers, and whose last reply may be told.
pub fn till(buyers: &Arc<Mutex<Vec<Value>>>) -> u16 {
    till_after(|_| {}, buyers)
}

/// The same, where calls wait.
fn till_after(wait: impl Fn(&Call) + Send + Sync + 'static, buyers: &Arc<Mutex<Vec<Value>>>) -> u16 {
    let buyers = buyers.clone();
    script_after(wait, move |call: &Call| {
        let mut buyers = buyers.lock().unwrap();
        if call.target == "/buyers" {
            return (200, json!({"items": *buyers}).to_string());
        }
        let id = call.target.trim_start_matches("/buyers/").to_owned();
        let Some(buyer) = buyers.iter_mut().find(|buyer| buyer["id"] == id.as_str()) else { return (404, "{}".into()) };
        if call.method == "PATCH" {
            let patch: Value = serde_json::from_str(&call.body).unwrap();
            for (name, value) in patch.as_object().unwrap() {
                buyer[name] = value.clone();
            }
        }
        (200, buyer.to_string())
    })
}

pub fn deployment(port: u16) -> Folder {
    let folder = Folder::new(&format!(
        "[connections.till]\nconnector = 'till'\nnetwork = 'private'\nconfig.address = 'http://127.0.0.1:{port}'\n\
         [connections.\"会员表\"]\nconnector = 'file'\nmapping = 'mappings/members.toml'\nkey = 'id'\nrank = -1\n"
    ));
    folder.write("connectors/till/connector.toml", TILL);
    folder.write("mappings/till.toml", BUYERS);
    folder.write("mappings/members.toml", MEMBERS);
    folder
}

#[test]
fn from_the_first_pull_to_the_first_write() {
    let buyers = Arc::new(Mutex::new(vec![json!({"id": "b-1", "email": "li@example.com", "title": "Clerk"})]));
    let folder = deployment(till(&buyers));
    let told = folder.run(&["sync", "til"]).err();
    assert!(told.contains("did you mean `till`?"), "{told}");
    let told = folder.run(&["sync", "till", "buyer"]).err();
    assert!(told.contains("did you mean `buyers`?"), "{told}");
    let told = folder.run(&["sync", "会员表"]).err();
    assert!(told.contains("huiliu import"), "{told}");
    let done = folder.run(&["sync", "till", "--json"]).json();
    assert_eq!((&done["pulled"], &done["created"], &done["sent"]), (&json!(1), &json!(1), &json!(0)), "{done}");

    folder.write("members.csv", "id,email,title\n1,li@example.com,Manager\n");
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "会员表"]).out();

    let looked = folder.run(&["go-live", "till"]).out();
    assert!(looked.contains("buyers  update     1"), "{looked}");
    assert!(looked.contains("Manager") && looked.contains("it holds"), "{looked}");
    assert!(looked.contains("--yes") && looked.contains("goes on observing"), "{looked}");
    let done = folder.run(&["go-live", "till", "--json"]).json();
    assert_eq!(done["live"], false, "{done}");
    assert_eq!(done["writes"], json!([{"stream": "buyers", "operation": "update", "count": 1}]));
    folder.run(&["sync", "till"]).out();
    assert_eq!(buyers.lock().unwrap()[0]["title"], "Clerk", "who observes writes nothing");

    let done = folder.run(&["go-live", "till", "--yes"]).out();
    assert!(done.contains("till is live; 1 write(s) are queued"), "{done}");
    let done = folder.run(&["sync", "till"]).out();
    assert!(done.contains("1 deliveries tried"), "{done}");
    assert_eq!(buyers.lock().unwrap()[0]["title"], "Manager");
    let done = folder.run(&["sync", "till", "--json"]).json();
    assert_eq!((&done["changes"], &done["sent"]), (&json!(0), &json!(0)), "our own write is an echo: {done}");
    assert!(folder.run(&["go-live", "till"]).out().contains("live already"));
    assert_eq!(folder.run(&["go-live", "till", "--json"]).json()["live"], true);
    // A stop between the step and the queue leaves writes out: the same command again finds them.
    buyers.lock().unwrap()[0]["title"] = json!("Clerk");
    let store = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).unwrap();
    store.execute("UPDATE connection SET state = 'observing' WHERE name = 'till'", []).unwrap();
    folder.write("members.csv", "id,email,title\n1,li@example.com,Director\n");
    folder.run(&["import", &file, "--connection", "会员表"]).out();
    store.execute("UPDATE connection SET state = 'live' WHERE name = 'till'", []).unwrap();
    assert!(folder.run(&["go-live", "till", "--yes"]).out().contains("1 write(s) are queued"));
}

#[test]
fn status_is_straight_and_speaks_chinese() {
    let folder = deployment(till(&Arc::default()));
    folder.run(&["sync", "till"]).out();
    let shown = folder.run(&["status"]).out();
    let column = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {text}"));
        unicode_width::UnicodeWidthStr::width(line.split(word).next().unwrap())
    };
    assert_eq!(column(&shown, "State"), column(&shown, "observing"), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("till/buyers") && line.contains("s ago")), "{shown}");
    assert!(shown.contains("Nothing needs a person."), "{shown}");
    let chinese = folder.run(&["--lang", "zh", "status"]).out();
    assert!(chinese.contains("观察中") && chinese.contains("没有需要人工处理的事项。"), "{chinese}");
    assert_eq!(column(&chinese, "状态"), column(&chinese, "观察中"), "{chinese}");
    let json = folder.run(&["status", "--json"]).json();
    assert_eq!(json["store"], "sqlite");
    let names: Vec<&str> =
        json["connections"].as_array().unwrap().iter().map(|it| it["connection"].as_str().unwrap()).collect();
    assert_eq!(names, ["till", "会员表"]);
}

#[test]
fn a_dead_letter_is_listed_with_its_reason_and_runs_again() {
    let buyers = Arc::new(Mutex::new(Vec::new()));
    let folder = deployment(till(&buyers));
    assert!(folder.run(&["dead-letters"]).out().contains("No dead letter waits."));
    folder.write("members.csv", "id,email,title\n,li@example.com,Manager\n2,han@example.com,Clerk\n");
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "会员表"]).out();
    // An item of a connection that is no longer configured dies in processing.
    let config = folder.read("huiliu.toml");
    *buyers.lock().unwrap() = vec![json!({"id": "b-1", "email": "wu@example.com", "title": "Buyer"})];
    folder.run(&["status"]).out();
    let store = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).unwrap();
    let append = "INSERT INTO inbox (connection, kind, stream, external_id, body, received_us) VALUES ('till', 'record', 'buyers', 'b-9', ?1, 1)";
    store.execute(append, [br#"{"id":"b-9","email":"zhao@example.com","title":"Guest"}"#.as_slice()]).unwrap();
    folder.write("huiliu.toml", &config.replace("connections.till", "connections.other"));
    folder.run(&["sync", "other"]).out();

    let listed = folder.run(&["dead-letters", "--json"]).out();
    let letters: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stages: BTreeSet<&str> = letters.iter().map(|it| it["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, BTreeSet::from(["import", "process"]), "{listed}");
    let dead = letters.iter().find(|it| it["stage"] == "process").unwrap();
    assert!(dead["reason"].as_str().unwrap().contains("not configured any more"), "{dead}");
    assert!(folder.run(&["dead-letters", "list", "--stage", "process"]).out().contains("till/buyers/b-9"));
    let told = folder.run(&["dead-letters", "--connection", "oter"]).err();
    assert!(told.contains("did you mean `other`?"), "{told}");

    folder.write("huiliu.toml", &config);
    let told = folder.run(&["dead-letters", "retry", "999"]).err();
    assert!(told.contains("no dead letter 999 waits"), "{told}");
    let number = dead["number"].to_string();
    let done = folder.run(&["dead-letters", "retry", &number, "--json"]).json();
    assert_eq!(done, json!({"deliveries": 0, "items": 1, "fetches": 0, "asked": [], "left": []}));
    folder.run(&["sync", "till"]).out();
    assert!(folder.run(&["why", "till/buyers/b-9"]).out().contains("b-9"));
    let left = folder.run(&["dead-letters", "retry", "--json"]).json();
    assert_eq!((&left["items"], left["left"].as_array().unwrap().len()), (&json!(0), 1), "a row is mended in its file");
}

#[test]
fn every_commented_example_is_a_table_that_parses() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("shop");
    let shown = made.display().to_string();
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_huiliu")).args(["init", &shown]).output().unwrap();
    assert!(ran.status.success());
    let text = std::fs::read_to_string(made.join("huiliu.toml")).unwrap();
    let as_made = config::parse("huiliu.toml", &text).unwrap();
    assert!(as_made.connections.is_empty(), "{text}");
    let whole =
        config::parse("huiliu.toml", &example::uncommented(&text)).unwrap_or_else(|told| panic!("{told}\n{text}"));
    assert_eq!(whole.connections["members"].connector, "file");
    let catalog = connectors::catalog(&Model::shipped()).unwrap();
    for (name, system) in catalog.systems() {
        let table = whole.connections.get(name).unwrap_or_else(|| panic!("no example of {name}"));
        assert_eq!(table.connector, *name);
        let known: BTreeSet<&String> = system.manifest.connector.config.keys().collect();
        assert_eq!(table.config.keys().collect::<BTreeSet<_>>(), known, "{name}");
        for every in table.every.values() {
            config::duration(every).unwrap();
        }
    }
}

#[test]
fn check_says_what_to_mend() {
    let buyers = Arc::new(Mutex::new(vec![json!({"id": "b-1", "email": "li@example.com", "title": "Clerk"})]));
    let port = till(&buyers);
    let folder = deployment(port);
    folder.run(&["sync", "till"]).out();
    let fine = folder.run(&["check", "--reach"]).out();
    assert!(fine.contains("answers, and the credentials work"), "{fine}");
    assert!(fine.contains("the mapping laws hold on 1 record(s)"), "{fine}");
    let config = folder.read("huiliu.toml");
    folder.write("huiliu.toml", &config.replace(&port.to_string(), "1"));
    let told = folder.run(&["check", "--reach"]);
    assert!(!told.fine && told.out.contains("transient") && told.out.contains("huiliu connect till"), "{told:?}");
    folder.write("huiliu.toml", &format!("{config}[connections.shop]\nconnector = 'shopify'\nconfig.shop = 'demo'\n"));
    let told = folder.run(&["check", "--json"]);
    let lines: Vec<Value> = told.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shop = lines.iter().find(|it| it["connection"] == "shop").unwrap();
    assert_eq!(shop["missing_secrets"], json!(["access_token", "client_secret"]));
    assert!(!told.fine && shop["answers"].is_null());
}

#[test]
fn a_wrong_direction_has_a_place_and_the_nearest_right_word() {
    let at = deployment(free_port());
    let right = at.read("huiliu.toml");
    let lines = right.lines().count();
    at.write("huiliu.toml", &format!("{right}\n[connections.till.fields.customer]\ntitel = 'in'\nowner = 'outt'\n"));
    let told = at.run(&["status"]).err();
    assert!(
        told.contains(&format!("huiliu.toml:{}:1: `customer` has no field `titel`; did you mean `title`?", lines + 3)),
        "{told}"
    );
    assert!(told.contains("unknown way `outt`; did you mean `out`?"), "{told}");
    let told = at.run(&["--lang", "zh", "status"]).err();
    assert!(told.contains("未知的方向 `outt`；是不是 `out`？；可用的有：both, in, out, off, owns"), "{told}");
    at.write("huiliu.toml", &format!("{right}\n[connections.till.fields.customer]\ntitle = 'in'\nemails = 'owns'\n"));
    assert!(at.run(&["status"]).fine);
}

#[test]
fn a_stream_that_the_system_has_not_got_has_a_place_and_the_nearest_right_word() {
    let at = deployment(free_port());
    let right = at.read("huiliu.toml");
    for (wrong, place) in [("creates = ['buyrs']", "creates"), ("drift = { buyrs = 'stop' }", "drift.buyrs")] {
        let line = right.lines().position(|line| line.starts_with("connector = ")).unwrap() + 1;
        at.write("huiliu.toml", &right.replacen("connector = ", &format!("{wrong}\nconnector = "), 1));
        let told = at.run(&["status"]).err();
        let place = format!("connections.till.{place}: ");
        assert!(told.contains(&place) && told.contains("has no stream `buyrs`; did you mean `buyers`?"), "{told}");
        assert!(told.contains(&format!("huiliu.toml:{line}:")), "{told}");
    }
    at.write("huiliu.toml", &right.replacen("connector = ", "creates = ['buyers']\nconnector = ", 1));
    assert!(at.run(&["status"]).fine);
}

#[test]
fn reviews_are_listed_and_a_release_needs_a_brake() {
    let folder = deployment(till(&Arc::default()));
    assert_eq!(folder.run(&["review"]).out(), "0 waiting\n");
    assert_eq!(folder.run(&["review", "list", "--json"]).out(), "");
    let told = folder.run(&["review", "release", "till", "buyers", "--why", "sold"]).err();
    assert!(told.contains("no brake holds anything back"), "{told}");
    let told = folder.run(&["review", "release", "till", "buyers"]).err();
    assert!(told.contains("--why"), "{told}");
}

#[test]
fn a_steward_links_parts_and_pins() {
    let buyers = Arc::new(Mutex::new(vec![json!({"id": "b-1", "email": "li@example.com", "title": "Clerk"})]));
    let folder = deployment(till(&buyers));
    folder.run(&["sync", "till"]).out();
    let done = folder.run(&["sync", "till", "--backfill", "--json"]).json();
    assert_eq!((&done["pulled"], &done["changes"]), (&json!(1), &json!(0)), "what is known already is an echo: {done}");
    folder.write("members.csv", "id,email,title\n1,lilei@example.com,Manager\n");
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "会员表"]).out();

    let told = folder.run(&["link", "1", "99", "--why", "test"]).err();
    assert!(told.contains("99"), "{told}");
    let one = folder.run(&["link", "1", "2", "--why", "same person", "--json"]).json();
    assert_eq!(one, json!({"golden": 1}));
    let pinned = folder.run(&["pin", "1", "title", "Director", "--why", "she told us"]).out();
    assert!(pinned.contains("title of golden record 1 is pinned"), "{pinned}");
    let shown = folder.run(&["show", "1"]).out();
    assert!(shown.contains("Director"), "{shown}");
    let told = folder.run(&["--lang", "zh", "pin", "1", "emails.work", "nobody", "--why", "x"]).err();
    assert!(told.contains("不能固定为该值：应为电子邮件地址") && told.contains("null"), "{told}");
    folder.run(&["unpin", "1", "title", "--why", "left"]).out();
    assert!(!folder.run(&["export"]).out().contains("Director"));
    let parted = folder.run(&["split", "会员表/rows/1", "--why", "two people", "--by", "Zhang"]).out();
    assert!(parted.contains("parted: golden record 2; the rest: golden record 1"), "{parted}");
    assert_eq!(folder.run(&["export"]).out().lines().count(), 2);
    let told = folder.run(&["review", "apart", "7", "--why", "no"]).err();
    assert!(told.contains("there is no review 7"), "{told}");
}

#[test]
fn a_mended_mapping_is_applied_to_what_is_kept() {
    let buyers =
        Arc::new(Mutex::new(vec![json!({"id": "b-1", "email": "li@example.com", "title": "Clerk", "job": "x"})]));
    let folder = deployment(till(&buyers));
    folder.write("mappings/till.toml", &BUYERS.replace("title = '/title'\n", ""));
    folder.run(&["sync", "till"]).out();
    let quiet = folder.run(&["replay"]).out();
    assert!(quiet.contains("1 record(s) read anew.") && quiet.contains("Nothing would change."), "{quiet}");
    folder.write("mappings/till.toml", BUYERS);
    let told = folder.run(&["replay", "--stream", "buyer"]).err();
    assert!(told.contains("did you mean `buyers`?"), "{told}");
    let told = folder.run(&["replay", "--connection", "til"]).err();
    assert!(told.contains("did you mean `till`?"), "{told}");
    let seen = folder.run(&["replay"]).out();
    let row = seen.lines().find(|line| line.starts_with("customer.title")).unwrap_or_else(|| panic!("{seen}"));
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["customer.title", "1", "0", "0"]);
    assert!(seen.contains("title: null → \"Clerk\"") && seen.contains("--yes"), "{seen}");
    assert!(seen.contains("Nothing was changed."), "{seen}");
    let looked = folder.run(&["replay", "--dry-run", "--json"]).json();
    assert_eq!((&looked["would"]["report"]["goldens"], &looked["done"]), (&json!(1), &Value::Null), "{looked}");
    let chinese = folder.run(&["--lang", "zh", "replay", "--record", "till/buyers/b-1", "--yes"]).out();
    assert!(chinese.contains("重放 1 完成"), "{chinese}");
    assert!(folder.run(&["show", "1"]).out().contains("Clerk"));
    assert!(folder.run(&["replay", "--yes"]).out().contains("0 change(s) written"));
}

#[test]
fn a_write_does_not_wait_behind_a_long_pull() {
    let buyers = Arc::new(Mutex::new(vec![json!({"id": "b-1", "email": "li@example.com", "title": "Clerk"})]));
    let (slow, reading) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (held, seen) = (slow.clone(), reading.clone());
    let wait = move |call: &Call| {
        while call.target == "/buyers" && held.load(Ordering::Relaxed) {
            seen.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let folder = deployment(till_after(wait, &buyers));
    let port = free_port();
    let config = folder.read("huiliu.toml");
    folder.write("huiliu.toml", &format!("[hub]\nlisten = '127.0.0.1:{port}'\n{config}"));
    folder.run(&["sync", "till"]).out();
    folder.run(&["go-live", "till", "--yes"]).out();
    // The next pull is due at once, and takes until the test says so.
    let store = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).unwrap();
    store.execute("UPDATE stream_state SET due_us = 0", []).unwrap();
    slow.store(true, Ordering::Relaxed);
    let serving = folder.serve(port, &[]);
    until("the pull is under way", || reading.load(Ordering::Relaxed).then_some(()));
    folder.run(&["pin", "1", "title", "Director", "--why", "she told us"]).out();
    until("the write arrives", || (buyers.lock().unwrap()[0]["title"] == "Director").then_some(()));
    assert!(slow.load(Ordering::Relaxed), "the pull still waits");
    slow.store(false, Ordering::Relaxed);
    drop(serving);
}
