//! CONTRIBUTING.md's way to a system without Rust, followed literally: its files are written, its commands run, and what
//! it shows is what comes.

use std::path::Path;
use std::process::Command;

/// The section that is followed.
const SECTION: &str = "## A system without Rust, step by step\n";

/// A fenced block: what stands behind the fence, and the content.
fn blocks(text: &str) -> Vec<(String, String)> {
    let (mut found, mut open): (Vec<(String, String)>, bool) = (Vec::new(), false);
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(about) if !open => {
                found.push((about.trim().to_owned(), String::new()));
                open = true;
            }
            Some(_) => open = false,
            None if open => {
                let (_, content) = found.last_mut().expect("a block is open");
                content.push_str(line);
                content.push('\n');
            }
            None => {}
        }
    }
    found
}

#[test]
fn the_walk_through_works_as_it_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("CONTRIBUTING.md")).expect("CONTRIBUTING.md");
    let section = text.split_once(SECTION).expect("the section").1.split("\n## ").next().expect("its end").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let bin = Path::new(env!("CARGO_BIN_EXE_huiliu")).parent().expect("a folder of programs");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let (mut said, mut wrote, mut ran, mut compared) = (String::new(), 0, 0, 0);
    for (about, content) in blocks(&section) {
        match about.split_once(' ') {
            Some((_, name)) => {
                let file = folder.path().join(name);
                if file.exists() {
                    // A command made it, and the document shows it.
                    assert_eq!(std::fs::read_to_string(&file).expect("read"), content, "{name}");
                    compared += 1;
                } else {
                    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
                    std::fs::write(&file, content).expect("write");
                    wrote += 1;
                }
            }
            None if about == "sh" => {
                let mut command = Command::new("sh");
                command.args(["-e", "-c", &content]).current_dir(folder.path());
                let done = command.env("PATH", &path).env("HUILIU_LANG", "en").output().expect("sh runs");
                let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
                assert!(done.status.success(), "{content}\n{out}\n{err}");
                said = out.into_owned();
                ran += 1;
            }
            None if about == "text" => {
                assert_eq!(said, content, "what CONTRIBUTING.md shows is not what the command before it says");
                compared += 1;
            }
            None => panic!("nobody knows what to do with a block of {about}"),
        }
    }
    assert!(wrote >= 8 && ran >= 2 && compared >= 3, "wrote {wrote}, ran {ran}, compared {compared}");
}

/// Nothing but the files of the walk-through makes the system: the contract, run once more by the program on a copy of
/// the folder in another place, and as part of the repository's own layout (`mappings/systems/`).
#[test]
fn the_files_are_all_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("CONTRIBUTING.md")).expect("CONTRIBUTING.md");
    let section = text.split_once(SECTION).expect("the section").1.split("\n## ").next().expect("its end").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    for (about, content) in blocks(&section) {
        let Some((_, name)) = about.split_once(' ') else { continue };
        let name = name.replace("mappings/", "mappings/systems/");
        let lines = content.lines().count();
        let most = if name.ends_with("connector.toml") { 120 } else { 80 };
        assert!(lines <= most, "{name} has {lines} lines");
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, content).expect("write");
    }
    let check = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_huiliu"));
        command.args(args).arg(folder.path().join("connectors/pipedrive")).env("HUILIU_LANG", "en");
        let done = command.output().expect("huiliu runs");
        (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (fine, said) = check(&["connector", "check", "--write"]);
    assert!(fine && said.ends_with("0 mistake(s)\n"), "{said}");
    let (fine, said) = check(&["connector", "check"]);
    assert!(fine, "{said}");
    // A change that nobody compared with the vendor's page shows itself.
    let manifest = folder.path().join("connectors/pipedrive/connector.toml");
    let text = std::fs::read_to_string(&manifest).expect("read");
    std::fs::write(&manifest, text.replace("limit = \"500\"", "limit = \"100\"")).expect("write");
    let (fine, said) = check(&["connector", "check"]);
    assert!(!fine && said.contains("persons.pull.json; run `huiliu connector check --write"), "{said}");
}
