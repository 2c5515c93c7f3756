//! A partition with its commit threads, on a file system that fails when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sendlog_protocol::records::{
    BatchBuilder, BatchHeader, Compression, NewRecord, ProducerStamp, check_stored,
};
use uuid::Uuid;

use super::*;
use crate::clock::ManualClock;
use crate::config::{Args, Config};
use crate::storage::commit::Committer;
use crate::storage::files::IoMode;
use crate::storage::flush::Flusher;
use crate::storage::summary::SegmentSummary;
use crate::storage::testing::{Fault, FaultyFs};

mod deletion;

struct Rig {
    directory: tempfile::TempDir,
    files: FaultyFs,
    partition: Arc<Partition>,
    appender: Appender,
    threads: CommitThreads,
    failures: Arc<AtomicUsize>,
}

fn rig(settings: &[&str]) -> Rig {
    let directory = tempfile::tempdir().unwrap();
    let files = FaultyFs::new();
    let partition = open(&directory, &files, settings, Resume::Fresh, Vec::new());
    let failures = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failures);
    let clock = Arc::new(ManualClock::at(1_000));
    let store = Store::new(Arc::new(files.clone()), 10);
    let parts = AppenderParts {
        committer: Arc::new(Committer::new(Flusher::new(2), None)),
        flush_timer: Arc::default(),
        settler: Arc::default(),
        room: Room::new(store, directory.path().to_owned(), 0),
        clock,
    };
    let on_failure = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    let (appender, threads) = Appender::start(parts, on_failure).unwrap();
    Rig { directory, files, partition, appender, threads, failures }
}

fn open(
    directory: &tempfile::TempDir,
    files: &FaultyFs,
    settings: &[&str],
    resume: Resume,
    producers: Vec<(i64, ProducerEntry)>,
) -> Arc<Partition> {
    open_with(directory, files, settings, resume, producers, LeaderEpochs::default())
}

fn open_with(
    directory: &tempfile::TempDir,
    files: &FaultyFs,
    settings: &[&str],
    resume: Resume,
    producers: Vec<(i64, ProducerEntry)>,
    epochs: LeaderEpochs,
) -> Arc<Partition> {
    let mut args = Args::for_data_dir(directory.path());
    args.set = settings.iter().map(|&setting| setting.to_owned()).collect();
    let config = Config::load(&args).unwrap().topic_defaults;
    let env = PartitionEnv {
        store: Store::new(Arc::new(files.clone()), 10),
        data_dir: directory.path().to_owned(),
        clock: Arc::new(ManualClock::at(1_000)),
        producers_max: 100,
    };
    let topic_id = Uuid::from_u128(7);
    let open = OpenPartition { topic: "t".into(), topic_id, index: 0, config, resume, producers, epochs };
    Partition::open(&env, open).unwrap().0
}

fn batch(value: &[u8], producer: ProducerStamp) -> ProducedBatch {
    let mut builder = BatchBuilder::new();
    builder.add(&NewRecord { timestamp: 5, key: None, value: Some(value), headers: &[] }).unwrap();
    let bytes = builder.build(Compression::None, producer).unwrap();
    ProducedBatch { header: BatchHeader::read(&bytes).unwrap(), bytes }
}

fn plain(value: &[u8]) -> ProducedBatch {
    batch(value, ProducerStamp::NONE)
}

fn numbered(base_sequence: i32) -> ProducedBatch {
    batch(b"x", ProducerStamp { producer_id: 4, producer_epoch: 0, base_sequence })
}

impl Rig {
    fn append(&self, batch: ProducedBatch) -> AppendResult {
        let answer = self.appender.append(Arc::clone(&self.partition), batch, AckAt::Durable);
        answer.blocking_recv().expect("every append is answered")
    }
}

fn read_all(partition: &Partition) -> Vec<Bytes> {
    let mut batches = Vec::new();
    let mut offset = 0;
    loop {
        let request = ReadRequest { offset, max_bytes: 1, min_one_batch: true, current_leader_epoch: -1 };
        let read =
            partition.read(&request, IoMode::Blocking).unwrap().expect("blocking reads do not give up");
        let Some(slice) = read.records else { return batches };
        let mut bytes = vec![0; slice.len()];
        slice.read_at(0, &mut bytes).unwrap();
        offset = check_stored(&bytes).unwrap().next_offset();
        batches.push(Bytes::from(bytes));
    }
}

#[test]
fn what_is_acknowledged_can_be_read() {
    let rig = rig(&[]);
    for offset in 0..20 {
        assert_eq!(rig.append(plain(b"hello")).unwrap().base_offset, offset);
        assert_eq!(rig.partition.offsets().high_watermark, offset + 1);
    }
    assert_eq!(read_all(&rig.partition).len(), 20);
    rig.threads.finish();
    assert_eq!(rig.failures.load(Ordering::SeqCst), 0);
}

