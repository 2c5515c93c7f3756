//! 2 GiB of real log lines, shipped and read back by franz-go at the same time, have the digests of the files.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::{real_logs, workshop};

#[test]
fn two_gibibytes_of_real_log_lines_come_back() {
    conformance::run_scenario(Client { name: "real logs", tools: &["go"] }, || {
        let mut command = Command::new(workshop::go("volume")?);
        command.args(real_logs::files());
        Ok(command)
    });
}
