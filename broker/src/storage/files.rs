//! The one seam to the file system: everything that storage does to files goes through these two traits.
//!
//! [`RealFs`] is the real thing; [`testing::FaultyFs`](crate::storage::testing::FaultyFs) makes operations fail. Paths are
//! checked elsewhere; nothing here retries, except after an interrupting signal.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use crate::storage::file_names::PARTITION_METADATA;

/// Most buffers that one `pwritev` takes (`IOV_MAX`).
const IO_SLICES_MAX: usize = 1024;

/// A multiple of the page size, whatever that is.
const PAGES_BYTES: u64 = 64 << 10;

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoMode {
    /// Page cache only; `WouldBlock` if that does not do.
    NoWait,
    /// Whatever it takes.
    Blocking,
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; the file must exist.
    Read,
    /// For reading and writing; the file must exist.
    Write,
    /// For reading and writing; the file is created if it does not exist, and kept as it is if it does.
    Create,
    /// For reading and writing; the file is created, or emptied.
    Replace,
    /// For writing past the page cache (`O_DIRECT | O_DSYNC`); the file must exist. What is written is durable on return.
    /// Memory, position and length of a write are multiples of 4096. `InvalidInput` where the file system has no such writes.
    Direct,
}

/// File system operations. All paths are absolute or relative to the process, none is interpreted.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoredFile>>;
    /// Creates a folder, whose parent must exist.
    ///
    /// # Errors
    /// The system's.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Names in a folder, in no order. Names that are not UTF-8 are left out: none of ours is such.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames, replacing what has the new name.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name; whoever has it open keeps it.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    ///
    /// # Errors
    /// The system's.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a folder durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes of a file.
    ///
    /// # Errors
    /// The system's.
    fn file_len(&self, path: &Path) -> io::Result<u64>;
    /// Bytes that an ordinary user may still write to the file system that holds `path`.
    ///
    /// # Errors
    /// The system's.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Positions are absolute; there is no file pointer.
