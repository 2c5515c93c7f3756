//! Apache Kafka's Java client, in its current version, in the last one before it, and in one that reads no features that
//! can be off.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

const TOOLS: &[&str] = &["java", "javac", "mvn"];

fn run(name: &str, version: &str) {
    conformance::run_program(Client { name, tools: TOOLS }, || program(name, version, version));
}

/// The program, compiled against one version and run with another.
fn program(name: &str, compiled: &str, version: &str) -> Result<Command, String> {
    let classes = workshop::java_classes("java", compiled, &workshop::jars("java", compiled)?)?;
    let jars = workshop::jars("java", version)?;
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    command.arg(format!("{}:{}", classes.display(), jars.join("*").display()));
    command.args(["JavaClient", name, version]);
    Ok(command)
}

#[test]
fn apache_client_4() {
    run("java-4", "4.4.0");
}

#[test]
fn apache_client_3() {
    run("java-3", "3.9.2");
}

/// Clients up to 3.7 end their thread at a feature that they cannot read. These are checks of the broker; the table has the
/// last 3.x.
#[test]
fn apache_client_3_7() {
    let name = "java-3.7";
    conformance::run_scenario(Client { name, tools: TOOLS }, || program(name, "3.9.2", "3.7.1"));
}
