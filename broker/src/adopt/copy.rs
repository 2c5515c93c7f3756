//! Copies of segment files: sharing the blocks where the file system can do that, never the file itself.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;

use rustix::fs::{copy_file_range, ioctl_ficlone};

use super::error::AdoptError;
use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, OpenMode, StoredFile, write_all_at};

/// Bytes that one call copies, so that an interruption is noticed.
const STEP_BYTES: usize = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// Copies files, and remembers whether blocks can be shared.
#[derive(Debug, Default)]
pub(super) struct Copier {
    /// Bytes whose blocks are shared.
    pub(super) shared: u64,
    /// Bytes that were copied.
    pub(super) copied: u64,
}

impl Copier {
    /// Whether blocks of `from` can be shared with a file beside `probe`, which is made and removed.
    pub(super) fn can_share(fs: &dyn FileSystem, from: &Path, probe: &Path) -> Result<bool, AdoptError> {
        let source = File::open(from).map_err(AdoptError::io(from, "open"))?;
        let file = fs.open(probe, OpenMode::Replace).map_err(write_error(probe))?;
        let shared = ioctl_ficlone(file.as_fd(), &source).is_ok();
        drop(file);
        fs.remove(probe).map_err(write_error(probe))?;
        Ok(shared)
    }

    /// Copies a file that must have `size` bytes. Nothing is durable on return.
    pub(super) fn copy(
        &mut self,
        fs: &dyn FileSystem,
        from: &Path,
        to: &Path,
        size: u64,
    ) -> Result<(), AdoptError> {
        let source = File::open(from).map_err(AdoptError::io(from, "open"))?;
        let target = fs.open(to, OpenMode::Replace).map_err(write_error(to))?;
        if ioctl_ficlone(target.as_fd(), &source).is_ok() {
            self.shared += size;
        } else {
            copy_bytes(&source, &*target, size).map_err(write_error(to))?;
            self.copied += size;
        }
        let now = source.metadata().map_err(AdoptError::io(from, "stat"))?.len();
        let made = target.size().map_err(write_error(to))?;
        if now != size || made != size {
            return Err(AdoptError::Changed { path: from.to_path_buf() });
        }
        Ok(())
    }
}

/// Up to `size` bytes; fewer if the source ends before. In the kernel if it can.
fn copy_bytes(source: &File, target: &dyn StoredFile, size: u64) -> io::Result<()> {
    let mut position = 0;
    while position < size {
        let len = usize::try_from(size - position).unwrap_or(usize::MAX).min(STEP_BYTES);
        let (mut from, mut to) = (position, position);
        match copy_file_range(source, Some(&mut from), target.as_fd(), Some(&mut to), len) {
            Ok(0) => return Ok(()),
            Ok(copied) => position += copied as u64,
            // Between file systems that cannot do it: the classical way.
            Err(_) if position == 0 => return copy_by_hand(source, target, size),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(source: &File, target: &dyn StoredFile, size: u64) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut position = 0;
    while position < size {
        let len = usize::try_from(size - position).unwrap_or(usize::MAX).min(BUFFER_BYTES);
        let read = std::os::unix::fs::FileExt::read_at(source, &mut buffer[..len], position)?;
        if read == 0 {
            return Ok(());
        }
        write_all_at(target, &mut [IoSlice::new(&buffer[..read])], position)?;
        position += read as u64;
    }
    Ok(())
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> AdoptError {
    let path = path.to_path_buf();
    move |source| AdoptError::Storage(StorageError::io(&path, "write", source))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::files::RealFs;

    #[test]
    fn copies_are_files_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
        fs::write(&from, &bytes).unwrap();
        let mut copier = Copier::default();
        copier.copy(&RealFs, &from, &to, bytes.len() as u64).unwrap();
        assert_eq!(copier.shared + copier.copied, bytes.len() as u64);
        fs::write(&to, b"changed").unwrap();
        assert!(fs::read(&from).unwrap() == bytes, "the original is as it was");
        let by_hand = RealFs.open(&to, OpenMode::Replace).unwrap();
        copy_by_hand(&File::open(&from).unwrap(), &*by_hand, bytes.len() as u64).unwrap();
        assert!(fs::read(&to).unwrap() == bytes);
        Copier::can_share(&RealFs, &from, &dir.path().join("probe")).unwrap();
        assert!(!dir.path().join("probe").exists());
    }

    #[test]
    fn a_file_that_grows_or_shrinks_meanwhile_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&from, [1; 100]).unwrap();
        for size in [99, 101] {
            let copied = Copier::default().copy(&RealFs, &from, &to, size);
            assert!(matches!(copied, Err(AdoptError::Changed { .. })), "{size}");
        }
    }
}
