//! Makes a round of appends durable, over all partitions: small ones in the commit journal, the others in their segments.
//!
//! Above this, a round is handed over and durable on return. Which way it went makes no difference to anybody but the disk.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::storage::destage::{Destage, Next};
use crate::storage::dirty::Dirty;
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::flush::Flusher;
use crate::storage::journal::block::Extent;
use crate::storage::journal::ring::Ring;
use crate::storage::journal::writer::{BLOCK_BYTES_MAX, JournalWriter};

/// Bytes a file from which a round syncs its segments: writing so much twice costs more than the sync of a file. Measured:
/// docs/performance.md.
const FILE_BYTES_MAX: usize = 1 << 20;

/// What was appended to a log, to be made durable.
#[derive(Debug)]
pub struct Pending {
    /// What a sync of its segments would take.
    pub dirty: Dirty,
    /// The same as bytes for the journal, if that is all there is: no new files, and nothing before it that is not durable.
    pub extent: Option<Extent>,
}

/// Where rounds become durable.
#[derive(Debug)]
pub struct Committer {
    flusher: Flusher,
    journal: Option<Journal>,
}

/// The commit journal and what it stands in for.
#[derive(Debug)]
struct Journal {
    writer: Mutex<JournalWriter>,
    ring: Ring,
    destage: Destage,
}

/// Where the commit journal is, and how large.
#[derive(Debug)]
pub struct JournalPlace<'a> {
    /// The file system.
    pub fs: Arc<dyn FileSystem>,
    /// The data directory.
    pub data_dir: &'a Path,
    /// Its id.
    pub directory: Uuid,
    /// Bytes of the whole journal.
    pub bytes: u64,
}

impl Committer {
    /// Without a journal, segments are synced before every acknowledgement.
    #[must_use]
    pub fn new(flusher: Flusher, journal: Option<JournalPlace<'_>>) -> Self {
        let journal = journal.map(|place| Journal {
            writer: Mutex::default(),
            ring: Ring::new(place.fs, place.data_dir, place.directory, place.bytes),
            destage: Destage::default(),
        });
        Self { flusher, journal }
    }

    /// Makes a round durable. For one caller at a time.
    ///
    /// # Errors
    /// The first failure: the round may be durable or not, nothing may be acknowledged any more, and it must not be tried again.
    pub fn commit(&self, round: Vec<Pending>) -> Result<(), StorageError> {
        let Some(journal) = &self.journal else {
            let dirty: Vec<Dirty> = round.into_iter().map(|pending| pending.dirty).collect();
            return self.sync(&dirty);
        };
        let committed = self.commit_with(journal, round);
        if committed.is_err() {
            journal.destage.fail();
        }
        committed
    }

    fn commit_with(&self, journal: &Journal, round: Vec<Pending>) -> Result<(), StorageError> {
        journal.destage.set_used();
        let (small, mut direct) = split(round);
        if !small.is_empty() {
            direct.extend(journal.write(small)?);
        }
        for dirty in &mut direct {
            for file in journal.destage.absorb(dirty)? {
                if dirty.files.iter().all(|known| known.path != file.path) {
                    dirty.files.push(file);
                }
            }
        }
        if direct.is_empty() {
            return Ok(());
        }
        self.sync(&direct)?;
        journal.destage.release(&journal.ring);
        // Somebody may wait for just these.
        journal.destage.wake();
        Ok(())
    }

    fn sync(&self, dirty: &[Dirty]) -> Result<(), StorageError> {
        self.flusher.sync(dirty)?;
        for one in dirty {
            one.synced.advance(one.end.offset);
        }
        Ok(())
    }

    /// Syncs all segments that the journal stands in for now. Waits for the disk. False if a sync failed.
    pub fn drain(&self) -> bool {
        self.journal.as_ref().is_none_or(|journal| journal.destage.drain())
    }

    /// No more rounds come: the background work ends once all segments are synced.
    pub fn close(&self) {
        if let Some(journal) = &self.journal {
            journal.destage.close();
        }
    }

    /// The background work, until [`Committer::close`]: syncs segments, and unless there is a hurry calls `pause` behind each
    /// with the time that it took.
    ///
    /// # Errors
    /// A failed sync: the broker has to stop. What was acknowledged is in the journal.
    pub fn run(&self, pause: &dyn Fn(Duration)) -> Result<(), StorageError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        loop {
            match journal.destage.next(&journal.ring) {
                Next::End => return Ok(()),
                Next::Wait => {}
                Next::Sync(work) => {
                    let started = Instant::now();
                    let synced = work.sync();
                    journal.destage.finish(work, synced.is_ok());
                    synced?;
                    journal.destage.release(&journal.ring);
                    if !journal.ring.is_short() {
                        pause(started.elapsed());
                    }
                }
            }
        }
    }

    /// Makes the journal's files ready, one after the other; `pause` is called between the steps and ends the work by
    /// returning false.
    ///
    /// # Errors
    /// [`StorageError::Full`] or [`StorageError::Io`]. Rounds go on without the files that are not ready.
    pub fn prepare(&self, reserve_bytes: u64, pause: &dyn Fn() -> bool) -> Result<(), StorageError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        while journal.ring.prepare(reserve_bytes, pause)? {}
        Ok(())
    }

    /// Waits for the first round, before which no journal is needed. False if the broker stops before that.
    #[must_use]
    pub fn until_used(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.destage.until_used())
    }

    /// Whether the broker stops.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.journal.as_ref().is_none_or(|journal| journal.destage.is_closed())
    }

    /// Whether there is a journal.
    #[must_use]
    pub fn has_journal(&self) -> bool {
        self.journal.is_some()
    }
}

impl Journal {
    /// Returns what it has no room for.
    fn write(&self, small: Vec<(Dirty, Extent)>) -> Result<Vec<Dirty>, StorageError> {
        let (dirty, extents): (Vec<Dirty>, Vec<Extent>) = small.into_iter().unzip();
        if !self.destage.has_place() {
            return Ok(dirty);
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(filling) = writer.write(&self.ring, &extents)? else {
            self.destage.wake();
            return Ok(dirty);
        };
        for (dirty, extent) in dirty.into_iter().zip(extents) {
            self.destage.add(dirty, u64::from(extent.len), filling);
        }
        Ok(Vec::new())
    }
}

/// Those that the journal is for, and those that sync their segments.
fn split(round: Vec<Pending>) -> (Vec<(Dirty, Extent)>, Vec<Dirty>) {
    let extents = || round.iter().filter_map(|pending| pending.extent.as_ref());
    let bytes: usize = extents().map(|extent| extent.len as usize).sum();
    let count = extents().count();
    let is_small = bytes <= BLOCK_BYTES_MAX && bytes <= count * FILE_BYTES_MAX;
    let (mut small, mut direct) = (Vec::new(), Vec::new());
    for Pending { dirty, extent } in round {
        match extent {
            Some(extent) if is_small => small.push((dirty, extent)),
            _ => direct.push(dirty),
        }
    }
    (small, direct)
}
