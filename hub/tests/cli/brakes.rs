//! Too much at once, as people meet it: told by the commands, the metrics and the console, in both languages, and settled
//! by a command or a click.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::console::hub_of;
use crate::kit::{Folder, until};
use crate::operate::{deployment, till};

type Buyers = Arc<Mutex<Vec<Value>>>;

/// A till with forty buyers, read once.
fn forty(budgets: &str) -> (Folder, Buyers) {
    let buyer =
        |at: usize| json!({"id": format!("b-{at:02}"), "email": format!("p{at}@example.com"), "title": "Clerk"});
    let buyers = Arc::new(Mutex::new((0..40).map(buyer).collect::<Vec<_>>()));
    let folder = deployment(till(&buyers));
    let config = folder.read("huiliu.toml").replacen("network =", &format!("{budgets}\nnetwork ="), 1);
    folder.write("huiliu.toml", &config);
    assert_eq!(folder.run(&["sync", "till", "--json"]).json()["created"], 40);
    (folder, buyers)
}

#[test]
fn what_a_scan_misses_is_told_everywhere_and_let_in_by_a_click() {
    let (folder, buyers) = forty("");
    buyers.lock().unwrap().drain(..3);
    folder.run(&["sync", "till"]).out();
    assert!(folder.run(&["why", "till/buyers/b-02"]).out().contains("the link closed"), "three real ones arrive");
    // Twelve of thirty-seven vanish.
    buyers.lock().unwrap().drain(..12);
    let told = folder.run(&["sync", "till"]).out_of_failure();
    assert!(told.contains("not complete") && told.contains("12 record(s) are held back"), "{told}");
    let told = folder.run(&["--lang", "zh", "sync", "till"]).out_of_failure();
    assert!(told.contains("尚不完整") && told.contains("12 条记录已暂缓"), "{told}");
    assert!(!folder.run(&["why", "till/buyers/b-03"]).out().contains("the link closed"));
    let told = folder.run(&["status"]).out();
    assert!(told.contains("a scan missed 12 of 37 records and closed none"), "{told}");
    let told = folder.run(&["--lang", "zh", "status"]).out();
    assert!(told.contains("扫描少了 37 条中的 12 条，未删除任何一条"), "{told}");
    let held = folder.run(&["review", "held", "till", "buyers"]).out();
    assert_eq!((held.lines().count(), held.lines().next()), (12, Some("till/buyers/b-03 would be gone")));
    let told = folder.run(&["review", "held", "til", "buyers"]).err();
    assert!(told.contains("did you mean `till`?"), "{told}");

    let hub = hub_of(folder);
    hub.account();
    let session = hub.log_in();
    let gauge = |kind: &str| {
        let series = format!("huiliu_held_back{{connection=\"till\",stream=\"buyers\",kind=\"{kind}\"}} ");
        let text = hub.metrics();
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok()).expect("a gauge")
    };
    assert_eq!((gauge("missing"), gauge("changing")), (12.0, 0.0));
    for (page, words) in [
        (hub.get("/connections/till", &session).body, ["missed 12 of 37 records", "Held back", "would be gone"]),
        (hub.get_zh("/connections/till", &session), ["少了 37 条中的 12 条", "暂缓", "将被删除"]),
    ] {
        for word in words {
            assert!(page.contains(word), "{word}: {page}");
        }
        assert!(page.contains("b-12") && !page.contains("b-13"), "ten are shown: {page}");
    }
    let form = hub.get("/connections/till", &session).form();
    let click =
        |verdict: &str| hub.post("/connections/till/brake", &session, &form, &format!("stream=buyers{verdict}"));
    assert_eq!(click("").status, 409, "neither one nor the other");
    let done = click("&verdict=release&why=sold");
    assert_eq!(done.header("location"), "/connections/till?said=released.12", "{}", done.body);
    assert!(hub.get("/connections/till?said=released.12", &session).body.contains("Taken in: at most 12 record(s)."));
    until("the links closed", || {
        hub.folder.run(&["why", "till/buyers/b-14"]).out().contains("the link closed").then_some(())
    });
    assert_eq!((gauge("missing"), click("&verdict=release").status), (0.0, 409), "there is nothing more");
    assert!(!hub.get("/connections/till", &session).body.contains("Held back"));
}

#[test]
fn what_would_change_at_once_is_shown_dismissed_and_released() {
    let (folder, buyers) = forty("changing = { links = 5, percent = 10 }");
    let rewrite = |title: &str| buyers.lock().unwrap().iter_mut().take(8).for_each(|it| it["title"] = json!(title));
    rewrite("?");
    let done = folder.run(&["sync", "till", "--json"]).out_of_failure();
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!((&done["held"], &done["changes"]), (&json!(8), &json!(0)), "{done}");
    for (args, words) in [
        (&["status"][..], ["8 of 40 records would change at once", "huiliu review release till buyers --why"]),
        (&["--lang", "zh", "status"], ["40 条记录中有 8 条同时变化", "huiliu review dismiss till buyers --why"]),
    ] {
        let told = folder.run(args).out();
        for word in words {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
    let told = folder.run(&["status", "--json"]).json();
    assert_eq!((&told["brakes"][0]["kind"], &told["brakes"][0]["held"]), (&json!("changing"), &json!(8)), "{told}");
    let told = folder.run(&["review", "held", "till", "buyers", "--limit", "1"]).out();
    assert!(told.contains("till/buyers/b-00 would change:") && told.contains("title: Clerk → ?"), "{told}");
    let told = folder.run(&["--lang", "zh", "review", "held", "till", "buyers"]).out();
    assert!(told.contains("till/buyers/b-00 将变化："), "{told}");
    let told = folder.run(&["why", "till/buyers/b-00"]).out();
    assert!(told.contains("held back, see `huiliu status`"), "{told}");

    let dismiss = ["review", "dismiss", "till", "buyers", "--why", "a broken export"];
    killed(&folder, &dismiss, "command_written");
    assert_eq!(
        folder.run(&["review", "held", "till", "buyers", "--json"]).out().lines().count(),
        8,
        "nothing was said"
    );
    let told = folder.run(&dismiss).out();
    assert!(told.contains("of 8 record(s) is forgotten"), "{told}");
    assert_eq!(folder.run(&["review", "held", "till", "buyers"]).out(), "nothing is held back there\n");
    assert!(folder.run(&["show", "p0@example.com"]).out().contains("title = Clerk"));
    rewrite("Manager");
    assert!(!folder.run(&["sync", "till"]).fine, "it is judged anew");
    let release = ["review", "release", "till", "buyers", "--why", "a promotion for all"];
    killed(&folder, &release, "command_committed");
    assert!(folder.run(&release).err().contains("no brake holds anything back"), "it was said, though nobody heard so");
    folder.run(&["sync", "till"]).out();
    assert!(folder.run(&["show", "p7@example.com"]).out().contains("title = Manager"));
    rewrite("Director");
    assert!(!folder.run(&["sync", "till"]).fine, "the next one is judged, too");
    let told = folder.run(&release).out();
    assert!(told.contains("what was held back is taken in, at most 8 record(s)"), "{told}");
    folder.run(&["sync", "till"]).out();
    assert!(folder.run(&["show", "p7@example.com"]).out().contains("title = Director"));
}

/// The command dies at a point.
fn killed(folder: &Folder, args: &[&str], at: &str) {
    let done = folder.command(args).env("HUILIU_CRASH_AT", at).output().expect("huiliu runs");
    assert!(String::from_utf8_lossy(&done.stderr).contains(&format!("crash: {at}")), "{done:?}");
}
