//! Streams are walked completely, whatever the pages and the stamps.

use std::collections::BTreeMap;

use crate::kit::{Kit, acme};
use huiliu_core::connector::{Connector as _, Cursor, Network, Record, StreamName};
use huiliu_core::secrets::Secret;
use huiliu_twins::kingdee::{Call, Fault};
use serde_json::{Value, json};

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.id.as_str()).collect()
}

/// Seven customers in two batches that share their stamps, in pages of three.
#[tokio::test]
async fn equal_stamps_are_walked_by_id() {
    let kit = Kit::with(&[("page_size", "3")]).await;
    for (at, count) in [(1_700_000_000, 5), (1_700_000_001, 2)] {
        kit.twin.set_now_s(Some(at));
        for _ in 0..count {
            kit.twin.put_customer(&acme());
        }
    }
    let (records, cursors) = kit.pull_all("customers", None).await;
    assert_eq!(ids(&records), ["100001", "100002", "100003", "100004", "100005", "100006", "100007"]);
    assert_eq!(cursors.len(), 3);
    let first = &records[0];
    assert_eq!(first.body["FModifyDate"], "2023-11-15T06:13:20");
    assert_eq!(first.version.as_ref().unwrap().order, Some(1_700_000_000_000_000), "stamps are GMT+8");
    assert_eq!(first.body["FCreateOrgId"], json!({ "FNumber": "100" }));
    assert_eq!(first.body["FContact"], Value::Null, "a blank text is a cleared one");

    // From any cursor inside the walk the rest is the same; from the end the overlap is read again.
    for (page, cursor) in cursors[..2].iter().enumerate() {
        let (rest, _) = kit.pull_all("customers", Some(cursor.clone())).await;
        assert_eq!(rest, records[(page + 1) * 3..]);
    }
    let (again, _) = kit.pull_all("customers", cursors.last().cloned()).await;
    assert_eq!(again, records);
}

#[tokio::test]
async fn changes_are_found_and_old_records_left() {
    let kit = Kit::with(&[("overlap_seconds", "60")]).await;
    for at in [1_700_000_000, 1_700_000_100, 1_700_000_140] {
        kit.twin.set_now_s(Some(at));
        kit.twin.put_customer(&acme());
    }
    let (_, cursors) = kit.pull_all("customers", None).await;
    kit.twin.set_now_s(Some(1_700_000_150));
    kit.twin.edit_customer("100001", &json!({ "FName": "改名" }));
    let (records, _) = kit.pull_all("customers", cursors.last().cloned()).await;
    assert_eq!(ids(&records), ["100002", "100003", "100001"]);
    assert_eq!(records[2].body["FName"], "改名");
}

#[tokio::test]
async fn nothing_yet_keeps_no_place() {
    let kit = Kit::new().await;
    let page = kit.page("customers", None).await;
    assert_eq!((page.items.len(), page.next, page.more), (0, None, false));
}

fn order(lines: usize) -> Value {
    let entry = |line| json!({ "FMaterialId.FNumber": format!("M{line}"), "FQty": 2, "FTaxPrice": 12.50 });
    json!({ "FCustId": 100_001, "FDate": "2023-11-15T00:00:00", "FSaleOrgId.FNumber": "100", "FBillAllAmount": 25.00,
            "FSettleCurrId.FCODE": "CNY", "entries": (0..lines).map(entry).collect::<Vec<_>>() })
}

/// Orders of one to nine entries, in pages of every size: each order comes once, with all its entries, in order.
#[tokio::test]
async fn no_page_cuts_an_order() {
    let lines = [1, 4, 3, 9, 2, 2, 1];
    for (size, cap) in [("1", 100), ("3", 100), ("4", 100), ("5", 100), ("23", 100), ("2000", 100), ("2000", 3)] {
        let kit = Kit::with(&[("page_size", size)]).await;
        kit.twin.set_now_s(Some(1_700_000_000));
        kit.twin.put_customer(&acme());
        for lines in lines {
            kit.twin.put_order(&order(lines));
        }
        kit.twin.cap_rows(cap);
        let (records, cursors) = kit.pull_all("orders", None).await;
        let counts: Vec<usize> =
            records.iter().map(|order| order.body["FSaleOrderEntry"].as_array().unwrap().len()).collect();
        assert_eq!(counts, lines, "pages of {size}, capped at {cap}");
        for cursor in &cursors[..cursors.len() - 1] {
            let (rest, _) = kit.pull_all("orders", Some(cursor.clone())).await;
            assert_eq!(rest, records[records.len() - rest.len()..]);
        }
        let order = &records[3];
        assert_eq!(kit.fetch("orders", order.id.as_str()).await.as_ref(), Some(order));
        assert_eq!(order.body["FCustId"], json!({ "Id": 100_001, "FNumber": "CUST100001" }));
        assert_eq!(order.body["FSaleOrderEntry"][8]["FMaterialId"]["FNumber"], "M8");
        assert!(order.body["FSaleOrderEntry"][0]["FEntryId"].is_number());
    }
}

