//! What is known of a segment without reading it, and what every batch adds to it: pure arithmetic.

use sendlog_protocol::records::{BatchHeader, NO_TIMESTAMP};
use serde::{Deserialize, Serialize};

use crate::storage::index_file::IndexSum;
use crate::storage::{offset_index, time_index};

/// When a log starts a new segment, and how densely it is indexed. Cheap to copy and to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// Largest segment file, bytes (`segment.bytes`). A single larger batch gets a segment of its own.
    pub segment_bytes: u64,
    /// A segment is closed when a batch arrives whose timestamps lie this much behind its first batch's, ms (`segment.ms`).
    pub segment_ms: i64,
    /// An index entry is due after this many bytes of batches (`index.interval.bytes`).
    pub index_interval_bytes: u32,
    /// Largest index file, bytes (`segment.index.bytes`).
    pub segment_index_bytes: u32,
    /// A segment is synced before a new one takes over. Otherwise a power cut may keep the new one and take the end of the
    /// old: a hole in the log. Off for topics that may lose their end anyway.
    pub sync_before_roll: bool,
    /// The topic is compacted: offsets may be missing between batches.
    pub is_compacted: bool,
}

impl Default for LogConfig {
    /// Kafka's defaults: 1 GiB, 7 days, 4096 bytes, 10 MiB.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            sync_before_roll: true,
            is_compacted: false,
        }
    }
}

/// State of a segment: it goes into the checkpoint for the active one, into the seal for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSummary {
    /// Offset that the file is named after.
    pub base_offset: i64,
    /// Bytes of the segment file.
    pub size: u64,
    /// Offset after the last batch; the base offset if there is none.
    pub next_offset: i64,
    /// When the segment was created, ms since 1970.
    pub created_ms: i64,
    /// Max timestamp of the first batch, or -1.
    pub first_timestamp: i64,
    /// Largest timestamp of all, or -1.
    pub max_timestamp: i64,
    /// Last offset of the first batch that has it.
    pub max_timestamp_offset: i64,
    /// Timestamp of the last entry in the time index, or -1.
    pub indexed_timestamp: i64,
    /// Bytes of batches since the last entry in the offset index.
    pub unindexed_bytes: u64,
    /// Offset index.
    pub offset_index: IndexSum,
    /// Time index.
    pub time_index: IndexSum,
}

/// Index entries that a batch, or a run of batches, calls for.
#[derive(Debug, Default)]
pub(crate) struct NewEntries {
    pub(super) offset: Vec<[u32; offset_index::WORDS]>,
    pub(super) time: Vec<[u32; time_index::WORDS]>,
}

impl SegmentSummary {
    /// Of an empty segment.
    #[must_use]
    pub(crate) fn new(base_offset: i64, created_ms: i64) -> Self {
        Self {
            base_offset,
            size: 0,
            next_offset: base_offset,
            created_ms,
            first_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            max_timestamp_offset: base_offset,
            indexed_timestamp: NO_TIMESTAMP,
            unindexed_bytes: 0,
            offset_index: IndexSum::default(),
            time_index: IndexSum::default(),
        }
    }

    /// Whether nothing was ever written to it.
    pub(crate) fn is_blank(&self) -> bool {
        self.size == 0 && self.next_offset == self.base_offset
    }

    /// Accounts for a batch at the end. The rules are those of Kafka's `LogSegment.append`: an entry for a batch before
    /// which more than `interval` bytes have gathered.
    pub(crate) fn add(&mut self, header: &BatchHeader, interval: u32, entries: &mut NewEntries) {
        if self.size == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        // Compaction leaves batches without records, for the sake of their producers: nobody can be sent to their time.
        if self.max_timestamp < header.max_timestamp && 0 < header.record_count {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.last_offset();
        }
        if u64::from(interval) < self.unindexed_bytes {
            self.add_offset_entry(header, entries);
            self.add_time_entry(entries);
        }
        let size = header.size() as u64;
        self.size += size;
        self.unindexed_bytes += size;
        self.next_offset = header.next_offset();
    }

    /// Accounts for bytes that hold no batches, up to `position`.
    pub(super) fn skip_to(&mut self, position: u64) {
        self.unindexed_bytes += position - self.size.min(position);
        self.size = self.size.max(position);
    }

