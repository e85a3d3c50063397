//! What a run cost: wall time, processor time, the most memory that it held.

use std::time::Instant;

use crate::language::Language;
use crate::say;

pub(super) struct Cost(Instant);

impl Cost {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    pub(super) fn told(&self, language: Language) -> String {
        let wall = self.0.elapsed().as_secs_f64();
        match (processor_seconds(), peak_mib()) {
            (Some(processor), Some(peak)) => say!(
                language,
                "wall time {wall:.2} s, processor time {processor:.2} s, peak memory {peak} MiB",
                "耗时 {wall:.2} 秒，处理器时间 {processor:.2} 秒，内存峰值 {peak} MiB",
                wall = wall,
                processor = processor,
                peak = peak,
            ),
            _ => say!(language, "wall time {wall:.2} s", "耗时 {wall:.2} 秒", wall = wall),
        }
    }
}

/// User and system time of this process, where the system tells it (proc(5), fields 14 and 15 in hundredths).
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after = stat.rsplit_once(')')?.1;
    let ticks: Vec<u32> = after.split_whitespace().skip(11).take(2).filter_map(|it| it.parse().ok()).collect();
    (ticks.len() == 2).then(|| f64::from(ticks[0] + ticks[1]) / 100.0)
}

/// The high-water mark of resident memory (proc(5), VmHWM in KiB).
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib / 1024)
}
