//! What a durable webhook costs, beside a server that does nothing else; benches/README.md says how to read it.

mod check;
mod load;
mod open;
mod peer;
mod process;
mod servers;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use load::{Load, Tally};
use process::{Child, Used};
use servers::Server;

/// The hub's own, so that every server allocates alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sends signed events, as many at one time as there are connections, to each server in turn, in a process of its own
/// over a fresh store.
#[derive(Parser)]
struct Cli {
    /// Connections, each of which sends its next event when the last one was answered.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
    /// How often each server has its turn; medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of a turn that count.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of a turn before that.
    #[arg(long, default_value_t = 0.7)]
    warm: f64,
    /// Events before each turn: so many that the write-ahead log has grown to its size and is written over.
    #[arg(long, default_value_t = 25_000)]
    before: u64,
    /// Of a hundred calls, so many are repeats of the call before.
    #[arg(long, default_value_t = 0)]
    repeats: u64,
    /// Only these servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Server::USUAL)]
    only: Vec<Server>,
    /// A folder in which npm installed what benches/README.md names: then Restate has its turns, too.
    #[arg(long)]
    peer: Option<std::path::PathBuf>,
    /// Instead: load the hub for so many seconds and print its rate and its memory as they go.
    #[arg(long)]
    soak: Option<u64>,
    /// Instead: kill the hub under load so many times, and count what it acknowledged and does not have.
    #[arg(long)]
    kill: Option<u32>,
    /// Instead: so many connections at one time on the hub, and count what it acknowledged and does not have.
    #[arg(long)]
    flood: Option<usize>,
    /// Instead: four times as many events as the hub takes, for so many seconds, and count what it acknowledged and does
    /// not have.
    #[arg(long)]
    overload: Option<u64>,
    /// Instead: so many connections that say a head byte by byte beside eight that send events.
    #[arg(long)]
    slow: Option<usize>,
    /// One server, in this process; the other argument is its folder.
    #[arg(long, value_enum, requires = "folder")]
    server: Option<Server>,
    #[arg(long)]
    folder: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("intake-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> Result<(), String> {
    if let (Some(server), Some(folder)) = (cli.server, &cli.folder) {
        return servers::serve(server, folder, cli.peer.as_deref());
    }
    // One thread: the load must leave the machine to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    runtime.block_on(async {
        if let Some(seconds) = cli.overload {
            return check::overload(seconds).await;
        }
        if let Some(connections) = cli.slow {
            return check::slow(connections).await;
        }
        match (cli.soak, cli.kill, cli.flood) {
            (Some(seconds), ..) => check::soak(seconds, cli.connections.last().copied().unwrap_or(16)).await,
            (_, Some(times), _) => check::kill(times).await,
            (.., Some(connections)) => check::flood(connections).await,
            _ => compare(cli).await,
        }
    })
}

/// Connections by which a store is filled before a turn.
const FILLING: usize = 64;

/// A server that takes longer for that does not answer.
const FILLING_MAX: Duration = Duration::from_secs(120);

/// One turn of one server.
struct Turn {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
    rss_mib: f64,
}

async fn compare(cli: &Cli) -> Result<(), String> {
    println!(
        "medians of {} turns of {} s, {} % repeats, {} bytes; load and server on the same machine",
        cli.rounds,
        cli.seconds,
        cli.repeats,
        load::BODY_BYTES
    );
    let mut servers = cli.only.clone();
    servers.extend(cli.peer.as_ref().map(|_| Server::Restate));
    for &connections in &cli.connections {
        let mut turns: Vec<Vec<Turn>> = servers.iter().map(|_| Vec::new()).collect();
        for _ in 0..cli.rounds.max(1) {
            for (server, turns) in servers.iter().zip(&mut turns) {
                turns.push(turn(cli, *server, connections).await?);
            }
        }
        show(&servers, connections, &turns);
    }
    Ok(())
}

