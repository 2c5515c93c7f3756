//! Records with keys, for compacted topics: made before they are sent, and read back.

use std::collections::BTreeMap;

use bytes::Bytes;
use sendlog_protocol::records::{BatchBuilder, Compression, NewRecord, ProducerStamp, read_records};

use crate::batches::EPOCH_MS;
use crate::kafka::Producer;

/// More than a batch of a scenario unpacks to.
const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// A record as it is in the log; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// Offset.
    pub offset: i64,
    /// Ms since 1970.
    pub timestamp: i64,
    /// Key.
    pub key: Bytes,
    /// Value.
    pub value: Option<Bytes>,
}

/// Makes the same batches in every run.
#[derive(Debug)]
pub struct KeyedSource {
    state: u64,
    timestamp: i64,
    step_ms: i64,
    keys: u64,
    sequence: i32,
}

impl KeyedSource {
    /// Batches of so many keys, `step_ms` apart from `timestamp` on.
    #[must_use]
    pub fn new(seed: u64, timestamp: i64, step_ms: i64, keys: u64) -> Self {
        Self { state: seed, timestamp, step_ms, keys, sequence: 0 }
    }

    fn next(&mut self, below: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// The next batch: so many records, one in seven a tombstone, all of one time.
    ///
    /// # Panics
    /// If records do not go into a batch.
    pub fn batch(
        &mut self,
        records: usize,
        value_bytes: usize,
        compression: Compression,
        producer: Option<Producer>,
    ) -> Bytes {
        let mut builder = BatchBuilder::new();
        for _ in 0..records {
            let key = format!("key-{}", self.next(self.keys));
            let number = self.next(1 << 30);
            let value = format!("{}-{number}-{}", self.timestamp, "x".repeat(value_bytes));
            let value = (self.next(7) != 0).then_some(value.as_bytes());
            let record =
                NewRecord { timestamp: self.timestamp, key: Some(key.as_bytes()), value, headers: &[] };
            builder.add(&record).expect("a small record");
        }
        self.timestamp += self.step_ms;
        let stamp = producer.map_or(ProducerStamp::NONE, |producer| ProducerStamp {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: self.sequence,
        });
        if producer.is_some() {
            self.sequence += i32::try_from(records).expect("few records");
        }
        builder.build(compression, stamp).expect("a batch with records")
    }
}

/// A batch of one record, from the time of scenarios.
///
/// # Panics
/// If it does not go into a batch.
#[must_use]
pub fn of(key: &str, value: Option<&str>) -> Bytes {
    let mut builder = BatchBuilder::new();
    let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
    let record = NewRecord { timestamp: EPOCH_MS, key, value, headers: &[] };
    builder.add(&record).expect("a small record");
    builder.build(Compression::None, ProducerStamp::NONE).expect("a batch with a record")
}

/// The records of batches, control batches left out.
///
/// # Panics
/// When one cannot be read.
#[must_use]
pub fn records(batches: &[Bytes]) -> Vec<Keyed> {
    let of = |batch: &Bytes| {
        let records = read_records(batch, UNPACKED_BYTES_MAX).expect("a batch");
        let all = records.map(|record| {
            let record = record.expect("a record");
            let key = record.key.expect("a record of a compacted topic has a key");
            Keyed { offset: record.offset, timestamp: record.timestamp, key, value: record.value }
        });
        all.collect::<Vec<_>>()
    };
    let is_data = |batch: &&Bytes| {
        let header = crate::batches::header(batch);
        !header.attributes.is_control() && 0 < header.record_count
    };
    batches.iter().filter(is_data).flat_map(of).collect()
}

/// What a reader of all records ends up with: the last value of every key that was not deleted.
#[must_use]
pub fn table(records: &[Keyed]) -> BTreeMap<Bytes, Bytes> {
    let mut table = BTreeMap::new();
    for record in records {
        match &record.value {
            Some(value) => table.insert(record.key.clone(), value.clone()),
            None => table.remove(&record.key),
        };
    }
    table
}

/// Records that a later one of the same key follows, of those below `end`: compaction leaves none.
#[must_use]
pub fn superseded(records: &[Keyed], end: i64) -> usize {
    let below: Vec<&Keyed> = records.iter().filter(|record| record.offset < end).collect();
    let last: BTreeMap<&Bytes, i64> = below.iter().map(|record| (&record.key, record.offset)).collect();
    below.iter().filter(|record| last[&record.key] != record.offset).count()
}
