//! A file system that says of every sync of records that it went well, and does nothing: a broker on it acknowledges what
//! a power cut takes. The crash rig runs such a broker, to show that it would notice.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use sendlog_broker::storage::files::{FileSystem, OpenMode, RealFs, StoredFile};

/// Names of files that have records end so: segments, and the commit journal.
const OF_RECORDS: [&str; 2] = ["log", "journal"];

/// The operating system's files, but for the syncs of those that have records.
#[derive(Clone, Copy, Debug, Default)]
pub struct LyingFs;

/// A file that is never synced.
struct LyingFile(Arc<dyn StoredFile>);

impl FileSystem for LyingFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoredFile>> {
        // Any other way to open a file makes its writes durable by itself.
        let is_plain =
            matches!(mode, OpenMode::Read | OpenMode::Write | OpenMode::Create | OpenMode::Replace);
        let file = RealFs.open(path, if is_plain { mode } else { OpenMode::Write })?;
        let has_records = path.extension().is_some_and(|end| OF_RECORDS.iter().any(|known| end == *known));
        Ok(if has_records { Arc::new(LyingFile(file)) } else { file })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFs.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealFs.sync_dir(dir)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        RealFs.file_len(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealFs.free_bytes(path)
    }
}

impl StoredFile for LyingFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.0.write_at(parts, position)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.0.read_at_nowait(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn drop_cache(&self, position: u64) -> io::Result<()> {
        self.0.drop_cache(position)
    }

    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()> {
        self.0.read_ahead(position, len)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
