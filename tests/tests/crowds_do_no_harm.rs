//! Many connections at once, idle, half-finished or gone: memory and descriptors stay within their limits, and whoever
//! behaves is served.

use std::io::Read as _;
use std::net::Shutdown;
use std::process::Command;
use std::thread;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sendlog_protocol::messages::ApiVersionsRequest;
use sendlog_tests::canary::Canary;
use sendlog_tests::conformance::say;
use sendlog_tests::process::Process;
use sendlog_tests::wire_client::{ANSWER_LIMIT, WireClient};
use sendlog_tests::wire_requests::{self, FETCH_VERSION, FetchFrom, FetchLimits};
use sendlog_tests::{Broker, BrokerOptions, broker_binary, sample_batches, vitals};
use tempfile::TempDir;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Waits until the broker holds no more descriptors than before, while the canary gives it time.
fn expect_base_line(broker: &Broker, canary: &mut Canary, base_line: usize) {
    vitals::eventually(
        "descriptors return to the base line",
        || canary.sing(),
        || vitals::descriptors(broker.process_id()) <= base_line,
    );
}

/// Half-sent requests of 32 MiB in all against a budget of 4 MiB.
#[test]
fn half_sent_requests_share_a_budget_and_starve_nobody() {
    let broker = Broker::start(BrokerOptions::with_args([
        "--set",
        "queued.max.request.bytes=4194304",
        "--set",
        "socket.request.max.bytes=1048576",
        "--set",
        "sendlog.frame.stall.timeout.ms=300",
    ]));
    let mut canary = Canary::new(&broker);
    let base_line = vitals::descriptors(broker.process_id());
    let before = vitals::memory(broker.process_id());
    let address = broker.address();
    let half_sent = [&1_000_000_i32.to_be_bytes()[..], &vec![0; 900_000]].concat();
    let crowd = thread::scope(|scope| {
        let attack = |_| {
            let half_sent = &half_sent;
            scope.spawn(move || {
                let mut client = WireClient::connect(address);
                // The broker may close it before it has taken all.
                let _ = client.send_bytes(half_sent);
                client.expect_close();
            })
        };
        let crowd: Vec<_> = (0..32).map(attack).collect();
        while !crowd.iter().all(thread::ScopedJoinHandle::is_finished) {
            canary.sing();
        }
        crowd.len()
    });
    assert_eq!(crowd, 32);
    let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before.resident);
    assert!(grown < 20 * MIB, "memory grew by {grown} bytes with a budget of 4 MiB");
    expect_base_line(&broker, &mut canary, base_line);
    canary.expect_unharmed(&broker);
}

#[test]
fn two_thousand_idle_connections_cost_little() {
    const CONNECTIONS: usize = 2000;
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if setrlimit(Resource::Nofile, raised).is_err() || limit.maximum.is_some_and(|maximum| maximum < 2500) {
        say(&format!("skipped: no {CONNECTIONS} descriptors to be had here: {limit:?}"));
        return;
    }
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let base_line = vitals::descriptors(broker.process_id());
    let before = vitals::memory(broker.process_id());
    let connect = |_| {
        let mut client = WireClient::connect(broker.address());
        client.call(0, &ApiVersionsRequest::default());
        client
    };
    let idle: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    canary.sing();
    let grown = vitals::memory(broker.process_id()).resident.saturating_sub(before.resident);
    let per_connection = grown / CONNECTIONS as u64;
    eprintln!("{per_connection} bytes for each idle connection");
    assert!(per_connection < 16 * KIB, "{per_connection} bytes for each idle connection");
    drop(idle);
    expect_base_line(&broker, &mut canary, base_line);
    canary.expect_unharmed(&broker);
}

#[test]
fn connections_over_the_limit_are_not_served_until_one_leaves() {
    let broker = Broker::start(BrokerOptions::with_args(["--set", "max.connections=5"]));
    let connect = || {
        let mut client = WireClient::connect(broker.address());
        client.call(0, &ApiVersionsRequest::default());
        client
    };
    let mut served: Vec<_> = (0..5).map(|_| connect()).collect();
    let mut excess = WireClient::connect(broker.address());
    excess.expect_close();
    broker.wait_for_log("max.connections is reached");
    for client in &mut served {
        client.call(0, &ApiVersionsRequest::default());
    }
    served.pop();
    // The broker learns of the departure in its own time.
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        let mut newcomer = WireClient::connect(broker.address());
        newcomer.send(0, &ApiVersionsRequest::default());
        if let Ok(Some(_)) = newcomer.receive_frame() {
            break;
        }
        assert!(Instant::now() < deadline, "no newcomer is served, though there is room");
    }
}

