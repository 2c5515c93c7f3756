//! Kills a broker before each of its system calls that change a file, on a small workload that has everything.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::failures::Failures;
use super::look;
use super::plan::{Scratch, Target};
use super::random_kills::merge;
use super::shipper::{ShipEnd, Shipper, Sizes};
use super::traced_broker::TracedBroker;
use crate::checker::{CheckerOptions, Event, ProducerKind, Recorder, Report};
use crate::strace;
use crate::{Broker, BrokerOptions, Kafka};

/// The system calls that change files. Counted together, then by group: the counts are those of single threads, so that
/// together the busiest thread is hit only.
pub const GROUPS: &[&str] = &[
    "pwrite64,pwritev,pwritev2,write,ftruncate,fallocate,fdatasync,fsync,sync_file_range,rename,renameat,renameat2,\
     unlink,unlinkat,rmdir,mkdir,mkdirat,copy_file_range",
    "pwrite64,pwritev,pwritev2",
    "fdatasync,sync_file_range",
    "fsync",
    "rename,renameat,renameat2",
    "unlink,unlinkat,rmdir",
    "mkdir,mkdirat",
    "ftruncate,fallocate",
    "openat",
    "write",
];

/// Which calls.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names the run in payloads.
    pub seed: u64,
    /// At most so many points of every group, spread ever wider; without, all.
    pub points_max: Option<u64>,
    /// Ends after this time, whatever was reached.
    pub limit: Duration,
    /// Further `--set` of the broker.
    pub settings: Vec<String>,
    /// A line to standard error for every group.
    pub progress: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs that ended by a kill, by group.
    pub points: Vec<(String, u64)>,
    /// Groups of which every point was hit, until a run came to its end.
    pub groups_complete: u64,
    /// Kills in the recovery after such a kill.
    pub kills_in_recovery: u64,
    /// In all.
    pub elapsed: Duration,
    /// Sums over all points.
    pub records_acknowledged: u64,
    /// The same.
    pub records_lost: u64,
    /// The same.
    pub records_vanished: u64,
    /// The verdicts that were not clean, with the point.
    pub complaints: Vec<(String, Report)>,
    /// What went wrong beside them.
    pub failures: Vec<String>,
}

/// How a point ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PointEnd {
    Killed,
    Complete,
}

/// Runs the rig; `None` where system calls cannot be traced.
///
/// # Errors
/// When a history cannot be made.
pub fn run(options: &Options, scratch: &Scratch) -> io::Result<Option<Summary>> {
    if !strace::is_usable() {
        return Ok(None);
    }
    let started = Instant::now();
    let mut summary = Summary::default();
    for group in GROUPS {
        let mut points = 0;
        let mut nth = 1;
        let is_enough = |summary: &Summary| {
            FAILURES_MAX <= summary.failures.len() + summary.complaints.len()
                || options.limit < started.elapsed()
        };
        while options.points_max.is_none_or(|most| points < most) && !is_enough(&summary) {
            let end = point(options, scratch, (group, nth), &mut summary)?;
            if end == PointEnd::Complete {
                summary.groups_complete += 1;
                break;
            }
            points += 1;
            nth += if options.points_max.is_some() { 1 + nth / 2 } else { 1 };
        }
        if options.progress {
            eprintln!("{group}: {points} kills, {:.0} s", started.elapsed().as_secs_f64());
        }
        summary.points.push(((*group).to_owned(), points));
    }
    summary.elapsed = started.elapsed();
    Ok(Some(summary))
}

/// One kill, or one run to the end; and what is left after it.
fn point(
    options: &Options,
    scratch: &Scratch,
    (calls, nth): (&str, u64),
    summary: &mut Summary,
) -> io::Result<PointEnd> {
    let path = scratch.history("history");
    _ = fs::remove_file(&path);
    let recorder = Recorder::create(&path, options.seed ^ nth, CheckerOptions { all_read_again: true })?;
    let dir = TempDir::with_prefix("sendlog-")?;
    let data_dir = dir.path().join("data");
    let failures = Failures::default();
    let mut args: Vec<String> = SETTINGS.iter().map(|setting| (*setting).to_owned()).collect();
    args.extend(options.settings.clone());
    let args: Vec<String> = args.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
    let mut workload = Workload::new(&recorder, &failures, &data_dir);
    let end = workload.run_and_kill(&args, calls, nth);
    // Its recovery is killed as well, somewhere.
    let nth_of_recovery = 1 + nth % RECOVERY_CALLS;
    let recovery = TracedBroker::start(&data_dir, &args, GROUPS[0], nth_of_recovery);
    summary.kills_in_recovery += u64::from(recovery.address().is_none());
    drop(recovery);
    recorder.record(&Event::Crash);
    workload.recover(&args);
    let report = recorder.verdict();
    summary.records_acknowledged += report.records_acknowledged;
    summary.records_lost += report.records_lost;
    summary.records_vanished += report.records_vanished;
    let name = format!("{calls} {nth}");
    summary.failures.extend(failures.all().into_iter().map(|failure| format!("{name}: {failure}")));
    if !report.is_clean() {
        let kept = std::env::temp_dir().join(format!("sendlog-history-{}-{nth}", std::process::id()));
        scratch.keep("history", &kept)?;
        summary.complaints.push((format!("{name}, history in {}", kept.display()), report));
    }
    Ok(end)
}

