//! Runs a load for a warm-up and a window, and takes bytes, operations and the server's CPU time at the window's two ends.
//! Work is counted when it happens, not when a worker ends, so large requests do not blur the window.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::pool::Pool;
use crate::process::read_cpu_seconds;

const POLL_EVERY: Duration = Duration::from_millis(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What workers count into.
#[derive(Default)]
pub struct Meter {
    bytes: AtomicU64,
    operations: AtomicU64,
    measuring: AtomicBool,
    stopped: AtomicBool,
}

impl Meter {
    /// Bytes that arrived or were acknowledged.
    pub fn add_bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// One answered request.
    pub fn add_operation(&self) {
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// All bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lets the workers end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Inside the window: latencies count.
    pub fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    /// Workers end when they see it.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// How long a load runs, and how much it may write.
#[derive(Clone, Copy)]
pub struct Window {
    pub warm_up: Duration,
    pub length: Duration,
    /// The load ends early once it has moved this many bytes; `u64::MAX` for reads.
    pub bytes_max: u64,
}

/// Latencies in microseconds, to three digits.
pub type Latencies = Histogram<u64>;

/// Ten minutes, in microseconds; longer ones count as this.
const LATENCY_MAX: u64 = 600_000_000;

/// An empty histogram. Of fixed size, as saturating records do not make one grow.
pub fn no_latencies() -> Latencies {
    Histogram::new_with_max(LATENCY_MAX, 3)
        .expect("three digits up to ten minutes are within the histogram's limits")
}

/// What the window saw.
pub struct Measured {
    pub seconds: f64,
    pub bytes: u64,
    pub operations: u64,
    /// Of the server, if its PID is known.
    pub cpu_seconds: Option<f64>,
    pub latencies: Latencies,
}

impl Measured {
    /// Megabytes (10^6) a second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// CPU seconds of the server per GiB moved.
    pub fn cpu_seconds_per_gib(&self) -> Option<f64> {
        let gib = self.bytes as f64 / f64::from(1 << 30);
        self.cpu_seconds.filter(|_| 0.0 < gib).map(|seconds| seconds / gib)
    }

    /// Answers a second.
    pub fn operations_per_second(&self) -> f64 {
        self.operations as f64 / self.seconds
    }

    /// A latency in milliseconds at `quantile` of 1.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        quantile_ms(&self.latencies, quantile)
    }
}

/// A latency in milliseconds at `quantile` of 1.
pub fn quantile_ms(latencies: &Latencies, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1e3
}

/// Records a latency.
pub fn record(latencies: &mut Latencies, latency: Duration) {
    latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
}

/// One worker's part of a load, run on a thread of its own until the meter is stopped.
pub type Worker<'a> = Box<dyn FnOnce(&Meter) -> io::Result<Latencies> + Send + 'a>;

/// Runs the workers side by side; `pool` gives up memory as the load writes.
pub fn measure(
    workers: Vec<Worker<'_>>,
    pid: Option<u32>,
    window: Window,
    mut pool: Option<&mut Pool>,
) -> io::Result<Measured> {
    let meter = Meter::default();
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let meter = &meter;
                scope.spawn(move || {
                    let result = worker(meter);
                    // A worker that ends early, by an error, ends the load.
                    meter.stopped.store(true, Ordering::Relaxed);
                    result
                })
            })
            .collect();
        // Connecting and a topic's first append are no part of the warm-up: it starts with the first answer.
        let started = meter.wait_for_answer(0);
        let warmed = meter.wait(window.warm_up, window.bytes_max / 4, &mut pool);
        let start = Snapshot::take(&meter, pid);
        meter.measuring.store(true, Ordering::Relaxed);
        // A broker that answers nothing within the window gets a longer one, not a figure of zero.
        let waited = meter.wait(window.length, window.bytes_max, &mut pool);
        let waited = waited.and(meter.wait_for_answer(start.operations));
        let end = Snapshot::take(&meter, pid);
        meter.measuring.store(false, Ordering::Relaxed);
        meter.stopped.store(true, Ordering::Relaxed);
        let mut latencies = no_latencies();
        for thread in threads {
            let part = thread.join().map_err(|_| io::Error::other("a load thread panicked"))??;
            latencies.add(&part).map_err(io::Error::other)?;
        }
        // Only now: an early return would have left the workers running and the scope waiting for them.
        started.and(warmed).and(waited)?;
        Ok(start.until(&end, latencies))
    })
}

impl Meter {
    /// Until there is one more than `before`.
    fn wait_for_answer(&self, before: u64) -> io::Result<()> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while self.operations.load(Ordering::Relaxed) <= before && !self.is_stopped() {
            if deadline < Instant::now() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no request was answered"));
            }
            thread::sleep(POLL_EVERY);
        }
        Ok(())
    }

    fn wait(&self, length: Duration, bytes_max: u64, pool: &mut Option<&mut Pool>) -> io::Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end && !self.is_stopped() {
            let bytes = self.bytes.load(Ordering::Relaxed);
            if let Some(pool) = pool {
                pool.give(bytes)?;
            }
            if bytes_max <= bytes {
                break;
            }
            thread::sleep(POLL_EVERY.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

struct Snapshot {
    at: Instant,
    bytes: u64,
    operations: u64,
    cpu_seconds: Option<f64>,
}

impl Snapshot {
    fn take(meter: &Meter, pid: Option<u32>) -> Self {
        Self {
            at: Instant::now(),
            bytes: meter.bytes.load(Ordering::Relaxed),
            operations: meter.operations.load(Ordering::Relaxed),
            cpu_seconds: pid.and_then(|pid| read_cpu_seconds(pid).ok()),
        }
    }

    fn until(&self, end: &Self, latencies: Latencies) -> Measured {
        Measured {
            seconds: (end.at - self.at).as_secs_f64(),
            bytes: end.bytes - self.bytes,
            operations: end.operations - self.operations,
            cpu_seconds: self.cpu_seconds.zip(end.cpu_seconds).map(|(start, end)| end - start),
            latencies,
        }
    }
}
