//! `huiliu rules`: listed, tried, fired for what is past, and told.

use serde_json::{Value, json};

use crate::kit::Folder;

const CONFIG: &str = "[connections.members]\nconnector = 'file'\nmapping = 'mappings/members.toml'\nkey = 'id'\n";
const MAPPING: &str = "[rows]\nentity = 'customer'\n[rows.identities]\nemail = { from = '/email', normalize = 'email' }\n\
                       [rows.fields]\ntitle = '/title'\nemails.work = { from = '/email', normalize = 'email' }\n";
const RULES: &str = "[directors]\nentity = 'customer'\nwhen = 'title = \"Director\"'\ndo = [{ tag = '重点' }]\n";

/// Two members, one of them a director.
fn members() -> Folder {
    let folder = Folder::new(CONFIG);
    folder.write("mappings/members.toml", MAPPING);
    folder.write("members.csv", "id,email,title\n1,li@example.com,Director\n2,han@example.com,Clerk\n");
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "members", "--yes"]).out();
    folder.write("rules/automation.toml", RULES);
    folder
}

#[test]
fn a_rule_is_listed_tried_and_fired_for_what_is_past() {
    let folder = members();
    let listed = folder.run(&["rules", "--json"]).json();
    assert_eq!((&listed["rule"], &listed["do"], &listed["fired"]), (&json!("directors"), &json!(["tag"]), &json!(0)));
    let told = folder.run(&["--lang", "zh", "rules", "list"]).out();
    assert!(told.contains("规则") && told.contains("directors") && told.contains("title = \"Director\""), "{told}");

    let tried = folder.run(&["rules", "test", "directors", "--json"]).json();
    assert_eq!((&tried["looked"], &tried["met"], &tried["would"][0]["golden"]), (&json!(2), &json!(1), &json!(1)));
    let none = folder.run(&["rules", "test", "directors", "--record", "2"]).out();
    assert!(none.starts_with("1 record(s) looked at, the condition holds of 0 now; nothing was sent."), "{none}");
    let tried = folder.run(&["rules", "test", "directors", "--since", "1d"]).out();
    assert!(tried.starts_with("2 change(s) looked at, the rule fires at 1; nothing was sent."), "{tried}");
    assert!(tried.contains(": would fire\n    tag 重点\n"), "{tried}");
    assert!(!folder.run(&["show", "1"]).out().contains("tags"), "a dry run changes nothing");

    let done = folder.run(&["rules", "replay", "directors", "--since", "1d"]).out();
    assert!(done.contains("Run again with --yes"), "without a terminal nobody agreed: {done}");
    let done = folder.run(&["rules", "replay", "directors", "--since", "1d", "--yes", "--json"]).json();
    assert_eq!((&done["done"]["fired"], &done["would"]["would"][0]["verdict"]), (&json!(1), &json!("would_fire")));
    let shown = folder.run(&["show", "1"]).out();
    assert!(shown.contains("tags = 重点   with what rule:directors added"), "{shown}");
    assert!(shown.contains("directors fired (#1, change 1)\n      tag 重点: done"), "{shown}");
    let shown = folder.run(&["--lang", "zh", "why", "members/rows/1"]).out();
    assert!(shown.contains("directors 已触发（#1，更改 1）"), "{shown}");
    let again = folder.run(&["rules", "replay", "directors", "--since", "1d", "--yes", "--json"]).json();
    assert_eq!((&again["done"]["fired"], &again["done"]["already"]), (&json!(0), &json!(1)));
    assert_eq!(folder.run(&["rules", "--json"]).json()["fired"], 1);

    folder.run(&["unpin", "1", "+tags", "--why", "no longer"]).out();
    assert!(!folder.run(&["show", "1"]).out().contains("tags ="));
}

#[test]
fn mistakes_say_where_they_are_in_both_languages() {
    let folder = members();
    let told = folder.run(&["rules", "test", "director"]).err();
    assert!(told.contains("has no rule `director`; did you mean `directors`?"), "{told}");
    let told = folder.run(&["rules", "test", "directors", "--since", "soon"]).err();
    assert!(told.contains("`soon` is no time; write 30d, 12h or 15m"), "{told}");
    folder.write("rules/automation.toml", &RULES.replace("title =", "titel ="));
    let told = folder.run(&["rules"]).err();
    assert!(told.contains("automation.toml:3:9: `customer` has no field `titel`; did you mean `title`?"), "{told}");
    let told = folder.run(&["--lang", "zh", "check"]).err();
    assert!(told.contains("automation.toml:3:9：`customer` 没有字段 `titel`；是不是 `title`？"), "{told}");
    folder.write("rules/automation.toml", &RULES.replace("{ tag = '重点' }", "{ webhook = 'evens' }"));
    let told = folder.run(&["--lang", "zh", "rules"]).err();
    assert!(told.contains("没有名为 `evens` 的连接"), "{told}");
}

#[test]
fn a_new_deployment_has_rules_in_comments_only() {
    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("huiliu.toml")).expect("it was there");
    folder.run(&["init", &folder.path().display().to_string()]).out();
    folder.run(&["check"]).out();
    let text = folder.read("rules/automation.toml");
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    let listed: Vec<Value> = folder.run(&["rules", "--json"]).out().lines().map(|line| json!(line)).collect();
    assert_eq!(listed, Vec::<Value>::new());
    assert!(folder.run(&["rules"]).out().starts_with("There are no rules"));
}
