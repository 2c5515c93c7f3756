//! What becomes of a batch: a decision of bytes and numbers, without files (Kafka's `checkBatchRetention` and `shouldRetainRecord`).

use std::collections::HashMap;

use sendlog_protocol::records::{
    BatchHeader, Marker, RawRecord, Retained, Retention, empty_batch, retain_records,
};

use super::key_map::KeyMap;
use super::transactions::{AbortedTransactions, ObservedTransactions};

/// A transaction marker is a few bytes.
const MARKER_BYTES_MAX: usize = 1 << 16;

/// The last that an idempotent producer has written: its batch stays, without records if need be, so that the sequence is
/// known when the log is all that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastBatch {
    /// Its last offset; none if only a marker is known.
    pub last_offset: Option<i64>,
    /// The producer's epoch.
    pub epoch: i16,
}

/// By what a pass goes.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The last offset of every key below `end`.
    pub keys: &'a KeyMap,
    /// Records from here on stay.
    pub end: i64,
    /// The time, ms since 1970.
    pub now_ms: i64,
    /// Until when a tombstone stays that has no horizon yet, or a later one, ms since 1970.
    pub horizon_ms: i64,
    /// Most that a batch is decompressed to.
    pub decompressed_max: usize,
    /// What every producer wrote last.
    pub last_batches: &'a HashMap<i64, LastBatch>,
    /// Records that do not count.
    pub aborted: &'a AbortedTransactions,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing {
    /// It is the last one of a segment: it stays, without records if need be, so that the next segment follows on it.
    pub is_last: bool,
    /// What it deletes may be in a damaged segment before it, which stays as it is.
    pub is_behind_damage: bool,
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays as it is.
    Stays,
    /// This takes its place.
    Becomes(Vec<u8>),
    /// It goes, and its offsets with it.
    Goes,
}

/// Goes through a log's batches in order.
#[derive(Debug)]
pub struct Judge<'a> {
    rules: Rules<'a>,
    observed: ObservedTransactions,
    undecodable: u64,
}

impl<'a> Judge<'a> {
    /// For a pass from the log's start on.
    #[must_use]
    pub fn new(rules: Rules<'a>) -> Self {
        Self { rules, observed: ObservedTransactions::default(), undecodable: 0 }
    }

    /// Batches that could not be decoded, and stay as they are for that.
    #[must_use]
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Decides about the next batch, whose checksum is right.
    pub fn judge(&mut self, header: &BatchHeader, batch: &[u8], standing: Standing) -> Fate {
        if self.rules.end <= header.base_offset {
            return Fate::Stays;
        }
        let is_control = header.attributes.is_control();
        // What a tombstone or a marker is there for may be in what stays because nobody can read it.
        let is_behind_doubt = standing.is_behind_damage || 0 < self.undecodable;
        let can_go = if is_control {
            self.observed.end(header, Marker::read(batch, MARKER_BYTES_MAX)) && !is_behind_doubt
        } else {
            self.observed.see(header);
            self.rules.aborted.contains(header)
        };
        let is_horizon_passed =
            header.delete_horizon_ms().is_some_and(|horizon| horizon <= self.rules.now_ms);
        let is_emptied = can_go && (!is_control || is_horizon_passed);
        let is_forced_to_stay = standing.is_last || self.is_last_of_producer(header);
        let retained = if is_emptied {
            Retained::Nothing
        } else {
            let retention = Retention {
                horizon_ms: self.rules.horizon_ms,
                is_horizon_forced: can_go && is_control,
                decompressed_max: self.rules.decompressed_max,
            };
            let keeps_tombstones = is_behind_doubt || !is_horizon_passed;
            let is_kept = |record: &RawRecord<'_>| is_control || self.is_kept(record, keeps_tombstones);
            match retain_records(batch, &retention, is_kept) {
                Ok(retained) => retained,
                Err(_) => {
                    // Its bytes are what was once acknowledged: nothing is thrown away that nobody can read.
                    self.undecodable += 1;
                    Retained::Unchanged
                }
            }
        };
        match retained {
            Retained::Unchanged => Fate::Stays,
            Retained::Rewritten(batch) => Fate::Becomes(batch),
            Retained::Nothing if !is_forced_to_stay => Fate::Goes,
            Retained::Nothing if header.record_count == 0 => Fate::Stays,
            Retained::Nothing => Fate::Becomes(empty_batch(header).to_vec()),
        }
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = self.rules.last_batches.get(&header.producer_id);
        header.has_producer_id()
            && last.is_some_and(|last| match last.last_offset {
                Some(offset) => header.last_offset() == offset,
                None => header.attributes.is_control() && header.producer_epoch == last.epoch,
            })
    }

