//! [`SimDisk`]: real files, and an account of what of them a power cut would leave.

use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::crash::Crash;
use super::sim_file::SimFile;
use super::sim_tree::{Names, Node, NodeId, Tree};
use crate::storage::files::{FileSystem, OpenMode, RealFs, StoredFile, read_full_at, write_all_at};

/// The files in one folder, so that maps and descriptors work as ever, and a model of the disk below them.
///
/// Only what was synced is sure to be on that disk: content and length of a file by `sync_data`, names by `sync_dir` of their
/// folder. Everything else may be there or not: every sector of 512 bytes and every length holds any of the states that it
/// had since the last sync, every name likewise, all independently of each other; and what was written through a map is there up to any
/// word. [`SimDisk::crash`] makes such a disk, by seed. Renames are atomic, and nothing that was never written appears but zeros.
///
/// Clones are the same disk. Files outside of the folder are passed through.
#[derive(Debug, Clone)]
pub struct SimDisk {
    root: Arc<Path>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    /// Changes and syncs so far.
    operations: u64,
    /// From this one on nothing happens any more; this one itself may have happened in part.
    power_off_at: Option<u64>,
    /// How many syncs from now one fails, and by which seed.
    failing_sync: Option<(u64, u64)>,
    syncs: u64,
    has_sync_failed: bool,
    lie: Option<Lie>,
}

/// A sync that a disk answers and does not make: a test that does not notice is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Content and length of files.
    Files,
    /// Names.
    Folders,
}

struct SimStoredFile {
    file: Arc<dyn StoredFile>,
    node: NodeId,
    /// Every write is durable when it returns.
    is_synchronous: bool,
    state: Arc<Mutex<State>>,
}

/// How a mode is acted out.
struct Acted {
    /// How the real file is opened.
    mode: OpenMode,
    /// Whether every write is durable when it returns. Until then it may be there in part, as any other.
    is_synchronous: bool,
}

impl Acted {
    /// A mode that is new has to be thought about here. One that goes past the page cache is acted out through it.
    fn of(mode: OpenMode) -> Self {
        match mode {
            OpenMode::Read | OpenMode::Write | OpenMode::Create | OpenMode::Replace => {
                Self { mode, is_synchronous: false }
            }
            OpenMode::Direct => Self { mode: OpenMode::Write, is_synchronous: true },
        }
    }
}