#[test]
fn appends_queued_together_are_all_answered_in_order() {
    let rig = rig(&[]);
    let answers: Vec<_> = (0..500)
        .map(|_| rig.appender.append(Arc::clone(&rig.partition), plain(b"x"), AckAt::Durable))
        .collect();
    for (offset, answer) in (0..).zip(answers) {
        assert_eq!(answer.blocking_recv().unwrap().unwrap().base_offset, offset);
    }
    assert_eq!(read_all(&rig.partition).len(), 500);
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let rig = rig(&[]);
    rig.append(numbered(0)).unwrap();
    for fault in [Fault::Enospc, Fault::ShortWrite] {
        rig.files.fail(fault, 0, u64::MAX);
        assert!(matches!(rig.append(numbered(1)), Err(AppendError::Full(_))), "{fault:?}");
        rig.files.heal();
        assert_eq!(read_all(&rig.partition).len(), 1);
    }
    // The refused batch left no trace in the producer's state either.
    assert_eq!(rig.append(numbered(1)).unwrap().base_offset, 1);
    assert_eq!(rig.failures.load(Ordering::SeqCst), 0);
}

#[test]
fn no_failing_operation_leads_to_a_false_acknowledgement() {
    for first in 0.. {
        let rig = rig(&["log.segment.bytes=1024"]);
        for sequence in 0..20 {
            rig.append(numbered(sequence)).unwrap();
        }
        rig.files.fail(Fault::Eio, first, 1);
        let answers: Vec<_> = (20..40).map(|sequence| rig.append(numbered(sequence))).collect();
        let faults = rig.files.faults();
        rig.files.heal();
        let acknowledged = answers.iter().take_while(|answer| answer.is_ok()).count();
        assert!(answers.iter().skip(acknowledged).all(Result::is_err), "an ack after a failure");
        let (directory, files) = (rig.directory, rig.files.clone());
        rig.threads.finish();
        drop((rig.partition, rig.appender));
        let resume = Resume::Dirty { checkpoint: None, distrust_cache: true, now_ms: 1_000 };
        let partition = open(&directory, &files, &["log.segment.bytes=1024"], resume, Vec::new());
        assert!(20 + acknowledged <= read_all(&partition).len(), "operation {first}: acknowledged and lost");
        if faults == 0 {
            assert_eq!(acknowledged, 20);
            return;
        }
        assert_eq!(rig.failures.load(Ordering::SeqCst).min(1), usize::from(acknowledged < 20));
    }
}

#[test]
fn a_relaxed_topic_is_acknowledged_and_read_before_its_sync() {
    let rig = rig(&["sendlog.flush=os"]);
    rig.append(plain(b"x")).unwrap();
    assert_eq!(rig.partition.offsets().high_watermark, 1);
    assert!(rig.partition.is_undurable());
    rig.appender.sync(Arc::clone(&rig.partition)).blocking_recv().unwrap().unwrap();
    assert!(!rig.partition.is_undurable());
}

#[test]
fn duplicates_survive_a_restart_with_and_without_a_checkpoint() {
    for with_checkpoint in [true, false] {
        let rig = rig(&[]);
        for sequence in 0..8 {
            rig.append(numbered(sequence)).unwrap();
        }
        let checkpoint = rig.partition.checkpoint(false).unwrap().expect("something was written");
        for sequence in 8..10 {
            rig.append(numbered(sequence)).unwrap();
        }
        let (checkpoint, producers) =
            if with_checkpoint { (Some(checkpoint.log), checkpoint.producers) } else { (None, Vec::new()) };
        let resume = Resume::Dirty { checkpoint, distrust_cache: false, now_ms: 1_000 };
        let partition = open(&rig.directory, &rig.files, &[], resume, producers);
        for (sequence, expected) in [(5, Some(5)), (9, Some(9)), (10, Some(10)), (12, None)] {
            let answer = rig.appender.append(Arc::clone(&partition), numbered(sequence), AckAt::Durable);
            let appended = answer.blocking_recv().unwrap();
            assert_eq!(appended.ok().map(|appended| appended.base_offset), expected, "sequence {sequence}");
        }
    }
}

#[test]
fn a_duplicate_is_told_when_it_was_appended() {
    for (kind, expected) in [("LogAppendTime", 1_000), ("CreateTime", -1)] {
        let rig = rig(&[&format!("log.message.timestamp.type={kind}")]);
        let told = [0, 0, 1, 0].map(|sequence| rig.append(numbered(sequence)).unwrap());
        assert_eq!(told.map(|appended| appended.base_offset), [0, 0, 1, 0]);
        assert_eq!(told.map(|appended| appended.log_append_time_ms), [expected; 4], "{kind}");
    }
}

