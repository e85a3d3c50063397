//! The contract, one suite over every folder in `connectors/`, manifest and crate alike. A declared ability without a
//! fixture fails. A connector with a stage of its own is held to it there; every manifest that the engine runs is also
//! held to it in its rehearsal, as `huiliu connector check` does, so a new one needs no line here.

pub mod stages;

use std::path::Path;

use huiliu_core::manifest::{Driver, Manifest};
use huiliu_hub::contract::{self, Check, files, log, rehearse, requests};
use huiliu_mappings::model::Model;

use crate::readme::connectors;
use stages::stage;

/// Runs a check on every stage, and in every rehearsal.
fn hold(check: Check) {
    log::listen();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let catalog = huiliu_hub::connectors::catalog(&Model::shipped()).expect("what ships fits together");
    runtime.block_on(async {
        let mut mistakes = Vec::new();
        for (folder, manifest) in connectors() {
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            let lenses = &catalog.system(&name).expect("it ships").lenses;
            let mut stages: Vec<(&str, contract::Stage)> = Vec::new();
            stages.extend(stage(&name).await.map(|stage| ("its stage", stage.with(&folder))));
            if manifest.connector.driver == Driver::Rest {
                let rehearsed = rehearse::stage(&folder, &manifest, lenses).await;
                stages.push(("its rehearsal", rehearsed.unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"))));
            }
            assert!(!stages.is_empty(), "connectors/{name} is a crate and has no stage in tests/it/contract/stages.rs");
            for (place, stage) in &stages {
                match check.run(stage).await {
                    Ok(said) => println!("{name} on {place}: {}", said.en),
                    Err(wrong) => mistakes.push(format!("{name} on {place}: {}: {}", wrong.at, wrong.says.en)),
                }
            }
        }
        assert_eq!(mistakes, Vec::<String>::new());
    });
}

#[test]
fn every_ability_has_a_fixture_and_the_laws_hold_on_it() {
    for (folder, manifest) in connectors() {
        let name = &manifest.connector.name;
        let told = files::examine(&folder, &folder, None).expect("the folder can be read");
        let wrong: Vec<String> = told.wrong.into_iter().map(|says| says.en).collect();
        assert_eq!(wrong, Vec::<String>::new());
        // One more than the streams and their tables: the recorded calls.
        let calls = usize::from(manifest.webhook.is_some());
        assert_eq!(told.fine.len(), 2 + manifest.streams.len() + calls, "{name}");
    }
}

#[test]
fn good_and_bad_credentials_are_told_apart() {
    hold(Check::Credentials);
}

#[test]
fn paging_ends_and_resumes_from_any_cursor() {
    hold(Check::Paging);
}

#[test]
fn replay_adds_nothing() {
    hold(Check::Replay);
}

#[test]
fn refusals_become_the_right_kind() {
    hold(Check::Refusals);
}

#[test]
fn bounds_hold() {
    hold(Check::Bounds);
}

#[test]
fn a_retried_push_makes_no_second_record() {
    hold(Check::Retries);
}

#[test]
fn a_conflict_refetches_and_replans() {
    hold(Check::Conflicts);
}

#[test]
fn an_echo_changes_nothing() {
    hold(Check::Echo);
}

#[test]
fn a_tampered_stale_or_repeated_webhook_is_refused_or_deduplicated() {
    hold(Check::Webhooks);
}

/// People, numbers and addresses on the stages and in the fixtures, beside those that the check finds by itself.
const PERSONAL: &[&str] =
    &["客户1", "测试公司", "Buyer ", "buyer1@", "li.lei@", "李雷", "韩梅梅", "13800138000", "lin1@example"];

#[test]
fn no_secret_or_personal_value_reaches_a_log() {
    hold(Check::Privacy);
    let logged = log::text();
    for personal in PERSONAL {
        let line = logged.lines().find(|line| line.contains(personal));
        assert_eq!(line, None, "{personal}");
    }
}

const REMEDY: &str = "HUILIU_WRITE=1 cargo test -p huiliu-tests --test it contract::requests";

async fn made(folder: &Path, manifest: &Manifest) -> requests::Files {
    let catalog = huiliu_hub::connectors::catalog(&Model::shipped()).expect("what ships fits together");
    let lenses = &catalog.system(&manifest.connector.name).expect("it ships").lenses;
    requests::made(folder, manifest, lenses).await.unwrap_or_else(|wrong| panic!("{}: {wrong:?}", folder.display()))
}

/// What every declared call of every manifest sends.
#[test]
fn requests_are_what_the_calls_send() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut behind = Vec::new();
    for (folder, manifest) in connectors().into_iter().filter(|(_, it)| it.connector.driver == Driver::Rest) {
        let files = runtime.block_on(made(&folder, &manifest));
        if std::env::var_os("HUILIU_WRITE").is_some() {
            requests::write(&folder, &files).expect("the fixtures can be written");
        }
        let name = &manifest.connector.name;
        behind.extend(
            requests::behind(&folder, &files).into_iter().map(|file| format!("{name}/fixtures/requests/{file}")),
        );
    }
    assert!(behind.is_empty(), "not what the calls send: {behind:?}; run `{REMEDY}`, and read what changed");
}
