//! The journal's files: prepared once, then written again and again.
//!
//! A file is filled from its start to its end; then the next free one is. It is free again once every segment that it holds
//! batches of was synced. A file is taken into the ring only when all its blocks are written, with zeros, and durable: writing
//! over them later changes neither size nor extents, so that no journal of the file system is in the way.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, OpenMode, StoredFile, read_full_at, write_all_at};
use crate::storage::journal::block::ALIGNMENT;
use crate::storage::journal::buffer::AlignedBuffer;
use crate::storage::journal::file_header::{FileHeader, HEADER_BYTES};

/// The folder in the data directory.
pub const FOLDER: &str = "journal";

/// Files of the ring.
pub const FILES: u64 = 4;

/// Smallest file that is worth it.
const FILE_BYTES_MIN: u64 = 1 << 20;

/// Bytes of zeros written at a time.
const ZEROS_BYTES: usize = 256 << 10;

/// A file of the ring.
#[derive(Clone)]
pub struct RingFile {
    file: Arc<dyn StoredFile>,
    path: Arc<Path>,
    key: Uuid,
    /// The file system has no direct, synchronous writes: a sync has to follow.
    needs_sync: bool,
}

impl RingFile {
    /// What its blocks carry.
    pub fn key(&self) -> Uuid {
        self.key
    }

