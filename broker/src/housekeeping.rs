//! What runs on a timer or in the background: checkpoints, retention, expiry of producers and offsets, the scrub, compaction, groups.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::api::Context;
use crate::cleaner::Cleaner;
use crate::partition::RetentionError;
use crate::retention_clock::RetentionClock;
use crate::scrubber::ScrubParts;
use crate::stop::Stop;

/// How often it is looked at, while there are appends, whether a checkpoint is due by bytes.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Stack of the scrub's thread, and of the cleaner's.
const STACK_BYTES: usize = 512 << 10;

/// How often states of share partitions are pruned; Kafka's default of `share.coordinator.state.topic.prune.interval.ms`.
const SHARE_PRUNE_INTERVAL: Duration = Duration::from_secs(300);

/// The running timers.
#[derive(Debug)]
pub struct Housekeeping {
    tasks: Vec<JoinHandle<()>>,
}

impl Housekeeping {
    /// Starts the timers; they end with the broker.
    pub fn start(context: &Arc<Context>, clock: Arc<RetentionClock>, cleaner: Cleaner) -> Self {
        let checkpoints = tokio::spawn(write_checkpoints(Arc::clone(context)));
        let retention = tokio::spawn(apply_retention(Arc::clone(context), Arc::clone(&clock)));
        let scrub = tokio::spawn(scrub(Arc::clone(context)));
        tokio::spawn(look_at_files(Arc::clone(context)));
        let cleaner = tokio::spawn(clean(Arc::clone(context), cleaner));
        let loading = tokio::spawn(load_groups(Arc::clone(context)));
        let expiry = tokio::spawn(expire_offsets(Arc::clone(context), clock));
        let timers = tokio::spawn(Arc::clone(&context.groups).keep_time());
        let locks = tokio::spawn(Arc::clone(&context.shares).keep_time());
        let pruning = tokio::spawn(prune_share_states(Arc::clone(context)));
        Self { tasks: vec![checkpoints, retention, scrub, cleaner, loading, expiry, timers, locks, pruning] }
    }

    /// Waits for what is under way; the broker must have been told to stop.
    pub async fn finish(self) {
        for task in self.tasks {
            // A panic in there was logged, and takes nothing from what was acknowledged.
            let _ = task.await;
        }
    }
}

/// Writes a checkpoint when enough was appended, or some time after the first append that none has.
/// A broker that is idle does nothing here.
async fn write_checkpoints(context: Arc<Context>) {
    let interval_max = Duration::from_millis(context.config.checkpoint_interval_ms);
    let bytes_max = context.config.checkpoint_interval_bytes;
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = context.appender.until_appended() => {}
        }
        let (from_bytes, due) = (context.appender.appended_bytes(), Instant::now() + interval_max);
        while Instant::now() < due && context.appender.appended_bytes() - from_bytes < bytes_max {
            tokio::select! {
                () = context.stop.stopped() => return,
                () = sleep_until(due.min(Instant::now() + LOOK_INTERVAL)) => {}
            }
        }
        let job = Arc::clone(&context);
        run("the checkpoint was not written", move || {
            job.checkpointer.write(job.catalog.partitions(), &job.appender)
        })
        .await;
    }
}

/// Deletes segments that no topic keeps any longer, and forgets silent producers.
async fn apply_retention(context: Arc<Context>, clock: Arc<RetentionClock>) {
    let every = Duration::from_millis(context.config.retention_check_interval_ms);
    let mut next = Instant::now() + every;
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = sleep_until(next) => {}
        }
        next = Instant::now() + every;
        let (job, clock) = (Arc::clone(&context), Arc::clone(&clock));
        run("retention was not applied", move || {
            let now_ms = clock.now_ms();
            let expiration_ms = job.catalog.live().config.producer_id_expiration_ms;
            let silent_since_ms = now_ms.saturating_sub(expiration_ms);
            let mut removed = 0;
            for partition in job.catalog.partitions() {
                partition.expire_producers(silent_since_ms);
                let count = match partition.apply_retention(now_ms) {
                    Err(RetentionError::Failed(error)) => {
                        job.appender.fail(error);
                        return Ok(());
                    }
                    count => count?,
                };
                if 0 < count {
                    let (topic, index) = (partition.topic(), partition.index());
                    tracing::info!(%topic, index, segments = count, "segments deleted by retention");
                }
                removed += count;
            }
            if 0 < removed {
                job.checkpointer.write(job.catalog.partitions(), &job.appender)?;
            }
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        })
        .await;
    }
}

