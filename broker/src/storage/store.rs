//! What all logs of a broker share: the file system, and a budget of open segments.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;

use crate::storage::files::FileSystem;
use crate::storage::journal::replay::Replay;
use crate::storage::segment::Segment;

/// File system and descriptor budget. An open segment costs one descriptor and up to two memory maps; those used least
/// recently (by the clock algorithm) are closed when there are too many, and opened again on demand.
#[derive(Debug)]
pub struct Store {
    fs: Arc<dyn FileSystem>,
    open_max: usize,
    open: Mutex<VecDeque<Weak<Segment>>>,
    replay: ArcSwapOption<Replay>,
    verifying: Mutex<()>,
}

impl Store {
    /// With at most about `open_segments_max` segments open; files that readers or a sync still hold come on top.
    #[must_use]
    pub fn new(fs: Arc<dyn FileSystem>, open_segments_max: usize) -> Arc<Self> {
        Arc::new(Self {
            fs,
            open_max: open_segments_max.max(1),
            open: Mutex::default(),
            replay: ArcSwapOption::empty(),
            verifying: Mutex::default(),
        })
    }

    /// The file system.
    #[must_use]
    pub fn fs(&self) -> &dyn FileSystem {
        &*self.fs
    }

    /// The file system, to keep.
    #[must_use]
    pub fn fs_arc(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.fs)
    }

    /// What the commit journal holds, for the recovery of logs; none once they are open.
    pub fn set_replay(&self, replay: Option<Replay>) {
        self.replay.store(replay.map(Arc::new));
    }

    pub(super) fn replay(&self) -> Option<Arc<Replay>> {
        self.replay.load_full()
    }

    /// Held by a reader that has a segment verified: so many bytes are read for one at a time.
    pub fn verifying(&self) -> MutexGuard<'_, ()> {
        self.verifying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Segments that are open now.
    #[must_use]
    pub fn open_segments(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Counts a segment that was just opened, and closes others if it is one too many. Takes no segment's lock.
    pub(super) fn opened(&self, segment: &Arc<Segment>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(Arc::downgrade(segment));
        // A second chance for each at most: the loop ends even if all are in use.
        let mut second_chances = open.len();
        while self.open_max < open.len() {
            let Some(oldest) = open.pop_front() else { break };
            let Some(candidate) = oldest.upgrade() else { continue };
            if candidate.take_used() && 0 < second_chances {
                second_chances -= 1;
                open.push_back(oldest);
            } else {
                candidate.close();
            }
        }
    }
}
