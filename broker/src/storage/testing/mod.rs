//! For tests only: a file system that fails on purpose, and batches to append.

mod batches;
mod faulty_fs;

pub use batches::{TestBatch, batch};
pub use faulty_fs::{Fault, FaultyFs};
