//! What real consumers do at records that are damaged: they get an error, and read on once they were put behind them.

use std::process::Command;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::process::Process;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files, workshop};

const TOPIC: &str = "damaged";
const RECORDS: u64 = 40;
const DAMAGED: u64 = 12;

#[test]
fn consumers_get_an_error_and_read_on() {
    conformance::run(Client { name: "damage", tools: &["python3"] }, |report| {
        let python = workshop::python()?;
        let broker = Broker::start(BrokerOptions::with_args([
            "--set",
            "sendlog.scrub.interval.ms=20",
            "--set",
            "sendlog.journal.bytes=0",
        ]));
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 1, &[("segment.bytes", "16384")]);
        for index in 0..RECORDS {
            kafka.produce(TOPIC, &batches::sized(&format!("record {index}"), 1000));
        }
        let log = kafka.read_all(TOPIC, 0);
        let segments = data_files::segments(broker.data_dir(), "damaged-0");
        // All batches are of one size.
        let size = log[0].len() as u64;
        data_files::flip(&segments[0], DAMAGED * size + size / 2);
        broker.wait_for_log("offsets 12 to 12 answer CORRUPT_MESSAGE");
        let mut command = Command::new(python);
        command.arg("-B").arg(workshop::source("python").join("damaged.py"));
        command.env("SENDLOG_TEST_BOOTSTRAP", broker.bootstrap());
        command.envs([
            ("TOPIC", TOPIC.to_owned()),
            ("DAMAGED", DAMAGED.to_string()),
            ("END", RECORDS.to_string()),
        ]);
        let mut program = Process::spawn(&mut command).map_err(|error| error.to_string())?;
        report.add_program(&mut program);
        Ok(())
    });
}
