//! `huiliu plan`, `apply` and `undo`: a rule changed without fear.

use std::sync::{Arc, Mutex};

use huiliu_mappings::merge::SHIPPED;
use serde_json::{Value, json};

use crate::kit::{Folder, free_port, until};
use crate::operate::{deployment, till};

type Buyers = Arc<Mutex<Vec<Value>>>;

/// A live till and a file that disagree about titles; the file spoke last, and the till follows it.
fn agreed() -> (Folder, Buyers) {
    let buyers = json!([{"id": "1", "email": "li@example.com", "title": "经理"}, {"id": "2", "email": "han@example.com", "title": "A"}]);
    let buyers = Arc::new(Mutex::new(buyers.as_array().cloned().expect("a list")));
    let folder = deployment(till(&buyers));
    let config = folder.read("huiliu.toml");
    let every = "network = 'private'\nevery = { buyers = '10m' }\n";
    let port = free_port();
    let config = config.replace("network = 'private'\n", every);
    folder.write("huiliu.toml", &format!("[hub]\nlisten = '127.0.0.1:{port}'\n{config}"));
    folder.run(&["sync", "till"]).out();
    folder.run(&["go-live", "till", "--yes"]).out();
    folder.write("members.csv", "id,email,title\n1,li@example.com,总监\n2,han@example.com,B\n");
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "会员表", "--yes"]).out();
    folder.run(&["sync", "till"]).out();
    assert_eq!(titles(&buyers), ["总监", "B"]);
    (folder, buyers)
}

fn titles(buyers: &Buyers) -> Vec<String> {
    let all = buyers.lock().expect("no panic");
    all.iter().map(|it| it["title"].as_str().unwrap_or("-").to_owned()).collect()
}

/// The till is to know titles best.
fn change(folder: &Folder) {
    let rules = SHIPPED.replace("[customer]\n", "[customer]\ntitle = [\"prefer:till\", \"most_recent\"]\n");
    assert_ne!(rules, SHIPPED);
    folder.write("rules/survive.toml", &rules);
}

#[test]
fn a_rule_is_planned_applied_and_taken_back() {
    let (folder, buyers) = agreed();
    let before = json!(*buyers.lock().expect("no panic")).to_string();
    assert!(folder.run(&["plan"]).out().contains("Nothing would change."));
    change(&folder);
    let config = folder.read("huiliu.toml");
    folder.write("huiliu.toml", &config.replace("'10m'", "'1m'"));

    let told = folder.run(&["plan"]).out();
    assert!(told.contains("2 golden record(s) would differ") && told.contains("till/buyers /title"), "{told}");
    assert!(told.contains("title: \"••\" → \"••\"") && !told.contains("经理"), "{told}");
    let rhythm = "till/buyers would be pulled every 1m (1440 times a day), in place of every 10m (144 times a day)";
    assert!(told.contains(rhythm) && told.contains("This is plan 2; nothing was changed."), "{told}");
    let told = folder.run(&["--lang", "zh", "plan", "--values"]).out();
    assert!(told.contains("写入位置") && told.contains("/title: \"总监\" → \"经理\""), "{told}");
    let told = folder.run(&["plan", "--json", "--samples", "1"]).json();
    assert_eq!((&told["plan"], &told["goldens"], &told["writes"]), (&json!(4), &json!(2), &json!(2)), "{told}");
    assert_eq!(told["report"]["places"]["till/buyers /title"]["changed"], 2, "{told}");
    assert_eq!(
        told["write_samples"],
        json!([{
            "connection": "till", "stream": "buyers", "id": "1", "places": {"/title": ["••", "••"]}
        }])
    );

    let told = folder.run(&["apply", "2"]).out();
    assert!(told.contains("plan 2 is applied: 2 golden record(s) differ, 2 write(s) follow"), "{told}");
    assert!(told.contains("Every value is as it was planned."), "{told}");
    assert_eq!(titles(&buyers), ["总监", "B"], "nothing is sent yet");
    folder.run(&["sync", "till"]).out();
    assert_eq!(titles(&buyers), ["经理", "A"]);
    assert!(folder.run(&["apply", "2"]).err().contains("applied already; `huiliu undo 2`"));
    let told = folder.run(&["--lang", "zh", "apply", "3"]).err();
    assert!(told.contains("制定计划 3 之后记录有变化"), "{told}");

    let told = folder.run(&["undo", "2"]).out();
    assert!(
        told.contains("put back: huiliu.toml, rules/survive.toml") && told.contains("plan 2 is taken back"),
        "{told}"
    );
    assert!(told.contains("2 record(s) get back what they showed"), "{told}");
    assert!(!folder.path().join("rules/survive.toml").exists(), "there was none");
    assert_eq!(folder.read("huiliu.toml"), config);
    folder.run(&["sync", "till"]).out();
    assert_eq!(json!(*buyers.lock().expect("no panic")).to_string(), before, "byte by byte");
    let told = folder.run(&["plan", "show", "2", "--json"]).json();
    assert_eq!((&told["state"], &told["undone"]["restored"]), (&json!("undone"), &json!(2)), "{told}");
    let told = folder.run(&["--lang", "zh", "plan", "show", "2"]).out();
    assert!(told.contains("2 条外部记录已恢复原样"), "{told}");
    let told = folder.run(&["plan", "list"]).out();
    assert!(
        told.contains("plan 2, taken back: 2 golden record(s), 2 write(s)") && told.contains("4 plan(s)"),
        "{told}"
    );
    assert!(folder.run(&["undo", "7"]).err().contains("there is no plan 7"));
    assert!(folder.run(&["undo", "3"]).err().contains("never applied"));
}

#[test]
fn a_serving_hub_follows_the_files_that_come_into_force() {
    let (folder, buyers) = agreed();
    let config = folder.read("huiliu.toml");
    let port = config.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('\'').next()?.parse().ok());
    let serving = folder.serve(port.expect("a port"), &[]);
    change(&folder);
    let number = folder.run(&["plan", "--json"]).json()["plan"].to_string();
    folder.run(&["apply", &number, "--anyway"]).out();
    until("the till follows", || (titles(&buyers) == ["经理", "A"]).then_some(()));
    assert!(folder.read("serve.log").contains("other files are in force"), "{}", folder.read("serve.log"));
    folder.run(&["undo", &number]).out();
    until("the till is as it was", || (titles(&buyers) == ["总监", "B"]).then_some(()));
    until("it serves", || (serving.get("/readyz").0 == 200).then_some(()));
}