#[test]
fn a_storm_of_reconnects_leaves_nothing_behind() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let base_line = vitals::descriptors(broker.process_id());
    let before = vitals::memory(broker.process_id());
    for round in 0..1000 {
        let mut client = WireClient::connect(broker.address());
        match round % 4 {
            0 => client.send_bytes(b"\0\0").expect("the broker takes it"),
            1 => client.send_bytes(b"\0\x10\0\0half of a frame").expect("the broker takes it"),
            2 => drop(client.send(0, &ApiVersionsRequest::default())),
            _ => {}
        }
        if round % 3 == 0 {
            client.reset();
        }
    }
    expect_base_line(&broker, &mut canary, base_line);
    let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before.resident);
    assert!(grown < 16 * MIB, "memory grew by {grown} bytes");
    canary.expect_unharmed(&broker);
}

/// Large answers that nobody takes: given up after a while, and with the connection the memory and the file.
#[test]
fn readers_that_take_nothing_are_let_go() {
    let broker = Broker::start(BrokerOptions::with_args(["--set", "sendlog.frame.stall.timeout.ms=500"]));
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "untaken", 1, &[]);
    let batches: Vec<_> = (0..14).map(|seed| sample_batches::batch(seed, 1, 900_000)).collect();
    wire_requests::append(&mut client, "untaken", 0, &batches);
    let base_line = vitals::descriptors(broker.process_id());
    let before = vitals::memory(broker.process_id());
    let stalled: Vec<_> = (0..16)
        .map(|_| {
            let mut reader = WireClient::connect_with_receive_buffer(broker.address(), 4096);
            let from = FetchFrom { topic: &topic, partition: 0, offset: 0, max_bytes: i32::MAX };
            reader.send(FETCH_VERSION, &wire_requests::fetch_request(&[from], FetchLimits::default()));
            reader
        })
        .collect();
    expect_base_line(&broker, &mut canary, base_line);
    let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before.resident);
    assert!(grown < 16 * MIB, "memory grew by {grown} bytes");
    drop(stalled);
    canary.expect_unharmed(&broker);
}

/// A client that sends requests and takes no answers is not read for ever.
#[test]
fn requests_without_end_are_not_taken_without_end() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let before = vitals::memory(broker.process_id());
    let mut client = WireClient::connect(broker.address());
    let (_, frame) = client.frame(0, &ApiVersionsRequest::default());
    let many = frame.repeat(1000);
    client.stream().set_nonblocking(true).expect("a socket takes options");
    let mut sent = 0;
    // Until the kernel's buffers are full on both sides and stay so while the canary is served.
    let mut refusals = 0;
    while refusals < 50 {
        match std::io::Write::write(client.stream(), &many) {
            Ok(bytes) => {
                sent += bytes as u64;
                refusals = 0;
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the broker keeps the connection");
                refusals += 1;
                canary.sing();
            }
        }
        assert!(sent < 512 * MIB, "the broker takes requests without end");
    }
    let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before.resident);
    assert!(grown < 16 * MIB, "memory grew by {grown} bytes");
    client.stream().shutdown(Shutdown::Both).expect("the connection stands");
    canary.expect_unharmed(&broker);
}

/// The same partition a hundred thousand times in one waiting fetch, by several clients: a wait must not cost the
/// product of their numbers when it ends.
#[test]
fn waits_for_the_same_partition_many_times_over_end_quickly() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "again", 1, &[]);
    let from = vec![FetchFrom { topic: &topic, partition: 0, offset: 0, max_bytes: 1 }; 100_000];
    let limits = FetchLimits { max_wait_ms: 200, min_bytes: i32::MAX, max_bytes: i32::MAX };
    let request = wire_requests::fetch_request(&from, limits);
    let mut waiting: Vec<_> = (0..6)
        .map(|_| {
            let mut client = WireClient::connect(broker.address());
            let due = client.send(FETCH_VERSION, &request);
            (client, due)
        })
        .collect();
    canary.sing();
    for (client, due) in &mut waiting {
        assert!(!wire_requests::partitions(client.receive(due)).is_empty());
        canary.sing();
    }
    canary.expect_unharmed(&broker);
}

