//! The data directory as it is opened at start: whose it is, what is in it, recovered where it needs that.

use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::{Catalog, CatalogError};
use crate::checkpoint::Checkpointer;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::partition::PartitionEnv;
use crate::server::ServerError;
use crate::storage::data_dir::{DataDir, DataDirError, FailureNote};
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::journal::replay::Replay;
use crate::storage::store::Store;

/// Segments that may hold descriptors and maps at a time.
const OPEN_SEGMENTS_MAX: usize = 4096;

/// Producers remembered per partition.
const PRODUCERS_MAX: usize = 10_000;

/// The data directory with all that is in it.
pub(crate) struct Opened {
    /// Locked.
    pub(crate) data_dir: DataDir,
    /// What its partitions share.
    pub(crate) env: Arc<PartitionEnv>,
    /// Its topics.
    pub(crate) catalog: Arc<Catalog>,
    /// Writes its checkpoints.
    pub(crate) checkpointer: Checkpointer,
    /// The first filling of the commit journal that nothing was written in.
    pub(crate) journal_filling: u64,
}

/// Opens the data directory, and recovers what needs it. `descriptors` is how many this process may have.
///
/// # Errors
/// [`ServerError`] with the way out; the directory is as it was then, or further recovered.
pub(crate) fn open(
    config: &Arc<Config>,
    files: &Arc<dyn FileSystem>,
    descriptors: usize,
) -> Result<Opened, ServerError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let data_dir = open_data_dir(files, config)?;
    let env = Arc::new(PartitionEnv {
        store: Store::new(Arc::clone(files), OPEN_SEGMENTS_MAX.min(descriptors / 4)),
        data_dir: config.data_dir.clone(),
        clock: Arc::clone(&clock),
        producers_max: PRODUCERS_MAX,
    });
    let (checkpointer, restored) =
        Checkpointer::open(files, &config.data_dir, data_dir.last_end(), clock.now_ms())?;
    let needs_recovery = restored.needs_recovery();
    let mut journal_filling = restored.journal_live_from();
    if needs_recovery {
        let replay = load_journal(files, config, data_dir.cluster_id(), journal_filling)?;
        journal_filling = journal_filling.max(replay.next_filling());
        env.store.set_replay(Some(replay));
    }
    let opened = Catalog::open(Arc::clone(&env), Arc::clone(config), restored);
    let catalog = Arc::new(opened.inspect_err(|error| keep_distrust(&data_dir, error))?);
    env.store.set_replay(None);
    if needs_recovery {
        save_recovered(&checkpointer, &catalog, &data_dir, journal_filling)?;
    }
    Ok(Opened { data_dir, env, catalog, checkpointer, journal_filling })
}

fn open_data_dir(files: &Arc<dyn FileSystem>, config: &Config) -> Result<DataDir, DataDirError> {
    if config.create_data_dir {
        DataDir::open(Arc::clone(files), &config.data_dir, Uuid::new_v4())
    } else {
        DataDir::open_existing(Arc::clone(files), &config.data_dir)
    }
}

/// So that a crash right after this one does not walk the same batches again, and a new leader epoch stays. Only then is
/// the page cache trusted again after a failed write.
fn save_recovered(
    checkpointer: &Checkpointer,
    catalog: &Catalog,
    data_dir: &DataDir,
    journal_filling: u64,
) -> Result<(), ServerError> {
    match checkpointer.write_quiet(catalog.partitions(), journal_filling) {
        // Reading, and making room, must work on a full disk.
        Err(error) if error.is_full() => {
            tracing::warn!(%error, "no checkpoint was written; the next start recovers again");
            Ok(())
        }
        written => {
            written?;
            Ok(data_dir.mark_recovered()?)
        }
    }
}

/// What the journal of the last run holds, for the recovery of the logs.
fn load_journal(
    files: &Arc<dyn FileSystem>,
    config: &Config,
    directory: Uuid,
    live_from: u64,
) -> Result<Replay, StorageError> {
    let replay = Replay::load(files.as_ref(), &config.data_dir, directory, live_from)?;
    for path in replay.foreign() {
        tracing::warn!(path = %path.display(), "a commit journal of another data directory is left alone");
    }
    let (extents, broken) = (replay.extents(), replay.broken_blocks());
    tracing::debug!(extents, broken, "commit journal read");
    Ok(replay)
}

/// Notes in the data directory that a write or sync has failed.
pub(crate) fn note(failure_note: &FailureNote) {
    if let Err(error) = failure_note.put() {
        tracing::error!(%error, "the failure could not be noted in the data directory");
    }
}

/// A sync that fails while a log is opened: the next start must not believe what the page cache shows.
fn keep_distrust(data_dir: &DataDir, error: &CatalogError) {
    if matches!(error, CatalogError::Storage(StorageError::Io { op: "sync", .. })) {
        note(&data_dir.failure_note());
    }
}
