//! What is missing is told, and a person decides; what cannot be kept is refused, and nothing acknowledged is lost.

use std::path::Path;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream::Stream};
use huiliu_core::pipeline::intake::{Appended, GROUP_MAX, IntakeError, Log as _, WAITING_MAX};
use huiliu_core::pipeline::log;
use huiliu_core::store::inbox;
use huiliu_jetstream::Settings;
use huiliu_tests::nats::{Kind, Nats};

use crate::kit::{Hub, RUNTIME, STREAM, call, numbers, settings, store, until};

/// The stream in the hands of somebody else.
fn stream(nats: &Nats) -> Stream {
    RUNTIME.block_on(async {
        let client = async_nats::connect(nats.urls()).await.expect("a client");
        jetstream::new(client).get_stream(STREAM).await.expect("the stream")
    })
}

fn delete(nats: &Nats) {
    RUNTIME.block_on(async {
        let client = async_nats::connect(nats.urls()).await.expect("a client");
        jetstream::new(client).delete_stream(STREAM).await.expect("it is deleted");
    });
}

fn accept(hub: &Hub) {
    assert!(log::accept(&hub.store, STREAM).expect("the store"));
    until("it goes on", || hub.state().filter(|it| it.trouble.is_none() && !it.accepted));
}

fn tell(hub: &Hub, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(hub.insist("shop", number), Appended::Fresh, "{number}");
    }
}

#[test]
fn a_stream_that_is_gone_is_told_and_not_made_anew_behind_anybodys_back() {
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), settings(&nats));
    hub.reads();
    tell(&hub, 0..10);
    hub.settles_at(10);
    delete(&nats);
    let told = hub.trouble("the stream calls is gone");
    assert!(told.contains("huiliu intake --accept"), "{told}");
    assert!(matches!(hub.tell("shop", 10), Err(IntakeError::Away(_))), "nowhere to keep it");
    accept(&hub);
    tell(&hub, 10..20);
    assert_eq!(hub.settles_at(20)["shop"], numbers(20));
}

#[test]
fn a_stream_that_was_made_anew_is_not_taken_for_the_former_one() {
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), settings(&nats));
    hub.reads();
    tell(&hub, 0..10);
    hub.settles_at(10);
    let former = RUNTIME.block_on(stream(&nats).get_info()).expect("info").config;
    delete(&nats);
    RUNTIME.block_on(async {
        let client = async_nats::connect(nats.urls()).await.expect("a client");
        jetstream::new(client).create_stream(former).await.expect("it is made");
    });
    // Its numbers begin anew: those up to the position would be passed over.
    tell(&hub, 10..30);
    hub.trouble("the stream calls was deleted and made anew");
    assert_eq!(hub.kept()["shop"].len(), 10, "nothing is passed over silently");
    accept(&hub);
    assert_eq!(hub.settles_at(30)["shop"], numbers(30));
}

#[test]
fn what_somebody_removed_before_it_was_taken_in_is_told() {
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), settings(&nats));
    hub.reads();
    tell(&hub, 0..10);
    hub.settles_at(10);
    hub.abort_readers();
    tell(&hub, 10..20);
    RUNTIME.block_on(stream(&nats).purge().sequence(16).into_future()).expect("it is purged");
    hub.reads();
    hub.trouble("messages 11 to 15 of the stream calls were deleted");
    assert_eq!(hub.kept()["shop"].len(), 10);
    accept(&hub);
    let kept = hub.settles_at(15);
    assert_eq!(kept["shop"], [numbers(10), (15..20).collect()].concat());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// A power cut of servers that do not sync takes them back to an earlier day; what comes then bears numbers that the reader
/// has passed.
#[test]
fn a_stream_that_lost_its_end_is_told() {
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), settings(&nats));
    hub.reads();
    tell(&hub, 0..10);
    hub.settles_at(10);
    nats.kill(0);
    let earlier = nats.dir.path().join("earlier");
    copy(&nats.store(0), &earlier);
    nats.restart(0);
    tell(&hub, 10..20);
    hub.settles_at(20);
    hub.abort_readers();
    nats.kill(0);
    std::fs::remove_dir_all(nats.store(0)).expect("it is removed");
    copy(&earlier, &nats.store(0));
    nats.restart(0);
    tell(&hub, 20..40);
    hub.reads();
    hub.trouble("the stream calls has lost its end: its message 20");
    assert_eq!(hub.kept()["shop"].len(), 20);
    accept(&hub);
    assert_eq!(hub.settles_at(40)["shop"], numbers(40), "what was lost in the stream was in the inbox before");
}

