//! The one place where async meets blocking files: appends are queued, written and made durable.
//!
//! Group commit without linger. Two threads take turns. One takes all that is queued, over all
//! partitions and connections, writes it to the segment files (page cache) and syncs them. What
//! arrives meanwhile it takes when it is through; if that is much, the other thread writes it beside
//! the sync, waits for the sync stage, and takes a last look at the queue there. Either way one sync
//! covers everything that arrived during the one before. A lone append pays one sync; sixty-four waiting ones share one.
//!
//! ```text
//! queue -> write stage (one thread at a time) -> sync stage (one at a time) -> watermark, acks
//! ```
//!
//! After a failed write or sync nothing is acknowledged any more: all waiting and later appends
//! fail, and the server is told to stop. A full disk is not such a failure: the append is rolled
//! back and refused, and a later one may succeed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot};

use super::commit_queue::{CommitQueue, Turn};
use super::error::AppendError;
use super::{Appended, FlushTimer, Partition, ProducedBatch, Room, Settler};
use crate::clock::Clock;
use crate::storage::commit::{self, Committer, Pending};
use crate::storage::error::StorageError;
use crate::storage::view::Bound;

/// Threads that take turns in writing and syncing; more would only wait for the same stage.
const COMMIT_THREADS: usize = 2;

/// A commit thread calls the file system and little else.
const STACK_BYTES: usize = 256 << 10;

/// When an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckAt {
    /// As soon as it is written to the page cache (acks=0: only a refusal is of interest).
    Written,
    /// When the topic's flush policy calls it safe: on disk, unless that was relaxed.
    Durable,
}

/// The answer to one append.
pub type AppendResult = Result<Appended, AppendError>;

struct AppendJob {
    partition: Arc<Partition>,
    batch: ProducedBatch,
    ack: AckAt,
    reply: oneshot::Sender<AppendResult>,
}

enum Job {
    Append(AppendJob),
    /// Makes durable what was appended to a partition whose acks do not wait for it.
    Sync(Arc<Partition>, oneshot::Sender<Result<(), AppendError>>),
}

/// What the commit threads work with.
#[derive(Debug)]
pub struct AppenderParts {
    /// Makes rounds durable.
    pub committer: Arc<Committer>,
    /// Takes partitions whose acks do not wait for a sync.
    pub flush_timer: Arc<FlushTimer>,
    /// Takes closed segments.
    pub settler: Arc<Settler>,
    /// Knows whether there is room.
    pub room: Room,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
}

/// Queues appends; cheap to clone.
#[derive(Clone)]
pub struct Appender {
    shared: Arc<Shared>,
}

struct Shared {
    queue: CommitQueue<Job>,
    parts: AppenderParts,
    failure: OnceLock<Arc<StorageError>>,
    on_failure: Box<dyn Fn() + Send + Sync>,
    appended_bytes: AtomicU64,
    /// Something was appended since [`Appender::until_appended`] was last asked.
    is_appended: AtomicBool,
    appended: Notify,
}

impl std::fmt::Debug for Appender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appender").field("failure", &self.shared.failure.get()).finish_non_exhaustive()
    }
}

/// The running commit threads; joined when the broker stops.
#[derive(Debug)]
pub struct CommitThreads {
    appender: Appender,
    threads: Vec<JoinHandle<()>>,
}

impl Appender {
    /// Starts the commit threads. `on_failure` is called once, after the first failed write or
    /// sync.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        parts: AppenderParts,
        on_failure: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<(Self, CommitThreads)> {
        let appender = Self {
            shared: Arc::new(Shared {
                queue: CommitQueue::new(),
                parts,
                failure: OnceLock::new(),
                on_failure: Box::new(on_failure),
                appended_bytes: AtomicU64::new(0),
                is_appended: AtomicBool::new(false),
                appended: Notify::new(),
            }),
        };
        let mut threads = Vec::new();
        for index in 0..COMMIT_THREADS {
            let shared = Arc::clone(&appender.shared);
            let builder = std::thread::Builder::new().name(format!("commit-{index}")).stack_size(STACK_BYTES);
            threads.push(builder.spawn(move || shared.run())?);
        }
        Ok((appender.clone(), CommitThreads { appender, threads }))
    }

