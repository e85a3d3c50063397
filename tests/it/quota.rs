//! The quota: nobody is banned, little is left over, and nobody who is in a hurry waits behind a backfill.
//!
//! The hour is a virtual one (`town`): the brains of the nodes are told the time, and so are the grants in the store. It is
//! some minutes long; HUILIU_QUOTA_MINUTES=60 makes it a full one.

mod town;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use huiliu_core::clock::Clock;
use huiliu_core::quota::brain::{Said, hear};
use huiliu_core::quota::ledger::Ledger;
use huiliu_core::quota::scope::Scope;
use huiliu_core::quota::{Lane, Limit, Quota, Quotas, shared};
use huiliu_core::store::{Store, budgets};
use huiliu_tests::kit;

use crate::flow::on_both_stores;
use town::{A_MINUTE, Bank, MINUTE_US, SECOND_US, Town};

/// How long a run is, in minutes.
fn minutes(short: i64) -> i64 {
    std::env::var("HUILIU_QUOTA_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// Eight workers of a backfill on these nodes, and on each somebody who waits, something live and something to repair.
fn town(nodes: usize, bank: Option<Box<Bank<'_>>>, seed: u64) -> Town<'_> {
    let mut town = Town::new(nodes, bank, seed);
    for at in 0..8 {
        town.hire(at % nodes, Lane::Backfill);
    }
    for at in 0..3 {
        for lane in [Lane::Interactive, Lane::Live, Lane::Repair] {
            town.hire(at % nodes, lane);
        }
    }
    town
}

/// A row of a store that is a map.
fn bank() -> Box<Bank<'static>> {
    let mut rows: BTreeMap<Arc<str>, String> = BTreeMap::new();
    Box::new(move |node, now_us, questions, notes| {
        let read = |rows: &BTreeMap<Arc<str>, String>, key: &Arc<str>| -> Ledger {
            rows.get(key).map_or_else(Ledger::default, |row| serde_json::from_str(row).expect("a ledger"))
        };
        let kept = |ledger: &Ledger| serde_json::to_string(ledger).expect("JSON");
        for note in notes {
            for key in &note.about {
                let mut ledger = read(&rows, key);
                hear(&mut [&mut ledger], now_us, note.said);
                rows.insert(key.clone(), kept(&ledger));
            }
        }
        let grants = questions.iter().map(|question| {
            let mut ledger = read(&rows, &question.key);
            ledger.declare(&question.limits, now_us);
            let grant = ledger.grant(now_us, node, question.wants, &question.back);
            rows.insert(question.key.clone(), kept(&ledger));
            grant
        });
        grants.collect()
    })
}

fn bank_of(store: &Store) -> Box<Bank<'_>> {
    Box::new(|node, now_us, questions, notes| {
        shared::settle(store, node, Some(now_us), questions, notes).expect("the store works")
    })
}

/// No ban, no refusal even, nine tenths of the quota used, and nobody who is in a hurry waits.
fn is_good(name: &str, town: &mut Town<'_>, minutes: i64) {
    let whole = town.vendor.whole(1, minutes - 1);
    let used = whole.iter().sum::<u64>();
    let most = A_MINUTE * whole.len() as u64;
    let waits: BTreeMap<&str, i64> = Lane::ALL.map(|lane| (lane.as_str(), town.wait_us(lane, 950) / 1000)).into();
    eprintln!(
        "{name}: {used} of {most} calls in {} minutes, {} questions, p95 of waits in ms {waits:?}",
        whole.len(),
        town.asks
    );
    assert_eq!((town.vendor.bans, town.vendor.refused.len()), (0, 0), "{name}");
    assert!(used * 100 >= most * 90, "{name}: {used} of {most}");
    assert!(waits["interactive"] < 2_000 && waits["live"] < 2_000, "{name}: {waits:?}");
    assert!(town.made[&Lane::Repair] > 0 && town.made[&Lane::Backfill] > 0, "{name}");
}

#[test]
fn an_hour_of_a_backfill_breaks_no_limit_and_leaves_little() {
    for (name, nodes) in [("one node", 1), ("three nodes", 3)] {
        let mut town = town(nodes, (nodes > 1).then(bank), 1);
        town.run_until(minutes(12) * MINUTE_US);
        is_good(name, &mut town, minutes(12));
    }
}

#[test]
fn nodes_share_one_limit_through_their_store() {
    let minutes = minutes(4);
    kit::on_both_stores(|store| {
        let mut town = town(3, Some(bank_of(&store)), 2);
        town.run_until(minutes * MINUTE_US);
        is_good(store.kind(), &mut town, minutes);
        // A few questions a second, not one a call.
        let calls: u64 = town.made.values().sum();
        assert!(town.asks < calls / 8, "{} questions for {calls} calls", town.asks);
    });
}

#[test]
fn a_limit_that_is_halved_is_learned_from_its_first_refusals() {
    for (name, nodes) in [("one node", 1), ("three nodes", 3)] {
        let mut town = town(nodes, (nodes > 1).then(bank), 3);
        let minutes = minutes(10) * 2;
        town.halve_at(5 * MINUTE_US + 17 * SECOND_US);
        town.run_until(minutes * MINUTE_US);
        let refused = &town.vendor.refused;
        let first = refused.keys().next();
        let whole = town.vendor.whole(9, minutes - 2);
        let used = whole.iter().sum::<u64>();
        let most = A_MINUTE / 2 * whole.len() as u64;
        eprintln!("{name}: refused by minute {refused:?}; then {used} of {most} calls in {} minutes", whole.len());
        assert_eq!(town.vendor.bans, 0, "{name}: {refused:?}");
        // The minute in which it was halved had more calls already than it allows now: each worker is refused once at most, and
        // asks a few times when it is over. From then on it is kept, and tried a little higher only now and then.
        assert_eq!(first, Some(&5), "{name}: {refused:?}");
        assert!(refused[&5] <= 8 + 6 && refused.get(&6).is_none_or(|more| *more <= 1), "{name}: {refused:?}");
        assert!(refused.len() <= 5 && refused.values().all(|count| *count <= 8 + 6), "{name}: {refused:?}");
        assert!(used * 100 >= most * 85, "{name}: {used} of {most}");
    }
}

#[test]
fn the_grants_of_a_node_that_was_killed_end() {
    let mut town = town(3, Some(bank()), 4);
    // The workers that are left can use up all that there is.
    for _ in 0..8 {
        town.hire(0, Lane::Backfill);
    }
    town.kill_at(1, 3 * MINUTE_US + 100_000);
    town.run_until(minutes(10) * MINUTE_US);
    is_good("one of three killed", &mut town, minutes(10));
}

/// Lets as many of these calls pass as may within so long.
async fn passed(quotas: &[&Arc<Quota>], each: usize, within: Duration) -> usize {
    let calls = quotas.iter().flat_map(|quota| std::iter::repeat_n(Arc::clone(quota), each));
    let calls: Vec<_> = calls
        .map(|quota| tokio::spawn(async move { tokio::time::timeout(within, quota.acquire()).await.is_ok() }))
        .collect();
    let mut count = 0;
    for call in calls {
        count += usize::from(call.await.expect("a call"));
    }
    count
}

#[test]
fn processes_take_from_one_budget_and_are_silent_together() {
    let budget = || vec![Scope::own("vendor/corp:ww1", &[Limit::Window { calls: 30, span_us: 3_600 * SECOND_US }])];
    on_both_stores(async |store| {
        let quotas = || {
            let store = store.clone();
            async {
                tokio::task::spawn_blocking(move || Quotas::of(&store, &Clock::System))
                    .await
                    .expect("a thread")
                    .expect("it reads")
            }
        };
        let one = Arc::new(quotas().await.quota(budget()));
        // On SQLite there is one process: what it used is kept for the next one when it is told to be silent.
        let two = if store.kind() == "sqlite" { one.clone() } else { Arc::new(quotas().await.quota(budget())) };
        let count = passed(&[&one, &two], 30, Duration::from_millis(1_500)).await;
        assert!((24..=30).contains(&count), "{count} of 30 calls passed");
        one.pause(Duration::from_secs(600));
        let mut kept = Vec::new();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let here = store.clone();
            kept = tokio::task::spawn_blocking(move || here.read(budgets::all))
                .await
                .expect("a thread")
                .expect("it reads");
            if kept.iter().any(|(_, state, _)| !state.contains("\"paused_until_us\":0")) {
                break;
            }
        }
        assert_eq!(kept.first().map(|(name, ..)| name.as_str()), Some("vendor/corp:ww1"));
        // A process that starts now knows both.
        let state: Ledger = serde_json::from_str(&kept[0].1).expect("a ledger");
        let used: u64 = state.meters[0].used(Clock::System.now_us()).iter().sum();
        assert!(used >= count as u64 && state.paused_until_us > Clock::System.now_us(), "{used}: {state:?}");
        let later = Arc::new(quotas().await.quota(vec![Scope::own("vendor/corp:ww1", &[])]));
        if store.kind() == "sqlite" {
            assert_eq!(passed(&[&later], 3, Duration::from_millis(300)).await, 0, "it is silent still");
        }
    });
}

