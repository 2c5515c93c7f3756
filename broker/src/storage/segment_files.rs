//! The files of a closed segment: finished, sealed, and removed.
//!
//! The seal says what the indexes must be, so that they need not be built again after a crash.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::storage::error::StorageError;
use crate::storage::file_names;
use crate::storage::files::FileSystem;
use crate::storage::segment::Segment;
use crate::storage::state_file::{self, StateKind};
use crate::storage::summary::SegmentSummary;

pub(crate) const SEAL_KIND: StateKind = StateKind { tag: *b"SEAL", version: 1 };

impl Segment {
    /// Finishes a sealed segment's files: cuts the indexes to their length, makes them durable, and writes the seal, without
    /// which the indexes would be rebuilt after a crash. Slow; call it without any lock. Returns false if a reader is
    /// at the maps; then call it again later.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::Full`]; the segment is readable all the same.
    pub fn settle(self: &Arc<Self>) -> Result<bool, StorageError> {
        let mut state = self.state();
        if self.is_replaced() {
            return Ok(true);
        }
        self.make_ready_locked(&mut state).map_err(|error| self.unready(error))?;
        let fs = self.store().fs();
        let is_trimmed = self
            .offset_index()
            .trim(fs)
            .map_err(|error| StorageError::io(self.offset_index().path(), "trim", error))?
            && self
                .time_index()
                .trim(fs)
                .map_err(|error| StorageError::io(self.time_index().path(), "trim", error))?;
        if let Some(summary) = state.summary
            && is_trimmed
        {
            self.save_seal(&summary)?;
        }
        Ok(is_trimmed)
    }

    /// After a failed roll: takes back empty new files, as far as that works; recovery knows them too.
    pub(super) fn discard_files(&self) {
        let fs = self.store().fs();
        if fs.file_len(self.path()).is_ok_and(|size| size == 0) {
            let _ = self.delete_files(fs);
        }
    }

    /// Removes the segment's files from the folder.
    pub(super) fn delete_files(&self, fs: &dyn FileSystem) -> Result<(), StorageError> {
        self.set_deleted();
        for extension in [file_names::SEAL, file_names::INDEX, file_names::TIME_INDEX, file_names::LOG] {
            let path = self.path().with_extension(extension);
            let deleted = path.with_added_extension(file_names::DELETED);
            match fs.rename(&path, &deleted).and_then(|()| fs.remove(&deleted)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io(&path, "delete", source));
                }
                _ => {}
            }
        }
        self.close();
        Ok(())
    }

    fn seal_path(&self) -> PathBuf {
        self.path().with_extension(file_names::SEAL)
    }

    pub(super) fn save_seal(&self, summary: &SegmentSummary) -> Result<(), StorageError> {
        Ok(state_file::save(self.store().fs(), &self.seal_path(), SEAL_KIND, summary)?)
    }

    /// The seal, if it is there, readable, and of the file as it is.
    pub(super) fn load_seal(&self) -> Option<SegmentSummary> {
        self.seal().filter(|seal| seal.size == self.size())
    }

    /// The seal, if it is there and readable.
    pub(super) fn seal(&self) -> Option<SegmentSummary> {
        let seal = state_file::load::<SegmentSummary>(self.store().fs(), &self.seal_path(), SEAL_KIND);
        seal.ok().flatten().filter(|seal| seal.base_offset == self.base_offset())
    }
}
