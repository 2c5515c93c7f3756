//! Random operations on a log and on a list of batches must come to the same.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use sendlog_protocol::records::Compression;

use super::fixture::{Expected, Fixture, dirty};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::log::{AppendBatch, Log, Resume};
use crate::storage::segment_list::delete_segments;
use crate::storage::summary::LogConfig;
use crate::storage::testing::{TestBatch, batch};

#[derive(Debug, Clone)]
struct NewBatch {
    records: i64,
    value_bytes: usize,
    compression: u8,
    timestamp: i64,
}

/// What happens to a file while the log is closed.
#[derive(Debug, Clone)]
enum Harm {
    Remove,
    Truncate(Index),
    Flip(Index),
    Extend(Vec<u8>),
    Zero,
}

#[derive(Debug, Clone)]
enum Operation {
    Append(Vec<NewBatch>),
    Roll,
    Checkpoint,
    Settle,
    Close,
    AdvanceStart(Index),
    ReopenClean(Vec<(Index, Harm)>),
    ReopenDirty { use_checkpoint: bool, distrust_cache: bool, tail: Vec<u8>, harms: Vec<(Index, Harm)> },
    Read { offset: Index, max_bytes: usize, min_one: bool },
    FindTime(i64),
    FindMaxTime,
}

fn new_batch() -> impl Strategy<Value = NewBatch> {
    (1..5i64, prop_oneof![0..60usize, 0..3000usize], 0..5u8, -1..2000i64).prop_map(
        |(records, value_bytes, compression, timestamp)| NewBatch {
            records,
            value_bytes,
            compression,
            timestamp,
        },
    )
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        Just(Harm::Remove),
        any::<Index>().prop_map(Harm::Truncate),
        any::<Index>().prop_map(Harm::Flip),
        prop::collection::vec(any::<u8>(), 1..50).prop_map(Harm::Extend),
        Just(Harm::Zero),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let harms = || prop::collection::vec((any::<Index>(), harm()), 0..3);
    prop_oneof![
        8 => prop::collection::vec(new_batch(), 1..6).prop_map(Operation::Append),
        1 => Just(Operation::Roll),
        1 => Just(Operation::Checkpoint),
        1 => Just(Operation::Settle),
        1 => Just(Operation::Close),
        1 => any::<Index>().prop_map(Operation::AdvanceStart),
        1 => harms().prop_map(Operation::ReopenClean),
        2 => (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..200), harms()).prop_map(
            |(use_checkpoint, distrust_cache, tail, harms)| {
                Operation::ReopenDirty { use_checkpoint, distrust_cache, tail, harms }
            }
        ),
        5 => (any::<Index>(), 0..6000usize, any::<bool>())
            .prop_map(|(offset, max_bytes, min_one)| Operation::Read { offset, max_bytes, min_one }),
        3 => (-2..2100i64).prop_map(Operation::FindTime),
        1 => Just(Operation::FindMaxTime),
    ]
}

struct Run {
    fixture: Fixture,
    log: Option<Log>,
    expected: Expected,
    checkpoint: Option<PartitionCheckpoint>,
}

