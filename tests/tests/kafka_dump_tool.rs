//! Apache Kafka's own dump tool reads the segment files of sendlog, sealed and active, without complaint.

use std::fs;

use rskafka::chrono::{DateTime, TimeDelta};
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use sendlog_tests::conformance::{self, Client};
use sendlog_tests::dump_tool::DumpTool;
use sendlog_tests::real_kafka::VERSION;
use sendlog_tests::{Broker, BrokerOptions, data_files, workshop};

const TOPIC: &str = "dumped";
/// The smallest that Apache Kafka takes.
const SEGMENT_BYTES: usize = 1_048_576;
const BATCHES: usize = 60;
const BATCH_RECORDS: usize = 20;
/// Random, so that no codec makes the segments fewer.
const VALUE_BYTES: usize = 3_000;

type Outcome = Result<(), String>;

#[test]
fn kafkas_dump_tool_reads_the_segments() {
    let client = Client { name: "Kafka's dump tool", tools: &["java", "mvn"] };
    conformance::run(client, |report| {
        let jars = workshop::jars("kafka-tools", VERSION)?;
        let segment_bytes = format!("log.segment.bytes={SEGMENT_BYTES}");
        let mut broker = Broker::start(BrokerOptions::with_args([
            "--set",
            "sendlog.journal.bytes=0",
            "--set",
            &segment_bytes,
            "--set",
            "log.retention.ms=-1",
        ]));
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        runtime.block_on(produce(broker.bootstrap()))?;
        let tool = DumpTool { jars, folder: broker.data_dir().join(format!("{TOPIC}-0")) };
        report.check("segments while the broker runs", segments(&tool));
        report.check("offset indexes while the broker runs", tool.check_indexes(&["index"], 3));
        let stopped = broker.terminate();
        report.check(
            "broker stops cleanly",
            if stopped.success() { Ok(()) } else { Err(broker.stderr().text()) },
        );
        report.check("segments after the broker", segments(&tool));
        report.check("all indexes after the broker", tool.check_indexes(&["index", "timeindex"], 3));
        report.check("what recovery puts in the place of damage", damaged(&mut broker, &tool));
        Ok(())
    });
}

/// A batch of the first segment is damaged, and the broker starts knowing nothing but the segments.
fn damaged(broker: &mut Broker, tool: &DumpTool) -> Outcome {
    let logs = tool.files("log");
    let first = logs.first().ok_or("no segment")?;
    data_files::flip(first, data_files::length(first) / 2);
    fs::remove_file(broker.data_dir().join("checkpoint.state")).map_err(|error| error.to_string())?;
    broker.restart();
    broker.wait_for_log("answer CORRUPT_MESSAGE");
    broker.terminate();
    let dump = tool.call(&["--deep-iteration"], std::slice::from_ref(first))?;
    let is_placeholder = |line: &str| line.contains(" count: 0 ") && line.contains("producerId: -1");
    match dump.lines().filter(|line| is_placeholder(line)).count() {
        1 => Ok(()),
        count => Err(format!("{count} empty batches in:\n{dump:.2000}")),
    }
}

/// Batches in all codecs, with times that go up.
async fn produce(bootstrap: String) -> Outcome {
    let told = |error: rskafka::client::error::Error| error.to_string();
    let client = ClientBuilder::new(vec![bootstrap]).build().await.map_err(told)?;
    client.controller_client().map_err(told)?.create_topic(TOPIC, 1, 1, 30_000).await.map_err(told)?;
    let partition = client.partition_client(TOPIC, 0, UnknownTopicHandling::Retry).await.map_err(told)?;
    let codecs = [
        Compression::NoCompression,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let start = DateTime::from_timestamp(1_700_000_000, 0).ok_or("no such time")?;
    for batch in 0..BATCHES {
        let record = |number: usize| Record {
            key: Some(format!("key-{number}").into_bytes()),
            value: Some(rand::random_iter().take(VALUE_BYTES).collect()),
            headers: [("header".to_owned(), b"value".to_vec())].into(),
            timestamp: start + TimeDelta::milliseconds(i64::try_from(number).unwrap_or(0)),
        };
        let first = batch * BATCH_RECORDS;
        let records = (first..first + BATCH_RECORDS).map(record).collect();
        partition.produce(records, codecs[batch % codecs.len()]).await.map_err(told)?;
    }
    Ok(())
}

/// All records, with their offsets, from the first to the last segment.
fn segments(tool: &DumpTool) -> Outcome {
    let logs = tool.files("log");
    if logs.len() < 3 {
        return Err(format!("{} segments, of which none but the last is sealed", logs.len()));
    }
    let dump = tool.call(&["--deep-iteration", "--print-data-log"], &logs)?;
    let (mut begun, mut next_offset) = (0, 0);
    for line in dump.lines() {
        let is_right = if let Some(base_offset) = line.strip_prefix("Log starting offset: ") {
            begun += 1;
            base_offset == next_offset.to_string()
        } else if let Some(record) = line.strip_prefix("| offset: ") {
            let expected = format!("{next_offset} CreateTime: {} keySize: ", 1_700_000_000_000 + next_offset);
            next_offset += 1;
            record.starts_with(&expected) && record.contains(&format!("valueSize: {VALUE_BYTES} "))
        } else {
            true
        };
        if !is_right {
            let of = logs.len();
            return Err(format!("segment {begun} of {of}, before offset {next_offset}: {line:.150}"));
        }
    }
    let produced = i64::try_from(BATCHES * BATCH_RECORDS).map_err(|error| error.to_string())?;
    if (begun, next_offset) == (logs.len(), produced) {
        return Ok(());
    }
    Err(format!("{begun} of {} segments, {next_offset} of {produced} records", logs.len()))
}
