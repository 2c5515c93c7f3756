//! Real log files shipped line by line by a real client come back byte for byte, in every codec.

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::real_logs;

#[test]
fn real_logs_come_back_byte_for_byte() {
    conformance::run_scenario(Client { name: "real logs", tools: &["python3"] }, || {
        real_logs::program("round-trip")
    });
}
