//! Damage that is found while a log is open: exactly what is damaged cannot be read, and everything else can.

use std::cell::Cell;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use sendlog_protocol::records::check_stored;

use super::fixture::{Expected, Fixture, bytes_of, dirty, fill, small};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::ReadError;
use crate::storage::files::IoMode;
use crate::storage::holes::Quarantined;
use crate::storage::log::{Log, Resume};
use crate::storage::scrub::{AtOnce, Findings, Pace, STEP_BYTES, ScrubError};
use crate::storage::testing::TestBatch;
use crate::storage::time_lookup::TimestampOffset;

/// Three segments, at rest.
struct Stored {
    fixture: Fixture,
    batches: Vec<TestBatch>,
    checkpoint: PartitionCheckpoint,
}

/// Where a batch is.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: usize,
    position: u64,
    size: u64,
    offset: i64,
    next_offset: i64,
}

impl Stored {
    fn new() -> Self {
        let fixture = Fixture::new(small());
        let mut log = fixture.open(Resume::Fresh);
        let batches = fill(&mut log, 70);
        for segment in log.take_sealed() {
            assert!(segment.settle().unwrap());
        }
        let checkpoint = log.clean_checkpoint().unwrap();
        assert_eq!(log.view().segments().len(), 3);
        Self { fixture, batches, checkpoint }
    }

    fn file(&self, segment: usize) -> PathBuf {
        self.fixture.files(&["log"])[segment].clone()
    }

    fn open(&self) -> Log {
        self.fixture.open(Resume::Clean(self.checkpoint.clone()))
    }

    fn places(&self) -> Vec<Place> {
        let bases: Vec<i64> = self.open().view().segments().iter().map(|one| one.base_offset()).collect();
        let mut places: Vec<Place> = Vec::new();
        for batch in &self.batches {
            let (offset, next_offset) = (batch.parsed.base_offset, batch.parsed.next_offset());
            let segment = bases.partition_point(|base| *base <= offset) - 1;
            let before = places.last().filter(|before| before.segment == segment);
            let position = before.map_or(0, |before| before.position + before.size);
            places.push(Place { segment, position, size: batch.bytes.len() as u64, offset, next_offset });
        }
        places
    }

    /// Inverts a bit for the time of a test.
    fn flip(&self, segment: usize, position: u64, bit: u8) {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(self.file(segment)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, position).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << bit)], position).unwrap();
    }
}

fn verify(log: &Log, segment: usize) -> Findings {
    let view = log.view();
    view.verify(&view.segments()[segment], &log.end(), &AtOnce).unwrap()
}

/// As a partition does it: verifies when a read meets damage.
fn read(log: &Log, offset: i64, max_bytes: usize) -> Result<Option<Vec<u8>>, ReadError> {
    for _ in 0..2 {
        let view = log.view();
        match view.read(offset, &log.end(), max_bytes, true, IoMode::Blocking) {
            Err(error) if error.is_damage() => {
                let segment = view.segment_at(error.path().unwrap()).unwrap();
                let findings = view.verify(segment, &log.end(), &AtOnce).unwrap();
                assert!(!findings.new.is_empty(), "{offset}: {error}");
            }
            other => return other.map(|slice| slice.map(|slice| bytes_of(&slice))),
        }
    }
    panic!("{offset}: the same damage is met twice")
}

