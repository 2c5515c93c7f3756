//! kill -9 at random moments under load, and while starting: every acknowledged batch is at its offset with its bytes, once,
//! in order, and what was read stays as it was read.

use std::time::Duration;

use sendlog_tests::checker::ViolationKind;
use sendlog_tests::kill_rig::{Scratch, random_kills};

const KILLS: u64 = 40;

#[test]
fn acknowledged_records_survive_kill_after_kill() {
    let summary = run(KILLS, None);
    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.kills_under_load, KILLS, "{summary}");
    let report = &summary.report;
    assert!(0 < summary.kills_while_starting && 1000 < report.batches_acknowledged, "{summary}");
    assert!(0 < report.repetitions && 0 < report.unanswered_present, "{summary}");
    assert!(report.records_acknowledged < report.records_read, "{summary}");
}

/// The control: what is cut off a log is missed.
#[test]
fn the_rig_sees_what_is_lost() {
    let summary = run(6, Some(4));
    assert_eq!(summary.kills_under_load, 4, "it stops at once: {summary}");
    assert!(summary.report.has(ViolationKind::AcknowledgedLost), "{summary}");
    assert!(0 < summary.report.records_lost && 0 < summary.report.records_vanished, "{summary}");
}

fn run(kills: u64, sabotage: Option<u64>) -> random_kills::Summary {
    let scratch = Scratch::create().expect("a folder for the history");
    let options = random_kills::Options {
        kills,
        // Ends a test whose broker hangs.
        limit: Duration::from_secs(300),
        seed: 20_261_123,
        data_dir: None,
        // Small, so that it is ready between two kills.
        settings: vec!["sendlog.journal.bytes=4194304".to_owned()],
        sabotage,
        progress: false,
    };
    random_kills::run(&options, &scratch).expect("a history can be written")
}