impl Run {
    fn new(config: LogConfig) -> Self {
        let fixture = Fixture::new(config);
        let log = Some(fixture.open(Resume::Fresh));
        Self { fixture, log, expected: Expected::default(), checkpoint: None }
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(batches) => self.append(batches),
            Operation::Roll => {
                self.log().roll(5).map(drop).unwrap();
            }
            Operation::Checkpoint => self.checkpoint = Some(self.log().checkpoint().unwrap()),
            Operation::Settle => {
                for segment in self.log().take_sealed() {
                    assert!(segment.settle().unwrap());
                }
            }
            Operation::Close => self.log().view().segments().iter().for_each(|segment| segment.close()),
            Operation::AdvanceStart(offset) => self.advance_start(offset),
            Operation::ReopenClean(harms) => {
                let clean = self.log().clean_checkpoint().unwrap();
                self.reopen(Resume::Clean(clean), &[], harms);
            }
            Operation::ReopenDirty { use_checkpoint, distrust_cache, tail, harms } => {
                let checkpoint = self.checkpoint.clone().filter(|_| *use_checkpoint);
                if checkpoint.is_none() {
                    // A log start inside of a segment is known to the checkpoint alone.
                    let view = self.log().view();
                    let first = view.segments().first().map(|segment| segment.base_offset());
                    self.expected.start_offset = first.unwrap_or(0);
                } else if let Some(checkpoint) = &checkpoint {
                    let view = self.log().view();
                    let first = view.segments().first().map(|segment| segment.base_offset());
                    self.expected.start_offset = checkpoint.start_offset.max(first.unwrap_or(0));
                }
                let resume = Resume::Dirty { checkpoint, distrust_cache: *distrust_cache, now_ms: 9 };
                self.reopen(resume, tail, harms);
            }
            Operation::Read { offset, max_bytes, min_one } => {
                let end = usize::try_from(self.expected.end_offset()).unwrap();
                let offset = i64::try_from(offset.index(end + 2)).unwrap();
                self.expected.check_read(self.log.as_ref().unwrap(), offset, *max_bytes, *min_one);
            }
            Operation::FindTime(timestamp) => {
                self.expected.check_time(self.log.as_ref().unwrap(), *timestamp);
            }
            Operation::FindMaxTime => self.expected.check_max_timestamp(self.log.as_ref().unwrap()),
        }
    }

    fn append(&mut self, new: &[NewBatch]) {
        let log = self.log.as_mut().unwrap();
        let mut offset = log.end_offset();
        let mut batches: Vec<TestBatch> = Vec::new();
        for one in new {
            let timestamps: Vec<i64> = (0..one.records)
                .map(|at| if one.timestamp < 0 { -1 } else { one.timestamp + at * 7 % 5 })
                .collect();
            let compression = [
                Compression::None,
                Compression::Gzip,
                Compression::Snappy,
                Compression::Lz4,
                Compression::Zstd,
            ][usize::from(one.compression)];
            batches.push(batch(offset, &timestamps, one.value_bytes, compression));
            offset = batches.last().unwrap().parsed.next_offset();
        }
        let to_append: Vec<AppendBatch<'_>> = batches.iter().map(TestBatch::to_append).collect();
        let appended = log.append_many(&to_append, 3);
        assert!(appended.error.is_none());
        assert_eq!(appended.count, batches.len());
        self.expected.batches.extend(batches);
    }

    fn advance_start(&mut self, offset: &Index) {
        let (start, end) = (self.expected.start_offset, self.expected.end_offset());
        let offset = start + i64::try_from(offset.index(usize::try_from(end - start).unwrap() + 1)).unwrap();
        let log = self.log.as_mut().unwrap();
        let gone = log.advance_start(offset);
        delete_segments(&self.fixture.store, &gone).unwrap();
        self.expected.start_offset = offset;
        // A new start is saved before anything is deleted, in a checkpoint.
        self.checkpoint = Some(log.checkpoint().unwrap());
    }

    fn reopen(&mut self, resume: Resume, tail: &[u8], harms: &[(Index, Harm)]) {
        self.log = None;
        if self.fixture.partition_dir().exists() {
            if let Some(last) = self.fixture.files(&["log"]).last() {
                extend(last, tail);
            }
            for (file, harm) in harms {
                let files = self.fixture.files(&["index", "timeindex", "seal"]);
                if !files.is_empty() {
                    inflict(file.get::<std::path::PathBuf>(&files), harm);
                }
            }
        }
        self.log = Some(self.fixture.open(resume));
    }
}

fn extend(path: &Path, tail: &[u8]) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes.extend_from_slice(tail);
    std::fs::write(path, bytes).unwrap();
}

fn inflict(path: &Path, harm: &Harm) {
    let mut bytes = std::fs::read(path).unwrap();
    match harm {
        Harm::Remove => return std::fs::remove_file(path).unwrap(),
        Harm::Truncate(len) => bytes.truncate(len.index(bytes.len() + 1)),
        Harm::Flip(bit) if !bytes.is_empty() => {
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Harm::Flip(_) => {}
        Harm::Extend(more) => bytes.extend_from_slice(more),
        Harm::Zero => bytes.fill(0),
    }
    std::fs::write(path, bytes).unwrap();
}

fn config() -> impl Strategy<Value = LogConfig> {
    (500..20_000u64, 0..3000i64, 100..2000u32, 32..400u32).prop_map(
        |(segment_bytes, segment_ms, index_interval_bytes, segment_index_bytes)| LogConfig {
            segment_bytes,
            segment_ms,
            index_interval_bytes,
            segment_index_bytes,
            ..LogConfig::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list_of_batches(
        config in config(),
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let mut run = Run::new(config);
        for operation in &operations {
            run.apply(operation);
        }
        run.expected.check_all(run.log.as_ref().unwrap());
        let checkpoint = run.log().checkpoint().unwrap();
        run.log = None;
        run.log = Some(run.fixture.open(dirty(Some(checkpoint))));
        run.expected.check_all(run.log.as_ref().unwrap());
    }
}
