//! Every bit of a log flipped, the log cut at every byte, its files swapped and lost: all other batches stay readable or the
//! start is refused with a way out, and no byte is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sendlog_protocol::records::{BatchHeader, Compression};

use super::fixture::{Fixture, bytes_of, dirty};
use crate::storage::checkpoint::PartitionCheckpoint;
use crate::storage::error::{ReadError, StorageError};
use crate::storage::files::IoMode;
use crate::storage::log::{Log, Resume};
use crate::storage::scrub::AtOnce;
use crate::storage::summary::LogConfig;
use crate::storage::testing::{TestBatch, batch};

/// Where the leader epoch is in a batch: neither checksum nor length know of it.
const EPOCH: std::ops::Range<usize> = 12..16;

/// Three batches, and what was known of them at each moment.
struct Small {
    fixture: Fixture,
    batches: Vec<TestBatch>,
    /// After none, the first, both and all batches.
    checkpoints: Vec<PartitionCheckpoint>,
    clean: PartitionCheckpoint,
}

impl Small {
    /// `roll_after` starts a new segment behind that many batches.
    fn new(count: usize, roll_after: usize) -> Self {
        let config = LogConfig { index_interval_bytes: 50, ..LogConfig::default() };
        let fixture = Fixture::new(config);
        let mut log = fixture.open(Resume::Fresh);
        let mut checkpoints = vec![log.checkpoint().unwrap()];
        let mut batches = Vec::new();
        for index in 0..count {
            if index == roll_after {
                log.roll(1).unwrap();
            }
            let base = log.end_offset();
            let next = batch(base, &[1000 + base, 1001 + base], 4, Compression::None);
            log.append(&next.to_append(), 1).unwrap();
            batches.push(next);
            checkpoints.push(log.checkpoint().unwrap());
        }
        for segment in log.take_sealed() {
            assert!(segment.settle().unwrap());
        }
        let clean = log.clean_checkpoint().unwrap();
        Self { fixture, batches, checkpoints, clean }
    }

    /// Every way to open the log, and how many batches the start believes without a look.
    fn resumes(&self) -> Vec<(Resume, usize)> {
        let checkpointed = self.checkpoints.iter().enumerate().skip(1);
        let mut resumes: Vec<_> =
            checkpointed.map(|(count, checkpoint)| (dirty(Some(checkpoint.clone())), count)).collect();
        resumes.push((dirty(None), 0));
        resumes.push((Resume::Clean(self.clean.clone()), self.batches.len()));
        resumes
    }

    /// The same files in another folder, in a log of its own.
    fn copy(&self) -> Fixture {
        self.fixture.copy()
    }
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().into(), std::fs::read(path).unwrap())).collect()
}

fn logs(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<&PathBuf, &Vec<u8>> {
    files.iter().filter(|(name, _)| name.extension().is_some_and(|extension| extension == "log")).collect()
}

/// The batch at an offset; none if the log says that it is damaged, or that there is another one next.
fn read(log: &Log, offset: i64) -> Option<Vec<u8>> {
    let (view, end) = (log.view(), log.end());
    let read = || view.read(offset, &end, 1, true, IoMode::Blocking);
    // A partition that meets damage has the segment verified, and tries again.
    let verified = read().or_else(|error| {
        let segment = error.path().and_then(|path| view.segment_at(path));
        segment.map_or(Err(error), |segment| {
            let _ = view.verify(segment, &end, &AtOnce);
            read()
        })
    });
    match verified {
        Ok(Some(slice)) => {
            let bytes = bytes_of(&slice);
            let header = BatchHeader::read(&bytes).ok()?;
            (header.base_offset == offset && 0 < header.record_count).then_some(bytes)
        }
        Err(ReadError::Io { path, source }) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            panic!("{}: {source}", path.display())
        }
        Ok(None) | Err(_) => None,
    }
}

/// A refusal has to name the file and to say what can be done.
fn check_refusal(error: &StorageError, dir: &Path) {
    let message = error.to_string();
    assert!(message.contains(dir.to_str().unwrap()), "it names no file: {message}");
    let ways = ["restore", "move", "backup", "restart"];
    assert!(ways.iter().any(|way| message.contains(way)), "it names no way out: {message}");
}

/// Opens a damaged log and looks whether all batches but the damaged ones are there, and every byte of its files is.
fn check(fixture: &Fixture, resume: Resume, batches: &[TestBatch], is_damaged: impl Fn(usize) -> bool) {
    check_unread(fixture, resume, batches, is_damaged, |_| false);
}

/// A batch that `is_unread` comes behind damage that no start looks at: reads may stop before it, until a scrub has been there.
fn check_unread(
    fixture: &Fixture,
    resume: Resume,
    batches: &[TestBatch],
    is_damaged: impl Fn(usize) -> bool,
    is_unread: impl Fn(usize) -> bool,
) {
    let dir = fixture.partition_dir();
    let before = contents(&dir);
    let opened = fixture.try_open(resume);
    let after = contents(&dir);
    match opened {
        Err(error) => {
            check_refusal(&error, &dir);
            // It may have set damage aside before it came to what it does not understand.
            logs(&before).into_iter().for_each(|(name, bytes)| check_all_kept(bytes, name, &after));
        }
        Ok((log, report)) => {
            for (index, batch) in batches.iter().enumerate().filter(|(index, _)| !is_damaged(*index)) {
                let found = read(&log, batch.parsed.base_offset);
                if is_unread(index) && found.as_deref() != Some(&batch.bytes[..]) {
                    continue;
                }
                assert_eq!(found.as_deref(), Some(&batch.bytes[..]), "batch {index}: {report:?}");
            }
            for (name, bytes) in logs(&before) {
                let is_named = report
                    .cuts
                    .iter()
                    .map(|cut| &cut.path)
                    .chain(report.set_aside.iter().map(|hole| &hole.path));
                let is_named = is_named.into_iter().any(|path| path.ends_with(name)) || bytes.is_empty();
                assert!(
                    is_named || after.get(name) == Some(bytes),
                    "{} was changed: {report:?}",
                    name.display()
                );
                check_all_kept(bytes, name, &after);
            }
            assert!(log.end_offset() <= batches.last().unwrap().parsed.next_offset());
        }
    }
}

