//! Builds the parts in the order of their dependencies, serves, and takes them down in reverse.

use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::api::{Context, Packing};
use crate::catalog::{Catalog, CatalogError};
use crate::cleaner::{Cleaner, CleanerParts};
use crate::clock::Clock;
use crate::config::Config;
use crate::coordinator::group::{CoordinatorParts, GroupCoordinator};
use crate::coordinator::share::{ShareCoordinator, ShareParts};
use crate::housekeeping::Housekeeping;
use crate::net::{Budget, Limits, Listener, bind};
use crate::opened::{self, Opened};
use crate::partition::{Appender, AppenderParts, BackgroundSync, CommitThreads, FlushTimer, Room, Settler};
use crate::producer_ids::ProducerIds;
use crate::retention_clock::RetentionClock;
use crate::scrubber::Scrubber;
use crate::stop::{self, Stop, StopSender};
use crate::storage::commit::{Committer, JournalPlace};
use crate::storage::data_dir::{DataDir, DataDirError, FailureNote, LastEnd};
use crate::storage::error::StorageError;
use crate::storage::files::FileSystem;
use crate::storage::flush::Flusher;
use crate::storage::journal;

/// Threads that may wait for cold data at a time.
const BLOCKING_THREADS_MAX: usize = 64;

/// Stack of the runtime's threads.
const STACK_BYTES: usize = 1 << 20;

/// Logs that may wait for their segments to be synced at a time: each holds a descriptor.
const UNSYNCED_LOGS_MAX: usize = 2048;

/// Why the broker did not start, or stopped.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A log or a state file cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The topics cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The listen address is no address.
    #[error("{address} is not an address of this machine: {source}; see --listen")]
    Resolve {
        /// As configured.
        address: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The listen address cannot be bound.
    #[error("cannot listen on {address}: {source}{hint}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
        /// The way out.
        hint: &'static str,
    },
    /// A thread or signal handler could not be set up.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// A write or sync failed while serving.
    #[error(
        "stopped, because a write or sync failed: {failure}. {promise}. Look at the disk (dmesg, smartctl, df), \
         then start the broker again: it checks what was not confirmed and continues"
    )]
    Failed {
        /// What failed.
        failure: Arc<StorageError>,
        /// What that means for what was acknowledged.
        promise: &'static str,
    },
}

