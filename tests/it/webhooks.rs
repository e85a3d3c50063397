//! A storm of webhooks: 500 distinct events of WeCom in one second, 5 % of them lost, a fifth sent twice, in any order.
//! In the end every system holds what was entered, no event was taken for a repeat of another one, and nothing was done
//! twice. `hub/tests/crash/webhooks.rs` kills the real program in such a storm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::store::{Store, inbox};
use huiliu_twins::dice::Dice;
use huiliu_twins::hooks::Fault;
use huiliu_twins::hubspot::HubspotTwin;
use huiliu_twins::wecom::{CALLBACK_TOKEN, CORP_ID, CORP_SECRET, Customer, ENCODING_AES_KEY, WecomTwin};

use crate::flow::{Hub, on_both_stores, shipped};

const MEMBER: &str = "zhang";

/// Customers of the member. Some are edited twice in the second: these events have equal content.
const CUSTOMERS: usize = 400;

/// Distinct events of the second.
const EVENTS: usize = 500;

struct Storm {
    hub: Hub,
    wecom: Arc<WecomTwin>,
    crm: HubspotTwin,
    external: Vec<String>,
}

impl Storm {
    /// Everybody is known to WeCom, made in the CRM, and at rest.
    async fn gathers(store: Store) -> Self {
        let clock = Clock::System;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (wecom, crm) = (WecomTwin::start().await, HubspotTwin::start().await.expect("a port"));
        let settings = [("corp_id", CORP_ID.to_owned()), ("base_url", wecom.base_url())];
        let secrets =
            [("corp_secret", CORP_SECRET), ("callback_token", CALLBACK_TOKEN), ("encoding_aes_key", ENCODING_AES_KEY)];
        let mut other = shipped("crm", "hubspot", &crm.settings("https://hub.example"), &crm.secrets(), &clock);
        other.creates.insert("contacts".to_owned());
        let mine = shipped("wecom", "wecom", &settings, &secrets, &clock);
        let hub = Hub::live(store, clock, [mine, other]).await;
        wecom.set_callback(&format!("{}/hooks/wecom", hub.listen().await));
        let preload = |number: usize| {
            wecom.preload_noted(MEMBER, Customer::named(&format!("客户{number}")), &[&format!("138001{number:05}")])
        };
        let external = (0..CUSTOMERS).map(preload).collect();
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        let storm = Self { hub, wecom, crm, external };
        assert_eq!(storm.contacts().len(), CUSTOMERS);
        storm
    }

    /// By mobile: the companies in the CRM.
    fn contacts(&self) -> BTreeMap<String, String> {
        let all = self.crm.snapshot("contacts");
        let all = all.as_object().expect("contacts").values();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        all.map(|it| (text(&it["mobilephone"]), text(&it["company"]))).collect()
    }

    fn truth(&self) -> BTreeMap<String, String> {
        let all = self.wecom.snapshot();
        let noted = all.as_object().expect("contacts").values().map(|it| &it["follow_info"]);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        noted.map(|it| (format!("+86{}", text(&it["remark_mobiles"][0])), text(&it["remark_corp_name"]))).collect()
    }
}

#[test]
fn five_hundred_events_in_one_second_are_five_hundred() {
    on_both_stores(async |store| {
        let storm = Storm::gathers(store).await;
        let (written, idle) = (storm.crm.writes(), storm.crm.idle_writes());
        // They are entered and stamped within one second.
        storm.wecom.set_time(Clock::System.now().as_second());
        storm.wecom.hooks.set_fault(Fault::Hold);
        for number in 0..EVENTS {
            let company = format!("甲{number}有限公司");
            storm.wecom.edit_company(MEMBER, &storm.external[number % CUSTOMERS], &company).await;
        }
        let sent = storm.wecom.hooks.storm(Dice::new(4), 5, 20).await;
        assert_eq!(sent, EVENTS * 95 / 100);
        let tally = storm.wecom.hooks.tally();
        assert_eq!((tally.refused, tally.accepted, tally.repeated), (0, 575, 100), "each call was answered");
        let kept = storm.hub.read(|tx| inbox::backlog(tx, "process")).await;
        assert_eq!(kept, i64::try_from(sent).unwrap(), "no event is taken for another, and no repeat for an event");
        // What was told is carried on at once, and what was lost is found by the schedule.
        assert_eq!(storm.hub.settle(false).await, Vec::<String>::new());
        let late: BTreeSet<String> = storm
            .truth()
            .into_iter()
            .filter(|(mobile, company)| storm.contacts()[mobile] != *company)
            .map(|it| it.0)
            .collect();
        assert!(late.len() <= EVENTS * 5 / 100, "{late:?}");
        assert_eq!(storm.hub.settle(true).await, Vec::<String>::new());
        assert_eq!(storm.contacts(), storm.truth());
        assert_eq!(storm.crm.idle_writes(), idle, "nothing was written twice");
        assert_eq!(storm.crm.writes() - written, CUSTOMERS as u64, "one write for each customer, whatever was told");
        assert_eq!(storm.wecom.writes(), BTreeMap::new());
        assert_eq!(storm.hub.read(|tx| inbox::dead_letters(tx, 10)).await, []);
    });
}
