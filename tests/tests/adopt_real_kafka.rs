//! What a real Apache Kafka wrote is served by sendlog, record for record; and what sendlog wrote, by a real Kafka.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sendlog_tests::conformance::{self, Client};
use sendlog_tests::process::Process;
use sendlog_tests::real_kafka::{KafkaJars, RealKafka};
use sendlog_tests::{Broker, BrokerOptions, Kafka, broker_binary};
use sha2::{Digest, Sha256};

const LIMIT: Duration = Duration::from_secs(120);

/// All but the one with aborted transactions, and their partitions.
const TOPICS: [(&str, usize); 12] = [
    ("codec-none", 1),
    ("codec-gzip", 1),
    ("codec-snappy", 1),
    ("codec-lz4", 1),
    ("codec-zstd", 1),
    ("wide", 3),
    ("compacted", 1),
    ("trimmed", 1),
    ("emptied", 1),
    ("untouched", 2),
    ("stamped", 1),
    ("committed", 1),
];

type Outcome = Result<(), String>;

#[test]
fn kafkas_records_come_to_sendlog_and_go_back() {
    let client = Client { name: "from Kafka and back", tools: &["java", "javac", "mvn"] };
    conformance::run(client, |report| {
        let jars = KafkaJars::install()?;
        let mut kafka = RealKafka::format(&jars)?;
        let records = fill(&mut kafka)?;
        report.check("a running Kafka is left alone", refused_while_running(&kafka));
        kafka.stop()?;
        report.check("compaction has left gaps, leaders two epochs", has_gaps_and_epochs(&records));
        let before = files_of(&kafka.log_dir());
        let data_dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let data_dir = data_dir.path().join("data");
        report.check("aborted transactions are refused", refused_for_aborted(&kafka, &data_dir));
        let adopted = adopt(&kafka, &data_dir, &["--skip", "aborted"])?;
        report.check("the report", has_report(&adopted));
        adopt(&kafka, &data_dir, &["--topic", "aborted", "--allow-aborted"])?;
        report.check("Kafka's files are as they were", same_files(&before, &files_of(&kafka.log_dir())));
        let mut broker = Broker::start(BrokerOptions { data_dir: Some(data_dir.clone()), ..as_it_came() });
        let dump = dump_command();
        report.check("every record is served", same(&records, &jars.data(&broker.bootstrap(), &dump)?));
        report.check("settings came along", settings(&broker));
        let append: Vec<&str> = [&["append"], &names()[..], &["--"], &dump].concat();
        let appended = jars.data(&broker.bootstrap(), &append)?;
        broker.restart();
        report.check("after kill -9", same(&appended, &jars.data(&broker.bootstrap(), &dump)?));
        let stopped = broker.terminate();
        report.check(
            "sendlog stops cleanly",
            if stopped.success() { Ok(()) } else { Err(broker.stderr().text()) },
        );
        report.check("nothing was repaired", nothing_was_set_aside(&data_dir));
        drop(kafka);
        report.check("a real Kafka serves what sendlog wrote", same(&appended, &back(&jars, &data_dir)?));
        Ok(())
    });
}

/// Without the cleaner, which would compact further what Kafka has compacted.
fn as_it_came() -> BrokerOptions {
    BrokerOptions::with_args(["--set", "log.cleaner.enable=false"])
}

fn names() -> Vec<&'static str> {
    TOPICS.iter().map(|(name, _)| *name).collect()
}

fn dump_command() -> Vec<&'static str> {
    [&["dump"], &names()[..]].concat()
}

/// Two rounds of records with a restart between them; what all topics hold then.
fn fill(kafka: &mut RealKafka) -> Result<String, String> {
    kafka.start()?;
    kafka.data(&["create", "--", "write", "0"])?;
    kafka.stop()?;
    kafka.start()?;
    let log_dir = kafka.log_dir().display().to_string();
    kafka.data(&[&["write", "1", "--", "settle", &log_dir, "--"], &dump_command()[..]].concat())
}

fn has_gaps_and_epochs(records: &str) -> Outcome {
    let offsets: Vec<i64> = records
        .lines()
        .filter_map(|line| line.strip_prefix("record compacted-0 ")?.split(' ').next()?.parse().ok())
        .collect();
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let epochs = records.lines().filter(|line| line.starts_with("record wide-0 "));
    let epochs: std::collections::BTreeSet<_> = epochs.filter_map(|line| line.split(' ').nth(6)).collect();
    let is_gappy = offsets.windows(2).any(|pair| pair[0] + 1 < pair[1]) || 0 < first;
    if is_gappy && offsets.len() > 5 && epochs.len() == 2 {
        return Ok(());
    }
    Err(format!("{} records in {first}..={last}, epochs {epochs:?}", offsets.len()))
}

/// Standard output, or the error.
fn adopt(kafka: &RealKafka, data_dir: &Path, options: &[&str]) -> Result<String, String> {
    let mut command = Command::new(broker_binary::path());
    command.arg("adopt").arg("--from").arg(kafka.log_dir()).arg("--data-dir").arg(data_dir).args(options);
    let mut process = Process::spawn(&mut command).map_err(|error| error.to_string())?;
    let status = process.wait(LIMIT).map_err(|error| error.to_string())?;
    if status.is_some_and(|status| status.success()) {
        return Ok(process.stdout().text());
    }
    Err(process.stderr().text())
}

