//! The entry points, which the workspace's tests run too: `tests/tests/inputs_are_survived.rs`.

pub mod entry_points;
