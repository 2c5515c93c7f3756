//! The locks and atomics of the code that is checked under every interleaving.
//!
//! In the broker they are the standard library's. A model compiles the same source file against types of the same names
//! from loom or shuttle. A file that is modelled takes them from here and from nowhere else.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