fn expect_refusal(result: Result<String, String>, words: &str) -> Outcome {
    match result {
        Err(error) if error.contains(words) => Ok(()),
        other => Err(format!("{words:?} is not in {other:?}")),
    }
}

fn refused_while_running(kafka: &RealKafka) -> Outcome {
    let nowhere = kafka.log_dir().with_file_name("data");
    expect_refusal(adopt(kafka, &nowhere, &["--dry-run"]), "is running (it holds")?;
    expect_refusal(adopt(kafka, &nowhere, &[]), "stop it first")?;
    if nowhere.exists() { Err("the data directory was made".to_owned()) } else { Ok(()) }
}

fn refused_for_aborted(kafka: &RealKafka, data_dir: &Path) -> Outcome {
    expect_refusal(adopt(kafka, data_dir, &["--dry-run"]), "1 of the topics cannot be adopted")?;
    expect_refusal(adopt(kafka, data_dir, &[]), "--skip aborted adopts the others")?;
    let folders: Vec<_> = fs::read_dir(data_dir).map_err(|error| error.to_string())?.flatten().collect();
    let left: Vec<_> = folders.iter().filter(|entry| entry.path().is_dir()).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("{left:?} is left")) }
}

fn has_report(report: &str) -> Outcome {
    let lines = [
        "codec-zstd: 1 partition, 6 segments, ",
        "trimmed: 1 partition, 5 segments, ",
        "0 bytes, 0 records, offsets 0..0 0..0",
        "4 committed transactions: records and markers are kept as they are",
        "__consumer_offsets-0: a topic of Kafka's own, not adopted",
        "-delete: a deleted partition, skipped",
        "adopted 12 topics, 15 partitions, ",
        "next: broker --data-dir ",
    ];
    let missing: Vec<_> = lines.iter().filter(|line| !report.contains(**line)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} is not in\n{report}")) }
}

fn settings(broker: &Broker) -> Outcome {
    let mut kafka = Kafka::open(broker.address());
    let expected = [
        ("compacted", "cleanup.policy", "compact"),
        ("compacted", "min.cleanable.dirty.ratio", "0.001"),
        ("trimmed", "segment.ms", "20000"),
        ("stamped", "message.timestamp.type", "LogAppendTime"),
        ("stamped", "retention.ms", "3600000"),
        ("wide", "retention.ms", "-1"),
    ];
    for (topic, setting, value) in expected {
        let found = kafka.topic_config(topic, setting);
        if found != value {
            return Err(format!("{setting} of {topic} is {found}, not {value}"));
        }
    }
    Ok(())
}

fn same(expected: &str, found: &str) -> Outcome {
    if expected == found {
        return Ok(());
    }
    let differing = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
    let counts = (expected.lines().count(), found.lines().count());
    Err(format!("(expected, found): lines {counts:?}, first difference {differing:?}"))
}

fn nothing_was_set_aside(data_dir: &Path) -> Outcome {
    let files = files_of(data_dir);
    let odd: Vec<_> =
        files.keys().filter(|name| name.contains(".torn-") || name.contains(".damaged-")).collect();
    if odd.is_empty() { Ok(()) } else { Err(format!("{odd:?}")) }
}

/// A fresh Kafka with topics of these names gets the segments; what it serves then.
fn back(jars: &KafkaJars, data_dir: &Path) -> Result<String, String> {
    let mut kafka = RealKafka::format(jars)?;
    kafka.start()?;
    let topics: Vec<String> =
        TOPICS.iter().map(|(name, partitions)| format!("{name}={partitions}")).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    kafka.data(&[&["topics"], &topics[..]].concat())?;
    kafka.stop()?;
    let folders: Vec<String> = TOPICS
        .iter()
        .flat_map(|(name, partitions)| (0..*partitions).map(move |index| format!("{name}-{index}")))
        .collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    kafka.take_segments(data_dir, &folders, &[("trimmed", 37), ("emptied", 120)])?;
    kafka.start()?;
    let dump = kafka.data(&dump_command())?;
    kafka.stop()?;
    Ok(dump)
}

/// Every file with its time of change and its digest.
fn files_of(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            let (path, meta) = (entry.path(), entry.metadata().expect("a file has metadata"));
            let modified = meta.modified().expect("a file has a time of change");
            if meta.is_dir() {
                folders.push(path.clone());
                found.insert(path.display().to_string(), format!("{modified:?}"));
            } else {
                let digest = Sha256::digest(fs::read(&path).expect("a readable file"));
                found.insert(path.display().to_string(), format!("{modified:?} {digest:?}"));
            }
        }
    }
    found
}

fn same_files(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Outcome {
    let changed: Vec<_> = before.iter().filter(|(path, state)| after.get(*path) != Some(state)).collect();
    if before.len() == after.len() && changed.is_empty() { Ok(()) } else { Err(format!("{changed:?}")) }
}
