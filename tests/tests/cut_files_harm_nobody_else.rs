//! Somebody cuts or removes files of a running broker. Readers of what is gone lose their connection or get an error,
//! nobody waits for ever, nothing panics, and everything that is still there is served.

use std::fs;

use sendlog_tests::canary::Canary;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};

const TOPIC: &str = "t";
const BATCH_BYTES: usize = 900_000;

#[test]
fn a_segment_cut_during_a_fetch_closes_the_connection() {
    for args in [&[][..], &["--no-sendfile"]] {
        let broker = Broker::start(BrokerOptions { args: owned(args), ..BrokerOptions::default() });
        let mut canary = Canary::new(&broker);
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 1, &[("segment.bytes", "20000000")]);
        for index in 0..10 {
            kafka.produce(TOPIC, &batches::sized(&format!("batch {index}"), BATCH_BYTES));
        }
        let mut readers: Vec<Kafka> = (0..4).map(|_| Kafka::open(broker.address())).collect();
        for reader in &mut readers {
            let stream = reader.raw().stream();
            rustix::net::sockopt::set_socket_recv_buffer_size(&*stream, 32 << 10)
                .expect("sockets have buffers");
            reader.send_large_fetch(TOPIC, 0, 0).expect("it is taken");
            reader.raw().stream().peek(&mut [0]).expect("the answer begins");
        }
        let segment = data_files::segments(broker.data_dir(), "t-0").remove(0);
        data_files::truncate(&segment, 1000);
        for reader in &mut readers {
            // What was on its way arrives; the rest cannot come, and a length was promised.
            reader.receive_fetched().expect_err("there are no such bytes any more");
            canary.sing();
        }
        // The next ones learn of it too.
        for offset in [0, 5, 9] {
            let mut reader = Kafka::open(broker.address());
            if let Ok(fetched) = reader.fetch(TOPIC, 0, offset) {
                assert_ne!(fetched.error_code, 0, "records that are gone are no success");
            }
            canary.sing();
        }
        canary.expect_unharmed(&broker);
    }
}

/// A mapped file that is cut ends the process when it is touched (SIGBUS); it may be that the map is not needed. Either way
/// the index is no loss: after a start everything is there. See docs/decisions/0010.
#[test]
fn a_cut_index_costs_a_restart_at_most() {
    for cut_sealed in [false, true] {
        let mut broker = Broker::start(BrokerOptions::default());
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 1, &[("segment.bytes", "200000"), ("index.interval.bytes", "100")]);
        let mut count = 0;
        for index in 0..300 {
            kafka.produce(TOPIC, &batches::sized(&format!("batch {index}"), 1000));
            count += 1;
        }
        kafka.read_all(TOPIC, 0);
        let segments = data_files::segments(broker.data_dir(), "t-0");
        let victim = if cut_sealed { &segments[0] } else { segments.last().expect("a segment") };
        for extension in ["index", "timeindex"] {
            data_files::truncate(&victim.with_extension(extension), 0);
        }
        let mut is_alive = true;
        for index in 0..50 {
            let appended = kafka.try_produce(
                sendlog_tests::kafka::Produce::to(TOPIC),
                &batches::sized(&format!("later {index}"), 1000),
            );
            let fetched = kafka.fetch(TOPIC, 0, i64::from(index));
            match (appended, fetched) {
                (Ok(offset), fetched) => {
                    assert_eq!(offset, count);
                    count += 1;
                    is_alive &= fetched.is_ok();
                }
                _ => is_alive = false,
            }
            if !is_alive {
                break;
            }
        }
        if !is_alive {
            let status = broker.wait_for_exit();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(7), "SIGBUS: {status:?}");
        }
        broker.restart();
        let found = Kafka::open(broker.address()).read_all(TOPIC, 0);
        let end = batches::assert_dense(&found, 0);
        assert!(count <= end && end <= count + 1, "{count} acknowledged, {end} found");
    }
}

#[test]
fn removed_files_are_noticed_and_harm_nobody_else() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "20000")]);
    for index in 0..100 {
        kafka.produce(TOPIC, &batches::sized(&format!("batch {index}"), 1000));
    }
    broker.terminate();
    broker.restart();
    let mut canary = Canary::new(&broker);
    // Closed segments that nobody has open, right after a clean start.
    let segments = data_files::segments(broker.data_dir(), "t-0");
    fs::remove_file(&segments[1]).expect("it can be removed");
    let base = |number: usize| -> i64 {
        let stem = segments[number].file_stem().and_then(|stem| stem.to_str());
        stem.and_then(|stem| stem.parse().ok()).expect("an offset")
    };
    // Readers pass over the offsets, as over those that compaction took, and get the first batch behind them.
    let fetched = Kafka::open(broker.address()).fetch(TOPIC, 0, base(1)).expect("it is answered");
    assert_eq!(fetched.error_code, 0);
    let first = fetched.batches.first().map(|batch| batches::header(batch).base_offset);
    assert_eq!(first, Some(base(2)), "nothing is made up for records that are gone");
    broker.wait_for_log("a segment file is gone");
    canary.sing();
    let mut kafka = Kafka::open(broker.address());
    assert!(!kafka.fetch(TOPIC, 0, 99).expect("it is answered").batches.is_empty());
    kafka.produce(TOPIC, &batches::of(&["goes on"]));
    canary.expect_unharmed(&broker);
}

fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}
