//! Power cuts at moments of every workload, as far as they are affordable in every run of the tests; and a broker that
//! does not sync, which is found out. docs/testing.md says how to try them all.

use std::process::Command;
use std::time::Duration;

use sendlog_tests::conformance::say;
use sendlog_tests::process::Process;
use sendlog_tests::workshop;

/// Ends a test that hangs.
const LIMIT: Duration = Duration::from_secs(600);

#[test]
fn acknowledged_records_survive_power_cuts_at_any_operation() {
    workshop::install_mkfs_xfs();
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash-rig"));
    command.args(["--known-bad", env!("CARGO_BIN_EXE_lying-broker")]);
    // The budget is for machines that are slow today.
    command.args(["--points", "6", "--second-every", "3", "--second-points", "2", "--budget", "80"]);
    let mut rig = Process::spawn(&mut command).expect("the rig was built with this test");
    let status =
        rig.wait(LIMIT).expect("a child process can be waited for").expect("the rig comes to an end");
    let (said, complaints) = (rig.stdout().text(), rig.stderr().text());
    assert!(status.success(), "{status}\n{said}\n{complaints}");
    complaints.lines().filter(|line| line.starts_with("skipped: ")).for_each(say);
    let told = |beginning: &str| said.lines().find(|line| line.starts_with(beginning)).map(str::to_owned);
    match (told("workload"), told("total"), told("known-bad")) {
        (Some(head), Some(total), Some(control)) => {
            [head, total, control].iter().for_each(|line| say(&format!("crash-rig: {line}")));
        }
        _ => {
            assert!(complaints.contains("skipped: crash-rig"), "it tells what it did:\n{said}\n{complaints}")
        }
    }
}
