//! Save, Submit, Audit as one delivery, stopped at every point.

use crate::kit::{Kit, acme, create, update};
use huiliu_core::connector::{Connector as _, ConnectorError, Delivery, Operation};
use huiliu_twins::kingdee::{Call, Fault, Writes};
use serde_json::{Value, json};

const STEPS: [Call; 3] = [Call::Save, Call::Submit, Call::Audit];

#[tokio::test]
async fn create_is_approved_and_read_back() {
    let kit = Kit::new().await;
    let receipt = kit.kingdee.push(&kit.cx, &create(acme(), 1)).await.unwrap();
    let stored = receipt.stored.unwrap();
    assert_eq!(stored.id, receipt.id);
    // As stored: trimmed and in capitals, not as sent.
    assert_eq!(stored.body["FName"], "Huiliu Test Trading");
    assert_eq!(stored.body["FTAXREGISTERCODE"], "91350100M000100Y43");
    assert_eq!(stored.body["FDocumentStatus"], "C");
    assert_eq!(stored.body["FNumber"], "HL0123456789ABCDEF");
    assert_eq!(stored.body["FUseOrgId"]["FNumber"], "100");
    assert_eq!(kit.twin.writes(), Writes { saves: 1, submits: 1, audits: 1 });
    assert_eq!(kit.fetch("customers", receipt.id.as_str()).await, Some(stored));
}

/// The connection dies after each step; the next attempt goes on from there. A third repeats a finished delivery.
#[tokio::test]
async fn create_survives_a_crash_after_every_step() {
    for step in STEPS {
        let kit = Kit::new().await;
        kit.twin.fault(step, Fault::CutAfter);
        let first = kit.kingdee.push(&kit.cx, &create(acme(), 1)).await;
        if step == Call::Save {
            assert_eq!(first.unwrap_err().kind(), "transient");
        }
        let second = kit.kingdee.push(&kit.cx, &create(acme(), 2)).await.unwrap();
        let third = kit.kingdee.push(&kit.cx, &create(acme(), 3)).await.unwrap();
        assert_eq!(second, third);
        let customers = kit.customers();
        assert_eq!(customers.len(), 1, "{step:?}");
        assert_eq!(customers[0]["FDocumentStatus"], "C", "{step:?}");
        assert_eq!(kit.twin.writes(), Writes { saves: 1, submits: 1, audits: 1 }, "{step:?}");
    }
}

/// The process dies: the future is dropped once the twin has carried out the step.
#[tokio::test]
async fn create_survives_a_dropped_future() {
    for step in STEPS {
        let kit = Kit::new().await;
        kit.twin.fault(step, Fault::HangAfter);
        let delivery = create(acme(), 1);
        tokio::select! {
            done = kit.kingdee.push(&kit.cx, &delivery) => panic!("{done:?}"),
            () = kit.twin.hung() => {}
        }
        kit.kingdee.push(&kit.cx, &create(acme(), 2)).await.unwrap();
        assert_eq!(kit.customers().len(), 1, "{step:?}");
        assert_eq!(kit.customers()[0]["FDocumentStatus"], "C", "{step:?}");
        assert_eq!(kit.twin.writes(), Writes { saves: 1, submits: 1, audits: 1 }, "{step:?}");
    }
}

#[tokio::test]
async fn update_writes_its_fields_only_and_approves_again() {
    let kit = Kit::new().await;
    let id = kit.twin.put_customer(&acme());
    let delivery = update(&id, json!({ "FPhone": "010-55550199" }), json!({ "FPhone": "010-55550100" }), 1);
    let stored = kit.kingdee.push(&kit.cx, &delivery).await.unwrap().stored.unwrap();
    assert_eq!(stored.body["FPhone"], "010-55550199");
    assert_eq!(stored.body["FShortName"], "测试贸易");
    assert_eq!(stored.body["FDocumentStatus"], "C");
    assert_eq!(kit.twin.writes(), Writes { saves: 1, submits: 1, audits: 1 });
    // Clearing a field: null out, blank inside the system, null back.
    let delivery = update(&id, json!({ "FPhone": null }), json!({ "FPhone": "010-55550199" }), 1);
    let stored = kit.kingdee.push(&kit.cx, &delivery).await.unwrap().stored.unwrap();
    assert_eq!(stored.body["FPhone"], Value::Null);
}

#[tokio::test]
async fn update_survives_a_crash_after_every_step() {
    for step in STEPS {
        let kit = Kit::new().await;
        let id = kit.twin.put_customer(&acme());
        let (body, base) = (json!({ "FName": "新名称 " }), json!({ "FName": "Huiliu Test Trading" }));
        kit.twin.fault(step, Fault::HangAfter);
        let delivery = update(&id, body.clone(), base.clone(), 1);
        tokio::select! {
            done = kit.kingdee.push(&kit.cx, &delivery) => panic!("{done:?}"),
            () = kit.twin.hung() => {}
        }
        let stored = kit.kingdee.push(&kit.cx, &update(&id, body, base, 2)).await.unwrap().stored.unwrap();
        assert_eq!(stored.body["FName"], "新名称");
        assert_eq!(stored.body["FDocumentStatus"], "C", "{step:?}");
        assert_eq!(kit.twin.writes(), Writes { saves: 1, submits: 1, audits: 1 }, "{step:?}");
    }
}

