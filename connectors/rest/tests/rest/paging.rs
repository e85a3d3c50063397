//! Every kind of paging ends, and resuming from any cursor gives the same records.

use huiliu_core::connector::Connector as _;
use serde_json::{Value, json};

use crate::kit::{Answer, Asked, Server, connector, cx, ids, pull_all};

const TOTAL: usize = 7;

pub fn stream(paginate: &str, pull: &str) -> String {
    format!(
        r#"
[auth]
kind = "none"
reason = "a test"
[streams.customers]
key = "/id"
records = "/items"
paginate = {paginate}
{pull}
"#
    )
}

pub const PLAIN: &str = r#"pull = { path = "/customers", params = { kept = "yes" } }"#;

fn items(from: usize, to: usize) -> Vec<Value> {
    (from..to.min(TOTAL)).map(|id| json!({ "id": id })).collect()
}

fn number(text: &str, otherwise: usize) -> usize {
    if text.is_empty() { otherwise } else { text.parse().unwrap() }
}

/// Pulls all, then again from each cursor on the way.
async fn check(text: &str, size: usize, script: impl FnMut(&Asked) -> Answer + Send + 'static) -> Vec<Asked> {
    let server = Server::start(script).await;
    let (connector, cx) = (connector(text), cx(&server));
    let (all, cursors, complete) = pull_all(&connector, &cx, None).await;
    let asked = server.asked();
    let expected: Vec<String> = (0..TOTAL).map(|id| id.to_string()).collect();
    assert_eq!(all, expected);
    assert!(complete, "all was read");
    // The last cursor begins a new run; those before it go on in this one.
    for (page, cursor) in cursors[..cursors.len() - 1].iter().enumerate() {
        let (rest, _, _) = pull_all(&connector, &cx, cursor.clone()).await;
        assert_eq!(rest, all[page * size..], "from {cursor:?}");
    }
    let (again, _, _) = pull_all(&connector, &cx, cursors.last().cloned().flatten()).await;
    assert_eq!(again, all, "without a stamp each run reads everything");
    asked
}

/// A page may be short because something on it may not be seen: where the system tells how many pages there are, that
/// counts.
#[tokio::test]
async fn by_page_number_to_the_told_last_page() {
    let paginate = r#"{ kind = "page", param = "page", size = 3, pages_header = "X-WP-TotalPages" }"#;
    let pages = [vec![0, 1], vec![2, 3, 4], vec![5], vec![6]];
    let server = Server::start(move |asked| {
        let page = number(asked.param("page"), 1);
        let items: Vec<Value> = pages.get(page - 1).into_iter().flatten().map(|id| json!({ "id": id })).collect();
        Answer::json(&json!({ "items": items })).with("x-wp-totalpages", "4")
    })
    .await;
    let (connector, cx) = (connector(&stream(paginate, PLAIN)), cx(&server));
    let (all, _, complete) = pull_all(&connector, &cx, None).await;
    assert_eq!(all, ["0", "1", "2", "3", "4", "5", "6"]);
    assert!(complete);
    let asked = server.asked();
    assert_eq!(asked.iter().map(|it| it.param("page")).max(), Some("4"), "no page is asked for after the last");
}

