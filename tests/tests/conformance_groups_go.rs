//! Groups with the clients of Go: franz-go, Sarama and kafka-go.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

fn run(name: &str, program: &str) {
    conformance::run_groups(Client { name, tools: &["go"] }, || workshop::go(program).map(Command::new));
}

#[test]
fn franz_go() {
    run("franz-go", "groups_franzgo");
}

#[test]
fn sarama() {
    run("sarama", "groups_sarama");
}

#[test]
fn kafka_go() {
    run("kafka-go", "groups_kafkago");
}
