//! CPU time and memory of a process, from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// Ticks of CPU time in a second (`USER_HZ`): 100 on every architecture that Linux has today.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// In user and kernel mode, all threads.
    pub(super) cpu: Duration,
    /// Resident memory, bytes.
    pub(super) resident: u64,
}

/// Reads the usage of a process.
///
/// # Errors
/// The process has gone, or `/proc` is not as `proc(5)` says.
pub(super) fn of_process(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parsed = cpu(&stat).zip(resident(&status));
    let (cpu, resident) =
        parsed.ok_or_else(|| io::Error::other(format!("/proc/{pid} is not as expected")))?;
    Ok(Usage { cpu, resident })
}

/// Fields 14 and 15 of `/proc/PID/stat`. The name in field 2 may have spaces and parentheses.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

/// `VmRSS` of `/proc/PID/status`.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        let stat = "42 (a) b) c) S 1 42 42 0 -1 4194304 100 0 0 0 150 75 0 0 20 0 5 0 100 1000 200";
        assert_eq!(cpu(stat), Some(Duration::from_millis(2250)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2 << 20));
        assert_eq!(cpu("nonsense"), None);
        assert!(of_process(std::process::id()).is_ok_and(|usage| 0 < usage.resident));
    }
}
