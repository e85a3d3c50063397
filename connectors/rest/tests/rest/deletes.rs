//! Records that say they are deleted, and systems that list, report or forget what is gone.

use huiliu_core::connector::{Connector as _, Delivery, Operation, RecordKey};
use serde_json::{Value, json};

use crate::kit::{Answer, DAY_ONE_S, Server, connector, cx, delivery, ids, pull_all};

const HEAD: &str = r#"
[auth]
kind = "none"
reason = "a test"
[streams.customers]
key = "/id"
version = "/changed"
version_kind = "seconds"
records = "/items"
paginate = { kind = "none" }
"#;

const PULL: &str =
    r#"pull = { path = "/customers", since = { param = "since", form = "seconds", overlap_seconds = 10 } }"#;

#[tokio::test]
async fn a_flag_or_a_date_in_the_record_says_it() {
    let rows = json!([
        { "id": 1, "changed": 5, "archived": false, "deleted_at": null },
        { "id": 2, "changed": 6, "archived": true, "deleted_at": "2026-01-01" },
        { "id": 3, "changed": 7 },
    ]);
    for rule in [r#"{ at = "/archived", equals = "true" }"#, r#"{ at = "/deleted_at" }"#] {
        let rows = rows.clone();
        let server = Server::start(move |asked| {
            match asked.path.strip_prefix("/customers/").and_then(|id| id.parse::<usize>().ok()) {
                Some(id) => rows.get(id - 1).map_or(Answer::status(404), Answer::json),
                None => Answer::json(&json!({ "items": rows })),
            }
        })
        .await;
        let text = format!("{HEAD}{PULL}\nfetch = {{ path = \"/customers/{{record.id}}\" }}\ndeleted_when = {rule}");
        let (connector, cx) = (connector(&text), cx(&server));
        let page = connector.pull(&cx, &"customers".into(), None).await.unwrap();
        assert_eq!(ids(&page.items), ["1", "-2", "3"], "{rule}");
        for (id, is_there) in [("1", true), ("2", false), ("3", true), ("4", false)] {
            let key = RecordKey { connection: "kit-1".into(), stream: "customers".into(), id: id.into() };
            assert_eq!(connector.fetch(&cx, &key).await.unwrap().is_some(), is_there, "{rule}: {id}");
        }
    }
}

/// The list of deletions is read after the changed records, by the same stamp, and all of its pages.
#[tokio::test]
async fn a_list_of_deletions_is_read_after_the_changes() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/customers" => Answer::json(&json!({ "items": [{ "id": 1, "changed": DAY_ONE_S - 100 }] })),
        "/customers/deleted" => {
            let page: u64 = asked.param("page").parse().unwrap();
            let gone: Vec<Value> = match page {
                1 => vec![json!({ "uid": "8", "at": DAY_ONE_S - 90 }), json!({ "uid": "9", "at": DAY_ONE_S - 80 })],
                _ => vec![json!({ "uid": "10", "at": DAY_ONE_S - 70 })],
            };
            Answer::json(&json!({ "gone": gone }))
        }
        other => panic!("{other}"),
    })
    .await;
    let text = format!(
        r#"{HEAD}{PULL}
[streams.customers.deletes]
key = "/uid"
version = "/at"
records = "/gone"
paginate = {{ kind = "page", param = "page", size = 2 }}
pull = {{ path = "/customers/deleted", since = {{ param = "after", form = "seconds", overlap_seconds = 10 }} }}
"#
    );
    let (connector, cx) = (connector(&text), cx(&server));
    let (all, cursors, complete) = pull_all(&connector, &cx, None).await;
    assert_eq!((all, complete), (vec!["1".to_owned()], true), "before a first run nothing was there to be deleted");
    server.asked();
    let (all, later, complete) = pull_all(&connector, &cx, cursors.last().cloned().flatten()).await;
    assert_eq!((all, complete), (vec!["1".to_owned(), "-8".into(), "-9".into(), "-10".into()], false));
    let asked = server.asked();
    let since = (DAY_ONE_S - 110).to_string();
    assert_eq!(asked[0].param("since"), since);
    assert!(asked[1..].iter().all(|asked| asked.path == "/customers/deleted" && asked.param("after") == since));
    // From any cursor on the way the rest comes.
    assert_eq!(pull_all(&connector, &cx, later[1].clone()).await.0, ["-8", "-9", "-10"]);
    assert_eq!(pull_all(&connector, &cx, later[2].clone()).await.0, ["-10"]);
    // The next run asks from the last stamp of both lists.
    server.asked();
    pull_all(&connector, &cx, later.last().cloned().flatten()).await;
    assert_eq!(server.asked()[0].param("since"), (DAY_ONE_S - 80).to_string());
}

