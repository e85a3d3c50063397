//! The contract, one suite over every folder in `connectors/`, manifest and crate alike. A declared ability without a
//! fixture fails, and so does a connector without a stage.

mod log;
pub mod stages;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connection::Connection;
use huiliu_core::connector::{Connector, ConnectorError, Cursor, Received};
use huiliu_core::manifest::{Ability, Manifest, Verify};
use huiliu_core::quota::Quota;
use huiliu_core::store::{Store, goldens, inbox, streams};
use huiliu_mappings::lens::{Lens, laws};
use huiliu_mappings::model::Model;
use huiliu_tests::front::Fate;
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use serde_json::{Value, json};

use crate::flow::Hub;
use crate::readme::connectors;
use stages::{Stage, delivery, stage};

/// The files of a fixture folder, by name.
fn fixtures(folder: &Path, kind: &str) -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(folder.join("fixtures").join(kind)).into_iter().flatten().flatten();
    let mut found: Vec<(String, Value)> = entries
        .map(|entry| {
            let name = format!("{kind}/{}", entry.file_name().to_string_lossy());
            let text = std::fs::read_to_string(entry.path()).expect("a fixture");
            (name.clone(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn sqlite() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    (folder, store)
}

/// Runs a check on every stage.
fn on_every_stage(check: &impl AsyncFn(&Manifest, &Stage)) {
    log::listen();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for (folder, manifest) in connectors() {
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            let stage = stage(&name).await;
            let stage =
                stage.unwrap_or_else(|| panic!("connectors/{name} has no stage in tests/it/contract/stages.rs"));
            println!("{name}");
            check(&manifest, &stage).await;
        }
    });
}

fn connector(stage: &Stage) -> Arc<dyn Connector> {
    stage.connection.connector.clone().expect("a connector")
}

fn pulled(manifest: &Manifest) -> Vec<String> {
    manifest.streams.iter().filter(|(_, stream)| stream.can(Ability::Pull)).map(|(name, _)| name.clone()).collect()
}

/// One call to the system: the first page of a stream, or, where nothing can be pulled, a write.
async fn poke(manifest: &Manifest, stage: &Stage, by: &dyn Connector) -> Result<(), ConnectorError> {
    let mut cx = stage.connection.cx.clone();
    // A pause that an earlier refusal asked for is not waited for here.
    cx.quota = Arc::new(Quota::unlimited());
    match (pulled(manifest).first(), &stage.create) {
        (Some(stream), _) => by.pull(&cx, &stream.as_str().into(), None).await.map(drop),
        (None, Some((stream, body))) => by.push(&cx, &delivery(stream, body, 1)).await.map(drop),
        (None, None) => panic!("nothing can be called"),
    }
}

#[test]
fn every_ability_has_a_fixture_and_the_laws_hold_on_it() {
    let catalog = huiliu_hub::connectors::catalog(&Model::shipped()).expect("what ships fits together");
    for (folder, manifest) in connectors() {
        let name = &manifest.connector.name;
        let lenses = &catalog.system(name).expect("it ships").lenses;
        for stream in manifest.streams.keys() {
            let found = fixtures(&folder, stream);
            assert!(!found.is_empty(), "connectors/{name}/fixtures/{stream}/ holds no record");
            for lens in lenses.iter().filter(|lens| lens.stream() == stream) {
                for (file, body) in found.iter().filter(|(_, body)| lens.reads(body)) {
                    let (mapped, issues) = lens.map(body);
                    assert_eq!(issues, [], "{name}: {file}");
                    assert!(!mapped.fields.is_empty(), "{name}: {file} says nothing");
                    assert_eq!(laws::broken(lens, body), Vec::<String>::new(), "{name}: {file}");
                }
            }
        }
        let calls = fixtures(&folder, "webhook");
        assert_eq!(calls.is_empty(), manifest.webhook.is_none(), "connectors/{name}/fixtures/webhook/ and [webhook]");
    }
}

#[test]
fn good_and_bad_credentials_are_told_apart() {
    on_every_stage(&async |manifest, stage| {
        let cx = &stage.connection.cx;
        assert_eq!(connector(stage).check(cx).await, Ok(()));
        let Some((secret, wrong)) = stage.bad_secret else {
            assert!(pulled(manifest).is_empty(), "only a system that is not asked anything has nothing to refuse");
            return;
        };
        // A connection of its own: tokens that the good secret bought are not lent to the bad one.
        let mut bad = kit::connection("bad", &cx.clock, None).cx;
        bad.settings = cx.settings.clone();
        let mut secrets = (*cx.secrets).clone();
        secrets.insert(secret.to_owned(), huiliu_core::secrets::Secret::new(wrong));
        bad.secrets = Arc::new(secrets);
        let refused = connector(stage).check(&bad).await.expect_err("a wrong secret is refused");
        assert_eq!(refused.kind(), "unauthorized", "{refused}");
        assert!(!refused.to_string().contains(wrong), "no secret in an error");
    });
}

/// The ids of a stream from a place on, and the places after each page.
async fn walk(stage: &Stage, stream: &str, mut from: Option<Cursor>) -> Vec<(Vec<String>, Option<Cursor>)> {
    let mut pages = Vec::new();
    loop {
        let page = connector(stage).pull(&stage.connection.cx, &stream.into(), from.as_ref()).await.expect("a page");
        let id = |item: &Received| match item {
            Received::Record(record) => record.id.to_string(),
            other => panic!("{other:?}"),
        };
        pages.push((page.items.iter().map(id).collect(), page.next.clone()));
        assert!(pages.len() < 500, "{stream} never ends");
        if !page.more {
            return pages;
        }
        from = page.next.or(from);
    }
}

#[test]
fn paging_ends_and_resumes_from_any_cursor() {
    on_every_stage(&async |manifest, stage| {
        for stream in pulled(manifest) {
            let pages = walk(stage, &stream, None).await;
            let paged = stage.paged.contains(&stream.as_str());
            assert!(!paged || pages.len() > 1, "{stream} has one page only; put more people on the stage");
            for at in 0..pages.len() - 1 {
                let rest = walk(stage, &stream, pages[at].1.clone()).await;
                let ids = |pages: &[(Vec<String>, _)]| pages.iter().flat_map(|page| page.0.clone()).collect::<Vec<_>>();
                assert_eq!(ids(&rest), ids(&pages[at + 1..]), "{stream} from page {at}");
            }
        }
    });
}

#[test]
fn replay_adds_nothing() {
    on_every_stage(&async |manifest, stage| {
        let (_folder, store) = sqlite();
        let hub = Hub::live(store, Clock::System, [stage.connection.clone()]).await;
        hub.settle(true).await;
        let changes = async || hub.read(|tx| Ok(goldens::changed_after(tx, 0, 10_000)?.len())).await;
        let (before, name) = (changes().await, manifest.connector.name.clone());
        for stream in pulled(manifest) {
            let name = name.clone();
            hub.write(move |tx| streams::put(tx, &name, &stream, &streams::StreamState::default())).await;
        }
        hub.settle(true).await;
        assert_eq!(changes().await, before);
        assert_eq!(hub.read(|tx| inbox::dead_letters(tx, 5)).await, []);
    });
}

#[test]
fn refusals_become_the_right_kind() {
    let common =
        [(401, "{}", "unauthorized"), (429, "{}", "rate_limited"), (500, "{}", "transient"), (503, "", "transient")];
    on_every_stage(&async |manifest, stage| {
        let Some(front) = &stage.front else { return };
        let by = connector(stage);
        poke(manifest, stage, &*by).await.expect("it works before");
        for (status, body, kind) in common {
            // A session may be over: who logs in again and is refused again, believes it.
            let times = if kind == "unauthorized" { 2 } else { 1 };
            (0..times).for_each(|_| front.meet(Fate::Answer(status, body.into())));
            let error = poke(manifest, stage, &*by).await.expect_err("refused");
            assert_eq!(error.kind(), kind, "HTTP {status}: {error}");
            front.forget();
        }
        // By Standard Webhooks only the status of a reply counts.
        let malformed = [("<html>busy</html>", "broken"), ("{\"a\":", "broken")];
        let bodies = if pulled(manifest).is_empty() { &[][..] } else { &malformed[..] };
        for (body, kind) in bodies.iter().chain(stage.refusals) {
            front.meet(Fate::Answer(200, (*body).into()));
            let error = poke(manifest, stage, &*by).await.expect_err(body);
            assert_eq!(error.kind(), *kind, "{body}: {error}");
        }
        poke(manifest, stage, &*by).await.expect("it works again");
    });
}

#[test]
fn bounds_hold() {
    on_every_stage(&async |manifest, stage| {
        let Some(front) = &stage.front else { return };
        let mut narrow = manifest.clone();
        narrow.connector.limits.response_bytes_max = 64 << 10;
        narrow.connector.limits.timeout_ms = 300;
        let by = huiliu_hub::connectors::connector(&narrow).expect("it can be run");
        front.meet(Fate::Answer(200, vec![b' '; 1 << 20].into()));
        let error = poke(manifest, stage, &*by).await.expect_err("a reply above the bound is refused");
        assert_eq!(error.kind(), "broken", "{error}");
        front.meet(Fate::Stall(Duration::from_secs(2)));
        let error = poke(manifest, stage, &*by).await.expect_err("a call above its time is given up");
        assert_eq!(error.kind(), "transient", "{error}");
    });
}

#[test]
fn a_retried_push_makes_no_second_record() {
    on_every_stage(&async |_, stage| {
        let (Some(front), Some((stream, body))) = (&stage.front, &stage.create) else { return };
        let (by, cx, before) = (connector(stage), &stage.connection.cx, (stage.count)());
        front.meet(Fate::LoseAnswer);
        let lost = by.push(cx, &delivery(stream, body, 1)).await;
        if let Err(lost) = &lost {
            assert_eq!(lost.kind(), "transient", "{lost}");
        }
        let made = by.push(cx, &delivery(stream, body, 2)).await.expect("made");
        let again = by.push(cx, &delivery(stream, body, 3)).await.expect("made before");
        assert_eq!(made.id, again.id);
        assert_eq!((stage.count)(), before + 1);
    });
}

/// A CRM beside the system that is told of every customer and knows one more field.
fn crm(field: &str) -> (Arc<Memory>, Connection) {
    let memory = Arc::new(Memory::new(false));
    let mut connection = kit::connection("crm", &Clock::System, Some(memory.clone()));
    let text = format!(
        "[customers]\nentity = 'customer'\n[customers.fields]\ngiven_name = '/given'\ndisplay_name = '/display'\n\
         legal_name = '/legal'\n{field} = '/value'\n"
    );
    let lenses = Lens::parse_file("crm.toml", &text, &Model::shipped()).expect("a mapping");
    connection.lenses = lenses.into_iter().map(Arc::new).collect();
    connection.creates.insert("customers".to_owned());
    (memory, connection)
}

#[test]
fn an_echo_changes_nothing() {
    on_every_stage(&async |_, stage| {
        let Some(field) = stage.field else { return };
        let (_folder, store) = sqlite();
        let (memory, other) = crm(field);
        let hub = Hub::live(store, Clock::System, [stage.connection.clone(), other]).await;
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        let before = (stage.writes)();
        memory.edit("made1", &json!({ "value": "约周五回访" }));
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        let after = ((stage.writes)(), memory.writes());
        assert!(after.0 > before, "nothing was written");
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        assert_eq!(((stage.writes)(), memory.writes()), after, "no write after quiescence");
        assert_eq!(hub.read(|tx| inbox::dead_letters(tx, 5)).await, []);
        assert_eq!(memory.get("made1")["value"], "约周五回访");
    });
}

/// A recorded call, sent to the hub.
#[allow(clippy::disallowed_methods)] // Loopback, and the hub's answers are small.
async fn send(address: &str, call: &Value, body: Vec<u8>, headers: bool) -> u16 {
    let target = call["target"].as_str().expect("a target");
    let target = if headers { target } else { target.split('?').next().unwrap_or_default() };
    let mut request = reqwest::Client::new().post(format!("{address}{target}")).body(body);
    for pair in call["headers"].as_array().into_iter().flatten().filter(|_| headers) {
        request = request.header(pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value"));
    }
    request.send().await.expect("an answer").status().as_u16()
}

/// The call with one byte of its body changed, at several places. A browser can sign nothing, so of a form it is the
/// token in its address that is changed.
fn tampered(manifest: &Manifest, call: &Value) -> Vec<(String, Vec<u8>)> {
    let target = call["target"].as_str().expect("a target").to_owned();
    let body = call["body"].as_str().expect("a body").as_bytes().to_vec();
    let places = |length: usize| [0, length / 3, length / 2, length - 1];
    if let Some(Verify::Form(_)) = manifest.webhook.as_ref().map(|webhook| &webhook.verify) {
        let (path, token) = target.split_once("?token=").expect("a token");
        let other = |at: usize| {
            let old = &token[at..=at];
            format!("{path}?token={}{}{}", &token[..at], if old == "A" { "B" } else { "A" }, &token[at + 1..])
        };
        return places(token.len()).map(|at| (other(at), body.clone())).to_vec();
    }
    let other = |at: usize| {
        let mut changed = body.clone();
        changed[at] ^= 1;
        changed
    };
    places(body.len()).map(|at| (target.clone(), other(at))).to_vec()
}

#[test]
fn a_tampered_stale_or_repeated_webhook_is_refused_or_deduplicated() {
    on_every_stage(&async |manifest, stage| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors").join(&manifest.connector.name);
        for (file, call) in fixtures(&root, "webhook") {
            let clock = Clock::manual(call["now"].as_i64().expect("the second of the call") * 1_000_000);
            let mut connection = stage.connection.clone();
            connection.cx.clock = clock.clone();
            let (_folder, store) = sqlite();
            let hub = Hub::live(store, clock.clone(), [connection]).await;
            let address = hub.listen().await;
            let kept = async || hub.read(|tx| inbox::backlog(tx, "process")).await;
            let body = call["body"].as_str().expect("a body").as_bytes().to_vec();
            for (at, (target, changed)) in tampered(manifest, &call).into_iter().enumerate() {
                let mut call = call.clone();
                call["target"] = target.into();
                let status = send(&address, &call, changed, true).await;
                assert!((400..500).contains(&status), "{file}: change {at}, HTTP {status}");
            }
            let status = send(&address, &call, body.clone(), false).await;
            assert!((400..500).contains(&status), "{file}: unsigned, HTTP {status}");
            assert_eq!(kept().await, 0, "{file}");
            for _ in 0..2 {
                assert_eq!(send(&address, &call, body.clone(), true).await, 200, "{file}");
                assert_eq!(kept().await, 1, "{file}: kept once");
            }
            clock.advance_us(3_600_000_000);
            let status = send(&address, &call, body.clone(), true).await;
            assert!(status == 200 || (400..500).contains(&status), "{file}: an hour later, HTTP {status}");
            assert_eq!(kept().await, 1, "{file}: an hour later");
        }
    });
}

/// People, numbers and addresses on the stages and in the fixtures.
const PERSONAL: &[&str] =
    &["客户1", "测试公司", "Buyer ", "buyer1@", "li.lei@", "李雷", "韩梅梅", "13800138000", "lin1@example"];

#[test]
fn no_secret_or_personal_value_reaches_a_log() {
    on_every_stage(&async |manifest, stage| {
        let (_folder, store) = sqlite();
        let (_, other) = crm("remark");
        let hub = Hub::live(store, Clock::System, [stage.connection.clone(), other]).await;
        let by = connector(stage);
        if let Some(front) = &stage.front {
            for (status, body) in
                [(500, "客户1 Buyer 1 buyer1@example.com"), (400, r#"{"message":"no such customer"}"#)]
            {
                front.meet(Fate::Answer(status, body.into()));
                hub.pull().await;
            }
        }
        hub.settle(true).await;
        if let Some((stream, body)) = &stage.create {
            let _ = by.push(&stage.connection.cx, &delivery(stream, body, 1)).await;
        }
        let logged = log::text();
        assert!(logged.contains("huiliu"), "something was logged");
        for (name, secret) in stage.connection.cx.secrets.iter() {
            assert!(!logged.contains(secret.expose()), "secret.{name} of {} is in the log", manifest.connector.name);
        }
        for personal in PERSONAL {
            let line = logged.lines().find(|line| line.contains(personal));
            assert_eq!(line, None, "{personal}");
        }
    });
}