async fn turn(cli: &Cli, server: Server, connections: usize) -> Result<Turn, String> {
    let folder = tempfile::tempdir().map_err(text)?;
    servers::prepare(server, folder.path())?;
    let child = Child::start(server, folder.path(), cli.peer.as_deref())?;
    let next = fill(server, &child, cli.before).await?;
    let mut load = Load::to(server, child.port, connections, cli.repeats);
    load.start(next).await?;
    tokio::time::sleep(Duration::from_secs_f64(cli.warm)).await;
    let (before, from) = (child.used(), load.mark());
    tokio::time::sleep(Duration::from_secs_f64(cli.seconds)).await;
    let (after, seconds) = (child.used(), load.mark().duration_since(from).as_secs_f64());
    let tally = load.stop().await?;
    let told = turn_of(&tally, before, after, seconds);
    if tally.refused > 0 || !tally.odd.is_empty() {
        return Err(format!("{}: {} refused, {}", server.word(), tally.refused, tally.odd));
    }
    Ok(told)
}

/// Sends so many events as fast as it goes; answers the number of the next one.
async fn fill(server: Server, child: &Child, events: u64) -> Result<u64, String> {
    // The log that has to grow is ours.
    let events = if server == Server::Restate { events.min(2_000) } else { events };
    let mut load = Load::to(server, child.port, FILLING, 0);
    load.start(0).await?;
    let began = std::time::Instant::now();
    while load.done() < events {
        if began.elapsed() > FILLING_MAX {
            return Err(format!("{} of {events} events after {} s", load.done(), FILLING_MAX.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let next = load.next();
    load.stop().await.map(|_| next)
}

#[allow(clippy::cast_precision_loss)] // Counts of a few seconds.
fn turn_of(tally: &Tally, before: Used, after: Used, seconds: f64) -> Turn {
    let mut took = tally.took_us.clone();
    took.sort_unstable();
    let at = |thousandth: usize| took.get(took.len() * thousandth / 1000).map_or(f64::NAN, |us| f64::from(*us) / 1e3);
    let answered = took.len() as f64;
    Turn {
        rate: answered / seconds,
        p50_ms: at(500),
        p99_ms: at(990),
        cpu_us: (after.cpu_us - before.cpu_us) as f64 / answered,
        rss_mib: after.rss_mib,
    }
}

fn show(servers: &[Server], connections: usize, turns: &[Vec<Turn>]) {
    let middle = |turns: &[Turn], of: fn(&Turn) -> f64| {
        let mut figures: Vec<f64> = turns.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let row = |turns: &[Turn]| {
        [
            middle(turns, |it| it.rate),
            middle(turns, |it| it.p50_ms),
            middle(turns, |it| it.p99_ms),
            middle(turns, |it| it.cpu_us),
            middle(turns, |it| it.rss_mib),
        ]
    };
    let floor = servers.iter().zip(turns).find(|(server, _)| server.is_floor()).map(|(_, it)| row(it));
    println!(
        "\n{:16}{:>9}{:>9}{:>9}{:>9}{:>9}   {:>7}{:>7}{:>7}{:>7}",
        format!("{connections} connections"),
        "acks/s",
        "p50 ms",
        "p99 ms",
        "CPU us",
        "RSS MiB",
        "rate",
        "p50",
        "p99",
        "CPU"
    );
    for (server, turns) in servers.iter().zip(turns) {
        let [rate, p50, p99, cpu, rss] = row(turns);
        let ratios = floor.map_or(String::new(), |[of_rate, of_p50, of_p99, of_cpu, _]| {
            format!("{:>7.2}{:>7.2}{:>7.2}{:>7.2}", rate / of_rate, p50 / of_p50, p99 / of_p99, cpu / of_cpu)
        });
        println!("{:16}{rate:>9.0}{p50:>9.2}{p99:>9.2}{cpu:>9.1}{rss:>9.1}   {ratios}", server.word());
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
