//! sendlog's benches: `cargo run --release -p sendlog-tests --bin bench -- --help`; docs/performance.md has the method.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::bench::Bench;
use crate::floor::FloorOptions;
use crate::machine::Load;
use crate::options::{Options, Scenario};
use crate::report::Report;

mod admin;
mod batch;
mod bench;
mod connection;
mod contender;
mod flexible;
mod floor;
mod load;
mod machine;
mod meter;
mod options;
mod pool;
mod process;
mod report;
mod request;
mod samples;
mod scenario;
mod server;
mod wire;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let result = if std::env::args_os().nth(1).is_some_and(|argument| argument == "floor") {
        arguments.next();
        FloorOptions::parse_from(arguments).serve().map(|()| ExitCode::SUCCESS)
    } else {
        run(Options::parse())
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn run(options: Options) -> std::io::Result<ExitCode> {
    let json = options.json.clone();
    let bench = Bench::new(options)?;
    let mut report = Report::new(bench.options.to_json());
    let chosen = match bench.options.scenario {
        Scenario::All => scenario::ORDER.to_vec(),
        one => vec![one],
    };
    let mut code = ExitCode::SUCCESS;
    for scenario in chosen {
        let name = scenario.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let before = Load::read();
        match scenario::run(scenario, &bench) {
            Ok(cases) => report.add(&name, &before, &cases),
            Err(error) => {
                eprintln!("\n{name}: error: {error}");
                code = ExitCode::FAILURE;
            }
        }
        // After each scenario: what was measured survives a later failure.
        if let Some(path) = &json {
            report.save(path)?;
        }
    }
    Ok(code)
}
