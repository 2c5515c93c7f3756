//! A broker in a memory cgroup, under load and among clients that would like to have all of it: the kernel has no reason to
//! kill it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use sendlog_tests::canary::Canary;
use sendlog_tests::conformance::say;
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::{Broker, BrokerOptions, Kafka, RawConnection, batches};

const LIMIT_BYTES: u64 = 160 << 20;
const HALF_SENT_BYTES: usize = 2 << 20;
const HALF_SENDERS: usize = 150;
const SLOW_READERS: usize = 60;
const TOPICS: [&str; 4] = ["a", "b", "c", "d"];
/// Of each producer.
const BATCHES: i64 = 60;

#[test]
fn the_kernel_has_no_reason_to_kill_it() {
    let Some(group) = MemoryGroup::new(LIMIT_BYTES) else { return };
    let broker = Broker::start(BrokerOptions::with_args([
        "--set",
        "queued.max.request.bytes=33554432",
        "--set",
        "socket.request.max.bytes=8388608",
        "--set",
        "sendlog.frame.stall.timeout.ms=1000",
    ]));
    group.add(broker.process_id());
    let mut canary = Canary::new(&broker);
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topics(&TOPICS, 1, &[]);
    let half = [&8_000_000_i32.to_be_bytes()[..], &vec![0; HALF_SENT_BYTES]].concat();
    thread::scope(|scope| {
        let producers: Vec<_> = TOPICS
            .into_iter()
            .map(|topic| {
                let address = broker.address();
                scope.spawn(move || {
                    let mut producer = Kafka::open(address);
                    let mut acknowledged = 0;
                    while acknowledged < BATCHES {
                        let batch = batches::sized(&format!("batch {acknowledged}"), 900_000);
                        match producer.try_produce(Produce::to(topic), &batch) {
                            Ok(_) => acknowledged += 1,
                            // The others have all of the budget: it is closed after a while, and comes again.
                            Err(ProduceFailure::Closed(_)) => producer = Kafka::open(address),
                            Err(ProduceFailure::Refused(code)) => panic!("{topic}: error {code}"),
                        }
                    }
                })
            })
            .collect();
        for _ in 0..HALF_SENDERS {
            let (half, address) = (&half, broker.address());
            scope.spawn(move || {
                let mut connection = RawConnection::open(address);
                // The broker may close it before it has taken all.
                let _ = connection.send_bytes(half);
                let _ = connection.is_closed_by_broker();
            });
        }
        let readers: Vec<Kafka> = (0..SLOW_READERS)
            .map(|_| {
                let mut reader = Kafka::open(broker.address());
                reader.send_large_fetch("a", 0, 0).expect("it is taken");
                reader
            })
            .collect();
        while !producers.iter().all(thread::ScopedJoinHandle::is_finished) {
            canary.sing();
        }
        drop(readers);
    });
    assert_eq!(group.kills(), 0);
    canary.expect_unharmed(&broker);
    for topic in TOPICS {
        let end = kafka.offset(topic, -1);
        assert!(BATCHES <= end, "{topic}: {end} of {BATCHES} batches");
        for offset in [0, end / 2, end - 1] {
            assert!(!kafka.fetch(topic, 0, offset).expect("it is answered").batches.is_empty());
        }
    }
    assert_eq!(group.kills(), 0);
}

/// A memory cgroup of its own, of either version.
struct MemoryGroup {
    folder: PathBuf,
    events: &'static str,
}

impl MemoryGroup {
    fn new(bytes: u64) -> Option<Self> {
        let name = format!("sendlog-test-{}", std::process::id());
        let has_memory = |root: &str| {
            fs::read_to_string(Path::new(root).join("cgroup.controllers"))
                .is_ok_and(|list| list.contains("memory"))
        };
        let (root, limit, events) = if has_memory("/sys/fs/cgroup") {
            // It may be there already, or not be ours to give.
            let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
            ("/sys/fs/cgroup", "memory.max", "memory.events")
        } else {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control")
        };
        let group = Self { folder: Path::new(root).join(name), events };
        let made = fs::create_dir(&group.folder)
            .and_then(|()| fs::write(group.folder.join(limit), bytes.to_string()));
        if let Err(error) = made {
            say(&format!("skipped: no memory cgroup can be made here: {error}"));
            return None;
        }
        Some(group)
    }

    fn add(&self, process_id: u32) {
        fs::write(self.folder.join("cgroup.procs"), process_id.to_string())
            .expect("a process can be put there");
    }

    fn kills(&self) -> u64 {
        let events = fs::read_to_string(self.folder.join(self.events)).expect("the kernel tells");
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).expect("the kernel counts")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The processes in it are gone by now; where one is not, neither is the group.
        let _ = fs::remove_dir(&self.folder);
    }
}
