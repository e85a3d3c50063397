//! From a webhook in to the push out, through the real `huiliu serve`, beside what the machine itself can do;
//! benches/README.md says how to read it.

mod load;
mod receiver;
mod wire;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use huiliu_tests::server::free_port;

use crate::load::Load;
use crate::receiver::Arrived;

/// Sends signed events at a steady rate and waits for what the hub sends out: half of them make customers, half change
/// one that is known.
#[derive(Parser)]
struct Cli {
    /// The program to measure.
    #[arg(long, default_value = "target/release/huiliu")]
    hub: PathBuf,
    /// Events a second, sent when they are due whether the earlier ones were answered or not; each rate in a turn of its
    /// own, over a fresh store.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 1000])]
    rate: Vec<u32>,
    /// Seconds that count.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Seconds before that.
    #[arg(long, default_value_t = 10)]
    warm: u32,
    /// So many hubs on one Postgres, which syncs as it is shipped, each sent its share; 0: one hub on SQLite.
    #[arg(long, default_value_t = 0)]
    nodes: u16,
}

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ran = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(text)
        .and_then(|runtime| runtime.block_on(run(&Cli::parse())));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("latency-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), String> {
    let mut slowest = Vec::new();
    for rate in &cli.rate {
        slowest.push((*rate, turn(cli, *rate).await?));
    }
    if let [(first, before), .., (last, after)] = slowest.as_slice() {
        let ratio = after.as_secs_f64() / before.as_secs_f64();
        println!("p99 in to out at {last}/s: {ratio:.2} times that at {first}/s");
    }
    Ok(())
}

/// One rate; returns the p99 from webhook in to push out.
async fn turn(cli: &Cli, rate: u32) -> Result<Duration, String> {
    let arrived = Arrived::default();
    let receiver = receiver::listen(arrived.clone()).await?;
    let folder = tempfile::tempdir().map_err(text)?;
    let ports: Vec<u16> = (0..cli.nodes.max(1)).map(|_| free_port()).collect();
    let store = if cli.nodes == 0 {
        None
    } else {
        Some(tokio::task::spawn_blocking(huiliu_tests::postgres::durable).await.map_err(text)?)
    };
    prepare(cli, folder.path(), store.as_deref(), &receiver)?;
    let (mut hubs, mut children) = (Vec::new(), Vec::new());
    let client = client()?;
    for port in &ports {
        let mut command = Command::new(&cli.hub);
        command.arg("-C").arg(folder.path()).args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        let hub = Hub(command.stderr(Stdio::null()).spawn());
        children.push(hub.0.as_ref().map_err(|error| format!("{}: {error}", cli.hub.display()))?.id());
        hubs.push(hub);
        ready(&client, *port).await?;
    }
    let urls: Vec<String> = ports.iter().map(|port| format!("http://127.0.0.1:{port}/hooks/events")).collect();
    let load = Load { rate, all: rate * (cli.warm + cli.seconds) };
    let floor = fsync_floor(folder.path(), load)?;
    let directly = Load { all: rate * 3, ..load }.send(&[receiver]).await?;
    arrived.clear();

    let used = || children.iter().map(|child| processor_us(*child)).sum::<u64>();
    let (before, own) = (used(), processor_us(std::process::id()));
    let sent = load.send(&urls).await?;
    let lost = wait_for(&arrived, load.all).await;
    let (used, own) = (used().saturating_sub(before), processor_us(std::process::id()).saturating_sub(own));
    let counted = || (0..load.all).zip(&sent).skip((rate * cli.warm) as usize);
    let push = counted().filter_map(|(number, it)| Some(arrived.at(number)?.duration_since(it.due))).collect();
    let answered = |sent: &load::Sent| Some(sent.answered?.duration_since(sent.due));
    let on = match cli.nodes {
        0 => "SQLite, one hub".to_owned(),
        nodes => format!("Postgres, hubs: {nodes}"),
    };
    println!("{rate} events/s for {} s, {on}, load and receiver on the same machine", cli.seconds);
    println!("{:28}{:>10}{:>10}{:>10}", "ms", "p50", "p99", "max");
    row("commit to SQLite (FULL)", floor);
    row("load to receiver, directly", directly.iter().filter_map(answered).collect());
    row("webhook answered, durable", counted().filter_map(|(_, it)| answered(it)).collect());
    let slowest = row("webhook in to push out", push);
    let ([each, own], all) = ([used, own].map(|it| it / u64::from(load.all)), load.all);
    println!("processor time: {each} us an event of the hubs, {own} of load and receiver");
    println!("{lost} of {all} events did not arrive");
    if lost == 0 { Ok(slowest) } else { Err("events were lost".to_owned()) }
}

