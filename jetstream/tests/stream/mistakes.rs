//! What a person has to mend is told before a call is let in.

use async_nats::jetstream;
use async_nats::jetstream::stream::Config;
use huiliu_core::clock::Clock;
use huiliu_core::secrets::Secret;
use huiliu_jetstream::{Log, Login, Settings, Sync};
use huiliu_tests::nats::{Kind, Nats, PASSWORD, USER};

use crate::kit::{Hub, RUNTIME, STREAM, numbers, settings, store};

fn told(nats: &Nats) -> String {
    RUNTIME.block_on(Log::open(settings(nats), store(nats), Clock::System)).err().expect("it is refused")
}

#[test]
fn servers_that_acknowledge_before_they_sync_are_refused() {
    let lazy = Nats::start(Kind { sync_always: false, ..Kind::default() });
    let refused = told(&lazy);
    assert!(refused.contains("acknowledges before it syncs") && refused.contains("sync_interval: always"), "{refused}");
    // Whoever says that it is enough is not asked again.
    Hub::open(&store(&lazy), Settings { sync: Sync::Interval, ..settings(&lazy) });
    let debian = Nats::start(Kind { debian: true, sync_always: false, ..Kind::default() });
    let refused = told(&debian);
    assert!(refused.starts_with("nats-server 2.9.") && refused.contains("cannot sync before"), "{refused}");
}

#[test]
fn servers_whose_messages_are_too_small_are_refused() {
    let nats = Nats::start(Kind { max_payload: 1 << 20, ..Kind::default() });
    let refused = told(&nats);
    assert!(refused.contains("takes messages of 1048576 bytes") && refused.contains("max_payload: 2MB"), "{refused}");
}

#[test]
fn a_stream_that_would_drop_calls_is_refused() {
    let nats = Nats::start(Kind::default());
    RUNTIME.block_on(async {
        let client = async_nats::connect(nats.urls()).await.expect("a client");
        let config = Config { name: STREAM.to_owned(), subjects: vec!["huiliu.calls".to_owned()], ..Config::default() };
        jetstream::new(client).create_stream(config).await.expect("a stream");
    });
    let refused = told(&nats);
    assert!(refused.contains("its discard policy is not `new`"), "{refused}");
}

#[test]
fn whoever_is_asked_says_who_it_is() {
    let nats = Nats::start(Kind { login: true, ..Kind::default() });
    let login = |password: &str| Login::User { name: USER.to_owned(), password: Secret::new(password) };
    let mut hub = Hub::open(&store(&nats), Settings { login: login(PASSWORD), ..settings(&nats) });
    hub.reads();
    hub.insist("shop", 0);
    assert_eq!(hub.settles_at(1)["shop"], numbers(1));
    let refused = Hub::open(&store(&nats), Settings { login: login("wrong"), ..settings(&nats) });
    assert!(refused.tell("shop", 1).is_err(), "nobody lets it in");
}