/// Runs the broker until SIGTERM, SIGINT, or a failed write, with its data in `files`.
///
/// # Errors
/// [`ServerError`], with the way out.
pub fn run(config: Config, files: Arc<dyn FileSystem>) -> Result<(), ServerError> {
    let started = Instant::now();
    let descriptors = raise_descriptor_limit();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_name("worker").thread_stack_size(STACK_BYTES);
    runtime.max_blocking_threads(BLOCKING_THREADS_MAX);
    if 0 < config.worker_threads {
        runtime.worker_threads(config.worker_threads);
    }
    let runtime = runtime.build().map_err(ServerError::Start)?;
    let result = runtime.block_on(async {
        let (stopper, stop) = stop::channel();
        let on_failure = stopper.clone();
        let server =
            Server::start(Arc::new(config), files, descriptors, stop.clone(), move || on_failure.stop())
                .await?;
        stop_on_signals(stopper).map_err(ServerError::Start)?;
        // Nobody reads stdout of a daemon: that it cannot be written is no reason to end.
        let _ = server.announce(started.elapsed());
        server.serve().await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// A broker that is ready to serve.
#[derive(Debug)]
pub struct Server {
    context: Arc<Context>,
    listener: Listener,
    address: SocketAddr,
    commit_threads: CommitThreads,
    background: Background,
    flush_timer: Arc<FlushTimer>,
    settler: Arc<Settler>,
    retention_clock: Arc<RetentionClock>,
    files: Arc<dyn FileSystem>,
    data_dir: DataDir,
}

/// What the commit journal has in the background.
#[derive(Debug)]
struct Background {
    committer: Arc<Committer>,
    threads: BackgroundSync,
}

impl Server {
    /// Opens the data directory, recovers what needs it, and binds the address. `descriptors` is how
    /// many this process may have. `on_failure` is called when a write or sync fails; it should make `stop` end.
    ///
    /// # Errors
    /// [`ServerError`] with the way out; the directory is as it was then.
    pub async fn start(
        config: Arc<Config>,
        files: Arc<dyn FileSystem>,
        descriptors: usize,
        stop: Stop,
        on_failure: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Result<Self, ServerError> {
        warn(&config);
        let (address, socket) = listen(&config)?;
        let Opened { data_dir, env, catalog, checkpointer, journal_filling } =
            opened::open(&config, &files, descriptors)?;
        let clock = Arc::clone(&env.clock);
        let on_failure = noting(data_dir.failure_note(), on_failure);
        catalog.on_failure(on_failure.clone());
        let flush_timer = Arc::new(FlushTimer::default());
        let settler = Arc::new(Settler::default());
        let room = Room::new(Arc::clone(&env.store), config.data_dir.clone(), config.free_bytes_min);
        let journal = JournalPlace {
            fs: Arc::clone(&files),
            data_dir: &config.data_dir,
            directory: data_dir.cluster_id(),
            bytes: config.journal_bytes,
            filling: journal_filling,
            files_max: UNSYNCED_LOGS_MAX.min(descriptors / 16),
        };
        let committer = Arc::new(committer(&config, journal)?);
        let parts = AppenderParts {
            committer: Arc::clone(&committer),
            flush_timer: Arc::clone(&flush_timer),
            settler: Arc::clone(&settler),
            room,
            clock: Arc::clone(&clock),
        };
        let (appender, commit_threads) = Appender::start(parts, on_failure).map_err(ServerError::Start)?;
        let threads = BackgroundSync::start(&committer, &appender, config.free_bytes_min)
            .map_err(ServerError::Start)?;
        let background = Background { committer, threads };
        let unused_from = unused_producer_ids(&catalog);
        let producer_ids = Arc::new(ProducerIds::open(&files, &config.data_dir, unused_from)?);
        let listener = listener(socket, &config, descriptors);
        let (clock_is_new, wait_ms) = (data_dir.last_end() == LastEnd::New, config.clock_jump_wait_ms);
        let retention_clock =
            RetentionClock::open(&files, &config.data_dir, clock_is_new, Arc::clone(&clock), wait_ms);
        let cluster_id = cluster_id(data_dir.cluster_id());
        let scrubber = Arc::new(Scrubber::open(Arc::clone(&files), &config, Arc::clone(&clock)));
        let groups = groups(&config, &catalog, &appender, &clock, &stop);
        let shares = shares(&config, &groups, &catalog, &appender, &clock, &stop);
        let context = Context {
            packing: Packing::new(&config),
            config,
            cluster_id,
            catalog,
            clock,
            appender,
            checkpointer: Arc::new(checkpointer),
            producer_ids,
            scrubber,
            groups,
            shares,
            stop,
        };
        Ok(Self {
            context: Arc::new(context),
            listener,
            address,
            commit_threads,
            background,
            flush_timer,
            settler,
            retention_clock: Arc::new(retention_clock),
            files,
            data_dir,
        })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Prints where the broker is, what it promises and how to talk to it.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn announce(&self, elapsed: Duration) -> io::Result<()> {
        let config = &self.context.config;
        let catalog = &self.context.catalog;
        let (topics, partitions) = (catalog.topic_count(), catalog.partition_count());
        let address = self.address;
        let mut out = io::stdout().lock();
        let ready_ms = elapsed.as_secs_f64() * 1000.0;
        writeln!(out, "sendlog {}, ready in {ready_ms:.1} ms", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "  address     {address}")?;
        let data_dir = config.data_dir.display();
        writeln!(out, "  data        {data_dir} ({topics} topics, {partitions} partitions)")?;
        writeln!(out, "  durability  {}", config.durability())?;
        writeln!(out, "  try         kcat -b {} -t demo -P", reachable(address))?;
        out.flush()
    }

    /// Serves until the broker is told to stop, then drains, syncs and marks the directory clean.
    ///
    /// # Errors
    /// [`ServerError::Failed`] after a failed write or sync: the directory is not marked clean then.
    pub async fn serve(self) -> Result<(), ServerError> {
        let context = self.context;
        let stop = context.stop.clone();
        let flush_timer = Arc::clone(&self.flush_timer);
        let flushing = {
            let (appender, stop) = (context.appender.clone(), stop.clone());
            tokio::spawn(async move { flush_timer.run(appender, stop).await })
        };
        let settling = tokio::spawn(Arc::clone(&self.settler).run(stop));
        let cleaner = cleaner(&context, self.files, &self.retention_clock);
        let housekeeping = Housekeeping::start(&context, Arc::clone(&self.retention_clock), cleaner);
        self.listener.run(Arc::clone(&context)).await;
        tracing::info!("stopping");
        let _ = flushing.await;
        let _ = settling.await;
        housekeeping.finish().await;
        let (data_dir, commit_threads, settler) = (self.data_dir, self.commit_threads, self.settler);
        let (background, retention_clock) = (self.background, self.retention_clock);
        let closing = tokio::task::spawn_blocking(move || {
            if let Err(error) = retention_clock.finish() {
                tracing::warn!(%error, "the clock's state was not saved");
            }
            close(&context, &data_dir, commit_threads, background, &settler)
        });
        closing.await.map_err(|error| ServerError::Start(io::Error::other(error)))?
    }
}

/// Syncs what is not yet on disk, writes the last checkpoint and marks the directory clean.
fn close(
    context: &Context,
    data_dir: &DataDir,
    commit_threads: CommitThreads,
    background: Background,
    settler: &Settler,
) -> Result<(), ServerError> {
    for partition in context.catalog.partitions() {
        if partition.is_undurable() {
            // Its answer is that the commit threads end without a failure.
            drop(context.appender.sync(partition));
        }
    }
    commit_threads.finish();
    background.committer.close();
    background.threads.finish();
    if let Some(failure) = context.appender.failure().or_else(|| context.catalog.failure()) {
        opened::note(&data_dir.failure_note());
        let is_strict = context.catalog.partitions().all(|partition| partition.config().syncs_before_ack());
        let promise = match is_strict {
            true => "Nothing that was acknowledged is lost",
            false => {
                "Nothing is lost that was acknowledged after a sync; topics that relax it may miss the last records"
            }
        };
        return Err(ServerError::Failed { failure, promise });
    }
    settler.settle_all();
    let journal_live_from = background.committer.filling() + 1;
    context.checkpointer.write_quiet(context.catalog.partitions(), journal_live_from)?;
    data_dir.mark_recovered()?;
    data_dir.mark_clean()?;
    tracing::info!("stopped; the next start needs no recovery");
    Ok(())
}

fn groups(
    config: &Arc<Config>,
    catalog: &Arc<Catalog>,
    appender: &Appender,
    clock: &Arc<dyn Clock>,
    stop: &Stop,
) -> Arc<GroupCoordinator> {
    Arc::new(GroupCoordinator::new(CoordinatorParts {
        config: Arc::clone(config),
        catalog: Arc::clone(catalog),
        appender: appender.clone(),
        clock: Arc::clone(clock),
        stop: stop.clone(),
    }))
}

/// Says what of the settings deserves it.
fn warn(config: &Config) {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    if !config.topic_defaults.syncs_before_ack() {
        tracing::warn!("{}", config.durability());
    }
}

fn shares(
    config: &Arc<Config>,
    groups: &Arc<GroupCoordinator>,
    catalog: &Arc<Catalog>,
    appender: &Appender,
    clock: &Arc<dyn Clock>,
    stop: &Stop,
) -> Arc<ShareCoordinator> {
    Arc::new(ShareCoordinator::new(ShareParts {
        config: Arc::clone(config),
        catalog: Arc::clone(catalog),
        groups: Arc::clone(groups),
        appender: appender.clone(),
        clock: Arc::clone(clock),
        stop: stop.clone(),
    }))
}

fn cleaner(context: &Context, files: Arc<dyn FileSystem>, retention_clock: &Arc<RetentionClock>) -> Cleaner {
    Cleaner::open(CleanerParts {
        config: Arc::clone(&context.config),
        files,
        catalog: Arc::clone(&context.catalog),
        checkpointer: Arc::clone(&context.checkpointer),
        appender: context.appender.clone(),
        retention_clock: Arc::clone(retention_clock),
    })
}

/// The first producer id behind those that any log remembers.
fn unused_producer_ids(catalog: &Catalog) -> i64 {
    let used = catalog.partitions().filter_map(|partition| partition.last_producer_id()).max();
    used.map_or(0, |id| id.saturating_add(1))
}

fn committer(config: &Config, place: JournalPlace<'_>) -> Result<Committer, StorageError> {
    let flusher = Flusher::new(config.sync_threads);
    if place.bytes == 0 {
        // All that it held is in the segments by now.
        journal::ring::remove(place.fs.as_ref(), place.data_dir)?;
        return Ok(Committer::new(flusher, None));
    }
    Ok(Committer::new(flusher, Some(place)))
}

/// The id as Kafka writes it: 22 characters of URL-safe base64.
fn cluster_id(id: Uuid) -> String {
    crate::storage::partition_metadata::encode(id)
}

/// Notes a failed write or sync before anything else happens: the orderly end takes as long as open connections do, and
/// whoever is killed meanwhile must not leave a page cache that is believed.
fn noting(
    failure_note: FailureNote,
    on_failure: impl Fn() + Clone + Send + Sync + 'static,
) -> impl Fn() + Clone + Send + Sync + 'static {
    move || {
        opened::note(&failure_note);
        on_failure();
    }
}

fn listen(config: &Config) -> Result<(SocketAddr, TcpListener), ServerError> {
    let wanted = &config.listen;
    let resolve = |source| ServerError::Resolve { address: wanted.to_string(), source };
    let host = if wanted.host.is_empty() { "0.0.0.0" } else { wanted.host.as_str() };
    let mut addresses = (host, wanted.port).to_socket_addrs().map_err(resolve)?;
    let none = || resolve(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    let address = addresses.next().ok_or_else(none)?;
    let bind_error = |source: io::Error| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "; another program listens there: stop it, or choose another port with --listen"
            }
            io::ErrorKind::AddrNotAvailable => "; this machine has no such address: see --listen",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges: see --listen",
            _ => "",
        };
        ServerError::Bind { address, source, hint }
    };
    let socket = bind(address, config.congestion_control.as_deref()).map_err(bind_error)?;
    let bound = socket.local_addr().map_err(bind_error)?;
    Ok((bound, socket))
}

fn listener(socket: TcpListener, config: &Config, descriptors: usize) -> Listener {
    Listener {
        socket,
        limits: Arc::new(limits(config)),
        budget: Budget::new(config.queued_request_bytes_max),
        connections_max: descriptors / 2,
        is_sendfile: config.sendfile,
        drain_time: Duration::from_millis(config.shutdown_timeout_ms),
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        frame_bytes_max: config.request_bytes_max,
        inflight_requests_max: config.inflight_requests_max,
        inflight_bytes_max: config.inflight_bytes_max,
        idle_timeout: Duration::from_millis(config.connection_idle_ms_max),
        stall_timeout: Duration::from_millis(config.frame_stall_timeout_ms),
        deleted_kept: Duration::from_millis(config.segment_delete_delay_ms),
    }
}

/// An address that a client on this machine can dial.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        ip if ip.is_ipv4() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        _ => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], address.port())),
    }
}

fn stop_on_signals(stopper: StopSender) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopper.stop();
    });
    Ok(())
}

/// A process often starts with 1,024 descriptors; connections and segments may need more. Returns
/// how many there may be: a quarter is for segments, half for connections, the rest is a reserve.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
