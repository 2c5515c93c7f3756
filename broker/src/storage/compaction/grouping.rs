//! Which segments become one: Kafka's `groupSegmentsBySize`.

use std::sync::Arc;

use crate::storage::error::ReadError;
use crate::storage::segment::Segment;
use crate::storage::{offset_index, time_index};

/// The most that segments are put together to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupLimits {
    /// Bytes of the segment file.
    pub bytes: u64,
    /// Bytes of each index.
    pub index_bytes: u64,
}

/// What a segment brings into its group.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    base_offset: i64,
    /// Behind its last batch.
    next_offset: i64,
    end_offset: i64,
    bytes: u64,
    offset_index_bytes: u64,
    time_index_bytes: u64,
    /// It stays as it is.
    is_left_alone: bool,
}

/// Segments that become one.
#[derive(Debug, Clone)]
pub struct Group {
    /// In order, side by side.
    pub segments: Vec<Arc<Segment>>,
    /// Where the log goes on behind them.
    pub end_offset: i64,
    /// A segment before it was left as it is: what a tombstone here deletes may still be there.
    pub is_behind_damage: bool,
}

/// Sorts segments, which end where the next one begins and the last at `end_offset`, into groups. One that has damaged ranges is
/// in none, and two are in different ones if offsets are missing between them.
///
/// # Errors
/// [`ReadError::Io`], if a segment has to be looked at.
pub fn group(
    segments: &[Arc<Segment>],
    end_offset: i64,
    limits: GroupLimits,
) -> Result<Vec<Group>, ReadError> {
    let mut weights = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let summary = segment.summary()?;
        weights.push(Weight {
            base_offset: segment.base_offset(),
            next_offset: summary.next_offset,
            end_offset: segments.get(at + 1).map_or(end_offset, |next| next.base_offset()),
            bytes: segment.size(),
            offset_index_bytes: u64::from(summary.offset_index.entries) * offset_index::ENTRY_BYTES,
            time_index_bytes: u64::from(summary.time_index.entries) * time_index::ENTRY_BYTES,
            is_left_alone: segment.is_damaged(),
        });
    }
    let first_damage = weights.iter().position(|weight| weight.is_left_alone).unwrap_or(weights.len());
    let made = ranges(&weights, limits).into_iter().map(|range| Group {
        end_offset: weights[range.end - 1].end_offset,
        is_behind_damage: first_damage < range.start,
        segments: segments[range].to_vec(),
    });
    Ok(made.collect())
}

fn ranges(weights: &[Weight], limits: GroupLimits) -> Vec<std::ops::Range<usize>> {
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    let mut sum = Weight::default();
    for (at, weight) in weights.iter().enumerate() {
        if weight.is_left_alone {
            continue;
        }
        match groups.last_mut() {
            Some(last) if last.end == at && fits(&sum, weight, limits) => {
                last.end = at + 1;
                sum.next_offset = weight.next_offset;
                sum.bytes += weight.bytes;
                sum.offset_index_bytes += weight.offset_index_bytes;
                sum.time_index_bytes += weight.time_index_bytes;
            }
            _ => {
                groups.push(at..at + 1);
                sum = *weight;
            }
        }
    }
    groups
}

fn fits(sum: &Weight, next: &Weight, limits: GroupLimits) -> bool {
    // A file may be missing in between, and come back.
    next.base_offset <= sum.next_offset
        && sum.bytes.saturating_add(next.bytes) <= limits.bytes
        && sum.offset_index_bytes.saturating_add(next.offset_index_bytes) <= limits.index_bytes
        && sum.time_index_bytes.saturating_add(next.time_index_bytes) <= limits.index_bytes
        && next.end_offset - 1 - sum.base_offset <= i64::from(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GroupLimits = GroupLimits { bytes: 100, index_bytes: 80 };

    fn made(weights: &[Weight]) -> Vec<(usize, usize)> {
        ranges(weights, LIMITS).into_iter().map(|range| (range.start, range.end)).collect()
    }

    fn weight(base_offset: i64, bytes: u64) -> Weight {
        let end_offset = base_offset + 10;
        Weight { base_offset, next_offset: end_offset, end_offset, bytes, ..Weight::default() }
    }

    #[test]
    fn groups_are_as_large_as_the_limits_allow() {
        let log =
            [weight(0, 40), weight(10, 60), weight(20, 1), weight(30, 200), weight(40, 0), weight(50, 100)];
        assert_eq!(made(&log), [(0, 2), (2, 3), (3, 4), (4, 6)]);
        let index = Weight { offset_index_bytes: 50, ..weight(0, 1) };
        assert_eq!(made(&[index, Weight { offset_index_bytes: 30, ..weight(10, 1) }]), [(0, 2)]);
        assert_eq!(made(&[index, Weight { offset_index_bytes: 31, ..weight(10, 1) }]), [(0, 1), (1, 2)]);
        assert!(made(&[]).is_empty());
    }

    #[test]
    fn offsets_stay_within_reach_of_the_base() {
        let far = i64::from(i32::MAX);
        let next = |end_offset| Weight { end_offset, ..weight(10, 1) };
        assert_eq!(made(&[weight(0, 1), next(far + 1)]), [(0, 2)]);
        assert_eq!(made(&[weight(0, 1), next(far + 2)]), [(0, 1), (1, 2)]);
    }

    #[test]
    fn a_place_where_a_file_may_be_missing_stays_one() {
        let cut = Weight { next_offset: 19, ..weight(10, 1) };
        assert_eq!(made(&[weight(0, 1), cut, weight(20, 1), weight(40, 1)]), [(0, 2), (2, 3), (3, 4)]);
    }

    #[test]
    fn a_segment_with_damage_is_in_no_group() {
        let damaged = Weight { is_left_alone: true, ..weight(10, 1) };
        assert_eq!(made(&[weight(0, 1), damaged, weight(20, 1), weight(30, 1)]), [(0, 1), (2, 4)]);
    }
}