/// Everything happens often, and by as few threads as possible: counts are those of threads.
const SETTINGS: &[&str] = &[
    "sendlog.checkpoint.interval.ms=100",
    "sendlog.sync.threads=1",
    "sendlog.worker.threads=1",
    "log.retention.check.interval.ms=50",
];
/// A start changes files about so often.
const RECOVERY_CALLS: u64 = 12;
/// More is not needed to see that something is wrong, and each may take its time.
const FAILURES_MAX: usize = 5;
/// Ends a workload that waits for what does not come.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
const SMALL: Sizes = Sizes { bytes_min: 100, bytes_max: 2048, records_max: 3 };
const LARGE: Sizes = Sizes { bytes_min: 40 << 10, bytes_max: 320 << 10, records_max: 3 };
/// Timestamps are those of a time long ago.
const KEPT_FOR_EVER: (&str, &str) = ("retention.ms", "-1");
/// The logs of the workload, by number.
const KEPT: u32 = 0;
const RETAINED: u32 = 1;
const DELETED: u32 = 2;

/// A run of the workload and what is known of it.
struct Workload<'a> {
    recorder: &'a Recorder,
    failures: &'a Failures,
    data_dir: &'a Path,
    /// Topics whose creation was answered.
    targets: Vec<Target>,
    /// The log whose deletion was asked for, and whether it was answered.
    deletion: Option<bool>,
    shippers: Vec<Shipper>,
}

impl<'a> Workload<'a> {
    fn new(recorder: &'a Recorder, failures: &'a Failures, data_dir: &'a Path) -> Self {
        let (targets, shippers) = (Vec::new(), Vec::new());
        Self { recorder, failures, data_dir, targets, deletion: None, shippers }
    }

    fn run_and_kill(&mut self, args: &[String], calls: &str, nth: u64) -> PointEnd {
        let mut broker = TracedBroker::start(self.data_dir, args, calls, nth);
        let mut end = PointEnd::Killed;
        if let Some(address) = broker.address() {
            let shipped = Kafka::try_open(address).and_then(|mut kafka| self.steps(&mut kafka));
            if shipped.is_ok() {
                broker.terminate();
            }
            match broker.wait() {
                Some(status) if status.success() => end = PointEnd::Complete,
                Some(_) => {}
                None => self.failures.add(format!("it does not end:\n{}", broker.log())),
            }
        }
        drop(broker);
        self.recorder.record(&Event::Crash);
        end
    }

    /// The workload: an error means that the broker is gone.
    fn steps(&mut self, kafka: &mut Kafka) -> io::Result<()> {
        let kept = self.create(kafka, KEPT, "kept", &[KEPT_FOR_EVER, ("segment.bytes", "16384")])?;
        self.produce(kafka, &kept, ProducerKind::Idempotent, SMALL, 30)?;
        self.produce(kafka, &kept, ProducerKind::Ordered, LARGE, 4)?;
        self.until_checkpoint(kafka)?;
        let retention = [KEPT_FOR_EVER, ("segment.bytes", "1024"), ("retention.bytes", "1")];
        let retained = self.create(kafka, RETAINED, "retained", &retention)?;
        self.produce(kafka, &retained, ProducerKind::Repeating, SMALL, 8)?;
        self.until_retained(kafka, &retained)?;
        let deleted = self.create(kafka, DELETED, "deleted", &[KEPT_FOR_EVER])?;
        self.produce(kafka, &deleted, ProducerKind::Ordered, SMALL, 2)?;
        look::delete_below(kafka, self.recorder, self.failures, &kept, 9)?;
        self.delete(kafka, &deleted)?;
        self.ship(kafka, 0, 6)
    }

    fn create(
        &mut self,
        kafka: &mut Kafka,
        log: u32,
        topic: &str,
        configs: &[(&str, &str)],
    ) -> io::Result<Target> {
        let topic = topic.to_owned();
        kafka.try_create_topics(&[&topic], 1, configs)?;
        let retention = log == RETAINED;
        self.recorder.record(&Event::Log { log, topic: topic.clone(), partition: 0, retention });
        let target = Target { log, topic, partition: 0 };
        self.targets.push(target.clone());
        Ok(target)
    }

