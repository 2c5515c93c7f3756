//! One file per scenario. Each returns its cases; main prints them.

use std::io;

use crate::bench::Bench;
use crate::options::Scenario;
use crate::report::Case;

mod compaction;
mod connections;
mod durability;
mod end_to_end;
mod fetch;
mod groups;
mod journal;
mod latency;
mod loops;
mod memory;
mod metadata;
mod partitions;
mod produce;
mod ready;
mod restart;
mod topics;

/// All, in the order in which `all` runs them.
pub const ORDER: [Scenario; 15] = [
    Scenario::Ready,
    Scenario::Fetch,
    Scenario::Produce,
    Scenario::Connections,
    Scenario::Latency,
    Scenario::EndToEnd,
    Scenario::Partitions,
    Scenario::Journal,
    Scenario::Durability,
    Scenario::Memory,
    Scenario::Restart,
    Scenario::Topics,
    Scenario::Metadata,
    Scenario::Groups,
    Scenario::Compaction,
];

/// Runs one scenario.
pub fn run(scenario: Scenario, bench: &Bench) -> io::Result<Vec<Case>> {
    match scenario {
        Scenario::All => Ok(Vec::new()),
        Scenario::Ready => ready::run(bench),
        Scenario::Memory => memory::run(bench),
        Scenario::Fetch => fetch::run(bench),
        Scenario::Produce => produce::run(bench),
        Scenario::Connections => connections::run(bench),
        Scenario::Latency => latency::run(bench),
        Scenario::EndToEnd => end_to_end::run(bench),
        Scenario::Partitions => partitions::run(bench),
        Scenario::Journal => journal::run(bench),
        Scenario::Durability => durability::run(bench),
        Scenario::Restart => restart::run(bench),
        Scenario::Topics => topics::run(bench),
        Scenario::Metadata => metadata::run(bench),
        Scenario::Groups => groups::run(bench),
        Scenario::Compaction => compaction::run(bench),
    }
}

/// What a scenario that starts brokers says when it has none to start.
fn skipped(name: &str) -> Vec<Case> {
    let mut case = Case::new(name);
    case.note("skipped: it starts and stops the broker itself, name the binary with --broker");
    vec![case]
}
