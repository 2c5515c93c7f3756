//! For tests only: a file system that fails on purpose, a disk that loses its power, batches to append, index files of any bytes.

mod batches;
mod crash;
mod faulty_fs;
mod index_input;
mod journal_input;
mod random;
mod sim_disk;
mod sim_file;
mod sim_tree;

pub use batches::{TestBatch, batch};
pub use faulty_fs::{Fault, FaultyFs, HeldSyncs};
pub use index_input::load_index;
pub use journal_input::load_journal;
pub use random::Random;
pub use sim_disk::{Lie, SimDisk};
