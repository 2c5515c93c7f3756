//! Many trials of one recording: chosen moments, with and without loss, some followed by a second power cut.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::image::Image;
use super::promises::Promises;
use super::recording::{CrashPoint, Loss, Recording};
use super::report::Tally;
use super::trial::{Aftermath, Laboratory, Outcome, Setup};
use super::verdict::{Breach, BreachKind};
use super::volume::FileSystemKind;

/// Moments of one pass: a pass goes through the recording once, so that none is kept in memory twice.
const PASS_POINTS: usize = 256;
/// How many failures are told in full.
const FAILURES_MAX: usize = 5;

/// What to try.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many trials; all moments without a number, each without loss and with one.
    pub trials: Option<usize>,
    /// Which losses.
    pub losses: Losses,
    /// Only moments at which something was acknowledged.
    pub is_late: bool,
    /// One in so many trials is followed by others with a second power cut; 0 for none.
    pub second_every: usize,
    /// How many of these: one half during the recovery, the other during the appends that follow it.
    pub second_trials: usize,
    /// What varies varies by this.
    pub seed: u64,
    /// Trials beside one another.
    pub jobs: NonZeroUsize,
    /// No trial begins after this.
    pub deadline: Option<Instant>,
    /// Where the disks of failed trials go.
    pub keep: PathBuf,
}

/// Which power cuts are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Losses {
    /// Those that take nothing that reached the disk.
    Exact,
    /// Those that drop and tear what no flush followed.
    Lossy,
    /// Both in turn.
    Both,
}

/// What is swept: the name of the workload, the file system, the recording.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// As in the report.
    pub name: &'a str,
    /// File system.
    pub kind: FileSystemKind,
    /// What happened.
    pub recording: &'a Recording,
}

/// A trial to be made.
struct Job {
    case: Case,
    image: Image,
    promises: Arc<Promises>,
}

/// Which trial.
#[derive(Clone, Copy, Debug)]
struct Case {
    point: CrashPoint,
    loss: Loss,
    /// A second power cut, at this moment of what followed.
    second: Option<(CrashPoint, Loss)>,
}

impl Case {
    fn tears_sectors(&self) -> bool {
        let tears = |loss| matches!(loss, Loss::Seeded(seed) if !seed.is_multiple_of(2));
        tears(self.loss) || self.second.is_some_and(|(_, loss)| tears(loss))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "event {} {:?}", self.point.0, self.loss)?;
        match self.second {
            Some((point, loss)) => write!(out, ", then event {} of what followed, {loss:?}", point.0),
            None => Ok(()),
        }
    }
}

/// Makes the trials of a plan.
///
/// # Errors
/// When no disk can be mounted.
///
/// # Panics
/// When a thread does.
pub fn sweep(subject: Subject<'_>, setup: &Setup, plan: &Plan) -> io::Result<Tally> {
    let tally = Mutex::new(Tally::of(subject.recording));
    let start = &subject.recording.start;
    let laboratories: io::Result<Vec<_>> =
        (0..plan.jobs.get()).map(|_| Laboratory::new(subject.kind, start.clone(), setup.clone())).collect();
    let (sender, receiver) = sync_channel::<Job>(1);
    let jobs = Mutex::new(receiver);
    let mut points = subject.recording.points();
    if plan.is_late {
        points.retain(|point| subject.recording.first_acknowledgement() < point.0);
    }
    let cases = choose(&points, plan.trials, plan.losses, plan.seed);
    thread::scope(|scope| -> io::Result<()> {
        for laboratory in laboratories? {
            let worker = Worker { subject, plan, jobs: &jobs, tally: &tally };
            scope.spawn(move || worker.run(laboratory));
        }
        for pass in cases.chunks(PASS_POINTS) {
            let mut pass = pass.to_vec();
            pass.sort_by_key(|case| case.point);
            let mut replay = subject.recording.replay();
            let mut promises = Promises::default();
            for case in pass {
                if plan.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Ok(());
                }
                promises.learn(replay.advance(case.point));
                let (image, promises) = (replay.image(case.loss), Arc::new(promises.clone()));
                if sender.send(Job { case, image, promises }).is_err() {
                    return Ok(());
                }
            }
        }
        drop(sender);
        Ok(())
    })?;
    Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Trials at these moments, in an order in which any beginning of it is a fair sample.
