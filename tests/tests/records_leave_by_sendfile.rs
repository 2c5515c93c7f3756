//! Record bytes go from the page cache to the socket inside the kernel, all of them, whoever reads them.

use std::io::Read as _;

use bytes::Bytes;
use sendlog_tests::sample_batches;
use sendlog_tests::syscall_trace::{Syscall, SyscallTrace};
use sendlog_tests::wire_client::WireClient;
use sendlog_tests::wire_requests::{self, FETCH_VERSION, FetchFrom, FetchLimits, Topic};
use sendlog_tests::{Broker, BrokerOptions};

/// Most that one sendfile call may be asked for.
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// What each fetch asks for.
const FETCH_BYTES: i32 = 16 << 20;
/// A look-up reads so much at once, in which small batches have many headers.
const HEADER_READ_BYTES_MAX: i64 = 8192;
/// Every call that could move record bytes.
const MOVERS: &str = "trace=sendfile,splice,copy_file_range,mmap,read,readv,pread64,preadv,preadv2,write,writev,\
                      sendto,sendmsg,sendmmsg";

/// A topic whose only partition has these batches.
fn topic_with(client: &mut WireClient, name: &str, batches: &[Bytes]) -> Topic {
    let topic = wire_requests::create_topic(client, name, 1, &[]);
    wire_requests::append(client, name, 0, batches);
    topic
}

fn large_batches(count: u64) -> Vec<Bytes> {
    (0..count).map(|seed| sample_batches::batch(seed, 3, 230_000)).collect()
}

/// Fetches until `end`; returns the record sets and the bytes of all frames.
fn fetch_all(client: &mut WireClient, topic: &Topic, end: i64, max_bytes: i32) -> (Vec<Bytes>, u64) {
    let (mut record_sets, mut frame_bytes, mut offset) = (Vec::new(), 0, 0);
    while offset < end {
        let from = FetchFrom { topic, partition: 0, offset, max_bytes };
        let request = wire_requests::fetch_request(&[from], FetchLimits::default());
        let due = client.send(FETCH_VERSION, &request);
        let frame = client.receive_frame().expect("the broker answers").expect("the connection stays");
        frame_bytes += frame.len() as u64 + 4;
        let data = wire_requests::partitions(due.decode(frame)).remove(0);
        let records = wire_requests::records(&data);
        let last = sample_batches::split(&records).pop().expect("there is more to fetch");
        offset = sample_batches::base_offset(&last) + 3;
        record_sets.push(records);
    }
    (record_sets, frame_bytes)
}

fn sum(calls: &[&Syscall]) -> u64 {
    calls.iter().map(|call| call.moved()).sum()
}

#[test]
fn warm_records_leave_uncopied() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let batches = large_batches(36);
    let topic = topic_with(&mut client, "warm", &batches);
    let end = 3 * 36;
    let Some(trace) = SyscallTrace::attach(broker.process_id(), &["-e", MOVERS]) else { return };
    let (record_sets, frame_bytes) = fetch_all(&mut client, &topic, end, FETCH_BYTES);
    let calls = trace.finish();

    let fetched: Vec<Bytes> = record_sets.iter().flat_map(sample_batches::split).collect();
    let (sent, stored): (Vec<_>, Vec<_>) = (
        batches.iter().map(sample_batches::payload).collect(),
        fetched.iter().map(sample_batches::payload).collect(),
    );
    assert!(sent == stored, "the fetched batches are not the produced ones");
    let record_bytes: u64 = record_sets.iter().map(|records| records.len() as u64).sum();
    let by_sendfile: Vec<_> = calls.iter().filter(|call| call.name == "sendfile").collect();
    assert_eq!(sum(&by_sendfile), record_bytes, "all record bytes leave by sendfile");
    let by_send: Vec<_> = calls.iter().filter(|call| call.is_write() && call.is_to_socket()).collect();
    assert_eq!(sum(&by_send), frame_bytes - record_bytes, "nothing but headers leaves by send");
    for call in &by_sendfile {
        assert!(call.last_number().expect("a count") <= PIECE_BYTES_MAX, "a piece over 1 MiB: {call:?}");
        assert!(call.names_file("warm-0/00000000000000000000.log"), "not from the segment: {call:?}");
    }
    expect_header_reads_only(&calls, record_bytes);
    expect_more_before_file_bytes(&calls);
}

/// Of the log, the process may read headers, some at a time, and probe pages; it may neither read nor map records.
fn expect_header_reads_only(calls: &[Syscall], record_bytes: u64) {
    let of_log: Vec<_> =
        calls.iter().filter(|call| call.names_file(".log") && call.name != "sendfile").collect();
    for call in &of_log {
        assert!(
            call.is_read() && call.result <= HEADER_READ_BYTES_MAX,
            "record bytes reach the process: {call:?}"
        );
    }
    assert!(sum(&of_log) < record_bytes / 100, "{} bytes of the log were read", sum(&of_log));
}

/// Header and records share their packets: what is sent before file bytes says that more follows, and only that.
fn expect_more_before_file_bytes(calls: &[Syscall]) {
    let to_socket: Vec<_> = calls
        .iter()
        .filter(|call| call.is_to_socket() && 0 < call.result && (call.is_write() || call.name == "sendfile"))
        .collect();
    for pair in to_socket.windows(2) {
        if pair[0].is_write() {
            let says_more = pair[0].arguments.contains("MSG_MORE");
            assert_eq!(says_more, pair[1].name == "sendfile", "{pair:?}");
        }
    }
    let last = to_socket.last().expect("something was sent");
    assert!(!last.arguments.contains("MSG_MORE"), "the last answer would wait for more: {last:?}");
}

