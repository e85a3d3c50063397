//! The demo is the first thing that a new user runs: it must end well, and it must notice when it should not.

use std::process::Command;

use huiliu_hub::demo::{self, Options};
use huiliu_hub::language::Language;
use serde_json::json;

/// Display columns, as terminals count them.
fn columns(line: &str) -> usize {
    line.chars().map(|letter| if letter >= '\u{2e80}' { 2 } else { 1 }).sum()
}

fn play(language: &str) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_huiliu")).args(["demo", "--seconds", "60", "--lang", language]).output();
    let output = output.expect("the program starts");
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "nothing but the story is told");
    (output.status.code(), told)
}

#[test]
fn the_day_ends_with_all_systems_agreeing() {
    let (code, told) = play("en");
    assert_eq!(code, Some(0), "{told}");
    for part in ["0 lost, 0 duplicated, 0 different; 0 writes in", "All systems agree.", "1 review, 0 dead letters"] {
        assert!(told.replace("\n  ", " ").contains(part), "{part} is missing:\n{told}");
    }
    assert!(!told.contains('✗'), "{told}");
    assert_eq!(told.lines().find(|line| columns(line) > 80), None, "80 columns are enough");
}

#[test]
fn the_story_is_told_in_chinese_too() {
    let (code, told) = play("zh");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("所有系统一致"), "{told}");
    assert_eq!(told.lines().find(|line| columns(line) > 80), None, "80 columns are enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_one_record_is_seen() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options { folder: None, seconds: Some(60), language: Language::En };
    let verdict = demo::run(&options, |systems| {
        let order = json!({ "FBillNo": "XSDD0001", "FBillAllAmount_LC": "19800.00" });
        systems.erp.put_order(&order);
        let (id, _) = systems.erp.snapshot()["customers"]
            .as_object()
            .and_then(|all| all.iter().next())
            .map_or_else(|| panic!("the ledger has customers"), |(id, record)| (id.clone(), record.clone()));
        assert!(systems.erp.edit_customer(&id, &json!({ "FContact": "somebody else" })));
    });
    let verdict = verdict.await.expect("the day is played to its end");
    assert!(!verdict.is_good());
    assert_eq!(verdict.duplicated, ["XSDD0001 in erp"], "{verdict:?}");
    assert!(verdict.different.iter().any(|it| it.starts_with("contact of 91330100MA2DEM0A0Q in erp")), "{verdict:?}");
    assert!(verdict.late_writes > 0, "the hub carries the edit to the branch, after everybody has gone home");
}
