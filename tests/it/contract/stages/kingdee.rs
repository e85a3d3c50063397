//! A ledger of companies and orders, read in short pages.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_tests::front::Front;
use huiliu_twins::kingdee::KingdeeTwin;
use serde_json::json;

use super::{Stage, origin, size};
use crate::flow::shipped;

/// See the module.
pub async fn stage() -> Stage {
    let twin = Arc::new(KingdeeTwin::start().await.expect("a port"));
    for number in 0..7 {
        let id =
            twin.put_customer(&json!({ "FName": format!("测试公司{number}"), "FNumber": format!("C{number:03}") }));
        let id: u64 = id.parse().expect("a number");
        let lines = json!([{ "FMaterialId.FNumber": "M1", "FMaterialId.FName": "测试物料", "FQty": 2 }]);
        twin.put_order(&json!({ "FBillNo": format!("X{number}"), "FCustId": id, "FDate": "2023-11-15T00:00:00",
            "entries": lines }));
    }
    let front = Front::of(&origin(&twin.base_url())).await;
    let mut settings = twin.settings().to_vec();
    for (name, value) in &mut settings {
        if *name == "base_url" {
            *value = front.instead_of(value);
        }
    }
    settings.push(("page_size", "3".to_owned()));
    let connection = shipped("kingdee", "kingdee", &settings, &twin.secrets(), &Clock::System);
    let (counted, wrote) = (twin.clone(), twin);
    Stage {
        connection,
        front: Some(front),
        bad_secret: Some(("app_secret", "fedcba9876543210fedcba9876543210")),
        refusals: &[("response_error: something", "transient")],
        paged: &["customers", "orders"],
        create: Some(("customers", json!({ "FName": "汇流测试贸易有限公司", "FShortName": "汇流" }))),
        count: Box::new(move || size(&counted.snapshot()["customers"])),
        field: Some("short_name"),
        writes: Box::new(move || wrote.writes().saves),
    }
}
