//! 企业微信, end to end: a callback comes in encrypted, becomes a customer elsewhere, and an edit there comes back as a
//! tag, whose echo dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::connection::{Connection, State};
use huiliu_core::engine::Engine;
use huiliu_core::manifest::Manifest;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::secrets::Secret;
use huiliu_core::store::{Store, deliveries, inbox, streams};
use huiliu_mappings::model::Model;
use huiliu_mappings::{matching, merge};
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use huiliu_twins::hooks::Fault;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};
use huiliu_wecom::wecom::{MANIFEST, WeCom};
use serde_json::json;

fn wecom(twin: &WecomTwin, clock: &Clock) -> Connection {
    let catalog = huiliu_hub::connectors::catalog(&Model::shipped()).expect("what ships fits together");
    let connector = Arc::new(WeCom::new(Manifest::parse("wecom", MANIFEST).expect("the manifest is right")));
    let mut connection = kit::connection("wecom", clock, Some(connector));
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for (name, setting) in &catalog.system("wecom").expect("wecom ships").manifest.connector.config {
        settings.extend(setting.default.clone().map(|default| (name.clone(), default)));
    }
    settings.insert("corp_id".to_owned(), CORP_ID.to_owned());
    settings.insert("base_url".to_owned(), twin.base_url());
    let secrets =
        [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
    connection.cx.secrets = Arc::new(secrets.map(|(name, value)| (name.to_owned(), Secret::new(value))).into());
    connection.cx.settings = Arc::new(settings);
    connection.system = "wecom".to_owned();
    connection.lenses.clone_from(&catalog.system("wecom").expect("wecom ships").lenses);
    connection
}

async fn round(engine: &Engine, with_pull: bool) -> usize {
    let mut moved = 0;
    for connection in engine.connections.values() {
        let stream = if connection.name.as_str() == "wecom" { "contacts" } else { "customers" };
        if with_pull {
            let pulled = pull::stream(engine, connection, &stream.into(), 1).await.expect("the store works");
            assert_eq!(pulled.error, None);
        }
        pull::fetches(engine, connection).await.expect("the store works");
    }
    let here = engine.clone();
    let thought = tokio::task::spawn_blocking(move || {
        (process::batch(&here).expect("process").changes, plan::batch(&here).expect("plan").1)
    });
    let (changes, planned) = thought.await.expect("no panic");
    moved += changes + planned;
    for connection in engine.connections.values() {
        moved += push::batch(engine, connection).await.expect("the store works");
    }
    moved
}

async fn settle(engine: &Engine) {
    for _ in 0..30 {
        if round(engine, true).await == 0 {
            let here = engine.clone();
            let due = tokio::task::spawn_blocking(move || here.store.read(deliveries::next_due_us).expect("read"));
            if due.await.expect("no panic").is_none() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the systems never agree: an echo loop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_travels_and_an_edit_comes_back() {
    // One TLS provider for the process, as the hub's main installs it; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    let twin = WecomTwin::start().await;
    let clock = Clock::System;
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let connections = [wecom(&twin, &clock), other];
    let engine = Engine::new(store, matching::Rules::shipped(), merge::Rules::shipped(), connections, clock);
    for name in ["wecom", "crm"] {
        let live = engine.store.write(|tx| {
            streams::introduce(tx, name, name, 0)?;
            streams::set_state(tx, name, State::Live, None, 0)
        });
        live.expect("the store works");
    }
    let hooks = huiliu_hub::hooks::router(&engine, || {}).expect("the intake starts");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    twin.set_callback(&format!("http://{}/hooks/wecom", listener.local_addr().expect("an address")));
    tokio::spawn(async move { axum::serve(listener, hooks).await });
    twin.add_member("zhang");
    twin.create_tag("等级", "vip").await;

    // The callback comes twice: one hint, one customer.
    twin.hooks.set_fault(Fault::Repeat);
    let external = twin.add_contact("zhang", Customer::named("李雷").with_unionid("union-li")).await;
    twin.hooks.set_fault(Fault::None);
    let backlog = {
        let here = engine.clone();
        tokio::task::spawn_blocking(move || here.store.read(|tx| inbox::backlog(tx, "process")).expect("read"))
    };
    assert!(backlog.await.expect("no panic") >= 1, "the callback is in the inbox once it was answered");
    for _ in 0..4 {
        round(&engine, false).await;
    }
    assert_eq!(crm.get("made1")["name"], "李雷", "made in the CRM from the callback alone");

    // A person tags the customer in the CRM: it becomes a corp tag of the contact.
    crm.edit("made1", &json!({"tags": ["vip"]}));
    settle(&engine).await;
    assert!(twin.snapshot().to_string().contains("vip"), "{}", twin.snapshot());
    let writes = (twin.writes(), crm.writes());
    assert!(writes.0.values().sum::<u64>() >= 1, "{writes:?}");
    settle(&engine).await;
    assert_eq!((twin.writes(), crm.writes()), writes, "no write after quiescence, full scan included");

    // A member notes the company in WeCom, and the callback is lost on the way: the scan brings it all the same.
    twin.hooks.set_fault(Fault::Drop);
    twin.edit_company("zhang", &external, "甲有限公司").await;
    settle(&engine).await;
    assert_eq!(crm.ids(), ["made1"]);
}
