//! The official client of Rust, confluent-kafka: its groups, and records of every codec.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

const CLIENT: Client<'_> = Client { name: "confluent-kafka-rust", tools: &["cargo"] };

#[test]
fn confluent_kafka_rust() {
    conformance::run_groups(CLIENT, || workshop::rust().map(Command::new));
}

#[test]
fn records_of_confluent_kafka_rust() {
    conformance::run_program(CLIENT, || {
        let mut command = Command::new(workshop::rust()?);
        command.arg("records");
        Ok(command)
    });
}
