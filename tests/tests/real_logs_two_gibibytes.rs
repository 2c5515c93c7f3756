//! 2 GiB of real log lines, shipped and read back by a real client, have the digests of the files.

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::real_logs;

#[test]
fn two_gibibytes_of_real_log_lines_come_back() {
    conformance::run_program(Client { name: "real logs", tools: &["python3"] }, || {
        real_logs::program("volume")
    });
}
