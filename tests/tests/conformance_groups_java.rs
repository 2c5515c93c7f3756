//! Groups with Apache Kafka's Java client.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::workshop;

const VERSION: &str = "4.4.0";

#[test]
fn apache_client_4() {
    let client = Client { name: "java-4", tools: &["java", "javac", "mvn"] };
    conformance::run_groups(client, || {
        let jars = workshop::jars("java", VERSION)?;
        let classes = workshop::java_classes_of(&["java", "java/groups"], VERSION, &jars)?;
        let mut command = Command::new("java");
        command.args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(format!("{}:{}", classes.display(), jars.join("*").display()));
        command.args(["Groups", client.name, VERSION]);
        Ok(command)
    });
}
