//! The fixtures are what the connector reads from the twin, and the mapping understands them both ways.

use std::path::PathBuf;

use huiliu_mappings::lens::Lens;
use huiliu_mappings::model::Model;
use serde_json::{Value, json};

use crate::kit::{Kit, acme, create};
use huiliu_core::connector::Connector as _;

fn fixture(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn lenses() -> Vec<Lens> {
    let text = include_str!("../../../../mappings/systems/kingdee.toml");
    Lens::parse_file("mappings/systems/kingdee.toml", text, &Model::shipped()).unwrap()
}

async fn with_books() -> Kit {
    let kit = Kit::new().await;
    kit.twin.set_now_s(Some(1_700_000_000));
    let customer = json!({ "FName": "汇流测试贸易有限公司", "FShortName": "汇流测试", "FContact": "赵六", "FPhone": "13800138000",
                           "FTAXREGISTERCODE": "91350100M000100Y43", "FNumber": "C001" });
    let id: u64 = kit.twin.put_customer(&customer).parse().unwrap();
    kit.twin.put_customer(&json!({ "FName": "Huiliu Example Ltd", "FNumber": "C002" }));
    let line =
        |sku: &str, quantity| json!({ "FMaterialId.FNumber": sku, "FMaterialId.FName": "测试物料", "FQty": quantity });
    kit.twin.put_order(
        &json!({ "FBillNo": "XSDD0001", "FCustId": id, "FDate": "2023-11-15T00:00:00", "FBillAllAmount_LC": 25.5,
        "FSaleOrgId.FNumber": "100", "entries": [line("M1", 2), line("M2", 3)] }),
    );
    kit
}

#[tokio::test]
async fn fixtures_are_what_is_read() {
    let kit = with_books().await;
    for (stream, names) in [("customers", &["customers/full", "customers/bare"][..]), ("orders", &["orders/two_lines"])]
    {
        let (records, _) = kit.pull_all(stream, None).await;
        let bodies: Value = records.into_iter().map(|record| record.body).collect();
        let expected: Value = names.iter().map(|name| fixture(name)).collect();
        assert_eq!(bodies, expected, "fixtures/{stream}; it should be\n{bodies:#}");
    }
}

#[test]
fn records_in_canonical_words() {
    let lenses = lenses();
    let lens = |name: &str| lenses.iter().find(|lens| lens.name() == name).unwrap();
    let (customer, _) = lens("customers").map(&fixture("customers/full"));
    let expected = json!({ "kind": "organization", "legal_name": "汇流测试贸易有限公司", "short_name": "汇流测试",
        "tax_id": "91350100M000100Y43", "phones.work": { "number": "+8613800138000", "type": "mobile" },
        "custom.contact_name": "赵六", "custom.erp_number": "C001" });
    assert_eq!(json!(customer.fields), expected);
    let (order, _) = lens("orders").map(&fixture("orders/two_lines"));
    let expected = json!({ "number": "XSDD0001", "ordered_at": "2023-11-14T16:00:00Z", "status": "C",
        "total": { "amount": "25.50", "currency": "CNY" },
        "lines": [{ "sku": "M1", "name": "测试物料", "quantity": "2" }, { "sku": "M2", "name": "测试物料", "quantity": "3" }] });
    assert_eq!(json!(order.fields), expected);
    assert_eq!(json!(order.references), json!([{ "record": { "lens": "customers", "id": "100001" } }]));
}

/// What a lens renders for a create reads back, after the system has stored it, as the same canonical fields.
#[tokio::test]
async fn a_rendered_create_reads_back_equal() {
    let kit = Kit::new().await;
    let lenses = lenses();
    let (mut golden, _) = lenses[0].map(&acme());
    let wanted = lenses[0].project(&golden.fields);
    let filled = wanted.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let receipt = kit.kingdee.push(&kit.cx, &create(lenses[0].render(&filled), 1)).await.unwrap();
    let (stored, issues) = lenses[0].map(&receipt.stored.unwrap().body);
    assert_eq!(issues, []);
    golden.fields.insert("custom.contact_name".into(), Value::Null);
    golden.fields.insert("custom.erp_number".into(), json!("HL0123456789ABCDEF"));
    assert_eq!(stored.fields, golden.fields);
}