#[tokio::test]
async fn fetch_knows_what_is_not_there() {
    let kit = Kit::new().await;
    let id = kit.twin.put_customer(&acme());
    assert_eq!(kit.fetch("customers", &id).await.unwrap().id.as_str(), id);
    for missing in ["999999", "", "1 or 1 = 1", "'"] {
        assert_eq!(kit.fetch("customers", missing).await, None);
    }
}

/// What the hub does next, for everything a query can answer.
#[tokio::test]
async fn answers_become_the_right_kind() {
    let cases = [
        (vec![Fault::SessionLost], Ok(())),
        (vec![Fault::SessionLost, Fault::SessionLost], Err("unauthorized")),
        (vec![Fault::ErrorText], Err("transient")),
        (vec![Fault::Garbage], Err("broken")),
        (vec![Fault::SessionTextAfter], Err("broken")),
        (vec![Fault::CutAfter], Err("transient")),
        (vec![Fault::Status(429)], Err("rate_limited")),
        (vec![Fault::Status(500)], Err("transient")),
        (vec![Fault::Status(403)], Err("unauthorized")),
        (vec![Fault::Status(302)], Err("broken")),
    ];
    let kit = Kit::new().await;
    for (faults, expected) in cases {
        for fault in &faults {
            kit.twin.fault(Call::Query, *fault);
        }
        let result = kit.kingdee.check(&kit.cx).await.map_err(|error| error.kind());
        assert_eq!(result, expected, "{faults:?}");
    }
}

#[tokio::test]
async fn bad_credentials_and_settings_are_told_apart() {
    let mut kit = Kit::with(&[("customer_fields", "FNoSuchField")]).await;
    let stream = StreamName::from("customers");
    let error = kit.kingdee.pull(&kit.cx, &stream, None).await.unwrap_err();
    assert_eq!(error.kind(), "broken");
    assert!(error.to_string().contains("refused"), "{error}");

    let cursor = Cursor::from("{\"at\":\"2023-11-15T06:13:20\",\"id\":\"1 or 1=1\",\"ended\":false}");
    assert_eq!(kit.kingdee.pull(&kit.cx, &stream, Some(&cursor)).await.unwrap_err().kind(), "cursor_expired");

    let secrets: BTreeMap<String, Secret> =
        kit.twin.secrets().map(|(name, value)| (name.to_owned(), Secret::new(value))).into();
    for name in ["app_id", "app_secret"] {
        let mut changed = secrets.clone();
        let value = changed[name].expose();
        changed.insert(name.to_owned(), Secret::new(value.replacen('0', "1", 1)));
        kit.cx.secrets = changed.into();
        assert_eq!(kit.kingdee.check(&kit.cx).await.unwrap_err().kind(), "unauthorized", "{name}");
    }
}

#[tokio::test]
async fn settings_that_are_no_field_keys_are_refused() {
    let kit = Kit::with(&[("order_fields", "FNote, FID) or (1")]).await;
    let error = kit.kingdee.pull(&kit.cx, &StreamName::from("orders"), None).await.unwrap_err();
    assert!(error.to_string().contains("config.order_fields"), "{error}");
}

/// The way out is the engine's: without the operator's word an inner address is not called.
#[tokio::test]
async fn an_inner_address_is_called_only_where_the_operator_says_so() {
    let mut kit = Kit::new().await;
    kit.cx.network = Network::Public;
    let error = kit.kingdee.check(&kit.cx).await.unwrap_err();
    assert_eq!(error.kind(), "broken");
    assert!(error.to_string().contains("is not a public address"), "{error}");
    kit.cx.network = Network::Private;
    kit.kingdee.check(&kit.cx).await.unwrap();
}
