//! The checkpoint of a broker that does not run, for `broker check`: what it says of a log, and how the next start is made to
//! look for itself.

use std::path::Path;

use uuid::Uuid;

use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::files::FileSystem;
use crate::storage::holes::Quarantined;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::state_file::{self, StateFileError};
use crate::storage::summary::SegmentSummary;

use super::{Entry, FILE_NAME, KIND, Saved};

/// The file as it is.
#[derive(Debug)]
pub(crate) struct StoredCheckpoint {
    saved: Saved,
}

/// From where on the next start scans a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rescan {
    /// The topic.
    pub(crate) topic_id: Uuid,
    /// The partition.
    pub(crate) index: i32,
    /// Log start offset, if the checkpoint has a lower one.
    pub(crate) start_offset: i64,
    /// Base offset of the first segment to scan; none if there is no segment.
    pub(crate) base_offset: Option<i64>,
}

impl StoredCheckpoint {
    /// None if there is no such file.
    ///
    /// # Errors
    /// [`StateFileError`].
    pub(crate) fn load(fs: &dyn FileSystem, data_dir: &Path) -> Result<Option<Self>, StateFileError> {
        let saved = state_file::load::<Saved>(fs, &data_dir.join(FILE_NAME), KIND)?;
        Ok(saved.map(|saved| Self { saved }))
    }

    #[cfg(test)]
    pub(crate) fn of(topic_id: Uuid, index: i32, log: PartitionCheckpoint) -> Self {
        let (topic_id, epochs) = (topic_id.into_bytes(), LeaderEpochs::default());
        let entries = vec![Entry { topic_id, index, log, producers: Vec::new(), epochs }];
        Self { saved: Saved { journal_live_from: 0, entries } }
    }

    /// The first filling of the commit journal that may hold what the segments lack.
    pub(crate) fn journal_live_from(&self) -> u64 {
        self.saved.journal_live_from
    }

    /// What it says of a log.
    pub(crate) fn log(&self, topic_id: Uuid, index: i32) -> Option<&PartitionCheckpoint> {
        let is_it = |entry: &&Entry| entry.topic_id == *topic_id.as_bytes() && entry.index == index;
        self.saved.entries.iter().find(is_it).map(|entry| &entry.log)
    }

    /// Makes the next start, a clean one too, scan a log from a segment on. Where the log starts and ends, its producers and its
    /// leader epochs stay known; that nothing of that segment is taken for durable only means that all of it is read. Damaged ranges
    /// of what is scanned are forgotten: the scan finds them, wherever they are then.
    pub(crate) fn set_rescan(&mut self, rescan: &Rescan) {
        let Rescan { topic_id, index, start_offset, base_offset } = *rescan;
        let topic_id = *topic_id.as_bytes();
        let is_it = |entry: &Entry| entry.topic_id == topic_id && entry.index == index;
        let entries = &mut self.saved.entries;
        let at = entries.iter().position(is_it).unwrap_or_else(|| {
            let log = PartitionCheckpoint {
                start_offset,
                end_offset: start_offset,
                active: None,
                sealed: None,
                quarantined: Vec::new(),
            };
            entries.push(Entry {
                topic_id,
                index,
                log,
                producers: Vec::new(),
                epochs: LeaderEpochs::default(),
            });
            entries.len() - 1
        });
        let log = &mut entries[at].log;
        let created =
            |base: i64| log.active.filter(|active| active.base_offset == base).map(|it| it.created_ms);
        let active = base_offset.map(|base| SegmentSummary::new(base, created(base).unwrap_or(0)));
        log.start_offset = log.start_offset.max(start_offset);
        log.end_offset = log.end_offset.max(log.start_offset);
        log.active = active;
        // A list would be believed after a clean shutdown, and nothing read.
        log.sealed = base_offset.is_none().then(Vec::new);
        log.quarantined.retain(|range| base_offset.is_some_and(|base| range.segment_base < base));
    }

    /// Replaces what is known of the damaged ranges of a segment.
    pub(crate) fn set_quarantined(
        &mut self,
        (topic_id, index): (Uuid, i32),
        segment_base: i64,
        ranges: impl IntoIterator<Item = Quarantined>,
    ) {
        let is_it = |entry: &&mut Entry| entry.topic_id == *topic_id.as_bytes() && entry.index == index;
        let Some(entry) = self.saved.entries.iter_mut().find(is_it) else { return };
        entry.log.quarantined.retain(|range| range.segment_base != segment_base);
        entry.log.quarantined.extend(ranges);
    }

    /// Replaces the file, durably.
    ///
    /// # Errors
    /// [`StateFileError`].
    pub(crate) fn save(&self, fs: &dyn FileSystem, data_dir: &Path) -> Result<(), StateFileError> {
        state_file::save(fs, &data_dir.join(FILE_NAME), KIND, &self.saved)
    }
}
