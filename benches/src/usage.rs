//! What this process has used, as the kernel counts it.

// Each program uses its part.
#![allow(dead_code)]

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Linux counts processor time for user space in ticks of 10 ms on every machine.
const TICK_MS: u64 = 10;

/// Counters at one moment.
#[derive(Clone, Copy)]
pub struct Usage {
    at: Instant,
    user: Duration,
    system: Duration,
}

impl Usage {
    /// The counters now.
    pub fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The command, in parentheses, may hold blanks; user and system time are the 12th and 13th field after it.
        let after = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        let ticks: Vec<u64> = after.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        let time = |at: usize| Duration::from_millis(ticks.get(at).copied().unwrap_or(0) * TICK_MS);
        Self { at: Instant::now(), user: time(0), system: time(1) }
    }

    /// Seconds of wall, user and system time since an earlier moment.
    pub fn since(self, earlier: Self) -> [f64; 3] {
        let wall = self.at.saturating_duration_since(earlier.at);
        let (user, system) = (self.user.saturating_sub(earlier.user), self.system.saturating_sub(earlier.system));
        [wall, user, system].map(|it| it.as_secs_f64())
    }
}

/// The most memory this process ever held, in MiB.
pub fn peak_mib() -> f64 {
    status_mib("VmHWM:")
}

/// The memory that it holds now, in MiB.
pub fn resident_mib() -> f64 {
    status_mib("VmRSS:")
}

fn status_mib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}

/// What a part of a bench took, in a process of its own.
#[derive(Clone, Serialize, Deserialize)]
pub struct Took {
    /// Records or rows.
    pub rows: u64,
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of all processors in user space.
    pub user: f64,
    /// Seconds of all processors in the kernel.
    pub system: f64,
    /// Peak resident memory in MiB.
    pub peak: f64,
    /// What else is worth saying.
    #[serde(default)]
    pub told: String,
}

impl Took {
    /// Rows a second.
    pub fn rate(&self) -> f64 {
        count(self.rows) / self.wall.max(f64::EPSILON)
    }

    /// Microseconds of processor time a row.
    pub fn cpu_us(&self) -> f64 {
        (self.user + self.system) * 1e6 / count(self.rows)
    }
}

/// A number of rows to divide by.
pub fn count(rows: u64) -> f64 {
    f64::from(u32::try_from(rows.max(1)).unwrap_or(u32::MAX))
}

/// What so many rows took since then.
pub fn took(rows: u64, from: Usage, told: String) -> Took {
    let [wall, user, system] = Usage::now().since(from);
    Took { rows, wall, user, system, peak: peak_mib(), told }
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