#[test]
fn a_full_stream_refuses_and_drops_nothing() {
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), Settings { max_bytes: 64 << 10, ..settings(&nats) });
    let mut kept = 0;
    let told = loop {
        match hub.tell("shop", kept) {
            Ok(_) => kept += 1,
            Err(IntakeError::Away(told)) => break told,
            Err(other) => panic!("{other:?}"),
        }
    };
    assert!(told.starts_with("the stream calls is full"), "{told}");
    assert!(kept > 50, "{kept}");
    hub.reads();
    assert_eq!(hub.settles_at(kept)["shop"], numbers(kept));
    // There is room again.
    tell(&hub, kept..kept + 50);
    assert_eq!(hub.settles_at(kept + 50)["shop"], numbers(kept + 50));
}

#[test]
fn while_nobody_is_there_calls_are_refused_at_once_and_then_it_goes_on_by_itself() {
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), settings(&nats));
    hub.reads();
    tell(&hub, 0..10);
    nats.kill(0);
    until("it is refused", || matches!(hub.tell("shop", 10), Err(IntakeError::Away(_))).then_some(()));
    let begun = Instant::now();
    for _ in 0..200 {
        assert!(matches!(hub.tell("shop", 10), Err(IntakeError::Away(_))));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for who is not there: {:?}", begun.elapsed());
    nats.restart(0);
    tell(&hub, 10..20);
    assert_eq!(hub.settles_at(20)["shop"], numbers(20));
    // It takes calls and answers none.
    nats.freeze(0);
    assert!(matches!(hub.tell("shop", 20), Err(IntakeError::Away(_))));
    nats.kill(0);
    nats.restart(0);
    tell(&hub, 20..30);
    assert_eq!(hub.settles_at(30)["shop"], numbers(30));
}

/// Tells all of these at one time; what each heard.
fn tell_at_once(hub: &Hub, numbers: impl Iterator<Item = usize>) -> Vec<(usize, Result<Appended, IntakeError>)> {
    let calls = numbers.map(|number| {
        let writer = hub.writer.clone();
        RUNTIME.spawn(async move { (number, writer.append(call("shop", number)).await) })
    });
    let calls: Vec<_> = calls.collect();
    calls.into_iter().map(|call| RUNTIME.block_on(call).expect("it ends")).collect()
}

#[test]
fn more_calls_than_there_are_places_for_are_refused_and_none_is_lost() {
    const SENT: usize = 8_000;
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), settings(&nats));
    hub.reads();
    tell(&hub, 0..1);
    nats.freeze(0);
    let told = tell_at_once(&hub, 1..SENT);
    let full = told.iter().filter(|(_, told)| *told == Err(IntakeError::Full)).count();
    assert!(full >= SENT - 1 - WAITING_MAX - 4 * GROUP_MAX, "{full}");
    nats.kill(0);
    nats.restart(0);
    let mut left: Vec<usize> = told.into_iter().filter(|(_, told)| told.is_err()).map(|(number, _)| number).collect();
    until("all are kept", || {
        let told = tell_at_once(&hub, std::mem::take(&mut left).into_iter());
        left = told.into_iter().filter(|(_, told)| told.is_err()).map(|(number, _)| number).collect();
        left.is_empty().then_some(())
    });
    let mut kept = hub.settles_at(SENT).remove("shop").expect("events");
    kept.sort_unstable();
    assert_eq!(kept, numbers(SENT));
}

#[test]
fn a_foreign_message_is_told_and_holds_nobody_up() {
    let nats = Nats::start(Kind::default());
    let mut hub = Hub::open(&store(&nats), settings(&nats));
    hub.reads();
    tell(&hub, 0..3);
    RUNTIME.block_on(async {
        let client = async_nats::connect(nats.urls()).await.expect("a client");
        client.publish("huiliu.calls", "hello".into()).await.expect("it is sent");
        client.flush().await.expect("it is sent");
    });
    tell(&hub, 3..6);
    assert_eq!(hub.settles_at(6)["shop"], numbers(6));
    let letters = hub.store.read(|tx| inbox::dead_letters(tx, 10)).expect("the store");
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].stage.as_str(), letters[0].item), ("intake", 4));
    assert!(letters[0].reason.contains("is no group of calls"), "{}", letters[0].reason);
}