    /// Queues one batch. The receiver gets the answer; if it is dropped, the append happens all the
    /// same.
    pub fn append(
        &self,
        partition: Arc<Partition>,
        batch: ProducedBatch,
        ack: AckAt,
    ) -> oneshot::Receiver<AppendResult> {
        let (reply, answer) = oneshot::channel();
        self.push(Job::Append(AppendJob { partition, batch, ack, reply }));
        answer
    }

    /// Makes durable all that was appended to a partition so far.
    pub fn sync(&self, partition: Arc<Partition>) -> oneshot::Receiver<Result<(), AppendError>> {
        let (reply, answer) = oneshot::channel();
        self.push(Job::Sync(partition, reply));
        answer
    }

    /// The filling of the commit journal that is under way.
    pub fn journal_filling(&self) -> u64 {
        self.shared.parts.committer.filling()
    }

    /// Syncs, in the background's own time, all segments that the commit journal stands in for now. Waits for the disk; false
    /// if a sync has failed.
    pub fn drain(&self) -> bool {
        self.shared.parts.committer.drain()
    }

    /// Bytes of batches appended since the start.
    pub fn appended_bytes(&self) -> u64 {
        self.shared.appended_bytes.load(Ordering::Relaxed)
    }

    /// Waits until something is appended that was not there when this was last asked. For one
    /// waiter.
    pub async fn until_appended(&self) {
        while !self.shared.is_appended.swap(false, Ordering::AcqRel) {
            self.shared.appended.notified().await;
        }
    }

    /// The write or sync that failed, if one did.
    pub fn failure(&self) -> Option<Arc<StorageError>> {
        self.shared.failure.get().cloned()
    }

    /// A write or sync outside of the rounds has failed: nothing is acknowledged any more.
    pub fn fail(&self, error: StorageError) {
        self.shared.fail(Arc::new(error));
    }

    fn push(&self, job: Job) {
        let bytes = match &job {
            Job::Append(append) => append.batch.bytes.len(),
            Job::Sync(..) => 0,
        };
        // If it is closed, the reply is dropped with the job, which its receiver sees.
        self.shared.queue.push(job, bytes);
    }
}

impl CommitThreads {
    /// Lets the threads finish what is queued, and joins them.
    pub fn finish(self) {
        self.appender.shared.queue.close();
        for thread in self.threads {
            // A panic in there was printed and nothing was acknowledged after it.
            let _ = thread.join();
        }
    }
}

/// What one sync makes durable.
#[derive(Default)]
struct Round {
    /// Written and not yet staged.
    pending: Vec<Pending>,
    commit: commit::Round,
    /// Partitions whose watermark moves, with where it moves to.
    durable: Vec<(Arc<Partition>, Bound)>,
    acks: Vec<(oneshot::Sender<AppendResult>, Appended)>,
    synced: Vec<oneshot::Sender<Result<(), AppendError>>>,
}

/// Alive while a thread works on a round.
struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // One of our own invariants is broken: nothing may be acknowledged on top of that.
            self.0.fail(Arc::new(StorageError::Poisoned { dir: "of a commit thread that panicked".into() }));
        }
    }
}

impl Round {
    fn is_empty(&self) -> bool {
        self.pending.is_empty()
            && self.commit.is_empty()
            && self.durable.is_empty()
            && self.acks.is_empty()
            && self.synced.is_empty()
    }
}

impl Shared {
    fn run(&self) {
        while let Some((jobs, mut turn)) = self.queue.take() {
            // Dropped before the turn: whoever takes over knows of the failure.
            let _fail_on_panic = FailOnPanic(self);
            self.commit(jobs, &mut turn);
            turn.end();
        }
    }

    /// Writes, syncs and acknowledges one round.
    fn commit(&self, jobs: Vec<Job>, turn: &mut Turn<'_, Job>) {
        let mut round = Round::default();
        self.write(jobs, &mut round);
        turn.written();
        if !round.is_empty() {
            self.parts.committer.stage(&mut round.commit, std::mem::take(&mut round.pending));
            turn.enter_sync_stage();
            if let Some(jobs) = turn.take_more() {
                self.write(jobs, &mut round);
                turn.written();
                self.parts.committer.stage(&mut round.commit, std::mem::take(&mut round.pending));
            }
            let synced = match self.failure.get() {
                Some(failure) => Err(Arc::clone(failure)),
                None => {
                    let staged = std::mem::take(&mut round.commit);
                    self.parts.committer.commit(staged).map_err(|error| self.fail(Arc::new(error)))
                }
            };
            turn.leave_sync_stage();
            match synced {
                Ok(()) => round.acknowledge(),
                Err(failure) => round.refuse(&failure),
            }
        }
    }

