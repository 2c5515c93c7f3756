//! The broker's own hand-off and publication code holds under the interleavings and memory orders that two programs try,
//! and each program sees the faults that are planted in it.

use std::process::{Command, Output};

const INTERLEAVINGS: &str = env!("CARGO_BIN_EXE_interleavings");
const MEMORY_ORDERS: &str = env!("CARGO_BIN_EXE_memory-orders");

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env("RUST_BACKTRACE", "0");
    command.output().expect("the program of this package runs")
}

fn holds(program: &str, scenario: &str) -> String {
    let output = run(program, &[scenario]);
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {scenario}: {}\n{said}\n{complained}", output.status);
    said.into_owned()
}

/// The fault must be seen, and as what it is.
fn sees(program: &str, scenario: &str, fault: &str, complaint: &str) {
    let output = run(program, &[scenario, "--planted", fault]);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{scenario}: the planted {fault} was not seen");
    assert!(
        complained.contains(complaint),
        "{scenario}: {fault} was taken for something else:\n{complained}"
    );
}

/// Counts in `said` before these words are not 0: the model gets where it should.
fn reached(said: &str, words: &[&str]) {
    for words in words {
        let count = said.split(words).next().and_then(|before| before.split_whitespace().last());
        assert!(count.is_some_and(|count| count != "0"), "no {words}: {said}");
    }
}

#[test]
fn every_append_is_acknowledged_after_its_sync_and_nobody_sleeps_on() {
    let said = holds(INTERLEAVINGS, "commit");
    reached(&said, &["writes beside a sync", "last looks", "fetches that waited"]);
    sees(INTERLEAVINGS, "commit", "call-lost", "deadlock");
    sees(INTERLEAVINGS, "commit", "close-call-lost", "deadlock");
    sees(INTERLEAVINGS, "commit", "stage-not-left", "deadlock");
    sees(INTERLEAVINGS, "commit", "no-sync-stage", "two threads are in the sync stage");
    sees(INTERLEAVINGS, "commit", "ack-before-sync", "acknowledged before its sync");
    sees(INTERLEAVINGS, "commit", "watermark-before-sync", "the watermark passed the sync");
}

#[test]
fn a_closed_queue_is_worked_off() {
    let said = holds(INTERLEAVINGS, "close");
    reached(&said, &["rounds", "appends dropped"]);
    sees(INTERLEAVINGS, "close", "close-call-lost", "deadlock");
    sees(INTERLEAVINGS, "close", "stage-not-left", "deadlock");
}

#[test]
fn nothing_is_acknowledged_after_a_failure() {
    let said = holds(INTERLEAVINGS, "failure");
    reached(&said, &["writes beside a sync"]);
    sees(INTERLEAVINGS, "failure", "failure-forgotten", "acknowledged after a failure");
}

#[test]
fn a_commit_thread_that_panics_leaves_no_append_waiting() {
    let said = holds(INTERLEAVINGS, "panic");
    reached(&said, &["writes beside a sync", "appends dropped"]);
    sees(INTERLEAVINGS, "panic", "turn-lost", "deadlock");
}

#[test]
fn a_parked_fetch_is_woken() {
    let said = holds(INTERLEAVINGS, "fetch");
    reached(&said, &["fetches that waited"]);
    sees(INTERLEAVINGS, "fetch", "look-before-park", "deadlock");
    sees(INTERLEAVINGS, "fetch", "wake-before-move", "deadlock");
}

#[test]
fn an_index_entry_is_seen_whole_or_not_at_all() {
    for scenario in ["publish", "growth"] {
        holds(MEMORY_ORDERS, scenario);
        sees(MEMORY_ORDERS, scenario, "relaxed-publish", "an entry that was never written");
        sees(MEMORY_ORDERS, scenario, "relaxed-look", "an entry that was never written");
    }
}

#[test]
fn an_index_may_be_unmapped_trimmed_and_replaced_under_its_readers() {
    for scenario in ["unmap", "trim", "replace"] {
        holds(MEMORY_ORDERS, scenario);
    }
    sees(MEMORY_ORDERS, "unmap", "relaxed-publish", "an entry that was never written");
    sees(MEMORY_ORDERS, "trim", "trim-blindly", "SIGBUS");
    sees(MEMORY_ORDERS, "replace", "relaxed-publish", "index file is shorter than its entries");
}
