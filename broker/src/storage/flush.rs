//! Makes files durable, many at once.
//!
//! A sync waits for the disk and computes nothing, so many threads do it: one after the other,
//! 256 files take eight times as long. The threads are started when a round first needs them.
//!
//! This is the hand-off behind which a commit journal can stand: appended batches go in, and when
//! [`Flusher::sync`] returns they are durable.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Dirty, StorageError};

/// What one sync covers: a file or a folder.
pub type SyncUnit = Arc<Dirty>;

/// A sync thread calls `fdatasync` and nothing else.
const STACK_BYTES: usize = 64 << 10;

type Outcome = Result<(), StorageError>;

struct Task {
    unit: SyncUnit,
    done: Sender<Outcome>,
}

/// Syncs files on a pool of threads.
#[derive(Debug)]
pub struct Flusher {
    threads_max: usize,
    threads: Mutex<usize>,
    tasks: Sender<Task>,
    queue: Arc<Mutex<Receiver<Task>>>,
}

impl Flusher {
    /// A flusher with at most `threads_max` threads beside the caller's.
    pub fn new(threads_max: usize) -> Self {
        let (tasks, queue) = mpsc::channel();
        Self { threads_max, threads: Mutex::new(0), tasks, queue: Arc::new(Mutex::new(queue)) }
    }

    /// Makes all of `units` durable. The calling thread takes the last one itself, so that the
    /// usual round of a single file costs no hand-over.
    ///
    /// # Errors
    /// The first failure. It says nothing about the other units, which may be durable or not; and
    /// it must not be tried again (on Linux a second sync reports success with the data gone).
    pub fn sync(&self, units: &[SyncUnit]) -> Outcome {
        let Some((own, others)) = units.split_last() else { return Ok(()) };
        let (done, outcomes) = mpsc::channel();
        self.start_threads(others.len());
        for unit in others {
            let task = Task { unit: Arc::clone(unit), done: done.clone() };
            // The queue's other end lives as long as `self`.
            let _ = self.tasks.send(task);
        }
        drop(done);
        let mut result = own.sync();
        self.help();
        for outcome in outcomes {
            result = result.and(outcome);
        }
        result
    }

    /// Takes tasks off the queue until it is empty: without a thread they would stay there.
    fn help(&self) {
        loop {
            let task = self.queue.try_lock().ok().and_then(|queue| queue.try_recv().ok());
            match task {
                Some(task) => run(&task),
                None => return,
            }
        }
    }

    fn start_threads(&self, wanted: usize) {
        let wanted = wanted.min(self.threads_max);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while *threads < wanted {
            let queue = Arc::clone(&self.queue);
            let builder = std::thread::Builder::new().name(format!("sync-{threads}")).stack_size(STACK_BYTES);
            if builder.spawn(move || work(&queue)).is_err() {
                // The caller works the queue off by itself.
                return;
            }
            *threads += 1;
        }
    }
}

fn work(queue: &Mutex<Receiver<Task>>) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match task {
            Ok(task) => run(&task),
            Err(_) => return,
        }
    }
}

fn run(task: &Task) {
    // Whoever asked has seen another failure already if it no longer listens.
    let _ = task.done.send(task.unit.sync());
}