/// Every offset answers its batch, or, if that is the damaged one, an error that says where to go on. As long as nobody has
/// looked behind a damaged one, its own checksum may have to tell.
fn check_reads(log: &Log, batches: &[TestBatch], damaged: &[Place], what: &str) {
    for batch in batches {
        let hole =
            |offset: i64| damaged.iter().find(|place| (place.offset..place.next_offset).contains(&offset));
        for offset in batch.parsed.base_offset..batch.parsed.next_offset() {
            match (read(log, offset, 1), hole(offset)) {
                (Ok(Some(bytes)), None) => assert!(bytes == batch.bytes, "{what}: offset {offset}"),
                (Ok(Some(bytes)), Some(_)) if check_stored(&bytes).is_err() => {}
                (Err(ReadError::Quarantined { offset: from, next_offset: to, .. }), Some(hole)) => {
                    assert_eq!((from, to), (hole.offset, hole.next_offset), "{what}: offset {offset}");
                }
                (result, hole) => panic!("{what}: offset {offset}: {result:?}, {hole:?}"),
            }
        }
    }
    // What nobody has met yet is sent like all else.
    let is_known = !log.view().quarantined().is_empty();
    for batch in batches.iter().map(|batch| &batch.parsed).filter(|_| is_known) {
        let offset = batch.base_offset;
        if let Ok(Some(bytes)) = read(log, offset, usize::MAX) {
            let end =
                damaged.iter().map(|place| place.offset).find(|hole| offset < *hole).unwrap_or(i64::MAX);
            let readable = batches.iter().filter(|one| (offset..end).contains(&one.parsed.base_offset));
            let size: usize = readable.map(|one| one.bytes.len()).sum();
            assert!(bytes.len() <= size, "{what}: a read from {offset} crosses the damage");
        }
    }
}

fn check_times(log: &Log, batches: &[TestBatch], damaged: &[Place], what: &str) {
    let lost = |offset| damaged.iter().any(|place| place.offset <= offset && offset < place.next_offset);
    let expected = Expected::of(batches.to_vec());
    let left: Vec<TimestampOffset> =
        expected.records().into_iter().filter(|record| !lost(record.offset)).collect();
    for time in (990..3500).step_by(97) {
        let wanted = left.iter().find(|record| time <= record.timestamp).copied();
        assert_eq!(log.view().offset_for_timestamp(time, &log.end()).unwrap(), wanted, "{what}: {time}");
    }
    let max = left.iter().map(|record| record.timestamp).max();
    let wanted = left.iter().find(|record| Some(record.timestamp) == max).copied();
    assert_eq!(log.view().max_timestamp(&log.end()).unwrap(), wanted, "{what}");
}

fn range(log: &Log, place: Place) -> Quarantined {
    Quarantined {
        segment_base: log.view().segments()[place.segment].base_offset(),
        position: place.position,
        bytes: place.size,
        offset: place.offset,
        next_offset: place.next_offset,
    }
}

/// Leader epochs are not in any checksum.
fn is_checked(place: Place, position: u64) -> bool {
    !(12..16).contains(&(position - place.position))
}

#[test]
fn a_flipped_bit_anywhere_costs_its_batch_and_no_other() {
    let stored = Stored::new();
    for place in stored.places().into_iter().filter(|place| place.segment < 2) {
        let bytes = place.position..place.position + place.size;
        for position in bytes.filter(|position| is_checked(place, *position)) {
            let bit = u8::try_from(position % 8).unwrap();
            let what = format!("byte {} of {place:?}", position - place.position);
            stored.flip(place.segment, position, bit);
            let log = stored.open();
            let findings = verify(&log, place.segment);
            assert_eq!(findings.new, [range(&log, place)], "{what}: {findings:?}");
            assert_eq!(log.view().quarantined(), findings.new);
            stored.flip(place.segment, position, bit);
            let findings = verify(&log, place.segment);
            assert_eq!((findings.new.len(), findings.readable_again.len()), (0, 1), "{what}: restored");
            assert_eq!(log.view().quarantined(), []);
        }
    }
}

#[test]
fn all_around_a_damaged_header_is_readable_without_a_scrub() {
    let stored = Stored::new();
    for place in stored.places() {
        // Base offset, length, magic: what a walk from header to header looks at.
        for byte in [1, 6, 7, 8, 9, 10, 11, 16] {
            let what = format!("byte {byte} of {place:?}");
            stored.flip(place.segment, place.position + byte, 3);
            let log = stored.open();
            check_reads(&log, &stored.batches, &[place], &what);
            if log.view().quarantined().is_empty() {
                // A length that ends within the segment: index entries lead around it.
                assert!([9, 10, 11].contains(&byte), "{what}");
                verify(&log, place.segment);
                check_reads(&log, &stored.batches, &[place], &what);
            }
            assert_eq!(log.view().quarantined(), [range(&log, place)], "{what}");
            check_times(&log, &stored.batches, &[place], &what);
            stored.flip(place.segment, place.position + byte, 3);
        }
    }
}