/// What a test fetches: from which offset of which partition, how much of each, and how much in all.
struct Plan {
    partitions: Vec<(i32, i64, i32)>,
    max_bytes: i32,
}

fn plans() -> Vec<Plan> {
    let all = i32::MAX;
    vec![
        // Everything; then offsets within batches, in an order of their own.
        Plan { partitions: vec![(0, 0, all), (1, 0, all), (2, 0, all)], max_bytes: all },
        Plan { partitions: vec![(2, 4, all), (0, 31, all), (1, 13, all)], max_bytes: all },
        // Limits that end within batches, an empty answer and an offset out of range in between.
        Plan { partitions: vec![(0, 7, 9_000), (1, 60, 5_000), (3, 0, all), (2, 22, 1)], max_bytes: 30_000 },
        Plan { partitions: vec![(0, 0, 1), (0, 999, all), (1, 59, 1)], max_bytes: 1 },
        Plan { partitions: vec![(9, 0, all)], max_bytes: all },
    ]
}

/// The frames that answer every plan in every version.
fn answers(broker: &Broker, topic: &Topic) -> Vec<(i16, Bytes)> {
    let mut client = WireClient::connect(broker.address());
    let mut frames = Vec::new();
    for version in 4..=17 {
        for plan in plans() {
            let from = plan.partitions.iter().map(|&(partition, offset, max_bytes)| FetchFrom {
                topic,
                partition,
                offset,
                max_bytes,
            });
            let limits = FetchLimits { max_bytes: plan.max_bytes, ..FetchLimits::default() };
            let request = wire_requests::fetch_request(&from.collect::<Vec<_>>(), limits);
            client.send(version, &request);
            let frame = client.receive_frame().expect("the broker answers").expect("the connection stays");
            frames.push((version, frame));
        }
    }
    frames
}

#[test]
fn copied_answers_are_the_same_bytes() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "same", 4, &[]);
    for partition in 0..3_u64 {
        // 60 records each, in batches of 1 to 6; values of up to 4,000 bytes.
        let sizes = [3, 1, 6, 2, 5, 1, 6, 6];
        let seeds = (0..16).map(|seed| seed + 100 * partition);
        let batches: Vec<_> = seeds
            .map(|seed| sample_batches::batch(seed, sizes[(seed % 8) as usize], 500 * (seed % 9) as usize))
            .collect();
        let index = i32::try_from(partition).expect("small");
        assert_eq!(wire_requests::append(&mut client, "same", index, &batches), 60);
    }
    let uncopied = answers(&broker, &topic);
    assert!(broker.terminate().success());
    broker.options_mut().args.push("--no-sendfile".to_owned());
    broker.restart();
    let trace = SyscallTrace::attach(broker.process_id(), &["-e", "trace=sendfile"]);
    let copied = answers(&broker, &topic);
    for (uncopied, copied) in uncopied.iter().zip(&copied) {
        assert!(uncopied == copied, "version {}:\n{uncopied:?}\n{copied:?}", uncopied.0);
    }
    let by_sendfile = trace.map(SyscallTrace::finish).unwrap_or_default();
    assert!(by_sendfile.is_empty(), "--no-sendfile uses sendfile: {by_sendfile:?}");
}

#[test]
fn a_slow_reader_gets_every_byte_and_delays_nobody() {
    let broker = Broker::start(BrokerOptions::default());
    let mut client = WireClient::connect(broker.address());
    // Far more than the kernel buffers for one connection (4 MiB), so the broker sends in parts.
    let batches = large_batches(18);
    let topic = topic_with(&mut client, "slow", &batches);
    let hot = topic_with(&mut client, "hot", &[sample_batches::batch(1, 1, 1000)]);
    let mut slow = WireClient::connect_with_receive_buffer(broker.address(), 16 << 10);
    let from = FetchFrom { topic: &topic, partition: 0, offset: 0, max_bytes: i32::MAX };
    let due = slow.send(FETCH_VERSION, &wire_requests::fetch_request(&[from], FetchLimits::default()));

    let mut prefix = [0; 4];
    slow.stream().read_exact(&mut prefix).expect("the answer begins");
    let length = usize::try_from(i32::from_be_bytes(prefix)).expect("a length");
    let mut frame = Vec::with_capacity(length);
    let mut piece = vec![0; 48 << 10];
    while frame.len() < length {
        let wanted = piece.len().min(length - frame.len());
        slow.stream().read_exact(&mut piece[..wanted]).expect("the answer goes on");
        frame.extend_from_slice(&piece[..wanted]);
        let from = FetchFrom { topic: &hot, partition: 0, offset: 0, max_bytes: i32::MAX };
        let data = wire_requests::fetch(&mut client, from, FetchLimits::default());
        assert!(!wire_requests::records(&data).is_empty(), "the other connection is served meanwhile");
    }
    let data = wire_requests::partitions(due.decode(frame.into())).remove(0);
    let fetched = sample_batches::split(&wire_requests::records(&data));
    assert_eq!(fetched.len(), batches.len());
    for (fetched, produced) in fetched.iter().zip(&batches) {
        assert!(
            sample_batches::payload(fetched) == sample_batches::payload(produced),
            "bytes changed on the way"
        );
    }
}
