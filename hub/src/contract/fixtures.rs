//! A connector's fixtures: records by stream, recorded webhook calls, and what a write sends.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of recorded webhook calls; no stream can have this name.
pub const CALLS: &str = "webhook";

/// The folder of what the declared calls send; no stream can have this name.
pub const REQUESTS: &str = "requests";

/// The JSON files of a folder, by name; none if it is not there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
    found.sort();
    found
}

/// The values of a kind of fixture with their names (`customers/person.json`). What is no JSON is left out: the check
/// of the files says so.
pub fn values(connector: &Path, kind: &str) -> Vec<(String, Value)> {
    let named = files(&connector.join("fixtures").join(kind)).into_iter().filter_map(|path| {
        let name = format!("{kind}/{}", path.file_name()?.to_string_lossy());
        let (_, text) = crate::connectors::read(&path).ok()?;
        Some((name, serde_json::from_str(&text).ok()?))
    });
    named.collect()
}