/// A checkpoint may have a log scanned from further back than its producers and epochs are known.
#[test]
fn a_leader_epoch_without_records_survives_a_scan_of_the_whole_log() {
    let rig = rig(&[]);
    for sequence in 0..3 {
        rig.append(numbered(sequence)).unwrap();
    }
    let mut checkpoint = rig.partition.checkpoint(false).unwrap().expect("something was written");
    checkpoint.epochs.assign(4, 3);
    let active = checkpoint.log.active.expect("a segment");
    checkpoint.log.active = Some(SegmentSummary::new(0, active.created_ms));
    let resume = Resume::Dirty { checkpoint: Some(checkpoint.log), distrust_cache: false, now_ms: 1_000 };
    let (directory, files, epochs) = (&rig.directory, &rig.files, checkpoint.epochs);
    let partition = open_with(directory, files, &[], resume, checkpoint.producers, epochs);
    assert_eq!(partition.leader_epoch(), 4);
    assert_eq!(partition.offsets().high_watermark, 3);
    let again = rig.appender.append(Arc::clone(&partition), numbered(2), AckAt::Durable);
    assert_eq!(again.blocking_recv().unwrap().unwrap().base_offset, 2, "a duplicate is known");
}

/// The empty batch in the place of damage says nothing of epochs.
#[test]
fn damage_that_is_set_aside_leaves_the_leader_epochs_alone() {
    let rig = rig(&[]);
    let mut epochs = LeaderEpochs::default();
    epochs.assign(2, 0);
    for sequence in 0..3 {
        rig.append(numbered(sequence)).unwrap();
    }
    let path = rig.directory.path().join("t-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let size = bytes.len() / 3;
    for at in 0..3 {
        bytes[at * size + 15] = 2;
    }
    bytes[size + 62] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for _ in 0..2 {
        let resume = Resume::Dirty { checkpoint: None, distrust_cache: false, now_ms: 1_000 };
        let partition = open_with(&rig.directory, &rig.files, &[], resume, Vec::new(), epochs.clone());
        assert_eq!(partition.checkpoint(false).unwrap().unwrap().epochs, epochs);
    }
}

#[test]
fn deleting_records_moves_the_start_and_no_further_than_the_watermark() {
    let rig = rig(&["log.segment.bytes=1024"]);
    for _ in 0..50 {
        rig.append(plain(b"some value")).unwrap();
    }
    assert!(matches!(rig.partition.delete_records(51), Err(DeleteRecordsError::OutOfRange { .. })));
    assert_eq!(rig.partition.delete_records(30).unwrap(), 30);
    assert_eq!(rig.partition.delete_records(10).unwrap(), 30);
    let request = ReadRequest { offset: 29, max_bytes: 1, min_one_batch: true, current_leader_epoch: -1 };
    assert!(matches!(rig.partition.read(&request, IoMode::Blocking), Err(ReadError::OutOfRange { .. })));
    let size = rig.partition.size_bytes();
    let checkpoint = rig.partition.checkpoint(false).unwrap().expect("something was written");
    rig.partition.checkpoint_saved(&checkpoint).unwrap();
    assert!(rig.partition.size_bytes() <= size);
    assert_eq!(rig.partition.delete_records(-1).unwrap(), 50);
}

#[test]
fn retention_keeps_closed_segments_that_are_not_durable() {
    let rig = rig(&["log.segment.bytes=1024", "log.retention.bytes=1"]);
    let batches: Vec<_> = (0..50).map(|_| plain(b"some value")).collect();
    let written = rig.partition.write(batches.iter(), 1_000);
    assert_eq!(rig.partition.apply_retention(1_000).unwrap(), 0, "the log start cannot pass the watermark");
    rig.partition.publish(written.end.expect("something was written"));
    assert!(0 < rig.partition.apply_retention(1_000).unwrap());
}

#[test]
fn a_deleted_partition_takes_and_gives_nothing() {
    let rig = rig(&[]);
    rig.append(plain(b"x")).unwrap();
    rig.partition.delete().unwrap();
    assert!(matches!(rig.append(plain(b"x")), Err(AppendError::Deleted)));
    let request = ReadRequest { offset: 0, max_bytes: 1, min_one_batch: true, current_leader_epoch: -1 };
    assert!(matches!(rig.partition.read(&request, IoMode::Blocking), Err(ReadError::Deleted)));
    assert!(!rig.directory.path().join("t-0").exists());
    assert_eq!(rig.failures.load(Ordering::SeqCst), 0);
}