    /// Writes the jobs of one stage, partition by partition in the order of their arrival.
    fn write(&self, jobs: Vec<Job>, round: &mut Round) {
        let mut appends = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Append(append) => appends.push(append),
                Job::Sync(partition, reply) => {
                    let written = partition.unsynced();
                    round.pending.extend(written.pending);
                    round.durable.extend(written.end.map(|end| (partition, end)));
                    round.synced.push(reply);
                }
            }
        }
        // Stable: the batches of a partition stay in order.
        appends.sort_by_key(|job| Arc::as_ptr(&job.partition).addr());
        let mut appends = appends.into_iter().peekable();
        while let Some(first) = appends.next() {
            let mut group = vec![first];
            while let Some(job) = appends.next_if(|job| Arc::ptr_eq(&job.partition, &group[0].partition)) {
                group.push(job);
            }
            self.write_group(group, round);
        }
    }

    /// Writes the batches of one partition.
    fn write_group(&self, group: Vec<AppendJob>, round: &mut Round) {
        if let Some(failure) = self.failure.get() {
            for job in group {
                let _ = job.reply.send(Err(AppendError::Poisoned(Arc::clone(failure))));
            }
            return;
        }
        let Some(partition) = group.first().map(|job| Arc::clone(&job.partition)) else { return };
        let bytes = group.iter().map(|job| job.batch.bytes.len() as u64).sum();
        if let Err(error) = self.parts.room.take(bytes) {
            let error = Arc::new(error);
            for job in group {
                let _ = job.reply.send(Err(AppendError::Full(Arc::clone(&error))));
            }
            return;
        }
        let mut written = partition.write(group.iter().map(|job| &job.batch), self.parts.clock.now_ms());
        if 0 < written.bytes {
            self.appended_bytes.fetch_add(written.bytes, Ordering::Relaxed);
            if !self.is_appended.swap(true, Ordering::AcqRel) {
                self.appended.notify_one();
            }
        }
        if let Some(error) = written.failure.take() {
            self.fail(error);
        }
        self.parts.settler.add(std::mem::take(&mut written.sealed));
        if let Some(delay) = written.sync_in {
            self.parts.flush_timer.schedule(&partition, delay);
        }
        let waits = written.acks_wait;
        for (job, result) in group.into_iter().zip(written.results) {
            match result {
                Ok(appended) if waits && job.ack == AckAt::Durable => {
                    round.acks.push((job.reply, appended));
                }
                result => drop(job.reply.send(result)),
            }
        }
        if waits {
            round.pending.extend(written.pending);
            round.durable.extend(written.end.map(|end| (partition, end)));
        }
    }

    /// Remembers the first failure and tells the server.
    fn fail(&self, error: Arc<StorageError>) -> Arc<StorageError> {
        let failure = self.failure.get_or_init(|| {
            tracing::error!(%error, "a write or sync failed: nothing is acknowledged any more, the broker stops");
            error
        });
        self.parts.committer.fail();
        (self.on_failure)();
        Arc::clone(failure)
    }
}

impl Round {
    /// The sync succeeded: first the watermarks, so that a producer that has its ack can read.
    fn acknowledge(self) {
        for (partition, end) in self.durable {
            partition.publish(end);
        }
        for (reply, appended) in self.acks {
            let _ = reply.send(Ok(appended));
        }
        for reply in self.synced {
            let _ = reply.send(Ok(()));
        }
    }

    fn refuse(self, failure: &Arc<StorageError>) {
        for (reply, _) in self.acks {
            let _ = reply.send(Err(AppendError::Poisoned(Arc::clone(failure))));
        }
        for reply in self.synced {
            let _ = reply.send(Err(AppendError::Poisoned(Arc::clone(failure))));
        }
    }
}
