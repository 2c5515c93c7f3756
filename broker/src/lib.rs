//! sendlog.

pub mod storage;
