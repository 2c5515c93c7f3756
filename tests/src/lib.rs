//! sendlog.
