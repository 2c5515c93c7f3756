//! A byte range of a segment file: what a read yields, ready for `sendfile`.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::storage::files::{StoredFile, read_full_at};

/// Distance of the probes in [`FileSlice::is_resident`]. The kernel reads ahead in steps of 128 KiB.
const PROBE_BYTES: usize = 64 * 1024;

/// What a read of a log got, and what is there.
#[derive(Debug)]
pub struct Ahead {
    /// Whole batches in one segment, within the limit.
    pub records: Option<FileSlice>,
    /// Bytes from the first of them on, whatever the limit; `u64::MAX` where later segments have more.
    pub bytes: u64,
}

/// Whole record batches in a file. Holds the file open: a segment that is deleted meanwhile can still be sent.
#[derive(Clone)]
pub struct FileSlice {
    file: Arc<dyn StoredFile>,
    position: u64,
    len: usize,
}

impl FileSlice {
    /// A range of a file; whether the file has it is the caller's concern.
    #[must_use]
    pub fn new(file: Arc<dyn StoredFile>, position: u64, len: usize) -> Self {
        Self { file, position, len }
    }

    /// A part of it, from `at` on; ends where this ends.
    #[must_use]
    pub fn part(&self, at: usize, len: usize) -> Self {
        let at = at.min(self.len);
        Self {
            file: Arc::clone(&self.file),
            position: self.position + at as u64,
            len: len.min(self.len - at),
        }
    }

    /// Where the range starts in the file.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none; no read yields such a slice.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The file, for `sendfile`.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether the file has no name any more: its space comes back once nobody holds it. A file system that cannot tell
    /// counts as "no".
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        rustix::fs::fstat(self.as_fd()).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Reads from `at` bytes behind the slice's start; returns how many, fewer than asked for only at the slice's end.
    /// May wait for the disk.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::UnexpectedEof`] if the file is shorter than the slice.
    pub fn read_at(&self, at: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.len.saturating_sub(at));
        let read = read_full_at(&*self.file, &mut buffer[..wanted], self.position + at as u64)?;
        if read < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(read)
    }

    /// Asks the system to read `len` bytes from `at` on into the page cache, and some behind them;
    /// does not wait. A hint: errors are of no consequence.
    pub fn read_ahead(&self, at: usize, len: usize) {
        let len = (len * 2).min(self.len.saturating_sub(at));
        let _ = self.file.read_ahead(self.position + at as u64, len as u64);
    }

    /// Whether `len` bytes from `at` on seem to be in the page cache, so that `sendfile` will not wait: probes a byte of
    /// every 64 KiB and the last one. A guess in both directions; errors count as "yes", the send will meet them.
    #[must_use]
    pub fn is_resident(&self, at: usize, len: usize) -> bool {
        let len = len.min(self.len.saturating_sub(at));
        let last = len.saturating_sub(1);
        let probes = (0..len).step_by(PROBE_BYTES).chain((0 < last).then_some(last));
        for probe in probes {
            let position = self.position + (at + probe) as u64;
            match self.file.read_at_nowait(&mut [0], position) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                _ => {}
            }
        }
        true
    }
}

impl std::fmt::Debug for FileSlice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FileSlice")
            .field("position", &self.position)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::files::{FileSystem, OpenMode, RealFs};

    #[test]
    fn a_slice_is_bounded_and_notices_a_file_that_was_cut() {
        let named = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(named.path(), b"0123456789").unwrap();
        let slice = FileSlice::new(RealFs.open(named.path(), OpenMode::Read).unwrap(), 2, 5);
        let mut buffer = [0; 10];
        assert_eq!(slice.read_at(0, &mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"23456");
        assert_eq!(slice.read_at(4, &mut buffer).unwrap(), 1);
        assert_eq!(slice.read_at(5, &mut buffer).unwrap(), 0);
        assert_eq!(slice.read_at(100, &mut buffer).unwrap(), 0);
        assert!(slice.is_resident(0, 5) && slice.is_resident(100, 100));
        assert!(!slice.is_deleted());
        let part = slice.part(3, 9);
        assert_eq!((part.position(), part.len(), slice.part(7, 1).len()), (5, 2, 0));
        std::fs::write(named.path(), b"012").unwrap();
        assert_eq!(slice.read_at(0, &mut buffer).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        named.close().unwrap();
        assert!(slice.is_deleted());
    }
}