    /// Writes whole blocks; they are durable on return.
    ///
    /// # Errors
    /// [`StorageError::Io`]: nothing may be acknowledged after it.
    pub fn write(&self, bytes: &[u8], position: u64) -> Result<(), StorageError> {
        let failed = |source| StorageError::Io { path: self.path.to_path_buf(), op: "write", source };
        write_all_at(&*self.file, &mut [IoSlice::new(bytes)], position).map_err(failed)?;
        if self.needs_sync {
            self.file.sync_data().map_err(failed)?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// With the number of the filling: they are counted up, over all files.
    Filling(u64),
    Full(u64),
}

struct Slot {
    file: RingFile,
    state: State,
}

struct Slots {
    ready: Vec<Slot>,
    next_filling: u64,
}

/// All files of the journal.
pub struct Ring {
    fs: Arc<dyn FileSystem>,
    folder: PathBuf,
    directory: Uuid,
    file_bytes: u64,
    slots: Mutex<Slots>,
}

impl Ring {
    /// A ring below the data directory that will have `bytes` in all, and whose fillings are numbered from `filling` on. Touches
    /// no file.
    pub fn new(fs: Arc<dyn FileSystem>, data_dir: &Path, directory: Uuid, bytes: u64, filling: u64) -> Self {
        let file_bytes = (bytes / FILES).max(FILE_BYTES_MIN) / ALIGNMENT as u64 * ALIGNMENT as u64;
        let slots = Mutex::new(Slots { ready: Vec::new(), next_filling: filling });
        Self { fs, folder: data_dir.join(FOLDER), directory, file_bytes, slots }
    }

    /// Bytes of one file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Takes a free file to be filled, with the number of the filling; the one filled so far is full.
    pub fn next(&self) -> Option<(RingFile, u64)> {
        let mut slots = self.lock();
        for slot in &mut slots.ready {
            if let State::Filling(filling) = slot.state {
                slot.state = State::Full(filling);
            }
        }
        let filling = slots.next_filling;
        let slot = slots.ready.iter_mut().find(|slot| slot.state == State::Free)?;
        slot.state = State::Filling(filling);
        let file = slot.file.clone();
        slots.next_filling += 1;
        Some((file, filling))
    }

    /// The filling that is under way, or the next one: nothing later was written.
    pub fn filling(&self) -> u64 {
        let slots = self.lock();
        let filling = slots.ready.iter().find_map(|slot| match slot.state {
            State::Filling(filling) => Some(filling),
            _ => None,
        });
        filling.unwrap_or(slots.next_filling)
    }

    /// All segments with batches from fillings before this one were synced.
    pub fn release(&self, before: u64) {
        for slot in &mut self.lock().ready {
            if matches!(slot.state, State::Full(filling) if filling < before) {
                slot.state = State::Free;
            }
        }
    }

    /// Whether hardly any room is left: what holds files back is then more urgent than a quiet disk.
    pub fn is_short(&self) -> bool {
        let slots = self.lock();
        let free = slots.ready.iter().filter(|slot| slot.state == State::Free).count();
        !slots.ready.is_empty() && free * 2 < slots.ready.len()
    }

    /// Files that are ready.
    pub fn ready(&self) -> u64 {
        self.lock().ready.len() as u64
    }

    /// Makes one more file ready; false if all are. `pause` is called between the steps, and ends the work by returning false.
    /// The file system keeps at least `reserve_bytes` and as much again as the file free.
    ///
    /// # Errors
    /// [`StorageError::Full`] or [`StorageError::Io`]; nothing is left of the file.
    pub fn prepare(&self, reserve_bytes: u64, pause: &dyn Fn() -> bool) -> Result<bool, StorageError> {
        let number = self.ready();
        if FILES <= number {
            return Ok(false);
        }
        let path = self.folder.join(format!("{number}.journal"));
        let failed = |source| StorageError::io(&path, "prepare", source);
        let key = match self.known_key(&path).map_err(failed)? {
            Some(key) => key,
            None => {
                let key = Uuid::new_v4();
                let temporary = path.with_added_extension("tmp");
                let is_written = self.write_zeros(&temporary, key, reserve_bytes, pause).inspect_err(|_| {
                    // It may not even be there.
                    let _ = self.fs.remove(&temporary);
                });
                if !is_written.map_err(failed)? {
                    return self.fs.remove(&temporary).map(|()| false).map_err(failed);
                }
                self.fs.rename(&temporary, &path).map_err(failed)?;
                self.fs.sync_dir(&self.folder).map_err(failed)?;
                key
            }
        };
        let (file, needs_sync) = open(&*self.fs, &path).map_err(failed)?;
        let file = RingFile { file, path: path.into(), key, needs_sync };
        self.lock().ready.push(Slot { file, state: State::Free });
        Ok(true)
    }

    /// The key of a file that can be used as it is. One of another directory is put aside: it is not ours to write over.
    fn known_key(&self, path: &Path) -> io::Result<Option<Uuid>> {
        let file = match self.fs.open(path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut pages = vec![0; HEADER_BYTES];
        let read = read_full_at(&*file, &mut pages, 0)?;
        match FileHeader::decode(pages.get(..read).unwrap_or_default()) {
            Some(header) if header.directory != self.directory => {
                self.fs.rename(path, &path.with_added_extension(format!("of-{}", header.directory)))?;
                Ok(None)
            }
            Some(header) => Ok((file.size()? == self.file_bytes).then_some(header.key)),
            None => Ok(None),
        }
    }

    /// False if it was told to end.
    fn write_zeros(
        &self,
        path: &Path,
        key: Uuid,
        reserve_bytes: u64,
        pause: &dyn Fn() -> bool,
    ) -> io::Result<bool> {
        if let Err(error) = self.fs.create_dir(&self.folder) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
        } else if let Some(parent) = self.folder.parent() {
            self.fs.sync_dir(parent)?;
        }
        let free = self.fs.free_bytes(&self.folder)?;
        if free < self.file_bytes.saturating_mul(2).saturating_add(reserve_bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        drop(self.fs.open(path, OpenMode::Replace)?);
        let (file, needs_sync) = open(&*self.fs, path)?;
        file.allocate(self.file_bytes)?;
        let mut zeros = AlignedBuffer::new(ZEROS_BYTES);
        let header = FileHeader { directory: self.directory, key };
        zeros.take(HEADER_BYTES).into_iter().for_each(|pages| header.encode(pages));
        write_all_at(&*file, &mut [IoSlice::new(zeros.bytes())], 0)?;
        zeros.take(HEADER_BYTES).into_iter().for_each(|pages| pages.fill(0));
        let mut position = HEADER_BYTES as u64;
        while position < self.file_bytes {
            let step = usize::try_from(self.file_bytes - position).unwrap_or(ZEROS_BYTES).min(ZEROS_BYTES);
            let Some(_) = zeros.take(step) else { break };
            write_all_at(&*file, &mut [IoSlice::new(zeros.bytes())], position)?;
            if needs_sync {
                file.sync_data()?;
            }
            position += step as u64;
            if !pause() {
                return Ok(false);
            }
        }
        file.sync_data()?;
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the files of a journal that is not used any more.
///
/// # Errors
/// [`StorageError::Io`].
pub fn remove(fs: &dyn FileSystem, data_dir: &Path) -> Result<(), StorageError> {
    for number in 0..FILES {
        let path = data_dir.join(FOLDER).join(format!("{number}.journal"));
        match fs.remove(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StorageError::io(&path, "remove", source));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Opens a file for direct, synchronous writes where the file system has them, and says whether a sync must follow.
fn open(fs: &dyn FileSystem, path: &Path) -> io::Result<(Arc<dyn StoredFile>, bool)> {
    match fs.open(path, OpenMode::Direct) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            Ok((fs.open(path, OpenMode::Write)?, true))
        }
        opened => Ok((opened?, false)),
    }
}

impl std::fmt::Debug for RingFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("RingFile").field(&self.path).finish()
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Ring")
            .field("folder", &self.folder)
            .field("file_bytes", &self.file_bytes)
            .finish_non_exhaustive()
    }
}
