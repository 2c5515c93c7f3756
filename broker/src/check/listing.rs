//! What is in a folder, without opening anything: a FIFO in the place of a file must not hang a check.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// A regular file of so many bytes, perhaps by a symbolic link.
    File(u64),
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

/// A name in a folder.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// None of ours is not UTF-8: others are shown, and never compared.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) kind: EntryKind,
}

impl Entry {
    /// Bytes; none if it is no file.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        match self.kind {
            EntryKind::File(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// All names in a folder, sorted.
///
/// # Errors
/// The system's. A name that leads nowhere is no error.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = match fs::metadata(&path) {
            Ok(meta) if meta.is_file() => EntryKind::File(meta.len()),
            Ok(meta) if meta.is_dir() => EntryKind::Folder,
            _ => EntryKind::Other,
        };
        entries.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), path, kind });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// The entry of a name.
pub(super) fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a Entry> {
    let at = entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
    entries.get(at)
}
