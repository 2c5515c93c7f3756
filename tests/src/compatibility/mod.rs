//! Which features of which client are shown to work: `docs/compatibility.md`, made from the results of conformance runs.
//!
//! A run writes its results below `target/conformance/results`, compares its column with the committed table, and fails
//! where they differ; the program `compatibility-table` makes the table anew.

mod features;
mod results;
mod table;

pub use features::{CLIENTS, Section, sections};
pub use results::{Column, Results};
pub use table::{Table, path};
