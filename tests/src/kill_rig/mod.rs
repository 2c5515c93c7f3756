//! Kills a real broker and looks at what is left: `cargo run -p sendlog-tests --bin kill-rig -- --help`.
//!
//! [`random_kills`] kills at random moments under load, [`every_call`] before each system call that changes a file. Both
//! record a history and ask the [checker](crate::checker); `docs/testing.md` says what they print.

pub mod every_call;
mod failures;
mod look;
mod plan;
pub mod random_kills;
mod shipper;
mod traced_broker;

pub use failures::Failures;
pub use plan::Scratch;