#[test]
fn readers_that_leave_in_the_middle_of_an_answer_are_forgotten() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "half-read", 1, &[]);
    let batches: Vec<_> = (0..12).map(|seed| sample_batches::batch(seed, 1, 900_000)).collect();
    wire_requests::append(&mut client, "half-read", 0, &batches);
    let base_line = vitals::descriptors(broker.process_id());
    for round in 0..30 {
        let mut reader = WireClient::connect_with_receive_buffer(broker.address(), 16 << 10);
        let from = FetchFrom { topic: &topic, partition: 0, offset: 0, max_bytes: i32::MAX };
        reader.send(FETCH_VERSION, &wire_requests::fetch_request(&[from], FetchLimits::default()));
        reader.stream().read_exact(&mut [0; 20_000]).expect("the answer begins");
        if round % 2 == 0 {
            reader.reset();
        }
    }
    expect_base_line(&broker, &mut canary, base_line);
    canary.expect_unharmed(&broker);
}

/// A stop does not wait for those who make everybody wait.
#[test]
fn a_stop_is_clean_whoever_is_connected() {
    let broker_options = BrokerOptions::with_args(["--set", "sendlog.shutdown.timeout.ms=500"]);
    let mut broker = Broker::start(broker_options);
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "stop", 1, &[]);
    let batches: Vec<_> = (0..12).map(|seed| sample_batches::batch(seed, 1, 900_000)).collect();
    let end = wire_requests::append(&mut client, "stop", 0, &batches);
    let from = |offset| FetchFrom { topic: &topic, partition: 0, offset, max_bytes: i32::MAX };

    let mut half_sent = WireClient::connect(broker.address());
    half_sent.send_bytes(b"\0\x10\0\0half of a frame").expect("the broker takes it");
    let mut stalled = WireClient::connect_with_receive_buffer(broker.address(), 4096);
    stalled.send(FETCH_VERSION, &wire_requests::fetch_request(&[from(0)], FetchLimits::default()));
    stalled.stream().peek(&mut [0]).expect("the answer begins");
    let mut waiting = WireClient::connect(broker.address());
    let long = FetchLimits { max_wait_ms: i32::MAX, ..FetchLimits::default() };
    let due = waiting.send(FETCH_VERSION, &wire_requests::fetch_request(&[from(end)], long));
    client.call(0, &ApiVersionsRequest::default());

    let status = broker.terminate();
    assert!(status.success(), "{status:?}: {}", broker.stderr().text());
    broker.wait_for_log("the next start needs no recovery");
    // The fetch that waited was read, or else its connection is closed without an answer.
    if let Ok(Some(frame)) = waiting.receive_frame() {
        assert_eq!(wire_requests::partitions(due.decode(frame)).len(), 1);
    }
    half_sent.expect_close();
}

/// Fewer descriptors than `max.connections` allows for, as in many containers: connections must leave storage the ones
/// that it needs.
#[test]
fn connections_leave_descriptors_for_storage() {
    let data_dir = TempDir::with_prefix("sendlog-").expect("a temporary directory can be made");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 256 && exec \"$@\"", "sh"]).arg(broker_binary::path());
    limited.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir.path().join("data"));
    let broker = Process::spawn(&mut limited).expect("sh runs");
    let address = broker.stdout().wait_for(ANSWER_LIMIT, |text| {
        let (complete, _) = text.rsplit_once('\n')?;
        complete.lines().find_map(|line| line.trim_start().strip_prefix("address "))?.trim().parse().ok()
    });
    let address = address.unwrap_or_else(|| panic!("the broker is not ready: {}", broker.stderr().text()));

    let mut canary = Canary::at(address);
    let mut client = WireClient::connect(address);
    let crowd: Vec<_> = (0..400).map(|_| WireClient::connect(address)).collect();
    // By now the broker has accepted all that it is going to.
    canary.sing();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let topic = wire_requests::create_topic(&mut client, name, 1, &[]);
        wire_requests::append(&mut client, name, 0, &[sample_batches::batch(1, 1, 100)]);
        let from = FetchFrom { topic: &topic, partition: 0, offset: 0, max_bytes: i32::MAX };
        let data = wire_requests::fetch(&mut client, from, FetchLimits::default());
        assert!(!wire_requests::records(&data).is_empty(), "{name} can be read");
        canary.sing();
    }
    drop(crowd);
    vitals::eventually(
        "newcomers are served again",
        || canary.sing(),
        || {
            let mut newcomer = WireClient::connect(address);
            newcomer.send(0, &ApiVersionsRequest::default());
            matches!(newcomer.receive_frame(), Ok(Some(_)))
        },
    );
}
