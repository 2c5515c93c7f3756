//! sendlog.

pub mod records;
