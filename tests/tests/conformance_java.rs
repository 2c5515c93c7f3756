//! Apache Kafka's Java client, in its current version and in the last one before it.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

fn run(name: &str, version: &str) {
    conformance::run_program(Client { name, tools: &["java", "javac", "mvn"] }, || {
        let jars = workshop::jars("java", version)?;
        let classes = workshop::java_classes("java", version, &jars)?;
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(format!("{}:{}", classes.display(), jars.join("*").display()));
        command.args(["JavaClient", name, version]);
        Ok(command)
    });
}

#[test]
fn apache_client_4() {
    run("java-4", "4.4.0");
}

#[test]
fn apache_client_3() {
    run("java-3", "3.9.2");
}
