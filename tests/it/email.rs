//! A mailbox, end to end: a mail in a real Dovecot becomes an interaction of the customer who has that address, whichever
//! side wrote it, and a mail of a stranger waits for its customer.

use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::explain::{self, Customer, timeline::Entry};
use huiliu_core::store::{Store, goldens, inbox, links};
use huiliu_hub::language::Language;
use huiliu_hub::show;
use huiliu_tests::dovecot::{Dovecot, PASSWORD, USERNAME};
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use serde_json::{Value, json};

use crate::flow::{Hub, on_both_stores, shipped};

/// 2026-02-02 03:00 UTC.
const RECEIVED_S: i64 = 1_770_001_200;

fn mail(id: &str, from: &str, to: &str, subject: &str) -> String {
    format!(
        "Message-ID: <{id}@example.org>\r\nDate: Mon, 2 Feb 2026 10:00:00 +0800\r\nFrom: {from}\r\nTo: {to}\r\n\
         Subject: {subject}\r\n\r\nhello\r\n"
    )
}

async fn hub(store: Store, dovecot: &Dovecot, crm: &Arc<Memory>) -> Hub {
    let clock = Clock::System;
    let settings = [
        ("imap_host", "127.0.0.1".to_owned()),
        ("imap_port", dovecot.port.to_string()),
        ("smtp_host", "127.0.0.1".to_owned()),
        ("username", USERNAME.to_owned()),
        ("from_address", USERNAME.to_owned()),
        ("sent_mailbox", "Sent".to_owned()),
        ("security", "none".to_owned()),
    ];
    let mailbox = shipped("mailbox", "email", &settings, &[("password", PASSWORD)], &clock);
    let other = kit::connection("crm", &clock, Some(crm.clone()));
    Hub::live(store, clock, [mailbox, other]).await
}

async fn customer(hub: &Hub, address: &str) -> Customer {
    let (engine, address) = (hub.engine.clone(), address.to_owned());
    let told = tokio::task::spawn_blocking(move || {
        let found = explain::find(&engine, &address).expect("read");
        assert_eq!(found.len(), 1, "one customer has {address}");
        explain::customer(&engine, found[0]).expect("read").expect("it is there")
    });
    told.await.expect("no panic")
}

async fn timeline(hub: &Hub, address: &str) -> Vec<Entry> {
    customer(hub, address).await.timeline
}

fn shown(entries: &[Entry]) -> Vec<Value> {
    let of = |entry: &Entry, name: &str| entry.fields.get(name).cloned().unwrap_or_default();
    entries.iter().map(|it| json!([it.entity, of(it, "direction"), of(it, "subject"), of(it, "thread")])).collect()
}

#[test]
fn a_mail_belongs_to_the_customer_with_its_address() {
    on_both_stores(async |store| {
        let mut dovecot = Dovecot::start();
        let crm = Arc::new(Memory::new(false));
        let hub = hub(store, &dovecot, &crm).await;
        crm.edit("c1", &json!({ "name": "林晓月", "email": "lin@example.org" }));
        crm.edit("c2", &json!({ "name": "韩梅梅", "email": "han@example.org" }));
        dovecot.deliver(mail("1", "Lin <LIN@example.org>", USERNAME, "inquiry").as_bytes(), RECEIVED_S);
        dovecot.deliver(mail("2", "jim@example.org", USERNAME, "who am I").as_bytes(), RECEIVED_S);
        dovecot.deliver(b"no mail at all\r\n", RECEIVED_S);
        let reply = mail("3", USERNAME, "lin@example.org, han@example.org", "Re: inquiry")
            .replace("Subject:", "In-Reply-To: <1@example.org>\r\nReferences: <1@example.org>\r\nSubject:")
            .replace("10:00:00", "10:05:00");
        dovecot.say(&[&format!("APPEND Sent (\\Seen) {{{}+}}\r\n{reply}", reply.len())]);
        assert_eq!(hub.settle(true).await, Vec::<String>::new());

        let answered = json!(["interaction", "out", "Re: inquiry", "1@example.org"]);
        let entries = timeline(&hub, "lin@example.org").await;
        assert_eq!(shown(&entries), [answered.clone(), json!(["interaction", "in", "inquiry", "1@example.org"])]);
        assert_eq!(entries[0].at, "2026-02-02T02:05:00Z".parse().ok());
        assert!(entries.iter().all(|entry| !entry.fields.contains_key("body")), "metadata only, unless asked for more");
        assert_eq!(shown(&timeline(&hub, "han@example.org").await), [answered], "it went to both");

        let lin = customer(&hub, "lin@example.org").await;
        let (english, chinese) = (show::customer(&lin, Language::En), show::customer(&lin, Language::Zh));
        assert!(english.contains("  timeline\n    2026-02-02T02:05:00Z interaction "), "{english}");
        assert!(chinese.contains("  往来记录\n    2026-02-02T02:05:00Z 互动 "), "{chinese}");

        // Nobody was made a customer by writing; who becomes one later finds what he wrote before.
        let customers = hub.read(|tx| goldens::after(tx, "customer", 0, 10)).await;
        assert_eq!(customers.len(), 2);
        crm.edit("c3", &json!({ "name": "Jim", "email": "jim@example.org" }));
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        let entries = timeline(&hub, "jim@example.org").await;
        assert_eq!(shown(&entries), [json!(["interaction", "in", "who am I", "2@example.org"])]);

        // The inbox is made anew and filled again from a backup: the same mails are the same interactions.
        let before = hub.read(|tx| goldens::after(tx, "interaction", 0, 100)).await;
        dovecot.renew_inbox();
        dovecot.deliver(mail("2", "jim@example.org", USERNAME, "who am I").as_bytes(), RECEIVED_S);
        dovecot.deliver(mail("1", "Lin <LIN@example.org>", USERNAME, "inquiry").as_bytes(), RECEIVED_S);
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        assert_eq!(hub.read(|tx| goldens::after(tx, "interaction", 0, 100)).await, before);
        let key = "mailbox/messages/2@example.org".parse().expect("a key");
        let story = hub.read(move |tx| {
            let link = links::by_keys(tx, [&key])?[0].number;
            links::history(tx, link, 10)
        });
        let read = story.await;
        assert_eq!(read.last().map(|line| line.outcome.as_str()), Some("echo"));
        assert_eq!(hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
        assert_eq!(crm.writes(), 0, "a mail is no reason to write to a customer");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_mail_wakes_its_pull() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    let mut dovecot = Dovecot::start();
    let hub = hub(store, &dovecot, &Arc::new(Memory::new(false))).await;
    assert_eq!(hub.pull().await, Vec::<String>::new());
    let connection = hub.engine.connections["mailbox"].clone();
    let connector = connection.connector.clone().expect("a mailbox is spoken to");
    let listening = tokio::spawn(async move { connector.listen(&connection.cx).await });
    dovecot.deliver(mail("1", "lin@example.org", USERNAME, "inquiry").as_bytes(), RECEIVED_S);
    let heard = tokio::time::timeout(Duration::from_secs(20), listening).await.expect("it was heard");
    assert_eq!(heard.expect("no panic").expect("the line holds").as_str(), "messages");
}
