//! What it costs to keep calls in a NATS stream before the inbox, beside the store's own group commit: acknowledgements a
//! second, how long each takes, and the processor time of the hub and of the servers. benches/README.md says how to read it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use huiliu_core::clock::Clock;
use huiliu_core::pipeline::intake::{Call, Intake, Log};
use huiliu_core::store::Store;
use huiliu_core::store::inbox::{InboxItem, ItemKind};
use huiliu_jetstream::reader::Reader;
use huiliu_jetstream::writer::Writer;
use huiliu_jetstream::{Login, Settings, Sync, Tls};
use huiliu_tests::nats::{Kind, Nats};
use tokio::sync::watch;

/// The hub's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A shop's customer.
const BODY_BYTES: usize = 1620;

/// Calls go from as many tasks as are given, each of which waits for its answer, into each way in turn.
#[derive(Parser)]
struct Cli {
    /// Tasks that send.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    senders: Vec<usize>,
    /// How often each way has its turn; medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of a turn.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only these ways.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Way::ALL)]
    only: Vec<Way>,
}

/// Where calls are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// The store's own group commit, on SQLite.
    Store,
    /// One server that syncs before it acknowledges.
    One,
    /// One server that syncs every two minutes.
    OneLazy,
    /// Three servers that sync before they acknowledge.
    Three,
    /// Three servers that sync every two minutes.
    ThreeLazy,
}

impl Way {
    const ALL: [Self; 5] = [Self::Store, Self::One, Self::OneLazy, Self::Three, Self::ThreeLazy];

    fn servers(self) -> Option<Kind> {
        let kind = |servers, sync_always| Some(Kind { servers, sync_always, ..Kind::default() });
        match self {
            Self::Store => None,
            Self::One => kind(1, true),
            Self::OneLazy => kind(1, false),
            Self::Three => kind(3, true),
            Self::ThreeLazy => kind(3, false),
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(clap::ValueEnum::to_possible_value(self).as_ref().map_or("", |it| it.get_name()))
    }
}

/// One turn.
struct Turn {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Microseconds of this process and of the servers for an acknowledgement.
    cpu_us: [f64; 2],
    /// Calls a second from the stream into the inbox.
    taken: f64,
}

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("log-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(text)?;
    println!("medians of {} turns of {} s, {BODY_BYTES} bytes", cli.rounds, cli.seconds);
    println!("| Senders | Way | Acks/s | p50 ms | p99 ms | CPU µs/ack hub | servers | Taken in/s |");
    println!("|---|---|---|---|---|---|---|---|");
    for &senders in &cli.senders {
        let mut turns: Vec<Vec<Turn>> = cli.only.iter().map(|_| Vec::new()).collect();
        for _ in 0..cli.rounds.max(1) {
            for (way, turns) in cli.only.iter().zip(&mut turns) {
                turns.push(runtime.block_on(turn(*way, senders, cli.seconds))?);
            }
        }
        for (way, turns) in cli.only.iter().zip(&turns) {
            let of = |value: fn(&Turn) -> f64| {
                let mut values: Vec<f64> = turns.iter().map(value).collect();
                values.sort_by(f64::total_cmp);
                values[values.len() / 2]
            };
            println!(
                "| {senders} | {way} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} |",
                of(|it| it.rate),
                of(|it| it.p50_ms),
                of(|it| it.p99_ms),
                of(|it| it.cpu_us[0]),
                of(|it| it.cpu_us[1]),
                of(|it| it.taken)
            );
        }
    }
    Ok(())
}

async fn turn(way: Way, senders: usize, seconds: f64) -> Result<Turn, String> {
    let folder = tempfile::tempdir().map_err(text)?;
    let store = Store::open(&format!("sqlite:{}", folder.path().join("hub.db").display())).map_err(text)?;
    let Some(kind) = way.servers() else {
        let intake = Intake::start(store, Clock::System, || {}).map_err(text)?;
        return load(Arc::new(intake), senders, seconds, &[]).await;
    };
    let nats = tokio::task::spawn_blocking(move || Nats::start(kind)).await.map_err(text)?;
    let pids: Vec<u32> = (0..kind.servers).map(|number| nats.pid(number)).collect();
    let settings = Settings {
        servers: nats.urls(),
        login: Login::None,
        tls: Tls::default(),
        stream: "calls".to_owned(),
        subject: "huiliu.calls".to_owned(),
        replicas: kind.servers,
        max_bytes: 2 << 30,
        sync: if kind.sync_always { Sync::Always } else { Sync::Interval },
        monitors: nats.monitors(),
    };
    let log = huiliu_jetstream::Log::open(settings, store.clone(), Clock::System).await?;
    let mut told = load(Arc::new(Writer::start(log.clone())), senders, seconds, &pids).await?;
    let (stop, stopped) = watch::channel(false);
    let began = Instant::now();
    let reading = tokio::spawn(Reader::new(log, || {}).run(stopped));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let acknowledged = (told.rate * seconds).round() as i64;
    loop {
        let store = store.clone();
        let kept = tokio::task::spawn_blocking(move || store.read(|tx| tx.max("position", "inbox")));
        if kept.await.map_err(text)?.map_err(text)? >= acknowledged {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    told.taken = told.rate * seconds / began.elapsed().as_secs_f64();
    let _ = stop.send(true);
    reading.await.map_err(text)?;
    Ok(told)
}

fn call(number: u64) -> Call {
    let mut body = format!(r#"{{"id":{number},"note":""#).into_bytes();
    body.resize(BODY_BYTES - 2, b'x');
    body.extend_from_slice(b"\"}");
    let item = InboxItem {
        connection: "shop".to_owned(),
        kind: ItemKind::Webhook,
        target: Some("/hooks/shop".to_owned()),
        headers: Some(r#"[["x-shopify-topic","customers/update"],["x-shopify-event-id","e"]]"#.to_owned()),
        body,
        received_us: 1,
        ..InboxItem::default()
    };
    Call { item, dedupe: format!("event-{number}") }
}

/// Processor time that a process has used, in microseconds.
fn used(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10_000
}

#[allow(clippy::cast_precision_loss)]
async fn load(log: Arc<dyn Log>, senders: usize, seconds: f64, servers: &[u32]) -> Result<Turn, String> {
    let (next, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let servers = || servers.iter().map(|pid| used(&pid.to_string())).sum::<u64>();
    let (own, theirs, began) = (used("self"), servers(), Instant::now());
    let tasks: Vec<_> = (0..senders)
        .map(|_| {
            let (log, next, stop) = (log.clone(), next.clone(), stop.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let call = call(next.fetch_add(1, Ordering::Relaxed));
                    let sent = Instant::now();
                    log.append(call).await.map_err(|error| error.to_string())?;
                    times.push(sent.elapsed().as_secs_f64() * 1e3);
                }
                Ok::<_, String>(times)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.map_err(text)??);
    }
    let (own, theirs, seconds_taken) = (used("self") - own, servers() - theirs, began.elapsed().as_secs_f64());
    times.sort_by(f64::total_cmp);
    let count = times.len().max(1) as f64;
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0.0);
    Ok(Turn {
        rate: count / seconds_taken,
        p50_ms: at(50),
        p99_ms: at(99),
        cpu_us: [own as f64 / count, theirs as f64 / count],
        taken: 0.0,
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
