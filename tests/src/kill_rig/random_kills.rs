//! kill -9 at random moments under load, over and over on the same data directory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::failures::Failures;
use super::look;
use super::plan::{Scratch, Target};
use super::shipper::{Shipper, Sizes};
use super::traced_broker;
use crate::checker::{CheckerOptions, Event, ProducerKind, Recorder, Report};
use crate::{Broker, BrokerOptions, Kafka, data_files};

/// How many kills, and where things go.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ends after so many.
    pub kills: u64,
    /// Ends after this time, whatever was reached.
    pub limit: Duration,
    /// Decides sizes, counts and moments; the machine decides the rest.
    pub seed: u64,
    /// Where the data directory is made; else a temporary folder.
    pub data_dir: Option<PathBuf>,
    /// Further `--set` of the broker.
    pub settings: Vec<String>,
    /// The control: after this kill, what a log holds is cut off behind its first half.
    pub sabotage: Option<u64>,
    /// A line to standard error now and then.
    pub progress: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Of the options.
    pub seed: u64,
    /// Kills of a broker that served.
    pub kills_under_load: u64,
    /// Kills of a broker that was starting.
    pub kills_while_starting: u64,
    /// Until the program's start printed its address, in microseconds.
    pub recovery_us: Histogram<u64>,
    /// In all.
    pub elapsed: Duration,
    /// The checker's verdict.
    pub report: Report,
    /// What went wrong beside it.
    pub failures: Vec<String>,
}

/// Topics: name, partitions, segment size, and what is sent to them.
const TOPICS: &[(&str, i32, &str, Sizes)] = &[
    ("small", 2, "32768", Sizes { bytes_min: 100, bytes_max: 4 << 10, records_max: 4 }),
    ("large", 2, "1048576", Sizes { bytes_min: 100, bytes_max: 200 << 10, records_max: 8 }),
    ("mixed", 1, "262144", Sizes { bytes_min: 100, bytes_max: 64 << 10, records_max: 20 }),
];
const KINDS: [ProducerKind; 3] = [ProducerKind::Idempotent, ProducerKind::Ordered, ProducerKind::Repeating];
/// Above this, some of a log's records are deleted under load: what is read again after each kill stays bounded.
const LOG_BYTES_MAX: usize = 6 << 20;
/// A kill comes after so many acknowledgements at most; few are as frequent as many, by powers of two.
const ACKS_UNTIL_KILL_MAX: usize = 2048;
/// The kill comes so long after the last of those acknowledgements, at most: at any point of a round.
const DELAY_MAX: Duration = Duration::from_millis(3);
/// One start in so many is killed too.
const STARTS_BETWEEN_KILLS: u32 = 4;
/// A start takes about this long; the kill comes before, or a little after.
const START_TIME: Duration = Duration::from_millis(30);
/// The whole picture is looked at so often.
const KILLS_BETWEEN_VERDICTS: u64 = 50;
/// Longer recoveries count as this long.
const RECOVERY_US_MAX: u64 = 600_000_000;
/// The number under which the rig itself reads.
const LOOKER: u32 = 1000;

/// Runs the rig; leaves nothing behind but the summary, and the history in `scratch`.
///
/// # Errors
/// When the history cannot be made.
///
/// # Panics
/// When the broker does not start.
pub fn run(options: &Options, scratch: &Scratch) -> io::Result<Summary> {
    let started = Instant::now();
    let checking = CheckerOptions { all_read_again: true };
    let recorder = Recorder::create(&scratch.history("history"), options.seed, checking)?;
    let mut rig = Rig::start(options, &recorder);
    for kill in 1..=options.kills {
        rig.load_and_kill();
        if options.sabotage == Some(kill) {
            rig.sabotage();
        }
        rig.restart();
        if !rig.is_well() || options.limit < started.elapsed() {
            break;
        }
        if kill % KILLS_BETWEEN_VERDICTS == 0 {
            let report = recorder.verdict();
            if options.progress {
                eprintln!("{kill} kills, {:.0} s: {}", started.elapsed().as_secs_f64(), report.to_json());
            }
            if !report.is_clean() {
                break;
            }
        }
    }
    rig.stop();
    Ok(Summary {
        seed: options.seed,
        kills_under_load: rig.kills_under_load,
        kills_while_starting: rig.kills_while_starting,
        recovery_us: rig.recovery_us,
        elapsed: started.elapsed(),
        report: recorder.verdict(),
        failures: rig.failures.all(),
    })
}

