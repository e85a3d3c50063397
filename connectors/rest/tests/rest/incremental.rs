//! Pulls of what changed: nothing is missed when many records share a stamp, when records change while they are read,
//! and when the system's index is late; and it ends.

use std::sync::{Arc, Mutex};

use huiliu_core::connector::{Connector as _, Cursor, Received};
use serde_json::{Value, json};

use crate::kit::{Answer, Asked, DAY_ONE_S, Server, connector, cx, pull_all};

/// Records as (id, second of the last change), in the system's own order.
type Table = Arc<Mutex<Vec<(u32, i64)>>>;

fn stream(paginate: &str, since: &str) -> String {
    format!(
        r#"
[auth]
kind = "none"
reason = "a test"
[streams.customers]
key = "/id"
version = "/changed"
version_kind = "seconds"
records = "/items"
paginate = {paginate}
pull = {{ path = "/customers", since = {{ param = "changed_since", form = "seconds", {since} }} }}
"#
    )
}

fn rows(table: &Table, asked: &Asked, order: Order) -> Vec<Value> {
    let since: i64 = asked.param("changed_since").parse().unwrap_or(i64::MIN);
    let mut rows: Vec<(u32, i64)> = table.lock().unwrap().iter().copied().filter(|(_, at)| *at >= since).collect();
    match order {
        Order::Id => rows.sort_unstable(),
        Order::OldestFirst => rows.sort_unstable_by_key(|(id, at)| (*at, *id)),
        Order::NewestFirst => rows.sort_unstable_by_key(|(id, at)| (-*at, *id)),
    }
    rows.into_iter().map(|(id, changed)| json!({ "id": id, "changed": changed })).collect()
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Id,
    OldestFirst,
    NewestFirst,
}

fn touch(table: &Table, id: u32, at: i64) {
    let mut table = table.lock().unwrap();
    table.retain(|(known, _)| *known != id);
    table.push((id, at));
}

/// What the hub knows after these pages: the last stamp of every id.
fn keep(known: &mut std::collections::BTreeMap<String, String>, items: &[Received]) {
    for item in items {
        let Received::Record(record) = item else { panic!("{item:?}") };
        known.insert(record.id.to_string(), record.version.clone().unwrap().text);
    }
}

/// Between any two pages something changes; after two more runs the hub knows the table as it is.
async fn churn(paginate: &str, order: Order, numbered: fn(&Asked) -> usize) {
    // 40 records share one stamp, more than many pages hold.
    let table: Table = Arc::new(Mutex::new((0..40).map(|id| (id, DAY_ONE_S - 10_000)).collect()));
    let shown = table.clone();
    let server = Server::start(move |asked| {
        let from = numbered(asked);
        let rows = rows(&shown, asked, order);
        Answer::json(&json!({ "items": rows[from.min(rows.len())..(from + 4).min(rows.len())] }))
    })
    .await;
    let (connector, cx) = (connector(&stream(paginate, "overlap_seconds = 60")), cx(&server));
    let mut known = std::collections::BTreeMap::new();
    let mut from: Option<Cursor> = None;
    for run in 0..3 {
        let mut pages = 0_u32;
        loop {
            let page = connector.pull(&cx, &"customers".into(), from.as_ref()).await.unwrap();
            keep(&mut known, &page.items);
            from = page.next.or(from);
            pages += 1;
            assert!(pages < 100, "run {run} does not end");
            // Time goes on, and a person edits; in the first run more slowly than a page is read.
            cx.clock.advance_us(120_000_000);
            if run == 0 {
                touch(&table, pages * 7 % 40, cx.clock.now().as_second());
            }
            if !page.more {
                break;
            }
        }
    }
    let truth: std::collections::BTreeMap<String, String> =
        table.lock().unwrap().iter().map(|(id, at)| (id.to_string(), at.to_string())).collect();
    assert_eq!(known, truth, "{order:?}");
}

