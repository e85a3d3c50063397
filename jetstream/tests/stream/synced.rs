//! An acknowledgement is given after the disk has the call: counted on the servers' own system calls, not read in a manual.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use huiliu_jetstream::{Settings, Sync};
use huiliu_tests::nats::{Kind, Nats};

use crate::kit::{Hub, settings, store, until};

/// Calls, one after the other: none shares a sync with another.
const CALLS: usize = 50;

/// Writes down when a server syncs.
struct Watch {
    strace: Child,
    file: PathBuf,
}

impl Watch {
    fn on(nats: &Nats, number: usize) -> Self {
        let file = nats.dir.path().join(format!("syncs{number}"));
        let mut command = Command::new("strace");
        command.args(["-f", "-e", "trace=fsync,fdatasync", "-p", &nats.pid(number).to_string(), "-o"]).arg(&file);
        let strace = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let strace = strace.expect("these tests need strace: ./test.sh installs it");
        let status = format!("/proc/{}/status", nats.pid(number));
        until("strace looks on", || {
            let told = std::fs::read_to_string(&status).ok()?;
            (!told.contains("TracerPid:\t0\n")).then_some(())
        });
        Self { strace, file }
    }

    /// How often it synced.
    fn count(mut self) -> usize {
        let id = self.strace.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("a kill command").success());
        self.strace.wait().expect("it ends");
        let told = std::fs::read_to_string(&self.file).expect("what it saw");
        told.lines().filter(|line| line.contains("sync(")).count()
    }
}

fn syncs(nats: &Nats, sync: Sync) -> Vec<usize> {
    let hub = Hub::open(&store(nats), Settings { sync, ..settings(nats) });
    hub.insist("shop", 0);
    let watches: Vec<Watch> = (0..nats.urls().len()).map(|number| Watch::on(nats, number)).collect();
    for number in 1..=CALLS {
        hub.insist("shop", number);
    }
    // A follower that the majority did not wait for.
    std::thread::sleep(Duration::from_millis(500));
    watches.into_iter().map(Watch::count).collect()
}

#[test]
fn a_server_that_syncs_always_syncs_once_for_each_acknowledgement() {
    let synced = syncs(&Nats::start(Kind::default()), Sync::Always);
    assert!(synced[0] >= CALLS, "{synced:?}");
    let lazy = syncs(&Nats::start(Kind { sync_always: false, ..Kind::default() }), Sync::Interval);
    assert!(lazy[0] < CALLS / 5, "one that does not: {lazy:?}");
}

#[test]
fn a_majority_of_three_syncs_for_each_acknowledgement() {
    let mut synced = syncs(&Nats::start(Kind { servers: 3, ..Kind::default() }), Sync::Always);
    synced.sort_unstable();
    assert!(synced[1] >= CALLS, "{synced:?}");
}
