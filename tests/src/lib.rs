//! What the tests share: a broker process under control, raw frames to send it, and the programs that drive it with
//! real Kafka clients.
//!
//! Everything here waits for an event (a line of output, the end of a process, bytes on a socket) with a deadline that
//! is only there to end a broken test. Nothing sleeps, no port is fixed, and no test depends on how long something took.

pub mod broker;
pub mod broker_binary;
pub mod conformance;
pub mod output;
pub mod process;
pub mod raw_connection;
pub mod real_logs;
pub mod stored_codecs;
pub mod target;
pub mod workshop;

pub use broker::{Broker, BrokerOptions, StartFailure};
pub use raw_connection::{RawConnection, RawRequest};
