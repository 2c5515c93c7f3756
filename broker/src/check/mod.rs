//! `broker check`: looks through the data directory of a broker that does not run, and repairs it if it is told to.
//!
//! ```text
//! state       state files, how the last broker ended; journal: what the commit journal has
//! directory   names in the data directory: partitions, files of others
//! partition   one folder: order of its segments; agreement: does the checkpoint fit
//! segment     the walk through a segment; verdict: what of it is damage; caches: seal and indexes
//! plan        what a repair does, in which order
//! report      what is printed
//! ```
//!
//! A check takes the broker's lock and writes nothing. What is damage is decided by the rules of recovery, and set aside by its
//! means; how a log is served, and what its records mean, is not known here. `docs/checking.md` is for users.

mod agreement;
mod args;
mod batch_reader;
mod caches;
mod directory;
mod finding;
mod folder;
mod index_cursor;
mod journal;
mod listing;
mod partition;
mod plan;
mod progress;
mod report;
mod seal;
mod segment;
mod state;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use thiserror::Error;

use crate::storage::data_dir::{self, DataDirError, DataDirLock, LastEnd};
use crate::storage::error::StorageError;
use crate::storage::files::{FileSystem, RealFs};

pub use args::{CheckArgs, Format};

use finding::Severity;
use partition::{PartitionReport, PartitionTask, Situation};
use plan::Plan;
use progress::Progress;
use report::{Reporter, Totals};
use state::State;

/// Neither damage nor warnings.
pub const EXIT_GOOD: u8 = 0;
/// Damage or warnings; also if they were repaired just now.
pub const EXIT_FINDINGS: u8 = 1;
/// It could not be checked, or not all of it, or the repair broke off.
pub const EXIT_UNCHECKED: u8 = 3;

/// Partitions that are checked at a time.
const THREADS_MAX: usize = 8;

/// Why a directory cannot be checked.
#[derive(Debug, Error)]
enum CheckError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("list {path}: {source}", path = .path.display())]
    List {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not a sendlog data directory: it has neither sendlog.meta nor catalog.state", path = .path.display())]
    Foreign { path: PathBuf },
    #[error("the repair broke off: {0}; what was done is durable, check again")]
    Repair(#[source] StorageError),
    #[error("the report cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Checks, prints to stdout, and returns the exit code.
pub fn run(args: &CheckArgs) -> u8 {
    let out = BufWriter::new(io::stdout().lock());
    run_on(&(Arc::new(RealFs) as Arc<dyn FileSystem>), args, out).unwrap_or_else(|error| {
        eprintln!("broker check: {error}");
        EXIT_UNCHECKED
    })
}

fn run_on(fs: &Arc<dyn FileSystem>, args: &CheckArgs, out: impl Write) -> Result<u8, CheckError> {
    let root = args.data_dir.as_path();
    let lock = DataDirLock::take(&**fs, root)?;
    let entries =
        listing::list(root).map_err(|source| CheckError::List { path: root.to_path_buf(), source })?;
    if !directory::is_ours(&entries) {
        return Err(CheckError::Foreign { path: root.to_path_buf() });
    }
    let started = Instant::now();
    let last_end = data_dir::peek_last_end(&**fs, root)?;
    let mut findings = Vec::new();
    let state = state::read(&**fs, root, last_end, &entries, &mut findings);
    let tasks = directory::sort(&**fs, &state, &entries, &mut findings);
    let mut reporter = Reporter::new(out, args.format);
    for finding in &findings {
        reporter.finding(finding)?;
    }
    let (totals, plan) = check_partitions(&**fs, args, last_end, &state, &tasks, &mut reporter)?;
    if args.repair {
        if args.apply && !plan.is_empty() {
            lock.tell(&**fs, root)?;
        }
        repair(fs, args, &plan, state, &mut reporter)?;
    }
    reporter.summary(last_end, totals, started.elapsed())?;
    reporter.flush()?;
    let is_unreadable = 0 < reporter.count(Severity::Unreadable);
    let is_bad = 0 < reporter.count(Severity::Damage) + reporter.count(Severity::Warning);
    Ok(match (is_unreadable, is_bad) {
        (true, _) => EXIT_UNCHECKED,
        (false, true) => EXIT_FINDINGS,
        (false, false) => EXIT_GOOD,
    })
}

/// Checks several partitions at a time, and reports them in order.
fn check_partitions(
    fs: &dyn FileSystem,
    args: &CheckArgs,
    last_end: LastEnd,
    state: &State,
    tasks: &[PartitionTask],
    reporter: &mut Reporter<impl Write>,
) -> Result<(Totals, Plan), CheckError> {
    let situation = Situation {
        fs,
        root: args.data_dir.as_path(),
        last_end,
        has_checkpoint: state.checkpoint.is_some(),
        deferred: state.deferred,
        journal: &state.journal,
        records: args.records,
        bytes_read: AtomicU64::new(0),
    };
    let mut totals = Totals { partitions: tasks.len() as u64, ..Totals::default() };
    let mut plan = Plan { sets_checkpoint_aside: state.sets_checkpoint_aside, ..Plan::default() };
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(tasks.len());
    let mut progress = Progress::new(tasks.iter().map(|task| task.bytes).sum());
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<(usize, PartitionReport)>(2 * THREADS_MAX);
        for _ in 0..threads {
            let (sender, next, situation) = (sender.clone(), &next, &situation);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(at) else { return };
                    // Whoever listens no more has an error to report.
                    if sender.send((at, partition::check(situation, task))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut printed = 0;
        loop {
            match receiver.recv_timeout(progress::INTERVAL) {
                Ok((at, report)) => drop(waiting.insert(at, report)),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    progress.show(situation.bytes_read.load(Ordering::Relaxed));
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            while let Some(report) = waiting.remove(&printed) {
                printed += 1;
                progress.clear_if(!report.findings.is_empty());
                add(report, &mut totals, &mut plan, reporter)?;
            }
        }
        Ok::<(), io::Error>(())
    })?;
    progress.clear_if(true);
    Ok((totals, plan))
}

fn add(
    report: PartitionReport,
    totals: &mut Totals,
    plan: &mut Plan,
    reporter: &mut Reporter<impl Write>,
) -> io::Result<()> {
    for finding in &report.findings {
        reporter.finding(finding)?;
    }
    totals.segments += report.segments;
    totals.batches += report.batches;
    totals.bytes += report.bytes;
    plan.rescans.extend(report.rescan);
    plan.segments.extend(report.repairs);
    if report.findings.is_empty() { Ok(()) } else { reporter.flush() }
}

/// Says what is to be done, and does it if it is to be done now.
fn repair(
    fs: &Arc<dyn FileSystem>,
    args: &CheckArgs,
    plan: &Plan,
    state: State,
    reporter: &mut Reporter<impl Write>,
) -> Result<(), CheckError> {
    for step in plan.steps() {
        reporter.step(false, &step)?;
    }
    match (plan.is_empty(), args.apply) {
        (true, _) => reporter.remark("nothing to repair")?,
        (false, false) => reporter.remark("nothing was changed; add --apply to do it")?,
        (false, true) => {
            reporter.flush()?;
            let mut printed = Ok(());
            let root: &Path = &args.data_dir;
            let mut done = |path: &Path| {
                let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
                printed = reporter.step(true, &shown).and_then(|()| reporter.flush());
            };
            plan.apply(fs, root, state.checkpoint, &mut done).map_err(CheckError::Repair)?;
            printed?;
        }
    }
    Ok(())
}
