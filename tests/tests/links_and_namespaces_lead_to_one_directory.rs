//! A data directory behind a link, with partitions on other disks, seen from another mount namespace or under another name:
//! it works as any other, and there is never more than one broker on it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sendlog_tests::process::Process;
use sendlog_tests::scratch_disk::ScratchDisk;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, broker_binary, data_files, vitals};
use tempfile::TempDir;

const TOPIC: &str = "t";
/// Ends a test whose broker does not stop.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_link_to_the_directory_is_the_directory() {
    let folder = TempDir::new().expect("a temporary directory");
    let real = folder.path().join("real");
    fs::create_dir(&real).expect("a folder can be made");
    let (link, via_parent) = (folder.path().join("link"), folder.path().join("parent"));
    symlink(&real, &link).expect("a link can be made");
    symlink(folder.path(), &via_parent).expect("a link can be made");
    let mut expected = 0;
    for path in [link, via_parent.join("real"), via_parent.join("link"), real.clone()] {
        let mut broker = Broker::start(on(&path));
        expected = use_and_restart(&mut broker, expected);
        is_refused(&mut broker_command(&real), &broker);
        assert_eq!(broker.terminate().code(), Some(0));
    }
    let dangling = folder.path().join("dangling");
    symlink(folder.path().join("unmounted"), &dangling).expect("a link can be made");
    let Err(failure) = Broker::try_start(on(&dangling)) else { panic!("it starts on nothing") };
    assert!(failure.stderr.contains(&dangling.display().to_string()), "{failure}");
    assert!(!folder.path().join("unmounted").exists());
}

/// Where a partition was moved to a larger disk, and a link left in its place.
#[test]
fn a_partition_may_be_on_another_disk() {
    let Some(disk) = ScratchDisk::in_memory(32 << 20) else { return };
    let mut broker = Broker::start(BrokerOptions::default());
    let mut expected = use_and_restart(&mut broker, 0);
    broker.terminate();
    let (here, there) = (broker.data_dir().join("t-0"), disk.path().join("t-0"));
    data_files::copy(&here, &there);
    fs::remove_dir_all(&here).expect("it can be removed");
    symlink(&there, &here).expect("a link can be made");
    broker.restart();
    expected = use_and_restart(&mut broker, expected);
    assert!(2 < data_files::segments(broker.data_dir(), "t-0").len());
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(kafka.delete_records(TOPIC, expected - 1), expected - 1);
    use_and_restart(&mut broker, expected);
    let mut kafka = Kafka::open(broker.address());
    kafka.delete_topic(TOPIC);
    vitals::eventually(
        "its files go",
        || drop(kafka.describe_topic(TOPIC)),
        || data_files::all(&there).is_empty(),
    );
    use_and_restart(&mut broker, 0);
}

#[test]
fn another_mount_namespace_has_no_second_broker() {
    let works = Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|o| o.status.success());
    if !works {
        eprintln!("skipped: no mount namespaces here");
        return;
    }
    let broker = Broker::start(BrokerOptions::default());
    let folder = TempDir::new().expect("a temporary directory");
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[]);
    // Under the same name, and bound to another one that only exists in there; also once the file with its owner's id is gone.
    for _ in 0..2 {
        let mut same = Command::new("unshare");
        same.arg("--mount").arg(broker_binary::path()).arg("--data-dir").arg(broker.data_dir());
        is_refused(same.args(["--listen", "127.0.0.1:0"]), &broker);
        let mut bound = Command::new("unshare");
        let script = "mount --bind \"$1\" \"$2\" && exec \"$3\" --data-dir \"$2\" --listen 127.0.0.1:0";
        bound.args(["--mount", "sh", "-c", script, "sh"]);
        is_refused(bound.arg(broker.data_dir()).arg(folder.path()).arg(broker_binary::path()), &broker);
        fs::remove_file(broker.data_dir().join("lock")).ok();
    }
    kafka.produce(TOPIC, &batches::of(&["undisturbed"]));
}

/// Appends, rolls, reads all, crashes and stops; returns the log's end.
fn use_and_restart(broker: &mut Broker, start: i64) -> i64 {
    let mut kafka = Kafka::open(broker.address());
    if kafka.describe_topic(TOPIC).error_code != 0 {
        kafka.create_topic(TOPIC, 1, &[("segment.bytes", "4096"), ("retention.ms", "-1")]);
    }
    for offset in start..start + 10 {
        assert_eq!(kafka.produce(TOPIC, &batches::sized(&format!("record {offset}"), 900)), offset);
    }
    for is_clean in [false, true] {
        if is_clean {
            assert_eq!(broker.terminate().code(), Some(0));
        }
        broker.restart();
        let mut kafka = Kafka::open(broker.address());
        let log_start = kafka.offset(TOPIC, -2);
        assert_eq!(batches::assert_dense(&kafka.read_all(TOPIC, 0), log_start), start + 10);
    }
    start + 10
}

fn is_refused(command: &mut Command, owner: &Broker) {
    let mut second = Process::spawn(command).expect("it can be run");
    let status = second.wait(LIMIT).expect("it can be waited for");
    let stderr = second.stderr().text();
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{stderr}");
    assert!(stderr.contains("is in use by"), "{stderr}");
    assert!(Kafka::open(owner.address()).all_topics().len() < 2, "the first one serves");
}

fn broker_command(data_dir: &Path) -> Command {
    let mut command = Command::new(broker_binary::path());
    command.arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0"]);
    command
}

fn on(data_dir: &Path) -> BrokerOptions {
    BrokerOptions { data_dir: Some(data_dir.to_path_buf()), ..BrokerOptions::default() }
}
