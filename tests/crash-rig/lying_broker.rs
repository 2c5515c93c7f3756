//! The broker on [`LyingFs`]: it acknowledges what is not on the disk. Never to be used for anything but the control of
//! the crash rig, which fails when it does not find this out.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use sendlog_broker::config::{Args, Config};
use sendlog_broker::server;
use sendlog_tests::lying_files::LyingFs;

fn main() -> ExitCode {
    let ended = Config::load(&Args::parse()).map_err(|error| error.to_string());
    let ended =
        ended.and_then(|config| server::run(config, Arc::new(LyingFs)).map_err(|error| error.to_string()));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lying-broker: {error}");
            ExitCode::FAILURE
        }
    }
}
