//! What the two programs share: how they are called.

use clap::Parser;

/// Multiplies the runs of every scenario: the long form of the tests.
pub const FACTOR_VARIABLE: &str = "SENDLOG_MODEL_FACTOR";

/// Runs the broker's own code under interleavings of a model's choice. Exits with 0 if every run held, and prints what
/// did not and how to repeat it otherwise.
#[derive(Debug, Parser)]
pub struct Options {
    /// Scenario to run; all of them by default
    pub scenario: Option<String>,
    /// Prints the scenarios, and the faults that can be planted in each
    #[arg(long)]
    pub list: bool,
    /// Breaks the code in this way: the run must fail
    #[arg(long)]
    pub planted: Option<String>,
    /// Multiplies the number of runs
    #[arg(long, default_value_t = 1, env = FACTOR_VARIABLE)]
    pub factor: usize,
    /// Seed of the random interleavings
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Repeats the one interleaving that a failure has printed
    #[arg(long)]
    pub replay: Option<String>,
}
