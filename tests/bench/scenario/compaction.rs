//! Compaction of one topic, against another broker on the same batches, and what it does to a reader of another topic meanwhile.
//!
//! The topic is filled while nothing may be compacted (a dirty ratio that no log exceeds); then the ratio is lowered, and the topic's
//! size is watched until it stays.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sendlog_protocol::messages::{DescribableLogDirTopic, DescribeLogDirsRequest};
use sendlog_protocol::records::{BatchBuilder, Compression, NewRecord, ProducerStamp};
use sendlog_tests::Kafka;

use crate::batch::Batch;
use crate::bench::{Bench, gib_to_bytes};
use crate::connection::Endpoint;
use crate::contender::{Contender, fill};
use crate::load::fetch::{Loaded, Reader, Take};
use crate::meter::Meter;
use crate::report::Case;
use crate::scenario::skipped;

const MIB_S: &str = "MiB/s";
const LEFT: &str = "% left";
const FETCH_ALONE: &str = "fetch MB/s";
const FETCH_BESIDE: &str = "fetch MB/s beside it";
const SEGMENT_BYTES: &str = "134217728";
const BATCH_BYTES: usize = 256 << 10;
/// Each key is there about ten times.
const REPEATS: u64 = 10;
const READ_BYTES: u64 = 256 << 20;
const READ_LENGTH: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// It is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(1800);

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::brokers(bench)?;
    if contenders.is_empty() {
        return Ok(skipped("compaction"));
    }
    let gib = bench.options.gib;
    let mut case =
        Case::new(format!("{gib} GiB in one partition, each key {REPEATS} times, segments of 128 MiB"));
    for run in 0..bench.options.runs {
        for at in bench.order(run, contenders.len()) {
            measure_one(bench, &contenders[at], u64::from(run), &mut case)?;
        }
    }
    case.note("every broker needs log.cleaner.backoff.ms=100 (--set for the one that is started); it is part of the time");
    Ok(vec![case])
}

fn measure_one(bench: &Bench, contender: &Contender, seed: u64, case: &mut Case) -> io::Result<()> {
    let Some(endpoint) = contender.endpoint() else { return Ok(()) };
    let session = contender.begin(bench, 1)?;
    let batch = Batch::exact(16 << 10, bench.options.record_bytes);
    let loaded = fill(&session.endpoint, &session.topic, &batch, READ_BYTES)?;
    let mut kafka = Kafka::open(endpoint.address);
    let topic = bench.new_topic();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", SEGMENT_BYTES),
        ("min.cleanable.dirty.ratio", "1.0"),
    ];
    kafka.create_topic(&topic, 1, &configs);
    let filled =
        fill_keyed(&mut kafka, &topic, gib_to_bytes(bench.options.gib), bench.options.record_bytes, seed);
    // What the broker left to the kernel is not written while something is measured.
    rustix::fs::sync();
    let alone = read_while(endpoint, &loaded, |meter| {
        let started = Moment::now(meter);
        thread::sleep(READ_LENGTH);
        Ok((started, Moment::now(meter)))
    })?;
    kafka.set_topic_config(&topic, "min.cleanable.dirty.ratio", "0.01");
    let beside = read_while(endpoint, &loaded, |meter| until_compacted(&mut kafka, &topic, meter))?;
    let left = size_of(&mut kafka, &topic)?;
    let megabytes_a_second = |seconds: f64, bytes: u64| bytes as f64 / 1e6 / seconds;
    case.add(&contender.name, FETCH_ALONE, megabytes_a_second(alone.0, alone.1));
    case.add(&contender.name, FETCH_BESIDE, megabytes_a_second(beside.0, beside.1));
    case.add(&contender.name, MIB_S, filled as f64 / f64::from(1 << 20) / beside.0);
    case.add(&contender.name, LEFT, 100.0 * left as f64 / filled as f64);
    kafka.delete_topic(&topic);
    session.end()
}

/// Fills a topic with keyed records; how many bytes.
fn fill_keyed(kafka: &mut Kafka, topic: &str, bytes: u64, value_bytes: usize, seed: u64) -> u64 {
    let keys = (bytes / (value_bytes as u64 + 20) / REPEATS).max(1);
    let mut random = Random(seed.wrapping_mul(7919) + 1);
    let noise: Vec<u8> = (0..value_bytes * 64).map(|_| random.next().to_le_bytes()[0]).collect();
    let mut filled = 0;
    while filled < bytes {
        let batch = keyed_batch(&mut random, &noise, keys, value_bytes);
        filled += batch.len() as u64;
        kafka.produce(topic, &batch);
    }
    filled
}

fn keyed_batch(random: &mut Random, noise: &[u8], keys: u64, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    while builder.size() < BATCH_BYTES {
        let key = (random.next() % keys).to_be_bytes();
        let start = usize::try_from(random.next() % (noise.len() - value_bytes) as u64).unwrap_or(0);
        let value = &noise[start..start + value_bytes];
        let record =
            NewRecord { timestamp: 1_600_000_000_000, key: Some(&key), value: Some(value), headers: &[] };
        builder.add(&record).expect("a small record");
    }
    builder.build(Compression::None, ProducerStamp::NONE).expect("a batch with records")
}

/// A time, and what was read until then.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    bytes: u64,
}

impl Moment {
    fn now(meter: &Meter) -> Self {
        Self { at: Instant::now(), bytes: meter.bytes() }
    }
}

/// Reads the other topic while `work` runs; seconds and bytes between the two moments that it returns.
fn read_while(
    endpoint: &Endpoint,
    loaded: &Loaded,
    work: impl FnOnce(&Meter) -> io::Result<(Moment, Moment)>,
) -> io::Result<(f64, u64)> {
    let meter = Meter::default();
    let reader = Reader { endpoint, loaded, request_bytes: 1 << 20, take: Take::Copy, first_batch: 0 };
    thread::scope(|scope| {
        let reading = scope.spawn(|| reader.run(&meter));
        let result = work(&meter);
        meter.stop();
        reading.join().map_err(|_| io::Error::other("the reader panicked"))??;
        let (from, to) = result?;
        Ok(((to.at - from.at).as_secs_f64(), to.bytes - from.bytes))
    })
}

/// Waits until the topic's size has changed, and then stays; its begin and its end.
fn until_compacted(kafka: &mut Kafka, topic: &str, meter: &Meter) -> io::Result<(Moment, Moment)> {
    let started = Moment::now(meter);
    let mut size = size_of(kafka, topic)?;
    let mut changed: Option<Moment> = None;
    loop {
        thread::sleep(LOOK_EVERY);
        let now = size_of(kafka, topic)?;
        if now != size {
            (size, changed) = (now, Some(Moment::now(meter)));
        }
        match changed {
            Some(last) if QUIET < last.at.elapsed() => return Ok((started, last)),
            _ if LIMIT < started.at.elapsed() => return Err(io::Error::other("nothing is compacted")),
            _ => {}
        }
    }
}

fn size_of(kafka: &mut Kafka, topic: &str) -> io::Result<u64> {
    let topics = vec![DescribableLogDirTopic { topic: topic.to_owned(), partitions: vec![0] }];
    let answer = kafka.call(1, &DescribeLogDirsRequest { topics: Some(topics) })?;
    let partitions =
        answer.results.iter().flat_map(|folder| &folder.topics).flat_map(|topic| &topic.partitions);
    Ok(partitions.map(|partition| partition.partition_size.unsigned_abs()).sum())
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}
