//! The program: it is started again whenever it is dead.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::kit::Folder;

/// The signal that no process can catch.
const KILL: i32 = 9;

/// Random kills of one day.
const KILLS: u32 = 6;

/// What is to happen to the program.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// `HUILIU_CRASH_AT` of each start, in order; once they are used up it lives.
    pub deaths: VecDeque<String>,
    /// Kills at random moments that follow from this number.
    pub seed: Option<u64>,
    /// The shop refuses its first calls: it is read when others are processed already, and creates wait for it.
    pub shop_is_late: bool,
}

/// `huiliu serve` on a folder.
pub struct Program {
    pub folder: Folder,
    child: Option<Child>,
    fate: Fate,
    /// Where it is to die, if it is.
    dies_at: Option<String>,
    killed: u32,
    next_kill: Option<Instant>,
}

impl Program {
    pub fn on(folder: Folder, fate: Fate) -> Self {
        Self { folder, child: None, fate, dies_at: None, killed: 0, next_kill: None }
    }

    fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.path().join("serve.log"));
        let mut command = self.folder.command(&["serve"]);
        self.dies_at = self.fate.deaths.pop_front();
        if let Some(at) = &self.dies_at {
            command.env("HUILIU_CRASH_AT", at);
            // A day has too few customers for a merge of their blocks.
            if at.starts_with("tidy_") {
                command.env("HUILIU_BLOCKS_MAX", "4");
            }
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log")).spawn();
        self.child = Some(child.expect("huiliu starts"));
        self.next_kill = self.next_kill();
    }

    /// Between a twentieth of a second and a second and a half from now: while it starts, reads, thinks, writes, rests.
    fn next_kill(&mut self) -> Option<Instant> {
        let seed = self.fate.seed.filter(|_| self.killed < KILLS)?;
        let wait_ms = 50 + mixed(seed * 1_000 + u64::from(self.killed)) % 1_450;
        Some(Instant::now() + Duration::from_millis(wait_ms))
    }

    /// Starts it if it does not run; kills it if it is time.
    pub fn tend(&mut self) {
        if self.next_kill.is_some_and(|at| at <= Instant::now()) {
            self.kill();
            self.killed += 1;
        }
        let Some(child) = &mut self.child else { return self.start() };
        let Some(status) = child.try_wait().expect("it can be asked") else { return };
        assert_eq!(status.signal(), Some(KILL), "it ended by itself: {status}\n{}", self.log());
        assert!(self.dies_at.is_some(), "nobody killed it\n{}", self.log());
        self.start();
    }

    /// Kills it now; its next lives end at these points.
    pub fn doom(&mut self, deaths: VecDeque<String>) {
        self.kill();
        self.fate.deaths = deaths;
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Whether everything that was to happen has happened.
    pub fn is_through(&self) -> bool {
        self.fate.deaths.is_empty() && self.dies_at.is_none() && self.next_kill.is_none()
    }

    /// Runs a command that ends at a point.
    pub fn dies(&self, args: &[&str], at: &str) {
        let status = self.folder.command(args).env("HUILIU_CRASH_AT", at).output().expect("huiliu runs").status;
        assert_eq!(status.signal(), Some(KILL), "{args:?} never passed {at}: {status}");
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = self.folder.read("serve.log");
        let mut tail: Vec<&str> = log.lines().rev().take(25).collect();
        tail.reverse();
        tail.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One step of SplitMix64: a number that looks random and follows from another.
pub fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
