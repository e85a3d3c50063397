//! Writes: what is sent, what is done when it is not certain whether an earlier attempt arrived, conflicts, batches.

use std::sync::{Arc, Mutex};

use huiliu_core::connector::{Connector as _, ConnectorError, Delivery, Operation, Version};
use huiliu_rest::connector::RestConnector;
use serde_json::{Value, json};

use crate::kit::{Answer, DAY_ONE_S, Server, connector, cx, delivery};

const HEAD: &str = r#"
[auth]
kind = "bearer"
token = "{secret.key}"
[streams.customers]
key = "/id"
version = "/etag"
version_kind = "tag"
records = "/items"
paginate = { kind = "none" }
fetch = { path = "/customers/{record.id}" }
"#;

fn with(calls: &str) -> RestConnector {
    connector(&format!("{HEAD}{calls}"))
}

#[tokio::test]
async fn exactly_the_patch_is_sent_and_what_was_stored_comes_back() {
    let connector = with(
        r#"
update = { method = "PATCH", path = "/customers/{record.id}", wrap = "/customer", record = "/customer", idempotency_header = "Idempotency-Key" }
"#,
    );
    let server =
        Server::start(|_| Answer::json(&json!({ "customer": { "id": 5, "etag": "b", "name": "LI", "note": "kept" } })))
            .await;
    let receipt =
        connector.push(&cx(&server), &delivery(Operation::Update, Some("5"), json!({ "name": "li" }))).await.unwrap();
    let asked = server.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("PATCH", "/customers/5"));
    assert_eq!(asked.json(), json!({ "customer": { "name": "li" } }));
    assert_eq!(asked.header("idempotency-key"), "0123456789abcdef0123456789abcdef");
    assert_eq!(asked.header("content-type"), "application/json");
    let stored = receipt.stored.unwrap();
    assert_eq!((stored.id.as_str(), stored.version), ("5", Some(Version::tag("b"))));
    assert_eq!(stored.body["name"], "LI");
}

