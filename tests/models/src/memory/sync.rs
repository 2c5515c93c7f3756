//! Loom's atomics, and models of shared pointers and memory maps, under the names of the broker's `crate::sync`.

pub(crate) use std::sync::atomic::Ordering;

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{self, Inode};
use crate::planted::{Planted, is_planted};

/// Two entries of two words: growth comes early.
pub(crate) const PAGE_BYTES: usize = 16;

/// A count.
#[derive(Debug)]
pub(crate) struct AtomicUsize(loom::sync::atomic::AtomicUsize);

impl AtomicUsize {
    pub(crate) fn new(value: usize) -> Self {
        Self(loom::sync::atomic::AtomicUsize::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> usize {
        self.0.load(if is_planted(Planted::RelaxedLook) { Ordering::Relaxed } else { order })
    }

    pub(crate) fn store(&self, value: usize, order: Ordering) {
        self.0.store(value, if is_planted(Planted::RelaxedPublish) { Ordering::Relaxed } else { order });
    }
}

/// A word of a file. Every map of the file is a slice of the same ones.
#[derive(Debug)]
pub(crate) struct AtomicU32 {
    word: loom::sync::atomic::AtomicU32,
    /// The file reaches as far as here; elsewhere the system sends SIGBUS.
    pub(crate) is_backed: AtomicBool,
}

impl AtomicU32 {
    pub(crate) fn new(value: u32) -> Self {
        Self { word: loom::sync::atomic::AtomicU32::new(value), is_backed: AtomicBool::new(false) }
    }

    pub(crate) fn load(&self, order: Ordering) -> u32 {
        let value = self.word.load(order);
        self.check();
        value
    }

    pub(crate) fn store(&self, value: u32, order: Ordering) {
        self.word.store(value, order);
        self.check();
    }

    fn check(&self) {
        assert!(self.is_backed.load(Ordering::Relaxed), "SIGBUS: a word behind the end of the file");
    }
}

/// A shared pointer that is swapped as a whole, as the arc-swap crate promises it: every load sees the last store
/// and all that came before it.
#[derive(Debug)]
pub(crate) struct ArcSwapOption<T> {
    order: loom::sync::atomic::AtomicUsize,
    value: Mutex<Option<Arc<T>>>,
}

impl<T> ArcSwapOption<T> {
    pub(crate) fn empty() -> Self {
        Self { order: loom::sync::atomic::AtomicUsize::new(0), value: Mutex::new(None) }
    }

    pub(crate) fn load_full(&self) -> Option<Arc<T>> {
        // One operation to loom: it interrupts before the atomic and not behind it.
        self.order.fetch_add(0, Ordering::Acquire);
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn store(&self, new: Option<Arc<T>>) {
        self.order.fetch_add(1, Ordering::AcqRel);
        let old = std::mem::replace(&mut *self.value.lock().unwrap_or_else(PoisonError::into_inner), new);
        drop(old);
    }

    pub(crate) fn compare_and_swap(&self, current: &Option<Arc<T>>, new: Option<Arc<T>>) {
        self.order.fetch_add(1, Ordering::AcqRel);
        let mut value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = match (&*value, current) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        if is_current {
            *value = new;
        }
    }
}

/// As of the memmap2 crate.
pub(crate) struct MmapOptions(usize);

impl MmapOptions {
    pub(crate) fn new() -> Self {
        Self(0)
    }

    pub(crate) fn len(&mut self, bytes: usize) -> &mut Self {
        self.0 = bytes;
        self
    }

    pub(crate) fn map_raw(&self, fd: RawFd) -> io::Result<MmapRaw> {
        Ok(MmapRaw(disk::inode(fd)))
    }

    pub(crate) fn map_raw_read_only(&self, fd: RawFd) -> io::Result<MmapRaw> {
        self.map_raw(fd)
    }
}

/// As of the memmap2 crate.
#[derive(Debug)]
pub(crate) struct MmapRaw(Arc<Inode>);

impl MmapRaw {
    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.0.words.as_ptr().cast()
    }
}
