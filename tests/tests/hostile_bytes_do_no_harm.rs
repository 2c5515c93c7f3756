//! Whatever bytes a stranger sends: an answer or a closed connection with a reason in the log, no panic, and no memory
//! by what the bytes claim.

use std::net::Shutdown;

use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::messages::{ApiVersion, ApiVersionsRequest};
use sendlog_tests::canary::Canary;
use sendlog_tests::wire_client::{WireClient, raw_frame};
use sendlog_tests::wire_requests::{self, FETCH_VERSION, FetchFrom, FetchLimits, PRODUCE_VERSION};
use sendlog_tests::{Broker, BrokerOptions, every_request, sample_batches, vitals};

const MIB: u64 = 1 << 20;
/// The broker writes 20 lines a second about closed connections; so many of the first ones are sure to be there.
const SURE_LINES: usize = 15;

fn advertised(broker: &Broker) -> Vec<ApiVersion> {
    WireClient::connect(broker.address()).call(0, &ApiVersionsRequest::default()).api_keys
}

/// Memory that the broker may take on top of what it had, while strangers lie to it.
fn expect_little_memory(broker: &Broker, before: vitals::Memory) {
    let after = vitals::memory(broker.process_id());
    let grown = after.resident_peak.saturating_sub(before.resident);
    assert!(grown < 24 * MIB, "resident memory grew by {grown} bytes at its peak");
    let reserved = after.virtual_peak.saturating_sub(before.virtual_peak);
    // The allocator reserves 64 MiB for a new thread now and then; 64 claims of 90 MiB would be 5.6 GiB.
    assert!(reserved < 4096 * MIB, "{reserved} bytes of address space were reserved");
}

/// CVE-2022-34917 and its kin: an 18-byte Metadata request that announces two billion topics, and the same for every
/// count and every length in every request and version that the broker serves.
#[test]
fn counts_and_lengths_that_lie_close_the_connection() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let before = vitals::memory(broker.process_id());
    let mut liars = Vec::new();
    for ApiVersion { api_key, min_version, max_version } in advertised(&broker) {
        let key = ApiKey::from_code(api_key).expect("an API of ours");
        for version in min_version..=max_version {
            for lie in every_request::of(key).lying_bodies(version) {
                let mut client = WireClient::connect(broker.address());
                client.send_bytes(&raw_frame(key, version, 1, &lie.bytes)).expect("the broker takes it");
                let answer = client.receive_frame().expect("the broker closes in time");
                assert_eq!(answer, None, "{key:?} v{version}: a false {} is answered", lie.field);
                liars.push((client.local_address(), key, version));
            }
        }
    }
    assert!(500 < liars.len(), "only {} lies", liars.len());
    for (address, key, version) in liars.into_iter().take(SURE_LINES) {
        let line = broker.wait_for_log(&format!("{address} "));
        assert!(line.contains(&format!("malformed {} request, version {version}", key.name())), "{line}");
    }
    expect_little_memory(&broker, before);
    canary.expect_unharmed(&broker);
}

#[test]
fn headers_that_lie_close_the_connection() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let frames: [&[u8]; 8] = [
        // No header at all, half of one, a client id that is not there, a negative length other than null.
        b"\0\0\0\0",
        b"\0\0\0\x03\0\x03\0",
        b"\0\0\0\x0a\0\x03\0\x01\0\0\0\x01\x7f\xff",
        b"\0\0\0\x0a\0\x03\0\x01\0\0\0\x01\xff\xfe",
        // A client id that is not UTF-8.
        b"\0\0\0\x0c\0\x03\0\x01\0\0\0\x01\0\x02\xff\xfe",
        // Tagged fields: four billion of them, one of four billion bytes, a varint without an end.
        b"\0\0\0\x0f\0\x03\0\x0c\0\0\0\x01\xff\xff\xff\xff\xff\xff\x0f",
        b"\0\0\0\x11\0\x03\0\x0c\0\0\0\x01\xff\xff\x01\0\xff\xff\xff\xff\x0f",
        b"\0\0\0\x10\0\x03\0\x0c\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for frame in frames {
        let mut client = WireClient::connect(broker.address());
        client.send_bytes(frame).expect("the broker takes it");
        assert_eq!(client.receive_frame().expect("the broker closes in time"), None, "{frame:?}");
        let line = broker.wait_for_log(&format!("{} ", client.local_address()));
        assert!(line.contains("not a Kafka request header"), "{frame:?}: {line}");
    }
    canary.expect_unharmed(&broker);
}