    fn is_kept(&self, record: &RawRecord<'_>, keeps_tombstones: bool) -> bool {
        if self.rules.end <= record.offset {
            return true;
        }
        // A record without a key, from before the topic was compacted, is the last of nothing.
        let Some(key) = record.key else { return false };
        let last = self.rules.keys.get(self.rules.keys.hash(key));
        let is_last = last.is_none_or(|last| last <= record.offset);
        is_last && (record.has_value || keeps_tombstones)
    }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::records::{
        Attributes, BatchBuilder, Compression, NewRecord, ProducerStamp, check_stored,
        patch_offset_and_epoch, read_records,
    };

    use super::*;

    struct Log {
        keys: KeyMap,
        last_batches: HashMap<i64, LastBatch>,
        aborted: AbortedTransactions,
    }

    /// Keys of one letter each; a capital one is a tombstone.
    fn batch_of(base_offset: i64, keys: &str, producer_id: i64, attributes: i16) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for key in keys.chars() {
            let lower = [u8::try_from(key.to_ascii_lowercase()).unwrap()];
            let value = key.is_lowercase().then_some(&b"value"[..]);
            builder.add(&NewRecord { timestamp: 7, key: Some(&lower), value, headers: &[] }).unwrap();
        }
        let stamp = ProducerStamp { producer_id, producer_epoch: 0, base_sequence: 0 };
        let built = builder.build_with(Compression::None, stamp, Attributes(attributes)).unwrap();
        let mut batch = built.to_vec();
        patch_offset_and_epoch(&mut batch, base_offset, 0);
        batch
    }

    fn keys_of(batch: &[u8]) -> String {
        let records = read_records(&batch.to_vec().into(), 1 << 20).unwrap();
        records.map(|record| char::from(record.unwrap().key.unwrap()[0])).collect()
    }

    impl Log {
        fn new(known: &[(&str, i64)]) -> Self {
            let mut keys = KeyMap::new(0, 0.9);
            for (key, offset) in known {
                let hash = keys.hash(key.as_bytes());
                assert!(keys.put(hash, *offset));
            }
            Self { keys, last_batches: HashMap::new(), aborted: AbortedTransactions::default() }
        }

        fn rules(&self, now_ms: i64) -> Rules<'_> {
            Rules {
                keys: &self.keys,
                end: 100,
                now_ms,
                horizon_ms: now_ms + 50,
                decompressed_max: 1 << 20,
                last_batches: &self.last_batches,
                aborted: &self.aborted,
            }
        }

        fn judge(&self, batch: &[u8], now_ms: i64, standing: Standing) -> Fate {
            Judge::new(self.rules(now_ms)).judge(&check_stored(batch).unwrap(), batch, standing)
        }
    }

    fn becomes(fate: Fate) -> Vec<u8> {
        match fate {
            Fate::Becomes(batch) => batch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_record_of_a_key_stays() {
        let log = Log::new(&[("a", 12), ("b", 30)]);
        let batch = batch_of(10, "abac", -1, 0);
        assert_eq!(keys_of(&becomes(log.judge(&batch, 0, Standing::default()))), "ac");
        let gone = batch_of(5, "ab", -1, 0);
        assert_eq!(log.judge(&gone, 0, Standing::default()), Fate::Goes);
        let behind = batch_of(100, "ab", -1, 0);
        assert_eq!(log.judge(&behind, 0, Standing::default()), Fate::Stays);
        let across = batch_of(98, "bbbb", -1, 0);
        let log = Log::new(&[("b", 99)]);
        assert_eq!(keys_of(&becomes(log.judge(&across, 0, Standing::default()))), "bbb");
    }

    #[test]
    fn a_batch_that_must_stay_stays_without_records() {
        let mut log = Log::new(&[("a", 50)]);
        let batch = batch_of(10, "aa", 9, 0);
        assert_eq!(log.judge(&batch, 0, Standing::default()), Fate::Goes);
        let last = Standing { is_last: true, ..Standing::default() };
        let empty = becomes(log.judge(&batch, 0, last));
        assert_eq!(check_stored(&empty).unwrap().next_offset(), 12);
        assert_eq!(log.judge(&empty, 0, last), Fate::Stays);
        assert_eq!(log.judge(&empty, 0, Standing::default()), Fate::Goes);
        log.last_batches.insert(9, LastBatch { last_offset: Some(11), epoch: 0 });
        assert_eq!(
            check_stored(&becomes(log.judge(&batch, 0, Standing::default()))).unwrap().last_sequence(),
            1
        );
        log.last_batches.insert(9, LastBatch { last_offset: Some(60), epoch: 0 });
        assert_eq!(log.judge(&batch, 0, Standing::default()), Fate::Goes);
    }

    #[test]
    fn a_tombstone_stays_until_its_horizon() {
        let log = Log::new(&[("a", 10), ("b", 11)]);
        let first = becomes(log.judge(&batch_of(10, "Ab", -1, 0), 1000, Standing::default()));
        assert_eq!(check_stored(&first).unwrap().delete_horizon_ms(), Some(1050));
        assert_eq!(log.judge(&first, 1049, Standing::default()), Fate::Stays);
        let damage = Standing { is_behind_damage: true, ..Standing::default() };
        assert_eq!(log.judge(&first, 1050, damage), Fate::Stays, "what it deletes may still be there");
        assert_eq!(keys_of(&becomes(log.judge(&first, 1050, Standing::default()))), "b");
        let alone = becomes(log.judge(&batch_of(10, "A", -1, 0), 1000, Standing::default()));
        assert_eq!(log.judge(&alone, 2000, Standing::default()), Fate::Goes);
    }

    #[test]
    fn what_cannot_be_decoded_stays_and_the_tombstones_behind_it() {
        let log = Log::new(&[("a", 50)]);
        let mut batch = batch_of(10, "aa", -1, 0);
        // A length that is none, and the right checksum over it.
        batch[61] = 0xff;
        let crc = sendlog_protocol::records::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut judge = Judge::new(log.rules(1000));
        let mut judge = |batch: &[u8]| judge.judge(&check_stored(batch).unwrap(), batch, Standing::default());
        let tombstone = becomes(log.judge(&batch_of(50, "A", -1, 0), 0, Standing::default()));
        assert_eq!(judge(&tombstone), Fate::Goes);
        assert_eq!(judge(&batch), Fate::Stays);
        assert_eq!(judge(&tombstone), Fate::Stays, "it may be what keeps a record in there deleted");
    }

    #[test]
    fn a_marker_goes_when_its_transaction_has_gone() {
        let log = Log::new(&[]);
        let marker = |kind: u8| {
            let mut builder = BatchBuilder::new();
            builder
                .add(&NewRecord { key: Some(&[0, 0, 0, kind]), value: Some(&[0; 6]), ..NewRecord::default() })
                .unwrap();
            let stamp = ProducerStamp { producer_id: 4, producer_epoch: 0, base_sequence: -1 };
            let mut batch = builder.build_with(Compression::None, stamp, Attributes(0x30)).unwrap().to_vec();
            patch_offset_and_epoch(&mut batch, 20, 0);
            batch
        };
        let first = becomes(log.judge(&marker(1), 1000, Standing::default()));
        assert_eq!(check_stored(&first).unwrap().delete_horizon_ms(), Some(1050));
        assert_eq!(log.judge(&first, 1049, Standing::default()), Fate::Stays);
        assert_eq!(log.judge(&first, 1050, Standing::default()), Fate::Goes);
        let mut judge = Judge::new(log.rules(2000));
        let data = batch_of(10, "a", 4, 0x10);
        judge.judge(&check_stored(&data).unwrap(), &data, Standing::default());
        let fate = judge.judge(&check_stored(&first).unwrap(), &first, Standing::default());
        assert_eq!(fate, Fate::Stays, "its transaction still has a batch");
    }
}
