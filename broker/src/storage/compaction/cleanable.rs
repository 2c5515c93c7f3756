//! Which part of a log can be compacted, and whether it is worth it: Kafka's `LogCleanerManager`.

use crate::storage::error::ReadError;
use crate::storage::view::LogView;

/// How a topic is compacted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactionPolicy {
    /// The dirty part of a log above which it is compacted (`min.cleanable.dirty.ratio`).
    pub min_dirty_ratio: f64,
    /// A record younger than this stays where it is, ms (`min.compaction.lag.ms`).
    pub min_lag_ms: i64,
    /// A log with an older dirty record is compacted however few there are, ms (`max.compaction.lag.ms`).
    pub max_lag_ms: i64,
    /// How long a tombstone is kept once it was compacted first, ms (`delete.retention.ms`).
    pub delete_retention_ms: i64,
    /// Most bytes that segments are put together to (`segment.bytes`).
    pub segment_bytes: u64,
    /// Most bytes of an index of such a segment (`segment.index.bytes`).
    pub segment_index_bytes: u32,
}

/// What can be compacted of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanable {
    /// Everything below was compacted before.
    pub first_dirty: i64,
    /// Nothing from here on is touched; the base offset of a segment.
    pub end: i64,
    /// Bytes of the segments with records that were not.
    pub dirty_bytes: u64,
    /// Bytes of the segments with records that were.
    pub clean_bytes: u64,
    /// There is a record that has waited as long as it may.
    pub is_due: bool,
}

impl Cleanable {
    /// The dirty part of all that could be compacted, 0 to 1.
    #[must_use]
    pub fn dirty_ratio(&self) -> f64 {
        let all = self.clean_bytes.saturating_add(self.dirty_bytes);
        // Exact as far as 32 bits go.
        let shift = 32_u32.saturating_sub(all.leading_zeros());
        let scaled = |bytes: u64| f64::from(u32::try_from(bytes >> shift).unwrap_or(u32::MAX));
        if all == 0 { 0.0 } else { scaled(self.dirty_bytes) / scaled(all) }
    }

    /// Whether it is worth it.
    #[must_use]
    pub fn is_worth_it(&self, policy: &CompactionPolicy) -> bool {
        0 < self.dirty_bytes && (self.is_due || policy.min_dirty_ratio < self.dirty_ratio())
    }
}

/// A closed segment, as far as this goes by it.
#[derive(Debug, Clone, Copy)]
struct Facts {
    base_offset: i64,
    /// Base offset of the segment behind it.
    end_offset: i64,
    size: u64,
    /// Max timestamp of the first batch, and of all.
    first_timestamp: i64,
    max_timestamp: i64,
}

impl LogView {
    /// What can be compacted now. `cleaned_to` is where the last compaction has ended, `limit` what it may not pass.
    ///
    /// # Errors
    /// [`ReadError::Io`], if a segment has to be looked at.
    pub fn cleanable(
        &self,
        cleaned_to: Option<i64>,
        limit: i64,
        policy: &CompactionPolicy,
        now_ms: i64,
    ) -> Result<Cleanable, ReadError> {
        let log_end = self.segments().last().map_or(0, |last| last.base_offset());
        let known = cleaned_to.filter(|offset| (self.start_offset()..=log_end).contains(offset));
        let first_dirty = known.unwrap_or(self.start_offset());
        let mut segments = Vec::new();
        for pair in self.segments().windows(2) {
            let [segment, next] = pair else { continue };
            if limit < next.base_offset() {
                break;
            }
            // Of what is clean nobody asks the time.
            let summary = if first_dirty < next.base_offset() { Some(segment.summary()?) } else { None };
            segments.push(Facts {
                base_offset: segment.base_offset(),
                end_offset: next.base_offset(),
                size: segment.size(),
                first_timestamp: summary.map_or(-1, |summary| summary.first_timestamp),
                max_timestamp: match summary.map(|summary| summary.max_timestamp) {
                    // As Kafka takes the file's time: when its last record came, or not long after.
                    Some(i64::MIN..0) => next.summary()?.created_ms,
                    timestamp => timestamp.unwrap_or(-1),
                },
            });
        }
        Ok(decide(&segments, first_dirty, policy, now_ms))
    }
}

