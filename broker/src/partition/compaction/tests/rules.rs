//! What compaction keeps, on a real file system.

use super::*;
use crate::storage::files::RealFs;

struct Real {
    root: tempfile::TempDir,
    life: Life,
}

fn real(more: &[&str]) -> Real {
    let root = tempfile::tempdir().unwrap();
    let life = Life::new(Arc::new(RealFs), root.path(), settings(more));
    Real { root, life }
}

impl Real {
    /// Fills some segments and saves a checkpoint behind them.
    fn fill(&mut self, batches: &[&str]) {
        batches.iter().for_each(|keys| self.life.append(keys).unwrap());
        self.life.checkpoint(false).unwrap();
    }

    fn keys(&self) -> String {
        self.life.read().iter().map(|entry| char::from(entry.key)).collect()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path().join("t-0")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn the_last_value_of_every_key_stays_in_merged_segments() {
    let mut real = real(&[]);
    real.fill(&["abcdefghi", "abcabcabc", "abcabcabc", "abcabcabc", "zzzz"]);
    let before = real.life.segments();
    assert!(4 <= before.len(), "{before:?}");
    let compacted = real.life.compact().unwrap();
    assert_eq!(compacted.keys, 9);
    assert_eq!(compacted.cleaned_to, before.last().unwrap().0, "all but the last segment");
    assert_eq!(real.keys(), "defghiabczzzz");
    // They are small now.
    real.life.cleaned_to = None;
    let merged = real.life.compact().unwrap();
    assert_eq!((merged.segments_before, merged.segments_after), (4, 1), "{merged:?}");
    assert_eq!(real.keys(), "defghiabczzzz");
    real.life.check();
    real.life.check_look_ups();
    let after = real.life.segments();
    let logs: Vec<String> = after.iter().map(|(base, _)| format!("{base:020}.log")).collect();
    let there: Vec<String> = real.files().into_iter().filter(|name| name.ends_with(".log")).collect();
    assert_eq!(there, logs, "and no other file is left");
    assert!(!real.files().iter().any(|name| name.ends_with(".replaces") || name.ends_with(".cleaned")));
    // Once more there is nothing to do.
    real.life.cleaned_to = None;
    let again = real.life.compact().unwrap();
    assert_eq!((again.bytes_written, real.life.segments()), (0, after));
}

#[test]
fn what_was_compacted_is_there_after_every_kind_of_start() {
    let mut real = real(&[]);
    real.fill(&["abcdefghi", "abcabcabc", "abcAbcabc", "abcabcabc", "zzzz"]);
    real.life.compact().unwrap();
    real.life.checkpoint(true).unwrap();
    let wanted = real.life.batches();
    let saved = real.life.saved.clone().unwrap();
    for resume in [Resume::Clean(saved.log.clone()), dirty(Some(&saved)), dirty(None)] {
        real.life.restart(real.root.path(), resume).unwrap();
        assert_eq!(real.life.batches(), wanted);
        assert!(real.life.partition.quarantined().is_empty());
        real.life.check_look_ups();
    }
    real.life.append("abc").unwrap();
    real.life.check();
}

#[test]
fn tombstones_stay_for_their_time_and_deleted_keys_stay_deleted() {
    let mut real = real(&[]);
    real.fill(&["abcabcabc", "Abcabcabc", "abcabcAbc", "bcbcbcbc", "zzzz"]);
    real.life.compact().unwrap();
    assert_eq!(real.keys(), "Abczzzz".to_lowercase());
    assert!(real.life.read().iter().any(|entry| entry.key == b'a' && entry.value.is_none()));
    let compact_again = |real: &mut Real| {
        real.life.cleaned_to = None;
        real.life.compact().unwrap();
        real.life.check();
        real.life.read().iter().any(|entry| entry.key == b'a')
    };
    real.life.now_ms += DELETE_RETENTION_MS - 1;
    assert!(compact_again(&mut real));
    real.life.now_ms += 1;
    assert!(!compact_again(&mut real));
    assert_eq!(real.keys(), "bczzzz");
    real.life.check_look_ups();
}

#[test]
fn nothing_behind_the_checkpoint_is_touched() {
    let mut real = real(&[]);
    let keys = ["abcabcabc"; 6];
    keys.iter().for_each(|keys| real.life.append(keys).unwrap());
    assert!(matches!(real.life.compact(), Err(CompactionError::Gone)), "there is no checkpoint yet");
    real.life.checkpoint(false).unwrap();
    let checkpointed = real.life.segments().last().unwrap().0;
    keys.iter().for_each(|keys| real.life.append(keys).unwrap());
    let compacted = real.life.compact().unwrap();
    assert_eq!(compacted.cleaned_to, checkpointed);
    let cleanable = real.life.partition.cleanable(real.life.cleaned_to, 0).unwrap().unwrap();
    assert!(!real.life.partition.is_checkpointed(cleanable.end));
    real.life.check();
}

#[test]
fn more_keys_than_memory_take_more_than_one_pass() {
    let mut real = real(&["log.segment.bytes=16384"]);
    // Two letters would do; the map of the smallest size holds some hundred keys.
    let batch = |from: u32| {
        let mut builder = BatchBuilder::new();
        for key in from..from + 50 {
            let key = (key % 2500).to_be_bytes();
            builder
                .add(&NewRecord { timestamp: 5, key: Some(&key), value: Some(b"v"), headers: &[] })
                .unwrap();
        }
        let bytes = builder.build(Compression::None, ProducerStamp::NONE).unwrap();
        ProducedBatch { header: BatchHeader::read(&bytes).unwrap(), bytes }
    };
    (0..100).for_each(|at| real.life.append_batch(&batch(at * 50)).unwrap());
    real.life.checkpoint(false).unwrap();
    let end = real.life.segments().last().unwrap().0;
    let mut passes = 0;
    while real.life.cleaned_to != Some(end) {
        let before = real.life.cleaned_to.unwrap_or(0);
        let compacted = real.life.compact_with(0, &AtOnce).unwrap();
        assert!(before < compacted.cleaned_to && compacted.keys < 1100, "{compacted:?}");
        passes += 1;
    }
    assert!(2 < passes);
    let records = |from: i64| {
        let batches = real.life.batches();
        let of = |batch: &Bytes| {
            let count = BatchHeader::read(batch).unwrap().record_count;
            let all = if count == 0 { None } else { Some(read_records(batch, 1 << 20).unwrap()) };
            all.into_iter().flatten().map(|record| record.unwrap()).collect::<Vec<_>>()
        };
        batches.iter().flat_map(of).filter(|record| from <= record.offset).collect::<Vec<_>>()
    };
    let mut last: HashMap<Bytes, i64> = HashMap::new();
    for record in records(0) {
        let older = last.insert(record.key.unwrap(), record.offset);
        assert!(older.is_none() || end <= record.offset, "one record for each key");
    }
    assert_eq!(last.len(), 2500);
    let wanted: Vec<i64> = (0..2500).map(|key| 2500 + key).collect();
    let mut offsets: Vec<i64> = last.into_values().collect();
    offsets.sort_unstable();
    assert_eq!(offsets, wanted);
}

#[test]
fn an_idempotent_producer_is_known_from_the_log_alone() {
    let mut real = real(&[]);
    let stamp = |base_sequence| ProducerStamp { producer_id: 9, producer_epoch: 2, base_sequence };
    for sequence in 0..3 {
        real.life.append_batch(&build("a", 10_000, Compression::None, stamp(sequence))).unwrap();
    }
    real.fill(&["abcabcabc", "abcabcabc", "abcabcabc", "abcabcabc"]);
    real.life.compact().unwrap();
    real.life.check();
    let (view, bound) = (real.life.partition.reader.view(), real.life.partition.offsets.high_watermark());
    let mut kept = Vec::new();
    view.visit_headers(0, &bound, |header| kept.extend((header.producer_id == 9).then_some(*header)))
        .unwrap();
    assert_eq!(kept.len(), 1, "the last batch, without records");
    assert_eq!((kept[0].record_count, kept[0].last_sequence()), (0, 2));
    real.life.saved = None;
    real.life.restart(real.root.path(), dirty(None)).unwrap();
    let written = real.life.partition.write([&build("a", 1, Compression::None, stamp(2))].into_iter(), 1);
    assert_eq!(written.results[0].as_ref().unwrap().base_offset, 2, "a retry is one");
    real.life.append_batch(&build("a", 10_000, Compression::None, stamp(3))).unwrap();
}

#[test]
fn what_is_read_has_records_if_there_are_any() {
    let mut real = real(&[]);
    // All of these are replaced, segment by segment.
    real.fill(&["abcabcabc", "abcabcabc", "abcabcabc", "abcabcabc", "abczzzzzz", "zzz"]);
    real.life.compact().unwrap();
    let batch = real.life.batch_at(0).unwrap();
    assert_eq!(
        entries(&batch).first().map(|entry| entry.offset),
        real.life.read().first().map(|entry| entry.offset)
    );
    assert!(real.life.segments().iter().any(|(_, size)| *size == 61), "some have nothing but an empty batch");
    real.life.check_look_ups();
}

#[test]
fn readers_finish_what_they_have_begun() {
    let mut real = real(&[]);
    real.fill(&["abcabcabc", "abcabcabc", "abcabcabc", "abcabcabc", "zzzz"]);
    let (view, bound) = (real.life.partition.reader.view(), real.life.partition.offsets.high_watermark());
    let read = |offset: i64| {
        let slice = view.read(offset, &bound, 1, true, IoMode::Blocking).unwrap().unwrap();
        let mut bytes = vec![0; slice.len()];
        assert_eq!(slice.read_at(0, &mut bytes).unwrap(), bytes.len());
        (bytes, slice)
    };
    let before: Vec<_> = (0..36).map(read).collect();
    let slice = before[0].1.clone();
    real.life.compact().unwrap();
    let after: Vec<_> = (0..36).map(read).collect();
    assert!(
        before.iter().zip(&after).all(|(before, after)| before.0 == after.0),
        "by their own view of the log"
    );
    let mut bytes = vec![0; slice.len()];
    slice.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, before[0].0, "and what was being sent is sent to its end");
    // What they do about an index that they doubt is done to nobody else's files.
    let wanted = real.life.batches();
    for segment in view.segments() {
        let _ = segment.settle();
    }
    drop((view, before, after));
    real.life.checkpoint(true).unwrap();
    let saved = real.life.saved.clone().unwrap();
    real.life.restart(real.root.path(), Resume::Clean(saved.log)).unwrap();
    assert_eq!(real.life.batches(), wanted);
    real.life.check_look_ups();
}

#[test]
fn a_segment_with_damage_is_left_as_it_is() {
    let mut real = real(&[]);
    real.fill(&["abcabcabc", "abcabcabc", "dadadadad", "AbAbAbAbA", "ababbbbbb", "zzzz"]);
    let segments = real.life.segments();
    let damaged = real.root.path().join(format!("t-0/{:020}.log", segments[1].0));
    let mut bytes = std::fs::read(&damaged).unwrap();
    let at = bytes.len() - 20;
    bytes[at] ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    // It is met, verified, and then known.
    let error = real.life.compact().unwrap_err();
    assert!(matches!(&error, CompactionError::Read(error) if error.is_damage()), "{error}");
    let sealed = real.life.partition.sealed_segments();
    real.life.partition.verify(&sealed[1], &AtOnce).unwrap();
    assert!(!real.life.partition.quarantined().is_empty());
    for _ in 0..3 {
        real.life.now_ms += 10 * DELETE_RETENTION_MS;
        real.life.cleaned_to = None;
        let compacted = real.life.compact().unwrap();
        assert_eq!(compacted.segments_damaged, 1);
    }
    assert_eq!(std::fs::read(&damaged).unwrap(), bytes, "not a byte of it has changed");
    let after = real.life.segments();
    assert!(after.contains(&segments[1]) && after[0].1 < segments[0].1, "all around it is compacted");
    // The tombstone stays, for what it deletes may be in there.
    let range = real.life.partition.quarantined()[0];
    let last_of_a = real.life.appended.iter().rev().find(|entry| entry.key == b'a').unwrap().clone();
    let at = |offset| real.life.batch_at(offset).map(|batch| entries(&batch)).unwrap_or_default();
    assert!(at(last_of_a.offset).contains(&last_of_a));
    assert!(range.next_offset <= last_of_a.offset);
}

#[test]
fn an_old_bound_does_not_cut_a_compacted_segment() {
    let mut real = real(&[]);
    real.life.append("abcabcabc").unwrap();
    let old = real.life.partition.offsets.high_watermark();
    real.fill(&["abcabcabc", "abcabcabc", "abcabcabc", "zzzz"]);
    real.life.compact().unwrap();
    let view = real.life.partition.reader.view();
    for offset in 0..old.offset {
        let slice = view.read(offset, &old, 1, true, IoMode::Blocking).unwrap().unwrap();
        let mut bytes = vec![0; slice.len()];
        assert_eq!(slice.read_at(0, &mut bytes).unwrap(), bytes.len());
        check_stored(&bytes).unwrap();
    }
}

#[test]
fn compressed_batches_keep_their_codec() {
    for compression in Compression::ALL {
        let mut real = real(&[]);
        for at in 0..20 {
            let batch = build("abcdeabcdeabcde", 10_000 + at, compression, ProducerStamp::NONE);
            real.life.append_batch(&batch).unwrap();
        }
        real.fill(&["zzzzzzzzzzzz", "zzzzzzzzzz", "zzz"]);
        real.life.compact().unwrap();
        real.life.check();
        real.life.check_look_ups();
        let headers = real.life.batches().into_iter().map(|batch| BatchHeader::read(&batch).unwrap());
        let codecs: Vec<Compression> = headers
            .filter(|header| {
                0 < header.record_count && header.max_timestamp < 10_100 && header.base_offset < 300
            })
            .map(|header| header.attributes.compression().unwrap())
            .collect();
        assert!(codecs.contains(&compression), "{codecs:?}");
    }
}

#[test]
fn the_log_start_and_a_compaction_do_not_meet() {
    let mut real = real(&["log.cleanup.policy=compact,delete"]);
    real.fill(&["abcabcabc", "abcabcabc", "abcdefabc", "abcabcabc", "zzzz"]);
    real.life.compact().unwrap();
    real.life.partition.delete_records(20).unwrap();
    real.life.checkpoint(false).unwrap();
    real.fill(&["abcabcabc", "abcabcabc", "abcabcabc", "zzzz"]);
    real.life.compact().unwrap();
    assert!(real.life.read().iter().all(|entry| 20 <= entry.offset || entry.key != b'a'));
    let wanted = real.life.batches();
    let saved = real.life.saved.clone();
    real.life.restart(real.root.path(), dirty(saved.as_ref())).unwrap();
    assert_eq!(real.life.partition.offsets().log_start, 20);
    assert_eq!(real.life.batches(), wanted);
}

fn timeless(keys: &str) -> ProducedBatch {
    let mut builder = BatchBuilder::new();
    for key in keys.bytes() {
        let new = NewRecord { timestamp: -1, key: Some(&[key]), value: Some(&[b'x'; 80]), headers: &[] };
        builder.add(&new).unwrap();
    }
    let bytes = builder.build(Compression::None, ProducerStamp::NONE).unwrap();
    ProducedBatch { header: BatchHeader::read(&bytes).unwrap(), bytes }
}

#[test]
fn what_is_read_has_records_if_there_are_any_and_if_they_had_no_time() {
    let mut real = real(&[]);
    ["abcabcabc"; 4].iter().for_each(|keys| real.life.append_batch(&timeless(keys)).unwrap());
    real.fill(&["abczzzzzz", "zzz"]);
    real.life.compact().unwrap();
    assert!(real.life.segments().iter().any(|(_, size)| *size == 61), "some have nothing but an empty batch");
    let batch = real.life.batch_at(0).unwrap();
    assert_eq!(entries(&batch).first(), real.life.read().first());
}

#[test]
fn records_without_a_time_wait_from_when_they_came() {
    let mut real = real(&["log.cleaner.min.compaction.lag.ms=5000"]);
    real.life.append_batch(&timeless("abc")).unwrap();
    real.life.now_ms = 20_000;
    real.life.append_batch(&timeless("abc")).unwrap();
    real.life.append_batch(&timeless("abcabcabc")).unwrap();
    let next = real.life.segments()[1].0;
    let end_at = |now_ms| real.life.partition.cleanable(None, now_ms).unwrap().unwrap().end;
    assert_eq!((next, end_at(24_999), end_at(25_000)), (6, 0, 6));
}

#[test]
fn a_clock_that_was_ahead_keeps_no_tombstone_for_ever() {
    let mut real = real(&[]);
    real.fill(&["abcabcabc", "abcabcAbc", "bcbcbcbc", "zzzz"]);
    real.life.clock_jump_ms = 1 << 40;
    real.life.compact().unwrap();
    real.life.clock_jump_ms = 0;
    let mut has_tombstone_at = |now_ms| {
        real.life.now_ms = now_ms;
        real.life.cleaned_to = None;
        real.life.compact().unwrap();
        real.life.check();
        real.life.read().iter().any(|entry| entry.key == b'a')
    };
    assert!(has_tombstone_at(20_000), "its time begins when the clock is right");
    assert!(has_tombstone_at(20_000 + DELETE_RETENTION_MS - 1));
    assert!(!has_tombstone_at(20_000 + DELETE_RETENTION_MS));
}

#[test]
fn a_deleted_key_does_not_come_back_when_damage_is_mended() {
    let mut real = real(&[]);
    real.fill(&[
        "abcabcabc",
        "abcabcabc",
        "dadadadad",
        "AbAbAbAbA",
        "ababbbbbb",
        "Abbb",
        "zzzzzzzzz",
        "zzzz",
    ]);
    let damaged = real.root.path().join(format!("t-0/{:020}.log", real.life.segments()[1].0));
    let right = std::fs::read(&damaged).unwrap();
    let mut wrong = right.clone();
    wrong[right.len() - 20] ^= 1;
    std::fs::write(&damaged, &wrong).unwrap();
    let verify = |real: &Real| {
        let sealed = real.life.partition.sealed_segments();
        let segment = sealed.iter().find(|segment| segment.path() == damaged).unwrap();
        real.life.partition.verify(segment, &AtOnce).unwrap();
        real.life.partition.is_damaged()
    };
    assert!(verify(&real));
    let compacted = real.life.compact().unwrap();
    assert_eq!(compacted.damaged_from, Some(9));
    std::fs::write(&damaged, &right).unwrap();
    assert!(!verify(&real));
    // The tombstone's time is over, and what it deletes is there again.
    real.life.now_ms += 10 * DELETE_RETENTION_MS;
    real.life.cleaned_to = compacted.damaged_from;
    real.life.compact().unwrap();
    real.life.check();
    assert!(!real.keys().contains('a'));
}

#[test]
fn many_batches_without_records_are_passed_over_where_there_is_time() {
    let mut real = real(&["log.segment.bytes=16384"]);
    for producer_id in 0..90 {
        let stamp = ProducerStamp { producer_id, producer_epoch: 0, base_sequence: 0 };
        real.life.append_batch(&build("a", 10_000, Compression::None, stamp)).unwrap();
    }
    real.fill(&["abcabcabc"; 6]);
    real.life.compact().unwrap();
    let read = |offset, io| {
        let request = ReadRequest { offset, max_bytes: 1, min_one_batch: true, current_leader_epoch: -1 };
        real.life.partition.read(&request, io).unwrap().map(|read| read.records.unwrap().len())
    };
    let wanted = read(0, IoMode::Blocking);
    assert!(wanted.is_some_and(|len| 61 < len));
    assert_eq!(read(0, IoMode::NoWait), None, "not where others wait for it");
    assert_eq!(read(60, IoMode::NoWait), wanted);
}

#[test]
fn a_segment_file_that_comes_back_has_its_place() {
    let mut real = real(&[]);
    real.fill(&["abcabcabc", "dddabcabc", "abcabcfff", "abceeeabc", "zzzz"]);
    let wanted = real.life.segments();
    let [lost, kept] = ["log", "kept"]
        .map(|extension| real.root.path().join(format!("t-0/{:020}", wanted[1].0)).with_extension(extension));
    std::fs::rename(&lost, &kept).unwrap();
    let saved = real.life.saved.clone();
    real.life.restart(real.root.path(), dirty(saved.as_ref())).unwrap();
    assert_eq!(real.life.segments().len() + 1, wanted.len());
    for _ in 0..2 {
        real.life.cleaned_to = None;
        real.life.compact().unwrap();
    }
    assert!(real.life.segments().len() + 1 < wanted.len(), "others become one");
    std::fs::rename(&kept, &lost).unwrap();
    real.life.restart(real.root.path(), dirty(saved.as_ref())).unwrap();
    real.life.check();
    assert!(real.keys().contains('d') && real.keys().contains('f'));
}