/// Makes the groups that the log knows, behind the start's back.
async fn load_groups(context: Arc<Context>) {
    let groups = Arc::clone(&context.groups);
    run("groups were not loaded", move || {
        groups.load();
        Ok::<(), std::convert::Infallible>(())
    })
    .await;
}

/// Forgets offsets that nobody has used for long.
async fn expire_offsets(context: Arc<Context>, clock: Arc<RetentionClock>) {
    let every = Duration::from_millis(context.config.groups.offsets.retention_check_interval_ms);
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = sleep_until(Instant::now() + every) => {}
        }
        let (groups, clock) = (Arc::clone(&context.groups), Arc::clone(&clock));
        run("offsets were not expired", move || {
            groups.expire_offsets(clock.now_ms());
            Ok::<(), std::convert::Infallible>(())
        })
        .await;
    }
}

/// Keeps the topic of share partitions small. Where its logs start then is in the next checkpoint.
async fn prune_share_states(context: Arc<Context>) {
    loop {
        tokio::select! {
            () = context.stop.stopped() => return,
            () = sleep_until(Instant::now() + SHARE_PRUNE_INTERVAL) => {}
        }
        if let Err(error) = context.shares.prune().await {
            tracing::warn!(%error, "states of share partitions were not pruned");
        }
    }
}

/// Looks once, behind the start's back, whether all closed segments are there.
async fn look_at_files(context: Arc<Context>) {
    run("the segment files were not looked at", move || {
        let partitions = context.catalog.partitions().take_while(|_| !context.stop.is_stopped());
        partitions.for_each(|partition| partition.look_at_files());
        Ok::<(), std::convert::Infallible>(())
    })
    .await;
}

/// Has closed segments verified, by a thread of its own: it sleeps far more than it reads.
async fn scrub(context: Arc<Context>) {
    if !context.scrubber.is_on() {
        return;
    }
    let (scrubber, stop) = (Arc::clone(&context.scrubber), context.stop.clone());
    let parts = ScrubParts {
        catalog: Arc::clone(&context.catalog),
        checkpointer: Arc::clone(&context.checkpointer),
        appender: context.appender.clone(),
    };
    drop(context);
    run_thread("scrub", stop, move |stopping| scrubber.run(&parts, &stopping)).await;
}

/// Has topics compacted, by a thread of its own.
async fn clean(context: Arc<Context>, cleaner: Cleaner) {
    let (is_enabled, stop) = (context.config.cleaner.is_enabled, context.stop.clone());
    drop(context);
    if is_enabled {
        run_thread("cleaner", stop, move |stopping| cleaner.run(&stopping)).await;
    }
}

/// Runs work that sleeps far more than it does anything, until the broker stops: then the other end of its channel is closed.
async fn run_thread(name: &'static str, stop: Stop, work: impl FnOnce(mpsc::Receiver<()>) + Send + 'static) {
    let (running, stopping) = mpsc::channel();
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    let thread = match thread.spawn(move || work(stopping)) {
        Ok(thread) => thread,
        Err(error) => {
            tracing::error!(%error, name, "there is no thread for this, so it is not done");
            return;
        }
    };
    stop.stopped().await;
    drop(running);
    // A panic in there was logged, and takes nothing from what was acknowledged.
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
}

/// Runs a job that touches files where it may wait for them.
async fn run<E: std::fmt::Display + Send + 'static>(
    complaint: &'static str,
    job: impl FnOnce() -> Result<(), E> + Send + 'static,
) {
    match tokio::task::spawn_blocking(job).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "{complaint}"),
        Err(error) => tracing::error!(%error, "{complaint}"),
    }
}
