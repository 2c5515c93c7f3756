//! The program `broker`: arguments, then a command or configuration and [`server::run`], exit code.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use sendlog_broker::command::{Cli, Command};
use sendlog_broker::config::{Args, Config, LogFormat};
use sendlog_broker::{check, server};
use tracing_subscriber::filter::LevelFilter;

/// A mistake in the arguments or the configuration.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        None => serve(&cli.serve),
        Some(Command::Check(args)) => ExitCode::from(check::run(&args)),
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
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broker: {error}");
            ExitCode::FAILURE
        }
    }
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
