//! `serve` and what a supervisor may ask of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use huiliu_hub::metrics;

use crate::kit::{Folder, Serving, free_port, until};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A sender of signed events and a shop that does not answer.
fn deployment(port: u16) -> Folder {
    let closed = free_port();
    let folder = Folder::new(&format!(
        "[hub]\nlisten = '127.0.0.1:{port}'\n[connections.events]\nconnector = 'webhook'\n\
         [connections.shop]\nconnector = 'shopify'\nnetwork = 'private'\n\
         config = {{ shop = 'demo', base_url = 'http://127.0.0.1:{closed}/' }}\n"
    ));
    folder.tell(&["secret", "events", "webhook"], &format!("whsec_{}", BASE64_STANDARD.encode(KEY))).out();
    folder.tell(&["secret", "shop", "access_token"], "shpat_sample").out();
    folder
}

/// Sends an event by Standard Webhooks.
#[allow(clippy::disallowed_methods)] // The sender's clock, not the hub's.
fn send(hub: &Serving, id: &str, body: &str) -> u16 {
    let stamp = jiff::Timestamp::now().as_second().to_string();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(KEY).expect("a key");
    mac.update(format!("{id}.{stamp}.{body}").as_bytes());
    let signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    let headers = [("webhook-id", id), ("webhook-timestamp", &stamp), ("webhook-signature", &signature)];
    hub.call("POST", "/hooks/events", &headers, body).0
}

fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

const EVENT: &str = r#"{"type":"customer.created","id":"evt-1","data":{"id":"c-1","updated_at":"2026-01-02T03:04:05Z",
    "full_name":"王小明","emails":{"work":"wang.xiaoming@example.com"},"phones":{"mobile":"+8613800138000"}}}"#;

#[test]
fn metrics_are_the_ones_of_the_table() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&readme).expect("README.md");
    let (before, rest) = text.split_once("<!-- metrics -->\n").expect("a place for the table");
    let (_, after) = rest.split_once("<!-- /metrics -->").expect("its end");
    let right = format!("{before}<!-- metrics -->\n{}<!-- /metrics -->{after}", metrics::table());
    if std::env::var_os("HUILIU_WRITE").is_some() {
        std::fs::write(&readme, &right).expect("write");
    }
    assert!(
        std::fs::read_to_string(&readme).expect("README.md") == right,
        "hub/README.md is behind the metrics; run `HUILIU_WRITE=1 cargo test -p huiliu-hub --test cli`"
    );

    let port = free_port();
    let folder = deployment(port);
    let hub = folder.serve(port, &[]);
    assert_eq!(send(&hub, "evt-1", EVENT), 200);
    assert_eq!(hub.get("/hooks/nobody").0, 404);
    let shown = hub.get("/metrics").1;
    let given: BTreeSet<String> =
        shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect();
    let told = metrics::FAMILIES.iter().map(|family| format!("{} {}", family.name, family.kind.as_str())).collect();
    assert_eq!(given, told, "{shown}");
    for family in metrics::FAMILIES {
        let lines = || shown.lines().filter(|line| line.starts_with(family.name) && !line.contains("quantile"));
        assert!(lines().count() > 0, "{} has no series", family.name);
        for line in lines() {
            let labels =
                line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
            let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0));
            let names: Vec<&str> = names.filter(|name| *name != "le").collect();
            assert_eq!(names, family.labels, "{line}");
        }
    }
    assert_eq!(value(&shown, r#"huiliu_webhook_requests_total{connection="events",outcome="fresh"}"#), Some(1.0));
    assert_eq!(value(&shown, r#"huiliu_webhook_answer_seconds_count{connection="events"}"#), Some(1.0));
    assert_eq!(value(&shown, r#"huiliu_connection_state{connection="events",state="observing"}"#), Some(1.0));
}

#[test]
fn a_webhook_wakes_the_stages() {
    let port = free_port();
    let folder = deployment(port);
    let hub = folder.serve(port, &[]);
    // The first glance of the stages is over when the shop was tried.
    until("the shop was tried", || {
        let failures = r#"huiliu_stream_failures{connection="shop",stream="customers"}"#;
        value(&hub.get("/metrics").1, failures).filter(|count| *count > 0.0)
    });
    let began = Instant::now();
    for number in 0..20 {
        let event = EVENT.replace("c-1", &format!("c-{number}"));
        assert_eq!(send(&hub, &format!("evt-{number}"), &event), 200);
    }
    until("all is processed", || {
        value(&hub.get("/metrics").1, "huiliu_processed_items_total").filter(|count| *count >= 20.0)
    });
    assert!(began.elapsed() < Duration::from_secs(4), "nobody woke the stages: {:?}", began.elapsed());
    assert_eq!(value(&hub.get("/metrics").1, "huiliu_inbox_waiting"), Some(0.0));
}

#[test]
fn logs_carry_ids_and_nothing_personal() {
    let port = free_port();
    let folder = deployment(port);
    let hub = folder.serve(port, &[("HUILIU_LOG_FORMAT", "json"), ("RUST_LOG", "trace")]);
    assert_eq!(send(&hub, "evt-1", EVENT), 200);
    until("it is processed", || {
        value(&hub.get("/metrics").1, "huiliu_processed_items_total").filter(|count| *count >= 1.0)
    });
    let failed = until("the failed pull is in the log", || {
        let log = folder.read("serve.log");
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.find(|line| line["message"].as_str().is_some_and(|text| text.starts_with("pull failed")))
    });
    assert_eq!(failed["span"]["name"], "pull", "{failed}");
    assert_eq!(failed["span"]["connection"], "shop", "{failed}");
    assert!(failed["span"]["stream"].is_string(), "{failed}");
    drop(hub);
    let log = folder.read("serve.log");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    for personal in ["王小明", "wang.xiaoming", "13800138000", "shpat_sample", "whsec_", "full_name"] {
        let said = log.lines().find(|line| line.contains(personal));
        assert_eq!(said, None, "{personal}");
    }
}

#[test]
fn ready_means_that_the_store_is_this_versions() {
    let port = free_port();
    let folder = deployment(port);
    let hub = folder.serve(port, &[]);
    assert_eq!(hub.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(hub.get("/readyz"), (200, "ready\n".to_owned()));
    let store = rusqlite::Connection::open(folder.path().join("data/huiliu.db")).expect("the store");
    store.execute("INSERT INTO migration (number) VALUES (999)", []).expect("a newer version migrated");
    let (status, reason) = hub.get("/readyz");
    assert!(status == 503 && reason.contains("the store has schema 999"), "{status} {reason}");
    assert_eq!(hub.get("/healthz").0, 200);
    store.execute("DELETE FROM migration WHERE number = 999", []).expect("back");
    assert_eq!(hub.get("/readyz").0, 200);
}

#[test]
fn memory_is_given_back_as_early_as_whoever_starts_it_says() {
    let told = |env: &[(&str, &str)]| {
        let port = free_port();
        let folder = deployment(port);
        let hub = folder.serve(port, env);
        let environment = std::fs::read_to_string(format!("/proc/{}/environ", hub.pid())).expect("it runs");
        let told = environment.split('\0').find_map(|it| it.strip_prefix("MIMALLOC_PURGE_DELAY="));
        told.map(str::to_owned)
    };
    assert_eq!(told(&[]).as_deref(), Some("50"), "it began anew as the same process");
    assert_eq!(told(&[("MIMALLOC_PURGE_DELAY", "7")]).as_deref(), Some("7"));
}