struct Rig<'a> {
    recorder: &'a Recorder,
    failures: Failures,
    random: SmallRng,
    broker: Broker,
    targets: Vec<Target>,
    shippers: Vec<Shipper>,
    /// By target: where its reader is, and what was found last.
    positions: Vec<i64>,
    found: Vec<look::Found>,
    kills_under_load: u64,
    kills_while_starting: u64,
    recovery_us: Histogram<u64>,
}

impl<'a> Rig<'a> {
    fn start(options: &Options, recorder: &'a Recorder) -> Self {
        let mut args = vec!["--set".to_owned(), "sendlog.checkpoint.interval.ms=100".to_owned()];
        args.extend(options.settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]));
        let data_dir = options.data_dir.clone();
        let broker = Broker::start(BrokerOptions { data_dir, args, ..BrokerOptions::default() });
        let mut kafka = Kafka::open(broker.address());
        let (mut targets, mut shippers) = (Vec::new(), Vec::new());
        for (topic, partitions, segment_bytes, sizes) in TOPICS {
            let configs = [("segment.bytes", *segment_bytes), ("retention.ms", "-1")];
            kafka.create_topic(topic, *partitions, &configs);
            for partition in 0..*partitions {
                let log = u32::try_from(targets.len()).expect("a few");
                let target = Target { log, topic: (*topic).to_owned(), partition };
                let topic = target.topic.clone();
                recorder.record(&Event::Log { log, topic, partition, retention: false });
                for kind in KINDS {
                    let id = u32::try_from(shippers.len()).expect("a few");
                    let identity = Some(kafka.init_producer());
                    shippers.push(Shipper::new(recorder, (id, kind), &target, identity, *sizes));
                }
                targets.push(target);
            }
        }
        Self {
            recorder,
            failures: Failures::default(),
            random: SmallRng::seed_from_u64(options.seed),
            broker,
            positions: vec![0; targets.len()],
            found: vec![look::Found::default(); targets.len()],
            targets,
            shippers,
            kills_under_load: 0,
            kills_while_starting: 0,
            recovery_us: Histogram::new_with_bounds(1, RECOVERY_US_MAX, 3).expect("possible bounds"),
        }
    }

    fn is_well(&self) -> bool {
        self.recorder.complaints() == 0 && self.failures.all().is_empty()
    }

    /// Everybody works until so many batches were acknowledged, and a random moment more; then the broker is killed.
    fn load_and_kill(&mut self) {
        let about = ACKS_UNTIL_KILL_MAX >> self.random.random_range(0..=ACKS_UNTIL_KILL_MAX.ilog2());
        let acks_until_kill = self.random.random_range(about / 2..=about);
        let delay = self.random.random_range(Duration::ZERO..DELAY_MAX);
        let to_delete = self.pick_deletion();
        let (recorder, failures, address) = (self.recorder, &self.failures, self.broker.address());
        let (acked, acks) = mpsc::channel();
        thread::scope(|scope| {
            // All are connected before the first of them can have the broker killed.
            let connect = || Kafka::open(address);
            let shippers: Vec<_> = self.shippers.iter_mut().map(|shipper| (shipper, connect())).collect();
            let readers: Vec<_> = (0..).zip(self.targets.iter().zip(&mut self.positions)).collect();
            let readers: Vec<_> = readers.into_iter().map(|reader| (reader, connect())).collect();
            if let Some((target, below)) = &to_delete {
                let mut kafka = connect();
                scope.spawn(move || {
                    // The broker may be killed meanwhile: then it is the next round's turn.
                    let _ = look::delete_below(&mut kafka, recorder, failures, target, *below);
                });
            }
            for (shipper, mut kafka) in shippers {
                let acked = acked.clone();
                scope.spawn(move || {
                    // The killer counts no further than it has to.
                    let tell = || _ = acked.send(());
                    shipper.ship(&mut kafka, (recorder, failures), usize::MAX, tell)
                });
            }
            for ((client, (target, position)), mut kafka) in readers {
                scope.spawn(move || {
                    *position = look::follow(&mut kafka, recorder, failures, target, (client, *position));
                });
            }
            drop(acked);
            if acks.iter().take(acks_until_kill).count() < acks_until_kill {
                failures
                    .add(format!("all producers ended; the broker's log:\n{}", self.broker.stderr().text()));
            }
            // Not to wait for anything: so that the kill is not always at an acknowledgement.
            thread::sleep(delay);
            self.broker.kill();
        });
        self.kills_under_load += 1;
        recorder.record(&Event::Crash);
    }

    /// The log that has grown most, if one is too large, and the offset in its middle.
    fn pick_deletion(&self) -> Option<(Target, i64)> {
        let largest = self.targets.iter().zip(&self.found).max_by_key(|(_, found)| found.bytes)?;
        let (target, found) = largest;
        let middle = *found.offsets.get(found.offsets.len() / 2)?;
        (LOG_BYTES_MAX < found.bytes).then(|| (target.clone(), middle))
    }

    /// What a broker with a fault would do: the rig has to notice.
    fn sabotage(&self) {
        let data_dir = self.broker.data_dir();
        let segments = data_files::segments(data_dir, "small-0");
        let largest = segments.iter().max_by_key(|path| data_files::length(path)).expect("a segment");
        data_files::truncate(largest, data_files::length(largest) / 2);
        // What is left behind it would be damage in the middle; a checkpoint would tell; a journal would mend it.
        fs::remove_file(data_dir.join("checkpoint.state")).expect("a checkpoint");
        segments
            .iter()
            .filter(|path| largest < *path)
            .for_each(|path| fs::remove_file(path).expect("a file"));
        let copies =
            data_files::all(data_dir).into_iter().filter(|path| data_files::has_extension(path, "journal"));
        copies.for_each(|path| fs::remove_file(path).expect("a file"));
    }

    fn restart(&mut self) {
        if self.random.random_ratio(1, STARTS_BETWEEN_KILLS) {
            let after = self.random.random_range(Duration::ZERO..START_TIME);
            traced_broker::start_and_kill_after(self.broker.data_dir(), after);
            self.kills_while_starting += 1;
            self.recorder.record(&Event::Crash);
        }
        let began = Instant::now();
        self.broker.restart();
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.recovery_us.saturating_record(took);
        self.recorder.record(&Event::Start);
        self.look();
    }

    fn look(&mut self) {
        let mut kafka = Kafka::open(self.broker.address());
        for (target, found) in self.targets.iter().zip(&mut self.found) {
            match look::at_all(&mut kafka, self.recorder, &self.failures, target, LOOKER) {
                Ok(seen) => *found = seen,
                Err(error) => self.failures.add(format!("{target:?}: {error}")),
            }
        }
    }

    /// In the end it stops cleanly, and all is there after that too.
    fn stop(&mut self) {
        let status = self.broker.terminate();
        if !status.success() {
            self.failures.add(format!("SIGTERM ended it with {status}:\n{}", self.broker.stderr().text()));
        }
        self.recorder.record(&Event::Crash);
        self.broker.restart();
        self.recorder.record(&Event::Start);
        self.look();
        self.broker.kill();
    }
}

impl Summary {
    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.report.is_clean() && self.failures.is_empty()
    }

    /// One object: the rig's figures and the checker's.
    pub fn to_json(&self) -> Value {
        let ms = |us: u64| us as f64 / 1000.0;
        let own = json!({
            "rig": "random kills",
            "version": env!("CARGO_PKG_VERSION"),
            "seed": self.seed,
            "kills_under_load": self.kills_under_load,
            "kills_while_starting": self.kills_while_starting,
            "recoveries": self.recovery_us.len(),
            "recovery_ms_p50": ms(self.recovery_us.value_at_quantile(0.5)),
            "recovery_ms_max": ms(self.recovery_us.max()),
            "seconds": self.elapsed.as_secs(),
            "failures": self.failures,
        });
        merge(own, self.report.to_json())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.report.violations {
            writeln!(out, "{violation}")?;
        }
        write!(out, "{}", self.to_json())
    }
}

/// One object of the members of both.
pub(super) fn merge(one: Value, other: Value) -> Value {
    let members = [one, other].into_iter().filter_map(|value| match value {
        Value::Object(members) => Some(members),
        _ => None,
    });
    members.flatten().collect::<BTreeMap<_, _>>().into_iter().collect()
}
