//! `partition.metadata`: the topic id of a partition folder, in Apache Kafka's text format.
//!
//! It keeps a new topic from growing into the folder of a deleted one with the same name.

use std::io::{self, IoSlice};
use std::path::Path;

use uuid::Uuid;

use crate::storage::dirty::DirtyFile;
use crate::storage::error::StorageError;
use crate::storage::file_names::PARTITION_METADATA;
use crate::storage::files::{FileSystem, OpenMode, read_full_at, write_all_at};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters of a 128-bit id in base 64 without padding.
const ID_CHARACTERS: usize = 22;
const FILE_BYTES_MAX: usize = 1024;

/// Creates a partition folder and its metadata file, or takes over what an earlier attempt has left. Returns the file, which is
/// to be synced, as is the parent folder.
///
/// # Errors
/// [`StorageError::ForeignPartition`] if the folder is another topic's; [`StorageError::Io`], [`StorageError::Full`].
pub fn create_folder(fs: &dyn FileSystem, dir: &Path, topic_id: Uuid) -> Result<DirtyFile, StorageError> {
    match fs.create_dir(dir) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StorageError::io(dir, "create", source));
        }
        _ => {}
    }
    check(fs, dir, topic_id)?;
    let path = dir.join(PARTITION_METADATA);
    let error = |source| StorageError::io(&path, "write", source);
    let file = fs.open(&path, OpenMode::Replace).map_err(error)?;
    let text = format!("version: 0\ntopic_id: {}", encode(topic_id));
    write_all_at(&*file, &mut [IoSlice::new(text.as_bytes())], 0).map_err(error)?;
    Ok(DirtyFile { file, path: path.as_path().into() })
}

/// Checks that a folder is this topic's. One without a readable metadata file passes: a crash may have left it so.
///
/// # Errors
/// [`StorageError::ForeignPartition`], [`StorageError::Io`].
pub(super) fn check(fs: &dyn FileSystem, dir: &Path, topic_id: Uuid) -> Result<(), StorageError> {
    match read(fs, dir)? {
        Some(found) if found != topic_id => {
            Err(StorageError::ForeignPartition { dir: dir.to_path_buf(), found, expected: topic_id })
        }
        _ => Ok(()),
    }
}

/// The topic id in a partition folder; none if there is no such file or it says nothing.
///
/// # Errors
/// [`StorageError::Io`].
pub fn read(fs: &dyn FileSystem, dir: &Path) -> Result<Option<Uuid>, StorageError> {
    let path = dir.join(PARTITION_METADATA);
    let error = |source| StorageError::io(&path, "read", source);
    let file = match fs.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(error(source)),
    };
    let mut bytes = [0; FILE_BYTES_MAX];
    let read = read_full_at(&*file, &mut bytes, 0).map_err(error)?;
    let text = String::from_utf8_lossy(&bytes[..read]);
    Ok(text.lines().find_map(|line| decode(line.strip_prefix("topic_id: ")?.trim())))
}

/// URL-safe base 64 without padding, as Kafka prints its ids.
#[must_use]
pub fn encode(id: Uuid) -> String {
    // 22 characters hold 132 bits; Kafka's encoder leaves the 4 spare ones at the end.
    let bits = id.as_u128();
    let digit = |index: usize| {
        let shift = 128 - 6 * (index + 1);
        (bits >> shift) & 0x3f
    };
    let last = (bits << 4) & 0x3f;
    let digits = (0..ID_CHARACTERS - 1).map(digit).chain([last]);
    digits.map(|digit| char::from(ALPHABET[usize::try_from(digit).unwrap_or(0)])).collect()
}

/// What [`encode`] made.
#[must_use]
pub fn decode(text: &str) -> Option<Uuid> {
    if text.len() != ID_CHARACTERS {
        return None;
    }
    let mut bits: u128 = 0;
    for (index, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)? as u128;
        bits = if index + 1 < ID_CHARACTERS { bits << 6 | digit } else { bits << 2 | digit >> 4 };
    }
    Some(Uuid::from_u128(bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::RealFs;

    #[test]
    fn ids_are_printed_as_kafka_prints_them() {
        // From Kafka's Uuid: ONE_UUID is AAAAAAAAAAAAAAAAAAAAAQ.
        assert_eq!(encode(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(encode(Uuid::from_u128(u128::MAX)), "_____________________w");
        let id = Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788);
        assert_eq!(encode(id), "EjRWeJq83vARIjNEVWZ3iA");
        assert_eq!(decode("EjRWeJq83vARIjNEVWZ3iA"), Some(id));
        for bad in ["", "EjRWeJq83vARIjNEVWZ3i", "EjRWeJq83vARIjNEVWZ3iAA", "EjRWeJq83vARIjNEVWZ3i+"] {
            assert_eq!(decode(bad), None);
        }
    }

    #[test]
    fn an_empty_or_garbled_file_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PARTITION_METADATA);
        assert_eq!(read(&RealFs, dir.path()).unwrap(), None);
        for content in ["", "version: 0", "version: 0\ntopic_id: x", "\0\0\0"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read(&RealFs, dir.path()).unwrap(), None);
        }
        std::fs::write(&path, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n").unwrap();
        assert_eq!(read(&RealFs, dir.path()).unwrap(), Some(Uuid::from_u128(1)));
    }
}
