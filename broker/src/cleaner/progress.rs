//! How far every log is compacted: `cleaner.state`. Without it everything is compacted once more, which changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::partition::Compacted;
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
    /// Everything below was compacted, and nothing was left out.
    cleaned_to: i64,
}

impl Saved {
    /// Whether a log was ever compacted.
    pub(crate) fn has(&self, topic_id: Uuid, index: i32) -> bool {
        self.logs.iter().any(|log| log.topic_id == *topic_id.as_bytes() && log.index == index)
    }
}

/// How far a log is compacted.
#[derive(Debug, Clone, Copy)]
struct Cleaned {
    to: i64,
    /// The same, up to the first segment that was left as it is because it is damaged.
    sure_to: i64,
}

/// How far logs are compacted, in memory and on disk.
#[derive(Debug)]
pub(super) struct Progress {
    files: Arc<dyn FileSystem>,
    path: PathBuf,
    cleaned: BTreeMap<(Uuid, i32), Cleaned>,
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
        let cleaned = logs.into_iter().map(|log| {
            let cleaned = Cleaned { to: log.cleaned_to, sure_to: log.cleaned_to };
            ((Uuid::from_bytes(log.topic_id), log.index), cleaned)
        });
        Self { files, path, cleaned: cleaned.collect() }
    }

    /// Where to go on with a log, if it was compacted before. That is before the segments that were left out for their damage
    /// once there is none: they have records that were deleted since, and the tombstones have to be behind them until those go.
    pub(super) fn get(&self, log: (Uuid, i32), is_damaged: impl FnOnce() -> bool) -> Option<i64> {
        let Cleaned { to, sure_to } = *self.cleaned.get(&log)?;
        Some(if sure_to < to && !is_damaged() { sure_to } else { to })
    }

    /// Notes how far a log is compacted that was so to `from`, and forgets those that are no more.
    ///
    /// # Errors
    /// [`StateFileError`]: it is noted in memory all the same.
    pub(super) fn set(
        &mut self,
        log: (Uuid, i32),
        from: Option<i64>,
        compacted: &Compacted,
        exists: impl Fn((Uuid, i32)) -> bool,
    ) -> Result<(), StateFileError> {
        let to = compacted.cleaned_to;
        // What was left out before is so still, unless this has begun there.
        let left_out =
            self.cleaned.get(&log).map(|cleaned| cleaned.sure_to).filter(|sure| Some(*sure) < from);
        let sure_to = [left_out, compacted.damaged_from].into_iter().flatten().min().unwrap_or(to);
        self.cleaned.insert(log, Cleaned { to, sure_to });
        self.cleaned.retain(|log, _| exists(*log));
        let logs = self.cleaned.iter().map(|((topic_id, index), cleaned)| SavedLog {
            topic_id: *topic_id.as_bytes(),
            index: *index,
            cleaned_to: cleaned.sure_to,
        });
        let saved = Saved { logs: logs.collect() };
        state_file::save(self.files.as_ref(), &self.path, KIND, &saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::RealFs;

    const A: (Uuid, i32) = (Uuid::from_u128(1), 0);
    const B: (Uuid, i32) = (Uuid::from_u128(2), 3);

    fn to(cleaned_to: i64) -> Compacted {
        Compacted { cleaned_to, ..Compacted::default() }
    }

    #[test]
    fn what_was_noted_is_there_after_a_restart_and_logs_that_are_gone_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Progress::open(Arc::new(RealFs), dir.path());
        let get = |progress: &Progress, log| progress.get(log, || false);
        let mut progress = open();
        assert_eq!(get(&progress, A), None);
        progress.set(A, None, &to(10), |_| true).unwrap();
        progress.set(B, None, &to(20), |_| true).unwrap();
        let mut progress = open();
        assert_eq!((get(&progress, A), get(&progress, B)), (Some(10), Some(20)));
        progress.set(B, Some(20), &to(30), |log| log == B).unwrap();
        assert_eq!((get(&open(), A), get(&open(), B)), (None, Some(30)));
        let saved = state_file::load::<Saved>(&RealFs, &dir.path().join(FILE_NAME), KIND).unwrap().unwrap();
        assert!(saved.has(B.0, 3) && !saved.has(B.0, 0) && !saved.has(A.0, 0));
        std::fs::write(dir.path().join(FILE_NAME), "x").unwrap();
        assert_eq!(get(&open(), B), None);
    }

    #[test]
    fn segments_that_are_damaged_no_more_are_compacted_once_more() {
        let dir = tempfile::tempdir().unwrap();
        let mut progress = Progress::open(Arc::new(RealFs), dir.path());
        let mut note = |from, compacted: Compacted| {
            progress.set(A, from, &compacted, |_| true).unwrap();
            let restarted = Progress::open(Arc::new(RealFs), dir.path());
            [true, false]
                .map(|is_damaged| progress.get(A, || is_damaged).unwrap())
                .map(|to| (to, restarted.get(A, || false).unwrap()))
        };
        assert_eq!(note(None, Compacted { damaged_from: Some(20), ..to(50) }), [(50, 20), (20, 20)]);
        assert_eq!(note(Some(50), Compacted { damaged_from: Some(40), ..to(60) }), [(60, 20), (20, 20)]);
        assert_eq!(
            note(Some(60), to(70)),
            [(70, 20), (20, 20)],
            "it has gone on where the damage was behind it"
        );
        assert_eq!(note(Some(20), to(80)), [(80, 80), (80, 80)]);
    }
}
