//! Words and promises: the glossary's names, the invariants' tests, no leftovers.

use crate::tree::{ending, none};

/// The invariants of ARCHITECTURE.md: each has a test of the same name.
const INVARIANTS: &[&str] = &[
    "cursor_never_leads",
    "ack_after_append",
    "order_does_not_matter",
    "echo_dies_at_merge",
    "inbox_is_immutable",
    "delivery_is_complete",
    "webhooks_are_hints",
    "secrets_have_names",
    "split_restores",
    "absence_is_not_deletion",
    "copies_are_not_evidence",
];

#[test]
fn every_invariant_has_its_test_and_its_sentence() {
    let sources = ending(".rs");
    let architecture = ending("ARCHITECTURE.md").remove(0).1;
    let mut mistakes = Vec::new();
    for name in INVARIANTS {
        let call = format!("fn {name}(");
        let tested = sources.iter().any(|(path, text)| {
            !path.starts_with("tests/tidy/")
                && text.match_indices(&call).any(|(at, _)| {
                    let before: Vec<&str> = text[..at].lines().rev().take(4).collect();
                    before.iter().any(|line| line.contains("test]")) || text.contains("proptest!")
                })
        });
        if !tested {
            mistakes.push(format!("no test is called {name}"));
        }
        if !architecture.contains(name) {
            mistakes.push(format!("ARCHITECTURE.md does not name {name}"));
        }
    }
    none(&mistakes);
}

/// What is put off is told in a document or an issue, never in a comment that nobody reads.
#[test]
fn nothing_is_left_lying() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
    ];
    let mut mistakes = Vec::new();
    for (path, text) in ending(".rs").into_iter().chain(ending(".toml")).chain(ending(".md")).chain(ending(".sh")) {
        for (at, line) in text.lines().enumerate() {
            if let Some(mark) = marks.iter().find(|mark| line.contains(*mark)) {
                mistakes.push(format!("{path}:{}: {mark}", at + 1));
            }
            if line.contains(concat!("#[ig", "nore")) && !line.contains('=') {
                mistakes.push(format!("{path}:{}: a test is skipped without a reason", at + 1));
            }
        }
    }
    none(&mistakes);
}

/// Every connector folder has what the next reader looks for.
#[test]
fn connector_folders_are_complete() {
    let all = crate::tree::files();
    let has = |start: &str| all.iter().any(|(path, _)| path.starts_with(start));
    let is_manifest = |path: &str| path.starts_with("connectors/") && path.ends_with("/connector.toml");
    let mut mistakes = Vec::new();
    for (manifest, text) in all.iter().filter(|(path, _)| is_manifest(path)) {
        let folder = manifest.trim_end_matches("connector.toml");
        let name = folder.trim_start_matches("connectors/").trim_end_matches('/');
        // Two ways to speak with one system share what its records mean.
        let shared = text.lines().find_map(|line| line.strip_prefix("mapping = \"")?.strip_suffix('"'));
        let mapping = format!("mappings/systems/{}.toml", shared.unwrap_or(name));
        for wanted in [format!("{folder}README.md"), format!("{folder}fixtures/"), mapping] {
            if !has(&wanted) {
                mistakes.push(format!("{folder} lacks {wanted}"));
            }
        }
    }
    none(&mistakes);
}
