//! kill -9 at random moments under load, and while starting: every acknowledged batch is at its offset with its bytes, once,
//! in order, and what was read stays as it was read.

use std::time::Duration;

use sendlog_tests::kill_rig::{Scratch, random_kills};

const KILLS: u64 = 30;

#[test]
fn acknowledged_records_survive_kill_after_kill() {
    let scratch = Scratch::create().expect("a folder for the history");
    let options = random_kills::Options {
        kills: KILLS,
        // Ends a test whose broker hangs.
        limit: Duration::from_secs(300),
        seed: 20_261_123,
        data_dir: None,
        settings: Vec::new(),
        progress: false,
    };
    let summary = random_kills::run(&options, &scratch).expect("a history can be written");
    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.kills_under_load, KILLS, "{summary}");
    let report = &summary.report;
    assert!(0 < summary.kills_while_starting && 1000 < report.batches_acknowledged, "{summary}");
    assert!(0 < report.repetitions && 0 < report.unanswered_present, "{summary}");
    assert!(report.records_acknowledged < report.records_read, "{summary}");
}
