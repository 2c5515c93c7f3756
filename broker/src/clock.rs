//! Wall-clock time as a dependency, so that tests own it.
//!
//! Everything in the broker that needs the time of day takes it from a [`Clock`]. Waiting and
//! time-outs use tokio's monotonic timers and never this; what may be deleted is decided by
//! [`RetentionClock`](crate::retention_clock::RetentionClock), which a jump of this one does not reach.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::UNIX_EPOCH;

use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// A source of wall-clock time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
    /// Milliseconds since the machine was started, with the time that it slept; whoever sets the clock does not change it.
    fn uptime_ms(&self) -> i64;
    /// Different for every start of the machine.
    fn boot_id(&self) -> [u8; 16];
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now_ms(&self) -> i64 {
        let elapsed = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    fn uptime_ms(&self) -> i64 {
        let time = clock_gettime(ClockId::Boottime);
        time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
    }

    fn boot_id(&self) -> [u8; 16] {
        // Without it every start of the broker counts as one of the machine.
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().parse().unwrap_or_else(|_| Uuid::new_v4()).into_bytes()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default, Clone)]
pub struct ManualClock(Arc<ManualTime>);

#[derive(Debug, Default)]
struct ManualTime {
    now_ms: AtomicI64,
    uptime_ms: AtomicI64,
    boots: AtomicU8,
}

impl ManualClock {
    /// A clock that shows `now_ms`.
    pub fn at(now_ms: i64) -> Self {
        let clock = Self::default();
        clock.set(now_ms);
        clock
    }

    /// Sets the time, forwards or backwards, while no time passes.
    pub fn set(&self, now_ms: i64) {
        self.0.now_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Lets time pass.
    pub fn pass(&self, ms: i64) {
        self.0.now_ms.fetch_add(ms, Ordering::Relaxed);
        self.0.uptime_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Starts the machine anew.
    pub fn reboot(&self) {
        self.0.uptime_ms.store(0, Ordering::Relaxed);
        self.0.boots.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.0.now_ms.load(Ordering::Relaxed)
    }

    fn uptime_ms(&self) -> i64 {
        self.0.uptime_ms.load(Ordering::Relaxed)
    }

    fn boot_id(&self) -> [u8; 16] {
        [self.0.boots.load(Ordering::Relaxed); 16]
    }
}
