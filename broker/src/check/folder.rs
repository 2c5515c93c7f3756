//! Sorts the names in a partition folder: segments, what belongs to them, what interrupted work has left, and files of others.

use std::path::Path;

use crate::storage::file_names::{self, CLEANED, INDEX, LOG, PARTITION_METADATA, REPLACES, SEAL, TIME_INDEX};

use super::finding::{Finding, Kind, Severity};
use super::listing::{Entry, EntryKind};

/// A segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) base_offset: i64,
    pub(super) size: u64,
}

/// What a partition folder has.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// By base offset.
    pub(super) segments: Vec<Found>,
    /// Base offsets of indexes and seals without a segment file.
    pub(super) strays: Vec<i64>,
    /// Base offsets of compactions that were interrupted while the new segment took the place of the old ones.
    pub(super) replacing: Vec<i64>,
    pub(super) findings: Vec<Finding>,
}

/// Sorts `entries`, the names in `folder`, which is relative to the data directory.
pub(super) fn sort(folder: &Path, entries: &[Entry]) -> Content {
    let mut content = Content::default();
    let base_of = |entry: &Entry, extension| file_names::base_offset_of(&entry.name, extension);
    for entry in entries {
        let path = folder.join(&entry.name);
        let side = [INDEX, TIME_INDEX, SEAL].iter().find_map(|extension| base_of(entry, extension));
        let log = base_of(entry, LOG);
        let is_ours = log.is_some() || side.is_some() || entry.name == PARTITION_METADATA;
        match (entry.kind, log) {
            (EntryKind::File(size), Some(base_offset)) => {
                content.segments.push(Found { base_offset, size });
            }
            (EntryKind::File(_), None) if is_ours => content.strays.extend(side),
            (EntryKind::File(bytes), None) if base_of(entry, REPLACES).is_some() => {
                content.replacing.extend(base_of(entry, REPLACES));
                content.findings.push(unfinished(path, bytes));
            }
            (EntryKind::File(bytes), None) if is_replacement(&entry.name, entries) => {
                content.findings.push(unfinished(path, bytes));
            }
            (_, _) if is_ours => content.findings.push(not_a_file(path)),
            (kind, _) => content.findings.push(other(path, &entry.name, kind)),
        }
    }
    content.segments.sort_unstable_by_key(|found| found.base_offset);
    let segments = &content.segments;
    content.strays.retain(|base| segments.binary_search_by_key(base, |found| found.base_offset).is_err());
    content.strays.sort_unstable();
    content.strays.dedup();
    content
}

/// A compacted segment that has its place already, but not its name.
fn is_replacement(name: &str, entries: &[Entry]) -> bool {
    let stem = name.strip_suffix(CLEANED).and_then(|stem| stem.strip_suffix('.'));
    let base_offset = stem.and_then(|stem| file_names::base_offset_of(stem, LOG));
    let is_marker = |entry: &Entry| file_names::base_offset_of(&entry.name, REPLACES) == base_offset;
    base_offset.is_some() && entries.iter().any(is_marker)
}

fn unfinished(path: std::path::PathBuf, bytes: u64) -> Finding {
    Finding::new(Severity::Unfinished, Kind::Leftover, path, "an interrupted compaction has left it")
        .at(0, bytes)
        .next_start("puts the compacted segment in the place of those that it was made of")
}

fn not_a_file(path: std::path::PathBuf) -> Finding {
    Finding::new(Severity::Damage, Kind::Folder, path, "it has the name of one of our files and is none")
        .by_hand("move it away")
}

fn other(path: std::path::PathBuf, name: &str, kind: EntryKind) -> Finding {
    let EntryKind::File(bytes) = kind else {
        return Finding::new(Severity::Info, Kind::Foreign, path, "not ours, ignored");
    };
    if file_names::is_leftover(name) {
        return Finding::new(Severity::Unfinished, Kind::Leftover, path, "an interrupted change has left it")
            .at(0, bytes)
            .next_start("removes it, when it recovers");
    }
    if is_set_aside(name) {
        return Finding::new(
            Severity::Info,
            Kind::SetAside,
            path,
            "bytes that were taken out of the segment",
        )
        .at(0, bytes);
    }
    Finding::new(Severity::Info, Kind::Foreign, path, "not ours, ignored").at(0, bytes)
}

/// `NAME.log.torn-POSITION`, `NAME.log.damaged-POSITION`, and these with a number behind.
fn is_set_aside(name: &str) -> bool {
    let Some((stem, rest)) = name.split_once(".log.") else { return false };
    let is_segment = file_names::base_offset_of(&format!("{stem}.log"), LOG).is_some();
    let position = rest.strip_prefix("torn-").or_else(|| rest.strip_prefix("damaged-"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_segment && position.is_some_and(|position| position.split('.').all(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: EntryKind) -> Entry {
        Entry { name: name.to_owned(), path: name.into(), kind }
    }

    #[test]
    fn names_are_sorted_by_whose_they_are() {
        let file = EntryKind::File(7);
        let entries = [
            entry("00000000000000000020.log", file),
            entry("00000000000000000003.log", file),
            entry("00000000000000000003.index", file),
            entry("00000000000000000009.seal", file),
            entry("00000000000000000009.index", file),
            entry("partition.metadata", file),
        ];
        let content = sort(Path::new("t-0"), &entries);
        let bases: Vec<i64> = content.segments.iter().map(|found| found.base_offset).collect();
        assert_eq!((bases, content.strays), (vec![3, 20], vec![9]));
        assert!(content.findings.is_empty());

        let kinds = |name: &str, kind| sort(Path::new("t-0"), &[entry(name, kind)]).findings[0].kind;
        for name in [
            "00000000000000000003.log.deleted",
            "00000000000000000003.index.tmp",
            "00000000000000000003.log.cleaned",
            "00000000000000000003.replaces",
        ] {
            assert_eq!(kinds(name, file), Kind::Leftover);
        }
        for name in ["00000000000000000003.log.torn-17", "00000000000000000003.log.damaged-0.2"] {
            assert_eq!(kinds(name, file), Kind::SetAside);
        }
        for name in ["3.log", "x.deleted", "00000000000000000003.log.bak", ".swp", "a.log.torn-1"] {
            assert_eq!(kinds(name, file), Kind::Foreign, "{name}");
            assert_eq!(kinds(name, EntryKind::Other), Kind::Foreign, "{name}");
        }
        for name in ["00000000000000000003.log", "00000000000000000003.seal", "partition.metadata"] {
            assert_eq!(kinds(name, EntryKind::Other), Kind::Folder, "{name}");
            assert_eq!(kinds(name, EntryKind::Folder), Kind::Folder, "{name}");
        }
    }
}
