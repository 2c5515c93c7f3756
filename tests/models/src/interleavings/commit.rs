//! Group commit: producers, the two commit threads, and a consumer, around the broker's queue, offsets and waiters.
//!
//! [`Model::run`] and [`Model::commit`] are the loop of `partition/appender.rs` without files.

use std::sync::{Arc, Mutex, OnceLock};

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::{future, thread};
use tokio::sync::oneshot;

use crate::commit_queue::{CommitQueue, OVERLAP_BYTES_MIN, Turn};
use crate::fetch;
use crate::ghost::{self, Ghost, Ticket};
use crate::offsets::Offsets;
use crate::planted::{Planted, is_planted};
use crate::storage::view::Bound;
use crate::waiters::Waiters;

const COMMIT_THREADS: usize = 2;
const PARTITIONS: usize = 2;
const PRODUCERS: usize = 2;
/// Appends of a producer, and how many it has under way at a time.
const APPENDS: usize = 4;
const IN_FLIGHT: usize = 2;
/// Time in which something can be queued before the queue is closed.
const CLOSE_AFTER_STEPS: usize = 20;
/// A sync takes long enough for others to do something beside it.
const SYNC_STEPS: usize = 4;

type Answer = Result<usize, ()>;

struct Job {
    ticket: Ticket,
    reply: Option<oneshot::Sender<Answer>>,
    ghost: Arc<Ghost>,
}

/// One partition as readers and commit threads know it.
pub(crate) struct Partition {
    pub(crate) offsets: Offsets,
    pub(crate) waiters: Waiters,
}

struct Model {
    queue: CommitQueue<Job>,
    partitions: Arc<Vec<Partition>>,
    ghost: Arc<Ghost>,
    failure: OnceLock<()>,
    /// The sync that fails, if any; the step at which a thread breaks off.
    fails_at: usize,
    breaks_at: usize,
    steps: Mutex<usize>,
    /// Something to be interrupted at.
    point: AtomicUsize,
}

#[derive(Default)]
struct Round {
    durable: Vec<(usize, usize)>,
    acks: Vec<(Job, usize)>,
}

/// A thread broke off.
struct BrokenOff;

impl Drop for Job {
    fn drop(&mut self) {
        if self.reply.is_some() && !std::thread::panicking() {
            self.ghost.dropped(self.ticket);
        }
    }
}

impl Job {
    fn answer(mut self, answer: Answer) {
        if let Some(reply) = self.reply.take() {
            // Nobody may listen any more.
            let _ = reply.send(answer);
        }
    }
}

pub(crate) fn bound(offset: usize) -> Bound {
    let position = offset as u64;
    Bound { offset: i64::try_from(offset).expect("few records"), segment_base: 0, position }
}

pub(crate) fn partitions(count: usize) -> Arc<Vec<Partition>> {
    let partition = || Partition { offsets: Offsets::opened(0, bound(0)), waiters: Waiters::default() };
    Arc::new((0..count).map(|_| partition()).collect())
}

impl Model {
    fn new(fails_at: usize, breaks_at: usize) -> Arc<Self> {
        Arc::new(Self {
            queue: CommitQueue::new(),
            partitions: partitions(PARTITIONS),
            ghost: Arc::new(Ghost::new(PARTITIONS)),
            failure: OnceLock::new(),
            fails_at,
            breaks_at,
            steps: Mutex::new(0),
            point: AtomicUsize::new(0),
        })
    }

    fn start(self: &Arc<Self>) -> Vec<thread::JoinHandle<()>> {
        let spawn = |_| {
            let model = Arc::clone(self);
            thread::spawn(move || model.run())
        };
        (0..COMMIT_THREADS).map(spawn).collect()
    }

    fn interruptible(&self) {
        self.point.fetch_add(1, Ordering::SeqCst);
    }

