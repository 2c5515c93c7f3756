//! The same batches are sent to a real Apache Kafka and to sendlog, both compact them, and both are left with the same records.

use std::time::{Duration, Instant};

use sendlog_protocol::records::Compression;
use sendlog_tests::batches::EPOCH_MS;
use sendlog_tests::conformance::{self, Client};
use sendlog_tests::data_check::CheckRun;
use sendlog_tests::dump_tool::DumpTool;
use sendlog_tests::kafka::Producer;
use sendlog_tests::keyed::{self, Keyed, KeyedSource};
use sendlog_tests::real_kafka::{KafkaJars, RealKafka, VERSION};
use sendlog_tests::{Broker, BrokerOptions, Kafka, workshop};

/// Ends a test in which somebody does not compact.
const LIMIT: Duration = Duration::from_secs(120);
/// Segments are rolled by the records' time, at the same places by both.
const STEP_MS: i64 = 300;
const LAST_SEGMENT_RECORDS_MAX: i64 = 4 * (1000 / STEP_MS + 1);

type Outcome = Result<(), String>;

/// A topic, and what goes into it.
struct Topic {
    name: &'static str,
    configs: &'static [(&'static str, &'static str)],
    codec: Compression,
    is_idempotent: bool,
}

const COMPACT: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    // What Kafka takes for the smallest.
    ("segment.bytes", "1048576"),
];

const TOPICS: [Topic; 7] = [
    Topic { name: "plain", configs: &[], codec: Compression::None, is_idempotent: false },
    Topic { name: "gzip", configs: &[], codec: Compression::Gzip, is_idempotent: false },
    Topic { name: "snappy", configs: &[], codec: Compression::Snappy, is_idempotent: false },
    Topic { name: "lz4", configs: &[], codec: Compression::Lz4, is_idempotent: false },
    Topic { name: "zstd", configs: &[], codec: Compression::Zstd, is_idempotent: false },
    Topic {
        name: "forgetful",
        configs: &[("delete.retention.ms", "0")],
        codec: Compression::None,
        is_idempotent: false,
    },
    Topic {
        name: "stamped",
        configs: &[("delete.retention.ms", "0")],
        codec: Compression::Lz4,
        is_idempotent: true,
    },
];

#[test]
fn both_keep_the_same_records() {
    let client = Client { name: "compaction by a real Kafka", tools: &["java", "javac", "mvn"] };
    conformance::run(client, |report| {
        let jars = KafkaJars::install()?;
        let mut real = RealKafka::format(&jars)?;
        real.start()?;
        let mut broker = Broker::start(BrokerOptions::with_args([
            "--set",
            "log.cleaner.backoff.ms=100",
            "--set",
            "log.retention.check.interval.ms=200",
        ]));
        let mut theirs = ready(real.bootstrap())?;
        let mut ours = Kafka::open(broker.address());
        for topic in &TOPICS {
            let configs: Vec<_> = COMPACT.iter().chain(topic.configs).copied().collect();
            theirs.create_topic(topic.name, 1, &configs);
            ours.create_topic(topic.name, 1, &configs);
        }
        let mut sources: Vec<KeyedSource> =
            (1..).zip(&TOPICS).map(|(seed, _)| KeyedSource::new(seed, EPOCH_MS, STEP_MS, 25)).collect();
        for round in 1..=3 {
            let before = ours.offset(TOPICS[0].name, -1);
            for (topic, source) in TOPICS.iter().zip(&mut sources) {
                fill(topic, source, &mut ours, &mut theirs);
            }
            for topic in &TOPICS {
                let what = format!("{} after round {round}", topic.name);
                report.check(&what, agree(topic, before, &mut ours, &mut theirs));
            }
        }
        let stopped = broker.terminate();
        report.check("stop", if stopped.success() { Ok(()) } else { Err(broker.stderr().text()) });
        let checked = CheckRun::on(broker.data_dir(), &["--records"]);
        report.check(
            "broker check",
            if checked.bad().is_empty() { Ok(()) } else { Err(format!("{checked:?}")) },
        );
        let jars = workshop::jars("kafka-tools", VERSION)?;
        for topic in &TOPICS {
            let folder = broker.data_dir().join(format!("{}-0", topic.name));
            report.check(&format!("{} dumped", topic.name), dump(&DumpTool { jars: jars.clone(), folder }));
        }
        Ok(())
    });
}

