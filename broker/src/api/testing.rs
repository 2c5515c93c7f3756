//! What tests of handlers need: a context on an empty data directory.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use sendlog_protocol::messages::{CreatableTopic, CreateTopicsRequest};
use sendlog_protocol::records::{BatchBuilder, BatchHeader, Compression, NewRecord, ProducerStamp};
use tempfile::TempDir;
use uuid::Uuid;

use super::{Context, Packing, Session, create_topics};
use crate::catalog::Catalog;
use crate::checkpoint::Checkpointer;
use crate::clock::{Clock, ManualClock};
use crate::config::{Args, Config};
use crate::coordinator::group::{CoordinatorParts, GroupCoordinator};
use crate::coordinator::share::{ShareCoordinator, ShareParts};
use crate::partition::{AckAt, Appender, AppenderParts, CommitThreads, PartitionEnv, ProducedBatch, Room};
use crate::producer_ids::ProducerIds;
use crate::scrubber::Scrubber;
use crate::stop::{self, StopSender};
use crate::storage::commit::Committer;
use crate::storage::data_dir::DataDir;
use crate::storage::files::{FileSystem, RealFs};
use crate::storage::flush::Flusher;
use crate::storage::store::Store;

/// A broker without sockets.
pub(crate) struct Fixture {
    pub(crate) context: Context,
    pub(crate) session: Session,
    commit_threads: Option<CommitThreads>,
    _data_dir: DataDir,
    _stopper: StopSender,
    dir: TempDir,
}

impl Fixture {
    /// With the default settings.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// With these settings, each `key=value`.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Self::on(TempDir::new().unwrap(), settings)
    }

    /// The same broker after a stop and a start.
    pub(crate) fn restarted(mut self) -> Self {
        let commit_threads = self.commit_threads.take().unwrap();
        commit_threads.finish();
        let dir = std::mem::replace(&mut self.dir, TempDir::new().unwrap());
        drop(self);
        Self::on(dir, &[])
    }

    fn on(dir: TempDir, settings: &[&str]) -> Self {
        let mut args = vec!["broker", "--data-dir", dir.path().to_str().unwrap()];
        args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let config = Arc::new(Config::load(&Args::parse_from(args)).unwrap());
        let files: Arc<dyn FileSystem> = Arc::new(RealFs);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_000_000));
        let data_dir = DataDir::open(Arc::clone(&files), dir.path(), Uuid::new_v4()).unwrap();
        let (checkpointer, restored) =
            Checkpointer::open(&files, dir.path(), data_dir.last_end(), clock.now_ms()).unwrap();
        let store = Store::new(Arc::clone(&files), 100);
        let env = Arc::new(PartitionEnv {
            store: Arc::clone(&store),
            data_dir: dir.path().to_owned(),
            clock: Arc::clone(&clock),
            producers_max: 100,
        });
        let catalog = Catalog::open(env, Arc::clone(&config), restored).unwrap();
        let parts = AppenderParts {
            committer: Arc::new(Committer::new(Flusher::new(2), None)),
            flush_timer: Arc::default(),
            settler: Arc::default(),
            room: Room::new(store, dir.path().to_owned(), 0),
            clock: Arc::clone(&clock),
        };
        let (appender, commit_threads) = Appender::start(parts, || {}).unwrap();
        let (stopper, stop) = stop::channel();
        let local: SocketAddr = "192.0.2.7:9092".parse().unwrap();
        let session = Session::new("192.0.2.9:5000".parse().unwrap(), local, &config);
        let scrubber = Scrubber::open(Arc::clone(&files), &config, Arc::clone(&clock));
        let catalog = Arc::new(catalog);
        let groups = Arc::new(GroupCoordinator::new(CoordinatorParts {
            config: Arc::clone(&config),
            catalog: Arc::clone(&catalog),
            appender: appender.clone(),
            clock: Arc::clone(&clock),
            stop: stop.clone(),
        }));
        let shares = Arc::new(ShareCoordinator::new(ShareParts {
            config: Arc::clone(&config),
            catalog: Arc::clone(&catalog),
            groups: Arc::clone(&groups),
            appender: appender.clone(),
            clock: Arc::clone(&clock),
            stop: stop.clone(),
        }));
        let context = Context {
            packing: Packing::new(&config),
            config,
            cluster_id: "cluster".to_owned(),
            catalog,
            clock,
            appender,
            checkpointer: Arc::new(checkpointer),
            producer_ids: Arc::new(ProducerIds::open(&files, dir.path(), 0).unwrap()),
            scrubber: Arc::new(scrubber),
            groups,
            shares,
            stop,
        };
        Self {
            context,
            session,
            commit_threads: Some(commit_threads),
            _data_dir: data_dir,
            _stopper: stopper,
            dir,
        }
    }

    /// Appends a batch of three records, which is durable when this returns.
    pub(crate) async fn append(&self, topic: &str, producer: ProducerStamp) {
        let mut builder = BatchBuilder::new();
        for timestamp in 1..=3 {
            builder.add(&NewRecord { timestamp, value: Some(b"value"), ..Default::default() }).unwrap();
        }
        let bytes = builder.build(Compression::None, producer).unwrap();
        let batch = ProducedBatch { header: BatchHeader::read(&bytes).unwrap(), bytes };
        let partition = self.context.catalog.partition(topic, 0).unwrap();
        self.context.appender.append(partition, batch, AckAt::Durable).await.unwrap().unwrap();
    }

    /// The way to commit threads that find no room on the disk.
    pub(crate) fn full_appender(&self) -> (Appender, CommitThreads) {
        let store = Store::new(Arc::new(RealFs), 10);
        let parts = AppenderParts {
            committer: Arc::new(Committer::new(Flusher::new(1), None)),
            flush_timer: Arc::default(),
            settler: Arc::default(),
            room: Room::new(store, self.dir.path().to_owned(), u64::MAX),
            clock: Arc::clone(&self.context.clock),
        };
        Appender::start(parts, || {}).unwrap()
    }

    /// Creates a topic that must not be refused.
    pub(crate) async fn create(&self, name: &str, partitions: i32) -> Uuid {
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions,
            replication_factor: 1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let response = create_topics::handle(&self.context, &self.session, 7, request).await;
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
        response.topics[0].topic_id
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(threads) = self.commit_threads.take() {
            threads.finish();
        }
    }
}
