//! Makes the groups of `__consumer_offsets` at the start, partition by partition, in the background.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::coordinator::GroupCoordinator;
use super::group::Group;
use super::log_scan::LogScan;
use super::record;

/// A partition that cannot be read is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How often it is looked whether the broker stops.
const STOP_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Groups of one partition, as its log tells them.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    groups: HashMap<Arc<str>, Group>,
    records: u64,
    unknown: u64,
}

impl GroupCoordinator {
    /// Loads all groups; those of a partition are reached when it is through with that. Waits for the disk.
    pub fn load(self: &Arc<Self>) {
        let Some(opened) = self.opened_topic() else { return };
        let started = Instant::now();
        let (mut groups, mut records) = (0, 0);
        for (index, partition) in opened.partitions().enumerate() {
            let Some(replayed) = self.replay(&mut LogScan::new(partition)) else { return };
            groups += replayed.groups.len();
            records += replayed.records;
            self.take_over(&opened, index, replayed.into_groups());
        }
        if 0 < records {
            let elapsed_ms = started.elapsed().as_millis();
            tracing::info!(groups, records, elapsed_ms, "groups are loaded");
        }
    }

    /// Reads a partition to its end; none if the broker stops meanwhile.
    fn replay(&self, scan: &mut LogScan) -> Option<Replayed> {
        let mut replayed = Replayed::default();
        loop {
            if self.is_stopping() {
                return None;
            }
            match scan.next(&mut |key, value| replayed.take(key, value)) {
                Ok(true) => {}
                Ok(false) => return Some(replayed),
                Err(error) => {
                    tracing::error!(%error, "groups cannot be loaded; trying again shortly");
                    self.pause(RETRY_AFTER);
                }
            }
        }
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.is_stopping() {
            thread::sleep(STOP_LOOK_INTERVAL);
        }
    }
}

impl Replayed {
    /// The groups.
    pub(super) fn into_groups(self) -> Vec<Group> {
        self.groups.into_values().collect()
    }

    /// Takes over a record; one that is not understood is passed over.
    pub(super) fn take(&mut self, key: Bytes, value: Option<Bytes>) {
        self.records += 1;
        match record::decode(key, value) {
            Ok(record) => {
                let id = record::group_id(&record);
                let group = match self.groups.get_mut(id) {
                    Some(group) => group,
                    None => {
                        let id: Arc<str> = id.into();
                        self.groups.entry(Arc::clone(&id)).or_insert_with(|| Group::new(id))
                    }
                };
                group.replay(record);
            }
            Err(error) => {
                // A newer broker may have written it; it stays in the log.
                if self.unknown == 0 {
                    tracing::warn!(%error, "a record of groups is not understood and left alone");
                }
                self.unknown += 1;
            }
        }
    }
}
