//! Whose records count, and which transaction markers are still needed: Kafka's `CleanedTransactionMetadata`.
//!
//! No index of aborted transactions is needed: the pass over the dirty part holds a transaction's keys back until it sees its
//! marker, and remembers which ones were aborted. What was compacted before has no aborted records any more.

use std::collections::{HashMap, HashSet};

use sendlog_protocol::records::{BatchHeader, Marker};

use super::key_map::KeyHash;

/// Keys of transactions whose end was not seen yet.
#[derive(Debug, Default)]
pub struct PendingKeys {
    by_producer: HashMap<i64, Pending>,
    count: usize,
}

#[derive(Debug)]
struct Pending {
    first_offset: i64,
    keys: Vec<(KeyHash, i64)>,
}

/// A transaction whose records count.
#[derive(Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where it has begun.
    pub first_offset: i64,
    /// Its keys.
    pub keys: Vec<(KeyHash, i64)>,
}

/// Batches of an aborted transaction: those of a producer between two offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Aborted {
    first_offset: i64,
    marker_offset: i64,
}

/// The aborted transactions of the dirty part.
#[derive(Debug, Default)]
pub struct AbortedTransactions {
    by_producer: HashMap<i64, Vec<Aborted>>,
}

impl PendingKeys {
    /// A batch of a transaction begins.
    pub fn begin(&mut self, header: &BatchHeader) {
        let first_offset = header.base_offset;
        let begun = || Pending { first_offset, keys: Vec::new() };
        self.by_producer.entry(header.producer_id).or_insert_with(begun);
    }

    /// A key of it.
    pub fn add(&mut self, producer_id: i64, key: KeyHash, offset: i64) {
        if let Some(pending) = self.by_producer.get_mut(&producer_id) {
            pending.keys.push((key, offset));
            self.count += 1;
        }
    }

    /// Keys that are held back now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first offset of a transaction whose end was not seen.
    #[must_use]
    pub fn first_offset(&self) -> Option<i64> {
        self.by_producer.values().map(|pending| pending.first_offset).min()
    }

    /// A transaction has ended: returns it if its records count, and else notes it in `aborted`.
    pub fn end(
        &mut self,
        header: &BatchHeader,
        marker: Option<Marker>,
        aborted: &mut AbortedTransactions,
    ) -> Option<Committed> {
        let pending = self.by_producer.remove(&header.producer_id)?;
        self.count -= pending.keys.len();
        if marker == Some(Marker::Abort) {
            let one = Aborted { first_offset: pending.first_offset, marker_offset: header.base_offset };
            aborted.by_producer.entry(header.producer_id).or_default().push(one);
            return None;
        }
        Some(Committed { first_offset: pending.first_offset, keys: pending.keys })
    }
}

impl AbortedTransactions {
    /// Whether a batch, which is no marker, is part of one.
    #[must_use]
    pub fn contains(&self, header: &BatchHeader) -> bool {
        let Some(all) = self.by_producer.get(&header.producer_id) else { return false };
        // A producer's transactions come one after the other, and there may be many.
        let at = all.partition_point(|one| one.marker_offset <= header.base_offset);
        header.attributes.is_transactional()
            && all.get(at).is_some_and(|one| one.first_offset <= header.base_offset)
    }
}

/// Which producers' transactions have batches in what was gone through so far.
#[derive(Debug, Default)]
pub struct ObservedTransactions(HashSet<i64>);

impl ObservedTransactions {
    /// A batch that is no marker.
    pub fn see(&mut self, header: &BatchHeader) {
        if header.attributes.is_transactional() {
            self.0.insert(header.producer_id);
        }
    }

    /// A marker; whether nobody needs it any more, because no batch of its transaction is left. Such a batch may go in the
    /// same pass, and then the marker goes with a later one.
    pub fn end(&mut self, header: &BatchHeader, marker: Option<Marker>) -> bool {
        match marker {
            Some(Marker::Commit | Marker::Abort) => !self.0.remove(&header.producer_id),
            Some(Marker::Other) => false,
            // Its record has gone before.
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::records::Attributes;

    use super::super::key_map::KeyMap;
    use super::*;
    use crate::storage::testing::batch;

    fn header(producer_id: i64, base_offset: i64, attributes: i16) -> BatchHeader {
        let plain = batch(base_offset, &[1], 1, sendlog_protocol::records::Compression::None).parsed;
        BatchHeader { producer_id, attributes: Attributes(attributes), ..plain }
    }

    #[test]
    fn keys_count_once_their_transaction_is_committed() {
        let map = KeyMap::new(0, 0.9);
        let (key, other) = (map.hash(b"a"), map.hash(b"b"));
        let (mut pending, mut aborted) = (PendingKeys::default(), AbortedTransactions::default());
        pending.begin(&header(1, 10, 0x10));
        pending.add(1, key, 10);
        pending.begin(&header(2, 11, 0x10));
        pending.add(2, other, 11);
        pending.begin(&header(1, 12, 0x10));
        pending.add(1, key, 12);
        assert_eq!((pending.count(), pending.first_offset()), (3, Some(10)));
        let committed = pending.end(&header(1, 13, 0x30), Some(Marker::Commit), &mut aborted);
        assert_eq!(committed, Some(Committed { first_offset: 10, keys: vec![(key, 10), (key, 12)] }));
        assert_eq!(pending.end(&header(2, 14, 0x30), Some(Marker::Abort), &mut aborted), None);
        assert_eq!((pending.count(), pending.first_offset()), (0, None));
        assert!(aborted.contains(&header(2, 11, 0x10)) && !aborted.contains(&header(2, 15, 0x10)));
        assert!(!aborted.contains(&header(1, 11, 0x10)) && !aborted.contains(&header(2, 11, 0)));
        pending.begin(&header(2, 20, 0x10));
        pending.end(&header(2, 22, 0x30), Some(Marker::Abort), &mut aborted);
        let are_aborted = [11, 15, 19, 20, 21, 22].map(|at| aborted.contains(&header(2, at, 0x10)));
        assert_eq!(are_aborted, [true, false, false, true, true, false]);
    }

    #[test]
    fn a_marker_is_needed_while_its_transaction_has_batches() {
        let mut observed = ObservedTransactions::default();
        observed.see(&header(1, 10, 0x10));
        observed.see(&header(3, 11, 0));
        assert!(!observed.end(&header(1, 12, 0x30), Some(Marker::Commit)));
        assert!(observed.end(&header(1, 13, 0x30), Some(Marker::Abort)), "of another one, without batches");
        assert!(observed.end(&header(3, 14, 0x30), Some(Marker::Commit)));
        assert!(!observed.end(&header(3, 14, 0x30), Some(Marker::Other)));
        assert!(observed.end(&header(3, 14, 0x30), None));
    }
}
