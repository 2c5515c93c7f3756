//! For tests only: a file system that fails on purpose, batches to append, and index files of any bytes.

mod batches;
mod faulty_fs;
mod index_input;

pub use batches::{TestBatch, batch};
pub use faulty_fs::{Fault, FaultyFs};
pub use index_input::load_index;
