//! Random operations on a log, on a disk that loses its power at any moment, must come to what a list of batches comes to.
//!
//! The model knows which batches were durable, and which may or may not be there after a crash.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngSeed, TestRunner};
use sendlog_protocol::records::Compression;
use uuid::Uuid;

use super::durable_model::Model;
use super::machine::{Content, Machine, SecondCut, Stopped};
use crate::storage::log::AppendBatch;
use crate::storage::retention::{self, RetentionPolicy};
use crate::storage::segment_list::delete_segments;
use crate::storage::summary::LogConfig;
use crate::storage::testing::{Lie, TestBatch, batch};

#[derive(Debug, Clone)]
struct NewBatch {
    records: i64,
    value_bytes: usize,
    is_compressed: bool,
    timestamp: i64,
}

#[derive(Debug, Clone)]
enum Operation {
    Append(Vec<NewBatch>),
    Sync,
    Roll,
    /// Between the look at the log and the sync before the save, the log grows.
    Checkpoint(Vec<NewBatch>),
    Settle,
    CloseFiles,
    DeleteRecords(Index),
    Retain {
        bytes: u64,
    },
    Read {
        offset: Index,
        max_bytes: usize,
    },
    FindTime(i64),
    CloseCleanly,
    Kill,
    PowerCut {
        seed: u64,
        again: Vec<SecondCut>,
    },
    /// The power goes in the midst of what comes next.
    PowerCutAfter {
        operations: u64,
    },
    /// A sync of what comes next fails.
    SyncFails {
        after: u64,
        seed: u64,
    },
}

