//! A page without records inside a list proves nothing: it is asked for again, the page behind it too, and a run with a
//! gap is no complete one.

use huiliu_core::connector::Connector as _;
use serde_json::{Value, json};

use crate::kit::{Answer, Server, connector, cx, ids, pull_all};
use crate::paging::{PLAIN, stream};

const BY_CURSOR: &str = r#"{ kind = "cursor", from = "/next", param = "after" }"#;

/// Three pages of two; the middle one is empty the first `empty` times that it is asked for.
async fn by_cursor(mut empty: usize) -> Server {
    Server::start(move |asked| {
        let (from, next) = match asked.param("after") {
            "" => (0, json!("b")),
            "b" => (2, json!("c")),
            _ => (4, Value::Null),
        };
        let is_empty = from == 2 && empty > 0;
        empty -= usize::from(is_empty);
        let items = if is_empty { json!([]) } else { json!([{ "id": from }, { "id": from + 1 }]) };
        Answer::json(&json!({ "items": items, "next": next }))
    })
    .await
}

#[tokio::test]
async fn an_empty_page_that_leads_on_is_asked_for_again_and_else_a_gap() {
    let connector = connector(&stream(BY_CURSOR, PLAIN));
    let server = by_cursor(1).await;
    let (all, _, complete) = pull_all(&connector, &cx(&server), None).await;
    assert_eq!((all.len(), complete), (6, true), "{all:?}");
    let server = by_cursor(2).await;
    let (all, cursors, complete) = pull_all(&connector, &cx(&server), None).await;
    assert_eq!((all.join(" "), complete), ("0 1 4 5".to_owned(), false), "who was on the page is not known");
    let (all, _, complete) = pull_all(&connector, &cx(&server), cursors.last().cloned().flatten()).await;
    assert_eq!((all.len(), complete), (6, true), "the next run is a whole one");
}

/// Pages of two by number or by offset, of which the second is empty as long as the switch is on.
async fn numbered(paginate: &str, second: &str, first: &'static str) {
    let is_empty = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (switch, param) = (is_empty.clone(), if first == "1" { "page" } else { "offset" });
    let (second, connector) = (second.to_owned(), connector(&stream(paginate, PLAIN)));
    let server = Server::start(move |asked| {
        let at = if asked.param(param).is_empty() { first } else { asked.param(param) };
        let is_second = at == second;
        if is_second && switch.load(std::sync::atomic::Ordering::Relaxed) {
            return Answer::json(&json!({ "items": [] }));
        }
        let number: usize = at.parse().unwrap();
        let from = if first == "1" { (number - 1) * 2 } else { number };
        // Beyond the end there is no such page.
        if from >= 8 {
            return Answer::json(&json!({ "error": "no such page" })).code(404);
        }
        let items: Vec<Value> = (from..(from + 2).min(6)).map(|id| json!({ "id": id })).collect();
        Answer::json(&json!({ "items": items }))
    })
    .await;
    let cx = cx(&server);
    let begun = connector.pull(&cx, &"customers".into(), None).await.unwrap();
    assert_eq!((ids(&begun.items).join(" "), begun.more), ("0 1".to_owned(), true));
    let refused = connector.pull(&cx, &"customers".into(), begun.next.as_ref()).await.unwrap_err();
    assert_eq!(refused.kind(), "transient", "{refused}");
    assert!(refused.to_string().contains("a page without records stands before pages with some"), "{refused}");
    is_empty.store(false, std::sync::atomic::Ordering::Relaxed);
    let (rest, _, complete) = pull_all(&connector, &cx, begun.next).await;
    assert_eq!((rest.join(" "), complete), ("2 3 4 5".to_owned(), true), "the stream kept its place");
}

#[tokio::test]
async fn an_empty_numbered_page_before_others_stops_the_run() {
    numbered(r#"{ kind = "page", param = "page", size = 2 }"#, "2", "1").await;
    numbered(r#"{ kind = "offset", param = "offset", size = 2 }"#, "2", "0").await;
}
