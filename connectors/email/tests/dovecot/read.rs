//! Pull, fetch, and waiting for news.

use std::path::PathBuf;
use std::time::Duration;

use huiliu_core::connector::{Connector as _, ConnectorError, Cursor};
use serde_json::{Value, json};

use crate::kit::{Kit, ids, mail};

crate::on_both! {
    pages_end_and_every_cursor_resumes
    a_changed_flag_is_told_once
    an_expunged_mail_stays
    received_and_sent_mails_are_read
    a_new_uidvalidity_starts_over_and_repeats_nothing
    any_mail_gives_a_record
    a_record_is_found_again_by_its_id
    bodies_are_read_on_demand_only
    idle_wakes
    a_mail_between_pull_and_idle_is_noticed
    a_wrong_password_is_told
    a_strange_cursor_expires
}

async fn pages_end_and_every_cursor_resumes(mut kit: Kit) {
    for number in 0..405 {
        kit.deliver(&mail(number));
    }
    let (records, cursors) = kit.pull_all(None).await;
    let expected: Vec<String> = (0..405).map(|number| format!("{number}.test@example.org")).collect();
    assert_eq!(ids(&records), expected);
    assert_eq!(cursors.len(), 3, "pages of 200");
    for (nth, cursor) in cursors.iter().enumerate() {
        let (rest, _) = kit.pull_all(Some(cursor.clone())).await;
        assert_eq!(rest, records[((nth + 1) * 200).min(405)..], "from the cursor after page {nth}");
    }
    let last = cursors.last().unwrap();
    let (none, after) = kit.pull_all(Some(last.clone())).await;
    assert_eq!((none, after), (vec![], vec![last.clone()]), "the last mail is not repeated");
    kit.deliver(&mail(405));
    let (new, _) = kit.pull_all(Some(last.clone())).await;
    assert_eq!(ids(&new), ["405.test@example.org"]);
}

async fn a_changed_flag_is_told_once(mut kit: Kit) {
    for number in 0..3 {
        kit.deliver(&mail(number));
    }
    let (records, cursors) = kit.pull_all(None).await;
    assert!(records.iter().all(|record| record.body["flags"] == json!([])));
    kit.mark_seen(2);
    kit.deliver(&mail(3));
    let (changed, cursors) = kit.pull_all(cursors.last().cloned()).await;
    assert_eq!(ids(&changed), ["1.test@example.org", "3.test@example.org"]);
    assert_eq!(changed[0].body["flags"], json!(["\\Seen"]));
    let (none, _) = kit.pull_all(cursors.last().cloned()).await;
    assert_eq!(none, []);
}

async fn an_expunged_mail_stays(mut kit: Kit) {
    for number in 0..3 {
        kit.deliver(&mail(number));
    }
    let (_, cursors) = kit.pull_all(None).await;
    kit.expunge(2);
    let (none, _) = kit.pull_all(cursors.last().cloned()).await;
    assert_eq!(none, [], "neither a deletion nor a change of others");
    let (rest, _) = kit.pull_all(None).await;
    assert_eq!(ids(&rest), ["0.test@example.org", "2.test@example.org"]);
}

async fn received_and_sent_mails_are_read(mut kit: Kit) {
    for number in 0..201 {
        kit.deliver(&mail(number));
    }
    kit.file_as_sent(include_bytes!("../../fixtures/mime/6-reply-out.eml"));
    let (records, cursors) = kit.pull_all(None).await;
    assert_eq!((records.len(), cursors.len()), (202, 2), "the sent ones come with the last page of the received ones");
    let sent = records.last().unwrap();
    assert_eq!((sent.id.as_str(), &sent.body["direction"]), ("0006.reply@example.test", &json!("out")));
    assert_eq!(kit.fetch("0006.reply@example.test").await.as_ref(), Some(sent));
    let (none, _) = kit.pull_all(cursors.last().cloned()).await;
    assert_eq!(none, []);
    kit.set("sent_mailbox", "");
    let (received, _) = kit.pull_all(None).await;
    assert_eq!(received, records[..201]);
}

async fn a_new_uidvalidity_starts_over_and_repeats_nothing(mut kit: Kit) {
    let nameless = b"From: ana@example.org\r\nSubject: no id\r\nDate: Mon, 2 Feb 2026 09:15:00 +0000\r\n\r\nhello\r\n";
    kit.deliver(&mail(0));
    kit.deliver(nameless);
    let (before, cursors) = kit.pull_all(None).await;
    kit.renew_inbox();
    kit.deliver(nameless);
    kit.deliver(&mail(0));
    kit.deliver(&mail(1));
    let (after, new_cursors) = kit.pull_all(cursors.last().cloned()).await;
    let place = |cursor: &Cursor| serde_json::from_str::<Value>(cursor.as_str()).unwrap();
    assert_ne!(place(&cursors[0])["INBOX"]["uidvalidity"], place(&new_cursors[0])["INBOX"]["uidvalidity"]);
    assert_eq!(after.len(), 3);
    assert_eq!((&after[0], &after[1]), (&before[1], &before[0]), "the same mails are the same records");
}

