//! What the journal still holds when the broker starts after a crash: batches by log and offset.
//!
//! Every extent that can be found whole is taken, if its filling may still be needed: see [`super::block`]. So a torn or
//! damaged block takes nothing with it but itself, and files that are missing, or from elsewhere, are no matter.
//!
//! A round that was not acknowledged may be in the journal while what comes before it is nowhere. A start that meets it there
//! ends the log earlier and gives its offsets anew; so where two extents differ, the later filling counts.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendlog_protocol::records::BatchHeader;
use uuid::Uuid;

use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, OpenMode, StoredFile, read_full_at};
use crate::storage::journal::block::{
    ALIGNMENT, BLOCK_BYTES_MAX, BLOCK_HEADER_BYTES, ExtentPlace, FoundBlock, claimed_length, decode,
};
use crate::storage::journal::file_header::{FileHeader, HEADER_BYTES};
use crate::storage::journal::ring::FOLDER;

/// Bytes of a file that are looked at in one read.
const WINDOW_BYTES: usize = 256 << 10;

/// Bytes behind the last block that are searched for more: where a damaged block ends is not known, but none is larger.
const SEARCHED_BYTES: u64 = BLOCK_BYTES_MAX as u64 + 2 * ALIGNMENT as u64;

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
    /// The latest filling of any file.
    filling: u64,
}

struct ReplayFile {
    file: Arc<dyn StoredFile>,
    path: PathBuf,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    place: ExtentPlace,
    filling: u64,
    file: usize,
    at: u64,
    len: usize,
}

impl Replay {
    /// Reads the journal of a data directory, which may have none. Files whose last filling was before `live_from` are passed
    /// over: the segments of all that is in them were synced.
    ///
    /// # Errors
    /// [`StorageError::Io`] if a file that is there cannot be read, [`StorageError::Corrupt`] if its header is lost: what it
    /// holds may be all there is of it.
    pub fn load(
        fs: &dyn FileSystem,
        data_dir: &Path,
        directory: Uuid,
        live_from: u64,
    ) -> Result<Self, StorageError> {
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
            replay.read(number, header.key, live_from)?;
        }
        replay.extents.values_mut().for_each(leave_out_replaced);
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

    /// The first filling that no file has had.
    pub fn next_filling(&self) -> u64 {
        self.filling + 1
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
            let starts = held.place.position..held.place.position.saturating_add(held.len as u64);
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

    /// Goes from block to block; behind something else, to the next place where one may start.
    fn read(&mut self, number: usize, key: Uuid, live_from: u64) -> Result<(), StorageError> {
        let ReplayFile { file, path } = &self.files[number];
        let (file, path) = (Arc::clone(file), path.clone());
        let failed = |source| StorageError::io(&path, "read", source);
        let mut blocks = BlockWalk::new(&*file, key).map_err(failed)?;
        // Whatever is torn or damaged where the first block stands, some of it is there.
        if blocks.bytes(ALIGNMENT).map_err(failed)?.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let mut filling = 0;
        let mut searched_to = blocks.position + SEARCHED_BYTES;
        while blocks.position < searched_to {
            match blocks.next().map_err(failed)? {
                Walked::End => break,
                Walked::Nothing => {}
                Walked::Broken => self.broken_blocks += 1,
                Walked::Block(position, block) => {
                    let is_first = position == HEADER_BYTES as u64;
                    filling = filling.max(block.filling);
                    self.filling = self.filling.max(block.filling);
                    if is_first && block.filling < live_from {
                        break;
                    }
                    // What is left of earlier fillings says nothing about where this one ends.
                    if block.filling == filling {
                        searched_to = blocks.position + SEARCHED_BYTES;
                    }
                    if live_from <= block.filling {
                        self.take(number, position, &block);
                    }
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, file: usize, position: u64, block: &FoundBlock) {
        for extent in &block.extents {
            let log = (extent.place.topic_id, extent.place.partition);
            let at = position + extent.at as u64;
            self.extents.entry(log).or_default().push(Held {
                place: extent.place,
                filling: block.filling,
                file,
                at,
                len: extent.len,
            });
        }
    }
}

/// Puts a log's extents in order. What is appended later is in the same filling or a later one: an extent of an earlier one, from
/// the same offset on or a later one, is of a round that was never acknowledged, and whose offsets others have since.
fn leave_out_replaced(extents: &mut Vec<Held>) {
    extents
        .sort_unstable_by_key(|held| (held.place.base_offset, Reverse(held.filling), held.place.end_offset));
    let mut latest = 0;
    extents.retain(|held| {
        latest = latest.max(held.filling);
        latest == held.filling
    });
}

/// What is at a place where a block may start.
enum Walked {
    /// The file ends.
    End,
    Nothing,
    /// It begins like a block, and is none: torn by a crash, or damaged.
    Broken,
    /// A block, and where it starts.
    Block(u64, FoundBlock),
}

/// Goes through a file by the places where blocks may start.
struct BlockWalk<'a> {
    file: &'a dyn StoredFile,
    key: Uuid,
    size: u64,
    position: u64,
    window: Vec<u8>,
    start: u64,
    filled: usize,
}

impl<'a> BlockWalk<'a> {
    fn new(file: &'a dyn StoredFile, key: Uuid) -> io::Result<Self> {
        let size = file.size()?;
        let position = HEADER_BYTES as u64;
        Ok(Self { file, key, size, position, window: vec![0; WINDOW_BYTES], start: 0, filled: 0 })
    }

    fn next(&mut self) -> io::Result<Walked> {
        if self.size < self.position + BLOCK_HEADER_BYTES as u64 {
            return Ok(Walked::End);
        }
        let key = self.key;
        let Some(length) = claimed_length(self.bytes(BLOCK_HEADER_BYTES)?, key) else {
            self.position += ALIGNMENT as u64;
            return Ok(Walked::Nothing);
        };
        let position = self.position;
        let block = if length <= BLOCK_BYTES_MAX { decode(self.bytes(length)?) } else { None };
        let Some(block) = block else {
            self.position += ALIGNMENT as u64;
            return Ok(Walked::Broken);
        };
        self.position += length.next_multiple_of(ALIGNMENT) as u64;
        Ok(Walked::Block(position, block))
    }

    /// Bytes from the position on; fewer if the file ends.
    fn bytes(&mut self, len: usize) -> io::Result<&[u8]> {
        let end = self.position + len as u64;
        if self.position < self.start || self.start + (self.filled as u64) < end.min(self.size) {
            if self.window.len() < len {
                self.window.resize(len, 0);
            }
            self.start = self.position;
            self.filled = read_full_at(self.file, &mut self.window, self.position)?;
        }
        let at = usize::try_from(self.position - self.start).unwrap_or(usize::MAX);
        let held = self.window.get(at..self.filled).unwrap_or_default();
        Ok(held.get(..len).unwrap_or(held))
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
