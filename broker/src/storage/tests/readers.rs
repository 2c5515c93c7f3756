//! Readers beside a writer: every answer is right, whatever is opened, closed, rolled and mapped meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::fixture::{Fixture, bytes_of, small};
use crate::storage::error::ReadError;
use crate::storage::files::IoMode;
use crate::storage::log::Resume;
use crate::storage::summary::LogConfig;
use crate::storage::testing::{TestBatch, batch};
use crate::storage::view::Bound;
use sendlog_protocol::records::Compression;

const BATCHES: i64 = 3000;

/// What the readers may look at.
struct Published {
    batches: Vec<TestBatch>,
    /// End after each batch.
    bounds: Mutex<Vec<Bound>>,
    done: AtomicBool,
    reads: AtomicUsize,
}

#[test]
fn readers_and_a_writer_share_a_log() {
    let config = LogConfig { segment_bytes: 20_000, index_interval_bytes: 64, ..small() };
    let fixture = Fixture::new(config);
    let mut log = fixture.open(Resume::Fresh);
    let batches: Vec<TestBatch> = (0..BATCHES)
        .map(|offset| batch(offset, &[offset], usize::try_from(offset % 200).unwrap(), Compression::None))
        .collect();
    let published = Arc::new(Published {
        batches,
        bounds: Mutex::default(),
        done: AtomicBool::new(false),
        reads: AtomicUsize::new(0),
    });
    std::thread::scope(|scope| {
        for seed in 1..4u64 {
            let (reader, published) = (log.reader(), Arc::clone(&published));
            scope.spawn(move || {
                let mut random = seed;
                while !published.done.load(Ordering::Relaxed) {
                    // xorshift: any spread will do.
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    check_one(&reader.view(), &published, random);
                }
            });
        }
        for next in &published.batches {
            let end = log.append(&next.to_append(), 0).unwrap();
            published.bounds.lock().unwrap().push(end);
            for segment in log.take_sealed() {
                // False if a reader has the map: then it is left as it is.
                let _ = segment.settle().unwrap();
            }
        }
        while published.reads.load(Ordering::Relaxed) < 2000 {
            std::thread::yield_now();
        }
        published.done.store(true, Ordering::Relaxed);
    });
    assert!(fixture.store.open_segments() <= 4);
}

fn check_one(view: &crate::storage::view::LogView, published: &Published, random: u64) {
    let (bound, count) = {
        let bounds = published.bounds.lock().unwrap();
        let Some(last) = bounds.last() else { return };
        (*last, bounds.len())
    };
    // The view may be older than the bound: then the newest segment is not in it.
    let at = usize::try_from(random).unwrap() % count;
    let wanted = &published.batches[at];
    let offset = wanted.parsed.base_offset;
    let read = |io| view.read(offset, &bound, 1, true, io);
    let slice = match read(IoMode::NoWait) {
        Err(ReadError::WouldBlock) => read(IoMode::Blocking),
        other => other,
    };
    match slice.unwrap() {
        Some(slice) => assert_eq!(bytes_of(&slice), wanted.bytes, "offset {offset}"),
        None => assert!(
            view.segments().last().is_none_or(|last| last.base_offset() < bound.segment_base),
            "offset {offset} was not found"
        ),
    }
    published.reads.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn the_largest_timestamp_is_one_of_those_that_can_be_read() {
    let fixture = Fixture::new(small());
    let mut log = fixture.open(Resume::Fresh);
    for (base, times) in [(0, &[900, 5, 7][..]), (3, &[6, 2])] {
        log.append(&batch(base, times, 10, Compression::None).to_append(), 0).unwrap();
    }
    for (start, wanted) in [(0, 0), (1, 2), (2, 2), (3, 3), (4, 4)] {
        log.advance_start(start);
        let found = log.view().max_timestamp(&log.end()).unwrap();
        assert_eq!(found.map(|found| found.offset), Some(wanted), "from {start} on");
    }
}