    /// A place where a commit thread may break off.
    fn step(&self) -> Result<(), BrokenOff> {
        self.interruptible();
        let mut steps = self.steps.lock().expect("no panic");
        *steps += 1;
        if *steps == self.breaks_at { Err(BrokenOff) } else { Ok(()) }
    }

    fn run(&self) {
        while let Some((jobs, mut turn)) = self.queue.take() {
            let mut round = Round::default();
            match self.commit(jobs, &mut turn, &mut round) {
                Ok(()) => turn.end(),
                Err(BrokenOff) => {
                    self.ghost.break_off(|| drop(round));
                    let _ = self.failure.set(());
                    if is_planted(Planted::TurnLost) {
                        std::mem::forget(turn);
                    }
                    return;
                }
            }
        }
    }

    fn commit(&self, jobs: Vec<Job>, turn: &mut Turn<'_, Job>, round: &mut Round) -> Result<(), BrokenOff> {
        self.write(jobs, round)?;
        if !is_planted(Planted::StageNotLeft) {
            turn.written();
        }
        if round.acks.is_empty() {
            return Ok(());
        }
        if !is_planted(Planted::NoSyncStage) {
            turn.enter_sync_stage();
        }
        if let Some(jobs) = turn.take_more() {
            ghost::count_last_look();
            self.write(jobs, round)?;
            turn.written();
        }
        if is_planted(Planted::AckBeforeSync) {
            self.answer(round, 0);
        }
        if is_planted(Planted::WatermarkBeforeSync) {
            self.publish(round);
        }
        let is_failed = self.failure.get().is_some() && !is_planted(Planted::FailureForgotten);
        let synced = if is_failed { Err(()) } else { self.sync(round)? };
        turn.leave_sync_stage();
        self.step()?;
        match synced {
            Ok(number) => self.acknowledge(round, number),
            Err(()) => self.refuse(round),
        }
        Ok(())
    }

    fn write(&self, jobs: Vec<Job>, round: &mut Round) -> Result<(), BrokenOff> {
        self.ghost.begin_write();
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            if let Err(broken) = self.step() {
                self.ghost.break_off(|| drop((job, jobs)));
                self.ghost.end_write();
                return Err(broken);
            }
            let partition = job.ticket.partition;
            if self.failure.get().is_some() {
                self.ghost.refused(job.ticket);
                job.answer(Err(()));
                continue;
            }
            let offset = self.ghost.write(job.ticket);
            self.partitions[partition].offsets.advance_log_end(bound(offset + 1).offset);
            round.durable.push((partition, offset + 1));
            round.acks.push((job, offset));
        }
        self.ghost.end_write();
        Ok(())
    }

    fn sync(&self, round: &Round) -> Result<Result<usize, ()>, BrokenOff> {
        let number = self.ghost.begin_sync();
        for _ in 0..SYNC_STEPS {
            self.step().inspect_err(|_| self.ghost.end_sync(number, Ok(&[])))?;
        }
        if number == self.fails_at {
            self.ghost.end_sync(number, Err(()));
            let _ = self.failure.set(());
            return Ok(Err(()));
        }
        self.ghost.end_sync(number, Ok(&round.durable));
        Ok(Ok(number))
    }

    fn publish(&self, round: &Round) {
        for &(index, end) in &round.durable {
            let partition = &self.partitions[index];
            if partition.offsets.advance_durable(bound(end)) {
                partition.waiters.wake_all();
            }
            assert!(bound(end).offset <= partition.offsets.durable().offset, "the durable end went back");
            self.ghost.check_watermark(index, partition.offsets.view().high_watermark);
        }
    }

    fn acknowledge(&self, round: &mut Round, sync: usize) {
        self.publish(round);
        self.answer(round, sync);
    }

    fn answer(&self, round: &mut Round, sync: usize) {
        for (job, offset) in round.acks.drain(..) {
            self.ghost.acknowledged(job.ticket, offset, sync);
            job.answer(Ok(offset));
            self.interruptible();
        }
    }

    fn refuse(&self, round: &mut Round) {
        for (job, _) in round.acks.drain(..) {
            self.ghost.refused(job.ticket);
            job.answer(Err(()));
        }
    }

    fn push(&self, ticket: Ticket) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        // Every third is worth a second thread.
        let bytes = if ticket.number % 3 == 1 { OVERLAP_BYTES_MIN } else { 1 };
        let job = Job { ticket, reply: Some(reply), ghost: Arc::clone(&self.ghost) };
        self.ghost.begin_push(ticket.producer);
        self.queue.push(job, bytes);
        self.ghost.end_push(ticket.producer);
        answer
    }

    /// Appends with some under way at a time; returns how many were acknowledged.
    fn produce(&self, producer: usize) -> usize {
        let mut waiting = std::collections::VecDeque::new();
        let mut acknowledged = Vec::new();
        for number in 0..APPENDS {
            let partition = (producer + number / 2) % PARTITIONS;
            waiting.push_back((partition, self.push(Ticket { producer, number, partition })));
            if waiting.len() == IN_FLIGHT {
                let (partition, answer) = waiting.pop_front().expect("some are under way");
                acknowledged.extend(await_answer(answer).map(|offset| (partition, offset)));
            }
        }
        for (partition, answer) in waiting {
            acknowledged.extend(await_answer(answer).map(|offset| (partition, offset)));
        }
        for partition in 0..PARTITIONS {
            let offsets = acknowledged.iter().filter(|(at, _)| *at == partition).map(|(_, offset)| *offset);
            assert!(offsets.is_sorted_by(|one, next| one < next), "a producer's order was not kept");
        }
        acknowledged.len()
    }

    fn producers(self: &Arc<Self>) -> Vec<thread::JoinHandle<usize>> {
        let spawn = |producer| {
            let model = Arc::clone(self);
            thread::spawn(move || model.produce(producer))
        };
        (0..PRODUCERS).map(spawn).collect()
    }

    fn close(&self, threads: Vec<thread::JoinHandle<()>>) {
        self.ghost.begin_close();
        self.queue.close();
        threads.into_iter().for_each(join);
    }
}