/// Forty batches, the same to both.
fn fill(topic: &Topic, source: &mut KeyedSource, ours: &mut Kafka, theirs: &mut Kafka) {
    // Ids are given out by each broker, and are no part of what is compared.
    let producer = topic.is_idempotent.then_some(Producer { id: 777, epoch: 0 });
    for _ in 0..40 {
        let batch = source.batch(4, 30, topic.codec, producer);
        let offset = ours.produce(topic.name, &batch);
        assert_eq!(theirs.produce(topic.name, &batch), offset);
    }
}

/// Waits until neither has a record that a later one has replaced, but for those in the last segment, and compares what is
/// left. In topics that forget tombstones, those from before this round are gone; how many of this one are, is a matter of
/// how often each has looked.
fn agree(topic: &Topic, before: i64, ours: &mut Kafka, theirs: &mut Kafka) -> Outcome {
    let started = Instant::now();
    let end = ours.offset(topic.name, -1) - LAST_SEGMENT_RECORDS_MAX;
    let forgets = !topic.configs.is_empty();
    let is_clean = |records: &[Keyed]| {
        let is_forgotten =
            |record: &Keyed| record.value.is_some() || before - LAST_SEGMENT_RECORDS_MAX <= record.offset;
        keyed::superseded(records, end) == 0 && (!forgets || records.iter().all(is_forgotten))
    };
    let comparable = |mut records: Vec<Keyed>| {
        records.retain(|record| record.value.is_some() || !forgets || end <= record.offset);
        records
    };
    loop {
        let (our_records, their_records) = (read(ours, topic.name), read(theirs, topic.name));
        let is_all_clean = is_clean(&our_records) && is_clean(&their_records);
        let (our_records, their_records) = (comparable(our_records), comparable(their_records));
        if is_all_clean && our_records == their_records {
            return Ok(());
        }
        if LIMIT < started.elapsed() {
            let show = |records: &[Keyed]| {
                let list =
                    records.iter().map(|record| (record.offset, record.key.clone(), record.value.is_some()));
                format!("{:?}", list.collect::<Vec<_>>())
            };
            return Err(format!("ours {}\ntheirs {}", show(&our_records), show(&their_records)));
        }
        std::thread::yield_now();
    }
}

fn read(kafka: &mut Kafka, topic: &str) -> Vec<Keyed> {
    keyed::records(&kafka.read_all(topic, 0))
}

/// Kafka's own tool reads what was compacted: segments that have lost records are among them.
fn dump(tool: &DumpTool) -> Outcome {
    let logs = tool.files("log");
    let dump = tool.call(&["--deep-iteration", "--print-data-log"], &logs)?;
    let has_gaps = dump.lines().filter(|line| line.starts_with("baseOffset: ")).any(|line| {
        let number = |name: &str| -> Option<i64> { line.split_once(name)?.1.split(' ').next()?.parse().ok() };
        let (base, last, count) = (number("baseOffset: "), number("lastOffset: "), number("count: "));
        matches!((base, last, count), (Some(base), Some(last), Some(count)) if count < last - base + 1)
    });
    if !has_gaps {
        return Err(format!("no batch has lost a record:\n{dump:.1000}"));
    }
    tool.check_indexes(&["index", "timeindex"], 1)
}

/// Connects once it answers.
fn ready(bootstrap: &str) -> Result<Kafka, String> {
    let address = bootstrap.parse().map_err(|error| format!("{bootstrap}: {error}"))?;
    let started = Instant::now();
    loop {
        if let Ok(mut kafka) = Kafka::try_open(address)
            && kafka.try_describe_topic("nothing").is_ok()
        {
            return Ok(kafka);
        }
        if LIMIT < started.elapsed() {
            return Err("Kafka does not answer".to_owned());
        }
        std::thread::yield_now();
    }
}
