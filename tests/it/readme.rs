//! Each connector's README is what its manifest says.

use std::path::PathBuf;

use huiliu_core::manifest::{Manifest, readme};
use huiliu_hub::config;

const REMEDY: &str = "HUILIU_WRITE=1 cargo test -p huiliu-tests --test it readme";

/// Folders in `connectors/` that hold a manifest, with the manifest.
pub fn connectors() -> Vec<(PathBuf, Manifest)> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../connectors"));
    let folders = std::fs::read_dir(root).expect("connectors/").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<(PathBuf, Manifest)> = folders
        .filter_map(|folder| {
            let text = std::fs::read_to_string(folder.join("connector.toml")).ok()?;
            let file = format!("connectors/{}/connector.toml", folder.file_name()?.to_string_lossy());
            Some((folder, Manifest::parse(&file, &text).unwrap_or_else(|mistake| panic!("{mistake}"))))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() >= 4, "shopify, webhook, wecom, kingdee");
    found
}

#[test]
fn readmes_are_what_the_manifests_say() {
    let mut behind = Vec::new();
    for (folder, manifest) in connectors() {
        let page = readme::render(&manifest, REMEDY);
        let toml = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let example = config::parse("README.md", toml).unwrap_or_else(|told| panic!("{}: {told}", folder.display()));
        assert!(example.connections.contains_key(&manifest.connector.name));
        let path = folder.join("README.md");
        if std::env::var_os("HUILIU_WRITE").is_some() {
            std::fs::write(&path, &page).expect("the README can be written");
        }
        if std::fs::read_to_string(&path).ok().as_deref() != Some(page.as_str()) {
            behind.push(format!("connectors/{}/README.md", manifest.connector.name));
        }
    }
    assert!(behind.is_empty(), "behind their manifests: {behind:?}; run `{REMEDY}`");
}