#[test]
fn damaged_records_are_found_by_a_scrub_and_stay_known() {
    let stored = Stored::new();
    let places = stored.places();
    let damaged: Vec<Place> = [3, 4, 20, 41].iter().map(|at| places[*at]).collect();
    damaged.iter().for_each(|place| stored.flip(place.segment, place.position + 70, 0));
    let before: Vec<_> = (0..3).map(|segment| std::fs::read(stored.file(segment)).unwrap()).collect();
    // Two next to each other are one.
    let joined =
        Place { size: damaged[0].size + damaged[1].size, next_offset: damaged[1].next_offset, ..damaged[0] };
    let known = [joined, damaged[2], damaged[3]];
    let log = stored.open();
    (0..3).for_each(|segment| _ = verify(&log, segment));
    let ranges: Vec<_> = known.iter().map(|place| range(&log, *place)).collect();
    assert_eq!(log.view().quarantined(), ranges);
    check_reads(&log, &stored.batches, &known, "scrubbed");
    check_times(&log, &stored.batches, &known, "scrubbed");
    let checkpoints = [log.clean_checkpoint().unwrap(), log.checkpoint().unwrap()];
    for (checkpoint, is_clean) in checkpoints.into_iter().zip([true, false]) {
        assert_eq!(checkpoint.quarantined, ranges);
        let log = match is_clean {
            true => stored.fixture.open(Resume::Clean(checkpoint)),
            false => stored.fixture.open(dirty(Some(checkpoint))),
        };
        assert_eq!(log.view().quarantined(), ranges);
        check_reads(&log, &stored.batches, &known, "opened again");
        check_times(&log, &stored.batches, &known, "opened again");
    }
    let after: Vec<_> = (0..3).map(|segment| std::fs::read(stored.file(segment)).unwrap()).collect();
    assert!(before == after, "no segment file is changed");
}

#[test]
fn what_recovery_sets_aside_answers_an_error_after_every_start() {
    let stored = Stored::new();
    let place = stored.places()[45];
    stored.flip(place.segment, place.position + 70, 0);
    let (log, report) = stored.fixture.try_open(dirty(None)).unwrap();
    assert_eq!(report.set_aside.len(), 1);
    let hole = Quarantined { bytes: 61, ..range(&log, place) };
    assert_eq!(log.view().quarantined(), [hole]);
    let checkpoint = log.checkpoint().unwrap();
    let clean = log.clean_checkpoint().unwrap();
    for resume in [dirty(Some(checkpoint)), Resume::Clean(clean), dirty(None)] {
        let (log, report) = stored.fixture.try_open(resume).unwrap();
        assert_eq!(report.set_aside.len(), 0);
        assert_eq!(log.view().quarantined(), [hole]);
        check_reads(&log, &stored.batches, &[place], "set aside");
        check_times(&log, &stored.batches, &[place], "set aside");
        let findings = verify(&log, place.segment);
        assert_eq!((findings.new.len(), findings.readable_again.len()), (0, 0));
    }
}

#[test]
fn where_the_flush_policy_promises_nothing_readers_pass_over_the_hole() {
    let mut stored = Stored::new();
    stored.fixture.config.sync_before_roll = false;
    let place = stored.places()[45];
    stored.flip(place.segment, place.position + 70, 0);
    let (log, report) = stored.fixture.try_open(dirty(None)).unwrap();
    assert_eq!((report.set_aside.len(), log.view().quarantined().len()), (1, 0));
    let bytes = read(&log, place.offset, 1).unwrap().unwrap();
    assert_eq!(bytes, stored.batches[46].bytes, "the next one with records");
    // A stricter policy afterwards does not change what was promised before.
    stored.fixture.config.sync_before_roll = true;
    let (log, _) = stored.fixture.try_open(dirty(None)).unwrap();
    assert_eq!(log.view().quarantined(), []);
}

#[test]
fn a_file_that_was_cut_loses_its_end_and_nothing_else() {
    let stored = Stored::new();
    let places: Vec<Place> = stored.places().into_iter().filter(|place| place.segment == 1).collect();
    let (tenth, last) = (places[10], places[places.len() - 1]);
    let file = std::fs::OpenOptions::new().write(true).open(stored.file(1)).unwrap();
    for cut in [0, 1, 61, tenth.size - 1] {
        file.set_len(tenth.position + cut).unwrap();
        let log = stored.open();
        let lost = Place { next_offset: last.next_offset, ..tenth };
        check_reads(&log, &stored.batches, &[lost], &format!("cut {cut} bytes into a batch"));
        let size = last.position + last.size - tenth.position;
        assert_eq!(log.view().quarantined(), [range(&log, Place { size, ..lost })]);
    }
}

