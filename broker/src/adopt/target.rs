//! The data directory that topics are adopted into: a new one, or one that a broker has left.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::error::{AdoptError, TopicRefusal};
use super::plan::TopicPlan;
use crate::catalog::OfflineCatalog;
use crate::storage::data_dir::{DataDir, DataDirError, LastEnd};
use crate::storage::files::{FileSystem, RealFs};

/// Room beside the copies: indexes, a seal and folders.
const OVERHEAD_PERCENT: u64 = 1;
const OVERHEAD_BYTES_PER_PARTITION: u64 = 32 << 10;

/// A data directory, and its list of topics.
#[derive(Debug)]
pub(super) struct Target {
    /// Locked; none in a dry run, which leaves it alone.
    pub(super) lock: Option<DataDir>,
    pub(super) catalog: OfflineCatalog,
}

impl Target {
    /// Creates or opens and locks it.
    pub(super) fn open(fs: &Arc<dyn FileSystem>, path: &Path) -> Result<Self, AdoptError> {
        let lock = DataDir::open(Arc::clone(fs), path, Uuid::new_v4())?;
        if lock.last_end() == LastEnd::WriteFailed {
            return Err(AdoptError::WriteFailed { path: path.to_path_buf() });
        }
        let catalog = OfflineCatalog::load(Arc::clone(fs), path);
        let catalog = catalog.inspect_err(|_| leave_as_it_was(&lock))?;
        Ok(Self { lock: Some(lock), catalog })
    }

    /// Looks at it, if it is there.
    pub(super) fn look(fs: &Arc<dyn FileSystem>, path: &Path) -> Result<Self, AdoptError> {
        let names = fs.list(path).unwrap_or_default();
        let is_ours = names.iter().any(|name| name == "sendlog.meta");
        let foreign = names.iter().find(|name| *name != "lost+found");
        if let Some(example) = foreign.filter(|_| !is_ours) {
            let (path, example) = (path.to_path_buf(), example.clone());
            return Err(DataDirError::Foreign { path, example, hint: "" }.into());
        }
        Ok(Self { lock: None, catalog: OfflineCatalog::load(Arc::clone(fs), path)? })
    }

    /// Whether the directory can take the topic.
    pub(super) fn check(&self, path: &Path, topic: &TopicPlan) -> Result<(), TopicRefusal> {
        self.catalog.check(&topic.name).map_err(TopicRefusal::Name)?;
        if let Some(other) = self.catalog.name_of(topic.id) {
            return Err(TopicRefusal::IdTaken { id: topic.id, other: other.to_owned() });
        }
        for partition in &topic.partitions {
            let path = path.join(format!("{}-{}", topic.name, partition.folder.index));
            if path.exists() {
                return Err(TopicRefusal::FolderInTheWay { path });
            }
        }
        Ok(())
    }

    /// After an attempt: the next start of a broker need not recover if there was nothing to recover before.
    pub(super) fn leave(self, is_checkpoint_whole: bool) -> Result<(), AdoptError> {
        let Some(lock) = self.lock else { return Ok(()) };
        if is_checkpoint_whole && matches!(lock.last_end(), LastEnd::New | LastEnd::Clean) {
            lock.mark_clean()?;
        }
        Ok(())
    }
}

fn leave_as_it_was(lock: &DataDir) {
    if lock.last_end() == LastEnd::Clean {
        // Without the mark the next start checks more than it need, and that is all.
        let _ = lock.mark_clean();
    }
}

/// Bytes that copies of these topics need, if no blocks can be shared.
pub(super) fn needed(topics: &[TopicPlan]) -> u64 {
    let partitions = || topics.iter().flat_map(|topic| &topic.partitions);
    let bytes: u64 = partitions().map(super::plan::PartitionPlan::bytes).sum();
    bytes + bytes / 100 * OVERHEAD_PERCENT + partitions().count() as u64 * OVERHEAD_BYTES_PER_PARTITION
}

/// Whether the disk of `path`, which may not exist yet, has that much room.
pub(super) fn check_room(path: &Path, needed: u64) -> Result<(), AdoptError> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let free = RealFs.free_bytes(existing).map_err(AdoptError::io(existing, "stat the file system of"))?;
    if free < needed {
        return Err(AdoptError::NoRoom { path: path.to_path_buf(), free, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_named_before_anything_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("not").join("yet");
        check_room(&new, 1).unwrap();
        let Err(AdoptError::NoRoom { needed, free, .. }) = check_room(&new, u64::MAX) else {
            panic!("no disk is that large")
        };
        assert!(free < needed);
        assert!(!new.exists());
    }
}
