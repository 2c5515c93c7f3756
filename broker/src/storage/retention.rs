//! Which segments may go: a decision, not a deed.

use crate::storage::view::SegmentInfo;

/// How long and how much a topic keeps; none means without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionPolicy {
    /// A segment goes when its largest timestamp is older than this, ms (`retention.ms`).
    pub retention_ms: Option<i64>,
    /// The oldest segments go while the others still have this many bytes (`retention.bytes`).
    pub retention_bytes: Option<u64>,
}

/// The offset that the log may start at, so that all segments below it can be deleted; none if nothing may go.
///
/// `segments` are all of the log's, oldest first, and it ends at `end_offset`. Only a run of oldest segments goes, so that no hole
/// appears. As in Kafka the last one may go too, if it has records: the result is then the end, and the log has to be rolled
/// first. A segment without timestamps, such as one whose records were all compacted away, does not go by time but with one
/// behind it that does: what was appended earlier is no younger.
///
/// `now_ms` must not follow a clock that jumped ahead; see `docs/storage-format.md`, "Retention".
#[must_use]
pub fn new_start(
    segments: &[SegmentInfo],
    policy: &RetentionPolicy,
    start_offset: i64,
    end_offset: i64,
    now_ms: i64,
) -> Option<i64> {
    let next_bases = segments.iter().skip(1).map(|next| Some(next.base_offset)).chain([None]);
    let mut bytes: u64 = segments.iter().map(|segment| segment.size).sum();
    let mut new_start = None;
    for (segment, next_base) in segments.iter().zip(next_bases) {
        if next_base.is_none() && segment.size == 0 {
            break;
        }
        let is_old = policy.retention_ms.is_some_and(|limit| is_older(segment, limit, now_ms));
        let is_surplus = policy.retention_bytes.is_some_and(|limit| limit <= bytes - segment.size);
        let is_below_start = next_base.is_some_and(|next| next <= start_offset);
        bytes -= segment.size;
        if is_old || is_surplus || is_below_start {
            new_start = Some(next_base.unwrap_or(end_offset));
        } else if 0 <= segment.max_timestamp {
            break;
        }
    }
    new_start
}

fn is_older(segment: &SegmentInfo, limit_ms: i64, now_ms: i64) -> bool {
    0 <= segment.max_timestamp && limit_ms < now_ms.saturating_sub(segment.max_timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(list: &[(i64, u64, i64)]) -> Vec<SegmentInfo> {
        let info = |&(base_offset, size, max_timestamp)| SegmentInfo { base_offset, size, max_timestamp };
        list.iter().map(info).collect()
    }

    #[test]
    fn old_segments_go_and_the_last_one_too() {
        let log = segments(&[(0, 10, 100), (10, 10, 200), (20, 10, 300)]);
        let by_time = |limit, now| {
            let policy = RetentionPolicy { retention_ms: Some(limit), retention_bytes: None };
            new_start(&log, &policy, 0, 30, now)
        };
        assert_eq!(by_time(50, 150), None);
        assert_eq!(by_time(50, 151), Some(10));
        assert_eq!(by_time(50, 251), Some(20));
        assert_eq!(by_time(50, 350), Some(20));
        assert_eq!(by_time(50, 351), Some(30), "as in Kafka: what is old goes, also from the last segment");
        let empty = segments(&[(0, 10, 100), (10, 0, -1)]);
        let policy = RetentionPolicy { retention_ms: Some(0), retention_bytes: Some(0) };
        assert_eq!(new_start(&empty, &policy, 0, 10, 101), Some(10));
        assert_eq!(new_start(&empty[1..], &policy, 10, 10, 101), None);
    }

    #[test]
    fn surplus_bytes_go_while_the_limit_stays_covered() {
        let log = segments(&[(0, 10, -1), (10, 10, -1), (20, 10, -1)]);
        let by_bytes = |limit| {
            let policy = RetentionPolicy { retention_ms: None, retention_bytes: Some(limit) };
            new_start(&log, &policy, 0, 30, 0)
        };
        assert_eq!(by_bytes(30), None);
        assert_eq!(by_bytes(21), None);
        assert_eq!(by_bytes(20), Some(10));
        assert_eq!(by_bytes(10), Some(20));
        assert_eq!(by_bytes(1), Some(20));
        assert_eq!(by_bytes(0), Some(30));
    }

    #[test]
    fn segments_below_the_start_go_and_no_hole_is_made() {
        let log = segments(&[(0, 10, -1), (10, 10, 1), (20, 10, 1), (30, 10, 1)]);
        let none = RetentionPolicy::default();
        assert_eq!(new_start(&log, &none, 9, 40, 0), None);
        assert_eq!(new_start(&log, &none, 10, 40, 0), Some(10));
        assert_eq!(new_start(&log, &none, 25, 40, 0), Some(20));
        let by_time = RetentionPolicy { retention_ms: Some(1), retention_bytes: None };
        assert_eq!(new_start(&[], &by_time, 0, 0, 0), None);
    }

    #[test]
    fn a_segment_without_timestamps_goes_with_one_behind_it() {
        let by = |retention_ms, retention_bytes, log: &[(i64, u64, i64)]| {
            let policy = RetentionPolicy { retention_ms: Some(retention_ms), retention_bytes };
            new_start(&segments(log), &policy, 0, 40, 1000)
        };
        assert_eq!(by(100, None, &[(0, 61, -1), (10, 61, -1), (20, 10, 5), (30, 10, 950)]), Some(30));
        assert_eq!(by(100, None, &[(0, 61, -1), (20, 10, 950), (30, 10, 5)]), None);
        assert_eq!(by(100, None, &[(0, 61, -1), (20, 10, -1)]), None, "nothing says that it is old");
        // One that stays for itself does not make room for the next.
        assert_eq!(by(5000, Some(61), &[(0, 61, -1), (20, 10, 950), (30, 10, 950)]), None);
    }
}
