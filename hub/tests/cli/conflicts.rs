//! `huiliu conflicts`: what two systems said differently, listed, decided, and made a rule.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::kit::Folder;
use crate::operate::{deployment, till};

/// Two customers about whose title the till and a file disagree.
pub fn disagreeing() -> Folder {
    let buyers = json!([{"id": "1", "email": "li@example.com", "title": "经理"}, {"id": "2", "email": "han@example.com", "title": "A"}]);
    let buyers = Arc::new(Mutex::new(buyers.as_array().cloned().expect("a list")));
    let folder = deployment(till(&buyers));
    folder.run(&["sync", "till"]).out();
    folder.write("members.csv", "id,email,title\n1,li@example.com,总监\n2,han@example.com,B\n");
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "会员表", "--yes"]).out();
    folder
}

fn listed(folder: &Folder, args: &[&str]) -> Vec<Value> {
    let told = folder.run(&[&["conflicts", "list", "--json"], args].concat()).out();
    told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_conflict_is_listed_and_decided() {
    let folder = disagreeing();
    let all = listed(&folder, &[]);
    assert_eq!(all.len(), 2, "{all:?}");
    let one = listed(&folder, &["--customer", "1", "--connection", "till", "--field", "title"]);
    let [one] = one.as_slice() else { panic!("{one:?}") };
    assert_eq!((&one["winner"]["value"], &one["lost"][0]["value"]), (&json!("总监"), &json!("经理")));
    assert_eq!((&one["rule"], &one["lost"][0]["record"]), (&json!("most_recent"), &json!("till/buyers/1")));
    let number = one["number"].to_string();
    let told = folder.run(&["conflicts"]).out();
    assert!(told.contains(&format!("conflict {number}: customer 1, title")), "{told}");
    assert!(
        told.contains("stands: 总监   said by 会员表/rows/1 at ")
            && told.contains("lost:   经理   said by till/buyers/1")
    );
    let told = folder.run(&["--lang", "zh", "conflicts"]).out();
    assert!(told.contains("未采用：经理   来自 till/buyers/1") && told.contains("共 2 条冲突"), "{told}");

    let told = folder.run(&["conflicts", "decide", &number, "--winner", "tell", "--why", "x"]).err();
    assert!(told.contains("is between 会员表/rows/1, till/buyers/1; name one of them"), "{told}");
    let told = folder.run(&["--lang", "zh", "conflicts", "decide", "77", "--winner", "till", "--why", "x"]).err();
    assert!(told.contains("没有编号为 77 的冲突"), "{told}");
    let told = folder.run(&["conflicts", "decide", &number, "--winner", "till", "--why", "he told us"]).out();
    assert!(told.contains("title of golden record 1 is pinned to 经理, until `huiliu unpin 1 title`"), "{told}");
    assert!(folder.run(&["show", "1"]).out().contains("title = 经理   pinned by a steward"));
    assert_eq!(listed(&folder, &[]).len(), 1);
    let other = listed(&folder, &[])[0]["number"].to_string();
    let told = folder.run(&["conflicts", "decide", &other, "--winner", "会员表", "--why", "right"]).out();
    assert!(told.contains("title of golden record 2 stays B"), "{told}");
    assert!(folder.run(&["conflicts"]).out().starts_with("0 conflict(s)"));
}

#[test]
fn one_decision_becomes_a_rule_for_all() {
    let folder = disagreeing();
    let number = listed(&folder, &["--customer", "1"])[0]["number"].to_string();
    let always = ["conflicts", "decide", &number, "--winner", "till", "--always", "--why", "the till asks them"];
    let told = folder.run(&always).out();
    assert!(
        told.contains("title = [\"prefer:till\", \"most_recent\"]") && told.contains("2 golden record(s) would differ"),
        "{told}"
    );
    assert!(told.contains("Nothing was changed.") && !folder.path().join("rules/survive.toml").exists(), "{told}");
    let done = folder.run(&[&always[..], &["--yes", "--json"]].concat()).json();
    assert_eq!((&done["done"], &done["would"]["report"]["goldens"]), (&json!(true), &json!(2)), "{done}");
    let rules = folder.read("rules/survive.toml");
    assert!(rules.contains("[customer]\ntitle = [\"prefer:till\", \"most_recent\"]\ntags = [\"union\"]"), "{rules}");
    assert!(rules.starts_with("# Which value survives"), "what shipped is its beginning");
    for (golden, value) in [("1", "经理"), ("2", "A")] {
        let told = folder.run(&["show", golden]).out();
        assert!(
            told.contains(&format!("title = {value}   said by till/buyers/{golden}, chosen by prefer:till")),
            "{told}"
        );
    }
    // The decided one is settled; the other still shows who lost, now by the rule.
    let left = listed(&folder, &[]);
    assert_eq!(
        (left.len(), &left[0]["winner"]["connection"], &left[0]["rule"]),
        (1, &json!("till"), &json!("prefer:till"))
    );
}
