//! The files of the repository.

use std::path::{Path, PathBuf};

/// Folders that are built or downloaded, never written by us.
const FOREIGN: &[&str] = &[".git", ".cache", "target", "node_modules"];

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is the parent").to_owned()
}

/// Every file of ours, as a path from the root with its text; files that are not text are left out.
pub fn files() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of ours") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if FOREIGN.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let from_root = path.strip_prefix(&root).expect("below the root").display().to_string();
                found.push((from_root, text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "the walk found only {} files", found.len());
    found
}

/// The files of ours with this ending.
pub fn ending(end: &str) -> Vec<(String, String)> {
    files().into_iter().filter(|(path, _)| path.ends_with(end)).collect()
}

/// Fails with all mistakes at once.
pub fn none(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}