#[test]
fn other_protocols_and_impossible_lengths_are_turned_away() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let before = vitals::memory(broker.process_id());
    let greetings: [(&[u8], &str); 9] = [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP"),
        (b"POST /topics HTTP/1.1\r\n\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "over the limit"),
        (b"\xff\xff\xff\xff", "negative"),
        (b"\x80\0\0\0", "negative"),
        (b"\x7f\xff\xff\xff", "over the limit"),
        // One more than socket.request.max.bytes.
        (b"\x06\x40\x00\x01", "over the limit"),
        (b"\0\0\0\x02\0", "in the middle of a request"),
    ];
    for (greeting, reason) in greetings {
        let mut client = WireClient::connect(broker.address());
        client.send_bytes(greeting).expect("the broker takes it");
        client.stream().shutdown(Shutdown::Write).ok();
        assert_eq!(client.receive_frame().expect("the broker closes in time"), None, "{greeting:?}");
        let line = broker.wait_for_log(&format!("{} ", client.local_address()));
        assert!(line.contains(reason), "{greeting:?}: {line}");
    }
    expect_little_memory(&broker, before);
    canary.expect_unharmed(&broker);
}

#[test]
fn random_bytes_are_answered_or_turned_away() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let before = vitals::memory(broker.process_id());
    let mut rng = SmallRng::seed_from_u64(3);
    for _ in 0..300 {
        let mut bytes = vec![0; rng.random_range(1..2000)];
        rng.fill_bytes(&mut bytes);
        if rng.random() {
            // A length that may be true, so that what follows is looked at.
            bytes.splice(0..0, rng.random_range(0..1500_i32).to_be_bytes());
        }
        send_and_leave(&broker, &bytes);
    }
    // Behind an honest header.
    for ApiVersion { api_key, min_version, max_version } in advertised(&broker) {
        let key = ApiKey::from_code(api_key).expect("an API of ours");
        for version in min_version..=max_version {
            for _ in 0..4 {
                let mut body = vec![0; rng.random_range(0..60)];
                rng.fill_bytes(&mut body);
                // Small numbers are lengths and counts that may be true.
                body.iter_mut().for_each(|byte| *byte = if *byte < 200 { *byte % 5 } else { *byte });
                send_and_leave(&broker, &raw_frame(key, version, 1, &body));
            }
        }
    }
    expect_little_memory(&broker, before);
    canary.expect_unharmed(&broker);
}

fn send_and_leave(broker: &Broker, bytes: &[u8]) {
    let mut client = WireClient::connect(broker.address());
    // The broker may have closed it already.
    let _ = client.send_bytes(bytes);
    let _ = client.stream().shutdown(Shutdown::Write);
    client.expect_close();
}

#[test]
fn a_request_cut_at_any_byte_has_no_effect() {
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "cut", 1, &[]);
    let batch = sample_batches::batch(1, 2, 60);
    let request = wire_requests::produce_request("cut", 0, -1, Some(batch));
    let (_, frame) = client.frame(PRODUCE_VERSION, &request);
    for length in 0..frame.len() {
        let mut cut = WireClient::connect(broker.address());
        cut.send_bytes(&frame[..length]).expect("the broker takes it");
        cut.stream().shutdown(Shutdown::Write).expect("the connection stands");
        assert_eq!(cut.receive_frame().expect("the broker closes in time"), None, "cut at {length}");
        if (1..SURE_LINES).contains(&length) {
            let line = broker.wait_for_log(&format!("{} ", cut.local_address()));
            assert!(line.contains(&format!("after {length} bytes of it")), "{line}");
        }
    }
    let end = client.call(2, &wire_requests::list_offsets_request("cut", 0, -1));
    assert_eq!(end.topics[0].partitions[0].offset, 0, "nothing was appended");
    canary.expect_unharmed(&broker);
}

#[test]
fn a_request_that_stays_incomplete_is_given_up() {
    let stall = "sendlog.frame.stall.timeout.ms=300";
    let broker = Broker::start(BrokerOptions::with_args(["--set", stall]));
    let mut canary = Canary::new(&broker);
    let before = vitals::memory(broker.process_id());
    let half = [&[0, 0x10, 0, 0][..], &[0; 5000]].concat();
    for (bytes, received) in [(&half[..1], 1), (&half[..4], 4), (&half[..19], 19), (&half[..], 5004)] {
        let mut client = WireClient::connect(broker.address());
        client.send_bytes(bytes).expect("the broker takes it");
        client.expect_close();
        let line = broker.wait_for_log(&format!("{} ", client.local_address()));
        assert!(line.contains(&format!("stayed incomplete: {received} bytes")), "{line}");
    }
    expect_little_memory(&broker, before);
    canary.expect_unharmed(&broker);
}

/// A byte now and then is no progress.
#[test]
fn a_request_that_trickles_in_is_given_up() {
    let broker = Broker::start(BrokerOptions::with_args(["--set", "sendlog.frame.stall.timeout.ms=300"]));
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    client.send_bytes(b"\0\x10\0\0").expect("the broker takes it");
    vitals::eventually(
        "a trickle is given up",
        || canary.sing(),
        || client.send_bytes(b"\0").is_err() || client.has_input(),
    );
    client.expect_close();
    let line = broker.wait_for_log(&format!("{} ", client.local_address()));
    assert!(line.contains("stayed incomplete"), "{line}");
    canary.expect_unharmed(&broker);
}

