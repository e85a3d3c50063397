//! Each event once, in order.

use std::time::Duration;

use huiliu_core::pipeline::intake::{Appended, Log as _};
use huiliu_jetstream::{Settings, Sync};
use huiliu_tests::kit::on_both_stores;
use huiliu_tests::nats::{Kind, Nats};

use crate::kit::{Hub, RUNTIME, call, numbers, settings, store};

const SENDERS: usize = 8;

/// Events of each sender; every tenth is told twice.
const EVENTS: usize = 200;

/// Senders side by side, each of which waits for its answer; every call must be kept.
fn storm(hub: &Hub) {
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let writer = hub.writer.clone();
            RUNTIME.spawn(async move {
                let name = format!("c{sender}");
                for number in 0..EVENTS {
                    assert_eq!(writer.append(call(&name, number)).await, Ok(Appended::Fresh), "{name} {number}");
                    if number % 10 == 0 {
                        assert_eq!(writer.append(call(&name, number)).await, Ok(Appended::Repeat), "{name} {number}");
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        RUNTIME.block_on(sender).expect("it ends well");
    }
}

fn each_once(hub: &Hub) {
    for (connection, kept) in hub.settles_at(SENDERS * EVENTS) {
        assert_eq!(kept, numbers(EVENTS), "{connection}: in the order in which they were told");
    }
}

#[test]
fn each_event_comes_into_the_inbox_once_and_in_order() {
    on_both_stores(|store| {
        let nats = Nats::start(Kind::default());
        let mut hub = Hub::open(&store, settings(&nats));
        hub.reads();
        storm(&hub);
        each_once(&hub);
        let state = hub.state().expect("it was taken in");
        assert_eq!((state.waiting(), state.trouble), (0, None));
    });
}

/// Debian 12 ships 2.9: it cannot sync always, everything else is the same.
#[test]
fn the_servers_of_debian_do_as_well() {
    let nats = Nats::start(Kind { debian: true, sync_always: false, ..Kind::default() });
    let settings = Settings { sync: Sync::Interval, ..settings(&nats) };
    let mut hub = Hub::open(&store(&nats), settings);
    hub.reads();
    storm(&hub);
    each_once(&hub);
}

#[test]
fn what_the_stream_holds_is_taken_in_later_and_what_the_inbox_knows_is_not_taken_again() {
    on_both_stores(|store| {
        let nats = Nats::start(Kind::default());
        let mut hub = Hub::open(&store, settings(&nats));
        for number in 0..50 {
            assert_eq!(hub.tell("shop", number), Ok(Appended::Fresh));
        }
        assert!(hub.kept().is_empty(), "nobody reads yet");
        hub.reads();
        assert_eq!(hub.settles_at(50)["shop"], numbers(50));
        // Another process does not know what was told to this one; the inbox does.
        let other = Hub::open(&store, settings(&nats));
        for number in 0..60 {
            assert_eq!(other.tell("shop", number), Ok(Appended::Fresh));
        }
        assert_eq!(hub.settles_at(60)["shop"], numbers(60));
    });
}

/// Readers of two processes, and some that end in the middle: whoever has the position appends, the others nothing.
#[test]
fn two_readers_double_nothing() {
    on_both_stores(|store| {
        let nats = Nats::start(Kind::default());
        let mut one = Hub::open(&store, settings(&nats));
        let mut two = Hub::open(&store, settings(&nats));
        one.reads();
        two.reads();
        std::thread::scope(|all| {
            let sending = all.spawn(|| storm(&one));
            while !sending.is_finished() {
                std::thread::sleep(Duration::from_millis(100));
                two.abort_readers();
                two.reads();
            }
        });
        each_once(&one);
    });
}
