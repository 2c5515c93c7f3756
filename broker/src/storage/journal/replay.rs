//! What the journal still holds when the broker starts after a crash: batches by log and offset.
//!
//! Every extent that can be found whole is taken, from whatever round, however old: see [`super::block`]. So a torn or
//! damaged block takes nothing with it but itself, and files that are missing, or from elsewhere, are no matter.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendlog_protocol::records::BatchHeader;
use uuid::Uuid;

use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, OpenMode, StoredFile, read_full_at};
use crate::storage::journal::block::{ALIGNMENT, BLOCK_HEADER_BYTES, ExtentPlace, claimed_length, decode};
use crate::storage::journal::file_header::{FileHeader, HEADER_BYTES};
use crate::storage::journal::ring::FOLDER;

/// Bytes of a file that are looked at in one read.
const WINDOW_BYTES: usize = 1 << 20;

/// A block larger than this was not written by any version of the program.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// The extents of a journal. Their bytes stay in the files until they are asked for.
#[derive(Debug, Default)]
pub struct Replay {
    files: Vec<ReplayFile>,
    /// By log, in the order of their offsets.
    extents: HashMap<(Uuid, i32), Vec<Held>>,
    /// Blocks that begin like one and are not whole: torn by a crash, or damaged.
    broken_blocks: u64,
    /// Files of another data directory.
    foreign: Vec<PathBuf>,
}

struct ReplayFile {
    file: Arc<dyn StoredFile>,
    path: PathBuf,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    place: ExtentPlace,
    file: usize,
    at: u64,
    len: usize,
}

impl Replay {
    /// Reads the journal of a data directory, which may have none.
    ///
    /// # Errors
    /// [`StorageError::Io`] if a file that is there cannot be read, [`StorageError::Corrupt`] if its header is lost: what it
    /// holds may be all there is of it.
    pub fn load(fs: &dyn FileSystem, data_dir: &Path, directory: Uuid) -> Result<Self, StorageError> {
        let folder = data_dir.join(FOLDER);
        let mut replay = Self::default();
        let names = match fs.list(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(replay),
            Err(source) => return Err(StorageError::io(&folder, "list", source)),
        };
        for name in names.iter().filter(|name| is_journal(name)) {
            let path = folder.join(name);
            let file =
                fs.open(&path, OpenMode::Read).map_err(|source| StorageError::io(&path, "open", source))?;
            let Some(header) = read_header(&*file, &path)? else { continue };
            if header.directory != directory {
                replay.foreign.push(path);
                continue;
            }
            replay.files.push(ReplayFile { file, path });
            let number = replay.files.len() - 1;
            replay.read(number, header.key)?;
        }
        for held in replay.extents.values_mut() {
            held.sort_unstable_by_key(|held| (held.place.base_offset, held.place.end_offset));
        }
        Ok(replay)
    }

    /// Extents that were found.
    pub fn extents(&self) -> usize {
        self.extents.values().map(Vec::len).sum()
    }

    /// Files that belong to another data directory; nothing was taken from them.
    pub fn foreign(&self) -> &[PathBuf] {
        &self.foreign
    }

    /// Blocks that were not whole.
    pub fn broken_blocks(&self) -> u64 {
        self.broken_blocks
    }

