//! A write or sync that failed is remembered until a start has checked the disk: through a kill right after the failure,
//! through starts that are killed in the midst of recovery, and when it is the start's own sync that fails. What the page
//! cache shows of a log may never have reached the disk then, so the log goes on in a new segment.

use std::process::Command;

use bytes::Bytes;
use sendlog_tests::kafka::{Produce, ProduceFailure};
use sendlog_tests::strace::{self, Strace};
use sendlog_tests::{Broker, BrokerOptions, Kafka, RawConnection, batches, data_files};

const TOPIC: &str = "t";
const NOTE: &str = "write-failed";

#[test]
fn a_kill_right_after_the_failure_hides_nothing() {
    if !strace::is_usable() {
        return;
    }
    let (mut broker, acknowledged) = with_records(BrokerOptions::default());
    // The orderly end waits for this request, so that the kill comes first.
    let mut half = RawConnection::open(broker.address());
    half.send_bytes(&[0, 0]).expect("it is taken");
    fail_a_sync(&broker);
    assert!(broker.data_dir().join(NOTE).exists(), "whoever is told of the failure may rely on the note");
    broker.kill();
    goes_on_in_a_new_segment(&mut broker, &acknowledged);
}

/// The system call that drops cached pages is made in the midst of such a recovery, and in no other.
#[test]
fn starts_that_are_killed_hand_it_on() {
    if !strace::is_usable() {
        return;
    }
    let (mut broker, acknowledged) = with_records(BrokerOptions::default());
    fail_a_sync(&broker);
    broker.wait_for_exit();
    for call in ["fadvise64", "fadvise64", "rename", "unlink"] {
        let inject = format!("inject={call}:signal=SIGKILL:when=1");
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", &inject]);
        assert!(strace::run_broker(command, broker.data_dir()).is_continue(), "it is killed at {call}");
        assert!(broker.data_dir().join(NOTE).exists(), "after a kill at {call}");
    }
    goes_on_in_a_new_segment(&mut broker, &acknowledged);
}

/// What a killed broker has written and not synced is synced by the next start, before anybody reads it. If that fails, the
/// pages are there, look clean, and are nowhere else.
#[test]
fn a_sync_that_fails_at_the_start_is_a_failure_too() {
    if !strace::is_usable() {
        return;
    }
    let (mut broker, acknowledged) = with_records(BrokerOptions::with_args(["--flush", "os"]));
    broker.kill();
    assert!(!broker.data_dir().join(NOTE).exists());
    let active = data_files::segments(broker.data_dir(), "t-0").pop().expect("a segment");
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-P"]).arg(&active).args(["-e", "inject=fdatasync:error=EIO"]);
    assert!(strace::run_broker(command, broker.data_dir()).is_continue(), "it does not start");
    assert!(broker.data_dir().join(NOTE).exists());
    goes_on_in_a_new_segment(&mut broker, &acknowledged);
}

fn with_records(options: BrokerOptions) -> (Broker, Vec<Bytes>) {
    let broker = Broker::start(options);
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    let acknowledged: Vec<Bytes> = (0..10).map(|index| batches::of(&[format!("record {index}")])).collect();
    for batch in &acknowledged {
        kafka.produce(TOPIC, batch);
    }
    (broker, acknowledged)
}

fn fail_a_sync(broker: &Broker) {
    let _strace = Strace::attach(broker, ["-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO"]);
    let mut kafka = Kafka::open(broker.address());
    let sent = kafka.send_batch(Produce::to(TOPIC), &batches::of(&["unlucky"]));
    sent.expect("it is taken");
    match kafka.receive_ack() {
        Err(ProduceFailure::Refused(_) | ProduceFailure::Closed(_)) => {}
        Ok(offset) => panic!("a batch without a sync is acknowledged at {offset}"),
    }
}

fn goes_on_in_a_new_segment(broker: &mut Broker, acknowledged: &[Bytes]) {
    broker.restart();
    assert!(!broker.data_dir().join(NOTE).exists(), "the disk was checked, and a checkpoint says so");
    let mut kafka = Kafka::open(broker.address());
    let found: Vec<Bytes> = kafka.read_all(TOPIC, 0).iter().map(batches::as_sent).collect();
    assert!(found.starts_with(acknowledged) && found.len() <= acknowledged.len() + 1);
    kafka.produce(TOPIC, &batches::of(&["next"]));
    let segments = data_files::segments(broker.data_dir(), "t-0");
    assert_eq!(segments.len(), 2, "the one that nobody can be sure of is not appended to");
    assert!(broker.data_dir().join("checkpoint.state").exists());
}