    fn produce(
        &mut self,
        kafka: &mut Kafka,
        target: &Target,
        kind: ProducerKind,
        sizes: Sizes,
        batches: usize,
    ) -> io::Result<()> {
        let id = u32::try_from(self.shippers.len()).expect("a few");
        let identity = match kind {
            ProducerKind::Idempotent => Some(kafka.try_init_producer()?),
            ProducerKind::Ordered | ProducerKind::Repeating => None,
        };
        self.shippers.push(Shipper::new(self.recorder, (id, kind), target, identity, sizes));
        self.ship(kafka, self.shippers.len() - 1, batches)
    }

    fn ship(&mut self, kafka: &mut Kafka, shipper: usize, batches: usize) -> io::Result<()> {
        match self.shippers[shipper].ship(kafka, (self.recorder, self.failures), batches, || {}) {
            ShipEnd::Done => Ok(()),
            ShipEnd::ConnectionLost => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }

    /// Produces until another checkpoint than now is there.
    fn until_checkpoint(&mut self, kafka: &mut Kafka) -> io::Result<()> {
        let path = self.data_dir.join("checkpoint.state");
        let file = || fs::metadata(&path).ok().map(|metadata| metadata.ino());
        let before = file();
        self.until("a checkpoint", |workload| {
            workload.ship(kafka, 0, 1)?;
            Ok(file() != before)
        })
    }

    fn until_retained(&mut self, kafka: &mut Kafka, target: &Target) -> io::Result<()> {
        self.until("retention", |workload| {
            let since = workload.recorder.now();
            let start = kafka.try_offset_in(&target.topic, 0, -2)?;
            let kind = crate::checker::PositionKind::Start;
            workload.recorder.record(&Event::Position { log: target.log, since, kind, offset: start });
            Ok(0 < start)
        })
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> io::Result<bool>) -> io::Result<()> {
        let deadline = Instant::now() + WAIT_LIMIT;
        while !is_so(self)? {
            if deadline < Instant::now() {
                self.failures.add(format!("{what} does not come"));
                return Ok(());
            }
        }
        Ok(())
    }

    fn delete(&mut self, kafka: &mut Kafka, target: &Target) -> io::Result<()> {
        let request = self.recorder.record(&Event::DeleteLog { log: target.log });
        self.deletion = Some(false);
        kafka.try_delete_topic(&target.topic)?;
        self.recorder.record(&Event::LogDeleted { request });
        self.deletion = Some(true);
        Ok(())
    }

    /// Starts a broker that nobody kills, looks at everything, goes on, and looks again.
    fn recover(&mut self, args: &[String]) {
        let options = BrokerOptions {
            data_dir: Some(self.data_dir.to_owned()),
            args: args.to_vec(),
            ..BrokerOptions::default()
        };
        let mut broker = match Broker::try_start(options) {
            Ok(broker) => broker,
            Err(failure) => return self.failures.add(failure.to_string()),
        };
        self.recorder.record(&Event::Start);
        let mut kafka = Kafka::open(broker.address());
        self.look(&mut kafka);
        if !self.shippers.is_empty() && self.ship(&mut kafka, 0, 3).is_err() {
            self.failures.add(format!("the recovered broker ends:\n{}", broker.stderr().text()));
        }
        self.look(&mut kafka);
        let status = broker.terminate();
        if !status.success() {
            self.failures.add(format!("SIGTERM ended it with {status}:\n{}", broker.stderr().text()));
        }
    }

    fn look(&self, kafka: &mut Kafka) {
        for target in &self.targets {
            let is_deleted = target.log == DELETED && self.deletion.is_some();
            if is_deleted {
                let is_there = kafka.describe_topic(&target.topic).error_code == 0;
                if is_there && self.deletion == Some(true) {
                    self.failures.add(format!("{target:?} is back"));
                }
            } else if let Err(error) = look::at_all(kafka, self.recorder, self.failures, target, 1) {
                self.failures.add(format!("{target:?}: {error}"));
            }
        }
    }
}

impl Summary {
    /// Whether nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.complaints.is_empty() && self.failures.is_empty()
    }

    /// Kills in all, those in recovery not counted.
    pub fn kills(&self) -> u64 {
        self.points.iter().map(|(_, points)| points).sum()
    }

    /// One object.
    pub fn to_json(&self) -> Value {
        let points: Value =
            self.points.iter().map(|(group, points)| (group.clone(), json!(points))).collect();
        let own = json!({
            "rig": "every call",
            "version": env!("CARGO_PKG_VERSION"),
            "kills": self.kills(),
            "kills_in_recovery": self.kills_in_recovery,
            "groups_complete": self.groups_complete,
            "groups": self.points.len(),
            "points": points,
            "seconds": self.elapsed.as_secs(),
            "records_acknowledged": self.records_acknowledged,
            "records_lost": self.records_lost,
            "records_vanished": self.records_vanished,
            "unclean": self.complaints.len(),
            "failures": self.failures,
        });
        merge(own, json!({}))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (point, report) in &self.complaints {
            writeln!(out, "{point}:\n{report}")?;
        }
        write!(out, "{}", self.to_json())
    }
}