    fn add_offset_entry(&mut self, header: &BatchHeader, entries: &mut NewEntries) {
        // Neither fails in a segment that was rolled by the rules; one that was not is read without this entry.
        let (Some(relative), Ok(position)) = (self.relative(header.last_offset()), u32::try_from(self.size))
        else {
            return;
        };
        entries.offset.push([relative, position]);
        self.offset_index.add([relative, position]);
        self.unindexed_bytes = 0;
    }

    /// An entry for the largest timestamp, if it has risen since the last one.
    fn add_time_entry(&mut self, entries: &mut NewEntries) {
        let Some(relative) = self.relative(self.max_timestamp_offset) else { return };
        if self.indexed_timestamp < self.max_timestamp {
            let entry = time_index::words(self.max_timestamp, relative);
            entries.time.push(entry);
            self.time_index.add(entry);
            self.indexed_timestamp = self.max_timestamp;
        }
    }

    /// The entry with which Kafka ends a time index when the segment is closed.
    pub(super) fn close(&mut self, entries: &mut NewEntries) {
        self.add_time_entry(entries);
    }

    /// Whether a batch can be the next one, when it comes from a file. What this broker appended is dense; logs from
    /// elsewhere may have been compacted.
    pub(crate) fn check_next(&self, header: &BatchHeader, is_dense: bool) -> Result<(), String> {
        let expected = self.next_offset;
        if header.base_offset < expected || is_dense && expected < header.base_offset {
            return Err(format!("offset {} where {expected} was to come", header.base_offset));
        }
        if header.last_offset_delta < 0 || self.relative(header.last_offset()).is_none() {
            return Err(format!("last offset {} does not belong into this segment", header.last_offset()));
        }
        Ok(())
    }

    fn relative(&self, offset: i64) -> Option<u32> {
        let relative = i32::try_from(offset.checked_sub(self.base_offset)?).ok()?;
        u32::try_from(relative).ok()
    }

    /// Whether a batch belongs into a new segment (Kafka's `LogSegment.shouldRoll`).
    pub(super) fn should_roll(&self, header: &BatchHeader, config: &LogConfig, now_ms: i64) -> bool {
        if self.relative(header.last_offset()).is_none() {
            return true;
        }
        if self.size == 0 {
            return false;
        }
        let bytes_max = config.segment_bytes.min(i32::MAX.cast_unsigned().into());
        let index_bytes = u64::from(config.segment_index_bytes);
        let offset_entries_max = (index_bytes / offset_index::ENTRY_BYTES).max(1);
        // One more time entry comes when the segment is closed.
        let time_entries_max = (index_bytes / time_index::ENTRY_BYTES).max(2) - 1;
        bytes_max < self.size.saturating_add(header.size() as u64)
            || config.segment_ms < self.waited_ms(header.max_timestamp, now_ms)
            || offset_entries_max <= self.offset_index.entries.into()
            || time_entries_max <= self.time_index.entries.into()
    }

