//! CPU time and resident memory of a process, from /proc. USER_HZ is 100 on every Linux that this runs on.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const TICKS_PER_SECOND: f64 = 100.0;
const SAMPLE_EVERY: Duration = Duration::from_millis(10);

/// User and system time so far, in seconds, to 10 ms.
pub fn read_cpu_seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// Resident memory in MB (10^6 bytes).
#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub resident: f64,
    /// Heap and stacks.
    pub anonymous: f64,
    /// Mapped files: the program itself and the indexes.
    pub file: f64,
}

/// What is resident now.
pub fn read_memory(pid: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let megabytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kibibytes: f64 =
            line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0.0);
        kibibytes * 1024.0 / 1e6
    };
    Ok(Memory {
        resident: megabytes("VmRSS:"),
        anonymous: megabytes("RssAnon:"),
        file: megabytes("RssFile:"),
    })
}

/// Runs `work` and says the most that was resident meanwhile, sampled every 10 ms.
pub fn watch_memory<T>(pid: u32, work: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Memory)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = Memory::default();
            while !done.load(Ordering::Relaxed) {
                let now = read_memory(pid).unwrap_or_default();
                if now.resident > most.resident {
                    most = now;
                }
                thread::sleep(SAMPLE_EVERY);
            }
            most
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        let most = watcher.join().map_err(|_| io::Error::other("the memory watcher panicked"))?;
        Ok((result?, most))
    })
}

/// Sleeps that end on time: the default slack of 50 us would count as latency of every paced request. Threads started while
/// it lives inherit it; servers must not, hence the guard.
pub struct SharpTimers(());

impl SharpTimers {
    /// Without the right to do so, sleeps stay as they are.
    pub fn set() -> Self {
        let _ = fs::write("/proc/self/timerslack_ns", "1");
        Self(())
    }
}

impl Drop for SharpTimers {
    fn drop(&mut self) {
        // Zero means the default.
        let _ = fs::write("/proc/self/timerslack_ns", "0");
    }
}
