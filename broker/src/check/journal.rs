//! The commit journal: what it has for the logs, and which of its files are not as they should be.

use std::ops::Range;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::storage::data_dir::LastEnd;
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::heal;
use crate::storage::journal::replay::Replay;
use crate::storage::journal::ring::FOLDER;

use super::finding::{Finding, Kind, Severity};
use super::listing::{self, EntryKind};

const ANEW: &str = "makes the file anew; after an orderly stop nothing in it is needed";
const HEADER_LOST: &str =
    "both copies of the file's header are damaged: what it holds cannot be told from anything else";
const WAY_OUT: &str = "the broker does not start with it: restore the file from a backup, or, to go on without the acknowledged \
     records that only it has, move it out of the data directory";

/// What the next start takes from the journal.
#[derive(Debug)]
pub(super) struct Journal {
    /// None after an orderly stop, which leaves nothing to take, and if it cannot be read.
    replay: Option<Replay>,
    is_needed: bool,
}

impl Journal {
    /// Whether a log may be filled from it, at positions that a repair would move.
    pub(super) fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// Where a log goes on once the journal's batches are in its segment, from `offset` at the start of `range` on: up to the
    /// range's end, or without a gap further. None if it has not even the first batch.
    pub(super) fn fills_from(
        &self,
        log: (Uuid, i32),
        segment_base: i64,
        range: Range<u64>,
        offset: i64,
    ) -> Option<i64> {
        let replay = self.replay.as_ref()?;
        let (mut position, mut next) = (range.start, offset);
        // What the journal has as one may be torn as several.
        while position < range.end || next == offset {
            let found = replay.batches(log, segment_base, next, position).ok().flatten();
            let Some(mut bytes) = found else { break };
            let behind = heal::whole_batches(&mut bytes, next);
            if behind == next {
                break;
            }
            (position, next) = (position + bytes.len() as u64, behind);
        }
        (offset < next).then_some(next)
    }
}

/// Reads the journal; `directory` is the id of the data directory, if that is known.
pub(super) fn read(
    fs: &dyn FileSystem,
    root: &Path,
    directory: Option<Uuid>,
    live_from: u64,
    last_end: LastEnd,
    findings: &mut Vec<Finding>,
) -> Journal {
    let is_over = matches!(last_end, LastEnd::Clean | LastEnd::New);
    let is_there = list(root, findings);
    let Some(directory) = directory else { return Journal { replay: None, is_needed: is_there && !is_over } };
    let replay = match Replay::load(fs, root, directory, live_from) {
        Ok(replay) => replay,
        Err(error) => {
            findings.push(failure(root, error, is_over));
            return Journal { replay: None, is_needed: !is_over };
        }
    };
    for path in replay.foreign() {
        let reason = "it is of another data directory, nothing is taken from it";
        findings.push(Finding::new(Severity::Info, Kind::Journal, below(root, path), reason));
    }
    if 0 < replay.broken_blocks() {
        let reason = format!(
            "{} blocks are not whole, as a crash leaves them; they count as empty",
            replay.broken_blocks()
        );
        findings.push(Finding::new(Severity::Info, Kind::Journal, FOLDER, reason));
    }
    let is_needed = !is_over && 0 < replay.extents();
    Journal { replay: Some(replay).filter(|_| !is_over), is_needed }
}

/// Tells what is in the folder beside journal files; returns whether there are such.
fn list(root: &Path, findings: &mut Vec<Finding>) -> bool {
    // Whether the folder can be read is told by who reads the files.
    let entries = listing::list(&root.join(FOLDER)).unwrap_or_default();
    let mut is_there = false;
    for entry in entries {
        let path = Path::new(FOLDER).join(&entry.name);
        let is_ours = entry.name.ends_with(".journal");
        findings.push(match entry.kind {
            EntryKind::File(bytes) if is_ours => {
                is_there |= 0 < bytes;
                continue;
            }
            EntryKind::File(bytes) if entry.name.ends_with(".journal.tmp") => {
                Finding::new(Severity::Unfinished, Kind::Leftover, path, "its making was interrupted")
                    .at(0, bytes)
                    .next_start("makes it anew")
            }
            EntryKind::File(bytes) if entry.name.contains(".journal.of-") => {
                let reason = "a journal of another data directory, put aside";
                Finding::new(Severity::Info, Kind::SetAside, path, reason).at(0, bytes)
            }
            _ => Finding::new(Severity::Info, Kind::Foreign, path, "not ours, ignored"),
        });
    }
    is_there
}

fn failure(root: &Path, error: StorageError, is_over: bool) -> Finding {
    match error {
        StorageError::Corrupt { path, .. } if is_over => {
            Finding::new(Severity::Warning, Kind::Journal, below(root, &path), HEADER_LOST).next_start(ANEW)
        }
        StorageError::Corrupt { path, .. } => {
            Finding::new(Severity::Damage, Kind::Journal, below(root, &path), HEADER_LOST).by_hand(WAY_OUT)
        }
        StorageError::Io { path, source, .. } => {
            Finding::new(Severity::Unreadable, Kind::Unreadable, below(root, &path), source.to_string())
                .by_hand("check the mode of the file and the disk (dmesg, smartctl)")
        }
        other => Finding::new(Severity::Unreadable, Kind::Unreadable, FOLDER, other.to_string()),
    }
}

fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}
