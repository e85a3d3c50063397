//! Real NATS servers with JetStream, each a process of its own on free loopback ports, alone or as a cluster.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::judge;
use crate::server::Server;

/// Says that JetStream is on, also while a cluster has no leader yet.
const READY: &str = "/healthz?js-enabled=true&js-enabled-only=true&js-server-only=true";

/// A cluster finds its leaders within this time, also on a busy machine.
const LEADERS_MAX: Duration = Duration::from_secs(60);

/// The account, where one is asked for.
pub const USER: &str = "hub";

/// Its password.
pub const PASSWORD: &str = "correct-horse";

/// Which servers, and how they are set up.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Debian's package (2.9); else the one of PyPI.
    pub debian: bool,
    /// How many.
    pub servers: usize,
    /// Whether they sync before they acknowledge.
    pub sync_always: bool,
    /// The largest message that they take, in bytes.
    pub max_payload: usize,
    /// Whether they ask who is there.
    pub login: bool,
}

impl Default for Kind {
    fn default() -> Self {
        Self { debian: false, servers: 1, sync_always: true, max_payload: 2 << 20, login: false }
    }
}

/// See the module. They end when this is dropped.
pub struct Nats {
    servers: Vec<Server>,
    ports: Vec<u16>,
    /// Where they keep what they know.
    pub dir: tempfile::TempDir,
}

fn program(debian: bool) -> PathBuf {
    let path =
        if debian { PathBuf::from("/usr/sbin/nats-server") } else { judge::tools().join("nats/bin/nats-server") };
    assert!(path.exists(), "these tests need {}: ./test.sh installs it", path.display());
    path
}

/// A free port that no outgoing call is given before the server has it, or while the server is dead.
fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that were started one after the other look in different places.
    let first = u16::try_from(u64::from(std::process::id()) * 397 % 9_000).unwrap_or_default();
    loop {
        let port = 11_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 9_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Nats {
    /// Starts them; their streams are empty.
    pub fn start(kind: Kind) -> Self {
        let dir = tempfile::Builder::new().prefix("nats").tempdir_in("/tmp").expect("a folder");
        let ports: Vec<[u16; 3]> = (0..kind.servers).map(|_| std::array::from_fn(|_| port())).collect();
        let routes: Vec<String> = ports.iter().map(|[_, _, cluster]| format!("nats://127.0.0.1:{cluster}")).collect();
        for (number, [port, monitor, cluster]) in ports.iter().enumerate() {
            let store = dir.path().join(format!("n{number}"));
            let sync = if kind.sync_always { ", sync_interval: always" } else { "" };
            let mut config = format!(
                "server_name: n{number}\nlisten: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\nmax_payload: {}\n\
                 jetstream {{ store_dir: \"{}\", max_memory_store: 67108864, max_file_store: 4294967296{sync} }}\n",
                kind.max_payload,
                store.display()
            );
            if kind.servers > 1 {
                config +=
                    &format!("cluster {{ name: c, listen: 127.0.0.1:{cluster}, routes: [{}] }}\n", routes.join(", "));
            }
            if kind.login {
                config += &format!("authorization {{ user: {USER}, password: {PASSWORD} }}\n");
            }
            std::fs::write(dir.path().join(format!("n{number}.conf")), config).expect("write");
        }
        let mut nats = Self { servers: Vec::new(), ports: ports.iter().map(|it| it[0]).collect(), dir };
        for (number, [_, monitor, _]) in ports.iter().enumerate() {
            let (config, log) = (nats.file(number, "conf"), nats.file(number, "log"));
            let make = move || {
                let mut command = Command::new(program(kind.debian));
                command.arg("-c").arg(&config).stdin(Stdio::null());
                command
            };
            nats.servers.push(Server::start(*monitor, log, READY, make));
        }
        nats.wait_for_leader();
        nats
    }

    fn file(&self, number: usize, ending: &str) -> PathBuf {
        self.dir.path().join(format!("n{number}.{ending}"))
    }

    /// Waits until the cluster can make streams.
    fn wait_for_leader(&self) {
        let (begun, mut seen) = (Instant::now(), Value::Null);
        while self.servers.len() > 1 && begun.elapsed() < LEADERS_MAX {
            seen = self.monitored(0, "/jsz");
            let meta = &seen["meta_cluster"];
            let known = meta["replicas"].as_array().map_or(0, Vec::len);
            let up = meta["leader"].as_str().is_some_and(|name| !name.is_empty());
            if up && (known + 1 == self.servers.len() || meta["cluster_size"] == self.servers.len()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(self.servers.len() == 1, "the cluster has no leader: {seen}");
    }

    /// The addresses for clients.
    pub fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect()
    }

    /// The monitoring addresses.
    pub fn monitors(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("http://127.0.0.1:{}", server.port)).collect()
    }

    /// What a server's monitoring says.
    pub fn monitored(&self, number: usize, path: &str) -> Value {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.servers[number].port)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
            let mut told = String::new();
            stream.read_to_string(&mut told).ok()?;
            serde_json::from_str(told.split_once("\r\n\r\n")?.1).ok()
        };
        ask().unwrap_or(Value::Null)
    }

    /// The number of the server that leads a stream.
    pub fn leader(&self, stream: &str) -> Option<usize> {
        let told = self.monitored(0, "/jsz?streams=true&accounts=true");
        let details = told["account_details"].as_array()?.iter().filter_map(|it| it["stream_detail"].as_array());
        let found = details.flatten().find(|it| it["name"] == stream)?;
        found["cluster"]["leader"].as_str()?.trim_start_matches('n').parse().ok()
    }

    /// Ends one at once, as `kill -9` does.
    pub fn kill(&self, number: usize) {
        self.servers[number].kill();
    }

    /// It takes calls and does nothing with them, until it is killed.
    pub fn freeze(&self, number: usize) {
        self.servers[number].freeze();
    }

    /// Starts one again where it was.
    pub fn restart(&self, number: usize) {
        self.servers[number].restart();
    }

    /// Where a server writes what it does.
    pub fn log(&self, number: usize) -> String {
        self.servers[number].log()
    }

    /// The process of a server.
    pub fn pid(&self, number: usize) -> u32 {
        self.servers[number].pid()
    }

    /// Where a server keeps its streams.
    pub fn store(&self, number: usize) -> PathBuf {
        Path::new(self.dir.path()).join(format!("n{number}"))
    }
}
