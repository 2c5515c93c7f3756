//! A disk in memory whose files can be mapped. Every call is one step that sees all earlier ones, as the locks of a
//! kernel see to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use crate::sync::AtomicU32;

/// Words of the largest file.
const WORDS_MAX: usize = 32;
const WORD_BYTES: usize = 4;

/// As `storage/files.rs` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IoMode {
    NoWait,
    Blocking,
}

/// As `storage/files.rs` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    Read,
    Create,
    Replace,
}

/// The part of `storage/files.rs` that an index needs.
pub(crate) trait FileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoredFile>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// The part of `storage/files.rs` that an index needs.
pub(crate) trait StoredFile {
    fn write_at(&self, bytes: &[u8]);
    fn sync_data(&self) -> io::Result<()>;
    fn allocate(&self, len: u64) -> io::Result<()>;
    fn truncate(&self, len: u64) -> io::Result<()>;
    fn size(&self) -> io::Result<u64>;
    fn as_fd(&self) -> Descriptor;
}

/// As `storage/files.rs` has it; for whole files.
pub(crate) fn write_all_at(
    file: &dyn StoredFile,
    parts: &mut [IoSlice<'_>],
    position: u64,
) -> io::Result<()> {
    assert_eq!((parts.len(), position), (1, 0), "an index is written as a whole");
    file.write_at(&parts[0]);
    Ok(())
}

/// Names a file that can be mapped.
pub(crate) struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A file without a name.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(crate) words: Vec<AtomicU32>,
    number: RawFd,
}

thread_local! {
    /// All files of the present run, which is all on one thread.
    static INODES: RefCell<Vec<Arc<Inode>>> = const { RefCell::new(Vec::new()) };
}

/// The file of a descriptor.
pub(crate) fn inode(fd: RawFd) -> Arc<Inode> {
    INODES.with_borrow(|inodes| Arc::clone(&inodes[usize::try_from(fd).expect("one of ours")]))
}

impl Inode {
    fn create() -> Arc<Self> {
        INODES.with_borrow_mut(|inodes| {
            let number = RawFd::try_from(inodes.len()).expect("few files");
            let words = (0..WORDS_MAX).map(|_| AtomicU32::new(0)).collect();
            let inode = Arc::new(Self { words, number });
            inodes.push(Arc::clone(&inode));
            inode
        })
    }

    fn len(&self) -> usize {
        self.words.iter().filter(|word| word.is_backed.load(Ordering::Relaxed)).count() * WORD_BYTES
    }

    fn set_len(&self, bytes: usize) {
        for (at, word) in self.words.iter().enumerate() {
            let is_backed = at * WORD_BYTES < bytes;
            if is_backed && !word.is_backed.swap(is_backed, Ordering::Relaxed) {
                word.store(0, Ordering::Relaxed);
            }
            word.is_backed.store(is_backed, Ordering::Relaxed);
        }
    }
}

/// Names and files.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Kernel>);

#[derive(Debug)]
struct Kernel {
    order: loom::sync::atomic::AtomicUsize,
    names: Mutex<HashMap<PathBuf, Arc<Inode>>>,
}

struct OpenFile(Arc<Kernel>, Arc<Inode>);

impl Disk {
    /// An empty disk; files of earlier runs are forgotten.
    pub(crate) fn new() -> Self {
        INODES.with_borrow_mut(Vec::clear);
        let order = loom::sync::atomic::AtomicUsize::new(0);
        Self(Arc::new(Kernel { order, names: Mutex::default() }))
    }

    pub(crate) fn len(&self, path: &Path) -> usize {
        self.0.call();
        self.0.names.lock().expect("no panic")[path].len()
    }
}

impl Kernel {
    /// A system call: one step.
    fn call(&self) {
        self.order.fetch_add(1, Ordering::AcqRel);
    }
}

impl FileSystem for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StoredFile>> {
        self.0.call();
        let mut names = self.0.names.lock().expect("no panic");
        let inode = match (mode, names.get(path)) {
            (OpenMode::Read, None) => return Err(io::ErrorKind::NotFound.into()),
            (OpenMode::Create | OpenMode::Replace, None) => {
                let inode = Inode::create();
                names.insert(path.to_owned(), Arc::clone(&inode));
                inode
            }
            (OpenMode::Replace, Some(inode)) => {
                inode.set_len(0);
                Arc::clone(inode)
            }
            (_, Some(inode)) => Arc::clone(inode),
        };
        Ok(Arc::new(OpenFile(Arc::clone(&self.0), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.call();
        let mut names = self.0.names.lock().expect("no panic");
        let inode = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), inode);
        Ok(())
    }
}

impl StoredFile for OpenFile {
    fn write_at(&self, bytes: &[u8]) {
        self.0.call();
        self.1.set_len(self.1.len().max(bytes.len()));
        for (word, bytes) in self.1.words.iter().zip(bytes.chunks_exact(WORD_BYTES)) {
            word.store(u32::from_ne_bytes(bytes.try_into().expect("four")), Ordering::Relaxed);
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.0.call();
        let len = usize::try_from(len).expect("small files");
        assert!(len <= WORDS_MAX * WORD_BYTES, "the model's files are too small");
        self.1.set_len(self.1.len().max(len));
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.call();
        self.1.set_len(usize::try_from(len).expect("small files"));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.0.call();
        Ok(self.1.len() as u64)
    }

    fn as_fd(&self) -> Descriptor {
        Descriptor(self.1.number)
    }
}