fn decide(segments: &[Facts], first_dirty: i64, policy: &CompactionPolicy, now_ms: i64) -> Cleanable {
    let mut cleanable =
        Cleanable { first_dirty, end: first_dirty, dirty_bytes: 0, clean_bytes: 0, is_due: false };
    let mut earliest = i64::MAX;
    for segment in segments {
        if segment.base_offset < first_dirty {
            cleanable.clean_bytes += segment.size;
        }
        if segment.end_offset <= first_dirty {
            continue;
        }
        let age_ms = now_ms.saturating_sub(segment.max_timestamp);
        if 0 < policy.min_lag_ms && 0 <= segment.max_timestamp && age_ms < policy.min_lag_ms {
            break;
        }
        cleanable.end = segment.end_offset;
        cleanable.dirty_bytes += segment.size;
        if 0 < segment.first_timestamp {
            earliest = earliest.min(segment.first_timestamp);
        }
    }
    cleanable.is_due = earliest < now_ms.saturating_sub(policy.max_lag_ms.max(0));
    cleanable
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CompactionPolicy = CompactionPolicy {
        min_dirty_ratio: 0.5,
        min_lag_ms: 0,
        max_lag_ms: i64::MAX,
        delete_retention_ms: 0,
        segment_bytes: 1000,
        segment_index_bytes: 1000,
    };

    fn facts(list: &[(i64, i64, u64, i64)]) -> Vec<Facts> {
        let one = |&(base_offset, end_offset, size, timestamp): &(i64, i64, u64, i64)| Facts {
            base_offset,
            end_offset,
            size,
            first_timestamp: timestamp,
            max_timestamp: timestamp + 5,
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn dirty_is_what_lies_behind_the_last_end() {
        let log = facts(&[(0, 10, 100, 50), (10, 20, 40, 60), (20, 30, 60, 70)]);
        let all = decide(&log, 0, &POLICY, 1000);
        assert_eq!((all.end, all.dirty_bytes, all.clean_bytes), (30, 200, 0));
        assert!(all.is_worth_it(&POLICY));
        let half = decide(&log, 10, &POLICY, 1000);
        assert_eq!((half.end, half.dirty_bytes, half.clean_bytes), (30, 100, 100));
        assert!((half.dirty_ratio() - 0.5).abs() < 1e-9);
        assert!(!half.is_worth_it(&POLICY), "it takes more than the ratio");
        // A segment that was compacted in part is both.
        let part = decide(&log, 15, &POLICY, 1000);
        assert_eq!((part.dirty_bytes, part.clean_bytes), (100, 140));
        let none = decide(&log, 30, &POLICY, 1000);
        assert_eq!((none.end, none.dirty_bytes), (30, 0));
        assert!(!none.is_worth_it(&CompactionPolicy { min_dirty_ratio: 0.0, ..POLICY }));
    }

    #[test]
    fn the_ratio_of_large_logs_is_one() {
        let log = facts(&[(0, 10, 3 << 40, 50), (10, 20, 1 << 40, 60)]);
        let quarter = decide(&log, 10, &POLICY, 1000);
        assert!((quarter.dirty_ratio() - 0.25).abs() < 1e-6);
        assert!(decide(&[], 0, &POLICY, 0).dirty_ratio() < 1e-9);
    }

    #[test]
    fn what_is_young_waits_and_what_lies_behind_it() {
        let log = facts(&[(0, 10, 100, 50), (10, 20, 40, 600), (20, 30, 60, 70)]);
        let policy = CompactionPolicy { min_lag_ms: 100, ..POLICY };
        assert_eq!(decide(&log, 0, &policy, 704).end, 10);
        assert_eq!(decide(&log, 0, &policy, 705).end, 30);
        // Without any time there is nothing to wait for.
        assert_eq!(decide(&facts(&[(0, 10, 100, -6)]), 0, &policy, 0).end, 10);
    }

    #[test]
    fn an_old_record_makes_it_due() {
        let log = facts(&[(0, 10, 900, 50), (10, 20, 40, 600)]);
        let policy = CompactionPolicy { max_lag_ms: 300, ..POLICY };
        assert!(decide(&log, 0, &policy, 351).is_due);
        assert!(!decide(&log, 10, &policy, 900).is_due);
        let due = decide(&log, 10, &policy, 901);
        assert!(due.is_due && due.is_worth_it(&policy) && due.dirty_ratio() < 0.5);
    }
}
