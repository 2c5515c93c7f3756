//! Segments whose newest batches are durable in the journal only: they are synced in the background, in small steps.
//!
//! Owns which files wait, since when, and which is next. A file is synced once it has gathered `STEP_BYTES`, or
//! `AGE_MAX` after its first waiting batch, or sooner if the journal runs short of room; whoever does it pauses in
//! between, so that appends do not feel it. What was synced frees its part of the journal.
//!
//! A file is never synced by two threads at a time: on Linux only one of them would be told of a failed write-back, and the
//! other would take its data for durable.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::storage::dirty::{Dirty, DirtyFile, Synced};
use crate::storage::error::StorageError;
use crate::storage::journal::ring::Ring;

/// A file with so much to sync is due.
const STEP_BYTES: u64 = 4 << 20;

/// A file is due this long after the first batch that waits.
const AGE_MAX: Duration = Duration::from_millis(500);

/// The files that wait, by log.
#[derive(Debug)]
pub struct Destage {
    logs_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<usize, Waiting>,
    syncing: Option<Syncing>,
    /// Taken over by a round, which syncs them: they are not done before it is.
    absorbed: Vec<Syncing>,
    /// A sync failed: nothing may be believed any more.
    has_failed: bool,
    /// So many wait until all is synced: then everything is due.
    drainers: usize,
    is_closed: bool,
    /// There was a round.
    is_used: bool,
    /// The background thread sleeps until it is told.
    is_idle: bool,
}

#[derive(Debug)]
struct Waiting {
    files: Vec<DirtyFile>,
    synced: Arc<Synced>,
    end_offset: i64,
    /// First filling of the journal that holds its batches.
    filling: u64,
    since: Instant,
    bytes: u64,
}

#[derive(Debug)]
struct Syncing {
    log: usize,
    filling: u64,
    synced: Arc<Synced>,
    end_offset: i64,
}

/// What the background thread has to do next.
#[derive(Debug)]
pub enum Next {
    /// Sync this, and say how it went with [`Destage::finish`].
    Sync(Work),
    /// Nothing is due; look again after so long, or when woken.
    Wait,
    /// There will be no more.
    End,
}

/// Files of one log to sync.
#[derive(Debug)]
pub struct Work {
    waiting: Waiting,
}

impl Work {
    /// Syncs the files. Waits for the disk.
    ///
    /// # Errors
    /// [`StorageError::Io`]: the broker has to stop.
    pub fn sync(&self) -> Result<(), StorageError> {
        self.waiting.files.iter().try_for_each(DirtyFile::sync)
    }
}

