//! The same over HTTP: `HubSpot`, whose search lags behind what its pages say.

use std::collections::BTreeSet;
use std::sync::Arc;

use huiliu_core::clock::Clock;
use huiliu_core::pipeline::reconcile::{self, Pace, SHARE_PERCENT};
use huiliu_core::store::divergences::{self, State};
use huiliu_core::store::meter;
use huiliu_tests::kit::{self, DAY_ONE_US};
use huiliu_tests::memory::Memory;
use huiliu_twins::hubspot::HubspotTwin;
use serde_json::json;

use crate::flow::{Hub, on_both_stores, shipped};

/// What the manifest declares.
const PER_SECOND: i64 = 4;

/// No webhook is set up. While the index stands still six people are edited, one is made, and one is deleted. Then it goes
/// on, and a search brings somebody who was edited two hours later: the others are behind the cursor by more than the hour
/// that is read again. Returns what is lost.
async fn lose(hub: &Hub, twin: &HubspotTwin, crm: &Memory, tick: &dyn Fn(i64)) -> BTreeSet<String> {
    let all = twin.snapshot("contacts");
    let ids: Vec<String> = all.as_object().expect("an object").keys().take(8).cloned().collect();
    twin.set_index_held(true);
    let mut wanted = BTreeSet::new();
    for id in &ids[..6] {
        twin.edit("contacts", id, &json!({ "jobtitle": "总监" })).await.expect("an edit");
        wanted.insert(format!("{id} missed"));
    }
    let late = json!({ "firstname": "Late", "email": "late@example.com" });
    wanted.insert(format!("{} unseen", twin.add("contacts", &late).await.expect("a contact")));
    twin.archive("contacts", &ids[6]).await;
    wanted.insert(format!("{} vanished", ids[6]));
    twin.skip_index();
    tick(2 * 3_600_000_000);
    twin.edit("contacts", &ids[7], &json!({ "jobtitle": "经理" })).await.expect("an edit");
    assert_eq!(hub.settle(true).await, Vec::<String>::new());
    twin.set_index_held(false);
    tick(300_000_000);
    assert_eq!(hub.settle(true).await, Vec::<String>::new());
    assert!(crm.ids().iter().all(|id| crm.get(id)["title"] != "总监"), "the search lost them");
    wanted
}

#[test]
fn what_a_lagging_search_lost_is_named_and_repaired_within_the_share() {
    on_both_stores(async |store| {
        let clock = Clock::manual(DAY_ONE_US);
        let twin = Arc::new(HubspotTwin::start().await.expect("a port"));
        let tick = |us: i64| {
            clock.advance_us(us);
            twin.set_now_ms(Some(clock.now_us() / 1_000));
        };
        tick(0);
        for at in 0..250 {
            let person = json!({ "firstname": format!("P{at}"), "email": format!("p{at}@example.com") });
            twin.put("contacts", &person).expect("a contact");
        }
        let hubspot = shipped("hs", "hubspot", &twin.settings("https://hub.example"), &twin.secrets(), &clock);
        let crm = Arc::new(Memory::new(false));
        let mut other = kit::connection("crm", &clock, Some(crm.clone()));
        other.creates.insert("customers".to_owned());
        let hub = Hub::live(store, clock.clone(), [hubspot, other]).await;
        assert_eq!(hub.settle(true).await, Vec::<String>::new());
        assert_eq!(crm.ids().len(), 250);
        let wanted = lose(&hub, &twin, &crm, &tick).await;
        let ids: Vec<&String> = wanted.iter().filter(|it| it.ends_with(" missed")).collect();
        let (began_us, before) = (clock.now_us(), twin.calls());
        let mut named = BTreeSet::new();
        let mut ordinary = 0;
        loop {
            let connection = &hub.engine.connections["hs"];
            let done = reconcile::batch(&hub.engine, connection, &Pace::Share(SHARE_PERCENT)).await.expect("a store");
            assert_eq!(done.error, None);
            let at = twin.calls();
            assert_eq!(hub.settle(false).await, Vec::<String>::new());
            ordinary += twin.calls() - at;
            let (rows, meters, open) = hub
                .read(|tx| {
                    let states = [State::Repairing, State::Stuck, State::Repaired];
                    Ok((divergences::in_states(tx, &states, 1000)?, meter::read(tx)?, meter::open(tx, 1000)?))
                })
                .await;
            named.extend(rows.iter().map(|it| format!("{} {}", it.external_id, it.kind.as_str())));
            let contacts = meters.iter().find(|it| it.stream == "contacts");
            if contacts.is_some_and(|it| it.last_us.is_some()) && open.is_empty() {
                break;
            }
            assert!(clock.now_us() < began_us + 12 * 3_600_000_000, "{open:?}");
            tick((done.next_us.unwrap_or(0) - clock.now_us()).clamp(1_000, 600_000_000));
        }
        assert_eq!(named, wanted);
        let (calls, seconds) =
            (i64::try_from(twin.calls() - before - ordinary).expect("few"), (clock.now_us() - began_us) / 1_000_000);
        eprintln!("hubspot: {calls} calls in {seconds} s of a quota of {PER_SECOND}/s");
        assert!(calls * 100 <= i64::from(SHARE_PERCENT) * PER_SECOND * seconds, "{calls} calls in {seconds} s");
        for id in ids {
            let email = twin.snapshot("contacts")[id.trim_end_matches(" missed")]["email"].clone();
            let theirs = crm.ids().into_iter().map(|id| crm.get(&id)).find(|it| it["email"] == email).expect("known");
            assert_eq!(theirs["title"], "总监");
        }
        assert!(crm.ids().iter().any(|id| crm.get(id)["email"] == "late@example.com"));
    });
}