/// Every stretch of the file as it was is in the file as it is, or in one of those beside it.
fn check_all_kept(was: &[u8], name: &Path, after: &BTreeMap<PathBuf, Vec<u8>>) {
    let stem = name.to_str().unwrap();
    let is: Vec<&[u8]> = after
        .iter()
        .filter(|(name, _)| name.to_str().unwrap().starts_with(stem))
        .map(|(_, bytes)| &bytes[..])
        .collect();
    let mut rest = was;
    while !rest.is_empty() {
        let longest = is.iter().map(|bytes| longest_prefix_in(rest, bytes)).max().unwrap_or(0);
        // A stretch ends where damage began or ended; what is left by chance is shorter.
        assert!(rest.len().min(16) <= longest, "bytes of {stem} from {} on are gone", was.len() - rest.len());
        rest = &rest[longest..];
    }
}

fn longest_prefix_in(wanted: &[u8], bytes: &[u8]) -> usize {
    let at = |start: usize| bytes[start..].iter().zip(wanted).take_while(|(is, was)| is == was).count();
    (0..bytes.len()).map(at).max().unwrap_or(0)
}

#[test]
fn every_bit_of_a_log_may_flip() {
    let small = Small::new(3, usize::MAX);
    let path = small.fixture.files(&["log"]).remove(0);
    let good = std::fs::read(&path).unwrap();
    let size = small.batches[0].bytes.len();
    assert_eq!(good.len(), 3 * size);
    for bit in 0..good.len() * 8 {
        let (byte, batch) = (bit / 8, bit / 8 / size);
        let mut bad = good.clone();
        bad[byte] ^= 1 << (bit % 8);
        for (resume, believed) in small.resumes() {
            let copy = small.copy();
            let file = copy.partition_dir().join(path.file_name().unwrap());
            std::fs::write(&file, &bad).unwrap();
            let is_unread = |index| batch < believed && batch < index;
            check_unread(&copy, resume, &small.batches, |index| index == batch, is_unread);
            if batch < believed || EPOCH.contains(&(byte % size)) {
                assert_eq!(
                    std::fs::read(&file).unwrap(),
                    bad,
                    "byte {byte}: what is below the checkpoint stays"
                );
            }
        }
    }
}

#[test]
fn a_log_may_be_cut_at_every_byte() {
    for roll_after in [usize::MAX, 3] {
        let small = Small::new(6, roll_after);
        let path = small.fixture.files(&["log"]).remove(0);
        let good = std::fs::read(&path).unwrap();
        let size = small.batches[0].bytes.len();
        for len in 0..good.len() {
            for (resume, _) in small.resumes() {
                let copy = small.copy();
                let file = copy.partition_dir().join(path.file_name().unwrap());
                std::fs::write(&file, &good[..len]).unwrap();
                let in_file = good.len() / size;
                check(&copy, resume, &small.batches, |index| index < in_file && len < (index + 1) * size);
            }
        }
    }
}

/// One of two segments is gone, empty, or the other's.
#[test]
fn segments_may_be_lost_or_swapped() {
    let small = Small::new(6, 3);
    let paths = small.fixture.files(&["log"]);
    let contents: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let first = 0..3;
    for (resume, _) in small.resumes() {
        for lost in 0..2 {
            for content in [None, Some(&[][..]), Some(&contents[1 - lost][..])] {
                let copy = small.copy();
                let file = copy.partition_dir().join(paths[lost].file_name().unwrap());
                match content {
                    Some(content) => std::fs::write(&file, content).unwrap(),
                    None => std::fs::remove_file(&file).unwrap(),
                }
                check(&copy, resume.clone(), &small.batches, |index| first.contains(&index) == (lost == 0));
            }
        }
        let copy = small.copy();
        for (path, content) in paths.iter().zip(contents.iter().rev()) {
            std::fs::write(copy.partition_dir().join(path.file_name().unwrap()), content).unwrap();
        }
        check(&copy, resume, &small.batches, |_| true);
    }
}

/// A log under the checkpoint of another one.
#[test]
fn a_foreign_checkpoint_costs_no_batch() {
    let (short, long) = (Small::new(3, 1), Small::new(7, 4));
    for (log, other) in [(&short, &long), (&long, &short)] {
        for (resume, _) in other.resumes() {
            // A clean end is believed; that its checkpoint is this directory's is for others to see to.
            if !matches!(resume, Resume::Clean(_)) {
                check(&log.copy(), resume, &log.batches, |_| false);
            }
        }
    }
}

/// No flip or cut of the metadata file leads to another topic's data being taken, or to data being touched.
#[test]
fn every_byte_of_the_metadata_file_may_be_wrong() {
    let small = Small::new(3, 1);
    let name = "partition.metadata";
    let good = std::fs::read(small.fixture.partition_dir().join(name)).unwrap();
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        for bad in [&flipped[..], &good[..at]] {
            for (resume, _) in small.resumes() {
                let copy = small.copy();
                std::fs::write(copy.partition_dir().join(name), bad).unwrap();
                let before = contents(&copy.partition_dir());
                check(&copy, resume, &small.batches, |_| false);
                assert_eq!(logs(&contents(&copy.partition_dir())), logs(&before));
            }
        }
    }
}
