//! The locks, atomics and memory maps of the code that is checked under every interleaving.
//!
//! In the broker they are the usual ones. The programs in tests/models compile the same source files against types of the
//! same names from loom and shuttle. A file that is modelled takes them from here and from nowhere else.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) use arc_swap::ArcSwapOption;
pub(crate) use memmap2::{MmapOptions, MmapRaw};

/// What a file starts with that grows by doubling; a model starts smaller.
pub(crate) const PAGE_BYTES: usize = 4096;
