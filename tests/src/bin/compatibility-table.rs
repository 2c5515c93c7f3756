//! Makes `docs/compatibility.md` from the results of the conformance runs: `cargo run -p sendlog-tests --bin compatibility-table`.

use std::fs;
use std::process::ExitCode;

use sendlog_tests::compatibility::{Results, Table, path};

fn main() -> ExitCode {
    let made = Results::read_all().and_then(|results| Table::render(&results));
    match made.and_then(|text| fs::write(path(), text).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