impl Destage {
    /// For at most so many logs at a time.
    #[must_use]
    pub fn new(logs_max: usize) -> Self {
        Self { logs_max, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes over what a round has put into the journal, in the filling that it went to.
    pub fn add(&self, dirty: Dirty, bytes: u64, filling: u64) {
        let mut state = self.lock();
        let log = key(&dirty.synced);
        let waiting = state.waiting.entry(log).or_insert_with(|| Waiting {
            files: Vec::new(),
            synced: Arc::clone(&dirty.synced),
            end_offset: dirty.end.offset,
            filling,
            since: Instant::now(),
            bytes: 0,
        });
        for file in dirty.files {
            if waiting.files.iter().all(|known| known.path != file.path) {
                waiting.files.push(file);
            }
        }
        waiting.end_offset = dirty.end.offset;
        let is_due = waiting.bytes < STEP_BYTES && STEP_BYTES <= waiting.bytes + bytes;
        waiting.bytes += bytes;
        if state.is_idle || is_due {
            state.is_idle = false;
            self.changed.notify_all();
        }
    }

    /// The journal runs short of room: the background thread should look.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// A sync or write has failed: nothing is believed any more, and nobody is kept waiting.
    pub fn fail(&self) {
        self.lock().has_failed = true;
        self.changed.notify_all();
    }

    /// Whether so many more logs may wait.
    pub fn has_place(&self, logs: usize) -> bool {
        self.lock().waiting.len() + logs <= self.logs_max
    }

    /// Before a log is synced by somebody else: takes over what waits of it, once nobody else syncs it any more. The files
    /// that come back are to be synced along with the others, and [`Destage::settle_absorbed`] called then.
    ///
    /// # Errors
    /// [`StorageError::Poisoned`] if a sync in the background has failed.
    pub fn absorb(&self, dirty: &Dirty) -> Result<Vec<DirtyFile>, StorageError> {
        let log = key(&dirty.synced);
        let mut state = self.lock();
        while state.syncing.as_ref().is_some_and(|syncing| syncing.log == log) && !state.has_failed {
            state = self.wait(state);
        }
        if state.has_failed {
            return Err(StorageError::Poisoned { dir: "of a segment whose sync failed".into() });
        }
        let Some(waiting) = state.waiting.remove(&log) else { return Ok(Vec::new()) };
        let Waiting { files, synced, end_offset, filling, .. } = waiting;
        state.absorbed.push(Syncing { log, filling, synced, end_offset });
        Ok(files)
    }

    /// What was taken over is synced: also what the same round has put into the journal behind what it synced itself.
    pub fn settle_absorbed(&self) {
        for absorbed in self.lock().absorbed.drain(..) {
            absorbed.synced.advance(absorbed.end_offset);
        }
        // Somebody may wait for just these.
        self.changed.notify_all();
    }

    /// Releases the parts of the journal that nothing waits for any more.
    pub fn release(&self, ring: &Ring) {
        let under_way = ring.filling();
        ring.release(self.releasable(under_way));
    }

    /// Nothing of fillings before this one is needed. `under_way` was the present one before this was asked: what rounds put into
    /// it, and into later ones, meanwhile is not seen here.
    fn releasable(&self, under_way: u64) -> u64 {
        self.oldest_filling().map_or(under_way, |oldest| oldest.min(under_way))
    }

    fn oldest_filling(&self) -> Option<u64> {
        let state = self.lock();
        let fillings = state.waiting.values().map(|waiting| waiting.filling);
        let syncing = state.syncing.iter().chain(&state.absorbed);
        fillings.chain(syncing.map(|syncing| syncing.filling)).min()
    }

    /// For the background thread: what to do now. Waits until there is something, but not longer than until the oldest file
    /// is due.
    pub fn next(&self, ring: &Ring) -> Next {
        self.next_if(ring.is_short())
    }

    fn next_if(&self, is_short: bool) -> Next {
        let mut state = self.lock();
        let is_crowded = self.logs_max < 2 * state.waiting.len();
        let is_hurried = 0 < state.drainers || state.is_closed || is_crowded || is_short;
        if state.has_failed {
            return Next::End;
        }
        let oldest = state.waiting.iter().min_by_key(|(_, waiting)| (waiting.filling, waiting.since));
        let Some((&oldest, first)) = oldest else {
            if state.is_closed {
                return Next::End;
            }
            state.is_idle = true;
            drop(self.wait(state));
            return Next::Wait;
        };
        let now = Instant::now();
        let left = AGE_MAX.saturating_sub(now.duration_since(first.since));
        let is_due = is_hurried || left.is_zero();
        let log = match is_due {
            true => Some(oldest),
            false => {
                state.waiting.iter().find(|(_, waiting)| STEP_BYTES <= waiting.bytes).map(|(log, _)| *log)
            }
        };
        let Some((log, waiting)) = log.and_then(|log| state.waiting.remove_entry(&log)) else {
            drop(self.changed.wait_timeout(state, left.min(AGE_MAX / 8)));
            return Next::Wait;
        };
        let (synced, end_offset) = (Arc::clone(&waiting.synced), waiting.end_offset);
        state.syncing = Some(Syncing { log, filling: waiting.filling, synced, end_offset });
        Next::Sync(Work { waiting })
    }

    /// For the background thread: tells how a sync went.
    pub fn finish(&self, work: &Work, is_synced: bool) {
        let mut state = self.lock();
        state.syncing = None;
        match is_synced {
            true => work.waiting.synced.advance(work.waiting.end_offset),
            // It stays in the journal: nothing waits for a second try.
            false => state.has_failed = true,
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until everything that waits now is synced. Returns false if a sync failed.
    pub fn drain(&self) -> bool {
        let mut state = self.lock();
        let waiting = state.waiting.values().map(|waiting| (Arc::clone(&waiting.synced), waiting.end_offset));
        let syncing = state.syncing.iter().chain(&state.absorbed);
        let syncing = syncing.map(|syncing| (Arc::clone(&syncing.synced), syncing.end_offset));
        let mut left: Vec<(Arc<Synced>, i64)> = waiting.chain(syncing).collect();
        state.drainers += 1;
        state.is_idle = false;
        self.changed.notify_all();
        loop {
            left.retain(|(synced, end)| synced.offset() < *end);
            if state.has_failed || left.is_empty() {
                state.drainers -= 1;
                return !state.has_failed;
            }
            state = self.wait(state);
        }
    }

    /// What waits is synced, then [`Destage::next`] ends.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// There is a round: a journal is worth its space.
    pub fn set_used(&self) {
        let mut state = self.lock();
        if !state.is_used {
            state.is_used = true;
            self.changed.notify_all();
        }
    }

    /// Waits for the first round; false if the broker stops before that.
    pub fn until_used(&self) -> bool {
        let mut state = self.lock();
        while !state.is_used && !state.is_closed {
            state = self.wait(state);
        }
        !state.is_closed
    }

    /// Whether the broker is on its way out.
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(synced: &Arc<Synced>) -> usize {
    Arc::as_ptr(synced).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    use crate::storage::dirty::testing::dirty_of;
    use crate::storage::files::RealFs;

    /// What is appended, and the file that it fills, while the background thread looks what it may release, is not released.
    #[test]
    fn a_file_filled_meanwhile_is_not_free() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Ring::new(Arc::new(RealFs), folder.path(), Uuid::from_u128(1), 4 << 20, 1);
        while ring.prepare(0, &|| true).unwrap() {}
        let destage = Destage::new(10);
        let (_, first) = ring.next().unwrap();
        let releasable = destage.releasable(ring.filling());
        destage.add(dirty_of(7), 1, first);
        ring.next().unwrap();
        ring.release(releasable);
        // One is being filled and two are free: the first one has to wait for its segment.
        assert!(ring.next().is_some() && ring.next().is_some() && ring.next().is_none());
        destage.release(&ring);
        assert!(ring.next().is_none());
        let Next::Sync(work) = destage.next_if(true) else { panic!("it is due") };
        destage.finish(&work, true);
        destage.release(&ring);
        assert!(ring.next().is_some());
    }

    /// A round that has taken over what waits of a log is not through with it before it says so.
    #[test]
    fn what_was_taken_over_counts_until_it_is_synced() {
        let destage = Destage::new(10);
        let dirty = dirty_of(7);
        let synced = Arc::clone(&dirty.synced);
        destage.add(dirty_of(9), 1, 5);
        let again = Dirty { synced: Arc::clone(&synced), ..dirty_of(7) };
        destage.add(dirty, 1, 3);
        assert_eq!(destage.oldest_filling(), Some(3));
        destage.absorb(&again).unwrap();
        assert_eq!(destage.oldest_filling(), Some(3), "its part of the journal is not free yet");
        std::thread::scope(|scope| {
            let drained = scope.spawn(|| destage.drain());
            while destage.lock().drainers == 0 {
                std::thread::yield_now();
            }
            let Next::Sync(work) = destage.next_if(true) else { panic!("the other log is due") };
            destage.finish(&work, true);
            assert!(!drained.is_finished(), "the one that was taken over is missing");
            destage.settle_absorbed();
            assert_eq!(synced.offset(), 7);
            assert!(drained.join().unwrap());
        });
        assert_eq!(destage.oldest_filling(), None);
    }
}
