//! Kills a real broker: `cargo run -p sendlog-tests --bin kill-rig -- --help`; docs/testing.md says what it shows.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sendlog_tests::kill_rig::{Scratch, every_call, random_kills};

/// Kills a broker under load, starts it again, reads everything, and checks the whole history of what its clients saw.
///
/// Without --every-call: kill -9 at random moments. 15 producers (idempotent, plain with acks=1, and repeating) send batches of
/// 100 bytes to 200 KiB to five partitions with small segments; five readers follow; records are deleted; one start in four is
/// killed too. Prints violations, then one line of JSON. Ends with 0 if nothing was wrong.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Kills under load.
    #[arg(long, default_value_t = 500)]
    kills: u64,
    /// Sizes, counts and moments follow from it; what the machine makes of them does not.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ends after this time, whatever was reached.
    #[arg(long, default_value_t = 1200)]
    seconds: u64,
    /// Kill before each system call that changes a file instead, on a small workload, until one run completes (needs strace).
    #[arg(long)]
    every_call: bool,
    /// With --every-call: at most so many kills for every group of calls, spread ever wider.
    #[arg(long, value_name = "N")]
    points: Option<u64>,
    /// The control: cut half of a log off after this kill. The rig has to complain, and end with 1.
    #[arg(long, value_name = "KILL")]
    sabotage: Option<u64>,
    /// A setting of the broker.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Data directory to make and keep; else a temporary one.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Keep the history there.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> std::io::Result<bool> {
    let scratch = Scratch::create()?;
    let limit = Duration::from_secs(options.seconds);
    let settings = options.settings.clone();
    let (seed, progress) = (options.seed, true);
    let is_clean = if options.every_call {
        let chosen = every_call::Options { seed, points_max: options.points, limit, settings, progress };
        let Some(summary) = every_call::run(&chosen, &scratch)? else { return Ok(false) };
        println!("{summary}");
        summary.is_clean()
    } else {
        let (kills, data_dir) = (options.kills, options.data_dir.clone());
        let chosen = random_kills::Options {
            kills,
            limit,
            seed,
            data_dir,
            settings,
            sabotage: options.sabotage,
            progress,
        };
        let summary = random_kills::run(&chosen, &scratch)?;
        println!("{summary}");
        summary.is_clean()
    };
    if let Some(path) = &options.history {
        scratch.keep("history", path)?;
    }
    Ok(is_clean)
}
