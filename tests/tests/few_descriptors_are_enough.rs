//! A process may be allowed few descriptors. Clients that would take them all are kept out in time, and whoever is
//! connected writes and reads more partitions than could be open at once.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use sendlog_tests::process::Process;
use sendlog_tests::{Kafka, batches, broker_binary};
use tempfile::TempDir;

const DESCRIPTORS: usize = 128;
/// More than may connect.
const CROWD: usize = 300;
/// More than may be open.
const TOPICS: usize = 150;
/// Ends a test whose broker neither starts nor stops.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_crowd_takes_no_descriptors_from_the_log() {
    let folder = TempDir::new().expect("a temporary directory");
    let names: Vec<String> = (0..TOPICS).map(|number| format!("topic-{number}")).collect();
    for has_crowd in [false, true] {
        let (mut broker, address) = start(&folder);
        let mut kafka = Kafka::open(address);
        if !has_crowd {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            kafka.create_topics(&names, 1, &[("segment.bytes", "2048"), ("retention.ms", "-1")]);
        }
        let crowd: Vec<_> = (0..if has_crowd { CROWD } else { 0 }).map(|_| Kafka::open(address)).collect();
        for round in 0..4 {
            for name in &names {
                kafka.produce(name, &batches::sized(&format!("{name} {round}"), 900));
            }
        }
        drop(crowd);
        for name in &names {
            let log = kafka.read_all(name, 0);
            assert_eq!(batches::assert_dense(&log, 0), if has_crowd { 8 } else { 4 });
            let named = |batch| batches::values(batch)[0].starts_with(format!("{name} ").as_bytes());
            assert!(log.iter().all(named), "{name}");
        }
        broker.signal(Signal::TERM).expect("it takes signals");
        let status = broker.wait(LIMIT).expect("it can be waited for").expect("it ends");
        let log = broker.stderr().text();
        assert!(status.success() && !log.contains("Too many open files"), "{status}:\n{log}");
    }
}

/// Starts a broker that can open so many descriptors and no more.
fn start(folder: &TempDir) -> (Process, SocketAddr) {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$@\""), "sh"]);
    command.arg(broker_binary::path()).arg("--data-dir").arg(folder.path().join("data"));
    let broker = Process::spawn(command.args(["--listen", "127.0.0.1:0"])).expect("sh runs");
    let address = |output: &str| {
        let (complete, _) = output.rsplit_once('\n')?;
        complete.lines().find_map(|line| line.trim().strip_prefix("address"))?.trim().parse().ok()
    };
    let address = broker.stdout().wait_for(LIMIT, address);
    let address = address.unwrap_or_else(|| panic!("the broker starts:\n{}", broker.stderr().text()));
    (broker, address)
}
