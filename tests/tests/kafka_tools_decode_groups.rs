//! Apache Kafka's own tools decode what is in `__consumer_offsets`: the console consumer with its formatters, and the dump tool.

use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    JoinGroupRequest, JoinGroupRequestProtocol, SyncGroupRequest, SyncGroupRequestAssignment,
};
use sendlog_tests::conformance::{self, Client};
use sendlog_tests::process::Process;
use sendlog_tests::real_kafka::KafkaJars;
use sendlog_tests::{Broker, BrokerOptions, Kafka, data_files};

const LIMIT: Duration = Duration::from_secs(120);
const TOPIC: &str = "t";
const FORMATTERS: &str = "org.apache.kafka.tools.consumer";

#[test]
fn kafkas_tools_decode_the_topic_of_the_groups() {
    let client = Client { name: "Kafka's group formatters", tools: &["java", "javac", "mvn"] };
    conformance::run(client, |report| {
        let jars = KafkaJars::install()?;
        let settings = [
            "--set",
            "offsets.topic.num.partitions=1",
            "--set",
            "group.initial.rebalance.delay.ms=0",
            "--set",
            "sendlog.journal.bytes=0",
        ];
        let mut broker = Broker::start(BrokerOptions::with_args(settings));
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 2, &[]);
        kafka.commit("alone", TOPIC, 1, 42);
        let member_id = become_a_member(&mut kafka, "together");
        let consume = |formatter: &str, kafka: &mut Kafka| {
            let records = kafka.offset("__consumer_offsets", -1);
            consume(&jars, &broker, &format!("{FORMATTERS}.{formatter}"), records)
        };
        let offsets = consume("OffsetsMessageFormatter", &mut kafka);
        report.check("offsets", offsets.and_then(|said| has(&said, &["\"alone\"", "42", "alone 42"])));
        let groups = consume("GroupMetadataMessageFormatter", &mut kafka);
        report.check("groups", groups.and_then(|said| has(&said, &["\"together\"", "range", &member_id])));
        let stopped = broker.terminate();
        report.check("the broker stops", has(&format!("{stopped}"), &["exit status: 0"]));
        let mut dump = jars.java("org.apache.kafka.tools.DumpLogSegments");
        let segments = data_files::segments(broker.data_dir(), "__consumer_offsets-0");
        dump.args(["--offsets-decoder", "--files"]).args(&segments);
        let dumped = run(&mut dump);
        report.check("the dump tool", dumped.and_then(|said| has(&said, &["alone", "together", &member_id])));
        Ok(())
    });
}

/// Joins a classic group, leads it, and has an assignment: then the group is in the log. Returns the member's id.
fn become_a_member(kafka: &mut Kafka, group: &str) -> String {
    let protocol =
        JoinGroupRequestProtocol { name: "range".to_owned(), metadata: Bytes::from_static(&SUBSCRIPTION) };
    let join = JoinGroupRequest {
        group_id: group.to_owned(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let joined = kafka.ask(3, &join);
    assert_eq!(joined.error_code, ErrorCode::None.code());
    let assignment = SyncGroupRequestAssignment {
        member_id: joined.member_id.clone(),
        assignment: Bytes::from_static(&ASSIGNMENT),
    };
    let sync = SyncGroupRequest {
        group_id: group.to_owned(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        assignments: vec![assignment],
        ..Default::default()
    };
    assert_eq!(kafka.ask(1, &sync).error_code, ErrorCode::None.code());
    joined.member_id
}

/// `ConsumerProtocolSubscription` 0 of the topic: version, topics, user data.
const SUBSCRIPTION: [u8; 13] = [0, 0, 0, 0, 0, 1, 0, 1, b't', 255, 255, 255, 255];
/// `ConsumerProtocolAssignment` 0 of its two partitions.
const ASSIGNMENT: [u8; 25] =
    [0, 0, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255];

/// What the console consumer prints of so many records of the topic of the groups.
fn consume(jars: &KafkaJars, broker: &Broker, formatter: &str, records: i64) -> Result<String, String> {
    let mut consumer = jars.java(&format!("{FORMATTERS}.ConsoleConsumer"));
    consumer.args(["--bootstrap-server", &broker.bootstrap(), "--topic", "__consumer_offsets"]);
    // It assigns partitions by itself, and ends with the last record.
    consumer.args(["--partition", "0", "--offset", "earliest", "--max-messages", &records.to_string()]);
    run(consumer.args(["--formatter", formatter]))
}

fn run(command: &mut Command) -> Result<String, String> {
    let mut process = Process::spawn(command).map_err(|error| error.to_string())?;
    let ended = process.wait(LIMIT).map_err(|error| error.to_string())?;
    let said = process.stdout().text();
    match ended {
        Some(_) => Ok(said),
        None => Err(format!("it does not end after\n{said}\n{}", process.stderr().text())),
    }
}

fn has(said: &str, wanted: &[&str]) -> Result<(), String> {
    let missing: Vec<&&str> = wanted.iter().filter(|wanted| !said.contains(**wanted)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no {missing:?} in\n{said}")) }
}