/// What a person works on is not approved by us, and nobody's edit is overwritten.
#[tokio::test]
async fn people_come_first() {
    let kit = Kit::new().await;
    let id = kit.twin.put_customer(&acme());
    let base = json!({ "FPhone": "010-55550100" });
    let patch = |attempt| update(&id, json!({ "FPhone": "010-55550199" }), base.clone(), attempt);

    kit.twin.edit_customer(&id, &json!({ "FPhone": "010-55550111" }));
    assert_eq!(kit.kingdee.push(&kit.cx, &patch(1)).await.unwrap_err().kind(), "conflict");

    // Another field than ours changed: no conflict, and it stays. A reopened record stays reopened.
    kit.twin.edit_customer(&id, &json!({ "FPhone": "010-55550100", "FContact": "赵六", "FDocumentStatus": "D" }));
    let stored = kit.kingdee.push(&kit.cx, &patch(1)).await.unwrap().stored.unwrap();
    assert_eq!((&stored.body["FContact"], &stored.body["FDocumentStatus"]), (&json!("赵六"), &json!("D")));

    kit.twin.edit_customer(&id, &json!({ "FPhone": "010-55550100", "FDocumentStatus": "B" }));
    let error = kit.kingdee.push(&kit.cx, &patch(1)).await.unwrap_err();
    assert!(matches!(error, ConnectorError::Transient { after: Some(_), .. }), "{error:?}");

    kit.twin.delete_customer(&id);
    assert_eq!(kit.kingdee.push(&kit.cx, &patch(1)).await.unwrap_err().kind(), "gone");
}

#[tokio::test]
async fn reaudit_can_be_left_to_people() {
    let kit = Kit::with(&[("reaudit", "false")]).await;
    let id = kit.twin.put_customer(&acme());
    let delivery = update(&id, json!({ "FPhone": "010-55550199" }), Value::Null, 1);
    let stored = kit.kingdee.push(&kit.cx, &delivery).await.unwrap().stored.unwrap();
    assert_eq!(stored.body["FDocumentStatus"], "D");
    assert_eq!(kit.twin.writes(), Writes { saves: 1, submits: 0, audits: 0 });
}

/// No answer to a write makes the connector write again by itself, whatever the text says.
#[tokio::test]
async fn writes_are_never_repeated_inside_a_push() {
    let faults = [Fault::SessionLost, Fault::SessionTextAfter, Fault::ErrorText, Fault::Garbage, Fault::Status(502)];
    for fault in faults {
        let kit = Kit::new().await;
        kit.twin.fault(Call::Save, fault);
        let error = kit.kingdee.push(&kit.cx, &create(acme(), 1)).await.unwrap_err();
        let expected = if fault == Fault::SessionTextAfter { "rejected" } else { "transient" };
        assert_eq!(error.kind(), expected, "{fault:?}");
        assert_eq!(kit.twin.writes().saves, u64::from(fault == Fault::SessionTextAfter), "{fault:?}");
        kit.kingdee.push(&kit.cx, &create(acme(), 2)).await.unwrap();
        assert_eq!((kit.customers().len(), kit.twin.writes().saves), (1, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn refusals_say_the_field_and_hide_the_values() {
    let kit = Kit::with(&[("create_org", "999")]).await;
    let error = kit.kingdee.push(&kit.cx, &create(acme(), 1)).await.unwrap_err();
    let ConnectorError::Rejected { at, reason } = error else { panic!("{error:?}") };
    assert!(at.contains("OrgId"), "{at}");
    assert!(!reason.contains("999") && reason.starts_with("Save: "), "{reason}");

    let kit = Kit::new().await;
    let with_array = create(json!({ "FName": "x", "FT_BD_CUSTBANK": [] }), 1);
    let with_key = create(json!({ "FName": "x", "FName'; drop": 1 }), 1);
    let with_number = create(json!({ "FName": "x", "FNumber": "C1" }), 1);
    let delete = Delivery { operation: Operation::Delete, ..update("100001", json!({}), Value::Null, 1) };
    let order = Delivery { stream: "orders".into(), ..create(json!({}), 1) };
    for delivery in [with_array, with_key, with_number, delete, order] {
        assert_eq!(kit.kingdee.push(&kit.cx, &delivery).await.unwrap_err().kind(), "rejected");
    }
    assert_eq!(kit.twin.writes(), Writes::default());
}
