//! Every single operation of a life with compactions fails once: nothing is lost, nothing comes back, and the next start is right.

use super::*;
use crate::storage::testing::{Fault, FaultyFs};

fn live(life: &mut Life, root: &Path) -> Result<(), String> {
    fill(life)?;
    compact(life)?;
    fill(life)?;
    life.checkpoint(true).map_err(|error| error.to_string())?;
    let saved = life.saved.clone().expect("there are segments");
    life.restart(root, Resume::Clean(saved.log)).map_err(|error| error.to_string())?;
    life.now_ms += 2 * DELETE_RETENTION_MS;
    fill(life)?;
    compact(life)
}

fn fill(life: &mut Life) -> Result<(), String> {
    for keys in ["abcdefghi", "abcAbcabc", "gbcabcabc", "zzzz"] {
        life.append(keys).map_err(|error| error.to_string())?;
    }
    life.checkpoint(false).map_err(|error| error.to_string())
}

/// As the cleaner does: what can be waited out is tried again.
fn compact(life: &mut Life) -> Result<(), String> {
    for _ in 0..3 {
        match life.compact() {
            Err(CompactionError::Full(_)) => {}
            Err(error) => return Err(error.to_string()),
            Ok(_) => return Ok(()),
        }
    }
    Ok(())
}

fn every_operation_fails(fault: Fault, count: u64) {
    for at in 0.. {
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let fs = FaultyFs::new();
        let mut life = Life::new(Arc::new(fs.clone()), root.path(), settings(&[]));
        fs.fail(fault, at, count);
        let outcome = live(&mut life, root.path());
        let (faults, operations) = (fs.faults(), fs.operations());
        fs.heal();
        let saved = life.saved.clone();
        // An append that failed may be there all the same; one that was acknowledged is.
        let ends_with = |life: &mut Life| {
            let end = life.partition.offsets().high_watermark;
            if life.appended.last().is_none_or(|last| last.offset + 1 < end) {
                return false;
            }
            life.check();
            life.check_look_ups();
            true
        };
        if outcome.is_ok() {
            assert!(ends_with(&mut life), "the broker that goes on is right");
        }
        for resume in [dirty(saved.as_ref()), dirty(None)] {
            life.restart(root.path(), resume).unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
            ends_with(&mut life);
        }
        let end = life.partition.offsets().high_watermark;
        if life.appended.last().is_some_and(|last| last.offset + 1 == end) {
            fill(&mut life).unwrap();
            life.cleaned_to = None;
            life.compact().unwrap();
            life.check();
        }
        if operations <= at {
            assert_eq!((outcome, faults), (Ok(()), 0));
            assert!(100 < at, "the run is long enough to mean something");
            return;
        }
    }
}

#[test]
fn an_io_error_anywhere() {
    every_operation_fails(Fault::Eio, 1);
}

#[test]
fn a_full_disk_anywhere() {
    every_operation_fails(Fault::Enospc, 1);
}

#[test]
fn a_full_disk_for_a_while_anywhere() {
    every_operation_fails(Fault::Enospc, 6);
}

#[test]
fn a_short_write_anywhere() {
    every_operation_fails(Fault::ShortWrite, 2);
}

#[test]
fn too_many_open_files_anywhere() {
    every_operation_fails(Fault::Emfile, 1);
}

#[test]
fn too_many_open_files_from_anywhere_on() {
    every_operation_fails(Fault::Emfile, 500);
}