/// A wastebasket without stamps is read in each run, beside a full scan too; its entries may be bare ids.
#[tokio::test]
async fn a_list_of_bare_ids_without_stamps_is_read_in_every_run() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/customers" => Answer::json(&json!({ "items": [{ "id": 1, "changed": 1 }] })),
        _ => Answer::json(&json!([4, "5"])),
    })
    .await;
    let text = format!(
        r#"{HEAD}pull = {{ path = "/customers" }}
deletes = {{ pull = {{ path = "/wastebasket" }}, key = "", records = "" }}
"#
    );
    let (connector, cx) = (connector(&text), cx(&server));
    let mut from = None;
    for _ in 0..2 {
        let (all, cursors, complete) = pull_all(&connector, &cx, from).await;
        assert_eq!((all, complete), (vec!["1".to_owned(), "-4".into(), "-5".into()], true));
        from = cursors.last().cloned().flatten();
    }
}

/// As Salesforce does it: the loser of a merge is deleted and points to the master, which may have been merged since.
#[tokio::test]
async fn a_deleted_record_may_say_who_stands_for_it() {
    let rows = json!([
        { "id": 1, "changed": 5, "IsDeleted": true, "MasterRecordId": 2 },
        { "id": 2, "changed": 6, "IsDeleted": true, "MasterRecordId": 3 },
        { "id": 3, "changed": 7, "IsDeleted": false, "MasterRecordId": null },
        { "id": 4, "changed": 8, "IsDeleted": true, "MasterRecordId": null },
        { "id": 5, "changed": 9, "IsDeleted": true, "MasterRecordId": 6 },
        { "id": 6, "changed": 9, "IsDeleted": true, "MasterRecordId": 5 },
    ]);
    let server = Server::start(move |asked| match asked.path.strip_prefix("/customers/") {
        Some("deleted") => Answer::json(&json!({ "items": [{ "id": 8, "master": 3 }, { "id": 9 }] })),
        Some(id) => Answer::json(&rows[id.parse::<usize>().unwrap() - 1]),
        None => Answer::json(&json!({ "items": rows })),
    })
    .await;
    let rule = r#"{ at = "/IsDeleted", equals = "true", merged_into = "/MasterRecordId" }"#;
    let text = format!(
        r#"{HEAD}{PULL}
fetch = {{ path = "/customers/{{record.id}}" }}
deleted_when = {rule}
deletes = {{ pull = {{ path = "/customers/deleted" }}, merged_into = "/master" }}
"#
    );
    let (connector, cx) = (connector(&text), cx(&server));
    let (all, ..) = pull_all(&connector, &cx, None).await;
    assert_eq!(all, ["1>2", "2>3", "3", "-4", "5>6", "6>5", "8>3", "-9"]);
    let fetch = async |id: &str| {
        let key = RecordKey { connection: "kit-1".into(), stream: "customers".into(), id: id.into() };
        connector.fetch(&cx, &key).await
    };
    assert_eq!(fetch("1").await.unwrap().unwrap().id.as_str(), "3", "the master's master");
    assert_eq!(fetch("4").await.unwrap(), None);
    assert_eq!(fetch("5").await.unwrap_err().kind(), "broken", "a circle ends");
}

#[tokio::test]
async fn deleting_what_is_already_gone_is_done() {
    let text = format!("{HEAD}{PULL}\ndelete = {{ method = \"DELETE\", path = \"/customers/{{record.id}}\" }}");
    for (status, expected) in [(204, None), (404, None), (410, None), (409, Some("conflict")), (500, Some("transient"))]
    {
        let server = Server::start(move |_| Answer::status(status)).await;
        let gone = Delivery { attempt: 2, ..delivery(Operation::Delete, Some("a/b c"), Value::Null) };
        let result = connector(&text).push(&cx(&server), &gone).await;
        assert_eq!(result.as_ref().err().map(huiliu_core::connector::ConnectorError::kind), expected, "{status}");
        let asked = server.asked().remove(0);
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("DELETE", "/customers/a%2Fb%20c"));
        assert_eq!(asked.body, "");
    }
}
