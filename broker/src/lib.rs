//! sendlog.
pub mod config;
