//! The shipped `webhook` connector: its manifest, its mapping and its fixtures fit together.

mod kit;

use std::path::PathBuf;
use std::sync::Arc;

use huiliu_core::catalog::{Catalog, System};
use huiliu_mappings::model::Model;
use kit::{Desk, Paper, STANDARD_SECRET};
use serde_json::Value;

const MANIFEST: &str = include_str!("../../connectors/webhook/connector.toml");
const MAPPING: &str = include_str!("../../mappings/systems/webhook.toml");

fn system() -> System {
    let manifests = [("connectors/webhook/connector.toml", MANIFEST)];
    let loaded = Catalog::load(&Model::shipped(), manifests, [("mappings/systems/webhook.toml", MAPPING)]);
    let catalog = loaded.unwrap_or_else(|told| panic!("{told:#?}"));
    catalog.system("webhook").expect("the manifest is named like its folder").clone()
}

fn fixtures(folder: &str) -> Vec<(PathBuf, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../connectors/webhook/fixtures").join(folder);
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let read: Vec<_> =
        files.map(|path| (path.clone(), serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())).collect();
    assert!(!read.is_empty(), "{} holds no fixture", folder.display());
    read
}

#[tokio::test]
async fn recorded_calls_are_kept_once_and_only_unchanged() {
    let manifest = system().manifest;
    let desk = Desk::of(Arc::new(Paper((*manifest).clone())), &[("webhook", STANDARD_SECRET)], 1_614_265_330);
    let route = manifest.webhook.as_ref().unwrap().route.clone().unwrap();
    let calls = fixtures("webhook");
    for (path, call) in &calls {
        let headers: Vec<(&str, &str)> = call["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        let body = call["body"].as_str().unwrap();
        let event: Value = serde_json::from_str(body).unwrap();
        let topic = event["type"].as_str().unwrap();
        assert!(route.topics.contains_key(topic) || route.deletes.contains_key(topic), "{}", path.display());
        // One byte more is another body, though it says the same.
        for (sent, status) in [(format!("{body} "), 401), (body.to_owned(), 200), (body.to_owned(), 200)] {
            assert_eq!(desk.post("/hooks/shop", &headers, sent.as_bytes()).await.status, status, "{}", path.display());
        }
    }
    let mut keys: Vec<String> = desk.kept().into_iter().map(|it| it.dedupe).collect();
    keys.sort_unstable();
    let id = |call: &Value| {
        let headers = call["headers"].as_array().unwrap().iter();
        headers.filter(|it| it[0] == "webhook-id").map(|it| it[1].as_str().unwrap().to_owned()).next().expect("an id")
    };
    let mut ids: Vec<String> = calls.iter().map(|(_, call)| id(call)).collect();
    ids.sort_unstable();
    assert!(ids.len() > 4);
    assert_eq!(keys, ids);
}