#[test]
fn lost_indexes_are_rebuilt_around_damage() {
    let stored = Stored::new();
    let place = stored.places()[30];
    stored.flip(place.segment, place.position + 16, 1);
    for path in stored.fixture.files(&["index", "timeindex", "seal"]) {
        std::fs::remove_file(path).unwrap();
    }
    let log = stored.open();
    check_reads(&log, &stored.batches, &[place], "without indexes");
    check_times(&log, &stored.batches, &[place], "without indexes");
    assert_eq!(verify(&log, place.segment).new.len(), 1, "what nobody was told of is told");
    assert_eq!(verify(&log, place.segment).new.len(), 0, "once");
    assert_eq!(log.view().quarantined(), [range(&log, place)]);
}

#[test]
fn deleting_the_records_takes_the_damage_with_them() {
    let stored = Stored::new();
    let place = *stored.places()[25..].iter().find(|place| 1 < place.next_offset - place.offset).unwrap();
    stored.flip(place.segment, place.position + 70, 1);
    let mut log = stored.open();
    verify(&log, place.segment);
    log.advance_start(place.offset + 1);
    assert_eq!(log.view().quarantined().len(), 1);
    log.advance_start(place.next_offset);
    assert_eq!(log.view().quarantined(), []);
    assert_eq!(log.checkpoint().unwrap().quarantined, []);
    assert!(read(&log, place.next_offset, 1).unwrap().is_some());
}

#[test]
fn a_log_grows_on_behind_damage_in_its_last_segment() {
    let stored = Stored::new();
    let place = *stored.places().iter().rfind(|place| place.segment == 2).unwrap();
    stored.flip(2, place.position + 16, 0);
    let mut log = stored.open();
    assert!(matches!(read(&log, place.offset, 1), Err(ReadError::Quarantined { .. })));
    let mut batches = stored.batches.clone();
    batches.extend(fill(&mut log, 40));
    assert!(3 < log.view().segments().len());
    check_reads(&log, &batches, &[place], "grown");
    check_times(&log, &batches, &[place], "grown");
}

/// Counts what it allows.
struct Counting {
    steps: Cell<Vec<usize>>,
    steps_max: usize,
}

impl Pace for Counting {
    fn step(&self, bytes: usize) -> bool {
        let mut steps = self.steps.take();
        let goes_on = steps.len() < self.steps_max;
        steps.push(bytes);
        self.steps.set(steps);
        goes_on
    }

    fn leaves_cache_as_it_was(&self) -> bool {
        true
    }
}

#[test]
fn a_verification_asks_before_every_step_and_can_be_stopped() {
    let mut config = small();
    config.segment_bytes = 16 << 20;
    let fixture = Fixture::new(config);
    let mut log = fixture.open(Resume::Fresh);
    let large =
        crate::storage::testing::batch(0, &[1], 3 << 20, sendlog_protocol::records::Compression::None);
    log.append(&large.to_append(), 1).unwrap();
    fill(&mut log, 100);
    log.roll(1).unwrap();
    let view = log.view();
    let verify = |steps_max| {
        let pace = Counting { steps: Cell::default(), steps_max };
        let result = view.verify(&view.segments()[0], &log.end(), &pace);
        (result, pace.steps.take())
    };
    let (findings, steps) = verify(usize::MAX);
    assert_eq!(findings.unwrap().batches, 101);
    assert!(steps.iter().all(|bytes| (1..=STEP_BYTES).contains(bytes)), "{steps:?}");
    let size = view.segments()[0].size();
    assert!(size <= steps.iter().map(|bytes| *bytes as u64).sum(), "every byte is asked for");
    let (result, steps) = verify(3);
    assert!(matches!(result, Err(ScrubError::Stopped)), "{result:?}");
    assert_eq!(steps.len(), 4);
}
