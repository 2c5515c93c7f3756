//! The state files of a data directory, and how the last broker ended.

use std::path::{Path, PathBuf};

use crate::catalog::configs_state::{self, StoredConfigs};
use crate::catalog::state::{self as catalog_state, StoredCatalog};
use crate::checkpoint::{self, offline::StoredCheckpoint};
use crate::cleaner::progress;
use crate::storage::data_dir::{self, LastEnd};
use crate::storage::files::FileSystem;
use crate::storage::state_file::{self, StateFileError};
use crate::{producer_ids, retention_clock, scrubber};

use super::finding::{Finding, Kind, Remedy, Severity};
use super::journal::{self, Journal};
use super::listing::{self, Entry};

const NO_CATALOG: &str = "not now: the catalog must be readable first";
const NO_CHECKPOINT: &str =
    "not now: the checkpoint cannot be read, and would contradict a log that is repaired";
const JOURNAL: &str = "not now: the commit journal may still have something for this log; start the broker once, stop it, \
     and check again";

/// What the state files say.
#[derive(Debug)]
pub(super) struct State {
    /// None if it cannot be read.
    pub(super) catalog: Option<StoredCatalog>,
    pub(super) has_catalog_file: bool,
    pub(super) checkpoint: Option<StoredCheckpoint>,
    /// The checkpoint is damaged: a repair renames it.
    pub(super) sets_checkpoint_aside: bool,
    /// Which logs were compacted.
    pub(super) cleaned: progress::Saved,
    pub(super) journal: Journal,
    /// Why logs are not to be repaired now.
    pub(super) deferred: Option<&'static str>,
}

/// Reads all of them; `entries` are the names in the data directory.
pub(super) fn read(
    fs: &dyn FileSystem,
    root: &Path,
    last_end: LastEnd,
    entries: &[Entry],
    findings: &mut Vec<Finding>,
) -> State {
    let mut reader = Reader { root, entries, findings };
    let meta = |path: &Path| state_file::load::<data_dir::Meta>(fs, path, data_dir::META_KIND);
    let directory = match reader.load(data_dir::META_FILE, meta) {
        Loaded::Good(meta) => Some(meta.id()),
        Loaded::Missing => {
            reader.tell(data_dir::META_FILE, "it is not there, beside other files of sendlog");
            None
        }
        Loaded::Damaged | Loaded::Unusable => None,
    };
    let ids = |path: &Path| state_file::load::<producer_ids::Reserved>(fs, path, producer_ids::KIND);
    reader.load(producer_ids::FILE_NAME, ids);
    reader.load(scrubber::FILE_NAME, |path| state_file::load::<scrubber::Progress>(fs, path, scrubber::KIND));
    let cleaned = |path: &Path| state_file::load::<progress::Saved>(fs, path, progress::KIND);
    let cleaned = match reader.load(progress::FILE_NAME, cleaned) {
        Loaded::Good(cleaned) => cleaned,
        _ => progress::Saved::default(),
    };
    let clock = |path: &Path| state_file::load::<retention_clock::Line>(fs, path, retention_clock::KIND);
    reader.load(retention_clock::FILE_NAME, clock);
    let configs = |path: &Path| state_file::load::<StoredConfigs>(fs, path, configs_state::KIND);
    reader.load(configs_state::FILE_NAME, configs);
    let load = |path: &Path| state_file::load::<StoredCatalog>(fs, path, catalog_state::KIND);
    let (catalog, has_catalog_file) = match reader.load(catalog_state::FILE_NAME, load) {
        Loaded::Good(catalog) => (Some(catalog), true),
        Loaded::Missing => (Some(StoredCatalog::default()), false),
        Loaded::Damaged | Loaded::Unusable => (None, true),
    };
    let checkpoint = reader.load(checkpoint::FILE_NAME, |_| StoredCheckpoint::load(fs, root));
    let (sets_checkpoint_aside, is_unusable) =
        (matches!(checkpoint, Loaded::Damaged), matches!(checkpoint, Loaded::Unusable));
    let checkpoint = match checkpoint {
        Loaded::Good(checkpoint) => Some(checkpoint),
        _ => None,
    };
    let live_from = checkpoint.as_ref().map_or(0, StoredCheckpoint::journal_live_from);
    let journal = journal::read(fs, root, directory, live_from, last_end, findings);
    let deferred = match &catalog {
        None => Some(NO_CATALOG),
        Some(_) if is_unusable => Some(NO_CHECKPOINT),
        Some(_) if journal.is_needed() => Some(JOURNAL),
        Some(_) => None,
    };
    State { catalog, has_catalog_file, checkpoint, sets_checkpoint_aside, cleaned, journal, deferred }
}

/// A state file.
enum Loaded<T> {
    Good(T),
    Missing,
    /// Its bytes are not what was written.
    Damaged,
    /// It may be good, and not for us.
    Unusable,
}

struct Reader<'a> {
    root: &'a Path,
    entries: &'a [Entry],
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    fn load<T>(
        &mut self,
        name: &str,
        load: impl FnOnce(&Path) -> Result<Option<T>, StateFileError>,
    ) -> Loaded<T> {
        let Some(entry) = listing::find(self.entries, name) else { return Loaded::Missing };
        let Some(bytes) = entry.file_bytes() else {
            self.tell(name, "it is no file");
            return Loaded::Unusable;
        };
        match load(&self.root.join(name)) {
            Ok(Some(value)) => Loaded::Good(value),
            Ok(None) => Loaded::Missing,
            Err(StateFileError::Damaged { reason, .. }) => {
                let finding = damaged(name, reason).at(0, bytes);
                self.findings.push(finding);
                Loaded::Damaged
            }
            Err(StateFileError::Version { found, expected, .. }) => {
                let reason = format!("it has version {found}, this program reads {expected}");
                if without(name).is_some() {
                    self.findings.push(damaged(name, reason));
                    return Loaded::Damaged;
                }
                let finding = Finding::new(Severity::Damage, Kind::StateFile, name, reason);
                self.findings.push(finding.by_hand("use the version of sendlog that wrote it"));
                Loaded::Unusable
            }
            Err(StateFileError::Io { source, .. }) => {
                let reason = source.to_string();
                self.findings.push(Finding::new(Severity::Unreadable, Kind::Unreadable, name, reason));
                Loaded::Unusable
            }
        }
    }

    fn tell(&mut self, name: &str, reason: &str) {
        let finding = damaged(name, reason.to_owned());
        self.findings.push(finding.by_hand("restore it from a backup; the broker does not start without it"));
    }
}

/// What the next start does without a state file that it can do without.
fn without(name: &str) -> Option<&'static str> {
    match name {
        progress::FILE_NAME => Some("compacts every compacted topic from its start once more"),
        scrubber::FILE_NAME => Some("begins a new pass of the scrub"),
        retention_clock::FILE_NAME => Some("deletes nothing by age for a day, and writes it anew"),
        _ => None,
    }
}

fn damaged(name: &str, reason: String) -> Finding {
    if let Some(what) = without(name) {
        return Finding::new(Severity::Warning, Kind::StateFile, name, reason).next_start(what);
    }
    if name == checkpoint::FILE_NAME {
        let what = "renames it; the next start scans every log, and begins each with its first segment";
        return Finding::new(Severity::Warning, Kind::StateFile, name, reason).remedy(Remedy::Repair(what));
    }
    Finding::new(Severity::Damage, Kind::StateFile, PathBuf::from(name), reason)
        .by_hand("restore it from a backup; the broker does not start with it")
}