/// While earlier requests of the connection are served, the broker may not read on. The time of that is not the client's.
#[test]
fn a_request_that_waits_for_its_turn_is_not_given_up() {
    let broker = Broker::start(BrokerOptions::with_args([
        "--set",
        "sendlog.frame.stall.timeout.ms=1000",
        "--set",
        "sendlog.inflight.requests.max=2",
    ]));
    let mut client = WireClient::connect(broker.address());
    let topic = wire_requests::create_topic(&mut client, "turn", 1, &[]);
    let from = FetchFrom { topic: &topic, partition: 0, offset: 0, max_bytes: 1 };
    let long = FetchLimits { max_wait_ms: 2000, ..FetchLimits::default() };
    let fetch = wire_requests::fetch_request(&[from], long);
    // One is being answered and two are in the queue, so the broker stops reading at the third, with half of a request
    // in its buffer.
    let begin = |between: usize| {
        let mut client = WireClient::connect(broker.address());
        let (_, first) = client.frame(FETCH_VERSION, &fetch);
        let (_, ask) = client.frame(0, &ApiVersionsRequest::default());
        let whole = [&first[..], &ask.repeat(between), &ask[..7]].concat();
        client.send_bytes(&whole).expect("the broker takes it");
        (client, between, ask.slice(7..))
    };
    let waiting: Vec<_> = (3..7).map(begin).collect();
    for (mut client, between, rest) in waiting {
        for answer in 0..=between {
            let frame = client.receive_frame().expect("the broker answers in time");
            assert!(frame.is_some(), "closed before answer {answer} of {between}");
        }
        client.send_bytes(&rest).expect("the broker takes it");
        let frame = client.receive_frame().expect("the broker answers in time");
        assert!(frame.is_some(), "{between}: the request that came in two parts is not answered");
    }
}

/// At the limit and one past it.
#[test]
fn the_largest_request_is_served_and_one_byte_more_is_not() {
    let frame_of = |client: &mut WireClient, value_bytes| {
        let batch = sample_batches::batch(1, 1, value_bytes);
        client.frame(PRODUCE_VERSION, &wire_requests::produce_request("limit", 0, -1, Some(batch)))
    };
    let mut unconnected = WireClient::connect(Broker::start(BrokerOptions::default()).address());
    let largest = frame_of(&mut unconnected, 3000).1.len() - 4;
    let limit = format!("socket.request.max.bytes={largest}");
    let broker = Broker::start(BrokerOptions::with_args(["--set", &limit]));
    let mut canary = Canary::new(&broker);
    let mut client = WireClient::connect(broker.address());
    wire_requests::create_topic(&mut client, "limit", 1, &[]);
    let (due, frame) = frame_of(&mut client, 3000);
    client.send_bytes(&frame).expect("the broker takes it");
    assert_eq!(client.receive(&due).responses[0].partition_responses[0].error_code, 0);
    let (_, frame) = frame_of(&mut client, 3001);
    client.send_bytes(&frame).expect("the broker takes it");
    assert_eq!(client.receive_frame().expect("the broker closes in time"), None);
    let line = broker.wait_for_log(&format!("{} ", client.local_address()));
    assert!(
        line.contains(&format!("frame of {} bytes is over the limit of {largest}", largest + 1)),
        "{line}"
    );
    canary.expect_unharmed(&broker);
}

/// What took Apache Kafka 4.4 down for minutes: each connection claims 90 MiB and sends 15 bytes.
#[test]
fn claimed_frames_cost_what_was_sent() {
    let broker = Broker::start(BrokerOptions::with_args(["--set", "sendlog.frame.stall.timeout.ms=1500"]));
    let mut canary = Canary::new(&broker);
    let before = vitals::memory(broker.process_id());
    let base_line = vitals::descriptors(broker.process_id());
    let claim = [&(90 * 1024 * 1024_i32).to_be_bytes()[..], &[0; 11]].concat();
    let mut claimants: Vec<_> = (0..64).map(|_| WireClient::connect(broker.address())).collect();
    for claimant in &mut claimants {
        claimant.send_bytes(&claim).expect("the broker takes it");
    }
    for _ in 0..20 {
        canary.sing();
    }
    // The broker has read all claims before it gives them up.
    claimants.iter_mut().for_each(WireClient::expect_close);
    expect_little_memory(&broker, before);
    vitals::eventually(
        "descriptors return to the base line",
        || canary.sing(),
        || vitals::descriptors(broker.process_id()) <= base_line,
    );
    canary.expect_unharmed(&broker);
}
