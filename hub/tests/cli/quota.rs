//! What vendors allow and what was used of it, as a person sees it; a silence outlives the process that was asked for it.

use serde_json::{Value, json};

use crate::kit::{Folder, script};

const CONFIG: &str = "[connections.till]\nconnector = 'till'\nnetwork = 'private'\nconfig.account = 'a'\n";

#[test]
fn what_was_used_is_shown_and_a_silence_outlives_its_process() {
    let mut calls = 0;
    let port = script(move |_| {
        calls += 1;
        match calls {
            1 => (
                200,
                json!({ "items": [{ "id": 1, "name": "A", "updated_at": "2026-01-01T00:00:00Z" }], "next": null })
                    .to_string(),
            ),
            _ => (429, json!({ "message": "too many" }).to_string()),
        }
    });
    let budgets =
        "quotas = [{ shared_by = ['account:{config.account}'], windows = [{ calls = 1000, seconds = 3600 }] }]\n";
    let folder = Folder::new(&format!("{CONFIG}config.base_url = 'http://127.0.0.1:{port}'\n{budgets}"));
    folder.run(&["connector", "new", "till"]).out();
    assert_eq!(folder.run(&["quota"]).out(), "Nothing was called yet.\n");
    assert_eq!(folder.run(&["--lang", "zh", "quota"]).out(), "尚未调用任何系统。\n");
    folder.tell(&["secret", "till", "token"], "t0ken-of-the-till").out();
    folder.tell(&["secret", "till", "webhook"], "0123456789abcdef").out();
    folder.run(&["sync", "till"]).out();
    let shown = folder.run(&["quota", "--json"]).json();
    let budget = |shown: &Value, name: &str| -> Value {
        let all = shown["budgets"].as_array().expect("a list");
        all.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}: {shown}")).clone()
    };
    let limit = budget(&shown, "till/account:a")["limits"][0].clone();
    assert_eq!((&limit["calls"], &limit["seconds"], &limit["believed"]), (&json!(1000), &json!(3600), &json!(1000)));
    assert_eq!((&limit["used"], &limit["by_lane"]["backfill"]), (&json!(1), &json!(1)), "a first read: {shown}");
    // The next call is one too many: the vendor is believed to allow less, and is left alone for a moment.
    let said = folder.run(&["sync", "till"]);
    assert!(!said.fine, "{said:?}");
    let after = folder.run(&["quota", "--json"]).json();
    assert_eq!(budget(&after, "till/account:a")["limits"][0]["used"], json!(2), "{after}");
    // Of the two budgets the pace of the connection was fuller.
    let pace = budget(&after, "till/connection:till");
    assert_eq!((&pace["refusals"], &pace["limits"][0]["believed"]), (&json!(1), &json!(2)), "{after}");
    let said = folder.run(&["quota"]).out();
    assert!(
        said.contains("till/account:a") && said.contains("2 (of 4) in 1 s") && said.contains("refused 1 times"),
        "{said}"
    );
    let said = folder.run(&["--lang", "zh", "quota"]).out();
    assert!(said.contains("（声明 4 次）") && said.contains("被拒绝 1 次"), "{said}");
}

#[test]
fn a_budget_that_is_none_names_its_line() {
    let budgets = "quotas = [{ shared_by = ['acount'], windows = [{ calls = 1000, seconds = 3600 }] }]\n";
    let folder = Folder::new(&format!("{CONFIG}{budgets}"));
    folder.run(&["connector", "new", "till"]).out();
    let said = folder.run(&["check"]);
    assert!(
        !said.fine && format!("{said:?}").contains("connections.till.quotas[0].shared_by: `acount`: no such word"),
        "{said:?}"
    );
}