    /// The batches of a log from `offset` on, as they are in its segment at `position`; none if the journal does not have
    /// the batch that starts there.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub fn batches(
        &self,
        log: (Uuid, i32),
        segment_base: i64,
        offset: i64,
        position: u64,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(held) = self.extents.get(&log) else { return Ok(None) };
        // Several may hold the offset: the same batches, once alone and once with later ones.
        let behind = held.partition_point(|held| held.place.base_offset <= offset);
        for held in held[..behind].iter().rev().take_while(|held| offset < held.place.end_offset) {
            let starts = held.place.position..held.place.position + held.len as u64;
            if held.place.segment_base != segment_base || !starts.contains(&position) {
                continue;
            }
            let bytes = self.bytes_from(held, position)?;
            let is_it = BatchHeader::read(&bytes).is_ok_and(|header| header.base_offset == offset);
            if is_it {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    fn bytes_from(&self, held: &Held, position: u64) -> Result<Vec<u8>, StorageError> {
        let Some(file) = self.files.get(held.file) else { return Ok(Vec::new()) };
        let skipped = position - held.place.position;
        let len = held.len - usize::try_from(skipped).unwrap_or(held.len);
        let mut bytes = vec![0; len];
        read_full_at(&*file.file, &mut bytes, held.at + skipped)
            .map_err(|source| StorageError::io(&file.path, "read", source))?;
        Ok(bytes)
    }

    /// Looks for blocks at every place where one may start.
    fn read(&mut self, number: usize, key: Uuid) -> Result<(), StorageError> {
        let ReplayFile { file, path } = &self.files[number];
        let (file, path) = (Arc::clone(file), path.clone());
        let failed = |source| StorageError::io(&path, "read", source);
        let size = file.size().map_err(failed)?;
        let mut window = vec![0; WINDOW_BYTES];
        let mut start = 0;
        let mut filled = 0;
        let mut position = HEADER_BYTES as u64;
        while position < size {
            let is_inside =
                start <= position && position + BLOCK_HEADER_BYTES as u64 <= start + filled as u64;
            if !is_inside {
                start = position;
                filled = read_full_at(&*file, &mut window, position).map_err(failed)?;
                if filled < BLOCK_HEADER_BYTES {
                    break;
                }
            }
            let at = usize::try_from(position - start).unwrap_or(usize::MAX);
            let header = window.get(at..filled).unwrap_or_default();
            let claimed = claimed_length(header, key).filter(|length| *length <= BLOCK_BYTES_MAX);
            let step = match claimed {
                Some(length) if position + length as u64 <= size => {
                    let block = match header.get(..length) {
                        Some(block) => block,
                        None => {
                            // A block crosses the window, or is larger: the window begins with it.
                            window.resize(window.len().max(length), 0);
                            start = position;
                            filled = read_full_at(&*file, &mut window, position).map_err(failed)?;
                            window.get(..length).unwrap_or_default()
                        }
                    };
                    self.take(number, position, block)
                }
                _ => ALIGNMENT,
            };
            position += step as u64;
        }
        Ok(())
    }

    /// Takes the extents of a block, if it is whole; returns how far the next one can be at the nearest.
    fn take(&mut self, file: usize, position: u64, block: &[u8]) -> usize {
        let Some(extents) = decode(block) else {
            self.broken_blocks += 1;
            return ALIGNMENT;
        };
        for extent in extents {
            let log = (extent.place.topic_id, extent.place.partition);
            let at = position + extent.at as u64;
            self.extents.entry(log).or_default().push(Held {
                place: extent.place,
                file,
                at,
                len: extent.len,
            });
        }
        block.len().next_multiple_of(ALIGNMENT)
    }
}

/// What the file says of itself; none if it is empty, for then it never held anything.
fn read_header(file: &dyn StoredFile, path: &Path) -> Result<Option<FileHeader>, StorageError> {
    let mut pages = vec![0; HEADER_BYTES];
    let read = read_full_at(file, &mut pages, 0).map_err(|source| StorageError::io(path, "read", source))?;
    if read == 0 {
        return Ok(None);
    }
    let lost = || {
        StorageError::Corrupt {
        path: path.to_path_buf(),
        position: 0,
        offset: -1,
        reason: "both copies of the journal file's header are damaged, so that what it holds cannot be told from \
                 anything else; restore the file from a backup, or, to go on without the acknowledged records that \
                 only it has, move it out of the data directory"
            .to_owned(),
    }
    };
    FileHeader::decode(pages.get(..read).unwrap_or_default()).map(Some).ok_or_else(lost)
}

fn is_journal(name: &str) -> bool {
    name.strip_suffix(".journal").is_some_and(|number| {
        !number.is_empty() && number.len() <= 4 && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl std::fmt::Debug for ReplayFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("ReplayFile").field(&self.path).finish()
    }
}
