//! A private Postgres server for the tests of this process, on a free loopback port, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The URL of an empty database on the private server, which starts with the first call and ends with the process.
pub fn database() -> String {
    made(&QUICK, "")
}

/// The same on a server that is durable, which costs what durability costs.
pub fn durable() -> String {
    static DURABLE: Server = Server { port: OnceLock::new(), options: "-c fsync=on -c synchronous_commit=on" };
    made(&DURABLE, "")
}

/// A server that starts when it is asked for the first time.
struct Server {
    port: OnceLock<u16>,
    options: &'static str,
}

/// Nothing of a test outlives a power cut.
static QUICK: Server = Server { port: OnceLock::new(), options: "-c fsync=off" };

/// The URL of a copy of such a database. Nobody may be connected to the original.
pub fn copy(url: &str) -> String {
    let name = url.rsplit('/').next().and_then(|name| name.split('?').next()).expect("a URL of ours");
    made(&QUICK, &format!(" TEMPLATE {name}"))
}

fn made(server: &Server, how: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let port = *server.port.get_or_init(|| start(server.options));
    let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let admin = format!("postgres://huiliu@127.0.0.1:{port}/postgres");
    let mut client = ::postgres::Client::connect(&admin, ::postgres::NoTls).expect("the private Postgres answers");
    client.batch_execute(&format!("CREATE DATABASE {name}{how}")).expect("a database can be made");
    format!("postgres://huiliu@127.0.0.1:{port}/{name}?sslmode=disable")
}

fn programs() -> PathBuf {
    let found =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|it| it.path().join("bin"));
    found.filter(|bin| bin.join("initdb").exists()).max().expect(
        "these tests need a Postgres server: run `apt-get install postgresql`, or the test command of the README, which does",
    )
}

/// Starts the server as another user when the tests run as root, which Postgres refuses.
fn run(program: &Path, args: &[&str]) -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"));
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(args).current_dir("/tmp").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn start(options: &str) -> u16 {
    let bin = programs();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port();
    let folder = std::env::temp_dir().join(format!("huiliu-pg-{}-{port}", std::process::id()));
    let data = folder.to_str().expect("a plain path").to_owned();
    assert!(
        run(&bin.join("initdb"), &["-D", &data, "-U", "huiliu", "-A", "trust", "-E", "UTF8", "--no-sync"]),
        "initdb failed"
    );
    let options = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' {options}");
    let log = format!("{data}/log");
    assert!(
        run(&bin.join("pg_ctl"), &["-D", &data, "-l", &log, "-w", "-o", &options, "start"]),
        "Postgres did not start; see {log}"
    );
    // The server outlives no test run: a watcher stops it and removes its folder once this process has ended.
    let watcher = format!(
        "while kill -0 {} 2>/dev/null; do sleep 0.2; done; kill -INT $(head -1 {data}/postmaster.pid); sleep 1; rm -rf {data}",
        std::process::id()
    );
    let _detached = Command::new("setsid")
        .args(["sh", "-c", &watcher])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    port
}