async fn any_mail_gives_a_record(mut kit: Kit) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut names: Vec<String> = std::fs::read_dir(folder.join("mime"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in &names {
        kit.deliver(&std::fs::read(folder.join("mime").join(name)).unwrap());
    }
    let (records, _) = kit.pull_all(None).await;
    assert_eq!(records.len(), names.len());
    for (name, record) in names.iter().zip(&records) {
        let path = folder.join("messages").join(name.replace(".eml", ".json"));
        let expected = std::fs::read_to_string(&path).unwrap_or_else(|_| "null".to_owned());
        let expected: Value = serde_json::from_str(&expected).unwrap();
        assert_eq!(record.body, expected, "{}; it should be\n{:#}", path.display(), record.body);
        assert_eq!(record.body["id"], record.id.as_str());
    }
}

async fn a_record_is_found_again_by_its_id(mut kit: Kit) {
    let nameless = b"From: ana@example.org\r\nSubject: no id\r\n\r\nhello\r\n";
    kit.deliver(&mail(0));
    kit.deliver(nameless);
    kit.deliver(&mail(1));
    let (records, _) = kit.pull_all(None).await;
    for record in &records {
        assert_eq!(kit.fetch(record.id.as_str()).await.as_ref(), Some(record));
    }
    assert_eq!(kit.fetch("2.test@example.org").await, None);
    assert_eq!(kit.fetch("sha256:00").await, None);
}

async fn bodies_are_read_on_demand_only(mut kit: Kit) {
    kit.deliver(include_bytes!("../../fixtures/mime/2-gb18030.eml"));
    kit.deliver(include_bytes!("../../fixtures/mime/6-reply-out.eml"));
    kit.deliver(&mail(0));
    let mut line = kit.line().await;
    let (headers, _) = kit.pull_all(None).await;
    assert!(headers.iter().all(|record| record.body.get("text").is_none()));
    kit.set("bodies", "true");
    let (whole, _) = kit.pull_all(None).await;
    line.heard("BODY.PEEK[]").await;
    assert_eq!(whole[0].body["text"], "合同");
    assert_eq!(whole[1].body["text"], "Price list attached.");
    assert_eq!((&whole[0].body["has_attachments"], &whole[1].body["has_attachments"]), (&json!(false), &json!(true)));
    kit.set("max_message_bytes", "200");
    let (cut, _) = kit.pull_all(None).await;
    assert_eq!(ids(&cut), ids(&headers));
    assert_eq!(cut[2].body["size"], whole[2].body["size"]);
    assert!(whole.iter().all(|record| record.body["flags"] == json!([])), "reading leaves no trace");
}

async fn idle_wakes(mut kit: Kit) {
    let mut line = kit.line().await;
    kit.deliver(&mail(0));
    let (_, cursors) = kit.pull_all(None).await;
    let Kit { email, cx, .. } = &kit;
    let (email, cx) = (email, cx.clone());
    let mut listening = Box::pin(email.listen(&cx));
    tokio::select! {
        woken = &mut listening => panic!("nothing has happened: {woken:?}"),
        () = line.heard("IDLE\r\n") => {}
    }
    match &kit.server {
        crate::kit::Server::Dovecot(dovecot) => dovecot.say(&["APPEND INBOX {5+}\r\nhello"]),
        crate::kit::Server::Twin => drop(kit.twin.deliver(b"hello")),
    }
    let woken = tokio::time::timeout(Duration::from_secs(20), listening).await.expect("IDLE did not wake").unwrap();
    assert_eq!(woken.as_str(), "messages");
    let (new, _) = kit.pull_all(cursors.last().cloned()).await;
    assert_eq!(new.len(), 1);
}

async fn a_mail_between_pull_and_idle_is_noticed(mut kit: Kit) {
    kit.deliver(&mail(0));
    kit.pull_all(None).await;
    kit.deliver(&mail(1));
    let woken = tokio::time::timeout(Duration::from_secs(20), kit.email.listen(&kit.cx)).await;
    assert_eq!(woken.expect("the mail was overlooked").unwrap().as_str(), "messages");
}

async fn a_wrong_password_is_told(mut kit: Kit) {
    kit.email.check(&kit.cx).await.unwrap();
    kit.set_password("wrong \"one\"");
    for error in [kit.email.check(&kit.cx).await.unwrap_err(), kit.page(None).await.unwrap_err()] {
        assert!(matches!(error, ConnectorError::Unauthorized { .. }), "{error:?}");
        assert!(!error.to_string().contains("one"), "{error}");
    }
}

async fn a_strange_cursor_expires(kit: Kit) {
    let error = kit.page(Some(&Cursor::from("page 7"))).await.unwrap_err();
    assert!(matches!(error, ConnectorError::CursorExpired { .. }), "{error:?}");
}
