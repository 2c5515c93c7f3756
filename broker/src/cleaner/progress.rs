//! How far every log is compacted: `cleaner.state`. Without it everything is compacted once more, which changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::storage::files::FileSystem;
use crate::storage::state_file::{self, StateFileError, StateKind};

/// Name of the file in the data directory.
pub(crate) const FILE_NAME: &str = "cleaner.state";
pub(crate) const KIND: StateKind = StateKind { tag: *b"CLNR", version: 1 };

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    logs: Vec<SavedLog>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedLog {
    topic_id: [u8; 16],
    index: i32,
    /// Everything below was compacted.
    cleaned_to: i64,
}

impl Saved {
    /// Whether a log was ever compacted.
    pub(crate) fn has(&self, topic_id: Uuid, index: i32) -> bool {
        self.logs.iter().any(|log| log.topic_id == *topic_id.as_bytes() && log.index == index)
    }
}

/// How far logs are compacted, in memory and on disk.
#[derive(Debug)]
pub(super) struct Progress {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    cleaned_to: BTreeMap<(Uuid, i32), i64>,
}

impl Progress {
    /// With what was saved. A file that cannot be read means a compaction too many, and no more.
    pub(super) fn open(files: Arc<dyn FileSystem>, data_dir: &Path) -> Self {
        let path = data_dir.join(FILE_NAME);
        let saved = state_file::load::<Saved>(files.as_ref(), &path, KIND).unwrap_or_else(|error| {
            tracing::warn!(%error, "compacted topics are compacted from their start once more");
            None
        });
        let logs = saved.unwrap_or_default().logs;
        let cleaned_to =
            logs.into_iter().map(|log| ((Uuid::from_bytes(log.topic_id), log.index), log.cleaned_to));
        Self { files, path, cleaned_to: cleaned_to.collect() }
    }

    /// Where the last compaction of a log has ended, if there was one.
    pub(super) fn get(&self, log: (Uuid, i32)) -> Option<i64> {
        self.cleaned_to.get(&log).copied()
    }

    /// Notes how far a log is compacted, and forgets those that are no more.
    ///
    /// # Errors
    /// [`StateFileError`]: it is noted in memory all the same.
    pub(super) fn set(
        &mut self,
        log: (Uuid, i32),
        cleaned_to: i64,
        exists: impl Fn((Uuid, i32)) -> bool,
    ) -> Result<(), StateFileError> {
        self.cleaned_to.insert(log, cleaned_to);
        self.cleaned_to.retain(|log, _| exists(*log));
        let logs = self.cleaned_to.iter().map(|((topic_id, index), cleaned_to)| SavedLog {
            topic_id: *topic_id.as_bytes(),
            index: *index,
            cleaned_to: *cleaned_to,
        });
        let saved = Saved { logs: logs.collect() };
        state_file::save(self.files.as_ref(), &self.path, KIND, &saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::RealFs;

    #[test]
    fn what_was_noted_is_there_after_a_restart_and_logs_that_are_gone_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Progress::open(Arc::new(RealFs), dir.path());
        let (a, b) = ((Uuid::from_u128(1), 0), (Uuid::from_u128(2), 3));
        let mut progress = open();
        assert_eq!(progress.get(a), None);
        progress.set(a, 10, |_| true).unwrap();
        progress.set(b, 20, |_| true).unwrap();
        let mut progress = open();
        assert_eq!((progress.get(a), progress.get(b)), (Some(10), Some(20)));
        progress.set(b, 30, |log| log == b).unwrap();
        assert_eq!((open().get(a), open().get(b)), (None, Some(30)));
        let saved = state_file::load::<Saved>(&RealFs, &dir.path().join(FILE_NAME), KIND).unwrap().unwrap();
        assert!(saved.has(b.0, 3) && !saved.has(b.0, 0) && !saved.has(a.0, 0));
        std::fs::write(dir.path().join(FILE_NAME), "x").unwrap();
        assert_eq!(open().get(b), None);
    }
}
