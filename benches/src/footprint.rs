//! How much the program takes when nobody wants anything of it: on the disk, until it is ready, and while it is idle;
//! benches/README.md says how to read it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

#[path = "people.rs"]
#[allow(dead_code)] // Only the file and its mapping are used.
mod people;

/// Measures a program: its size, how long it takes to be ready on an existing store, its memory and processor time when
/// idle.
#[derive(Parser)]
struct Cli {
    /// The program to measure.
    #[arg(long, default_value = "target/release/huiliu")]
    hub: PathBuf,
    /// Customers in the store.
    #[arg(long, default_value_t = 20_000)]
    rows: u64,
    /// Starts.
    #[arg(long, default_value_t = 9)]
    starts: usize,
    /// Seconds of idleness that count.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// What was there at the start has settled by then.
const SETTLED: Duration = Duration::from_secs(6);

/// The goals.
const SIZE_MB: f64 = 30.0;
const READY_MS: f64 = 150.0;
const RSS_MIB: f64 = 40.0;
const IDLE_PERCENT: f64 = 0.5;

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    // It is started in the folder of its deployment.
    cli.hub = std::path::absolute(&cli.hub).unwrap_or(cli.hub);
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("footprint-bench: {told}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(text)?;
    fill(cli, folder.path())?;
    let mut ready = Vec::new();
    for _ in 0..cli.starts.max(1) {
        ready.push(start(cli, folder.path())?.1);
    }
    ready.sort_by(f64::total_cmp);
    let (hub, _) = start(cli, folder.path())?;
    std::thread::sleep(SETTLED);
    let before = hub.processor()?;
    std::thread::sleep(Duration::from_secs(cli.seconds));
    let used = hub.processor()?.saturating_sub(before);
    let idle_percent = used.as_secs_f64() * 100.0 / Duration::from_secs(cli.seconds.max(1)).as_secs_f64();
    let bytes = std::fs::metadata(&cli.hub).map_err(text)?.len();
    let megabytes = Duration::from_micros(bytes).as_secs_f64();
    println!("{:36}{:>10}{:>10}", format!("{} customers stored", cli.rows), "", "goal");
    let row = |name: &str, found: f64, goal: f64| println!("{name:36}{found:>10.1}{goal:>10.1}");
    row("program, MB on disk", megabytes, SIZE_MB);
    row("ready, ms, median", ready[ready.len() / 2], READY_MS);
    row("ready, ms, worst", ready[ready.len() - 1], READY_MS);
    row("idle, MiB resident", hub.resident_mib()?, RSS_MIB);
    row("idle, % of a core", idle_percent, IDLE_PERCENT);
    Ok(())
}

/// A deployment with people in it, a connection that has nothing to tell, and the console.
fn fill(cli: &Cli, folder: &Path) -> Result<(), String> {
    let config = "[hub]\nlisten = '127.0.0.1:0'\n[console]\nlisten = '127.0.0.1:0'\n\
        [connections.people]\nconnector = 'file'\nmapping = 'people.toml'\nkey = '编号'\n\
        [connections.events]\nconnector = 'webhook'\nwrites = false\n";
    std::fs::write(folder.join("huiliu.toml"), config).map_err(text)?;
    std::fs::write(folder.join("people.toml"), people::MAPPING).map_err(text)?;
    let file = folder.join("people.csv");
    people::write(&mut std::fs::File::create(&file).map_err(text)?, 0, cli.rows).map_err(text)?;
    command(cli, folder, &["import", "people.csv", "--connection", "people", "--stream", "rows"])?;
    let mut secret = Command::new(&cli.hub);
    secret.arg("-C").arg(folder).args(["secret", "events", "webhook"]).stdin(Stdio::piped());
    let mut child = secret.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(text)?;
    child.stdin.take().ok_or("no way in")?.write_all(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").map_err(text)?;
    child.wait().map_err(text)?;
    Ok(())
}

fn command(cli: &Cli, folder: &Path, words: &[&str]) -> Result<(), String> {
    let mut command = Command::new(&cli.hub);
    let ended = command.arg("-C").arg(folder).args(words).current_dir(folder).stdin(Stdio::null()).output();
    let ended = ended.map_err(|error| format!("{}: {error}", cli.hub.display()))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("huiliu {}: {}", words.join(" "), String::from_utf8_lossy(&ended.stderr)))
}

/// A hub that runs; killed with this value.
struct Hub(Child);

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Hub {
    fn read(&self, file: &str) -> Result<String, String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).map_err(text)
    }

    /// Processor time so far, by the scheduler's own clock: ticks would be too coarse here.
    fn processor(&self) -> Result<Duration, String> {
        let mut all = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id())).map_err(text)?.flatten() {
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            all += stat.split_whitespace().next().and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(all))
    }

    fn resident_mib(&self) -> Result<f64, String> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().map(|kib: f64| kib / 1024.0).map_err(text)
    }
}

/// Starts the hub; says after how many milliseconds it was ready.
fn start(cli: &Cli, folder: &Path) -> Result<(Hub, f64), String> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).map_err(text)?.port();
    let config = std::fs::read_to_string(folder.join("huiliu.toml")).map_err(text)?;
    // The second line is the hub's own address.
    let config = config.replacen(config.lines().nth(1).unwrap_or_default(), &format!("listen = '127.0.0.1:{port}'"), 1);
    std::fs::write(folder.join("huiliu.toml"), config).map_err(text)?;
    let began = Instant::now();
    let mut hub = Command::new(&cli.hub);
    hub.arg("-C").arg(folder).arg("serve").stdout(Stdio::null()).stderr(Stdio::null());
    let hub = Hub(hub.spawn().map_err(|error| format!("{}: {error}", cli.hub.display()))?);
    while began.elapsed() < Duration::from_secs(10) {
        if is_ready(port) {
            return Ok((hub, began.elapsed().as_secs_f64() * 1e3));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err("the hub did not become ready within 10 s".to_owned())
}

fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n");
    let mut reply = String::new();
    asked.is_ok() && stream.read_to_string(&mut reply).is_ok() && reply.starts_with("HTTP/1.1 200")
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
