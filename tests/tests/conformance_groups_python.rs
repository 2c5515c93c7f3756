//! Groups with the clients of Python: confluent-kafka (librdkafka), kafka-python and aiokafka.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

fn run(name: &str, program: &str) {
    conformance::run_groups(Client { name, tools: &["python3"] }, || {
        let mut command = Command::new(workshop::python()?);
        command.arg("-B").arg(workshop::source("python").join(program));
        Ok(command)
    });
}

#[test]
fn confluent_kafka() {
    run("confluent-kafka", "groups_confluent.py");
}

#[test]
fn kafka_python() {
    run("kafka-python", "groups_kafka_python.py");
}

#[test]
fn aiokafka() {
    run("aiokafka", "groups_aio.py");
}
