//! The bench's command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

/// Measures a broker against the floors of this machine: a bare sendfile loop, a bare append + fdatasync server, the bare
/// disk. Everything that is compared runs interleaved in one invocation; figures are medians with ranges.
#[derive(Parser, Debug)]
#[command(name = "bench", max_term_width = 100)]
pub struct Options {
    /// What to measure.
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// The broker's binary [default: `broker` beside this program, built with --release].
    #[arg(long)]
    pub broker: Option<PathBuf>,
    /// KEY=VALUE passed on to the broker as --set; may be repeated.
    #[arg(long)]
    pub set: Vec<String>,
    /// Measure this running Kafka-protocol broker: alone, or interleaved with the one named by --broker.
    #[arg(long)]
    pub address: Option<SocketAddr>,
    /// PID of the broker at --address, for its CPU time and memory.
    #[arg(long, requires = "address")]
    pub pid: Option<u32>,
    /// What to call the broker at --address.
    #[arg(long, default_value = "other")]
    pub name: String,
    /// Runs of everything, interleaved.
    #[arg(long, default_value_t = 5)]
    pub runs: u32,
    /// Measured seconds per run of closed loops; open loops take five times that.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Data of the scenarios memory (target: 10) and restart (target: 4), in GiB; fetch takes at most 1.
    #[arg(long, default_value_t = 1.0)]
    pub gib: f64,
    /// Size of a record's value in the batches.
    #[arg(long, default_value_t = 1024)]
    pub record_bytes: usize,
    /// Records a second of the open loops latency and end-to-end; their targets are for the default.
    #[arg(long, default_value_t = 1000.0)]
    pub rate: f64,
    /// TCP congestion control of clients, floors and started brokers [default: the machine's].
    #[arg(long)]
    pub congestion: Option<String>,
    /// Memory kept for the page cache to grow into while producing; 0 for none.
    #[arg(long, default_value_t = 2.0)]
    pub pool_gib: f64,
    /// Where temporary data directories are made: the disk that is measured [default: the system's].
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Write the raw figures there (docs/performance.md has the format).
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// What can be measured; docs/performance.md says how.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Everything below, in this order.
    All,
    /// Start of the process to the first answered request.
    Ready,
    /// Fetch of warm data against a bare sendfile loop and --no-sendfile.
    Fetch,
    /// Produce over one connection against bare append + fdatasync.
    Produce,
    /// 64 connections against one: what group commit gains.
    Connections,
    /// Open-loop produce against the bare disk.
    Latency,
    /// Produced to consumed, open loop.
    EndToEnd,
    /// Rounds over 256 active partitions.
    Partitions,
    /// The commit journal against syncing segments.
    Journal,
    /// What the sync before the acknowledgement costs.
    Durability,
    /// Resident memory idle, after load, with more and more readers.
    Memory,
    /// Start after kill -9 with much data.
    Restart,
    /// 5,000 topics: creation, memory, restart.
    Topics,
    /// 10,000 partitions by one request: creation, memory, Metadata answers, restart.
    Metadata,
    /// 1,000 groups that commit offsets; rebalances of 100 members.
    Groups,
    /// A topic of --gib is compacted, while another one is read.
    Compaction,
}

impl Options {
    /// For the head of the report.
    pub fn to_json(&self) -> Value {
        json!({
            "scenario": self.scenario.to_possible_value().map(|value| value.get_name().to_owned()),
            "broker": self.broker, "set": self.set, "address": self.address, "name": self.name, "runs": self.runs,
            "seconds": self.seconds, "gib": self.gib, "record_bytes": self.record_bytes, "rate": self.rate,
            "congestion": self.congestion, "pool_gib": self.pool_gib,
        })
    }
}