#[test]
fn who_is_in_a_hurry_goes_first_and_nobody_waits_for_ever() {
    let limits = [Limit::Bucket { calls: 2, per_second: 2 }];
    let mut ledger = Ledger::new(&limits, 0);
    let mut order = Vec::new();
    let mut brain = huiliu_core::quota::brain::Brain::new(false);
    let route = [brain.budget(0, "vendor", &limits, None)].into();
    let mut waiting = BTreeMap::new();
    for lane in [Lane::Backfill, Lane::Interactive] {
        for _ in 0..120 {
            match brain.enter(0, lane, &route) {
                None => order.push(lane),
                Some(number) => drop(waiting.insert(number, lane)),
            }
        }
    }
    let mut now_us = 0;
    while !waiting.is_empty() {
        now_us = brain.next_us(now_us).expect("somebody waits").max(now_us + 1);
        order.extend(brain.ready(now_us).iter().filter_map(|number| waiting.remove(number)));
    }
    // The first found nobody there.
    let hasty = order.iter().skip(1).take(122).filter(|lane| **lane == Lane::Interactive).count();
    let slow = 122 - hasty;
    assert!(hasty >= 119 && (1..=3).contains(&slow), "{hasty} {slow}: {order:?}");
    // A refusal with a told wait silences everybody, and then one asks first.
    hear(&mut [&mut ledger], SECOND_US, Said::Refused(Some(10 * SECOND_US)));
    assert_eq!(ledger.room(5 * SECOND_US, Lane::Interactive), 0);
    assert_eq!(ledger.next_us(5 * SECOND_US, Lane::Interactive), 11 * SECOND_US);
    assert_eq!(ledger.room(11 * SECOND_US, Lane::Interactive), 1);
}
