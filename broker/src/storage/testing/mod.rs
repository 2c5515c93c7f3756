//! For tests only: a file system that fails on purpose, a disk that loses its power, and batches to append.

mod batches;
mod crash;
mod faulty_fs;
mod random;
mod sim_disk;
mod sim_file;
mod sim_tree;

pub use batches::{TestBatch, batch};
pub use faulty_fs::{Fault, FaultyFs, HeldSyncs};
pub use random::Random;
pub use sim_disk::{Lie, SimDisk};