/// Sleeps until there is one; `None` if there will be none, or a refusal.
fn await_answer(answer: oneshot::Receiver<Answer>) -> Option<usize> {
    future::block_on(answer).ok().and_then(Result::ok)
}

fn join<T>(thread: thread::JoinHandle<T>) -> T {
    thread.join().expect("a thread of the model panicked")
}

pub(crate) fn all_is_acknowledged() {
    let model = Model::new(0, 0);
    let threads = model.start();
    let partitions = Arc::clone(&model.partitions);
    let consumer = thread::spawn(move || fetch::read_until(&partitions, PRODUCERS * APPENDS));
    let acknowledged: usize = model.producers().into_iter().map(join).sum();
    assert_eq!(acknowledged, PRODUCERS * APPENDS);
    join(consumer);
    model.close(threads);
}

pub(crate) fn closing_drains() {
    let model = Model::new(0, 0);
    let threads = model.start();
    let producers = model.producers();
    (0..CLOSE_AFTER_STEPS).for_each(|_| model.interruptible());
    model.close(threads);
    let acknowledged: usize = producers.into_iter().map(join).sum();
    let written: usize = (0..PARTITIONS).map(|partition| model.ghost.end(partition)).sum();
    assert_eq!(acknowledged, written, "something was written and not acknowledged");
}

pub(crate) fn a_failure_ends_acknowledgements() {
    for fails_at in 1..=2 {
        let model = Model::new(fails_at, 0);
        let threads = model.start();
        model.producers().into_iter().map(join).for_each(drop);
        model.close(threads);
    }
}

pub(crate) fn a_broken_thread_leaves_nothing_waiting() {
    use shuttle::rand::Rng as _;
    let model = Model::new(0, shuttle::rand::thread_rng().gen_range(1..40));
    let threads = model.start();
    model.producers().into_iter().map(join).for_each(drop);
    model.close(threads);
}
