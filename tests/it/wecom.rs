//! 企业微信, end to end: a callback comes in encrypted, becomes a customer elsewhere, and an edit there comes back as a
//! tag, whose echo dies.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::store::brakes::Kind;
use huiliu_core::store::inbox;
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use huiliu_twins::hooks::Fault;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};
use serde_json::json;

use crate::flow::{Hub, on_both_stores, shipped};

/// A corp beside a CRM that is told of every customer.
async fn corp(store: huiliu_core::store::Store) -> (Arc<WecomTwin>, Arc<Memory>, Hub) {
    let clock = Clock::System;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let twin = WecomTwin::start().await;
    let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", twin.base_url())];
    let secrets =
        [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
    let crm = Arc::new(Memory::new(false));
    let mut other = kit::connection("crm", &clock, Some(crm.clone()));
    other.creates.insert("customers".to_owned());
    let hub = Hub::live(store, clock.clone(), [shipped("wecom", "wecom", &settings, &secrets, &clock), other]).await;
    twin.set_callback(&format!("{}/hooks/wecom", hub.listen().await));
    twin.add_member("zhang");
    assert_eq!(hub.pull().await, Vec::<String>::new());
    (twin, crm, hub)
}

#[test]
fn a_customer_who_is_handed_over_stays_one_with_all_that_is_known() {
    // Told by callbacks, and found by the next scan.
    for fault in [Fault::None, Fault::Drop] {
        on_both_stores(async |store| {
            let (twin, crm, hub) = corp(store).await;
            let external = twin.add_contact("zhang", Customer::named("李雷")).await;
            twin.edit_company("zhang", &external, "甲有限公司").await;
            twin.edit_mobiles("zhang", &external, &["13800138000"]);
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            assert_eq!(crm.get("made1")["name"], "李雷");
            // She is shared with a colleague, who is told what is known; then the first relation ends.
            twin.hooks.set_fault(fault);
            twin.share_contact("li", &external).await;
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            let before = hub.goldens("customer").await;
            twin.delete_contact("zhang", &external).await;
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            let open = hub.open_links("wecom").await;
            assert!(open.len() == 1 && open[0].contains("/li"), "{open:?}");
            let after = hub.goldens("customer").await;
            assert_eq!((after.len(), &after[0].1), (1, &before[0].1), "the same customer, with all her records");
            assert_eq!(after[0].0["phones.mobile"]["number"], "+8613800138000", "what was noted is still said");
            assert_eq!((&after[0].0["company"], &after[0].0["owner"]), (&json!("甲有限公司"), &json!("li")));
            let kinds = hub.read(|tx| huiliu_core::store::goldens::changes_of(tx, 1, 100)).await;
            assert!(kinds.iter().all(|change| change.kind != "delete"), "nobody was deleted");
            // Nobody is made twice, and what the colleague says from now on travels.
            twin.hooks.set_fault(Fault::None);
            twin.edit_company("li", &external, "乙有限公司").await;
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            assert_eq!(
                (crm.ids(), hub.goldens("customer").await[0].0["company"].clone()),
                (vec!["made1".to_owned()], json!("乙有限公司"))
            );
            let writes = (twin.writes(), crm.writes());
            hub.settle(true).await;
            assert_eq!((twin.writes(), crm.writes()), writes, "and rests");
            // When the last relation ends, she is gone there.
            twin.delete_contact("li", &external).await;
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            assert_eq!((hub.open_links("wecom").await.len(), crm.ids().len()), (0, 1));
        });
    }
}

#[test]
fn a_member_who_leaves_hands_over_many_and_nobody_is_gone() {
    // Told by callbacks all at once, and found by the next scan.
    for fault in [Fault::None, Fault::Drop] {
        on_both_stores(async |store| {
            let (twin, crm, hub) = corp(store).await;
            let mut all = Vec::new();
            for at in 0..12 {
                all.push(twin.preload_contact("zhang", Customer::named(&format!("客户{at}"))));
            }
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            assert_eq!((hub.open_links("wecom").await.len(), crm.ids().len()), (12, 12));
            twin.hooks.set_fault(fault);
            for external in &all {
                twin.share_contact("li", external).await;
                twin.delete_contact("zhang", external).await;
            }
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            let open = hub.open_links("wecom").await;
            assert!(open.len() == 12 && open.iter().all(|key| key.contains("/li")), "{open:?}");
            let now = async || hub.read(huiliu_core::store::overview::read).await;
            let held = async |kind| now().await.held_back("wecom", "contacts", kind);
            assert_eq!((hub.goldens("customer").await.len(), held(Kind::Missing).await), (12, 0));
            // A colleague who loses as many is another thing.
            for external in &all {
                twin.delete_contact("li", external).await;
            }
            assert_eq!(hub.settle(true).await, Vec::<String>::new());
            assert_eq!((hub.open_links("wecom").await.len(), held(Kind::Missing).await), (12, 12));
            assert_eq!(crm.ids().len(), 12);
        });
    }
}

#[test]
fn a_callback_travels_and_an_edit_comes_back() {
    on_both_stores(async |store| {
        let (twin, crm, hub) = corp(store).await;
        twin.create_tag("等级", "vip").await;

        // The callback comes twice: one hint, one customer.
        twin.hooks.set_fault(Fault::Repeat);
        let external = twin.add_contact("zhang", Customer::named("李雷").with_unionid("union-li")).await;
        twin.hooks.set_fault(Fault::None);
        let backlog = hub.read(|tx| inbox::backlog(tx, "process")).await;
        assert!(backlog >= 1, "the callback is in the inbox once it was answered");
        assert_eq!(hub.settle(false).await, Vec::<String>::new());
        assert_eq!(crm.get("made1")["name"], "李雷", "made in the CRM from the callback alone");

        // A person tags the customer in the CRM: it becomes a corp tag of the contact.
        crm.edit("made1", &json!({"tags": ["vip"]}));
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        assert!(twin.snapshot().to_string().contains("vip"), "{}", twin.snapshot());
        let writes = (twin.writes(), crm.writes());
        assert!(writes.0.values().sum::<u64>() >= 1, "{writes:?}");
        hub.settle(true).await;
        assert_eq!((twin.writes(), crm.writes()), writes, "no write after quiescence, full scan included");

        // A member notes the company in WeCom, and the callback is lost on the way: the scan brings it all the same.
        twin.hooks.set_fault(Fault::Drop);
        twin.edit_company("zhang", &external, "甲有限公司").await;
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        assert_eq!(crm.ids(), ["made1"]);
    });
}
