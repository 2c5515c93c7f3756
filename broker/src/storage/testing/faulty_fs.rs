//! [`FaultyFs`]: the real file system, except that chosen operations fail, or take their time.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use crate::storage::files::{FileSystem, OpenMode, RealFs, StoredFile};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error.
    Eio,
    /// The disk is full: operations that take space fail, others work.
    Enospc,
    /// A write takes only half of its bytes, and the next one fails with "no space". Other operations work.
    ShortWrite,
    /// Too many files are open: nothing can be opened, and for that no folder synced.
    Emfile,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    fault: Fault,
    /// Number of the first operation that fails, counted from 0.
    first: u64,
    /// How many fail from there on.
    count: u64,
}

#[derive(Debug, Default)]
struct State {
    plan: Mutex<Option<Plan>>,
    operations: AtomicU64,
    faults: AtomicU64,
    gate: Mutex<Gate>,
    moved: Condvar,
}

/// Where syncs of files wait while the disk is slow.
#[derive(Debug, Default)]
struct Gate {
    is_shut: bool,
    waiting: usize,
}

/// A disk that does not finish a sync of a file until this is dropped.
#[derive(Debug)]
pub struct HeldSyncs {
    state: Arc<State>,
}

impl HeldSyncs {
    /// Returns when so many syncs have begun and wait.
    pub fn until_waiting(&self, count: usize) {
        let mut gate = self.state.lock_gate();
        while gate.waiting < count {
            gate = self.state.moved.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.state.lock_gate().is_shut = false;
        self.state.moved.notify_all();
    }
}

/// What an operation needs, and so which faults it is open to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    TakesSpace,
    /// Opens a file, and takes space for it.
    Creates,
    Opens,
    Other,
}

/// Passes everything to [`RealFs`], counts the operations, and lets those fail that the plan names.
#[derive(Debug, Clone, Default)]
pub struct FaultyFs {
    state: Arc<State>,
}

struct FaultyFile {
    file: Arc<dyn StoredFile>,
    state: Arc<State>,
}

impl FaultyFs {
    /// Without a plan: everything works.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, lets `count` operations fail after `first` ones that work.
    pub fn fail(&self, fault: Fault, first: u64, count: u64) {
        self.state.operations.store(0, Ordering::SeqCst);
        self.state.faults.store(0, Ordering::SeqCst);
        *self.state.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(Plan { fault, first, count });
    }

    /// Everything works again.
    pub fn heal(&self) {
        *self.state.plan.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on no sync of a file ends, until the result is dropped.
    #[must_use]
    pub fn hold_syncs(&self) -> HeldSyncs {
        self.state.lock_gate().is_shut = true;
        HeldSyncs { state: Arc::clone(&self.state) }
    }

    /// Operations that failed on purpose since [`FaultyFs::fail`].
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.state.faults.load(Ordering::SeqCst)
    }

    /// Operations since the start or [`FaultyFs::fail`].
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state.operations.load(Ordering::SeqCst)
    }
}

impl State {
    /// The fault that this operation gets; counts it. Behind a short write, "no space" follows.
    fn next(&self, kind: Kind) -> Option<Fault> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        let plan = (*self.plan.lock().unwrap_or_else(PoisonError::into_inner))?;
        if number < plan.first || plan.first.saturating_add(plan.count) <= number {
            return None;
        }
        let hits = match plan.fault {
            Fault::Eio => true,
            Fault::Enospc => matches!(kind, Kind::Write | Kind::TakesSpace | Kind::Creates),
            Fault::ShortWrite => kind == Kind::Write,
            Fault::Emfile => matches!(kind, Kind::Creates | Kind::Opens),
        };
        if !hits {
            return None;
        }
        let is_first = self.faults.fetch_add(1, Ordering::SeqCst) == 0;
        Some(if plan.fault == Fault::ShortWrite && !is_first { Fault::Enospc } else { plan.fault })
    }

    fn lock_gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_gate(&self) {
        let mut gate = self.lock_gate();
        gate.waiting += 1;
        self.moved.notify_all();
        while gate.is_shut {
            gate = self.moved.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.waiting -= 1;
    }

    fn pass(&self, kind: Kind) -> io::Result<()> {
        match self.next(kind) {
            None => Ok(()),
            Some(Fault::Eio) => Err(Errno::IO.into()),
            Some(Fault::Enospc | Fault::ShortWrite) => Err(Errno::NOSPC.into()),
            Some(Fault::Emfile) => Err(Errno::MFILE.into()),
        }
    }
}

impl FileSystem for FaultyFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoredFile>> {
        let takes_space = matches!(mode, OpenMode::Create | OpenMode::Replace);
        self.state.pass(if takes_space { Kind::Creates } else { Kind::Opens })?;
        let file = RealFs.open(path, mode)?;
        Ok(Arc::new(FaultyFile { file, state: Arc::clone(&self.state) }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.state.pass(Kind::TakesSpace)?;
        RealFs.create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.state.pass(Kind::Read)?;
        RealFs.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state.pass(Kind::TakesSpace)?;
        RealFs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state.pass(Kind::Other)?;
        RealFs.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.state.pass(Kind::Other)?;
        RealFs.remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.state.pass(Kind::Opens)?;
        RealFs.sync_dir(dir)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.state.pass(Kind::Read)?;
        RealFs.file_len(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.state.pass(Kind::Read)?;
        RealFs.free_bytes(path)
    }
}

impl StoredFile for FaultyFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        match self.state.next(Kind::Write) {
            None => self.file.write_at(parts, position),
            Some(Fault::Eio | Fault::Emfile) => Err(Errno::IO.into()),
            Some(Fault::Enospc) => Err(Errno::NOSPC.into()),
            Some(Fault::ShortWrite) => self.write_half(parts, position),
        }
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.state.pass(Kind::Read)?;
        self.file.read_at(buffer, position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.state.pass(Kind::Read)?;
        self.file.read_at_nowait(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state.pass(Kind::Other)?;
        self.state.pass_gate();
        self.file.sync_data()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.state.pass(Kind::TakesSpace)?;
        self.file.allocate(len)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.state.pass(Kind::Other)?;
        self.file.truncate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.state.pass(Kind::Read)?;
        self.file.size()
    }

    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.read_ahead(position, len)
    }

    fn drop_cache(&self, position: u64) -> io::Result<()> {
        self.state.pass(Kind::Other)?;
        self.file.drop_cache(position)
    }

    fn forget(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.forget(position, len)
    }

    fn without_read_ahead(&self) -> io::Result<()> {
        self.file.without_read_ahead()
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl FaultyFile {
    fn write_half(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if all.len() < 2 {
            return Err(Errno::NOSPC.into());
        }
        self.file.write_at(&[IoSlice::new(&all[..all.len() / 2])], position)
    }
}
