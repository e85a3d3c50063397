//! Sizes that keep rooms small. Functions are measured by clippy (`too-many-lines-threshold`).

use crate::tree::{ending, none};

/// Files above the size of their kind, with the reason why that is right.
const EXCEPTIONS: &[(&str, &str)] = &[];

fn bound(path: &str) -> usize {
    match path {
        _ if path.starts_with("connectors/") && path.ends_with("connector.toml") => 120,
        _ if path.starts_with("mappings/systems/") => 80,
        // The engine is not one system's connector.
        _ if path.starts_with("connectors/") && path.contains("/src/") && !path.starts_with("connectors/rest/") => 400,
        _ => 500,
    }
}

#[test]
fn rooms_are_small() {
    let mut mistakes = Vec::new();
    for (path, text) in [ending(".rs"), ending(".toml")].concat() {
        let (lines, most) = (text.lines().count(), bound(&path));
        let excepted = EXCEPTIONS.iter().any(|(known, _)| *known == path);
        if lines > most && !excepted {
            mistakes.push(format!("{path} has {lines} lines; {most} is the most: split it, or say here why not"));
        }
        if lines <= most && excepted {
            mistakes.push(format!("{path} is small enough now: take it out of the exceptions"));
        }
    }
    none(&mistakes);
}

#[test]
fn exceptions_exist() {
    let all = ending(".rs");
    none(
        &EXCEPTIONS
            .iter()
            .filter(|(known, _)| !all.iter().any(|(path, _)| path == known))
            .map(|(known, _)| format!("{known} is excepted but is not there"))
            .collect::<Vec<_>>(),
    );
}

/// A crate root is a map: documentation and modules, no logic.
#[test]
fn roots_are_maps() {
    let mut mistakes = Vec::new();
    for (path, text) in ending("src/lib.rs") {
        for (at, line) in text.lines().enumerate() {
            let fine = line.is_empty()
                || line.starts_with("//")
                || line.starts_with("#!")
                || line.starts_with("#[cfg(")
                || line.starts_with("pub mod ")
                || line.starts_with("mod ")
                || line.starts_with("pub use ");
            if !fine {
                mistakes.push(format!("{path}:{}: a crate root only names its modules: {line}", at + 1));
            }
        }
        if !text.starts_with("//!") {
            mistakes.push(format!("{path}: a crate root starts with its story"));
        }
    }
    none(&mistakes);
}
