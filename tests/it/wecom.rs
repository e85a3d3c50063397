//! 企业微信, end to end: a callback comes in encrypted, becomes a customer elsewhere, and an edit there comes back as a
//! tag, whose echo dies.

use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::store::inbox;
use huiliu_tests::kit;
use huiliu_tests::memory::Memory;
use huiliu_twins::hooks::Fault;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};
use serde_json::json;

use crate::flow::{Hub, on_both_stores, shipped};

#[test]
fn a_callback_travels_and_an_edit_comes_back() {
    on_both_stores(async |store| {
        let clock = Clock::System;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let twin = WecomTwin::start().await;
        let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", twin.base_url())];
        let secrets =
            [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
        let crm = Arc::new(Memory::new(false));
        let mut other = kit::connection("crm", &clock, Some(crm.clone()));
        other.creates.insert("customers".to_owned());
        let hub =
            Hub::live(store, clock.clone(), [shipped("wecom", "wecom", &settings, &secrets, &clock), other]).await;
        twin.set_callback(&format!("{}/hooks/wecom", hub.listen().await));
        twin.add_member("zhang");
        assert_eq!(hub.pull().await, Vec::<String>::new());
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
