//! The clients of Go: franz-go and Sarama.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

#[test]
fn franz_go() {
    conformance::run_program(Client { name: "franz-go", tools: &["go"] }, || {
        workshop::go("franzgo").map(Command::new)
    });
}

#[test]
fn sarama() {
    conformance::run_program(Client { name: "sarama", tools: &["go"] }, || {
        workshop::go("sarama").map(Command::new)
    });
}
