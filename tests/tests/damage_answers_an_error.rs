//! Stored records that have gone bad answer CORRUPT_MESSAGE, exactly these and for ever; everything around them is served, and
//! no segment file is changed while the broker runs.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files, page_cache};
use tempfile::TempDir;

const TOPIC: &str = "t";
const RECORDS: i64 = 200;
const SCRUB_OFF: &str = "sendlog.scrub.bytes.per.second=0";
const SCRUB_ALWAYS: &str = "sendlog.scrub.interval.ms=20";

/// A topic of some segments, one record a batch, in a folder of its own.
struct Stored {
    folder: TempDir,
    broker: Broker,
    log: Vec<Bytes>,
}

impl Stored {
    fn new(settings: &[&str], topic: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let settings = settings.iter().chain(&["sendlog.journal.bytes=0"]);
        let args = settings.flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]).collect();
        let data_dir = Some(folder.path().join("data"));
        let broker = Broker::start(BrokerOptions { data_dir, args, ..BrokerOptions::default() });
        let mut kafka = Kafka::open(broker.address());
        let all: Vec<_> = [("segment.bytes", "16384"), ("retention.ms", "-1")]
            .into_iter()
            .chain(topic.iter().copied())
            .collect();
        kafka.create_topic(TOPIC, 1, &all);
        for index in 0..RECORDS {
            let value = batches::padded(&format!("record {index}"), 300);
            kafka.produce(TOPIC, &batches::at(batches::EPOCH_MS + index * 1_000, &[value]));
        }
        let log = kafka.read_all(TOPIC, 0);
        Self { folder, broker, log }
    }

    fn segments(&self) -> Vec<PathBuf> {
        data_files::segments(&self.folder.path().join("data"), "t-0")
    }

    /// The file and position of a batch.
    fn place(&self, offset: i64) -> (PathBuf, u64) {
        let segments = self.segments();
        let at = segments.partition_point(|path| base(path) <= offset) - 1;
        let before = self.log.iter().filter(|batch| {
            let batch = batches::header(batch).base_offset;
            base(&segments[at]) <= batch && batch < offset
        });
        let position = before.map(|batch| batch.len() as u64).sum();
        (segments[at].clone(), position)
    }

    fn flip(&self, offset: i64, byte: u64) {
        let (path, position) = self.place(offset);
        data_files::flip(&path, position + byte);
    }

    fn contents(&self) -> Vec<Vec<u8>> {
        self.segments().iter().map(|path| fs::read(path).expect("a segment is readable")).collect()
    }

    fn kafka(&self) -> Kafka {
        Kafka::open(self.broker.address())
    }

    /// Every offset answers its batch or the error; and a read from the start ends before the first damage.
    fn check(&self, damaged: &[i64], what: &str) {
        let mut kafka = self.kafka();
        let start = kafka.offset(TOPIC, -2);
        for offset in start..RECORDS {
            let fetched = kafka.fetch(TOPIC, 0, offset).expect("a fetch is answered");
            let error = ErrorCode::from_code(fetched.error_code).expect("a known error");
            if damaged.contains(&offset) {
                assert_eq!(error, ErrorCode::CorruptMessage, "{what}: offset {offset}");
                continue;
            }
            assert_eq!(error, ErrorCode::None, "{what}: offset {offset}");
            let at = usize::try_from(offset).expect("not negative");
            assert_eq!(fetched.batches[0], self.log[at], "{what}: offset {offset}");
            let end = damaged.iter().copied().find(|hole| offset < *hole).unwrap_or(RECORDS);
            let last = batches::header(fetched.batches.last().expect("a batch")).next_offset();
            assert!(last <= end, "{what}: a fetch from {offset} goes on to {last}, past {end}");
            assert_eq!(fetched.batches, self.log[at..usize::try_from(last).expect("not negative")], "{what}");
        }
        // Searches by time pass over what is gone.
        for offset in damaged {
            let next = (*offset..).find(|offset| !damaged.contains(offset)).expect("there is one");
            assert_eq!(kafka.offset(TOPIC, batches::EPOCH_MS + offset * 1_000), next, "{what}: by time");
        }
        assert_eq!(kafka.offset(TOPIC, -1), RECORDS, "{what}");
    }
}

fn base(path: &Path) -> i64 {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.and_then(|stem| stem.parse().ok()).expect("a segment is named after its base offset")
}

/// As often as the broker may be stopped: killed, stopped, and without what it knew.
fn through_restarts(stored: &mut Stored, damaged: &[i64]) {
    stored.broker.terminate();
    stored.broker.restart();
    stored.check(damaged, "after a stop");
    stored.broker.kill();
    stored.broker.restart();
    stored.check(damaged, "after a kill");
}

