//! Groups with the clients of Node.js: KafkaJS and @platformatic/kafka.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

fn run(name: &str, program: &str) {
    conformance::run_groups(Client { name, tools: &["node", "npm"] }, || {
        let folder = workshop::node()?;
        let mut command = Command::new("node");
        command.arg(folder.join(program)).current_dir(folder);
        Ok(command)
    });
}

#[test]
fn kafkajs() {
    run("kafkajs", "groups_kafkajs.js");
}

#[test]
fn platformatic_kafka() {
    run("@platformatic/kafka", "groups_platformatic.js");
}
