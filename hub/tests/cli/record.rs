//! `connector record` against systems: what is written has their form and none of their people.

use std::collections::BTreeSet;
use std::path::Path;

use huiliu_mappings::normalize::{phone, text};
use huiliu_twins::kingdee::KingdeeTwin;
use huiliu_twins::shopify::ShopifyTwin;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};
use serde_json::{Value, json};

use crate::kit::Folder;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn deployment(system: &str, settings: &[(&str, String)], secrets: &[(&str, &str)]) -> Folder {
    let mut config = format!("[connections.live]\nconnector = '{system}'\nnetwork = 'private'\n");
    for (name, value) in settings {
        config.push_str(&format!("config.{name} = '{value}'\n"));
    }
    let folder = Folder::new(&config);
    for (name, value) in secrets {
        folder.tell(&["secret", "live", name], value).out();
    }
    folder
}

/// The recorded fixtures of a stream.
fn fixtures(folder: &Folder, system: &str, stream: &str) -> Vec<Value> {
    let place = folder.path().join(format!("connectors/{system}/fixtures/{stream}"));
    let mut files: Vec<_> = std::fs::read_dir(place).expect("fixtures").map(|it| it.expect("a file").path()).collect();
    files.sort();
    let read =
        |path: &std::path::PathBuf| serde_json::from_str(&std::fs::read_to_string(path).expect("read")).expect("JSON");
    files.iter().map(read).collect()
}

/// The names in a record, wherever they stand.
fn names(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            found.insert(format!("{at}/{name}"));
            names(value, &format!("{at}/{name}"), found);
        }),
        Value::Array(list) => list.iter().for_each(|value| names(value, &format!("{at}/*"), found)),
        _ => {}
    }
}

/// Whether the recorded records have the shipped fixture's structure.
fn keeps_the_structure(recorded: &Value, shipped: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors").join(shipped);
    let shipped: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON");
    let (mut here, mut there) = (BTreeSet::new(), BTreeSet::new());
    names(recorded, "", &mut here);
    names(&shipped, "", &mut there);
    assert_eq!(here, there);
}

/// No value of the system's people and no secret stands in any file under the folder's connectors.
#[track_caller]
fn nobody_is_in_it(folder: &Folder, people: &[&str], secrets: &[(&str, &str)]) {
    let mut waiting = vec![folder.path().join("connectors")];
    let mut files = 0;
    while let Some(place) = waiting.pop() {
        for entry in std::fs::read_dir(place).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).expect("read").to_lowercase();
            for personal in people.iter().chain(secrets.iter().map(|(_, value)| value)) {
                assert!(!text.contains(&personal.to_lowercase()), "{}: {personal}\n{text}", path.display());
            }
        }
    }
    assert!(files > 0);
}