fn choose(points: &[CrashPoint], trials: Option<usize>, losses: Losses, seed: u64) -> Vec<Case> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut cases = Vec::new();
    for point in points {
        let mut add = |loss| cases.push(Case { point: *point, loss, second: None });
        if losses != Losses::Lossy {
            add(Loss::Nothing);
        }
        if losses != Losses::Exact {
            add(Loss::Seeded(random.random()));
        }
    }
    cases.shuffle(&mut random);
    cases.truncate(trials.unwrap_or(usize::MAX));
    cases
}

/// Makes trials as long as there are any.
struct Worker<'a> {
    subject: Subject<'a>,
    plan: &'a Plan,
    jobs: &'a Mutex<Receiver<Job>>,
    tally: &'a Mutex<Tally>,
}

impl Worker<'_> {
    fn run(&self, mut laboratory: Laboratory) {
        loop {
            let next = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            let outcome = self.examine(&mut laboratory, &job);
            let made = self.count(&job, &outcome);
            let is_chosen = self.plan.second_every != 0 && made.is_multiple_of(self.plan.second_every);
            if let (true, Some(aftermath)) = (is_chosen, outcome.aftermath) {
                self.cut_again(&mut laboratory, &job, &aftermath);
            }
        }
    }

    /// The same disk, with another power cut before the broker was ready, or in the appends behind that.
    fn cut_again(&self, laboratory: &mut Laboratory, first: &Job, aftermath: &Aftermath) {
        let Aftermath { recording, ready } = aftermath;
        let points = recording.points();
        let (during, after) = points.split_at(points.partition_point(|point| point.0 <= *ready));
        let half = self.plan.second_trials.div_ceil(2);
        let seed = self.plan.seed.wrapping_add(first.case.point.0 as u64);
        let mut cases = choose(during, Some(half), self.plan.losses, seed);
        cases.extend(choose(after, Some(self.plan.second_trials - half), self.plan.losses, seed));
        cases.sort_by_key(|case| case.point);
        let mut replay = recording.replay();
        let mut promises = Promises::clone(&first.promises);
        for Case { point, loss, .. } in cases {
            promises.learn(replay.advance(point));
            let case = Case { second: Some((point, loss)), ..first.case };
            let job = Job { case, image: replay.image(loss), promises: Arc::new(promises.clone()) };
            let outcome = self.examine(laboratory, &job);
            self.count(&job, &outcome);
        }
    }

    /// A file system may be lost where sectors are: that is not the broker's. But not where the disk kept everything.
    fn examine(&self, laboratory: &mut Laboratory, job: &Job) -> Outcome {
        let mut outcome = laboratory.examine(&job.image, &job.promises);
        if let Some(error) = outcome.unmountable.take_if(|_| !job.case.tears_sectors()) {
            outcome.breaches.push(Breach::new(BreachKind::FileSystem, error));
        }
        outcome
    }

    /// Returns how many trials were made, but for those with a second power cut.
    fn count(&self, job: &Job, outcome: &Outcome) -> usize {
        let mut tally = self.tally();
        tally.count(&job.promises, outcome, job.case.second.is_some(), job.case.loss != Loss::Nothing);
        if !outcome.breaches.is_empty() && tally.failed <= FAILURES_MAX {
            let (number, points) = (tally.failed, tally.points);
            drop(tally);
            let text = self.keep(job, outcome, number);
            self.tally().failures.push(text);
            return points;
        }
        tally.points
    }

    /// What failed, with the place of its disk.
    fn keep(&self, job: &Job, outcome: &Outcome, number: usize) -> String {
        let name = format!("{}-{}-{number}", self.subject.name, self.subject.kind.name());
        let saved = save(&self.plan.keep, &name, job, outcome);
        let where_to =
            saved.map_or_else(|error| format!("not kept: {error}"), |path| path.display().to_string());
        let breaches: Vec<String> = outcome.breaches.iter().take(5).map(Breach::to_string).collect();
        let more = outcome.breaches.len().saturating_sub(5);
        format!("{}: {} (and {more} more)\n    disk: {where_to}", job.case, breaches.join("\n    "))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn save(folder: &Path, name: &str, job: &Job, outcome: &Outcome) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.img"));
    job.image.save(&path)?;
    let breaches: Vec<String> = outcome.breaches.iter().map(Breach::to_string).collect();
    let text = format!("{}\n\n{}\n\n--- log\n{}", job.case, breaches.join("\n"), outcome.log);
    std::fs::write(path.with_extension("txt"), text)?;
    Ok(path)
}
