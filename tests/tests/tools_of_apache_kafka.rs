//! Apache Kafka's own command-line tools, and every method of its Admin, print the same of sendlog as of an Apache Kafka,
//! but for the differences that docs/protocol.md lists.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::differential::compare;
use sendlog_tests::differential::listed::{self, DOCUMENT};
use sendlog_tests::differential::transcript::{self, Step};
use sendlog_tests::process::Process;
use sendlog_tests::real_kafka::{KafkaJars, RealKafka};
use sendlog_tests::{Broker, BrokerOptions, workshop};

/// Ends a run of all steps that hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// What both brokers are started with beside their defaults.
const SETTINGS: &[&str] = &["offsets.topic.num.partitions=4"];

#[test]
fn apaches_tools_print_of_sendlog_what_they_print_of_kafka() {
    let client = Client { name: "Apache Kafka's tools", tools: &["java", "javac", "mvn"] };
    conformance::run(client, |report| {
        let jars = KafkaJars::install()?;
        let (mut compared, mut stopped) = printed_of_both(&jars)?;
        if compared.is_err() {
            // Kafka answers before all of it knows of a change. What differs by that alone does not do so twice.
            (compared, stopped) = printed_of_both(&jars)?;
        }
        report.check("the same is printed", compared);
        report.check("sendlog stops cleanly", stopped);
        Ok(())
    });
}

type Checked = Result<(), String>;

fn printed_of_both(jars: &KafkaJars) -> Result<(Checked, Checked), String> {
    let files = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut kafka = RealKafka::format_with(jars, SETTINGS)?;
    kafka.start()?;
    let mut broker = start_ours();
    // Each needs a processor now and then only, so they run at the same time.
    let theirs = Run::start(jars, kafka.bootstrap(), &files.path().join("kafka"))?;
    let ours = Run::start(jars, &broker.bootstrap(), &files.path().join("sendlog"))?;
    let (theirs, ours) = (theirs.finish()?, ours.finish()?);
    for (name, steps) in [("tools-kafka", &theirs), ("tools-sendlog", &ours)] {
        transcript::keep(name, steps).map_err(|error| error.to_string())?;
    }
    let listed = listed::table(DOCUMENT, "differences: tools")?;
    let compared = compare(&theirs, &ours, &listed);
    kafka.stop()?;
    let stopped = broker.terminate();
    let log = broker.stderr().text();
    let is_clean = stopped.success() && !log.contains("panicked");
    Ok((compared, if is_clean { Ok(()) } else { Err(log) }))
}

fn start_ours() -> Broker {
    // The group settings of the real Kafka that tests start, and its node's id.
    let own = [
        "group.initial.rebalance.delay.ms=0",
        "log.cleaner.backoff.ms=100",
        "share.coordinator.state.topic.num.partitions=1",
        "node.id=1",
    ];
    let settings = SETTINGS.iter().copied().chain(own).flat_map(|setting| ["--set", setting]);
    let args = settings.map(str::to_owned).collect();
    Broker::start(BrokerOptions { args, ..BrokerOptions::default() })
}

/// A run of all steps against one broker.
struct Run {
    process: Process,
}

impl Run {
    fn start(jars: &KafkaJars, bootstrap: &str, files: &Path) -> Result<Self, String> {
        std::fs::create_dir(files).map_err(|error| error.to_string())?;
        let script = workshop::source("kafka-tools").join("tools.script");
        let mut command: Command = jars.java("ToolRunner");
        command.arg(bootstrap).arg(script).arg(files);
        let process = Process::spawn(&mut command).map_err(|error| error.to_string())?;
        Ok(Self { process })
    }

    fn finish(mut self) -> Result<Vec<Step>, String> {
        let status = self.process.wait(LIMIT).map_err(|error| error.to_string())?;
        let printed = self.process.stdout().text();
        match status {
            Some(status) if status.success() => Ok(transcript::steps(&printed)),
            _ => Err(format!("{status:?} after\n{printed}\n{}", self.process.stderr().text())),
        }
    }
}
