//! Power cuts at every operation of the disk: `cargo run -p sendlog-tests --bin crash-rig -- --help`.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser as _;
use sendlog_tests::broker_binary;
use sendlog_tests::crash_rig::record::record;
use sendlog_tests::crash_rig::report::{self, Row, Tally};
use sendlog_tests::crash_rig::sweep::{Subject, sweep};
use sendlog_tests::crash_rig::trial::Setup;
use sendlog_tests::crash_rig::verdict::BreachKind;
use sendlog_tests::crash_rig::volume::FileSystemKind;
use sendlog_tests::crash_rig::workload::Workload;

use crate::options::Options;

mod options;
mod privacy;

/// Trials of the control, for each workload that it has.
const CONTROL_TRIALS: usize = 20;
/// Workloads of the control.
const CONTROL: [&str; 3] = ["steady", "small", "offsets"];

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(reason) = privacy::enter() {
        eprintln!("skipped: crash-rig: {reason}");
        return if options.no_skip { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash-rig: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all is as it should be.
fn run(options: &Options) -> io::Result<bool> {
    // Built now, on nobody's time.
    broker_binary::path();
    let known_bad = match &options.known_bad {
        _ if options.no_control => None,
        None => Some(broker_binary::lying()),
        given => given.clone(),
    };
    let started = Instant::now();
    let mut rig = Rig { options, pairs: pairs(options)?, deadline: None, started };
    println!("sendlog {} crash-rig, seed {}", env!("CARGO_PKG_VERSION"), options.seed);
    println!("{}", Row::head());
    let control = known_bad.map_or_else(|| Ok(Vec::new()), |program| rig.control(&program))?;
    let mut rows = Vec::new();
    let mut total = Tally::default();
    let pairs = rig.pairs.clone();
    for (index, (workload, kind)) in pairs.iter().enumerate() {
        rig.deadline = rig.share(pairs.len() - index);
        let row = rig.sweep(workload, *kind, None)?;
        println!("{row}");
        for failure in &row.tally.failures {
            println!("FAILED {} on {}: {failure}", row.workload, row.file_system);
        }
        total.add(&row.tally);
        rows.push(row);
    }
    total.elapsed = started.elapsed();
    let all = Row { workload: "total".to_owned(), file_system: String::new(), tally: total };
    println!("{all}");
    let (caught, tried) = control
        .iter()
        .fold((0, 0), |(caught, tried), row| (caught + row.tally.failed, tried + row.tally.points));
    println!("known-bad caught at {caught} of {tried} points");
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", report::json(options.seed, &rows, &all.tally, &control)))?;
    }
    // Each of them, and a loss seen as one: a disk of which nothing is left may be no more than a broker that does not start.
    let is_each = control.iter().all(|row| 0 < row.tally.failed);
    let is_caught =
        options.no_control || is_each && control.iter().any(|row| 0 < row.tally.broken(BreachKind::Lost));
    if !is_caught {
        println!("FAILED: the broker that does not sync was not found out: this run shows nothing");
    }
    Ok(is_caught && all.tally.failed == 0)
}

/// The chosen workloads, each on the chosen file systems that can be made here.
fn pairs(options: &Options) -> io::Result<Vec<(Workload, FileSystemKind)>> {
    let mut kinds = Vec::new();
    for kind in &options.fs {
        match kind.format(options.image_bytes())? {
            Some(_) => kinds.push(*kind),
            None => eprintln!("skipped: {}: there is no mkfs.{}", kind.name(), kind.name()),
        }
    }
    let workloads = options.workloads();
    Ok(workloads.iter().flat_map(|workload| kinds.iter().map(|kind| (*workload, *kind))).collect())
}

struct Rig<'a> {
    options: &'a Options,
    pairs: Vec<(Workload, FileSystemKind)>,
    deadline: Option<Instant>,
    started: Instant,
}

impl Rig<'_> {
    /// When the next of so many pairs should be done, to leave the others their time.
    fn share(&self, pairs_left: usize) -> Option<Instant> {
        let budget = Duration::from_secs(self.options.budget?);
        let left = budget.saturating_sub(self.started.elapsed());
        Some(Instant::now() + left / u32::try_from(pairs_left.max(1)).unwrap_or(u32::MAX))
    }

    /// The same with a broker that acknowledges before it syncs.
    fn control(&self, program: &Path) -> io::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let kind = self.pairs.first().map_or(FileSystemKind::Ext4, |(_, kind)| *kind);
        for workload in sendlog_tests::crash_rig::workloads::ALL {
            if CONTROL.contains(&workload.name) {
                rows.push(self.sweep(workload, kind, Some(program))?);
            }
        }
        Ok(rows)
    }

    /// Records a workload, of the broker or of another program, and tries what the options say.
    fn sweep(&self, workload: &Workload, kind: FileSystemKind, other: Option<&Path>) -> io::Result<Row> {
        let begun = Instant::now();
        let empty = kind.format(self.options.image_bytes())?.expect("it was made before");
        let setup = Setup { program: None, args: self.options.broker_args(workload) };
        let recorded = Setup { program: other.map(Into::into), ..setup.clone() };
        let recording = record(workload, kind, &empty, &recorded, self.options.seed)?;
        let mut plan = self.options.plan();
        plan.deadline = self.deadline;
        if other.is_some() {
            (plan.trials, plan.second_every, plan.is_late) = (Some(CONTROL_TRIALS), 0, true);
            plan.keep = plan.keep.join("known-bad");
        }
        let subject = Subject { name: workload.name, kind, recording: &recording };
        let mut tally = sweep(subject, &setup, &plan)?;
        tally.elapsed = begun.elapsed();
        Ok(Row { workload: workload.name.to_owned(), file_system: kind.name().to_owned(), tally })
    }
}
