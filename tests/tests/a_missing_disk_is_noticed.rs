//! A data directory on a disk of its own: the disk is not mounted, turns read-only under the running broker, or may not be
//! written to. Nothing is begun anew in its place, nothing that was acknowledged is lost, and the message says what is wrong.

use std::fs;
use std::process::Command;

use bytes::Bytes;
use sendlog_tests::kafka::Produce;
use sendlog_tests::process::Process;
use sendlog_tests::scratch_disk::ScratchDisk;
use sendlog_tests::strace;
use sendlog_tests::{Broker, BrokerOptions, Kafka, StartFailure, batches, broker_binary};
use std::time::Duration;

const TOPIC: &str = "t";
const MUST_BE_THERE: [&str; 2] = ["--set", "sendlog.data.dir.create=false"];
/// Ends a test whose broker does not stop.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn an_empty_mount_point_is_not_taken_for_a_new_directory() {
    let Some(disk) = ScratchDisk::ext4(32 << 20) else { return };
    // The disk itself is the data directory, or has it in a folder.
    for data_dir in [disk.path().to_path_buf(), disk.path().join("data")] {
        let on = |args: &[&str]| BrokerOptions {
            data_dir: Some(data_dir.clone()),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..BrokerOptions::default()
        };
        let refused = |args: &[&str]| match Broker::try_start(on(args)) {
            Ok(_) => panic!("it starts on nothing"),
            Err(failure) => failure,
        };
        let asks_for_the_disk = |failure: &StartFailure| {
            let words = ["sendlog.data.dir.create", "mounted", &data_dir.display().to_string()];
            assert!(words.iter().all(|word| failure.stderr.contains(word)), "{failure}");
            assert_eq!(failure.status.and_then(|status| status.code()), Some(1));
        };
        asks_for_the_disk(&refused(&MUST_BE_THERE));
        // It is begun by whoever says so.
        let mut broker = Broker::start(on(&[]));
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 1, &[]);
        kafka.produce(TOPIC, &batches::of(&["on the disk"]));
        broker.terminate();
        drop((kafka, broker));

        disk.take_away();
        asks_for_the_disk(&refused(&MUST_BE_THERE));
        assert_eq!(
            fs::read_dir(disk.path()).expect("a folder").count(),
            0,
            "nothing is written beside the disk"
        );
        disk.bring_back();
        let mut broker = Broker::start(on(&MUST_BE_THERE));
        let log = Kafka::open(broker.address()).read_all(TOPIC, 0);
        assert_eq!(batches::values(&log[0]), ["on the disk"]);
        assert_eq!(broker.terminate().code(), Some(0));
        drop(broker);
        if data_dir == disk.path() {
            let names =
                fs::read_dir(disk.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
            names.for_each(|path| drop(fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path))));
        }
    }
}

/// What ext4 does when it meets an error: from then on nobody writes.
#[test]
fn a_disk_that_turns_read_only_stops_the_broker() {
    let Some(disk) = ScratchDisk::ext4(32 << 20) else { return };
    let options = BrokerOptions { data_dir: Some(disk.path().join("data")), ..BrokerOptions::default() };
    let mut broker = Broker::start(options.clone());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    let sent: Vec<Bytes> = (0..20).map(|index| batches::of(&[format!("record {index}")])).collect();
    for batch in &sent {
        kafka.produce(TOPIC, batch);
    }
    if !disk.break_off() {
        eprintln!("skipped: ext4 cannot be made to break off here");
        return;
    }
    let refused = kafka.try_produce(Produce::to(TOPIC), &batches::of(&["nowhere"]));
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(broker.wait_for_exit().code(), Some(1));
    let log = broker.stderr().text();
    assert!(log.contains("start the broker again") && !log.contains("panicked"), "{log}");
    let Err(failure) = Broker::try_start(options.clone()) else { panic!("it starts on a dead disk") };
    assert!(failure.stderr.contains(&disk.path().display().to_string()), "{failure}");
    assert!(failure.stderr.contains("Read-only") || failure.stderr.contains("not writable"), "{failure}");

    drop((kafka, broker));
    disk.restore_power();
    let broker = Broker::start(options);
    let found: Vec<Bytes> =
        Kafka::open(broker.address()).read_all(TOPIC, 0).iter().map(batches::as_sent).collect();
    assert!(found.starts_with(&sent), "{} of {} are there", found.len(), sent.len());
}

#[test]
fn a_directory_without_the_right_to_write_is_named() {
    if !strace::is_usable() {
        return;
    }
    let mut broker = Broker::start(BrokerOptions::default());
    broker.terminate();
    let data_dir = broker.data_dir().to_path_buf();
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-P"]).arg(data_dir.join("lock"));
    command.args(["-e", "inject=openat,open:error=EACCES"]).arg(broker_binary::path());
    command.arg("--data-dir").arg(&data_dir).args(["--listen", "127.0.0.1:0"]);
    let mut refused = Process::spawn(&mut command).expect("strace can be run");
    let status = refused.wait(LIMIT).expect("it can be waited for").expect("it ends");
    let stderr = refused.stderr().text();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("not writable") && stderr.contains(&data_dir.display().to_string()), "{stderr}");
    broker.restart();
}