pub trait StoredFile: Send + Sync {
    /// Writes the parts one after another, as one `pwritev`; returns how many bytes were taken, which may be fewer.
    ///
    /// # Errors
    /// The system's; then nothing is known about the bytes from `position` on.
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize>;
    /// Reads into `buffer`; returns how many bytes, 0 at the end of the file. May wait for the disk.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// The same from the page cache only (`preadv2` with `RWF_NOWAIT`).
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if the first page is not in memory; else the system's.
    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Makes content and size durable (`fdatasync`). Must not be called again after it failed.
    ///
    /// # Errors
    /// The system's; then it is unknown which bytes are on disk.
    fn sync_data(&self) -> io::Result<()>;
    /// Reserves blocks for the first `len` bytes and makes the file that long, zeros where nothing was.
    ///
    /// # Errors
    /// The system's; a full disk is reported here and not later.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Cuts the file, or extends it with a hole.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Bytes of the file.
    ///
    /// # Errors
    /// The system's.
    fn size(&self) -> io::Result<u64>;
    /// Asks the system to forget cached clean pages from `position` on, so that the next read tells what is on disk.
    ///
    /// # Errors
    /// The system's.
    fn drop_cache(&self, position: u64) -> io::Result<()>;
    /// Asks the system to forget the cached clean pages of a range. A hint.
    ///
    /// # Errors
    /// The system's.
    fn forget(&self, _position: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
    /// Tells the system that nothing beyond what is asked for should be read through this descriptor. A hint.
    ///
    /// # Errors
    /// The system's.
    fn without_read_ahead(&self) -> io::Result<()> {
        Ok(())
    }
    /// Starts to read a range into the page cache, without waiting.
    ///
    /// # Errors
    /// The system's.
    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()>;
    /// For `sendfile` and `mmap`.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

/// Removes a partition's folder and the files in it. One that is not there is removed already. What is no file, or has a
/// name that none of ours has, stays, and the folder with it; a folder that is a link elsewhere is emptied, and the link goes.
///
/// # Errors
/// The first that keeps a file from being removed. Others may be gone then, but not the file with the topic's id: while there
/// are records, it says whose.
pub fn remove_folder(fs: &dyn FileSystem, path: &Path) -> io::Result<()> {
    let mut names = match fs.list(path) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    names.sort_by_key(|name| name == PARTITION_METADATA);
    let mut has_strangers = false;
    for name in names {
        match fs.remove(&path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => has_strangers = true,
            removed => removed?,
        }
    }
    match fs.remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs.remove(path),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(_) if has_strangers => Ok(()),
        removed => removed,
    }
}

/// Writes all bytes of all parts, in as few calls as it takes.
///
/// # Errors
/// The first that occurs; [`io::ErrorKind::WriteZero`] if the system takes no more bytes. Some may have been written.
pub fn write_all_at(
    file: &dyn StoredFile,
    mut parts: &mut [IoSlice<'_>],
    mut position: u64,
) -> io::Result<()> {
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        let batch = &parts[..parts.len().min(IO_SLICES_MAX)];
        match file.write_at(batch, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads until `buffer` is full or the file ends; returns how many bytes.
///
/// # Errors
/// The system's.
pub fn read_full_at(file: &dyn StoredFile, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

struct RealFile(File);

impl FileSystem for RealFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoredFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::Create => options.write(true).create(true).truncate(false),
            OpenMode::Replace => options.write(true).create(true).truncate(true),
            OpenMode::Direct => options.write(true).custom_flags(direct_flags()),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stats = rustix::fs::statvfs(path)?;
        Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
    }
}

fn direct_flags() -> i32 {
    (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed()
}

impl StoredFile for RealFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(&self.0, parts, position)?)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buffer, position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut buffers = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.0, &mut buffers, position, ReadWriteFlags::NOWAIT) {
            // A file system that cannot tell (FUSE, some network ones): waiting is all that is left.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.read_at(buffer, position),
            other => Ok(other?),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(len),
            other => Ok(other?),
        }
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, position, NonZeroU64::new(len), Advice::WillNeed)?)
    }

    fn drop_cache(&self, position: u64) -> io::Result<()> {
        // Linux keeps a page that the range covers in part only: the one with the first bytes in doubt, of all.
        let position = position - position % PAGES_BYTES;
        Ok(rustix::fs::fadvise(&self.0, position, None::<NonZeroU64>, Advice::DontNeed)?)
    }

    fn forget(&self, position: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, position, NonZeroU64::new(len), Advice::DontNeed)?)
    }

    fn without_read_ahead(&self) -> io::Result<()> {
        Ok(rustix::fs::fadvise(&self.0, 0, None::<NonZeroU64>, Advice::Random)?)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl RealFile {
    /// Stands in for `fallocate` on file systems without it: written zeros have blocks too.
    fn write_zeros(&self, len: u64) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut position = self.size()?;
        while position < len {
            let rest = usize::try_from(len - position).unwrap_or(ZEROS.len()).min(ZEROS.len());
            write_all_at(self, &mut [IoSlice::new(&ZEROS[..rest])], position)?;
            position += rest as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a start after a failed sync must not believe is exactly what follows the last good byte, in its page.
    #[test]
    fn the_cache_is_dropped_from_the_very_byte_on() {
        // Not in memory: there the cache is all there is.
        let dir = tempfile::tempdir().unwrap();
        let file = RealFs.open(&dir.path().join("f"), OpenMode::Create).unwrap();
        write_all_at(&*file, &mut [IoSlice::new(&[7; 3000])], 0).unwrap();
        file.sync_data().unwrap();
        let is_cached = || match file.read_at_nowait(&mut [0], 1000) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            read => read.unwrap() == 1,
        };
        assert!(is_cached());
        file.drop_cache(0).unwrap();
        if is_cached() {
            // A file system that keeps everything in memory.
            return;
        }
        file.read_at(&mut [0], 1000).unwrap();
        assert!(is_cached());
        file.drop_cache(1000).unwrap();
        assert!(!is_cached());
    }
}