#[tokio::test]
async fn by_page_number() {
    let text = stream(r#"{ kind = "page", param = "page", size = 3, size_param = "per_page" }"#, PLAIN);
    let asked = check(&text, 3, |asked| {
        assert_eq!((asked.param("per_page"), asked.param("kept")), ("3", "yes"));
        let page = number(asked.param("page"), 1);
        Answer::json(&json!({ "items": items((page - 1) * 3, page * 3) }))
    })
    .await;
    let pages: Vec<&str> = asked.iter().map(|asked| asked.param("page")).collect();
    assert_eq!(pages, ["1", "2", "1", "3", "2"], "the former page is read again after each");
}

#[tokio::test]
async fn by_page_number_from_zero_when_the_last_page_is_full() {
    let text = stream(r#"{ kind = "page", param = "page", size = 7, first = 0 }"#, PLAIN);
    check(&text, 7, |asked| {
        let page = number(asked.param("page"), 0);
        Answer::json(&json!({ "items": items(page * 7, page * 7 + 7) }))
    })
    .await;
}

#[tokio::test]
async fn by_offset_in_the_query_and_in_the_body() {
    let text = stream(r#"{ kind = "offset", param = "offset", size = 2, size_param = "limit" }"#, PLAIN);
    check(&text, 2, |asked| {
        assert_eq!(asked.param("limit"), "2");
        let offset = number(asked.param("offset"), 0);
        Answer::json(&json!({ "items": items(offset, offset + 2) }))
    })
    .await;
    let pull = r#"pull = { method = "POST", path = "/search", body = { filter = { kept = "{config.shop}" } } }"#;
    let text = stream(r#"{ kind = "offset", param = "/from", size = 2, size_param = "/filter/size" }"#, pull);
    check(&text, 2, |asked| {
        let body = asked.json();
        assert_eq!(body["filter"], json!({ "kept": "one", "size": 2 }));
        let offset = usize::try_from(body["from"].as_u64().unwrap()).unwrap();
        Answer::json(&json!({ "items": items(offset, offset + 2) }))
    })
    .await;
}

#[tokio::test]
async fn by_cursor_that_the_reply_holds() {
    let text = stream(r#"{ kind = "cursor", from = "/next", param = "after" }"#, PLAIN);
    for last in [json!(null), json!(""), Value::Bool(false)] {
        check(&text, 3, move |asked| {
            let from = number(asked.param("after").trim_start_matches("c="), 0);
            let next = if from + 3 >= TOTAL { last.clone() } else { json!(format!("c={}", from + 3)) };
            Answer::json(&json!({ "items": items(from, from + 3), "next": next }))
        })
        .await;
    }
}

#[tokio::test]
async fn by_cursor_with_a_flag_and_a_number_as_cursor() {
    let text = stream(r#"{ kind = "cursor", from = "/page/next", param = "after", more = "/page/more" }"#, PLAIN);
    check(&text, 3, |asked| {
        let from = number(asked.param("after"), 0);
        // The last page names a cursor too; the flag says that nothing follows.
        Answer::json(&json!({ "items": items(from, from + 3), "page": { "next": from + 3, "more": from + 3 < TOTAL } }))
    })
    .await;
}

#[tokio::test]
async fn by_cursor_that_is_the_next_address() {
    let text = stream(r#"{ kind = "cursor", from = "/next", param = "unused" }"#, PLAIN);
    check(&text, 3, |asked| {
        let from = number(asked.param("at"), 0);
        let next = format!("http://{}/customers?at={}", asked.header("host"), from + 3);
        let next = if from + 3 < TOTAL { json!(next) } else { Value::Null };
        Answer::json(&json!({ "items": items(from, from + 3), "next": next }))
    })
    .await;
}

#[tokio::test]
async fn by_cursor_in_graphql_variables() {
    let pull =
        r#"pull = { path = "/graphql", graphql = "query($first: Int!, $after: String) { x }", body = { first = 3 } }"#;
    let text = stream(r#"{ kind = "cursor", from = "/data/end", param = "/after", more = "/data/more" }"#, pull);
    let text = text.replace("records = \"/items\"", "records = \"/data/nodes\"");
    let asked = check(&text, 3, |asked| {
        let variables = &asked.json()["variables"];
        assert_eq!(variables["first"], 3);
        let from = number(variables["after"].as_str().unwrap_or_default(), 0);
        let end = (from + 3).to_string();
        Answer::json(&json!({ "data": { "nodes": items(from, from + 3), "end": end, "more": from + 3 < TOTAL } }))
    })
    .await;
    assert_eq!(asked[0].method, "POST");
    assert_eq!(asked[0].json()["variables"], json!({ "first": 3 }), "no cursor on the first page");
}

#[tokio::test]
async fn by_link_header_absolute_and_relative() {
    for relative in [false, true] {
        let text = stream(r#"{ kind = "link_header" }"#, PLAIN);
        check(&text, 3, move |asked| {
            let from = number(asked.param("at"), 0);
            let start = if relative { String::new() } else { format!("http://{}", asked.header("host")) };
            let answer = Answer::json(&json!({ "items": items(from, from + 3) }));
            let first = format!("<{start}/customers>; rel=\"first\"");
            if from + 3 < TOTAL {
                answer.with("link", &format!("{first}, <{start}/customers?at={}>; rel=\"next\"", from + 3))
            } else {
                answer.with("link", &first)
            }
        })
        .await;
    }
}

#[tokio::test]
async fn all_in_one_reply() {
    let asked =
        check(&stream(r#"{ kind = "none" }"#, PLAIN), TOTAL, |_| Answer::json(&json!({ "items": items(0, 99) }))).await;
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn a_list_of_nothing_is_complete() {
    for paginate in
        [r#"{ kind = "page", param = "page", size = 3 }"#, r#"{ kind = "link_header" }"#, r#"{ kind = "none" }"#]
    {
        for empty in [json!([]), json!(null)] {
            let server = Server::start(move |_| Answer::json(&json!({ "items": empty.clone() }))).await;
            let (all, _, complete) = pull_all(&connector(&stream(paginate, PLAIN)), &cx(&server), None).await;
            assert_eq!((all.len(), complete), (0, true));
        }
    }
}

/// A system that goes in circles is noticed, however it pages.
#[tokio::test]
async fn paging_that_never_ends_is_broken() {
    let cases = [
        (r#"{ kind = "page", param = "ignored", size = 3 }"#, "two pages show the same records"),
        (r#"{ kind = "offset", param = "ignored", size = 3 }"#, "two pages show the same records"),
        (r#"{ kind = "cursor", from = "/next", param = "after" }"#, "the same next page twice"),
        (r#"{ kind = "link_header" }"#, "the same next page twice"),
    ];
    for (paginate, expected) in cases {
        let server = Server::start(|asked| {
            let answer = Answer::json(&json!({ "items": items(0, 3), "next": "same" }));
            answer.with("link", &format!("<http://{}/customers?at=1>; rel=next", asked.header("host")))
        })
        .await;
        let (connector, cx) = (connector(&stream(paginate, PLAIN)), cx(&server));
        let first = connector.pull(&cx, &"customers".into(), None).await.unwrap();
        let error = connector.pull(&cx, &"customers".into(), first.next.as_ref()).await.unwrap_err();
        assert_eq!(error.kind(), "broken");
        assert!(error.to_string().contains(expected), "{paginate}: {error}");
    }
}

/// A credential goes only to the host that the connection names.
#[tokio::test]
async fn a_next_page_on_another_host_is_not_followed() {
    for (paginate, link) in [
        (r#"{ kind = "link_header" }"#, "http://elsewhere.example/customers?at=1"),
        (r#"{ kind = "cursor", from = "/next", param = "after" }"#, "https://elsewhere.example/customers?at=1"),
        (r#"{ kind = "link_header" }"#, "//elsewhere.example/customers?at=1"),
    ] {
        let server = Server::start(move |_| {
            Answer::json(&json!({ "items": items(0, 3), "next": link })).with("link", &format!("<{link}>; rel=next"))
        })
        .await;
        let (connector, cx) = (connector(&stream(paginate, PLAIN)), cx(&server));
        let first = connector.pull(&cx, &"customers".into(), None).await.unwrap();
        assert_eq!(ids(&first.items).len(), 3);
        let error = connector.pull(&cx, &"customers".into(), first.next.as_ref()).await.unwrap_err();
        assert!(error.to_string().contains("is at elsewhere.example, not at 127.0.0.1"), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_cursor_of_another_engine_starts_over() {
    let server = Server::start(|_| Answer::json(&json!({ "items": [] }))).await;
    for text in ["", "42", "{}x", r#"{"since":"yesterday"}"#, r#"{"page":"x","full":true}"#, r#"{"other":1}"#] {
        let connector = connector(&stream(r#"{ kind = "page", param = "page", size = 3 }"#, PLAIN));
        let error = connector.pull(&cx(&server), &"customers".into(), Some(&text.into())).await.unwrap_err();
        assert_eq!(error.kind(), "cursor_expired", "{text}: {error}");
    }
    assert_eq!(server.asked().len(), 0);
}