#[test]
fn the_scrub_finds_a_flipped_byte_in_a_closed_segment() {
    let mut stored = Stored::new(&[SCRUB_ALWAYS], &[]);
    assert!(4 < stored.segments().len());
    let damaged = [20, 21, 60, 110];
    damaged.iter().for_each(|offset| stored.flip(*offset, 100));
    let changed = stored.contents();
    // Found in the order of the segments.
    let line = stored.broker.wait_for_log("offsets 110 to 110 answer CORRUPT_MESSAGE");
    for word in ["t-0/", "position", "seek to offset 111", "DeleteRecords"] {
        assert!(line.contains(word), "{word} is missing in: {line}");
    }
    stored.broker.wait_for_log("offsets 20 to 21 answer CORRUPT_MESSAGE");
    stored.check(&damaged, "after the scrub");
    let status = stored.kafka().broker_config("sendlog.scrub.status");
    assert!(status.contains("damaged.ranges=3"), "{status}");
    through_restarts(&mut stored, &damaged);
    assert!(stored.contents() == changed, "segment files are as they were");
    stored.kafka().produce(TOPIC, &batches::of(&["the log goes on"]));
}

#[test]
fn a_damaged_header_is_found_by_whoever_comes_across_it() {
    let mut stored = Stored::new(&[SCRUB_OFF], &[]);
    let last_segment = stored.segments().iter().map(|path| base(path)).max().expect("a segment");
    let damaged = [7, 80, last_segment + 1];
    for (offset, byte) in damaged.iter().zip([16, 3, 16]) {
        stored.flip(*offset, byte);
    }
    let changed = stored.contents();
    // From behind the damage, before anybody has looked at it.
    let mut kafka = stored.kafka();
    let behind = kafka.fetch_one(TOPIC, 0, 8).expect("a fetch is answered");
    assert_eq!((behind.error_code, &behind.batches[0]), (0, &stored.log[8]));
    for offset in damaged {
        let met = kafka.fetch_one(TOPIC, 0, offset).expect("a fetch is answered");
        assert_eq!(met.error_code, ErrorCode::CorruptMessage.code(), "offset {offset}");
    }
    stored.check(&damaged, "met by readers");
    assert!(stored.contents() == changed, "segment files are as they were");
    through_restarts(&mut stored, &damaged);
    assert!(stored.contents() == changed, "segment files are as they were");
}

#[test]
fn what_recovery_sets_aside_answers_an_error() {
    let mut stored = Stored::new(&[SCRUB_OFF], &[]);
    stored.broker.kill();
    let last_segment = stored.segments().iter().map(|path| base(path)).max().expect("a segment");
    let damaged = [30, last_segment + 2];
    damaged.iter().for_each(|offset| stored.flip(*offset, 100));
    fs::remove_file(stored.folder.path().join("data/checkpoint.state"))
        .or_else(ignore_missing)
        .expect("it can go");
    stored.broker.restart();
    let line = stored.broker.wait_for_log("offsets 30 to 30 answer CORRUPT_MESSAGE");
    assert!(line.contains(".log.damaged-"), "where the bytes are: {line}");
    stored.check(&damaged, "after the recovery");
    through_restarts(&mut stored, &damaged);
    // Nothing is left of what the broker knew, but the segments.
    stored.broker.kill();
    fs::remove_file(stored.folder.path().join("data/checkpoint.state")).expect("a checkpoint");
    stored.broker.restart();
    stored.check(&damaged, "after a full scan");
}

#[test]
fn where_acknowledgements_promise_nothing_readers_pass_over_damage() {
    let mut stored = Stored::new(&[SCRUB_OFF], &[("flush.messages", "1000000")]);
    stored.broker.kill();
    stored.flip(30, 100);
    fs::remove_file(stored.folder.path().join("data/checkpoint.state"))
        .or_else(ignore_missing)
        .expect("it can go");
    stored.broker.restart();
    let log = stored.kafka().read_all(TOPIC, 0);
    assert_eq!(batches::assert_dense(&log, 0), RECORDS);
    assert_eq!(batches::header(&log[30]).record_count, 0);
}

#[test]
fn deleting_records_past_the_damage_ends_it() {
    let mut stored = Stored::new(&[SCRUB_ALWAYS], &[]);
    stored.flip(20, 100);
    stored.broker.wait_for_log("offsets 20 to 20 answer CORRUPT_MESSAGE");
    let mut kafka = stored.kafka();
    assert_eq!(kafka.delete_records(TOPIC, 21), 21);
    let status = kafka.broker_config("sendlog.scrub.status");
    assert!(status.contains("damaged.ranges=0"), "{status}");
    assert_eq!(kafka.read_all(TOPIC, 0), stored.log[21..], "from its start to its end");
    stored.broker.terminate();
    stored.broker.restart();
    assert_eq!(stored.kafka().read_all(TOPIC, 0), stored.log[21..], "and after a restart");
}

