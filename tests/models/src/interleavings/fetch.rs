//! A long-polling fetch around the broker's offsets and waiters. [`read_until`] is the loop of `api/fetch.rs` without
//! records, limits and time-outs: a wake-up that is lost is a fetch that sleeps for ever.

use std::sync::Arc;

use shuttle::{future, thread};

use crate::commit::{Partition, bound, partitions};
use crate::ghost;
use crate::planted::{Planted, is_planted};
use crate::waiters::Waiter;

const FETCHES: usize = 2;
const RECORDS: usize = 2;

struct Parked<'a> {
    partitions: &'a [Partition],
    waiter: &'a Waiter,
}

impl<'a> Parked<'a> {
    fn park(partitions: &'a [Partition], waiter: &'a Waiter) -> Self {
        for partition in partitions {
            partition.waiters.park(waiter);
        }
        Self { partitions, waiter }
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for partition in self.partitions {
            partition.waiters.leave(self.waiter);
        }
    }
}

fn look(partitions: &[Partition]) -> usize {
    let readable = |partition: &Partition| usize::try_from(partition.offsets.view().high_watermark);
    partitions.iter().map(|partition| readable(partition).expect("offsets are not negative")).sum()
}

/// Fetches until there are so many records in all the partitions together.
pub(crate) fn read_until(partitions: &[Partition], records: usize) {
    let waiter = Waiter::default();
    loop {
        let early = is_planted(Planted::LookBeforePark).then(|| look(partitions));
        let _parked = Parked::park(partitions, &waiter);
        let found = early.unwrap_or_else(|| look(partitions));
        if records <= found {
            return;
        }
        ghost::count_wait();
        future::block_on(waiter.notified());
    }
}

/// Two partitions grow at a time, one of them by the commit path and one by a relaxed topic's.
pub(crate) fn a_parked_fetch_is_woken() {
    let both = partitions(2);
    for partition in both.iter() {
        partition.offsets.advance_log_end(bound(RECORDS).offset);
    }
    let fetches: Vec<_> = (1..=FETCHES)
        .map(|fetch| {
            let both = Arc::clone(&both);
            thread::spawn(move || read_until(&both, fetch * RECORDS))
        })
        .collect();
    let writers: Vec<_> = (0..2)
        .map(|index| {
            let both = Arc::clone(&both);
            thread::spawn(move || {
                for end in 1..=RECORDS {
                    publish(&both[index], end, index == 0);
                }
            })
        })
        .collect();
    for thread in writers.into_iter().chain(fetches) {
        thread.join().expect("a thread of the model panicked");
    }
    assert!(both.iter().all(|partition| partition.waiters.is_empty()), "a fetch that left is still parked");
}

fn publish(partition: &Partition, end: usize, is_durable: bool) {
    if is_planted(Planted::WakeBeforeMove) {
        partition.waiters.wake_all();
    }
    let moves = match is_durable {
        true => partition.offsets.advance_durable(bound(end)),
        false => partition.offsets.advance_undurable(bound(end)),
    };
    if moves && !is_planted(Planted::WakeBeforeMove) {
        partition.waiters.wake_all();
    }
}
