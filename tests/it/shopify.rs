//! A shop, end to end: webhooks come signed, repeated, reordered or not at all, and become golden customers with their
//! orders; a change made elsewhere reaches the shop; then nothing is written any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::pipeline::{plan, process, pull, push};
use huiliu_core::store::{Store, goldens, inbox, links};
use huiliu_mappings::value::Reference;
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use huiliu_twins::hooks::Fault;
use huiliu_twins::shopify::ShopifyTwin;
use serde_json::{Value, json};

use crate::flow::{Hub, on_both_stores, shipped};

struct Shop {
    twin: ShopifyTwin,
    crm: Arc<Memory>,
    hub: Hub,
}

/// A live shop beside a live CRM that is told of every customer.
async fn shop(store: Store) -> Shop {
    let clock = Clock::System;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let twin = ShopifyTwin::start().await.expect("a port");
    let mut shop = shipped("shop", "shopify", &twin.settings(), &twin.secrets(), &clock);
    shop.creates.insert("customers".to_owned());
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock, [shop, other]).await;
    twin.set_webhook(&format!("{}/hooks/shop", hub.listen().await));
    assert_eq!(hub.pull().await, Vec::<String>::new());
    Shop { twin, crm, hub }
}

impl Shop {
    async fn settle(&self, pulls: bool) {
        self.twin.settled().await;
        assert_eq!(self.hub.settle(pulls).await, Vec::<String>::new());
        self.twin.settled().await;
        assert_eq!(self.hub.settle(pulls).await, Vec::<String>::new());
        assert_eq!(self.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    }

    /// Living golden records with the names of their links and what these refer to.
    async fn goldens(&self, entity: &'static str) -> Vec<(Value, Vec<String>, Vec<String>)> {
        self.hub
            .read(move |tx| {
                let all = goldens::after(tx, entity, 0, 100)?;
                let mut shown = Vec::new();
                for golden in all.into_iter().filter(|it| it.merged_into.is_none()) {
                    let members = links::by_goldens(tx, [golden.id])?;
                    let mut names: Vec<String> = members.iter().map(|it| it.key.to_string()).collect();
                    names.sort();
                    let records = members.iter().flat_map(|it| it.state.references.iter().map(move |to| (it, to)));
                    let refers = records.filter_map(|(it, to)| match to {
                        Reference::Record { lens, id } => Some(format!("{}/{lens}/{id}", it.key.connection)),
                        Reference::Identity(_) => None,
                    });
                    shown.push((json!(golden.fields), names, refers.collect()));
                }
                Ok(shown)
            })
            .await
    }

    fn writes(&self) -> (u64, usize) {
        (self.twin.writes().values().sum(), self.crm.writes())
    }
}

fn lei() -> Value {
    json!({ "firstName": "雷", "lastName": "李", "email": "li.lei@example.com", "phone": "+8613800138000" })
}

#[test]
fn webhooks_make_customers_with_their_orders_and_an_edit_comes_back() {
    on_both_stores(async |store| {
        let shop = shop(store).await;
        // Told twice: one customer.
        shop.twin.hooks().set_fault(Fault::Repeat);
        let id = shop.twin.add_customer(&lei()).await.expect("a customer");
        // Told in the wrong order: the note that counts is the last one.
        shop.twin.hooks().set_fault(Fault::Hold);
        for note in ["first", "last"] {
            shop.twin.edit_customer(&id, &json!({ "note": note })).await.expect("an edit");
        }
        let lines = json!([{ "sku": "TEA-1", "name": "龙井", "quantity": 2, "price": "128.00" }]);
        let order = json!({ "customer": id, "email": "li.lei@example.com", "lines": lines });
        let bought = shop.twin.place_order(&order).await.expect("an order");
        shop.twin.hooks().set_fault(Fault::None);
        shop.twin.hooks().release().await;
        shop.settle(false).await;

        let customers = shop.goldens("customer").await;
        let [(fields, names, _)] = customers.as_slice() else { panic!("one customer: {customers:?}") };
        assert_eq!(*names, ["crm/customers/made1".to_owned(), format!("shop/customers/{id}")]);
        assert_eq!(fields["remark"], "last");
        let orders = shop.goldens("order").await;
        let [(fields, bought_as, subject)] = orders.as_slice() else { panic!("one order: {orders:?}") };
        assert_eq!(fields["total"], json!({ "amount": "256.00", "currency": "CNY" }));
        assert_eq!(*bought_as, [format!("shop/orders/{bought}")]);
        assert!(
            subject.iter().all(|it| names.contains(it)) && subject.len() == 1,
            "{subject:?} is attached to {names:?}"
        );
        assert_eq!(shop.crm.get("made1")["email"], "li.lei@example.com");

        // An edit elsewhere reaches the shop; the shop tells of it in turn, and that echo dies.
        shop.crm.edit("made1", &json!({ "tags": ["vip"] }));
        shop.settle(true).await;
        assert_eq!(shop.twin.snapshot()["customers"][&id]["tags"], json!(["vip"]));
        let writes = shop.writes();
        assert_eq!(writes.0, 1);
        shop.settle(true).await;
        assert_eq!(shop.writes(), writes, "no write after quiescence");

        // What no webhook told is found by the schedule.
        shop.twin.hooks().set_fault(Fault::Drop);
        shop.twin.edit_customer(&id, &json!({ "email": "lei@example.com" })).await.expect("an edit");
        shop.settle(true).await;
        assert_eq!(shop.crm.get("made1")["email"], "lei@example.com");
        assert_eq!(shop.writes().0, writes.0, "what the shop said is not written back to it");
    });
}

#[test]
fn customers_that_the_shop_merges_stay_one_with_all_orders() {
    on_both_stores(async |store| {
        let shop = shop(store).await;
        let kept = shop.twin.add_customer(&lei()).await.expect("a customer");
        let other = json!({ "firstName": "雷雷", "email": "lei.lei@example.com", "note": "老客户" });
        let lost = shop.twin.add_customer(&other).await.expect("a customer");
        let lines = json!([{ "sku": "TEA-1", "name": "龙井", "quantity": 1, "price": "128.00" }]);
        let order = json!({ "customer": lost, "email": "lei.lei@example.com", "lines": lines });
        let bought = shop.twin.place_order(&order).await.expect("an order");
        shop.settle(false).await;
        assert_eq!((shop.goldens("customer").await.len(), shop.crm.ids().len()), (2, 2));
        shop.twin.merge_customers(&kept, &lost).await.expect("a merge");
        shop.settle(false).await;
        let customers = shop.goldens("customer").await;
        let [(fields, names, _)] = customers.as_slice() else { panic!("one customer: {customers:?}") };
        for name in ["crm/customers/made1", "crm/customers/made2", &format!("shop/customers/{lost}")] {
            assert!(names.iter().any(|it| it == name), "history follows: {names:?}");
        }
        assert_eq!(fields["remark"], "老客户");
        let mut open = [format!("shop/customers/{kept}"), format!("shop/orders/{bought}")];
        open.sort();
        assert_eq!(shop.hub.open_links("shop").await, open);
        let orders = shop.goldens("order").await;
        let [(_, _, subject)] = orders.as_slice() else { panic!("one order: {orders:?}") };
        assert!(subject.len() == 1 && names.contains(&subject[0]), "{subject:?} is attached to {names:?}");
        let told =
            shop.hub.read(|tx| Ok([goldens::changes_of(tx, 1, 100)?, goldens::changes_of(tx, 2, 100)?].concat())).await;
        assert!(told.iter().all(|change| change.kind != "delete"), "nobody is deleted: {told:?}");
        let writes = shop.writes();
        shop.settle(true).await;
        assert_eq!((shop.writes(), shop.crm.ids().len()), (writes, 2), "and it rests");
    });
}

#[test]
fn a_customer_made_elsewhere_is_made_in_the_shop_once() {
    on_both_stores(async |store| {
        let shop = shop(store).await;
        shop.crm.edit("c1", &json!({ "name": "韩梅梅", "email": "han@example.com", "phone": "+8613800138001" }));
        shop.settle(true).await;
        let customers = shop.goldens("customer").await;
        assert_eq!(customers.len(), 1, "{customers:?}");
        assert_eq!(customers[0].1.len(), 2, "{customers:?}");
        let writes = shop.writes();
        assert_eq!(writes, (1, 0));
        shop.settle(true).await;
        assert_eq!(shop.writes(), writes);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_bucket_is_waited_for_and_not_hammered() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&format!("sqlite:{}", folder.path().join("t.db").display())).expect("SQLite opens");
    let shop = shop(store).await;
    for number in 0..3 {
        let input = json!({ "firstName": format!("B{number}"), "email": format!("b{number}@example.com") });
        shop.twin.put_customer(&input).expect("a customer");
    }
    // Points flow back at 100 a second, and the page costs more than there is: the next call waits as long as told.
    shop.twin.set_points(0);
    let (engine, customers) = (&shop.hub.engine, "customers".into());
    let connection = &engine.connections["shop"];
    let refused = pull::stream(engine, connection, &customers, 1).await.expect("the store works");
    assert!(refused.error.is_some_and(|told| told.contains("Throttled")));
    let asked = Instant::now();
    let pulled = pull::stream(engine, connection, &customers, 1).await.expect("the store works");
    assert_eq!((pulled.records, pulled.error), (3, None));
    assert!(asked.elapsed() > Duration::from_secs(1), "waited {:?} only", asked.elapsed());
    assert_eq!(shop.twin.throttled(), 1);
    assert_eq!(shop.hub.settle(false).await, Vec::<String>::new());
    assert_eq!(shop.goldens("customer").await.len(), 3);
}

/// Stamps of whole seconds: an edit in the second of the last one bears the same stamp. The fields themselves tell.
#[test]
fn an_edit_in_the_same_second_is_not_overwritten() {
    on_both_stores(async |store| {
        let shop = shop(store).await;
        shop.twin.set_now_s(Some(Clock::System.now_us() / 1_000_000));
        let id = shop.twin.add_customer(&lei()).await.expect("a customer");
        shop.settle(true).await;
        let stamp = shop.twin.snapshot()["customers"][&id]["updatedAt"].clone();
        // Somebody changes the address elsewhere, and before it is written the shop's own people do.
        shop.crm.edit("made1", &json!({ "email": "from-crm@example.com" }));
        assert_eq!(shop.hub.pull().await, Vec::<String>::new());
        let here = shop.hub.engine.clone();
        let planned = tokio::task::spawn_blocking(move || {
            process::batch(&here).expect("process");
            plan::batch(&here).expect("plan").1
        });
        assert_eq!(planned.await.expect("no panic"), 1);
        shop.twin.hooks().set_fault(Fault::Drop);
        shop.twin.edit_customer(&id, &json!({ "email": "from-shop@example.com" })).await.expect("an edit");
        assert_eq!(shop.twin.snapshot()["customers"][&id]["updatedAt"], stamp, "nothing else tells them apart");
        let engine = &shop.hub.engine;
        assert_eq!(push::batch(engine, &engine.connections["shop"]).await.expect("the store works"), 1);
        let email = |shop: &Shop| shop.twin.snapshot()["customers"][&id]["defaultEmailAddress"]["emailAddress"].clone();
        assert_eq!(email(&shop), "from-shop@example.com", "the edit stands");
        shop.settle(true).await;
        assert_eq!(shop.crm.get("made1")["email"], email(&shop), "and then all agree");
    });
}
