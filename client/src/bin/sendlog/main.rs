//! `sendlog`: ships lines to a broker and back, looks after topics, and shows what a broker does.

mod args;
mod consume;
mod demo;
mod error;
mod lines;
mod produce;
mod signals;
mod size;
mod topics;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use error::CliError;
use sendlog_client::ClientConfig;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sendlog: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sendlog: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(args: Args) -> Result<(), CliError> {
    let client = ClientConfig { client_id: "sendlog".to_owned(), ..ClientConfig::new(&args.bootstrap) };
    match args.command {
        Command::Produce(produce) => produce::run(client, produce).await,
        Command::Consume(consume) => consume::run(client, consume).await,
        Command::Topics { action } => topics::run(client, action).await,
        Command::Demo(demo) => demo::run(demo).await,
    }
}
