//! State files: a typed value with magic, version and checksum, replaced atomically. The only module that names bincode.
//!
//! Layout (`docs/storage-format.md`, "State files"), little endian: magic `SLST`, kind (u32), version (u32), payload
//! length (u64), payload, CRC-32 of everything before it (u32).

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::storage::files::{FileSystem, OpenMode, read_full_at, write_all_at};

const MAGIC: [u8; 4] = *b"SLST";
const HEADER_BYTES: usize = 20;
const CRC_BYTES: usize = 4;
/// Largest state file; a catalog of 100,000 topics has about 20 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// What a state file holds and how it is laid out: readers refuse every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateKind {
    /// Four letters, different for every kind of file.
    pub tag: [u8; 4],
    /// Version of the payload.
    pub version: u32,
}

/// Why a state file was not written or read.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// The system refused an operation.
    #[error("{op} {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted.
        op: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("state file {path} is damaged: {reason}; restore it from a backup", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by another version of sendlog.
    #[error(
        "state file {path} has version {found}, this program reads {expected}; start the version of sendlog that wrote it, \
         or restore the file from a backup", path = .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version that was asked for.
        expected: u32,
    },
}

impl StateFileError {
    fn io(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, op, source }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if crate::storage::error::is_full(source))
    }
}

type Config = Configuration<LittleEndian, Fixint, Limit<{ 1 << 30 }>>;

fn config() -> Config {
    bincode::config::legacy().with_limit()
}

/// The bytes of a state file.
///
/// # Errors
/// The reason, if `value` cannot be encoded, which is so for no type of ours.
fn encode<T: Serialize>(kind: StateKind, value: &T) -> Result<Vec<u8>, String> {
    let payload = bincode::serde::encode_to_vec(value, config()).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len() + CRC_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&kind.tag);
    bytes.extend_from_slice(&kind.version.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&payload);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// Writes `value` and makes it durable: temporary file, fsync, rename, fsync of the folder. After a failure the file has
/// the old content or the new one, never a mixture.
///
/// # Errors
/// [`StateFileError::Io`].
pub fn save<T: Serialize>(
    fs: &dyn FileSystem,
    path: &Path,
    kind: StateKind,
    value: &T,
) -> Result<(), StateFileError> {
    write_and_rename(fs, path, kind, value)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    fs.sync_dir(dir).map_err(StateFileError::io(dir, "sync"))
}

fn write_and_rename<T: Serialize>(
    fs: &dyn FileSystem,
    path: &Path,
    kind: StateKind,
    value: &T,
) -> Result<(), StateFileError> {
    let damaged = |reason| StateFileError::Damaged { path: path.to_path_buf(), reason };
    let bytes = encode(kind, value).map_err(damaged)?;
    if FILE_BYTES_MAX < bytes.len() as u64 {
        // As good as a full disk: nothing was written, and less can be.
        let source = io::Error::new(io::ErrorKind::StorageFull, "more than a state file may have");
        return Err(StateFileError::io(path, "write")(source));
    }
    let temporary = path.with_added_extension("tmp");
    let file = fs.open(&temporary, OpenMode::Replace).map_err(StateFileError::io(&temporary, "create"))?;
    write_all_at(&*file, &mut [IoSlice::new(&bytes)], 0).map_err(StateFileError::io(&temporary, "write"))?;
    file.sync_data().map_err(StateFileError::io(&temporary, "sync"))?;
    drop(file);
    fs.rename(&temporary, path).map_err(StateFileError::io(path, "rename"))
}

/// Reads what [`save`] wrote; none if there is no such file.
///
/// # Errors
/// [`StateFileError`]; any changed or missing byte is [`StateFileError::Damaged`].
pub fn load<T: DeserializeOwned>(
    fs: &dyn FileSystem,
    path: &Path,
    kind: StateKind,
) -> Result<Option<T>, StateFileError> {
    let file = match fs.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StateFileError::io(path, "open")(error)),
    };
    let size = file.size().map_err(StateFileError::io(path, "stat"))?;
    let damaged = |reason: String| StateFileError::Damaged { path: path.to_path_buf(), reason };
    if FILE_BYTES_MAX < size {
        return Err(damaged(format!("it has {size} bytes, more than any state file")));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let read = read_full_at(&*file, &mut bytes, 0).map_err(StateFileError::io(path, "read"))?;
    bytes.truncate(read);
    let found = decode(kind, &bytes).map_err(damaged)?;
    if found.version != kind.version {
        let path = path.to_path_buf();
        return Err(StateFileError::Version { path, found: found.version, expected: kind.version });
    }
    let (value, used) = decode_payload(found.payload)
        .map_err(|error| damaged(format!("its content does not decode: {error}")))?;
    if used != found.payload.len() {
        return Err(damaged(format!("{} bytes follow its content", found.payload.len() - used)));
    }
    Ok(Some(value))
}

