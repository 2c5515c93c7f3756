//! A kill before a system call that changes a file, and another one in the recovery after that: nothing acknowledged is lost.
//! A sample of the calls; `kill-rig --every-call` has all of them.

use std::time::Duration;

use sendlog_tests::kill_rig::{Scratch, every_call};

const POINTS_OF_A_GROUP: u64 = 5;

#[test]
fn a_kill_at_every_kind_of_change_is_recovered_from() {
    let scratch = Scratch::create().expect("a folder for the history");
    let options = every_call::Options {
        seed: 1,
        points_max: Some(POINTS_OF_A_GROUP),
        // Ends a test whose broker hangs.
        limit: Duration::from_secs(300),
        // Small, so that it is ready between two kills.
        settings: vec!["sendlog.journal.bytes=4194304".to_owned()],
        progress: false,
    };
    let Some(summary) = every_call::run(&options, &scratch).expect("a history can be written") else {
        return;
    };
    assert!(summary.is_clean(), "{summary}");
    assert!(20 < summary.kills() && 10 < summary.kills_in_recovery, "{summary}");
    assert!(500 < summary.records_acknowledged, "{summary}");
}
