//! Which partition a record goes to, as Kafka's default partitioner has it: by key, or sticky without one.

use crate::backoff::Random;

/// The hash of Kafka's partitioner (murmur2 with Kafka's seed), so that all clients put a key into the same partition.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let (words, tail) = bytes.as_chunks::<4>();
    let length = u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or_default();
    let mut hash = SEED ^ length;
    for word in words {
        let mut word = u32::from_le_bytes(*word).wrapping_mul(M);
        word ^= word >> R;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (index, byte) in (0u32..).zip(tail) {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ (hash >> 15)).cast_signed()
}

/// The partition of a key; `partitions` is at least 1.
pub(super) fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & i32::MAX) % partitions.max(1)
}

/// The partition of records without a key: one for as long as a batch takes to fill, then another (KIP-794). Full batches on
/// few partitions are cheaper than thin ones on all.
#[derive(Debug)]
pub(super) struct Sticky {
    random: Random,
    partition: Option<i32>,
    bytes_left: usize,
}

impl Sticky {
    pub(super) fn new(random: Random) -> Self {
        Self { random, partition: None, bytes_left: 0 }
    }

    /// The partition for a record of this size.
    pub(super) fn choose(&mut self, partitions: i32, record_bytes: usize, batch_bytes: usize) -> i32 {
        let partitions = partitions.max(1);
        let partition = match self.partition.filter(|partition| *partition < partitions) {
            Some(partition) if 0 < self.bytes_left => partition,
            last => {
                self.bytes_left = batch_bytes;
                self.another(last, partitions)
            }
        };
        self.partition = Some(partition);
        self.bytes_left = self.bytes_left.saturating_sub(record_bytes);
        partition
    }

    /// A random partition other than the last.
    fn another(&mut self, last: Option<i32>, partitions: i32) -> i32 {
        let others = if last.is_some() && 1 < partitions { partitions - 1 } else { partitions };
        let drawn = self.random.below(u64::try_from(others).unwrap_or(1));
        let drawn = i32::try_from(drawn).unwrap_or(0);
        match last {
            Some(last) if 1 < partitions && last <= drawn => drawn + 1,
            _ => drawn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Kafka's `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_are_kafkas() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn keys_stay_on_their_partition() {
        assert_eq!(partition_of_key(b"foobar", 1), 0);
        let hash = i64::from(murmur2(b"foobar") & i32::MAX);
        for partitions in 1..100 {
            assert_eq!(i64::from(partition_of_key(b"foobar", partitions)), hash % i64::from(partitions));
        }
    }

    #[test]
    fn records_without_key_stay_for_a_batch_and_move_on() {
        let mut sticky = Sticky::new(Random::seeded(7));
        let mut seen = std::collections::BTreeSet::new();
        let mut last = None;
        for _ in 0..100 {
            let run: Vec<i32> = (0..10).map(|_| sticky.choose(5, 100, 1000)).collect();
            assert!(
                run.iter().all(|partition| *partition == run[0] && (0..5).contains(partition)),
                "{run:?}"
            );
            assert_ne!(Some(run[0]), last, "another one for the next batch");
            last = Some(run[0]);
            seen.insert(run[0]);
        }
        assert_eq!(seen.len(), 5);
        let mut single = Sticky::new(Random::seeded(7));
        assert!((0..50).all(|_| single.choose(1, 100, 100) == 0));
    }

    #[test]
    fn a_topic_that_lost_partitions_is_no_trap() {
        let mut sticky = Sticky::new(Random::seeded(1));
        for partitions in [50, 3, 1, 20] {
            for _ in 0..100 {
                assert!(sticky.choose(partitions, 10, 30) < partitions);
            }
        }
    }
}
