//! Keeps some room on the disk free, so that what makes room still works when appends do not.
//!
//! Asking the file system before every append would cost a system call each. So an answer is good
//! for as many bytes as half of what was above the reserve; close to the reserve every round asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::storage::error::StorageError;
use crate::storage::store::Store;

/// The reserve of a data directory's file system.
#[derive(Debug)]
pub struct Room {
    store: Arc<Store>,
    data_dir: PathBuf,
    reserve_bytes: u64,
    /// What may be appended before the file system is asked again.
    granted_bytes: AtomicU64,
}

impl Room {
    /// Keeps `reserve_bytes` free; 0 keeps nothing.
    pub fn new(store: Arc<Store>, data_dir: PathBuf, reserve_bytes: u64) -> Self {
        Self { store, data_dir, reserve_bytes, granted_bytes: AtomicU64::new(0) }
    }

    /// Whether `bytes` may be appended. For one thread at a time: the one in the write stage.
    ///
    /// # Errors
    /// [`StorageError::Full`] if that would reach into the reserve.
    pub fn take(&self, bytes: u64) -> Result<(), StorageError> {
        if self.reserve_bytes == 0 {
            return Ok(());
        }
        let granted = self.granted_bytes.load(Ordering::Relaxed);
        if let Some(left) = granted.checked_sub(bytes) {
            self.granted_bytes.store(left, Ordering::Relaxed);
            return Ok(());
        }
        // A file system that does not say is one that the write itself will have to ask.
        let Ok(free) = self.store.fs().free_bytes(&self.data_dir) else { return Ok(()) };
        let above = free.saturating_sub(self.reserve_bytes);
        if above < bytes {
            let message =
                format!("{free} bytes are free, sendlog.min.free.bytes keeps {}", self.reserve_bytes);
            let source = std::io::Error::new(std::io::ErrorKind::StorageFull, message);
            return Err(StorageError::Full { path: self.data_dir.clone(), source });
        }
        self.granted_bytes.store((above / 2).saturating_sub(bytes), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::{FileSystem as _, RealFs};

    #[test]
    fn the_reserve_is_kept_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let free = RealFs.free_bytes(directory.path()).unwrap();
        let room = |reserve| {
            let store = Store::new(Arc::new(RealFs), 10);
            Room::new(store, directory.path().to_owned(), reserve)
        };
        assert!(room(0).take(u64::MAX).is_ok());
        assert!(room(1).take(1).is_ok());
        let tight = room(free.saturating_mul(2));
        assert!(matches!(tight.take(1), Err(StorageError::Full { .. })));
        let ample = room(1);
        assert!(ample.take(free / 4).is_ok());
        assert!(ample.granted_bytes.load(Ordering::Relaxed) < free / 2);
    }
}
