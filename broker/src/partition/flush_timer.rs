//! `flush.ms`: syncs what was acknowledged from the page cache, some time later.
//!
//! Only partitions whose topics relax the sync before the ack come here, each at most once at a
//! time: its first unsynced append schedules it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Appender, Partition};
use crate::stop::Stop;

/// The partitions that are due for a sync, by time.
#[derive(Debug, Default)]
pub struct FlushTimer {
    due: Mutex<BTreeMap<(Instant, usize), Weak<Partition>>>,
    changed: Notify,
}

impl FlushTimer {
    /// Schedules a sync of `partition` in `delay`.
    pub fn schedule(&self, partition: &Arc<Partition>, delay: Duration) {
        let at = Instant::now() + delay;
        let key = (at, Arc::as_ptr(partition).addr());
        self.lock().insert(key, Arc::downgrade(partition));
        self.changed.notify_one();
    }

    /// Syncs what is due until the broker stops.
    pub async fn run(&self, appender: Appender, stop: Stop) {
        loop {
            let next = self.lock().first_key_value().map(|((at, _), _)| *at);
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.stopped() => return,
                () = self.changed.notified() => {}
                () = due => self.flush_due(&appender),
            }
        }
    }

    fn flush_due(&self, appender: &Appender) {
        let later = {
            let mut due = self.lock();
            let later = due.split_off(&(Instant::now(), usize::MAX));
            std::mem::replace(&mut *due, later)
        };
        for partition in later.into_values().filter_map(|partition| partition.upgrade()) {
            // Nobody waits for this one; a failure stops the broker by itself.
            drop(appender.sync(partition));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Instant, usize), Weak<Partition>>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