    /// By the records' time if they have one, so that old data shipped today is cut as if it had come in its day.
    fn waited_ms(&self, timestamp: i64, now_ms: i64) -> i64 {
        if 0 <= self.first_timestamp {
            timestamp.saturating_sub(self.first_timestamp)
        } else {
            now_ms.saturating_sub(self.created_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::records::Compression;

    use super::*;
    use crate::storage::testing::batch;

    /// A header of a batch of about 170 bytes.
    fn header(base_offset: i64, timestamp: i64) -> BatchHeader {
        batch(base_offset, &[timestamp], 100, Compression::None).parsed
    }

    fn config() -> LogConfig {
        LogConfig {
            segment_bytes: 1000,
            segment_ms: 500,
            index_interval_bytes: 300,
            segment_index_bytes: 80,
            ..LogConfig::default()
        }
    }

    #[test]
    fn entries_come_behind_more_than_the_interval() {
        let mut summary = SegmentSummary::new(10, 0);
        let mut entries = NewEntries::default();
        let size = u32::try_from(header(10, 5).size()).unwrap();
        for offset in 10..20 {
            summary.add(&header(offset, 100 - offset), size * 2, &mut entries);
        }
        // Two batches are not more than the interval, three are; and the entry's own batch counts from then on.
        assert_eq!(entries.offset, [[3, 3 * size], [6, 6 * size], [9, 9 * size]]);
        assert_eq!(entries.time, [crate::storage::time_index::words(90, 0)], "the largest came first");
        assert_eq!(
            (summary.max_timestamp, summary.max_timestamp_offset, summary.first_timestamp),
            (90, 10, 90)
        );
        assert_eq!((summary.next_offset, summary.size), (20, 10 * u64::from(size)));
        assert_eq!((summary.offset_index.entries, summary.time_index.entries), (3, 1));
    }

    #[test]
    fn the_time_of_a_batch_without_records_does_not_count() {
        let mut summary = SegmentSummary::new(0, 0);
        let mut entries = NewEntries::default();
        summary.add(&header(0, 40), 4096, &mut entries);
        summary.add(&BatchHeader { record_count: 0, ..header(1, 90) }, 4096, &mut entries);
        summary.close(&mut entries);
        assert_eq!((summary.max_timestamp, summary.max_timestamp_offset), (40, 0));
        assert_eq!(summary.next_offset, 2, "its offset is taken all the same");
    }

    #[test]
    fn closing_adds_the_largest_timestamp_once() {
        let mut summary = SegmentSummary::new(0, 0);
        let mut entries = NewEntries::default();
        summary.close(&mut entries);
        assert!(entries.time.is_empty());
        summary.add(&header(0, 50), 4096, &mut entries);
        summary.add(&header(1, 40), 4096, &mut entries);
        summary.close(&mut entries);
        summary.close(&mut entries);
        assert_eq!(entries.time, [crate::storage::time_index::words(50, 0)]);
    }

    #[test]
    fn a_segment_rolls_by_size() {
        let mut summary = SegmentSummary::new(0, 0);
        let size = header(0, 0).size() as u64;
        let exact = LogConfig { segment_bytes: 2 * size, ..config() };
        let tiny = LogConfig { segment_bytes: 1, ..config() };
        assert!(!summary.should_roll(&header(0, 0), &tiny, 0), "never an empty one");
        summary.add(&header(0, 0), 4096, &mut NewEntries::default());
        assert!(!summary.should_roll(&header(1, 0), &exact, 0));
        assert!(summary.should_roll(&header(1, 0), &LogConfig { segment_bytes: 2 * size - 1, ..exact }, 0));
    }

    #[test]
    fn a_segment_rolls_by_the_records_time_or_without_one_by_the_clock() {
        let mut summary = SegmentSummary::new(0, 1000);
        summary.add(&header(0, 70), 4096, &mut NewEntries::default());
        assert!(!summary.should_roll(&header(1, 570), &config(), i64::MAX));
        assert!(summary.should_roll(&header(1, 571), &config(), 0));
        let mut summary = SegmentSummary::new(0, 1000);
        summary.add(&header(0, -1), 4096, &mut NewEntries::default());
        assert!(!summary.should_roll(&header(1, i64::MAX / 2), &config(), 1500));
        assert!(summary.should_roll(&header(1, 5), &config(), 1501));
    }

    #[test]
    fn a_segment_rolls_when_an_index_is_full_or_offsets_are_too_far() {
        let mut summary = SegmentSummary::new(0, 0);
        summary.add(&header(0, 0), 4096, &mut NewEntries::default());
        let far = i64::from(i32::MAX);
        assert!(!summary.should_roll(&header(far, 0), &config(), 0));
        assert!(summary.should_roll(&header(far + 1, 0), &config(), 0));
        summary.offset_index.entries = 9;
        assert!(!summary.should_roll(&header(1, 0), &config(), 0));
        summary.offset_index.entries = 10;
        assert!(summary.should_roll(&header(1, 0), &config(), 0));
        summary.offset_index.entries = 0;
        // 80 bytes hold 6 entries; one is kept for the close.
        summary.time_index.entries = 4;
        assert!(!summary.should_roll(&header(1, 0), &config(), 0));
        summary.time_index.entries = 5;
        assert!(summary.should_roll(&header(1, 0), &config(), 0));
    }
}