fn power_is_off() -> io::Error {
    Errno::IO.into()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// A disk that has what is in the folder, all of it durable. Only files and folders, no links.
    ///
    /// # Errors
    /// The system's.
    pub fn new(root: &Path) -> io::Result<Self> {
        let mut tree = Tree::new();
        load(&mut tree, root, Path::new(""))?;
        let state = State {
            tree,
            operations: 0,
            power_off_at: None,
            failing_sync: None,
            syncs: 0,
            has_sync_failed: false,
            lie: None,
        };
        Ok(Self { root: root.into(), state: Arc::new(Mutex::new(state)) })
    }

    /// Changes and syncs so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.state).operations
    }

    /// Lets `count` more changes and syncs happen. The one after them may happen in part, everything later fails.
    pub fn power_off_after(&self, count: u64) {
        let mut state = lock(&self.state);
        state.power_off_at = Some(state.operations + count);
    }

    /// Whether an operation has found the power off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        let state = lock(&self.state);
        state.power_off_at.is_some_and(|at| at < state.operations)
    }

    /// Lets one sync of a file fail, after `count` that work. What of its changes has reached the disk is chosen by `seed`;
    /// the system takes all of them for written, as Linux does: later syncs succeed, and memory shows what the disk never got
    /// until it is told to forget.
    pub fn fail_sync_after(&self, count: u64, seed: u64) {
        let mut state = lock(&self.state);
        state.failing_sync = Some((state.syncs.saturating_add(count), seed));
    }

    /// From now on the disk answers syncs of this kind, and makes none.
    pub fn lie(&self, lie: Lie) {
        lock(&self.state).lie = Some(lie);
    }

    /// Whether a sync was let fail since this was last asked.
    pub fn take_failed_sync(&self) -> bool {
        std::mem::take(&mut lock(&self.state).has_sync_failed)
    }

    /// Writes into an empty folder what the disk may have if the power goes now. The disk itself stays as it is.
    ///
    /// # Errors
    /// The system's.
    pub fn crash(&self, seed: u64, into: &Path) -> io::Result<()> {
        let state = lock(&self.state);
        let end = state.operations + 1;
        let mut crash = Crash::new(seed, state.tree.first_pending().unwrap_or(end), end);
        let folders = state.tree.after(&mut crash);
        self.materialise(&state.tree, &mut crash, &folders, 0, into)
    }

    fn materialise(
        &self,
        tree: &Tree,
        crash: &mut Crash,
        folders: &[Names],
        folder: NodeId,
        into: &Path,
    ) -> io::Result<()> {
        for (name, node) in &folders[folder] {
            let path = into.join(name);
            match tree.node(*node) {
                Node::Folder => {
                    fs::create_dir(&path)?;
                    self.materialise(tree, crash, folders, *node, &path)?;
                }
                Node::File(file) => {
                    let live = tree.path_of(*node).and_then(|path| fs::read(self.root.join(path)).ok());
                    fs::write(&path, file.after(crash, live.as_deref()))?;
                }
            }
        }
        Ok(())
    }

    /// The path within the folder; none for paths outside.
    fn within<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.root).ok()
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off() { Err(power_is_off()) } else { Ok(()) }
    }

    /// Makes a change of names, in the folder and in the account.
    fn change(
        &self,
        path: &Path,
        real: impl FnOnce() -> io::Result<()>,
        account: impl FnOnce(&mut Tree, u64, &Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(path) = self.within(path) else { return real() };
        lock(&self.state).change(|tree, number| {
            real()?;
            account(tree, number, path)
        })
    }
}

impl State {
    /// Counts and makes a change. The last one before the power went is made too, for it may have reached the disk, and fails.
    fn change<T>(&mut self, make: impl FnOnce(&mut Tree, u64) -> io::Result<T>) -> io::Result<T> {
        let is_last = self.count()?;
        let made = make(&mut self.tree, self.operations)?;
        if is_last { Err(power_is_off()) } else { Ok(made) }
    }

    /// Counts a sync, which does nothing if it is the last operation.
    fn sync(&mut self, make: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if self.count()? { Err(power_is_off()) } else { make(self) }
    }

    /// Whether the power goes during the operation.
    fn count(&mut self) -> io::Result<bool> {
        if self.power_off_at.is_some_and(|at| at < self.operations) {
            return Err(power_is_off());
        }
        let is_last = self.power_off_at == Some(self.operations);
        self.operations += 1;
        Ok(is_last)
    }
}

/// Adds what a folder holds.
fn load(tree: &mut Tree, root: &Path, below: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            tree.add_durable(&path, Node::Folder)?;
            load(tree, root, &path)?;
        } else if kind.is_file() {
            tree.add_durable(&path, Node::File(SimFile::durable(fs::read(entry.path())?)))?;
        }
    }
    Ok(())
}