#[tokio::test]
async fn a_stale_conditional_write_is_a_conflict() {
    let connector = with(r#"update = { method = "PUT", path = "/customers/{record.id}", precondition = "if_match" }"#);
    let server = Server::start(|asked| match asked.header("if-match") {
        "\"v2\"" => Answer::json(&json!({ "id": "5", "etag": "v3" })),
        _ => Answer::status(412),
    })
    .await;
    let write = |version: &str| Delivery {
        base_version: Some(Version::tag(version)),
        ..delivery(Operation::Update, Some("5"), json!({ "name": "x" }))
    };
    let error = connector.push(&cx(&server), &write("v1")).await.unwrap_err();
    assert_eq!(error.kind(), "conflict");
    assert!(error.to_string().contains("read and planned again"), "{error}");
    let receipt = connector.push(&cx(&server), &write("v2")).await.unwrap();
    assert_eq!(receipt.version, Some(Version::tag("v3")));
    // A version that is an entity tag already, weak or not, stays as it is.
    for tag in ["\"v9\"", "W/\"v9\""] {
        let _ = connector.push(&cx(&server), &write(tag)).await;
        assert_eq!(server.asked().pop().unwrap().header("if-match"), tag);
    }
}

#[tokio::test]
async fn a_write_unless_changed_since_names_the_instant() {
    let text = HEAD.replace("version_kind = \"tag\"", "version_kind = \"seconds\"");
    let connector = connector(&format!(
        "{text}update = {{ method = \"PATCH\", path = \"/c/{{record.id}}\", precondition = \"if_unmodified_since\" }}"
    ));
    let server = Server::start(|_| Answer::status(412)).await;
    let at = jiff::Timestamp::from_second(DAY_ONE_S).unwrap();
    let write = Delivery {
        base_version: Some(Version::instant(DAY_ONE_S.to_string(), at)),
        ..delivery(Operation::Update, Some("5"), json!({ "name": "x" }))
    };
    assert_eq!(connector.push(&cx(&server), &write).await.unwrap_err().kind(), "conflict");
    assert_eq!(server.asked()[0].header("if-unmodified-since"), "Thu, 01 Jan 2026 00:00:00 GMT");
}

#[tokio::test]
async fn a_system_without_conditions_is_read_and_compared_first() {
    let connector =
        with(r#"update = { method = "PATCH", path = "/customers/{record.id}", precondition = "read_compare" }"#);
    let held = Arc::new(Mutex::new(json!({ "id": "5", "etag": "v1", "name": "old" })));
    let shown = held.clone();
    let server = Server::start(move |asked| {
        let mut held = shown.lock().unwrap();
        if asked.method == "PATCH" {
            held["name"] = asked.json()["name"].clone();
            held["etag"] = json!("v2");
        }
        Answer::json(&held)
    })
    .await;
    let write = Delivery {
        base_version: Some(Version::tag("v1")),
        base: json!({ "name": "old" }),
        ..delivery(Operation::Update, Some("5"), json!({ "name": "new" }))
    };
    connector.push(&cx(&server), &write).await.unwrap();
    assert_eq!(held.lock().unwrap()["name"], "new");
    // The reply was lost: the second attempt sees its own work and writes nothing.
    server.asked();
    let again = Delivery { attempt: 2, ..write.clone() };
    let receipt = connector.push(&cx(&server), &again).await.unwrap();
    assert_eq!(receipt.stored.unwrap().body["name"], "new");
    assert!(server.asked().iter().all(|asked| asked.method == "GET"));
    // Somebody else was there.
    *held.lock().unwrap() = json!({ "id": "5", "etag": "v3", "name": "a person's" });
    assert_eq!(connector.push(&cx(&server), &again).await.unwrap_err().kind(), "conflict");
    assert_eq!(held.lock().unwrap()["name"], "a person's");
}

/// A record that was never edited may bear no stamp yet: its content says whether somebody was there, also in a field
/// that is not written.
#[tokio::test]
async fn a_record_without_a_version_is_compared_by_its_content() {
    let connector =
        with(r#"update = { method = "PATCH", path = "/customers/{record.id}", precondition = "read_compare" }"#);
    let held = Arc::new(Mutex::new(json!({ "id": "5", "etag": null, "phone": "138 0013 8000", "note": "a" })));
    let shown = held.clone();
    let server = Server::start(move |_| Answer::json(&shown.lock().unwrap().clone())).await;
    let cx = cx(&server);
    let key =
        huiliu_core::connector::RecordKey { connection: "kit-1".into(), stream: "customers".into(), id: "5".into() };
    let seen = connector.fetch(&cx, &key).await.unwrap().unwrap();
    assert_eq!(seen.version.as_ref().unwrap().order, None, "it says nothing about recency");
    let write = Delivery {
        base_version: seen.version,
        base: json!({ "phone": "138 0013 8000" }),
        ..delivery(Operation::Update, Some("5"), json!({ "phone": "+8613900139000" }))
    };
    connector.push(&cx, &write).await.unwrap();
    held.lock().unwrap()["note"] = json!("a person's");
    assert_eq!(connector.push(&cx, &write).await.unwrap_err().kind(), "conflict");
}

/// A system that keeps what it is sent, and loses replies.
struct Shelf {
    server: Server,
    rows: Arc<Mutex<Vec<Value>>>,
    lose: Arc<Mutex<bool>>,
}

async fn shelf() -> Shelf {
    let rows = Arc::new(Mutex::new(Vec::<Value>::new()));
    let lose = Arc::new(Mutex::new(false));
    let (kept, lost) = (rows.clone(), lose.clone());
    let server = Server::start(move |asked| {
        let mut rows = kept.lock().unwrap();
        if asked.method == "GET" {
            let found: Vec<&Value> = rows.iter().filter(|row| row["mail"] == asked.param("mail")).collect();
            return Answer::json(&json!({ "items": found }));
        }
        let mut made = Vec::new();
        let items = asked.json();
        let items = items["items"].as_array().cloned().unwrap_or_else(|| vec![items]);
        for mut row in items {
            row["id"] = json!(100 + rows.len());
            rows.push(row.clone());
            made.push(row);
        }
        if std::mem::take(&mut *lost.lock().unwrap()) {
            return Answer::status(502);
        }
        Answer::json(&if asked.path.ends_with("batch") { json!({ "items": made }) } else { made.remove(0) }).code(201)
    })
    .await;
    Shelf { server, rows, lose }
}

const CREATE: &str = r#"
[streams.customers.create]
method = "POST"
path = "/customers"
lookup = { path = "/customers", params = { mail = "{record.mail}" }, records = "/items", match_at = "/mail" }
"#;

#[tokio::test]
async fn a_create_that_is_tried_again_looks_first() {
    let shelf = shelf().await;
    let (connector, cx) = (with(CREATE), cx(&shelf.server));
    let first = delivery(Operation::Create, None, json!({ "mail": "li@example.com" }));
    *shelf.lose.lock().unwrap() = true;
    assert_eq!(connector.push(&cx, &first).await.unwrap_err().kind(), "transient");
    let second = Delivery { attempt: 2, ..first.clone() };
    let receipt = connector.push(&cx, &second).await.unwrap();
    assert_eq!(receipt.id.as_str(), "100");
    assert_eq!(shelf.rows.lock().unwrap().len(), 1, "no second record");
    // An earlier attempt that did not arrive is made up for.
    let other = Delivery { attempt: 2, ..delivery(Operation::Create, None, json!({ "mail": "han@example.com" })) };
    assert_eq!(connector.push(&cx, &other).await.unwrap().id.as_str(), "101");
    // A neighbour that the search also finds is not taken for ours.
    shelf.rows.lock().unwrap()[0]["mail"] = json!("LI@example.com ");
    assert_eq!(connector.push(&cx, &second).await.unwrap().id.as_str(), "102");
}

#[tokio::test]
async fn a_create_learns_its_id_from_the_reply_or_its_address() {
    let connector = with("create = { method = \"POST\", path = \"/customers\" }");
    for (answer, expected) in [
        (Answer::json(&json!({ "id": 9_007_199_254_740_993_i64 })).code(201), Some("9007199254740993")),
        (Answer::status(201).with("location", "/customers/a-7?x=1"), Some("a-7")),
        (Answer::status(201), None),
    ] {
        let server = Server::start(move |_| answer.clone()).await;
        let result = connector.push(&cx(&server), &delivery(Operation::Create, None, json!({ "name": "x" }))).await;
        match expected {
            Some(id) => assert_eq!(result.unwrap().id.as_str(), id),
            None => assert!(result.unwrap_err().to_string().contains("tells no id at `/id`")),
        }
    }
}

const BATCH: &str = r#"
[streams.customers.create.batch]
path = "/customers/batch"
size = 3
items = "/items"
results = "/items"
record = ""
[streams.customers.update]
method = "PATCH"
path = "/customers/{record.id}"
wrap = "/properties"
[streams.customers.update.batch]
path = "/customers/batch/update"
size = 2
items = "/inputs"
id_at = "/id"
results = "/results"
errors = [{ at = "/error/code", equals = "LOCKED", kind = "conflict" }, { at = "/error", kind = "rejected", message = "/error/text" }]
"#;

fn many(operation: Operation, count: usize) -> Vec<Delivery> {
    (1..=count)
        .map(|number| Delivery {
            number: i64::try_from(number).unwrap(),
            idempotency_key: format!("{number:032x}"),
            ..delivery(
                operation,
                (operation == Operation::Update).then(|| number.to_string()).as_deref(),
                json!({ "mail": format!("c{number}@example.com") }),
            )
        })
        .collect()
}

#[tokio::test]
async fn many_creates_go_in_calls_of_the_declared_size() {
    let shelf = shelf().await;
    let connector = with(&format!("{CREATE}{BATCH}"));
    let results = connector.push_many(&cx(&shelf.server), &many(Operation::Create, 7)).await;
    let ids: Vec<String> = results.into_iter().map(|result| result.unwrap().id.to_string()).collect();
    assert_eq!(ids, ["100", "101", "102", "103", "104", "105", "106"]);
    let asked = shelf.server.asked();
    let sizes: Vec<usize> = asked.iter().map(|asked| asked.json()["items"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [3, 3, 1]);
    assert!(asked.iter().all(|asked| asked.path == "/customers/batch"));
}

#[tokio::test]
async fn a_batch_whose_reply_is_lost_is_found_again_one_by_one() {
    let shelf = shelf().await;
    let (connector, cx) = (with(&format!("{CREATE}{BATCH}")), cx(&shelf.server));
    *shelf.lose.lock().unwrap() = true;
    let sent = many(Operation::Create, 3);
    let lost = connector.push_many(&cx, &sent).await;
    assert!(lost.iter().all(|result| matches!(result, Err(ConnectorError::Transient { .. }))), "{lost:?}");
    for (at, one) in sent.into_iter().enumerate() {
        let receipt = connector.push(&cx, &Delivery { attempt: 2, ..one }).await.unwrap();
        assert_eq!(receipt.id.to_string(), (100 + at).to_string());
    }
    assert_eq!(shelf.rows.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn each_result_of_a_batch_is_its_own_deliverys() {
    let connector = with(&format!("{CREATE}{BATCH}"));
    let updates = many(Operation::Update, 2);
    let cases = [
        // In another order, with ids.
        (json!([{ "id": "2" }, { "id": 1 }]), ["ok 1", "ok 2"]),
        // A refusal has no id, and is known by its place.
        (
            json!([{ "error": { "code": "BAD", "text": "mail c1@example.com is taken" } }, { "id": "2" }]),
            ["rejected", "ok 2"],
        ),
        (json!([{ "error": { "code": "LOCKED" } }, { "error": { "code": "X" } }]), ["conflict", "rejected"]),
        // Only the successes are told: the other one is sent alone, and says why.
        (json!([{ "id": "2" }]), ["transient", "ok 2"]),
        (json!([]), ["transient", "transient"]),
        (json!([{ "id": "7" }, { "id": "8" }]), ["transient", "transient"]),
    ];
    for (results, expected) in cases {
        let shown = results.clone();
        let server = Server::start(move |_| Answer::json(&json!({ "results": shown })).code(207)).await;
        let answered = connector.push_many(&cx(&server), &updates).await;
        let words: Vec<String> = answered
            .iter()
            .map(|result| match result {
                Ok(receipt) => format!("ok {}", receipt.id),
                Err(error) => error.kind().to_owned(),
            })
            .collect();
        assert_eq!(words, expected, "{results}");
        for error in answered.iter().filter_map(|result| result.as_ref().err()) {
            assert!(!error.to_string().contains("c1@example.com"), "no personal value: {error}");
        }
        let body = server.asked()[0].json();
        assert_eq!(body["inputs"][1], json!({ "id": "2", "properties": { "mail": "c2@example.com" } }));
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_as_a_whole_buries_nobody() {
    let connector = with(&format!("{CREATE}{BATCH}"));
    for (status, expected) in [(400, "transient"), (404, "transient"), (401, "unauthorized"), (429, "rate_limited")] {
        let server = Server::start(move |_| Answer::json(&json!({ "message": "no" })).code(status)).await;
        let answered = connector.push_many(&cx(&server), &many(Operation::Update, 2)).await;
        assert_eq!(answered.len(), 2);
        for result in answered {
            assert_eq!(result.unwrap_err().kind(), expected, "{status}");
        }
    }
}

/// HTTP 207: results and refusals stand apart, in any order, and each repeats our mark.
#[tokio::test]
async fn a_marked_batch_may_be_answered_in_any_order() {
    let connector = with(
        r#"create = { method = "POST", path = "/customers", lookup = { path = "/customers", records = "/items", match_at = "/mail" }, batch = { path = "/batch", size = 10, items = "/inputs", item = { id = "{record.mail}", values = "{body}" }, results = "/results", record = "", refusals = "/errors", trace = { item = "/mark", result = "/mark", refusal = "/context/0" }, errors = [{ at = "/category", equals = "BAD", kind = "rejected", message = "/message" }] } }"#,
    );
    let server = Server::start(|asked| {
        let marks: Vec<Value> =
            asked.json()["inputs"].as_array().unwrap().iter().map(|row| row["mark"].clone()).collect();
        let bad = |at: usize, category: &str| json!({ "category": category, "message": "no", "context": [marks[at]] });
        Answer::json(&json!({ "results": [{ "id": "12", "mark": marks[2] }, { "id": "10", "mark": marks[0] }],
            "errors": [bad(1, "BAD"), bad(3, "ODD")] }))
        .code(207)
    })
    .await;
    let row = |number: u32, body: Value| Delivery {
        idempotency_key: format!("{number:032x}"),
        ..delivery(Operation::Create, None, body)
    };
    let mut rows: Vec<Delivery> = (0..4).map(|number| row(number, json!({ "mail": format!("m{number}") }))).collect();
    rows.insert(1, row(9, json!({ "name": "without an address" })));
    let answers = connector.push_many(&cx(&server), &rows).await;
    let told: Vec<String> = answers
        .iter()
        .map(|answer| answer.as_ref().map_or_else(|error| error.kind().to_owned(), |receipt| receipt.id.to_string()))
        .collect();
    assert_eq!(told, ["10", "transient", "rejected", "12", "transient"]);
    let asked = server.asked().remove(0).json();
    assert_eq!(asked["inputs"][0], json!({ "id": "m0", "values": { "mail": "m0" }, "mark": format!("{:032x}", 0) }));
    assert_eq!(asked["inputs"].as_array().unwrap().len(), 4, "who has no address is left to be sent alone");
}

/// Systems of remote procedure calls take ids as numbers, answer a create with an id and a write with `true`; what they
/// stored is read afterwards.
#[tokio::test]
async fn ids_may_be_numbers_and_what_was_written_is_read_back() {
    let text = r#"number_ids = true
config.user = { type = "integer", description = "A number.", default = "7" }
[auth]
kind = "bearer"
token = "{secret.key}"
[streams.customers]
key = "/id"
fetch = { method = "POST", path = "/read", record = "/0", body = { user = "{config.user}", shop = "{config.shop}", find = ["id", "=", "{record.id}"] } }
create = { method = "POST", path = "/create", id = "/0", read_back = true, body = { vals_list = ["{body}"] } }
update = { method = "POST", path = "/write", read_back = true, body = { ids = ["{record.id}"], vals = "{body}" } }
"#;
    let connector = connector(text);
    let server = Server::start(|asked| match asked.path.as_str() {
        "/create" => Answer::json(&json!([41])),
        "/write" => Answer::json(&json!(true)),
        _ => Answer::json(&json!([{ "id": 41, "name": "Kept" }])),
    })
    .await;
    let mut cx = cx(&server);
    let mut settings = (*cx.settings).clone();
    settings.insert("user".to_owned(), "7".to_owned());
    cx.settings = Arc::new(settings);
    for (operation, id) in [(Operation::Create, None), (Operation::Update, Some("41"))] {
        let receipt = connector.push(&cx, &delivery(operation, id, json!({ "name": "kept " }))).await.unwrap();
        assert_eq!((receipt.id.as_str(), &receipt.stored.unwrap().body["name"]), ("41", &json!("Kept")));
    }
    let asked: Vec<Value> = server.asked().iter().map(crate::kit::Asked::json).collect();
    assert_eq!(asked[1], json!({ "user": 7, "shop": "one", "find": ["id", "=", 41] }));
    assert_eq!(asked[2], json!({ "ids": [41], "vals": { "name": "kept " } }));
}
