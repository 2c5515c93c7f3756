//! What the tests share: a broker process under control, raw frames to send it, and the programs that drive it with
//! real Kafka clients.
//!
//! Everything here waits for an event (a line of output, the end of a process, bytes on a socket) with a deadline that
//! is only there to end a broken test. Nothing sleeps, no port is fixed, and no test depends on how long something took.

pub mod batches;
pub mod broker;
pub mod broker_binary;
pub mod canary;
pub mod checker;
pub mod classic_member;
pub mod compatibility;
pub mod conformance;
pub mod crash_rig;
pub mod damaged_directory;
pub mod data_check;
pub mod data_files;
pub mod differential;
pub mod dump_tool;
pub mod embedded;
pub mod every_request;
pub mod fake_clock;
pub mod kafka;
pub mod keyed;
pub mod kill_rig;
pub mod ledger;
pub mod lying_files;
pub mod offsets;
pub mod output;
pub mod page_cache;
pub mod planted_damage;
pub mod process;
pub mod raw_connection;
pub mod real_kafka;
pub mod real_logs;
pub mod sample_batches;
pub mod scratch_disk;
pub mod share_member;
pub mod stored_codecs;
pub mod strace;
pub mod syscall_trace;
pub mod target;
pub mod vitals;
pub mod wire_client;
pub mod wire_requests;
pub mod workshop;

pub use broker::{Broker, BrokerOptions, StartFailure};
pub use kafka::Kafka;
pub use raw_connection::{RawConnection, RawRequest};