/// There are clients that ask again without a pause: each answer takes them as long as they say they can wait.
#[test]
fn an_answer_at_damage_takes_its_time() {
    let stored = Stored::new(&[SCRUB_ALWAYS], &[]);
    stored.flip(20, 100);
    stored.broker.wait_for_log("offsets 20 to 20 answer CORRUPT_MESSAGE");
    let wait = Duration::from_millis(150);
    let asked = Instant::now();
    let fetched = stored.kafka().fetch_waiting(TOPIC, 0, 20, wait).expect("a fetch is answered");
    assert_eq!(fetched.error_code, ErrorCode::CorruptMessage.code());
    assert!(wait <= asked.elapsed(), "{:?}", asked.elapsed());
}

/// Repairs come from backups: a range that is right again is served again.
#[test]
fn a_restored_file_is_served_again() {
    let stored = Stored::new(&[SCRUB_ALWAYS], &[]);
    stored.flip(20, 100);
    stored.broker.wait_for_log("offsets 20 to 20 answer CORRUPT_MESSAGE");
    stored.flip(20, 100);
    stored.broker.wait_for_log("records are readable again");
    stored.check(&[], "restored");
}

/// A segment that is gone is a gap: reported, passed over, and nothing takes its offsets.
#[test]
fn a_missing_segment_is_passed_over() {
    let mut stored = Stored::new(&[SCRUB_OFF], &[]);
    let segments = stored.segments();
    let (lost, next) = (&segments[2], base(&segments[3]));
    for is_clean in [true, false] {
        match is_clean {
            true => _ = stored.broker.terminate(),
            false => stored.broker.kill(),
        }
        if is_clean {
            fs::remove_file(lost).expect("it is there");
        }
        stored.broker.restart();
        // The first start only finds out by looking for the file, the second one by what the segment before says of itself.
        stored.broker.wait_for_log(if is_clean {
            "a segment file is gone"
        } else {
            "offsets are missing behind this segment"
        });
        let mut kafka = stored.kafka();
        for offset in [base(lost) - 1, base(lost), base(lost) + 1, next - 1, next] {
            let fetched = kafka.fetch(TOPIC, 0, offset).expect("a fetch is answered");
            let expected = if offset < base(lost) { offset } else { next };
            assert_eq!(fetched.error_code, 0, "offset {offset}");
            assert_eq!(batches::header(&fetched.batches[0]).base_offset, expected, "offset {offset}");
        }
        let time = |offset: i64| batches::EPOCH_MS + offset * 1_000;
        assert_eq!(kafka.offset(TOPIC, time(base(lost) + 3)), next, "by time");
        let rest = [&stored.log[..index(base(lost))], &stored.log[index(next)..]].concat();
        assert_eq!(kafka.read_all(TOPIC, 0), rest);
        assert_eq!(kafka.offset(TOPIC, -1), RECORDS, "nothing is renumbered");
    }
}

#[test]
fn the_missing_end_of_a_segment_takes_nothing_else_with_it() {
    let mut stored = Stored::new(&[SCRUB_OFF], &[]);
    let segments = stored.segments();
    let (cut, next) = (segments[2].clone(), base(&segments[3]));
    let first_lost = base(&cut) + 5;
    let (_, position) = stored.place(first_lost);
    stored.broker.terminate();
    data_files::truncate(&cut, position + 40);
    let changed = stored.contents();
    stored.broker.restart();
    stored.broker.wait_for_log("answer CORRUPT_MESSAGE");
    stored.check(&(first_lost..next).collect::<Vec<_>>(), "cut");
    assert!(stored.contents() == changed, "segment files are as they were");
}

/// The scrub reads everything, and nobody else has more or less in memory for it.
#[test]
fn the_scrub_leaves_the_page_cache_as_it_was() {
    let mut stored = Stored::new(&[SCRUB_ALWAYS], &[]);
    stored.broker.terminate();
    let segments = stored.segments();
    let (cold, warm) = (&segments[1], &segments[2]);
    if !page_cache::evict(cold) {
        return;
    }
    fs::read(warm).expect("a segment is readable");
    stored.broker.restart();
    stored.broker.wait_for_log("the scrub has ended a pass");
    assert_eq!(page_cache::resident_bytes(cold), Some(0), "what was not in memory");
    let pages = data_files::length(warm).next_multiple_of(4096);
    assert_eq!(page_cache::resident_bytes(warm), Some(pages), "what was");
}

/// The bytes of a hole are overwritten as a disk does it: all of a block, in the middle of batches.
#[test]
fn a_block_of_zeros_costs_the_batches_that_it_touches() {
    let mut stored = Stored::new(&[SCRUB_ALWAYS], &[]);
    let (path, position) = stored.place(25);
    let file = fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    file.write_all_at(&[0; 1000], position + 30).expect("it can be written to");
    stored.broker.wait_for_log("answer CORRUPT_MESSAGE");
    let size = stored.log[25].len() as u64;
    let touched = i64::try_from((30 + 1000_u64).div_ceil(size)).expect("a few");
    let damaged: Vec<i64> = (25..25 + touched).collect();
    stored.check(&damaged, "zeros");
    through_restarts(&mut stored, &damaged);
}

fn index(offset: i64) -> usize {
    usize::try_from(offset).expect("not negative")
}

fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
