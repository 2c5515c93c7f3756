//! What keeps a broker from starting is said in a sentence that names the file, address or setting, and what to do;
//! the exit code is 2 for the command line and the configuration, 1 for everything else.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use sendlog_tests::scratch_disk::ScratchDisk;
use sendlog_tests::{Broker, BrokerOptions, Kafka, StartFailure, batches, data_files};
use tempfile::TempDir;

/// The exit code of a broker that could not start.
const FAILURE: i32 = 1;
/// The exit code of a broker that was called wrongly.
const USAGE: i32 = 2;

#[test]
fn a_second_broker_on_a_directory_is_told_who_has_it() {
    let broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic("t", 1, &[]);
    let owner = broker.process_id().to_string();
    refused(on(broker.data_dir()), FAILURE, &[&owner, &shown(broker.data_dir())]);
    assert_eq!(kafka.produce("t", &batches::of(&["undisturbed"])), 0);

    // Removing the files that tell of it does not make the directory free.
    let lock_files = data_files::all(broker.data_dir()).into_iter().filter(|path| path.ends_with("lock"));
    lock_files.for_each(|path| fs::remove_file(path).expect("it can be removed"));
    refused(on(broker.data_dir()), FAILURE, &[&shown(broker.data_dir())]);
    assert_eq!(kafka.produce("t", &batches::of(&["undisturbed still"])), 1);
}

#[test]
fn the_directory_of_a_killed_broker_is_free() {
    let mut broker = Broker::start(BrokerOptions::default());
    broker.kill();
    broker.restart();
    assert_eq!(Kafka::open(broker.address()).create_topics(&["t"], 1, &[]).len(), 1);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let options = BrokerOptions { port: Some(address.port()), ..BrokerOptions::default() };
    refused(options, FAILURE, &[&address.to_string(), "--listen"]);
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("file");
    fs::write(&file, "in the way").expect("a file can be written");
    refused(on(&file), FAILURE, &[&shown(&file)]);
    refused(on(&file.join("below")), FAILURE, &[&shown(&file)]);
    assert_eq!(fs::read(&file).expect("it is there"), b"in the way");

    let Some(disk) = ScratchDisk::in_memory(8 << 20) else { return };
    disk.make_read_only();
    refused(on(&disk.path().join("data")), FAILURE, &[&shown(disk.path())]);
}

/// A mount point that lost its disk would look like an empty directory; that it is read-only shows only at a write.
#[test]
fn a_data_directory_that_became_read_only_is_named() {
    let Some(disk) = ScratchDisk::in_memory(64 << 20) else { return };
    let data_dir = disk.path().join("data");
    let mut broker = Broker::start(on(&data_dir));
    Kafka::open(broker.address()).create_topic("t", 1, &[]);
    broker.terminate();
    disk.make_read_only();
    refused(on(&data_dir), FAILURE, &[&shown(&data_dir)]);
}

#[test]
fn a_directory_with_other_peoples_files_is_left_alone() {
    let folder = TempDir::new().expect("a temporary directory");
    fs::create_dir(folder.path().join("photos")).expect("a folder can be made");
    fs::write(folder.path().join("thesis.txt"), "mine").expect("a file can be written");
    refused(on(folder.path()), FAILURE, &[&shown(folder.path())]);
    assert_eq!(data_files::all(folder.path()), [folder.path().join("thesis.txt")]);
    assert!(folder.path().join("photos").is_dir());
}

#[test]
fn settings_that_do_not_exist_are_named_with_their_nearest() {
    let set = |setting| BrokerOptions::with_args(["--set", setting]);
    refused(set("log.retention.byte=1"), USAGE, &["log.retention.byte", "log.retention.bytes"]);
    refused(BrokerOptions::with_args(["--data-dri", "x"]), USAGE, &["--data-dri", "--data-dir"]);

    let folder = TempDir::new().expect("a temporary directory");
    let file = folder.path().join("broker.properties");
    fs::write(&file, "# ours\nnum.partitions=1\nnum.partition=2\n").expect("a file can be written");
    let with_file = |path: &Path| BrokerOptions::with_args(["--config", &shown(path)]);
    refused(with_file(&file), USAGE, &[&format!("{}:3", file.display()), "num.partition", "num.partitions"]);
    let missing = folder.path().join("missing.properties");
    refused(with_file(&missing), USAGE, &[&shown(&missing)]);
}

#[test]
fn values_that_cannot_be_are_named() {
    let set = |setting| BrokerOptions::with_args(["--set", setting]);
    refused(set("log.segment.bytes=many"), USAGE, &["log.segment.bytes", "many"]);
    refused(set("log.segment.bytes=-1"), USAGE, &["log.segment.bytes", "-1"]);
    refused(set("log.segment.bytes"), USAGE, &["log.segment.bytes", "="]);
    refused(set("sendlog.sync.threads=257"), USAGE, &["sendlog.sync.threads", "256"]);
    refused(set("ssl.keystore.location=x"), USAGE, &["ssl.keystore.location", "TLS"]);
    refused(BrokerOptions::with_args(["--flush", "sometimes"]), USAGE, &["sometimes", "interval"]);
    refused(BrokerOptions::with_args(["--advertise", "host:port"]), USAGE, &["host:port"]);
}

/// Starts a broker that must not become ready, and looks at how it says so.
fn refused(options: BrokerOptions, exit_code: i32, words: &[&str]) {
    let asked = format!("{options:?}");
    let Err(StartFailure { status, stdout, stderr }) = Broker::try_start(options) else {
        panic!("it starts with {asked}");
    };
    assert_eq!(status.and_then(|status| status.code()), Some(exit_code), "{asked}: {stderr}");
    assert_eq!(stdout, "", "{asked}: only a broker that is ready says so");
    for word in words {
        assert!(stderr.contains(word), "{asked}: {word:?} should be in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked") && !stderr.contains("RUST_BACKTRACE"), "{asked}: {stderr}");
}

fn on(data_dir: &Path) -> BrokerOptions {
    BrokerOptions { data_dir: Some(data_dir.to_path_buf()), ..BrokerOptions::default() }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