/// All bytes of a file.
fn content(file: &dyn StoredFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(0)];
    let read = read_full_at(file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

impl FileSystem for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoredFile>> {
        let Some(relative) = self.within(path) else { return RealFs.open(path, mode) };
        self.check_power()?;
        let Acted { mode, is_synchronous } = Acted::of(mode);
        let mut state = lock(&self.state);
        let known = state.tree.find(relative);
        let is_created = known.is_none() && matches!(mode, OpenMode::Create | OpenMode::Replace);
        let file = if is_created || mode == OpenMode::Replace {
            state.change(|tree, number| {
                let file = RealFs.open(path, mode)?;
                match known {
                    None => tree.add(number, relative, Node::File(SimFile::default()))?,
                    Some(node) => tree.file_mut(node).into_iter().for_each(|file| file.resize(number, 0)),
                }
                Ok(file)
            })?
        } else {
            RealFs.open(path, mode)?
        };
        let node = state.tree.find(relative).ok_or(io::ErrorKind::NotFound)?;
        let state = Arc::clone(&self.state);
        Ok(Arc::new(SimStoredFile { file, node, is_synchronous, state }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let real = || RealFs.create_dir(path);
        self.change(path, real, |tree, number, path| tree.add(number, path, Node::Folder))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.check_power()?;
        RealFs.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let new = self.within(to).unwrap_or(to);
        self.change(from, || RealFs.rename(from, to), |tree, number, old| tree.rename(number, old, new))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(path, || RealFs.remove(path), |tree, number, path| tree.remove(number, path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(path, || RealFs.remove_dir(path), |tree, number, path| tree.remove(number, path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let Some(dir) = self.within(dir) else { return RealFs.sync_dir(dir) };
        lock(&self.state).sync(|state| match state.lie {
            Some(Lie::Folders) => Ok(()),
            _ => state.tree.sync(dir),
        })
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.check_power()?;
        RealFs.file_len(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealFs.free_bytes(path)
    }
}

impl SimStoredFile {
    fn change<T>(&self, make: impl FnOnce(&mut SimFile, u64) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        let made = state
            .change(|tree, number| make(tree.file_mut(self.node).ok_or(io::ErrorKind::NotFound)?, number))?;
        if self.is_synchronous {
            self.make_durable(&mut state)?;
        }
        Ok(made)
    }

    fn make_durable(&self, state: &mut State) -> io::Result<()> {
        let live = content(&*self.file)?;
        state.tree.file_mut(self.node).into_iter().for_each(|file| file.sync(&live));
        Ok(())
    }

    fn check_power(&self) -> io::Result<()> {
        let state = lock(&self.state);
        match state.power_off_at {
            Some(at) if at < state.operations => Err(power_is_off()),
            _ => Ok(()),
        }
    }
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

impl StoredFile for SimStoredFile {
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        self.change(|file, number| {
            let written = self.file.write_at(&[IoSlice::new(&bytes)], position)?;
            file.write(number, to_usize(position), bytes[..written].to_vec());
            Ok(written)
        })
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.check_power()?;
        self.file.read_at(buffer, position)
    }

    fn read_at_nowait(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.check_power()?;
        self.file.read_at_nowait(buffer, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        lock(&self.state).sync(|state| {
            let number = state.syncs;
            state.syncs += 1;
            match state.failing_sync {
                Some((at, seed)) if at == number => {
                    let live = content(&*self.file)?;
                    let end = state.operations + 1;
                    let file = state.tree.file_mut(self.node).ok_or(io::ErrorKind::NotFound)?;
                    let mut crash = Crash::new(seed, file.first_pending().unwrap_or(end), end);
                    file.fail_sync(&mut crash, &live);
                    state.has_sync_failed = true;
                    Err(Errno::IO.into())
                }
                _ if state.lie == Some(Lie::Files) => Ok(()),
                _ => self.make_durable(state),
            }
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(|file, number| {
            self.file.allocate(len)?;
            file.resize(number, to_usize(len).max(file.len()));
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.change(|file, number| {
            self.file.truncate(len)?;
            file.resize(number, to_usize(len));
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.check_power()?;
        self.file.size()
    }

    fn drop_cache(&self, position: u64) -> io::Result<()> {
        self.check_power()?;
        let mut state = lock(&self.state);
        let file = state.tree.file_mut(self.node).ok_or(io::ErrorKind::NotFound)?;
        match file.forget(to_usize(position)) {
            Some(bytes) => write_all_at(&*self.file, &mut [IoSlice::new(bytes)], position),
            None => Ok(()),
        }
    }

    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.read_ahead(position, len)
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
