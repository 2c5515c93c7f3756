//! `broker adopt` on folders as Apache Kafka leaves them: what comes along, what is refused and how, and that an
//! interruption leaves nothing behind. `adopt_real_kafka` shows the same on a real one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{FlockOperation, fcntl_lock};
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::records::patch_offset_and_epoch;
use sendlog_tests::kafka::{Produce, ProduceFailure, Producer};
use sendlog_tests::process::Process;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, broker_binary, strace};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
const TOPIC_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";
const OTHER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAg";
const PRODUCER: Producer = Producer { id: 4711, epoch: 3 };

/// A log directory that a Kafka without cluster metadata might have left, and a data directory beside it.
struct Scene {
    dir: TempDir,
}

impl Scene {
    /// Topic `orders` with two partitions: one with two segments, one with a gap in it and an empty last segment.
    fn new() -> Self {
        let scene = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        fs::create_dir(scene.from()).expect("a new folder");
        scene.write("meta.properties", b"version=1\n");
        scene.write(".lock", b"");
        scene.write(".kafka_cleanshutdown", b"{}");
        scene.write("log-start-offset-checkpoint", b"0\n1\norders 0 1\n");
        scene.partition("orders-0", TOPIC_ID, b"0\n2\n0 0\n4 2\n");
        scene.write(
            "orders-0/00000000000000000000.log",
            &stored(0, 0, &batches::numbered(PRODUCER, 0, &["a", "b"])),
        );
        scene.write(
            "orders-0/00000000000000000002.log",
            &stored(2, 4, &batches::numbered(PRODUCER, 2, &["c", "d"])),
        );
        scene.partition("orders-1", TOPIC_ID, b"0\n1\n0 0\n");
        let gappy = [stored(5, 0, &batches::of(&["x"])), stored(9, 0, &batches::of(&["y", "z"]))].concat();
        scene.write("orders-1/00000000000000000000.log", &gappy);
        scene.write("orders-1/00000000000000000011.log", b"");
        scene
    }

    fn from(&self) -> PathBuf {
        self.dir.path().join("kafka")
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.from().join(name), bytes).expect("a writable file");
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.from().join(name)).expect("a readable file");
        change(&mut bytes);
        self.write(name, &bytes);
    }

    fn partition(&self, folder: &str, id: &str, epochs: &[u8]) {
        fs::create_dir(self.from().join(folder)).expect("a new folder");
        self.write(&format!("{folder}/partition.metadata"), format!("version: 0\ntopic_id: {id}").as_bytes());
        self.write(&format!("{folder}/leader-epoch-checkpoint"), epochs);
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(broker_binary::path());
        command
            .arg("adopt")
            .arg("--from")
            .arg(self.from())
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(options);
        command
    }

    /// Standard output, or the error.
    fn adopt(&self, options: &[&str]) -> Result<String, String> {
        run(&mut self.command(options))
    }

    fn expect_refusal(&self, options: &[&str], words: &str) {
        let refused = self.adopt(options).expect_err(words);
        assert!(refused.contains(words), "{words:?} is not in {refused:?}");
        assert!(folders(&self.data_dir()).is_empty(), "nothing looks adopted: {words}");
    }

    fn start(&self) -> Broker {
        Broker::start(BrokerOptions { data_dir: Some(self.data_dir()), ..BrokerOptions::default() })
    }
}

fn run(command: &mut Command) -> Result<String, String> {
    let mut process = Process::spawn(command).expect("the program can be run");
    let status = process.wait(LIMIT).expect("a child process can be waited for").expect("it ends");
    if status.success() { Ok(process.stdout().text()) } else { Err(process.stderr().text()) }
}

/// A batch as it is on disk.
fn stored(base_offset: i64, leader_epoch: i32, batch: &Bytes) -> Vec<u8> {
    let mut bytes = batch.to_vec();
    patch_offset_and_epoch(&mut bytes, base_offset, leader_epoch);
    bytes
}

