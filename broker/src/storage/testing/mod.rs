//! For tests only: a file system that fails on purpose.

mod faulty_fs;

pub use faulty_fs::{Fault, FaultyFs};
