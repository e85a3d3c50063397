//! Nodes on one store, by the files of one folder.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use huiliu_core::store::Store;
use huiliu_core::store::leases::{self, NodeRow};
use huiliu_tests::postgres;
use serde_json::Value;

use crate::kit::{Folder, free_port};
use crate::load::{KEY, Said, post};
use crate::target::{Seen, Target};

/// Nothing takes longer on a busy machine, several deaths included.
const PATIENCE: Duration = Duration::from_secs(120);

/// In so long whatever still moved would have.
const QUIET: Duration = Duration::from_millis(2_500);

struct Member {
    port: u16,
    roles: &'static str,
    starts: u32,
    child: Option<Child>,
}

/// See the module.
pub struct Cluster {
    folder: Folder,
    store: Store,
    pub target: Target,
    members: Vec<Member>,
}

impl Cluster {
    /// Starts so many nodes; each has the roles given for its place, or all.
    pub fn start(count: usize, roles: &[&'static str]) -> Self {
        let (url, target) = (postgres::database(), Target::start());
        let folder = Folder::new(&format!(
            "[hub]\nstore = '{url}'\n[console]\nlisten = '127.0.0.1:{}'\n\
             [connections.events]\nconnector = 'webhook'\nwrites = false\nchanging = {{ links = 1000000, percent = 100 }}\n\
             [connections.target]\nconnector = 'webhook'\nnetwork = 'private'\nconfig.url = '{}'\n\
             creates = ['customers']\n",
            free_port(),
            target.url()
        ));
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(KEY));
        for (connection, name) in [("events", "webhook"), ("target", "webhook"), ("target", "signing")] {
            folder.tell(&["secret", connection, name], &secret).out();
        }
        folder.run(&["go-live", "target", "--yes"]).out();
        let member = |at: usize| {
            // A console has one port: the first serves it.
            let roles =
                roles.get(at).copied().unwrap_or(if at == 0 { "receive,process,exchange,console" } else { ALL });
            Member { port: free_port(), roles, starts: 0, child: None }
        };
        let store = Store::open(&url).expect("the store opens");
        let mut cluster = Self { folder, store, target, members: (0..count).map(member).collect() };
        cluster.start_dead();
        cluster
    }

    /// Starts those who do not run, and waits until all work is somebody's.
    pub fn start_dead(&mut self) {
        self.start_again();
        self.await_nodes("every node is known", |all| {
            all.iter().filter(|it| it.is_alive).count() >= self.members.len()
        });
        self.await_nodes("all work is somebody's", |all| {
            all.iter().filter(|it| it.is_alive).map(|it| it.holds.len()).sum::<usize>() == 3
        });
    }

    /// Waits until the store shows the nodes so.
    #[track_caller]
    fn await_nodes(&self, what: &str, is_so: impl Fn(&[NodeRow]) -> bool) {
        let begun = Instant::now();
        loop {
            let all = self.nodes();
            if is_so(&all) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}\n{all:#?}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts those who do not run.
    pub fn start_again(&mut self) {
        for (at, member) in self.members.iter_mut().enumerate().filter(|(_, it)| it.child.is_none()) {
            member.starts += 1;
            let log = self.folder.path().join(format!("serve-{at}-{}.log", member.starts));
            let log = std::fs::File::create(log).expect("a log");
            let listen = format!("127.0.0.1:{}", member.port);
            let mut command = self.folder.command(&["serve", "--roles", member.roles, "--listen", &listen]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            member.child = Some(command.spawn().expect("huiliu starts"));
        }
    }

    fn nodes(&self) -> Vec<NodeRow> {
        self.store.read(leases::nodes).expect("nodes")
    }

    fn pid(&self, at: usize) -> Option<u32> {
        self.members[at].child.as_ref().map(Child::id)
    }

    fn row(&self, at: usize) -> Option<NodeRow> {
        let place = format!(":{}", self.pid(at)?);
        self.nodes().into_iter().find(|it| it.place.ends_with(&place))
    }

    /// A node's name in the store.
    pub fn name(&self, at: usize) -> String {
        self.row(at).expect("it runs").name
    }

    /// Which node has a unit of work, and lives.
    pub fn holder(&self, unit: &str) -> Option<usize> {
        let all = self.nodes();
        let holder = all.iter().find(|it| it.is_alive && it.holds.iter().any(|held| held == unit))?;
        (0..self.members.len()).find(|at| self.pid(*at).is_some_and(|pid| holder.place.ends_with(&format!(":{pid}"))))
    }

    /// Ports of the nodes that take calls.
    pub fn ports(&self) -> Vec<u16> {
        self.members.iter().filter(|it| it.roles.contains("receive")).map(|it| it.port).collect()
    }

    /// Kills a node so that it notices nothing.
    pub fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.members[at].child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Asks a node to stop; when it had.
    pub fn stop(&mut self, at: usize) -> Instant {
        self.signal(at, "TERM");
        let mut child = self.members[at].child.take().expect("it runs");
        let status = child.wait().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.logs());
        Instant::now()
    }

    /// Sends a signal to a node.
    pub fn signal(&self, at: usize, signal: &str) {
        let pid = self.pid(at).expect("it runs").to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{signal} {pid}");
    }

    /// Calls a node as the sender of events does; the status.
    pub fn post(&self, at: usize, id: &str, body: &str) -> u16 {
        post(self.members[at].port, id, body).unwrap_or(0)
    }

    /// What `huiliu status --json` says.
    pub fn status(&self) -> Value {
        self.folder.run(&["status", "--json"]).json()
    }

    /// Waits until the target knows the last word about everybody.
    #[track_caller]
    pub fn settled(&self, said: &Said) -> Seen {
        let begun = Instant::now();
        loop {
            let seen = self.target.seen();
            let late = seen.late(said);
            if late.is_empty() {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "lost: {late:?}\n{}\n{}", self.status(), self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nothing is left to do, nothing needs a person, and nothing more is sent.
    #[track_caller]
    pub fn assert_quiet(&self) {
        let before = self.target.seen().effects;
        std::thread::sleep(QUIET);
        assert_eq!(self.target.seen().effects, before, "something was sent afterwards\n{}", self.logs());
        let status = self.status();
        assert_eq!(status["dead_letters"], serde_json::json!([]), "{status}");
        assert_eq!((&status["inbox_waiting"], &status["reviews_waiting"]), (&0.into(), &0.into()), "{status}");
        let open = |it: &Value| ["pending", "sending"].contains(&it["state"].as_str().unwrap_or_default());
        assert!(!status["deliveries"].as_array().is_some_and(|all| all.iter().any(open)), "{status}");
    }

    /// The ends of all logs.
    fn logs(&self) -> String {
        let mut text = String::new();
        for (at, member) in self.members.iter().enumerate() {
            for start in 1..=member.starts {
                let name = format!("serve-{at}-{start}.log");
                let log = self.folder.read(&name);
                let mut tail: Vec<&str> = log.lines().rev().take(25).collect();
                tail.reverse();
                text += &format!("--- {name}\n{}\n", tail.join("\n"));
            }
        }
        text
    }
}

/// All roles but the console.
const ALL: &str = "receive,process,exchange";

impl Drop for Cluster {
    fn drop(&mut self) {
        for at in 0..self.members.len() {
            self.kill(at);
        }
    }
}
