//! Checks a history: `cargo run --release -p sendlog-tests --bin checker -- --help`; docs/testing.md has the format.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use sendlog_tests::checker::model::{self, Plan};
use sendlog_tests::checker::{Checker, CheckerOptions, History, HistoryError, Report};

/// Finds what a log must never do in what its clients saw.
///
/// Prints every violation (the first 20 of each rule), then one line of JSON with the figures. Ends with 0 if there is none,
/// with 1 if there are some or the history cannot be read.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a history file.
    Check {
        /// The file.
        history: PathBuf,
        /// The history need not end with a look at everything.
        #[arg(long)]
        partial: bool,
    },
    /// Write the history of a model broker, sane, to try the checker on.
    Generate {
        /// A new file.
        history: PathBuf,
        /// How many records are sent, about.
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
        /// Records in a batch, at most.
        #[arg(long, default_value_t = 1)]
        records_per_batch: u32,
        /// The same seed gives the same history.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Check { history, partial } => check(&history, partial),
        Command::Generate { history, records, records_per_batch, seed } => {
            let batches = records * 2 / (u64::from(records_per_batch) + 1);
            let steps_between_crashes = u32::try_from(records).unwrap_or(u32::MAX).max(10_000);
            let plan =
                Plan { seed, batches, records_max: records_per_batch, steps_between_crashes, fault: None };
            generate(&history, &plan)
                .map(|()| true)
                .map_err(|error| format!("{}: {error}", history.display()))
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path, partial: bool) -> Result<bool, String> {
    let started = Instant::now();
    let report = read_and_check(path, partial).map_err(|error| error.to_string())?;
    println!("{report}");
    let memory = peak_memory_mib().map_or_else(String::new, |mib| format!(", {mib} MiB of memory at most"));
    eprintln!("{} events in {:.1} s{memory}", report.events, started.elapsed().as_secs_f64());
    Ok(report.is_clean())
}

fn read_and_check(path: &Path, partial: bool) -> Result<Report, HistoryError> {
    let mut checker = Checker::new(CheckerOptions { all_read_again: !partial });
    for event in History::open(path)? {
        let (number, event) = event?;
        checker.observe(number, &event);
    }
    Ok(checker.verdict())
}

fn generate(path: &Path, plan: &Plan) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    writeln!(file, "sendlog-history 1 {}", plan.seed)?;
    let mut result = Ok(());
    model::play(plan, &mut |_, event| {
        if result.is_ok() {
            result = writeln!(file, "{event}");
        }
    });
    result?;
    file.flush()
}

/// Of this process, where the kernel says so.
fn peak_memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}