fn new_batch() -> impl Strategy<Value = NewBatch> {
    let sizes = prop_oneof![6 => 0..60usize, 3 => 0..3000usize, 1 => 20_000..70_000usize];
    (1..5i64, sizes, any::<bool>(), -1..2000i64).prop_map(
        |(records, value_bytes, is_compressed, timestamp)| NewBatch {
            records,
            value_bytes,
            is_compressed,
            timestamp,
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    let batches = |least| prop::collection::vec(new_batch(), least..6);
    let second = (0..40u64, any::<u64>()).prop_map(|(after, seed)| SecondCut { after, seed });
    prop_oneof![
        10 => batches(1).prop_map(Operation::Append),
        5 => Just(Operation::Sync),
        1 => Just(Operation::Roll),
        3 => batches(0).prop_map(Operation::Checkpoint),
        1 => Just(Operation::Settle),
        1 => Just(Operation::CloseFiles),
        1 => any::<Index>().prop_map(Operation::DeleteRecords),
        1 => (0..20_000u64).prop_map(|bytes| Operation::Retain { bytes }),
        4 => (any::<Index>(), 0..6000usize).prop_map(|(offset, max_bytes)| Operation::Read { offset, max_bytes }),
        2 => (-2..2100i64).prop_map(Operation::FindTime),
        1 => Just(Operation::CloseCleanly),
        1 => Just(Operation::Kill),
        3 => (any::<u64>(), prop::collection::vec(second, 0..3))
            .prop_map(|(seed, again)| Operation::PowerCut { seed, again }),
        2 => (0..30u64).prop_map(|operations| Operation::PowerCutAfter { operations }),
        1 => (0..3u64, any::<u64>()).prop_map(|(after, seed)| Operation::SyncFails { after, seed }),
    ]
}

fn config() -> impl Strategy<Value = LogConfig> {
    (500..20_000u64, 100..2000u32, 32..400u32, any::<bool>()).prop_map(
        |(segment_bytes, index_interval_bytes, segment_index_bytes, sync_before_roll)| LogConfig {
            segment_bytes,
            segment_ms: 3000,
            index_interval_bytes,
            segment_index_bytes,
            sync_before_roll,
            is_compacted: false,
        },
    )
}

struct Run {
    machine: Machine,
    model: Model,
    /// Of the power cut that was announced.
    seed: u64,
}

impl Run {
    fn apply(&mut self, operation: &Operation) {
        if let Err(reason) = self.attempt(operation) {
            self.recover(&reason);
        }
    }

    /// What was announced has happened: the power went, or a sync failed and the broker stops.
    fn recover(&mut self, reason: &Stopped) {
        if !self.machine.disk.is_off() {
            assert!(self.machine.disk.take_failed_sync(), "{reason:?}");
            let marked =
                self.machine.running.as_ref().map_or(Ok(()), |running| running.data_dir.failure_note().put());
            if marked.is_ok()
                && let Ok(content) = self.machine.try_restart()
            {
                self.model.take_over(&content);
                if let Ok(again) = self.machine.try_restart() {
                    assert_eq!(again, content, "recovery is done once");
                    self.model.take_over(&again);
                    return;
                }
            }
            assert!(self.machine.disk.is_off());
        }
        let content = self.machine.cut_power(self.seed, &[]);
        self.model.take_over(&content);
    }

    fn attempt(&mut self, operation: &Operation) -> Result<(), Stopped> {
        let log_is_relaxed = !self.machine.config.sync_before_roll;
        match operation {
            Operation::Append(batches) => self.append(batches)?,
            Operation::Sync => self.sync()?,
            Operation::Roll => self.machine.running().log.roll(5).map(drop)?,
            Operation::Checkpoint(batches) => self.checkpoint(batches)?,
            Operation::Settle => self.machine.running().settle(),
            Operation::CloseFiles => {
                self.machine.log().view().segments().iter().for_each(|segment| segment.close());
            }
            Operation::DeleteRecords(offset) => {
                let Model { start_offset, end_offset, durable_end, .. } = self.model;
                let limit = if log_is_relaxed { end_offset } else { durable_end };
                let width = usize::try_from(limit - start_offset).unwrap_or(0);
                self.advance_start(start_offset + i64::try_from(offset.index(width + 1)).unwrap());
            }
            Operation::Retain { bytes } => {
                let policy = RetentionPolicy { retention_ms: None, retention_bytes: Some(*bytes) };
                let view = self.machine.log().view();
                let infos = view.segment_infos()?;
                if let Some(start) =
                    retention::new_start(&infos, &policy, self.model.start_offset, self.model.end_offset, 0)
                {
                    self.advance_start(start.max(self.model.start_offset));
                }
            }
            Operation::Read { offset, max_bytes } => {
                let offset = offset.index(usize::try_from(self.model.end_offset).unwrap() + 2);
                let offset = i64::try_from(offset).unwrap();
                self.model.check_read(self.machine.log(), offset, *max_bytes)?;
            }
            Operation::FindTime(timestamp) => self.model.check_time(self.machine.log(), *timestamp)?,
            Operation::CloseCleanly => {
                self.machine.running().close_cleanly()?;
                self.model.durable_end = self.model.end_offset;
                self.model.saved_start = self.model.start_offset;
                let content = self.machine.try_restart()?;
                self.model.check(&content);
            }
            Operation::Kill => {
                let content = self.machine.try_restart()?;
                // No power was lost, so no batch is.
                self.model.durable_end = self.model.end_offset;
                self.model.take_over(&content);
            }
            Operation::PowerCut { seed, again } => {
                let content = self.machine.cut_power(*seed, again);
                self.model.take_over(&content);
            }
            Operation::PowerCutAfter { operations } => {
                self.seed = operations.wrapping_mul(0x9e37_79b9) ^ self.machine.disk.operations();
                self.machine.disk.power_off_after(*operations);
            }
            Operation::SyncFails { after, seed } => self.machine.disk.fail_sync_after(*after, *seed),
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Stopped> {
        self.machine.running().sync()?;
        self.model.durable_end = self.model.end_offset;
        Ok(())
    }

    fn checkpoint(&mut self, batches: &[NewBatch]) -> Result<(), Stopped> {
        let running = self.machine.running();
        let checkpoint = running.log.checkpoint()?;
        let doomed = std::mem::take(&mut running.doomed);
        self.append(batches)?;
        self.sync()?;
        self.machine.running().save(&checkpoint)?;
        self.model.saved_start = checkpoint.start_offset;
        delete_segments(&self.machine.running().store, &doomed).map_err(Stopped::from)
    }

    fn append(&mut self, new: &[NewBatch]) -> Result<(), Stopped> {
        let log = &mut self.machine.running().log;
        let mut offset = log.end_offset();
        let mut batches: Vec<TestBatch> = Vec::new();
        for one in new {
            let time = |at| if one.timestamp < 0 { -1 } else { one.timestamp + at * 7 % 5 };
            let timestamps: Vec<i64> = (0..one.records).map(time).collect();
            let compression = if one.is_compressed { Compression::Lz4 } else { Compression::None };
            batches.push(batch(offset, &timestamps, one.value_bytes, compression));
            offset = batches.last().unwrap().parsed.next_offset();
        }
        let to_append: Vec<AppendBatch<'_>> = batches.iter().map(TestBatch::to_append).collect();
        let appended = log.append_many(&to_append, 3);
        // One that failed may be on the disk all the same.
        let failed = appended.error.map(Stopped::from);
        self.model.push(batches);
        failed.map_or(Ok(()), Err)
    }

    fn advance_start(&mut self, offset: i64) {
        let running = self.machine.running();
        running.doomed.extend(running.log.advance_start(offset));
        self.model.start_offset = offset;
    }
}

/// How many cases, and from which seed: `SENDLOG_MODEL_CASES`, `SENDLOG_MODEL_SEED`.
fn proptest_config() -> ProptestConfig {
    let number = |name| std::env::var(name).ok().map(|value: String| value.parse::<u64>().expect("a number"));
    let seed = number("SENDLOG_MODEL_SEED").unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
    eprintln!("SENDLOG_MODEL_SEED={seed}");
    ProptestConfig {
        cases: number("SENDLOG_MODEL_CASES").map_or(400, |cases| u32::try_from(cases).expect("a count")),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn run(config: LogConfig, operations: &[Operation], lie: Option<Lie>) {
    let mut run = Run { machine: Machine::new(config, lie), model: Model::default(), seed: 0 };
    for operation in operations {
        run.apply(operation);
    }
    match Content::of(run.machine.log()) {
        Ok(content) => run.model.check(&content),
        Err(error) => run.recover(&error),
    }
    let content = run.machine.cut_power(7, &[]);
    run.model.take_over(&content);
}

fn cases() -> impl Strategy<Value = (LogConfig, Vec<Operation>)> {
    (config(), prop::collection::vec(operation(), 1..50))
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn what_was_durable_survives_every_crash((config, operations) in cases()) {
        run(config, &operations, None);
    }
}

/// On a disk that only says that it syncs, batches are lost; a test that does not see it sees nothing.
#[test]
fn a_disk_that_lies_is_caught() {
    for lie in [Lie::Files, Lie::Folders] {
        let config = ProptestConfig {
            cases: 300,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let outcome = TestRunner::new(config).run(&cases(), |(config, operations)| {
            run(config, &operations, Some(lie));
            Ok(())
        });
        assert!(outcome.is_err(), "{lie:?}");
    }
}