#[test]
fn a_shops_people_are_replaced_and_stay_one_each() {
    let runtime = runtime();
    let twin = runtime.block_on(ShopifyTwin::start()).expect("a port");
    let meimei = json!({ "firstName": "梅梅", "lastName": "欧阳", "email": "Ouyang.Meimei@corp.cn", "phone": "+8613812345678",
        "note": "梅梅 likes 龙井, call 13812345678", "tags": ["VIP"], "emailConsent": "SUBSCRIBED", "smsConsent": "UNSUBSCRIBED",
        "address": { "address1": "南京西路 1 号", "city": "上海", "province": "上海", "zip": "200000", "countryCodeV2": "CN" } });
    let id = runtime.block_on(twin.add_customer(&meimei)).expect("a customer");
    let line = json!([{ "sku": "TEA-1", "name": "龙井", "quantity": 2, "price": "128.00" }]);
    let order = json!({ "customer": id, "email": "ouyang.meimei@corp.cn", "lines": line });
    runtime.block_on(twin.place_order(&order)).expect("an order");
    let secrets = twin.secrets();
    let folder = deployment("shopify", &twin.settings(), &secrets);
    let said = folder.run(&["connector", "record", "live", "customers", "orders"]).out();
    assert!(said.contains("customers/recorded-1.json") && said.contains("orders/recorded-1.json"), "{said}");
    let people = ["梅梅", "欧阳", "ouyang", "meimei", "corp.cn", "13812345678", "南京西路", "likes", id.as_str()];
    nobody_is_in_it(&folder, &people, &secrets);
    let (customers, orders) = (fixtures(&folder, "shopify", "customers"), fixtures(&folder, "shopify", "orders"));
    let customer = &customers[0];
    keeps_the_structure(customer, "shopify/fixtures/customers/full.json");
    assert_eq!(orders[0]["customer"]["id"], customer["id"], "the same person in both streams");
    assert_eq!(
        orders[0]["email"].as_str().map(str::to_lowercase),
        customer["defaultEmailAddress"]["emailAddress"].as_str().map(str::to_lowercase)
    );
    let number = customer["defaultPhoneNumber"]["phoneNumber"].as_str().expect("a number");
    assert_eq!(phone::canonical(number, "CN").expect("a valid number")["type"], "mobile");
    assert!(customer["note"].as_str().expect("a note").contains(number.trim_start_matches("+86")), "{customer}");
    assert_eq!(customer["defaultEmailAddress"]["marketingState"], "SUBSCRIBED", "the system's own word");
    assert_eq!(orders[0]["totalPriceSet"]["shopMoney"]["amount"], "256.0", "an amount names nobody");
    let said = folder.run(&["--lang", "zh", "connector", "record", "live", "customers"]).out();
    assert!(said.contains("已写入") && said.contains("recorded-2.json"), "{said}");
    assert!(folder.run(&["connector", "record", "live", "custmers"]).err().contains("did you mean `customers`?"));
}

#[test]
fn a_ledgers_companies_keep_valid_tax_numbers() {
    let runtime = runtime();
    let twin = runtime.block_on(KingdeeTwin::start()).expect("a port");
    let fields = json!({ "FName": "星河贸易有限公司", "FShortName": "星河", "FContact": "赵六六", "FPhone": "13912345678",
        "FTAXREGISTERCODE": "91350100M000100Y43", "FNumber": "C001" });
    twin.put_customer(&fields);
    let secrets = twin.secrets();
    let folder = deployment("kingdee", &twin.settings(), &secrets);
    folder.run(&["connector", "record", "live", "customers"]).out();
    nobody_is_in_it(&folder, &["星河", "赵六", "13912345678", "91350100M000100Y43"], &secrets);
    let recorded = &fixtures(&folder, "kingdee", "customers")[0];
    let tax = recorded["FTAXREGISTERCODE"].as_str().expect("a number");
    assert_eq!(text::tax_id(tax).as_deref(), Ok(tax));
    assert_eq!(recorded["FDocumentStatus"], "C", "the system's own word");
}

#[test]
fn a_corps_customers_are_replaced() {
    let runtime = runtime();
    let twin = runtime.block_on(async {
        let twin = WecomTwin::start().await;
        twin.add_member("linmu");
        let external = twin.preload_contact("linmu", Customer::named("韩梅梅"));
        twin.edit_remark("linmu", &external, "韩梅梅-星河").await;
        twin.edit_mobiles("linmu", &external, &["13812345678"]);
        twin
    });
    let secrets =
        [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
    let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", twin.base_url())];
    let folder = deployment("wecom", &settings, &secrets);
    folder.run(&["connector", "record", "live", "contacts"]).out();
    nobody_is_in_it(&folder, &["韩梅梅", "星河", "linmu", "13812345678"], &secrets);
    let recorded = &fixtures(&folder, "wecom", "contacts")[0];
    let name = recorded["external_contact"]["name"].as_str().expect("a name");
    let remark = recorded["follow_info"]["remark"].as_str().expect("a remark");
    assert!(remark.starts_with(&format!("{name}-")), "the same name in both: {remark}");
    assert_eq!(recorded["userid"], recorded["follow_info"]["userid"]);
}
