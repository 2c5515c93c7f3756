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
use crate::storage::journal::block::{BLOCK_BYTES_MAX, BlockBuilder, Extent};
use crate::storage::journal::ring::Ring;
use crate::storage::journal::writer::JournalWriter;

/// Bytes a file from which a round syncs its segments: writing so much twice costs more than the sync of a file. Measured:
/// docs/performance.md.
const FILE_BYTES_MAX: usize = 512 << 10;

/// Rounds in the making at a time: one is written while another is made durable.
const ROUNDS: usize = 2;

/// What was appended to a log, to be made durable.
#[derive(Debug)]
pub struct Pending {
    /// What a sync of its segments would take.
    pub dirty: Dirty,
    /// The same as bytes for the journal, if that is all there is: no new files, and nothing before it that is not durable.
    pub extent: Option<Extent>,
}

/// Appends over all partitions that become durable together.
#[derive(Debug, Default)]
pub struct Round {
    /// Those that sync their segments.
    direct: Vec<Dirty>,
    /// Those that are in the block, with their bytes.
    staged: Vec<(Dirty, u32)>,
    block: Option<BlockBuilder>,
}

impl Round {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.staged.is_empty()
    }
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
    /// Used again and again.
    blocks: Mutex<Vec<BlockBuilder>>,
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
    /// Number of the first filling of a file: behind all that there were.
    pub filling: u64,
    /// Segment files that may wait to be synced: each holds a descriptor.
    pub files_max: usize,
}

impl Committer {
    /// Without a journal, segments are synced before every acknowledgement.
    #[must_use]
    pub fn new(flusher: Flusher, journal: Option<JournalPlace<'_>>) -> Self {
        let journal = journal.map(|place| Journal {
            writer: Mutex::default(),
            blocks: Mutex::default(),
            ring: Ring::new(place.fs, place.data_dir, place.directory, place.bytes, place.filling),
            destage: Destage::new(place.files_max),
        });
        Self { flusher, journal }
    }

    /// Adds to a round what was appended, and copies it for the journal if it is to go there: not in the way of the round
    /// that is being made durable.
    pub fn stage(&self, round: &mut Round, pending: Vec<Pending>) {
        for Pending { dirty, extent } in pending {
            match (&self.journal, extent) {
                (Some(journal), Some(extent)) if journal.stage(round, &extent) => {
                    round.staged.push((dirty, extent.len));
                }
                _ => round.direct.push(dirty),
            }
        }
    }

    /// Makes a round durable. For one caller at a time.
    ///
    /// # Errors
    /// The first failure: the round may be durable or not, nothing may be acknowledged any more, and it must not be tried again.
    pub fn commit(&self, round: Round) -> Result<(), StorageError> {
        let Some(journal) = &self.journal else { return self.sync(&round.direct) };
        self.commit_with(journal, round).inspect_err(|_| journal.destage.fail())
    }

    fn commit_with(&self, journal: &Journal, mut round: Round) -> Result<(), StorageError> {
        journal.destage.set_used();
        journal.write(&mut round)?;
        if round.direct.is_empty() {
            return Ok(());
        }
        for dirty in &mut round.direct {
            for file in journal.destage.absorb(dirty)? {
                if dirty.files.iter().all(|known| known.path != file.path) {
                    dirty.files.push(file);
                }
            }
        }
        self.sync(&round.direct)?;
        journal.destage.settle_absorbed();
        journal.destage.release(&journal.ring);
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

    /// The filling of the journal that is under way: once [`Committer::drain`] was called after this, nothing is needed of
    /// earlier ones.
    #[must_use]
    pub fn filling(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.ring.filling())
    }

    /// Something has failed beside the rounds: nobody is kept waiting for segments that may never be synced. What is in the
    /// journal stays there for the next start.
    pub fn fail(&self) {
        if let Some(journal) = &self.journal {
            journal.destage.fail();
        }
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
                    journal.destage.finish(&work, synced.is_ok());
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
    /// Copies an extent into the round's block; false if it is to go the other way.
    fn stage(&self, round: &mut Round, extent: &Extent) -> bool {
        let block = round.block.get_or_insert_with(|| self.take_block());
        let files = block.count() as usize + 1;
        block.block_bytes() + extent.len as usize <= files * FILE_BYTES_MAX && block.push(extent)
    }

    /// Writes the block of a round; what it has no room for, or what is too much, is left to be synced.
    fn write(&self, round: &mut Round) -> Result<(), StorageError> {
        let Some(mut block) = round.block.take() else { return Ok(()) };
        let filling = match round.staged.is_empty() || !self.destage.has_place(round.staged.len()) {
            true => None,
            false => {
                let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
                writer.write(&self.ring, &mut block)?
            }
        };
        self.put_back(block);
        let staged = std::mem::take(&mut round.staged);
        match filling {
            Some(filling) => staged
                .into_iter()
                .for_each(|(dirty, bytes)| self.destage.add(dirty, u64::from(bytes), filling)),
            None => {
                round.direct.extend(staged.into_iter().map(|(dirty, _)| dirty));
                self.destage.wake();
            }
        }
        Ok(())
    }

    fn take_block(&self) -> BlockBuilder {
        let block = self.blocks.lock().unwrap_or_else(PoisonError::into_inner).pop();
        block.unwrap_or_else(|| BlockBuilder::new(BLOCK_BYTES_MAX))
    }

    fn put_back(&self, mut block: BlockBuilder) {
        block.clear();
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if blocks.len() < ROUNDS {
            blocks.push(block);
        }
    }
}