#[tokio::test]
async fn records_that_change_while_they_are_read_are_not_missed() {
    for order in [Order::Id, Order::OldestFirst, Order::NewestFirst] {
        let page = |asked: &Asked| (asked.param("page").parse::<usize>().unwrap() - 1) * 4;
        churn(r#"{ kind = "page", param = "page", size = 4 }"#, order, page).await;
        let offset = |asked: &Asked| asked.param("offset").parse().unwrap();
        churn(r#"{ kind = "offset", param = "offset", size = 4 }"#, order, offset).await;
    }
}

/// A record that vanishes moves all later ones up; none of them may slip through between two pages.
#[tokio::test]
async fn records_that_vanish_while_others_are_read_hide_none() {
    let table: Table = Arc::new(Mutex::new((0..20).map(|id| (id, DAY_ONE_S - 10_000)).collect()));
    let shown = table.clone();
    let server = Server::start(move |asked| {
        let from = (asked.param("page").parse::<usize>().unwrap() - 1) * 5;
        let rows = rows(&shown, asked, Order::Id);
        Answer::json(&json!({ "items": rows[from.min(rows.len())..(from + 5).min(rows.len())] }))
    })
    .await;
    let text = stream(r#"{ kind = "page", param = "page", size = 5 }"#, "overlap_seconds = 60");
    let (connector, cx) = (connector(&text), cx(&server));
    let (mut found, mut from, mut gone) = (Vec::new(), None::<Cursor>, 0);
    loop {
        let page = connector.pull(&cx, &"customers".into(), from.as_ref()).await.unwrap();
        found.extend(crate::kit::ids(&page.items));
        from = page.next;
        table.lock().unwrap().retain(|(id, _)| *id != gone);
        gone += 1;
        if !page.more {
            break;
        }
    }
    for (id, _) in table.lock().unwrap().iter() {
        assert!(found.contains(&id.to_string()), "{id} is still there and was not shown: {found:?}");
    }
}

/// New records that fill exactly a page push the former page into the place of the next: no circle, and none is missed.
#[tokio::test]
async fn a_page_of_new_records_in_front_is_no_circle() {
    let table: Table = Arc::new(Mutex::new((0..12).map(|id| (id, DAY_ONE_S - 10_000 - i64::from(id))).collect()));
    let shown = table.clone();
    let server = Server::start(move |asked| {
        let from = (asked.param("page").parse::<usize>().unwrap() - 1) * 4;
        let rows = rows(&shown, asked, Order::NewestFirst);
        Answer::json(&json!({ "items": rows[from.min(rows.len())..(from + 4).min(rows.len())] }))
    })
    .await;
    let text = stream(r#"{ kind = "page", param = "page", size = 4 }"#, "overlap_seconds = 60");
    let (connector, cx) = (connector(&text), cx(&server));
    let first = connector.pull(&cx, &"customers".into(), None).await.unwrap();
    (100..104).for_each(|id| touch(&table, id, DAY_ONE_S - 5));
    let (rest, _, _) = pull_all(&connector, &cx, first.next).await;
    for id in (4..12).chain(100..104) {
        assert!(rest.contains(&id.to_string()), "{id} is not in {rest:?}");
    }
}

#[tokio::test]
async fn the_stamp_of_a_run_is_frozen_and_the_next_one_looks_back() {
    let table: Table = Arc::new(Mutex::new((0..6).map(|id| (id, DAY_ONE_S - 600 + i64::from(id))).collect()));
    let shown = table.clone();
    let server = Server::start(move |asked| {
        let from: usize = asked.param("after").parse().unwrap_or(0);
        let rows = rows(&shown, asked, Order::OldestFirst);
        let to = (from + 2).min(rows.len());
        let next = if to < rows.len() { json!(to.to_string()) } else { Value::Null };
        Answer::json(&json!({ "items": rows[from.min(to)..to], "next": next }))
    })
    .await;
    let text = stream(r#"{ kind = "cursor", from = "/next", param = "after" }"#, "overlap_seconds = 3");
    let (connector, cx) = (connector(&text), cx(&server));
    let (all, cursors, complete) = pull_all(&connector, &cx, None).await;
    assert_eq!((all.len(), complete), (6, true));
    assert!(
        server.asked().iter().all(|asked| !asked.query.contains_key("changed_since")),
        "the first run asks for all"
    );
    let done = cursors.last().cloned().flatten();
    let (again, cursors, complete) = pull_all(&connector, &cx, done).await;
    assert_eq!((again, complete), (vec!["2".to_owned(), "3".into(), "4".into(), "5".into()], false));
    let asked: Vec<String> = server.asked().iter().map(|asked| asked.param("changed_since").to_owned()).collect();
    assert_eq!(asked, vec![(DAY_ONE_S - 595 - 3).to_string(); 2], "all pages of a run ask the same");
    for cursor in &cursors[1..2] {
        assert_eq!(pull_all(&connector, &cx, cursor.clone()).await.0, ["4", "5"]);
    }
}

/// One record with a wild stamp must not move the place beyond what comes later.
#[tokio::test]
async fn a_stamp_in_the_future_counts_as_now() {
    let table: Table = Arc::new(Mutex::new(vec![(1, DAY_ONE_S + 86_400 * 3_650), (2, DAY_ONE_S - 50)]));
    let shown = table.clone();
    let server = Server::start(move |asked| Answer::json(&json!({ "items": rows(&shown, asked, Order::Id) }))).await;
    let text = stream(r#"{ kind = "none" }"#, "overlap_seconds = 30");
    let (connector, cx) = (connector(&text), cx(&server));
    let (_, cursors, _) = pull_all(&connector, &cx, None).await;
    touch(&table, 3, DAY_ONE_S + 5);
    let (later, _, _) = pull_all(&connector, &cx, cursors.last().cloned().flatten()).await;
    assert!(later.contains(&"3".to_owned()), "{later:?}");
}

/// The system's own clock is behind ours: what it stamps after a run is before our time, and still comes.
#[tokio::test]
async fn the_systems_own_date_counts_when_it_is_behind() {
    let behind = 7_200;
    let table: Table = Arc::new(Mutex::new((0..8).map(|id| (id, DAY_ONE_S - behind - 9_000)).collect()));
    let shown = table.clone();
    let server = Server::start(move |asked| {
        let from = (asked.param("page").parse::<usize>().unwrap() - 1) * 4;
        let rows = rows(&shown, asked, Order::Id);
        Answer::json(&json!({ "items": rows[from.min(rows.len())..(from + 4).min(rows.len())] }))
            .with("date", "Wed, 31 Dec 2025 22:00:00 GMT")
    })
    .await;
    let text = stream(r#"{ kind = "page", param = "page", size = 4 }"#, "overlap_seconds = 1");
    let (connector, cx) = (connector(&text), cx(&server));
    let first = connector.pull(&cx, &"customers".into(), None).await.unwrap();
    // After the first page was read, a record on it changes, and then one on the second page.
    touch(&table, 0, DAY_ONE_S - behind + 10);
    touch(&table, 7, DAY_ONE_S - behind + 100);
    let second = connector.pull(&cx, &"customers".into(), first.next.as_ref()).await.unwrap();
    let third = connector.pull(&cx, &"customers".into(), second.next.as_ref()).await.unwrap();
    assert!(!third.more);
    let (later, _, _) = pull_all(&connector, &cx, third.next).await;
    assert!(later.contains(&"0".to_owned()), "{later:?}");
}

/// What replies tell of the time is how far the system's clock is off; a cache tells when it was filled.
#[tokio::test]
async fn the_date_of_replies_measures_the_systems_clock() {
    for (date, age, seconds) in [
        ("Thu, 01 Jan 2026 00:10:00 GMT", "", 600),
        ("Wed, 31 Dec 2025 23:50:00 GMT", "", -600),
        ("Thu, 01 Jan 2026 00:00:00 GMT", "", 0),
        ("Wed, 31 Dec 2025 23:50:00 GMT", "600", 0),
        ("Thu, 01 Jan 2015 00:00:00 GMT", "", 0),
        ("ten past twelve", "", 0),
    ] {
        let server = Server::start(move |_| {
            let answer = Answer::json(&json!({ "items": [] })).with("date", date);
            if age.is_empty() { answer } else { answer.with("age", age) }
        })
        .await;
        let cx = cx(&server);
        pull_all(&connector(&stream(r#"{ kind = "none" }"#, "overlap_seconds = 1")), &cx, None).await;
        assert_eq!(cx.offset.us().div_euclid(1_000_000), seconds, "{date} {age}");
    }
}

#[tokio::test]
async fn a_first_stamp_of_the_manifest_is_sent_and_leaves_the_scan_incomplete() {
    let server = Server::start(|_| Answer::json(&json!({ "items": [] }))).await;
    let text = stream(r#"{ kind = "none" }"#, r#"overlap_seconds = 1, first = "1000", write = ">={stamp}""#);
    let (_, _, complete) = pull_all(&connector(&text), &cx(&server), None).await;
    assert!(!complete);
    assert_eq!(server.asked()[0].param("changed_since"), "1000");
}

/// A list of all and a search for changes are two calls. The search is read by key between two stamps that stand still;
/// once a day the list is read again, since it shows what no search does.
#[tokio::test]
async fn changes_are_searched_by_key_and_the_list_is_read_once_a_day() {
    let text = r#"
[auth]
kind = "none"
reason = "a test"
[streams.customers]
key = "/id"
version = "/changed"
version_kind = "seconds"
records = "/items"
paginate = { kind = "none" }
pull = { path = "/all" }
[streams.customers.changes]
full_every_seconds = 86400
paginate = { kind = "keyset", first = "0", size = 2 }
pull = { method = "POST", path = "/search", body = { from = "{stamp}", to = "{until}", above = "{cursor}" }, since = { form = "seconds", overlap_seconds = 60 } }
"#;
    let server = Server::start(|asked| {
        let above: usize =
            if asked.body.is_empty() { 0 } else { asked.json()["above"].as_str().unwrap().parse().unwrap() };
        let size = if asked.path == "/all" { 5 } else { 2 };
        let items: Vec<Value> =
            (above + 1..=5).take(size).map(|id| json!({ "id": id, "changed": DAY_ONE_S })).collect();
        Answer::json(&json!({ "items": items }))
    })
    .await;
    let (connector, cx) = (connector(text), cx(&server));
    let end = |cursors: Vec<Option<Cursor>>| cursors.into_iter().last().flatten();
    let (all, cursors, complete) = pull_all(&connector, &cx, None).await;
    assert_eq!((all.len(), complete), (5, true));
    assert_eq!(server.asked()[0].path, "/all");
    cx.clock.advance_us(3_600_000_000);
    let (found, cursors, complete) = pull_all(&connector, &cx, end(cursors)).await;
    assert_eq!((found.join(" "), complete), ("1 2 3 4 5".to_owned(), false), "all of one stamp, and no complete scan");
    let bodies: Vec<Value> = server.asked().iter().map(Asked::json).collect();
    let (from, to) = ((DAY_ONE_S - 60).to_string(), (DAY_ONE_S + 3_600).to_string());
    let asked = |above: &str| json!({ "from": from, "to": to, "above": above });
    assert_eq!(bodies, [asked("0"), asked("2"), asked("4")]);
    cx.clock.advance_us(86_400_000_000);
    let (_, cursors, complete) = pull_all(&connector, &cx, end(cursors)).await;
    assert!(complete && server.asked().iter().all(|asked| asked.path == "/all"), "a day later");
    cx.clock.advance_us(60_000_000);
    let (_, _, complete) = pull_all(&connector, &cx, end(cursors)).await;
    assert!(!complete && server.asked().iter().all(|asked| asked.path == "/search"));
}
