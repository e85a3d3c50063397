//! What this process has used, as the kernel counts it.

use std::time::{Duration, Instant};

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
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    kib / 1024.0
}
