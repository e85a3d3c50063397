//! What a bulk pull costs, beside a program that does nothing else; benches/README.md says how to read it.

#[path = "../customers/mod.rs"]
mod customers;
mod floor;
mod hub;
mod server;
#[path = "../usage.rs"]
mod usage;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use hub::Does;
use usage::{Took, median};

/// The hub's own, so that everybody allocates alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Pulls invented customers from an API of pages, each puller in a process of its own over a fresh store.
#[derive(Parser)]
struct Cli {
    /// Customers.
    #[arg(long, default_value_t = 200_000)]
    records: u64,
    /// How often each has its turn; medians are printed.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Puller::ALL)]
    only: Vec<Puller>,
    /// Milliseconds that the API takes for a page.
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// A Python that has what benches/peers/requirements.txt names: then dlt has its turns, too.
    #[arg(long)]
    python: Option<PathBuf>,
    /// The API, in this process; the other arguments are its customers and its folder.
    #[arg(long, requires = "folder")]
    serve: bool,
    /// One puller, in this process; the other arguments are its API and its folder.
    #[arg(long, value_enum, requires_all = ["url", "folder"])]
    puller: Option<Puller>,
    #[arg(long)]
    url: Option<String>,
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Who pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Puller {
    /// Asks for every page and drops it: the API's own rate.
    Fetch,
    /// Reads 18 fields, de-duplicates by e-mail, inserts into SQLite.
    Floor,
    /// The hub, as far as the inbox.
    Inbox,
    /// The hub, which joins by e-mail alone.
    Dedupe,
    /// The hub, as it is.
    Hub,
}

impl Puller {
    const ALL: [Self; 5] = [Self::Fetch, Self::Floor, Self::Inbox, Self::Dedupe, Self::Hub];

    fn word(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Floor => "floor",
            Self::Inbox => "inbox",
            Self::Dedupe => "dedupe",
            Self::Hub => "hub",
        }
    }
}

impl std::fmt::Display for Puller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("pull-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> Result<(), String> {
    if let (true, Some(folder)) = (cli.serve, &cli.folder) {
        return server::serve(cli.records, folder, Duration::from_millis(cli.delay));
    }
    if let (Some(puller), Some(url), Some(folder)) = (cli.puller, &cli.url, &cli.folder) {
        let took = match puller {
            Puller::Fetch => floor::pull(url, folder, false)?,
            Puller::Floor => floor::pull(url, folder, true)?,
            Puller::Inbox => hub::pull(url, folder, Does::Keeps)?,
            Puller::Dedupe => hub::pull(url, folder, Does::Dedupes)?,
            Puller::Hub => hub::pull(url, folder, Does::Everything)?,
        };
        println!("{}", serde_json::to_string(&took).map_err(text)?);
        return Ok(());
    }
    compare(cli)
}

fn compare(cli: &Cli) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    let (mut api, url) = start(cli, folder.path())?;
    let mut took: Vec<(&str, Vec<Took>)> = cli.only.iter().map(|it| (it.word(), Vec::new())).collect();
    took.extend(cli.python.iter().map(|_| ("dlt", Vec::new())));
    let ran = (0..cli.rounds.max(1)).try_for_each(|_| {
        for (puller, took) in cli.only.iter().zip(&mut took) {
            took.1.push(alone(*puller, &url)?);
        }
        if let (Some(python), Some(took)) = (&cli.python, took.last_mut()) {
            took.1.push(peer(python, &url)?);
        }
        Ok(())
    });
    let _ = api.kill().and_then(|()| api.wait());
    ran.map(|()| show(cli, &took))
}

fn show(cli: &Cli, took: &[(&str, Vec<Took>)]) {
    println!("{} customers, {} ms a page, medians of {}", cli.records, cli.delay, cli.rounds);
    println!("{:8}{:>12}{:>14}{:>12}{:>12}{:>12}", "", "records/s", "CPU us", "peak MiB", "of fetch", "of floor");
    let rate = |took: &[Took]| median(took.iter().map(Took::rate).collect());
    let of = |name: &str| took.iter().find(|it| it.0 == name).map_or(f64::NAN, |it| rate(&it.1));
    let (fetch, floor) = (of("fetch"), of("floor"));
    for (name, took) in took {
        let cpu = median(took.iter().map(Took::cpu_us).collect());
        let peak = took.iter().map(|it| it.peak).fold(0.0, f64::max);
        let rate = rate(took);
        let told = took.first().map_or("", |it| &it.told);
        println!("{name:8}{rate:>12.0}{cpu:>14.1}{peak:>12.0}{:>12.3}{:>12.3}  {told}", rate / fetch, rate / floor);
    }
}

/// Starts the API and waits until it listens.
fn start(cli: &Cli, folder: &Path) -> Result<(Child, String), String> {
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.arg("--serve").arg("--folder").arg(folder).args(["--records", &cli.records.to_string()]);
    command.args(["--delay", &cli.delay.to_string()]);
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(text)?;
    let mut line = String::new();
    child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
    match line.trim().parse::<u16>() {
        Ok(port) => Ok((child, format!("http://127.0.0.1:{port}"))),
        Err(_) => Err(format!("the API did not start: {:?}", child.kill())),
    }
}

/// A puller in a fresh process, so that its memory is its own.
fn alone(puller: Puller, url: &str) -> Result<Took, String> {
    let folder = tempfile::tempdir().map_err(text)?;
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.args(["--puller", puller.word(), "--url", url, "--folder"]).arg(folder.path());
    said(puller.word(), &mut command)
}

fn peer(python: &Path, url: &str) -> Result<Took, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/dlt_merge.py");
    said("dlt", Command::new(python).arg(script).arg(url))
}

fn said(who: &str, command: &mut Command) -> Result<Took, String> {
    let ran = command.stderr(Stdio::inherit()).output().map_err(text)?;
    if !ran.status.success() {
        return Err(format!("{who}: {}", ran.status));
    }
    let said = String::from_utf8_lossy(&ran.stdout);
    serde_json::from_str(said.lines().last().unwrap_or_default()).map_err(|error| format!("{who}: {error}"))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
