//! The first import of both READMEs, command by command, as a reader would type it.

use std::path::Path;
use std::process::Command;

const MEMBERS: &str = "编号,姓名,手机号,邮箱,公司\n1,李雷,13800138000,li@example.com,甲\n2,韩梅梅,13900139000,han@example.com,乙\n3,李雷,13800138000,,甲有限公司\n";

/// Runs the commands of the first block that holds `mark`, in a folder of its own.
fn run(readme: &str, mark: &str) -> (tempfile::TempDir, String) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(readme);
    let text = std::fs::read_to_string(readme).expect("the README is there");
    let block = text.split("```").find(|block| block.contains(mark)).expect("the commands are a block");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("members.csv"), MEMBERS).expect("write");
    let bin = Path::new(env!("CARGO_BIN_EXE_huiliu")).parent().expect("a folder of programs");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut told = Vec::new();
    for line in block.lines().filter(|line| line.starts_with("huiliu ")) {
        let ran = Command::new("sh")
            .arg("-c")
            .arg(line)
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("HUILIU_LANG", "en")
            .output();
        let ran = ran.expect("sh runs");
        assert!(ran.status.success(), "{line}\n{}", String::from_utf8_lossy(&ran.stderr));
        told.push(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    (folder, told.join("\n"))
}

fn follow(readme: &str) {
    let (folder, told) = run(readme, "huiliu init");
    assert!(told.contains("3 rows: 2 golden records made"), "{told}");
    assert!(told.contains("members/rows/3   the same by"), "{told}");
    assert!(told.contains("new, nobody known: made a golden record"), "{told}");
    let exported = std::fs::read_to_string(folder.path().join("customers.jsonl")).expect("the export is there");
    assert_eq!(exported.lines().count(), 2);
    let (folder, _) = run(readme, "huiliu match");
    let clusters = std::fs::read_to_string(folder.path().join("same.csv")).expect("the clusters are there");
    assert_eq!(clusters, "record_id,cluster_id\n1,0\n2,1\n3,0\n");
}

#[test]
fn the_english_readme_works() {
    follow("README.md");
}

#[test]
fn the_chinese_readme_works() {
    follow("README.zh-CN.md");
}

#[test]
fn a_mistake_names_what_to_do() {
    let run = |args: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_huiliu"))
            .args(args)
            .env("HUILIU_LANG", "en")
            .output()
            .expect("huiliu runs");
        (ran.status.success(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let (fine, told) = run(&["-C", "/nowhere", "status"]);
    assert!(!fine && told.contains("run `huiliu init"), "{told}");
    let (fine, told) = run(&["map", "kingde", "x.json"]);
    assert!(!fine && told.contains("did you mean `kingdee`?"), "{told}");
}
