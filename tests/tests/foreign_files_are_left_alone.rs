//! Files, folders, links and pipes that are none of sendlog's, in the data directory and in a partition's folder: the broker
//! starts, serves, rolls, checkpoints, stops and recovers as if they were not there, and they stay as they are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, data_files};

const TOPIC: &str = "t";

/// Names that look like ours, or nearly, or like nothing at all.
const FILES: [&str; 18] = [
    "00000000000000000000.log~",
    "00000000000000000000.log.bak",
    ".00000000000000000000.log.swp",
    "0.log",
    "99999999999999999999.log",
    "-0000000000000000001.log",
    "0000000000000000000x.log",
    "00000000000000000000.LOG",
    "00000000000000000000.snapshot",
    "leader-epoch-checkpoint",
    "meta.properties.orig",
    "recovery-point-offset-checkpoint",
    "checkpoint.state.old",
    "core.1234",
    ".DS_Store",
    "#notes#",
    "read me",
    "\u{feff}\n\t",
];

#[test]
fn a_log_among_strangers_goes_its_way() {
    let mut broker = Broker::start(BrokerOptions::default());
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic(TOPIC, 1, &[("segment.bytes", "2048"), ("retention.ms", "-1")]);
    kafka.produce(TOPIC, &batches::of(&["first"]));
    let data_dir = broker.data_dir().to_path_buf();
    let mut strangers = put_strangers(&data_dir);
    strangers.extend(put_strangers(&data_dir.join("t-0")));
    // Folders that look like partitions.
    for name in ["t-1", "t-00", "t--1", "other-0", "t-0.deleted", "t-0~", "-0", "lost+found"] {
        fs::create_dir(data_dir.join(name)).expect("a folder can be made");
        fs::write(data_dir.join(name).join("00000000000000000000.log"), "not ours")
            .expect("a file can be written");
        strangers.push(data_dir.join(name).join("00000000000000000000.log"));
    }
    assert!(40 < strangers.len());
    let before: Vec<String> = strangers.iter().map(|path| describe(path)).collect();
    let mut expected = 1;
    for round in 0..4 {
        for index in 0..10 {
            assert_eq!(kafka.produce(TOPIC, &batches::sized(&format!("{round} {index}"), 500)), expected);
            expected += 1;
        }
        if round % 2 == 0 {
            broker.terminate();
        }
        broker.restart();
        kafka = Kafka::open(broker.address());
        assert_eq!(batches::assert_dense(&kafka.read_all(TOPIC, 0), 0), expected);
        let now: Vec<String> = strangers.iter().map(|path| describe(path)).collect();
        assert_eq!(now, before, "round {round}");
    }
    assert!(4 < data_files::segments(&data_dir, "t-0").len(), "segments were rolled");
    kafka.delete_records(TOPIC, 20);
    broker.restart();
    let now: Vec<String> = strangers.iter().map(|path| describe(path)).collect();
    assert_eq!(now, before, "after deletions");
    assert_eq!(Kafka::open(broker.address()).offset(TOPIC, -2), 20);
}

/// A topic that is deleted goes with its records, whatever else is in its folder. What stays is in the way of a new topic of
/// that name, until somebody has looked at it.
#[test]
fn a_deleted_topic_leaves_no_records_among_strangers() {
    let mut broker = Broker::start(BrokerOptions::default());
    for is_restarted in [false, true] {
        let mut kafka = Kafka::open(broker.address());
        kafka.create_topic(TOPIC, 1, &[("segment.bytes", "2048"), ("retention.ms", "-1")]);
        for index in 0..10 {
            kafka.produce(TOPIC, &batches::sized(&format!("record {index}"), 500));
        }
        let folder = broker.data_dir().join("t-0");
        fs::create_dir_all(folder.join("a folder of mine/below")).expect("a folder can be made");
        fs::write(folder.join(OsStr::from_bytes(b"\xff\xfe")), "mine").expect("a file can be written");
        kafka.delete_topic(TOPIC);
        if is_restarted {
            broker.restart();
            kafka = Kafka::open(broker.address());
        }
        let left = data_files::segments(broker.data_dir(), "t-0");
        assert!(left.is_empty(), "{left:?}");
        assert!(folder.join("a folder of mine/below").exists(), "it is not ours to delete");
        let refused = kafka.create_topic_refused(TOPIC);
        assert!(
            refused.contains("in the way") && refused.contains(&folder.display().to_string()),
            "{refused}"
        );
        fs::rename(&folder, broker.data_dir().join(format!("kept {is_restarted}"))).expect("it can be moved");
        kafka.create_topic(TOPIC, 1, &[]);
        assert_eq!((kafka.offset(TOPIC, -2), kafka.offset(TOPIC, -1)), (0, 0));
        kafka.delete_topic(TOPIC);
    }
}

/// One of each kind, in a folder of the broker's.
fn put_strangers(folder: &Path) -> Vec<PathBuf> {
    let mut put: Vec<PathBuf> = FILES.iter().map(|name| folder.join(name)).collect();
    put.push(folder.join(OsStr::from_bytes(b"\xff\xfe\x80.log")));
    put.push(folder.join("x".repeat(255)));
    for path in &put {
        fs::write(path, "not ours").expect("a file can be written");
    }
    let special =
        ["socket", "loop", "dangling.log", "00000000000000000007.index.d"].map(|name| folder.join(name));
    drop(UnixListener::bind_addr(&short_address(folder)));
    symlink(&special[1], &special[1]).expect("a link can be made");
    symlink("/nowhere", &special[2]).expect("a link can be made");
    fs::create_dir(&special[3]).expect("a folder can be made");
    let pipe = folder.join("pipe.log");
    assert!(Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()));
    put.extend(special.into_iter().filter(|path| path.symlink_metadata().is_ok()));
    put.push(pipe);
    put
}

/// Addresses of sockets are short; temporary directories may not be.
fn short_address(folder: &Path) -> std::os::unix::net::SocketAddr {
    let path = folder.join("socket");
    std::os::unix::net::SocketAddr::from_pathname(&path)
        .or_else(|_| std::os::unix::net::SocketAddr::from_pathname("socket"))
        .expect("a short path")
}

/// What a thing is, and what is in it.
fn describe(path: &Path) -> String {
    let metadata = path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let content = if metadata.is_file() { fs::read(path).expect("it can be read") } else { Vec::new() };
    format!("{:?} {:?}", metadata.file_type(), content)
}
