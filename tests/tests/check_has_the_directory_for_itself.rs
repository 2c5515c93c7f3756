//! `broker check` beside a broker, on a read-only file system, and on what is no data directory: it says what is in the way, with
//! an exit code for programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use sendlog_tests::data_check::CheckRun;
use sendlog_tests::scratch_disk::ScratchDisk;
use sendlog_tests::{Broker, BrokerOptions, Kafka, batches, broker_binary, data_files};
use tempfile::TempDir;

const USAGE: i32 = 2;
const UNCHECKED: i32 = 3;

fn filled(data_dir: &Path) -> Broker {
    filled_with(data_dir, BrokerOptions::with_args(["--set", "sendlog.min.free.bytes=0"]))
}

fn filled_with(data_dir: &Path, options: BrokerOptions) -> Broker {
    let broker = Broker::start(BrokerOptions { data_dir: Some(data_dir.to_path_buf()), ..options });
    let mut kafka = Kafka::open(broker.address());
    kafka.create_topic("t", 1, &[]);
    (0..5).for_each(|number| _ = kafka.produce("t", &batches::sized(&format!("batch {number}"), 200)));
    broker
}

#[test]
fn a_directory_in_use_is_not_checked() {
    let folder = TempDir::new().expect("a temporary directory");
    let data_dir = folder.path().join("data");
    let mut broker = filled(&data_dir);
    for args in [&[][..], &["--repair", "--apply"]] {
        let refused = CheckRun::on(&data_dir, args);
        assert_eq!((refused.code, refused.findings.len()), (UNCHECKED, 0));
        assert!(refused.stderr.contains(&broker.process_id().to_string()), "{}", refused.stderr);
    }
    assert_eq!(Kafka::open(broker.address()).produce("t", &batches::of(&["undisturbed"])), 5);
    broker.kill();
    assert_eq!(CheckRun::on(&data_dir, &[]).code, 0, "the lock ends with the broker");
}

#[test]
fn what_is_no_data_directory_is_not_checked() {
    let folder = TempDir::new().expect("a temporary directory");
    fs::write(folder.path().join("file"), "mine").expect("written");
    for path in [folder.path().join("missing"), folder.path().join("file"), folder.path().to_path_buf()] {
        let refused = CheckRun::on(&path, &["--repair", "--apply"]);
        assert_eq!((refused.code, refused.findings.len()), (UNCHECKED, 0));
        assert!(refused.stderr.contains(&path.display().to_string()), "{}", refused.stderr);
    }
    assert_eq!(data_files::all(folder.path()).len(), 1, "nothing was created");
    for args in [&["check"][..], &["check", "--data-dir", "x", "--apply"], &["--data-dir", "x", "check"]] {
        let output = Command::new(broker_binary::path()).args(args).output().expect("it runs");
        assert_eq!(output.status.code(), Some(USAGE), "{args:?}");
    }
}

#[test]
fn a_read_only_file_system_is_checked() {
    let Some(disk) = ScratchDisk::in_memory(16 << 20) else { return };
    let data_dir = disk.path().join("data");
    filled(&data_dir).terminate();
    disk.make_read_only();
    for args in [&[][..], &["--read-only"], &["--repair"]] {
        let found = CheckRun::on(&data_dir, args);
        assert_eq!((found.code, found.findings.len()), (0, 0), "{found:?}");
        assert_eq!(found.summary["batches"], 5);
    }
}

/// The journal is the next start's to use: a repair must not move what it would fill.
#[test]
fn after_a_crash_with_a_journal_the_broker_comes_first() {
    let folder = TempDir::new().expect("a temporary directory");
    let data_dir = folder.path().join("data");
    filled_with(&data_dir, BrokerOptions::with_args(["--set", "sendlog.journal.bytes=0"])).kill();
    let segment = data_files::segments(&data_dir, "t-0").pop().expect("a segment");
    data_files::flip(&segment, 100);
    assert_eq!(CheckRun::on(&data_dir, &["--repair"]).steps.len(), 1);
    fs::create_dir_all(data_dir.join("journal")).expect("made");
    fs::write(data_dir.join("journal/0.journal"), [0; 4096]).expect("written");
    let found = CheckRun::on(&data_dir, &["--repair", "--apply"]);
    assert_eq!((found.code, found.bad().len(), found.steps.len()), (1, 2, 0), "{found:?}");
    assert!(found.bad().iter().all(|finding| finding.remedy == "by-hand"), "{found:?}");
    assert!(found.bad().iter().any(|finding| finding.file == "journal/0.journal"), "{found:?}");
    let refused = Broker::try_start(BrokerOptions { data_dir: Some(data_dir), ..BrokerOptions::default() });
    assert!(
        refused.is_err_and(|failure| failure.stderr.contains("0.journal")),
        "and the broker says the same"
    );
}

#[test]
fn lines_for_people_name_file_position_and_offsets() {
    let folder = TempDir::new().expect("a temporary directory");
    let data_dir = folder.path().join("data");
    filled(&data_dir).terminate();
    let segment = data_files::segments(&data_dir, "t-0").pop().expect("a segment");
    data_files::flip(&segment, 100);
    let output = Command::new(broker_binary::path())
        .args(["check", "--repair", "--data-dir"])
        .arg(&data_dir)
        .output()
        .expect("it runs");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout.lines().find(|line| line.starts_with("damage: ")).expect("a finding");
    for part in ["t-0/00000000000000000000.log", "position 0", "offsets 0 to 0", "CRC-32C", "[repair: "] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
    assert!(stdout.contains("step: ") && stdout.contains("add --apply"), "{stdout}");
    assert!(stdout.contains("findings: damage 1,"), "{stdout}");
    assert!(output.stderr.is_empty(), "no progress where there is no terminal");
}
