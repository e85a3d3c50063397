//! A server in a process of its own, and what the kernel says of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::servers::Server;
use crate::text;

/// A server that runs; killed with this value.
pub struct Child {
    child: std::process::Child,
    /// Where it listens on this machine.
    pub port: u16,
}

/// What it has used so far.
#[derive(Clone, Copy)]
pub struct Used {
    /// Processor time in microseconds, counted by the kernel in ticks of 10 ms.
    pub cpu_us: u64,
    /// Memory that is its own now, in MiB.
    pub rss_mib: f64,
}

impl Child {
    /// Starts a server over a folder and waits until it listens.
    pub fn start(server: Server, folder: &Path, peer: Option<&Path>) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(text)?;
        let mut command = Command::new(program);
        command.arg("--server").arg(server.word()).arg("--folder").arg(folder);
        if let Some(peer) = peer {
            command.arg("--peer").arg(peer);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(text)?;
        let mut line = String::new();
        let said = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let port = said.and_then(|_| line.trim().parse().ok());
        let started = Self { child, port: port.unwrap_or(0) };
        if started.port == 0 { Err(format!("{} did not start", server.word())) } else { Ok(started) }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it (signal 9), and first what it started, and waits for its end.
    pub fn kill(&mut self) -> Result<(), String> {
        for below in family(self.id()).into_iter().skip(1) {
            let _ = Command::new("kill").args(["-9", &below.to_string()]).status();
        }
        self.child.kill().map_err(text)?;
        self.child.wait().map(drop).map_err(text)
    }

    /// What the kernel counted, of what it started, too.
    #[allow(clippy::cast_precision_loss)]
    pub fn used(&self) -> Used {
        let mut used = Used { cpu_us: 0, rss_mib: 0.0 };
        for process in family(self.id()) {
            let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
            let (stat, statm) = (read("stat"), read("statm"));
            let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
            let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
            let pages: u64 = statm.split_whitespace().nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
            used.cpu_us += ticks * 10_000;
            used.rss_mib += (pages * 4096) as f64 / f64::from(1 << 20);
        }
        used
    }
}

/// A process and all that it started, itself first.
fn family(first: u32) -> Vec<u32> {
    let mut all = vec![first];
    let mut at = 0;
    while let Some(process) = all.get(at) {
        // Each of its threads may have started some.
        for task in std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|it| it.parse::<u32>().ok()));
        }
        at += 1;
    }
    all
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
