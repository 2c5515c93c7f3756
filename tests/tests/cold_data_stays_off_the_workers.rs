//! A fetch of data that is not in memory waits for the disk on a thread made for that; the threads that serve
//! everybody never do.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use sendlog_tests::page_cache;
use sendlog_tests::sample_batches;
use sendlog_tests::syscall_trace::{self, Syscall, SyscallTrace};
use sendlog_tests::wire_client::WireClient;
use sendlog_tests::wire_requests::{self, FETCH_VERSION, FetchFrom, FetchLimits, Topic};
use sendlog_tests::{Broker, BrokerOptions};
use tempfile::TempDir;

const SEGMENT: &str = "00000000000000000000.log";

/// A broker with one worker, a topic `cold` with a sealed segment, and a topic `hot`.
struct Scene {
    broker: Broker,
    client: WireClient,
    cold: Topic,
    hot: Topic,
    batches: Vec<Bytes>,
    /// On a disk: /tmp may be in memory.
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory can be made");
        let one_worker = ["--set", "sendlog.worker.threads=1", "--set", "log.segment.bytes=4194304"];
        let options = BrokerOptions {
            data_dir: Some(folder.path().join("data")),
            ..BrokerOptions::with_args(one_worker)
        };
        let broker = Broker::start(options);
        let mut client = WireClient::connect(broker.address());
        let cold = wire_requests::create_topic(&mut client, "cold", 1, &[]);
        let hot = wire_requests::create_topic(&mut client, "hot", 1, &[]);
        let batches: Vec<_> = (0..6).map(|seed| sample_batches::batch(seed, 1, 900_000)).collect();
        wire_requests::append(&mut client, "cold", 0, &batches);
        wire_requests::append(&mut client, "hot", 0, &[sample_batches::batch(99, 1, 50_000)]);
        Self { broker, client, cold, hot, batches, folder }
    }

    fn cold_segment(&self) -> PathBuf {
        self.folder.path().join("data").join("cold-0").join(SEGMENT)
    }

    fn fetch_hot(&mut self) {
        let from = FetchFrom { topic: &self.hot, partition: 0, offset: 0, max_bytes: i32::MAX };
        let data = wire_requests::fetch(&mut self.client, from, FetchLimits::default());
        assert!(50_000 < wire_requests::records(&data).len());
    }

    /// What a fetch from the beginning must get: the sealed segment.
    fn expect_cold(&self, records: &Bytes) {
        let fetched = sample_batches::split(records);
        assert!(3 < fetched.len(), "the whole sealed segment is fetched");
        for (fetched, produced) in fetched.iter().zip(&self.batches) {
            assert!(sample_batches::payload(fetched) == sample_batches::payload(produced), "other bytes");
        }
    }
}

fn cold_request(topic: &Topic) -> sendlog_protocol::messages::FetchRequest {
    let from = FetchFrom { topic, partition: 0, offset: 0, max_bytes: i32::MAX };
    wire_requests::fetch_request(&[from], FetchLimits::default())
}

#[test]
fn cold_ranges_are_sent_by_other_threads() {
    let mut scene = Scene::new();
    if !page_cache::evict(&scene.cold_segment()) {
        return;
    }
    let calls = "trace=sendfile,read,readv,pread64,preadv,preadv2,epoll_wait,epoll_pwait,epoll_pwait2";
    let Some(trace) = SyscallTrace::attach(scene.broker.process_id(), &["-e", calls]) else { return };
    scene.fetch_hot();
    let mut reader = WireClient::connect(scene.broker.address());
    let response = reader.call(FETCH_VERSION, &cold_request(&scene.cold));
    scene.fetch_hot();
    let calls = trace.finish();
    let records = wire_requests::records(&wire_requests::partitions(response).remove(0));
    scene.expect_cold(&records);

    let workers = syscall_trace::workers(&calls);
    assert_eq!(workers.len(), 1, "one thread waits for sockets, as configured");
    let is_worker = |call: &Syscall| workers.contains(&call.thread_id);
    let is_of =
        |call: &Syscall, folder: &str| call.names_file(&Path::new(folder).join(SEGMENT).to_string_lossy());
    let hot_sends: Vec<_> =
        calls.iter().filter(|call| call.name == "sendfile" && is_of(call, "hot-0")).collect();
    assert!(!hot_sends.is_empty() && hot_sends.iter().all(|call| is_worker(call)), "{hot_sends:?}");
    let of_cold: Vec<_> = calls.iter().filter(|call| is_of(call, "cold-0")).collect();
    let cold_sends: Vec<_> =
        of_cold.iter().filter(|call| call.name == "sendfile" && 0 < call.result).collect();
    assert_eq!(cold_sends.iter().map(|call| call.moved()).sum::<u64>(), records.len() as u64);
    assert!(!is_worker(cold_sends[0]), "a worker sent a cold range: {:?}", cold_sends[0]);
    // What was cold becomes warm on the way, by read-ahead. A worker may send that, once it has made sure.
    let by_worker: Vec<_> = of_cold.iter().filter(|call| is_worker(call)).collect();
    for pair in by_worker.windows(2).filter(|pair| pair[1].name == "sendfile") {
        assert_ne!(pair[0].error, "EAGAIN", "a worker sent what it knew to be cold: {pair:?}");
    }
    for call in by_worker.iter().filter(|call| call.is_read()) {
        assert!(call.arguments.contains("RWF_NOWAIT"), "a worker waited for the disk: {call:?}");
    }
}

#[test]
fn a_cold_fetch_delays_no_hot_one() {
    let mut scene = Scene::new();
    let segment = scene.cold_segment();
    if !page_cache::evict(&segment) {
        return;
    }
    // The disk takes 20 seconds for each piece of the cold file; the one worker must not wait for it.
    let path = segment.to_string_lossy().into_owned();
    let slow_disk = ["-P", &path, "-e", "trace=sendfile", "-e", "inject=sendfile:delay_enter=20000000"];
    let Some(trace) = SyscallTrace::attach(scene.broker.process_id(), &slow_disk) else { return };
    let mut reader = WireClient::connect(scene.broker.address());
    let due = reader.send(FETCH_VERSION, &cold_request(&scene.cold));
    // The answer's header has come: its records are being sent.
    reader.stream().peek(&mut [0]).expect("the answer begins");
    for _ in 0..20 {
        scene.fetch_hot();
    }
    let arrived = reader.stream().peek(&mut [0; 4096]).expect("the answer began");
    assert!(arrived < 4096, "the cold fetch did not take long enough to show anything");
    // Without strace the disk is fast again.
    let calls = trace.finish();
    let frame = reader.receive_frame().expect("the answer goes on").expect("the connection stays");
    scene.expect_cold(&wire_requests::records(&wire_requests::partitions(due.decode(frame)).remove(0)));
    assert!(calls.iter().all(|call| call.name == "sendfile"), "{calls:?}");
}
