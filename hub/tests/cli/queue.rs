//! The queue of a steward, at the terminal and in the console: later, and one word to many.

use serde_json::Value;

use crate::console::hub_of;
use crate::kit::{Folder, Said};

const MAPPING: &str = "[rows]\nentity = 'customer'\n[rows.identities]\n\
    phone = { from = '/phone', normalize = 'phone', region = 'CN' }\n\
    [rows.fields]\nkind = { const = 'person' }\ndisplay_name = '/name'\n";

/// Six households: of each telephone two people, so that the second is a question.
fn folder() -> Folder {
    let folder =
        Folder::new("[connections.members]\nconnector = 'file'\nmapping = 'mappings/members.toml'\nkey = 'id'\n");
    folder.write("mappings/members.toml", MAPPING);
    let mut rows = "id,name,phone\n".to_owned();
    for at in 0..6 {
        rows.push_str(&format!("{at}a,李雷,1380013800{at}\n{at}b,韩梅梅,1380013800{at}\n"));
    }
    folder.write("members.csv", &rows);
    let file = folder.path().join("members.csv").display().to_string();
    folder.run(&["import", &file, "--connection", "members", "--yes"]).out();
    folder
}

fn list(folder: &Folder) -> Vec<i64> {
    let told = folder.run(&["review", "list", "--json"]).out();
    told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["number"].as_i64().unwrap()).collect()
}

#[test]
fn a_steward_puts_off_and_decides_many_at_once() {
    let folder = folder();
    let review = |args: &[&str]| -> Said { folder.run(&[&["review"], args].concat()) };
    assert_eq!(list(&folder), [1, 2, 3, 4, 5, 6]);
    let told = review(&["later", "1", "--until", "2999-12-24", "--why", "on holiday"]).out();
    assert_eq!(told, "review 1 is put off until 2999-12-24\n");
    let told = review(&["later", "2", "--why", "she calls back", "--lang", "zh"]).out();
    assert_eq!(told, "判断 2 已推迟，直到其中一方有新内容\n");
    assert_eq!(list(&folder), [3, 4, 5, 6]);
    assert!(review(&[]).out().contains("4 waiting\n2 put off: `huiliu review list --all`\n"));
    let all = review(&["list", "--all"]).out();
    assert!(all.contains("  put off until 2999-12-24\n") && all.contains("6 waiting\n"), "{all}");
    let told = review(&["later", "3", "--until", "2020-01-01", "--why", "x", "--lang", "zh"]).err();
    assert!(told.contains("判断只能推迟到将来的日子"), "{told}");

    let bulk = ["bulk", "different", "--like", "3", "--why", "households"];
    let told = review(&bulk).out();
    for word in ["4 review(s) would be: none of their candidates", "members/rows/2b", "Nothing is done yet; add --yes"]
    {
        assert!(told.contains(word), "{word} is not in\n{told}");
    }
    assert_eq!(list(&folder), [3, 4, 5, 6], "a look decides nothing");
    let told = review(&[&bulk[..], &["--lang", "zh"]].concat()).out();
    assert!(told.contains("4 条判断将处理为：不是任何候选") && told.contains("加 --yes 执行"), "{told}");
    review(&["same", "6", "--why", "called both"]).out();
    let done = review(&[&bulk[..], &["--yes", "--json"]].concat()).json();
    assert_eq!(done["done"], serde_json::json!([3, 4, 5]), "{done}");
    assert_eq!(list(&folder), [0; 0]);
    for (args, told) in [
        (&["bulk", "same", "--why", "x"][..], "say which reviews are meant"),
        (&["bulk", "same", "--like", "99", "--why", "x"], "there is no review 99"),
        (&["bulk", "same", "--connection", "member", "--why", "x"], "did you mean `members`?"),
        (&["bulk", "same", "--like", "1", "--until", "2999-01-01", "--why", "x"], "--until belongs to `later`"),
        (&["bulk", "same", "--comparison", "name", "--why", "x"], "write a comparison and its level"),
    ] {
        let said = review(args).err();
        assert!(said.contains(told), "{told} is not in\n{said}");
    }
}

#[test]
fn what_is_ticked_in_the_console_is_settled_at_once() {
    let hub = hub_of(folder());
    hub.account();
    let session = hub.log_in();
    let page = hub.get("/reviews", &session);
    let form = page.form();
    assert_eq!(page.body.matches("type=\"checkbox\" name=\"ticked\"").count(), 6, "{}", page.body);
    assert!(hub.get_zh("/reviews", &session).contains("所有勾选的："));
    let post = |fields: &str| hub.post("/reviews", &session, &form, fields);
    let said = post("ticked=1&ticked=2&verdict=apart&why=households");
    assert_eq!((said.status, said.header("location").as_str()), (303, "/reviews?said=many.2.0"), "{}", said.body);
    assert!(hub.get("/reviews?said=many.2.0", &session).body.contains("Settled: 2."));
    let said = post("ticked=2&ticked=3&verdict=same");
    assert_eq!(said.header("location"), "/reviews?said=many.1.1", "one was settled before");
    let said = post("ticked=4&verdict=later&until=2999-12-24");
    assert_eq!(said.header("location"), "/reviews?said=many.1.0");
    let shown = hub.get("/reviews", &session).body;
    assert_eq!((shown.matches("name=\"ticked\"").count(), shown.matches("put off").count()), (3, 1), "{shown}");
    assert_eq!(post("ticked=5&verdict=later&until=someday").status, 409);
    assert_eq!(post("verdict=apart").status, 409, "nothing is ticked");
    assert_eq!(post("ticked=5&verdict=perhaps").status, 409);
    let one = hub.post("/reviews/5", &session, &form, "verdict=later&until=2999-12-24");
    assert_eq!(one.header("location"), "/reviews?said=later", "{}", one.body);
    assert_eq!(list(&hub.folder), [6], "at the terminal, too");
}
