//! A disk that takes a third of a second for everything: acknowledgements and cold reads wait for it, and not for each
//! other for ever; readers of what is in memory do not wait; memory stays within its budget.

use std::path::PathBuf;
use std::thread;

use bytes::Bytes;
use sendlog_tests::kafka::Produce;
use sendlog_tests::strace::{self, SYNCS, Strace};
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, page_cache, vitals};
use tempfile::TempDir;

/// More than there are threads for cold reads.
const COLD_READERS: usize = 80;
const PRODUCERS: usize = 16;
const MIB: u64 = 1 << 20;
const FIRST_SEGMENT: &str = "00000000000000000000.log";

#[test]
fn everybody_gets_there_on_a_slow_disk() {
    if !strace::is_usable() {
        return;
    }
    // On a disk: /tmp may be in memory.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory can be made");
    let options = BrokerOptions {
        data_dir: Some(folder.path().join("data")),
        ..BrokerOptions::with_args([
            "--set",
            "log.segment.bytes=4194304",
            "--set",
            "queued.max.request.bytes=16777216",
            "--set",
            "socket.request.max.bytes=8388608",
            // So that every acknowledgement waits for a sync of the slow file.
            "--set",
            "sendlog.journal.bytes=0",
        ])
    };
    let broker = Broker::start(options);
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topics(&["cold", "slow", "hot"], 1, &[]);
    let sent: Vec<Bytes> = (0..6).map(|index| batches::sized(&format!("cold {index}"), 900_000)).collect();
    for batch in &sent {
        kafka.produce("cold", batch);
    }
    kafka.produce("slow", &batches::of(&["first"]));
    kafka.produce("hot", &batches::sized("hot", 50_000));
    let file = |topic: &str| -> PathBuf { broker.data_dir().join(format!("{topic}-0")).join(FIRST_SEGMENT) };
    if !page_cache::evict(&file("cold")) {
        return;
    }
    let before = vitals::memory(broker.process_id()).resident;
    let (cold, slow) = (file("cold").display().to_string(), file("slow").display().to_string());
    // What is cold is asked for by this call before it is sent; what is warm is not, and takes no time.
    let delays = "inject=fadvise64,fdatasync:delay_enter=300000";
    let strace =
        Strace::attach(&broker, ["-P", &cold, "-P", &slow, "-e", "trace=fadvise64,fdatasync", "-e", delays]);
    thread::scope(|scope| {
        for _ in 0..COLD_READERS {
            scope.spawn(|| {
                let mut reader = Kafka::open(broker.address());
                reader.send_large_fetch("cold", 0, 0).expect("it is taken");
                let fetched = reader.receive_fetched().expect("the answer comes to its end");
                assert!(3 < fetched.batches.len());
                assert!(
                    fetched.batches.iter().zip(&sent).all(|(found, sent)| batches::as_sent(found) == *sent)
                );
            });
        }
        for number in 0..PRODUCERS {
            let address = broker.address();
            scope.spawn(move || {
                let mut producer = Kafka::open(address);
                for index in 0..4 {
                    let batch = batches::sized(&format!("slow {number} {index}"), 400_000);
                    producer.try_produce(Produce::to("slow"), &batch).expect("it is acknowledged");
                }
            });
        }
        // Until the disk has had its turn several times, others read what is in memory.
        let mut reads = 0;
        strace.wait_until(|trace| {
            for _ in 0..20 {
                assert_eq!(kafka.fetch("hot", 0, 0).expect("it is answered").batches.len(), 1);
                reads += 1;
            }
            4 <= trace.count(SYNCS, FIRST_SEGMENT)
        });
        assert!(20 <= reads);
    });
    let asked = strace.detach().count(&["fadvise64"], FIRST_SEGMENT);
    assert!(0 < asked, "nothing was cold");
    let end = i64::try_from(PRODUCERS * 4 + 1).expect("few");
    assert_eq!(batches::assert_dense(&kafka.read_all("slow", 0), 0), end);
    let grown = vitals::memory(broker.process_id()).resident_peak.saturating_sub(before);
    assert!(grown < 96 * MIB, "memory grew by {grown} bytes with a budget of 16 MiB");
}
