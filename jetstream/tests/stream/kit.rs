//! A hub's way in and on, on a stream of its own.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use huiliu_core::clock::Clock;
use huiliu_core::pipeline::intake::{Appended, Call, IntakeError, Log as _};
use huiliu_core::store::Store;
use huiliu_core::store::inbox::{self, InboxItem, ItemKind};
use huiliu_core::store::logs::{self, LogState};
use huiliu_jetstream::reader::Reader;
use huiliu_jetstream::writer::Writer;
use huiliu_jetstream::{Log, Login, Settings, Sync, Tls};
use huiliu_tests::nats::Nats;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Nothing here takes longer on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The stream of every test: each has servers of its own.
pub const STREAM: &str = "calls";

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime")
});

pub fn settings(nats: &Nats) -> Settings {
    Settings {
        servers: nats.urls(),
        login: Login::None,
        tls: Tls::default(),
        stream: STREAM.to_owned(),
        subject: "huiliu.calls".to_owned(),
        replicas: nats.urls().len(),
        max_bytes: 256 << 20,
        sync: Sync::Always,
        monitors: nats.monitors(),
    }
}

/// A process that may let calls in, and may take them on.
pub struct Hub {
    pub log: Log,
    pub writer: Writer,
    pub store: Store,
    readers: Vec<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Hub {
    /// One that lets calls in only.
    pub fn open(store: &Store, settings: Settings) -> Self {
        let log = RUNTIME.block_on(Log::open(settings, store.clone(), Clock::System)).expect("it opens");
        let writer = RUNTIME.block_on(async { Writer::start(log.clone()) });
        Self { log, writer, store: store.clone(), readers: Vec::new() }
    }

    /// One more reader.
    pub fn reads(&mut self) {
        let (stop, stopped) = watch::channel(false);
        let reader = Reader::new(self.log.clone(), || {});
        self.readers.push((stop, RUNTIME.spawn(reader.run(stopped))));
    }

    /// Ends all readers wherever they are.
    pub fn abort_readers(&mut self) {
        for (_, reader) in self.readers.drain(..) {
            reader.abort();
        }
    }

    /// Tells a call, and waits for the answer.
    pub fn tell(&self, connection: &str, number: usize) -> Result<Appended, IntakeError> {
        RUNTIME.block_on(self.writer.append(call(connection, number)))
    }

    /// Tells a call again and again until it is kept.
    pub fn insist(&self, connection: &str, number: usize) -> Appended {
        until("it is kept", || self.tell(connection, number).ok())
    }

    pub fn state(&self) -> Option<LogState> {
        self.store.read(|tx| logs::find(tx, STREAM)).expect("the store")
    }

    /// What is wrong, once that begins so.
    pub fn trouble(&self, begins: &str) -> String {
        until(begins, || self.state()?.trouble.filter(|told| told.starts_with(begins)))
    }

    /// The numbers in the inbox by connection, in order.
    pub fn kept(&self) -> BTreeMap<String, Vec<usize>> {
        let all = self.store.read(|tx| inbox::after(tx, 0, 1_000_000)).expect("the inbox");
        let mut kept = BTreeMap::<String, Vec<usize>>::new();
        for item in all {
            let number = std::str::from_utf8(&item.body).expect("text").parse().expect("a number");
            kept.entry(item.connection).or_default().push(number);
        }
        kept
    }

    /// Waits until so many items are in the inbox; then none more may come.
    pub fn settles_at(&self, count: usize) -> BTreeMap<String, Vec<usize>> {
        let count_kept = || self.store.read(|tx| tx.max("position", "inbox")).expect("the inbox");
        let wanted = i64::try_from(count).expect("few");
        let begun = Instant::now();
        while self.kept().values().map(Vec::len).sum::<usize>() < count {
            assert!(begun.elapsed() < PATIENCE, "{} of {wanted}; {:?}", count_kept(), self.state());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        let kept = self.kept();
        assert_eq!(kept.values().map(Vec::len).sum::<usize>(), count);
        kept
    }
}

pub fn call(connection: &str, number: usize) -> Call {
    let item = InboxItem {
        connection: connection.to_owned(),
        kind: ItemKind::Webhook,
        target: Some(format!("/hooks/{connection}")),
        headers: Some("[]".to_owned()),
        body: number.to_string().into_bytes(),
        received_us: 1,
        ..InboxItem::default()
    };
    Call { item, dedupe: format!("event-{number}") }
}

#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: never");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All numbers up to one.
pub fn numbers(count: usize) -> Vec<usize> {
    (0..count).collect()
}

/// A store of its own, beside what the servers keep.
pub fn store(nats: &Nats) -> Store {
    Store::open(&format!("sqlite:{}", nats.dir.path().join("hub.db").display())).expect("a store")
}
