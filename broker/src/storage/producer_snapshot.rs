//! Producer state at an offset, so that a restart need not read the whole log for it: `<20 digits>.producers`, one per
//! partition.
//!
//! What the state means is the partition's affair. A snapshot that cannot be read is as good as none.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::storage::error::StorageError;
use crate::storage::file_names::{self, SNAPSHOT};
use crate::storage::files::FileSystem;
use crate::storage::state_file::{self, StateKind};

const KIND: StateKind = StateKind { tag: *b"prod", version: 1 };

/// The idempotent producers of a partition, below an offset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProducerSnapshot {
    /// Everything below is accounted for, nothing at or above.
    pub offset: i64,
    /// Producers.
    pub producers: Vec<ProducerEntry>,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerEntry {
    /// Producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Largest timestamp of its last batch, ms since 1970.
    pub last_timestamp: i64,
    /// Transaction coordinator's epoch of the last marker, or -1.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub transaction_start: Option<i64>,
    /// Its last batches, oldest first; at most five.
    pub batches: Vec<ProducerBatch>,
}

/// A batch of a producer, to recognise it when it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducerBatch {
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Largest timestamp, ms since 1970.
    pub timestamp: i64,
}

/// Saves a snapshot in a partition folder, durably, and removes older ones.
///
/// # Errors
/// [`StorageError::State`], [`StorageError::Io`].
pub fn save(fs: &dyn FileSystem, dir: &Path, snapshot: &ProducerSnapshot) -> Result<(), StorageError> {
    state_file::save(fs, &file_names::segment_file(dir, snapshot.offset, SNAPSHOT), KIND, snapshot)?;
    for offset in offsets(fs, dir)?.into_iter().filter(|offset| *offset != snapshot.offset) {
        let path = file_names::segment_file(dir, offset, SNAPSHOT);
        fs.remove(&path).map_err(|source| StorageError::io(&path, "remove", source))?;
    }
    Ok(())
}

/// The last readable snapshot whose offset is at most `end_offset`; none if there is none. Later ones tell of records that
/// the log no longer has.
///
/// # Errors
/// [`StorageError::Io`], if the folder cannot be listed.
pub fn load(
    fs: &dyn FileSystem,
    dir: &Path,
    end_offset: i64,
) -> Result<Option<ProducerSnapshot>, StorageError> {
    let mut offsets = offsets(fs, dir)?;
    offsets.retain(|offset| *offset <= end_offset);
    offsets.sort_unstable();
    for offset in offsets.into_iter().rev() {
        let path = file_names::segment_file(dir, offset, SNAPSHOT);
        let snapshot = state_file::load::<ProducerSnapshot>(fs, &path, KIND).ok().flatten();
        if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.offset == offset) {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

fn offsets(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<i64>, StorageError> {
    match fs.list(dir) {
        Ok(names) => Ok(names.iter().filter_map(|name| file_names::base_offset_of(name, SNAPSHOT)).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(StorageError::io(dir, "list", source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::RealFs;

    fn snapshot(offset: i64) -> ProducerSnapshot {
        let batch = ProducerBatch {
            base_sequence: 0,
            last_sequence: 4,
            base_offset: offset - 5,
            last_offset: offset - 1,
            timestamp: 7,
        };
        let producer = ProducerEntry {
            producer_id: 9,
            epoch: 1,
            last_timestamp: 7,
            coordinator_epoch: -1,
            transaction_start: None,
            batches: vec![batch],
        };
        ProducerSnapshot { offset, producers: vec![producer] }
    }

    #[test]
    fn the_last_one_is_kept_and_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load(&RealFs, dir.path(), 100).unwrap(), None);
        assert_eq!(load(&RealFs, &dir.path().join("absent"), 100).unwrap(), None);
        save(&RealFs, dir.path(), &snapshot(10)).unwrap();
        save(&RealFs, dir.path(), &snapshot(20)).unwrap();
        assert_eq!(RealFs.list(dir.path()).unwrap().len(), 1);
        assert_eq!(load(&RealFs, dir.path(), 20).unwrap(), Some(snapshot(20)));
        assert_eq!(load(&RealFs, dir.path(), 19).unwrap(), None);
    }

    #[test]
    fn a_damaged_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        save(&RealFs, dir.path(), &snapshot(10)).unwrap();
        let path = file_names::segment_file(dir.path(), 10, SNAPSHOT);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(load(&RealFs, dir.path(), 10).unwrap(), None);
        }
    }
}
