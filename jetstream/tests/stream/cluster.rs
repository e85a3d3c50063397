//! Three servers, of which one dies, and then all.
//!
//! `HUILIU_LOG_EVENTS=50000 cargo test -p huiliu-jetstream --test stream cluster` lets more events come.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use huiliu_core::pipeline::intake::Log as _;
use huiliu_core::store::Store;
use huiliu_tests::nats::{Kind, Nats};
use huiliu_tests::postgres;

use crate::kit::{Hub, RUNTIME, STREAM, call, settings, store, until};

const SENDERS: usize = 8;

fn events() -> usize {
    std::env::var("HUILIU_LOG_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000)
}

/// What senders were told: each tells its events again until they are kept, as webhooks are.
struct Load {
    acknowledged: Arc<Mutex<BTreeSet<usize>>>,
    refused: Arc<AtomicUsize>,
    senders: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// So many events; every twentieth is told twice.
    fn begin(hub: &Hub, events: usize) -> Self {
        let (acknowledged, refused) = (Arc::<Mutex<BTreeSet<usize>>>::default(), Arc::<AtomicUsize>::default());
        let next = Arc::<AtomicUsize>::default();
        let senders = (0..SENDERS).map(|_| {
            let (writer, acknowledged) = (hub.writer.clone(), acknowledged.clone());
            let (refused, next) = (refused.clone(), next.clone());
            RUNTIME.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= events {
                        return;
                    }
                    let times = if number.is_multiple_of(20) { 2 } else { 1 };
                    for _ in 0..times {
                        while writer.append(call("shop", number)).await.is_err() {
                            refused.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                    acknowledged.lock().expect("no panic").insert(number);
                }
            })
        });
        let senders = senders.collect();
        Self { acknowledged, refused, senders }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().expect("no panic").len()
    }

    fn reaches(&self, count: usize) {
        until("the load goes on", || (self.count() >= count).then_some(()));
    }

    fn end(self) -> (BTreeSet<usize>, usize) {
        for sender in self.senders {
            RUNTIME.block_on(sender).expect("it ends well");
        }
        let acknowledged = self.acknowledged.lock().expect("no panic").clone();
        (acknowledged, self.refused.load(Ordering::SeqCst))
    }
}

fn none_lost(nats: &Nats, store: &Store) {
    let mut hub = Hub::open(store, settings(nats));
    hub.reads();
    let events = events();
    let load = Load::begin(&hub, events);
    load.reaches(events / 8);
    let leader = until("somebody leads", || nats.leader(STREAM));
    nats.kill(leader);
    load.reaches(events / 4);
    nats.restart(leader);
    // The reader's own server dies, or another one; and while the first one catches up.
    nats.kill((leader + 1) % 3);
    load.reaches(events / 2);
    nats.restart((leader + 1) % 3);
    load.reaches(events * 5 / 8);
    for number in 0..3 {
        nats.kill(number);
    }
    std::thread::sleep(Duration::from_secs(1));
    for number in 0..3 {
        nats.restart(number);
    }
    let (acknowledged, refused) = load.end();
    assert_eq!(acknowledged.len(), events);
    let mut kept = hub.settles_at(events).remove("shop").expect("events");
    kept.sort_unstable();
    assert_eq!(kept, acknowledged.into_iter().collect::<Vec<_>>(), "0 lost, 0 doubled");
    assert!(refused > 0, "while nobody was there, somebody was told to come again");
    assert_eq!(hub.state().and_then(|it| it.trouble), None);
}

fn three() -> Nats {
    Nats::start(Kind { servers: 3, ..Kind::default() })
}

#[test]
fn no_server_that_dies_loses_or_doubles_an_event() {
    let nats = three();
    none_lost(&nats, &store(&nats));
}

#[test]
fn nor_with_the_store_on_postgres() {
    none_lost(&three(), &Store::open(&postgres::database()).expect("a store"));
}
