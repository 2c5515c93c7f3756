//! The program `broker`: arguments, configuration, [`server::run`] or a subcommand, exit code.

use std::fmt::Display;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sendlog_broker::clock::SystemClock;
use sendlog_broker::command::{Command, Task};
use sendlog_broker::config::{Args, Config, LogFormat};
use sendlog_broker::storage::files::RealFs;
use sendlog_broker::{adopt, check, server};
use tracing_subscriber::filter::LevelFilter;

/// A mistake in the arguments or the configuration.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let command = Command::parse();
    match command.task {
        None => serve(&command.serve),
        Some(Task::Adopt(args)) => end(adopt::run(&args, &SystemClock, &mut io::stdout())),
        Some(Task::Check(args)) => ExitCode::from(check::run(&args)),
    }
}

/// The exit code of a command that has said all else.
fn end(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args) -> ExitCode {
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("broker: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    start_logging(&config);
    end(server::run(config, Arc::new(RealFs)))
}

/// Logs go to stderr; stdout has the start message only.
fn start_logging(config: &Config) {
    let level = LevelFilter::from_level(config.log_level);
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Human => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