/// Decodes a value, and says how many bytes it took. A string is allocated by its claimed length, so the decoder's limit,
/// which is a constant, is chosen by the bytes there are; eight times that is more than any value of ours takes.
fn decode_payload<T: DeserializeOwned>(payload: &[u8]) -> Result<(T, usize), bincode::error::DecodeError> {
    const SMALL: usize = 1 << 20;
    const MEDIUM: usize = 1 << 25;
    let wanted = payload.len().saturating_mul(8);
    if wanted <= SMALL {
        return bincode::serde::decode_from_slice(payload, config().with_limit::<SMALL>());
    }
    if wanted <= MEDIUM {
        return bincode::serde::decode_from_slice(payload, config().with_limit::<MEDIUM>());
    }
    bincode::serde::decode_from_slice(payload, config())
}

struct Decoded<'a> {
    version: u32,
    payload: &'a [u8],
}

fn decode(kind: StateKind, bytes: &[u8]) -> Result<Decoded<'_>, String> {
    let short = || format!("it has only {} bytes", bytes.len());
    let (content, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or_else(short)?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(content) {
        return Err("its checksum does not match".to_owned());
    }
    let (magic, rest) = content.split_first_chunk::<4>().ok_or_else(short)?;
    let (tag, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (len, payload) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    if *magic != MAGIC || *tag != kind.tag {
        return Err("it is another kind of file".to_owned());
    }
    if u64::from_le_bytes(*len) != payload.len() as u64 {
        return Err("its length does not match".to_owned());
    }
    Ok(Decoded { version: u32::from_le_bytes(*version), payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::RealFs;
    use crate::storage::testing::{Fault, FaultyFs};

    const KIND: StateKind = StateKind { tag: *b"test", version: 3 };

    type Value = (String, Vec<u64>, Option<i32>);

    fn value() -> Value {
        ("name".to_owned(), vec![1, 2, 3], Some(-1))
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert_eq!(load::<Value>(&RealFs, &path, KIND).unwrap(), None);
        save(&RealFs, &path, KIND, &value()).unwrap();
        assert_eq!(load::<Value>(&RealFs, &path, KIND).unwrap(), Some(value()));
        assert_eq!(RealFs.list(dir.path()).unwrap(), ["state"]);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..20], *b"SLSTtest\x03\0\0\0\x31\0\0\0\0\0\0\0");
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        save(&RealFs, &path, KIND, &value()).unwrap();
        let good = std::fs::read(&path).unwrap();
        let is_damaged = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            matches!(load::<Value>(&RealFs, &path, KIND), Err(StateFileError::Damaged { .. }))
        };
        for at in 0..good.len() {
            assert!(is_damaged(&good[..at]));
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(is_damaged(&bad), "bit {bit} of byte {at}");
            }
        }
        assert!(is_damaged(&[&good[..], &[0]].concat()));
    }

    #[test]
    fn other_kinds_and_versions_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        save(&RealFs, &path, KIND, &value()).unwrap();
        let other = load::<Value>(&RealFs, &path, StateKind { tag: *b"else", ..KIND });
        assert!(matches!(other, Err(StateFileError::Damaged { .. })));
        let newer = load::<Value>(&RealFs, &path, StateKind { version: 4, ..KIND });
        assert!(matches!(newer, Err(StateFileError::Version { found: 3, expected: 4, .. })));
        let shorter = load::<(String,)>(&RealFs, &path, KIND);
        assert!(matches!(shorter, Err(StateFileError::Damaged { .. })), "content is left over");
    }

    #[test]
    fn a_claimed_length_is_not_allocated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        // As a string of half a gigabyte begins.
        save(&RealFs, &path, KIND, &(1u64 << 29)).unwrap();
        let error = load::<String>(&RealFs, &path, KIND).unwrap_err();
        assert!(error.to_string().contains("LimitExceeded"), "{error}");
    }

    #[test]
    fn after_any_failure_the_file_is_the_old_one_or_the_new_one() {
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
            for at in 0..20 {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("state");
                let (old, new) = (value(), ("new".to_owned(), vec![], None));
                save(&RealFs, &path, KIND, &old).unwrap();
                let fs = FaultyFs::new();
                fs.fail(fault, at, u64::MAX);
                let saved = save(&fs, &path, KIND, &new);
                let found = load::<Value>(&RealFs, &path, KIND).unwrap().unwrap();
                assert!(if saved.is_ok() { found == new } else { found == old || found == new });
            }
        }
    }
}