/// The hub, ended with this program.
struct Hub(std::io::Result<Child>);

impl Drop for Hub {
    fn drop(&mut self) {
        if let Ok(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Prints a row of a table; returns the p99.
fn row(name: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let at = |share: usize| times.get((times.len() * share / 1000).min(times.len().saturating_sub(1)));
    let ms = |time: Option<&Duration>| time.map_or(f64::NAN, |it| it.as_secs_f64() * 1e3);
    println!("{name:28}{:>10.2}{:>10.2}{:>10.2}", ms(at(500)), ms(at(990)), ms(times.last()));
    at(990).copied().unwrap_or_default()
}

/// A deployment with one sender and one receiver, who is told of everybody.
fn prepare(cli: &Cli, folder: &Path, store: Option<&str>, receiver: &str) -> Result<(), String> {
    let store = store.map(|store| format!("store = '{store}'\n")).unwrap_or_default();
    let config = format!(
        "[hub]\n{store}\
         [connections.events]\nconnector = 'webhook'\nwrites = false\nchanging = {{ percent = 100 }}\n\
         [connections.target]\nconnector = 'webhook'\nnetwork = 'private'\nconfig.url = '{receiver}'\n\
         creates = ['customers']\n"
    );
    std::fs::write(folder.join("huiliu.toml"), config).map_err(text)?;
    command(cli, folder, &["secret", "events", "webhook"], KEY)?;
    command(cli, folder, &["secret", "target", "webhook"], KEY)?;
    command(cli, folder, &["secret", "target", "signing"], KEY)?;
    command(cli, folder, &["go-live", "target", "--yes"], "")
}

fn command(cli: &Cli, folder: &Path, words: &[&str], input: &str) -> Result<(), String> {
    let mut command = Command::new(&cli.hub);
    command.arg("-C").arg(folder).args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", cli.hub.display()))?;
    let mut stdin = child.stdin.take().ok_or("no way in")?;
    stdin.write_all(input.as_bytes()).map_err(text)?;
    drop(stdin);
    let ended = child.wait_with_output().map_err(text)?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("huiliu {}: {}", words.join(" "), String::from_utf8_lossy(&ended.stderr)))
}

#[allow(clippy::disallowed_methods)] // The load, not the hub: it speaks to this machine only, and bodies are not read.
fn client() -> Result<reqwest::Client, String> {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().map_err(text)
}

async fn ready(client: &reqwest::Client, port: u16) -> Result<(), String> {
    for _ in 0..200 {
        let asked = client.get(format!("http://127.0.0.1:{port}/readyz")).send().await;
        if asked.is_ok_and(|reply| reply.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the hub did not become ready within 4 s".to_owned())
}

/// Waits until everything arrived; returns what did not within ten seconds.
async fn wait_for(arrived: &Arrived, all: u32) -> u32 {
    let count = || u32::try_from(arrived.count()).unwrap_or(u32::MAX);
    for _ in 0..200 {
        if count() >= all {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all.saturating_sub(count())
}

/// One row a commit, each on disk before it returns.
fn fsync_floor(folder: &Path, load: Load) -> Result<Vec<Duration>, String> {
    let database = rusqlite::Connection::open(folder.join("floor.db")).map_err(text)?;
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE it (body TEXT);";
    database.execute_batch(pragmas).map_err(text)?;
    let mut times = Vec::new();
    for number in 0..300 {
        let began = Instant::now();
        database.execute("INSERT INTO it (body) VALUES (?1)", [load.event(number)]).map_err(text)?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Processor time of a process in microseconds.
fn processor_us(child: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    after.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10_000
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
