//! Groups with the official client of Rust, confluent-kafka, and what it writes and reads.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

#[test]
fn confluent_kafka_rust() {
    let client = Client { name: "confluent-kafka-rust", tools: &["cargo"] };
    conformance::run_groups(client, || workshop::rust().map(Command::new));
}
