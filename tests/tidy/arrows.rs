//! Who may depend on whom (ARCHITECTURE.md, codemap), and where SQL may stand.

use crate::tree::{ending, none, root};

/// A crate and the crates of ours that it may depend on outside of tests.
fn allowed(package: &str) -> &'static [&'static str] {
    match package {
        "huiliu-mappings" => &[],
        "huiliu-core" => &["huiliu-mappings"],
        "huiliu-jetstream" => &["huiliu-core"],
        "huiliu-webhooks" | "huiliu-console" => &["huiliu-core", "huiliu-mappings"],
        // The twins speak the vendors' wire formats with the connectors' own ciphers, checked against foreign SDKs. The
        // rehearsal reads manifests, and puts patches over records as the mapping laws do.
        "huiliu-twins" => &["huiliu-core", "huiliu-kingdee", "huiliu-mappings", "huiliu-wecom"],
        "huiliu-hub" | "huiliu-tests" | "huiliu-benches" => &["*"],
        // Connectors: the contract, diagnosis of files, and the engine that their ordinary half calls.
        _ => &["huiliu-core", "huiliu-mappings", "huiliu-rest"],
    }
}

#[test]
fn arrows_point_down() {
    let mut mistakes = Vec::new();
    for (path, text) in ending("Cargo.toml") {
        let manifest: toml::Table = text.parse().expect("Cargo.toml parses");
        let Some(package) = manifest.get("package") else { continue };
        let name = package["name"].as_str().expect("a name");
        let folder = path.trim_end_matches("/Cargo.toml").rsplit('/').next().expect("a folder");
        if name != format!("huiliu-{folder}") {
            mistakes.push(format!("{path}: package {name} is to be called huiliu-{folder}"));
        }
        if ["common", "util", "utils", "types", "helpers", "shared"].contains(&folder) {
            mistakes.push(format!("{path}: a crate is named after its job; {folder} names none"));
        }
        let allowed = allowed(name);
        let ours = manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten();
        for (dependency, _) in ours.filter(|(dependency, _)| dependency.starts_with("huiliu-")) {
            if !allowed.contains(&"*") && !allowed.contains(&dependency.as_str()) {
                mistakes.push(format!("{path}: {name} may not depend on {dependency}"));
            }
        }
    }
    none(&mistakes);
}

#[test]
fn every_crate_is_a_member() {
    let workspace: toml::Table =
        std::fs::read_to_string(root().join("Cargo.toml")).expect("there").parse().expect("parses");
    let members: Vec<&str> = workspace["workspace"]["members"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|member| member.as_str().expect("a text"))
        .collect();
    let found = ending("/Cargo.toml");
    none(
        &found
            .iter()
            .map(|(path, _)| path.trim_end_matches("/Cargo.toml"))
            // What is only measured beside ours is built on its own, and never with ours.
            .filter(|folder| !members.contains(folder) && !folder.starts_with("benches/peers/"))
            .map(|folder| format!("{folder} has a Cargo.toml and is no member of the workspace"))
            .collect::<Vec<_>>(),
    );
}

/// SQL stands in core's store and its migrations; tests and benches may look into a database directly.
#[test]
fn sql_has_one_home() {
    let mut mistakes = Vec::new();
    for (path, text) in ending(".rs") {
        let at_home = path.starts_with("core/src/store/")
            || path.starts_with("tests/")
            || path.starts_with("benches/")
            || path.contains("/tests/");
        if at_home {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            let is_sql = ["SELECT ", "INSERT INTO ", "DELETE FROM ", " UPDATE ", "CREATE TABLE "]
                .iter()
                .any(|word| line.contains(word));
            if is_sql && !line.trim_start().starts_with("//") {
                mistakes.push(format!("{path}:{}: SQL belongs into core/src/store", at + 1));
            }
        }
    }
    none(&mistakes);
}
