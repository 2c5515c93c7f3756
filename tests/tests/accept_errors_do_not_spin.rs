//! A connection that cannot be accepted for want of descriptors keeps the listener readable: the broker tries again after a
//! pause, serves those who are connected, and takes the waiting one once it can.

use sendlog_protocol::messages::MetadataRequest;
use sendlog_tests::canary::Canary;
use sendlog_tests::strace::{self, Strace};
use sendlog_tests::{Broker, BrokerOptions, Kafka};

/// Far more than pauses of a tenth of a second let through meanwhile, far fewer than a loop without them.
const TRIES_MAX: usize = 1000;
const METADATA_VERSION: i16 = 9;

#[test]
fn a_failed_accept_is_tried_again_after_a_pause() {
    if !strace::is_usable() {
        return;
    }
    let broker = Broker::start(BrokerOptions::default());
    let mut canary = Canary::new(&broker);
    let strace = Strace::attach(&broker, ["-e", "trace=accept4", "-e", "inject=accept4:error=EMFILE"]);
    let mut late = Kafka::open(broker.address());
    late.send(METADATA_VERSION, &MetadataRequest::default()).expect("the kernel takes it");
    let tries = |trace: &strace::Trace| {
        trace.events.iter().filter(|event| event.call == "accept4" && event.result.is_some()).count()
    };
    strace.wait_until(|trace| 2 <= tries(trace));
    for _ in 0..200 {
        canary.sing();
    }
    let tries = tries(&strace.detach());
    assert!((2..TRIES_MAX).contains(&tries), "{tries} tries");
    late.receive::<MetadataRequest>(METADATA_VERSION).expect("it is served in the end");
    canary.expect_unharmed(&broker);
}