fn folders(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    // The commit journal is there if a broker has been.
    let folders = entries.filter(|entry| entry.path().is_dir() && entry.file_name() != "journal");
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn values(kafka: &mut Kafka, partition: i32, start: i64) -> Vec<(i64, String)> {
    let read = kafka.read_from("orders", partition, start);
    let of_batch = |batch: &Bytes| {
        let values =
            batches::values(batch).into_iter().map(|value| String::from_utf8_lossy(&value).into_owned());
        (batches::header(batch).base_offset..).zip(values).collect::<Vec<_>>()
    };
    read.iter().flat_map(of_batch).collect()
}

fn pairs(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
}

fn check_orders(kafka: &mut Kafka) {
    assert_eq!(values(kafka, 0, 1)[..], pairs(&[(0, "a"), (1, "b"), (2, "c"), (3, "d")]));
    assert_eq!(values(kafka, 1, 0), pairs(&[(5, "x"), (9, "y"), (10, "z")]));
    assert_eq!(
        values(kafka, 1, 7),
        pairs(&[(9, "y"), (10, "z")]),
        "an offset that is gone leads to the next"
    );
    assert_eq!([kafka.offset_in("orders", 1, -2), kafka.offset_in("orders", 1, -1)], [0, 11]);
}

#[test]
fn offsets_epochs_ids_and_producers_come_along() {
    let scene = Scene::new();
    let report = scene.adopt(&[]).expect("adopted");
    assert!(report.contains("orders: 2 partitions, 3 segments, "), "{report}");
    assert!(report.contains("7 records, offsets 1..4 0..11"), "{report}");
    let mut broker = scene.start();
    let mut kafka = Kafka::open(broker.address());
    check_orders(&mut kafka);
    assert_eq!(kafka.offset("orders", -2), 1, "where the log starts");
    assert_eq!(kafka.topic_id("orders").as_u128(), 1);
    let epochs: Vec<(i32, i64)> = [0, 3, 4, 5]
        .map(|epoch| kafka.epoch_end("orders", epoch))
        .iter()
        .map(|end| (end.leader_epoch, end.end_offset))
        .collect();
    assert_eq!(epochs, [(0, 2), (0, 2), (4, 4), (5, 4)], "Kafka's, and one more");
    assert_eq!(kafka.topic_config("orders", "retention.ms"), "604800000", "compacted: it does not matter");
    assert_eq!(kafka.topic_config("orders", "cleanup.policy"), "compact", "as the gap tells");
    kafka.set_topic_config("orders", "cleanup.policy", "delete");
    kafka.set_topic_config("orders", "retention.ms", "-1");
    let repeated = batches::numbered(PRODUCER, 2, &["c", "d"]);
    assert_eq!(kafka.produce("orders", &repeated), 2, "a repeated batch is known");
    let after_gap = kafka.try_produce(Produce::to("orders"), &batches::numbered(PRODUCER, 5, &["f"]));
    assert!(
        matches!(after_gap, Err(ProduceFailure::Refused(code)) if code == ErrorCode::OutOfOrderSequenceNumber.code()),
        "{after_gap:?}"
    );
    assert_eq!(kafka.produce("orders", &batches::numbered(PRODUCER, 4, &["e"])), 4, "the next one follows");
    assert!(PRODUCER.id < kafka.init_producer().id, "no id is given out twice");
    broker.restart();
    let mut kafka = Kafka::open(broker.address());
    let read = values(&mut kafka, 0, 1);
    assert_eq!(read.last(), Some(&(4, "e".to_owned())), "after kill -9");
    assert_eq!(kafka.produce("orders", &batches::numbered(PRODUCER, 4, &["e"])), 4);
    broker.kill();
    fs::remove_file(scene.data_dir().join("checkpoint.state")).expect("a checkpoint");
    let mut broker = scene.start();
    let mut kafka = Kafka::open(broker.address());
    assert_eq!(values(&mut kafka, 1, 0), pairs(&[(5, "x"), (9, "y"), (10, "z")]), "without a checkpoint");
    assert_eq!(kafka.produce("orders", &batches::numbered(PRODUCER, 5, &["f"])), 5);
    assert!(!broker.stderr().text().contains("set aside"), "{}", broker.stderr().text());
    assert!(broker.terminate().success());
}

#[test]
fn topics_join_others_or_stay_away_together() {
    let scene = Scene::new();
    let mut broker = scene.start();
    Kafka::open(broker.address()).create_topic("before", 1, &[]);
    Kafka::open(broker.address()).produce("before", &batches::of(&["1"]));
    let refused = scene.adopt(&[]).expect_err("a broker has the directory");
    assert!(refused.contains("is in use by"), "{refused}");
    assert!(broker.terminate().success());
    scene.partition("before-0", OTHER_ID, b"0\n0\n");
    scene.write("before-0/00000000000000000000.log", &stored(0, 0, &batches::of(&["2"])));
    let refused = scene.adopt(&[]).expect_err("the name is taken");
    assert!(
        refused.contains("topic before: Topic 'before' already exists.; --skip before adopts"),
        "{refused}"
    );
    assert_eq!(folders(&scene.data_dir()), BTreeSet::from(["before-0".to_owned()]));
    scene.adopt(&["--skip", "before"]).expect("adopted");
    let refused = scene.adopt(&["--skip", "before"]).expect_err("twice");
    assert!(refused.contains("already exists"), "{refused}");
    let broker = scene.start();
    assert!(
        broker.stderr().text().lines().all(|line| !line.contains("scanned")),
        "the stop stays a clean one"
    );
    let mut kafka = Kafka::open(broker.address());
    check_orders(&mut kafka);
    assert_eq!(kafka.read_all("before", 0).len(), 1);
}

/// What is wrong with the scene, the options, and words of the answer.
type Case = (fn(&Scene), &'static [&'static str], &'static str);

#[test]
fn refusals_name_the_place_and_the_way_out() {
    let no_change: fn(&Scene) = |_| {};
    let cases: [Case; 14] = [
        (no_change, &["--topic", "order"], "there is no topic order to adopt; there are: orders"),
        (no_change, &["--skip", "orders"], "there is no topic to adopt in"),
        (
            |scene| fs::remove_dir_all(scene.from().join("orders-0")).expect("a folder"),
            &[],
            "partition 0 of 2 is not there",
        ),
        (
            |scene| {
                scene.change("orders-1/partition.metadata", |bytes| {
                    *bytes = format!("version: 0\ntopic_id: {OTHER_ID}").into()
                })
            },
            &[],
            "orders-1 has topic id 00000000-0000-0000-0000-000000000002, others of its partitions have",
        ),
        (
            |scene| {
                scene.partition("copy-0", TOPIC_ID, b"0\n0\n");
                scene.write("copy-0/00000000000000000000.log", b"");
            },
            &[],
            "it has the same id as topic copy",
        ),
        (
            |scene| scene.change("orders-0/00000000000000000002.log", |bytes| bytes[70] ^= 1),
            &[],
            "orders-0/00000000000000000002.log is damaged at position 0 (offset 2): CRC-32C",
        ),
        (
            |scene| scene.change("orders-0/00000000000000000002.log", |bytes| bytes.truncate(70)),
            &[],
            "Nothing was adopted. Start that Kafka once and stop it again",
        ),
        (
            |scene| scene.change("orders-0/00000000000000000002.log", |bytes| bytes[16] = 1),
            &[],
            "has a message of format (magic) 1 at position 0: sendlog reads the message format of Kafka 0.11 and later",
        ),
        (
            |scene| scene.write("log-start-offset-checkpoint", b"0\n2\norders 0 1\n"),
            &[],
            "log-start-offset-checkpoint, line 2: the count is not that of the lines; start that Kafka once",
        ),
        (
            |scene| scene.write("log-start-offset-checkpoint", b"0\n1\norders 0 9\n"),
            &[],
            "is to start at offset 9, and ends at 4",
        ),
        (
            |scene| scene.partition("__cluster_metadata-0", OTHER_ID, b""),
            &[],
            "there is no topic to adopt in",
        ),
        (
            |scene| {
                scene.partition("__cluster_metadata-0", OTHER_ID, b"");
                scene.write("__cluster_metadata-0/00000000000000000000.log", b"what is this");
            },
            &[],
            "00000000000000000000.log is damaged at position 0",
        ),
        (
            |scene| {
                fs::create_dir(scene.data_dir()).expect("a new folder");
                fs::write(scene.data_dir().join("notes.txt"), b"mine").expect("a writable file");
            },
            &[],
            "is not a sendlog data directory, but holds \"notes.txt\"",
        ),
        (|scene| scene.partition("bad name-0", OTHER_ID, b"0\n0\n"), &[], "other than ASCII alphanumerics"),
    ];
    for (change, options, words) in cases {
        let scene = Scene::new();
        change(&scene);
        scene.expect_refusal(options, words);
        if !words.contains("there is no topic") && !words.contains("line 2") && !words.contains("metadata") {
            let looked = scene.adopt(&[options, &["--dry-run"]].concat());
            assert!(looked.is_err(), "{words}: a dry run sees it too: {looked:?}");
        }
    }
    let scene = Scene::new();
    let inside = scene.from().join("data");
    let mut command = Command::new(broker_binary::path());
    command.arg("adopt").arg("--from").arg(scene.from()).arg("--data-dir").arg(&inside);
    assert!(run(&mut command).expect_err("inside").contains("lies within --from"));
    assert!(!inside.exists());
}

#[test]
fn a_kafka_that_runs_is_left_alone() {
    let scene = Scene::new();
    let lock = fs::File::options().write(true).open(scene.from().join(".lock")).expect("a lock file");
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
    scene.expect_refusal(&[], "is running (it holds");
    drop(lock);
    scene.adopt(&[]).expect("adopted");
}

#[test]
fn after_a_crash_of_kafka_torn_ends_are_cut_in_the_copy() {
    let scene = Scene::new();
    fs::remove_file(scene.from().join(".kafka_cleanshutdown")).expect("a file");
    scene.change("orders-0/00000000000000000002.log", |bytes| bytes.extend([7; 33]));
    let torn = fs::read(scene.from().join("orders-0/00000000000000000002.log")).expect("a readable file");
    let report = scene.adopt(&[]).expect("adopted");
    assert!(report.contains("Kafka did not stop cleanly"), "{report}");
    assert!(report.contains("partition 0: 33 bytes of a torn end are cut off the copy"), "{report}");
    assert_eq!(
        fs::read(scene.from().join("orders-0/00000000000000000002.log")).expect("a readable file"),
        torn
    );
    check_orders(&mut Kafka::open(scene.start().address()));
}

/// The system calls that change files: `adopt` is killed at each of them.
const CHANGES: [&str; 12] = [
    "pwrite64",
    "pwritev",
    "ftruncate",
    "fallocate",
    "fdatasync",
    "fsync",
    "rename",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "copy_file_range",
];

#[test]
fn a_kill_at_any_change_leaves_nothing_or_all() {
    if !strace::is_usable() {
        return;
    }
    let mut kills = 0;
    for call in CHANGES {
        for when in 1.. {
            let scene = Scene::new();
            let mut command = Command::new("strace");
            let inject = format!("inject={call}:signal=SIGKILL:when={when}");
            command.args(["-f", "-o", "/dev/null", "-e", &inject]).arg(broker_binary::path());
            command.arg("adopt").arg("--from").arg(scene.from()).arg("--data-dir").arg(scene.data_dir());
            if run(&mut command).is_ok() {
                break;
            }
            kills += 1;
            // A broker may be started in between, or not.
            let was_adopted = kills % 2 == 0 && has_orders_or_nothing(&scene);
            match scene.adopt(&[]) {
                Ok(_) => assert!(!was_adopted, "{call} {when}: adopted twice"),
                Err(error) => assert!(error.contains("already exists"), "{call} {when}: {error}"),
            }
            assert!(has_orders_or_nothing(&scene), "{call} {when}");
            let left = BTreeSet::from(["orders-0".to_owned(), "orders-1".to_owned()]);
            assert_eq!(folders(&scene.data_dir()), left, "{call} {when}");
        }
    }
    eprintln!("{kills} kills");
    assert!(40 < kills, "{kills} kills");
}

/// Starts a broker, which must know all of the topic or nothing; whether it knows it.
fn has_orders_or_nothing(scene: &Scene) -> bool {
    let mut broker = scene.start();
    let mut kafka = Kafka::open(broker.address());
    let is_there = !kafka.all_topics().is_empty();
    if is_there {
        check_orders(&mut kafka);
    }
    assert!(broker.terminate().success());
    is_there
}
