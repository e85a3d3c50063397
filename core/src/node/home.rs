//! Where a process lives, said so that others on the same machine can see that it does not live any more.

use std::fs;

/// Words that tell a process from every other one, or none where the system does not show them: the boot of the machine, the
/// namespace in which its number counts, the number, and when it started.
pub fn mine() -> Option<String> {
    of(std::process::id())
}

fn of(pid: u32) -> Option<String> {
    Some(format!("{} {pid} {}", machine()?, started(pid)?))
}

fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// When a process that has not ended started, in ticks since the machine did (proc_pid_stat(5): fields 3 and 22).
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    // Who has ended and was not asked for yet is still listed.
    let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
    if has_ended { None } else { fields.nth(18)?.parse().ok() }
}

/// Whether a process surely lives no more. Of other machines and containers nothing is known here.
pub fn is_gone(home: &str) -> bool {
    let told = |home: &str| -> Option<bool> {
        let (rest, start) = home.rsplit_once(' ')?;
        let (machine, pid) = rest.rsplit_once(' ')?;
        let is_here = machine == self::machine()?;
        Some(is_here && started(pid.parse().ok()?) != Some(start.parse().ok()?))
    };
    told(home).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_was_killed_is_gone_before_anybody_asked_for_it() {
        let mine = mine().expect("this system shows it");
        assert!(!is_gone(&mine), "{mine}");
        let mut child = Command::new("sleep").arg("600").spawn().expect("a process");
        let home = of(child.id()).expect("it lives");
        assert!(!is_gone(&home), "{home}");
        child.kill().expect("it can be killed");
        while !is_gone(&home) {
            std::thread::yield_now();
        }
        child.wait().expect("it ended");
        assert!(is_gone(&home));
        // Another process that has its number by now.
        let (rest, _) = mine.rsplit_once(' ').expect("words");
        assert!(is_gone(&format!("{rest} 1")));
        let (_, of_mine) = mine.split_once(' ').expect("words");
        assert!(!is_gone(&format!("another-boot {of_mine}")) && !is_gone("") && !is_gone("a b c d"));
    }
}
