//! `huiliu reconcile` and the meter: what was lost is named and repaired, and nothing calls itself complete before.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::kit::{Folder, free_port, until};
use crate::operate::{deployment, till};

fn buyer(at: usize) -> Value {
    json!({"id": format!("b-{at}"), "email": format!("p{at}@example.com"), "title": "Clerk"})
}

/// What people do at the till while the hub does not look.
fn meddle(buyers: &Arc<Mutex<Vec<Value>>>) {
    let mut buyers = buyers.lock().unwrap();
    buyers[1]["title"] = json!("Manager");
    buyers.remove(2);
    buyers.push(buyer(9));
}

fn store(folder: &Folder) -> rusqlite::Connection {
    let store = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).unwrap();
    store.busy_timeout(crate::kit::PATIENCE).unwrap();
    store
}

/// A divergence that needs a person.
fn stick(folder: &Folder) {
    let sql =
        "INSERT INTO divergence VALUES ('till', 'buyers', 'b-1', 'undelivered', '[\"title\"]', 'stuck', NULL, 5, 0,
               'delivery 3 was given up; see `huiliu dead-letters`', 1, 9000000000000000)";
    store(folder).execute(sql, []).unwrap();
}

#[test]
fn what_was_lost_is_named_and_repaired_on_demand() {
    let buyers = Arc::new(Mutex::new((0..4).map(buyer).collect()));
    let folder = deployment(till(&buyers));
    let told = folder.run(&["reconcile", "till"]);
    assert!(!told.fine && told.out.contains("huiliu sync till"), "never read, so nothing is complete: {}", told.out);
    folder.run(&["sync", "till"]).out();
    meddle(&buyers);
    let done = folder.run(&["reconcile", "till", "--json"]).json();
    assert_eq!((&done["complete"], &done["open"], &done["errors"]), (&json!(true), &json!([]), &json!([])), "{done}");
    let meter = &done["streams"][0];
    assert_eq!((&meter["compared"], &meter["repaired"], &meter["stuck"]), (&json!(5), &json!(3), &json!(0)), "{done}");
    assert_eq!(meter["fields"]["title"]["compared"], 4, "{done}");
    assert!(folder.run(&["show", "p1@example.com"]).out().contains("title = Manager"));
    assert!(folder.run(&["show", "p9@example.com"]).out().contains("title = Clerk"));
    assert!(folder.run(&["why", "till/buyers/b-2"]).out().contains("the link closed"));
    let again = folder.run(&["--lang", "zh", "reconcile"]).out();
    assert!(again.contains("100 %") && again.contains("完整：已比对 4 条记录，全部一致；近期修复 3 条。"), "{again}");
}

#[test]
fn nothing_calls_itself_complete_while_something_differs() {
    let buyers = Arc::new(Mutex::new((0..4).map(buyer).collect()));
    let folder = deployment(till(&buyers));
    folder.run(&["sync", "till"]).out();
    folder.run(&["reconcile", "till"]).out();
    stick(&folder);
    for args in [&["sync", "till"][..], &["sync", "till", "--backfill"]] {
        let told = folder.run(args);
        assert!(!told.fine && told.out.contains("not complete: 1 record(s) differ"), "{}", told.out);
    }
    let told = folder.run(&["--lang", "zh", "sync", "till"]).out_of_failure();
    assert!(told.contains("尚不完整：1 条记录不一致"), "{told}");
    let shown = folder.run(&["status"]).out();
    let line = shown.lines().find(|line| line.starts_with("till/buyers") && line.contains('%')).expect("a meter");
    assert!(line.contains("4         3          75.000 %  1 differ and need a person"), "{line}");
    let shown = folder.run(&["status", "--json"]).json();
    assert_eq!(shown["completeness"][0]["fields"]["title"], json!({"compared": 4, "differing": 1}), "{shown}");
    for (args, word) in [
        (&["reconcile", "til"][..], "did you mean `till`?"),
        (&["reconcile", "till", "--stream", "buyer"], "did you mean `buyers`?"),
        (&["reconcile", "会员表"], "nothing can be compared"),
    ] {
        let told = folder.run(args).err();
        assert!(told.contains(word), "{told}");
    }
    // Somebody looks into it; the record is the same by now, which the next comparison sees.
    folder.run(&["reconcile", "till"]).out();
    folder.run(&["sync", "till"]).out();
}

#[test]
fn a_served_hub_compares_by_itself() {
    let buyers = Arc::new(Mutex::new((0..4).map(buyer).collect()));
    let folder = deployment(till(&buyers));
    let port = free_port();
    let config =
        folder.read("huiliu.toml").replace("network =", "reconcile_percent = 100\nevery.buyers = '9h'\nnetwork =");
    folder.write("huiliu.toml", &format!("[hub]\nlisten = '127.0.0.1:{port}'\n{config}"));
    folder.run(&["sync", "till"]).out();
    meddle(&buyers);
    let serving = folder.serve(port, &[]);
    let gauge = |name: &str| {
        let text = serving.get("/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
    };
    let repaired =
        || store(&folder).query_row("SELECT COUNT(*) FROM divergence WHERE state = 'repaired'", [], |row| row.get(0));
    until("all three are repaired, though no pull is due", || (repaired() == Ok(3)).then_some(()));
    let labels = "{connection=\"till\",stream=\"buyers\"";
    assert_eq!(gauge(&format!("huiliu_reconcile_compared{labels}}}")), Some(5.0));
    assert_eq!(gauge(&format!("huiliu_reconcile_divergences{labels},state=\"repairing\"}}")), Some(0.0));
    drop(serving);
    let bad = folder.read("huiliu.toml").replace("reconcile_percent = 100", "reconcile_percent = 101");
    folder.write("huiliu.toml", &bad);
    let told = folder.run(&["status"]).err();
    assert!(told.contains("reconcile_percent = 101: write 0"), "{told}");
}
