//! Every operation in the life of a data directory with one log fails: start, appends, rolls, checkpoints, deletion, kill,
//! recovery, clean stop. The next start finds what was durable, and goes on.

use std::path::Path;
use std::sync::Arc;

use sendlog_protocol::records::Compression;

use super::durable_model::Model;
use super::fixture::{memory_dir, small};
use super::machine::{Content, Running, Stopped};
use crate::storage::files::{FileSystem, RealFs};
use crate::storage::segment_list::delete_segments;
use crate::storage::testing::{Fault, FaultyFs, batch};

/// A broker's life on the log, and what it knows.
struct Life<'a> {
    root: &'a Path,
    fs: Arc<dyn FileSystem>,
    model: Model,
}

impl Life<'_> {
    fn live(&mut self) -> Result<(), Stopped> {
        let mut running = self.start()?;
        self.append(&mut running, 12)?;
        self.sync(&mut running)?;
        self.checkpoint(&mut running)?;
        self.append(&mut running, 25)?;
        running.log.roll(1)?;
        self.append(&mut running, 2)?;
        self.sync(&mut running)?;
        running.settle();
        self.delete_records(&mut running, 20);
        self.checkpoint(&mut running)?;
        self.append(&mut running, 5)?;
        self.sync(&mut running)?;
        drop(running);
        let mut running = self.start()?;
        self.append(&mut running, 20)?;
        self.delete_records(&mut running, 30);
        running.close_cleanly()?;
        self.model.durable_end = self.model.end_offset;
        drop(running);
        let mut running = self.start()?;
        self.append(&mut running, 5)?;
        self.sync(&mut running)
    }

    fn start(&self) -> Result<Running, Stopped> {
        Running::start(self.root, Arc::clone(&self.fs), small())
    }

    fn append(&mut self, running: &mut Running, count: usize) -> Result<(), Stopped> {
        for _ in 0..count {
            let base = running.log.end_offset();
            let next = batch(base, &[1000 + base * 5, 1000 + base * 7 % 90], 150, Compression::None);
            let appended = running.log.append(&next.to_append(), 1);
            // One that failed may be there or not.
            self.model.push([next]);
            appended?;
        }
        Ok(())
    }

    fn sync(&mut self, running: &mut Running) -> Result<(), Stopped> {
        if let Err(error) = running.sync() {
            let _ = running.data_dir.failure_note().put();
            return Err(error);
        }
        self.model.durable_end = self.model.end_offset;
        Ok(())
    }

    fn checkpoint(&mut self, running: &mut Running) -> Result<(), Stopped> {
        let checkpoint = running.log.checkpoint()?;
        running.save(&checkpoint)?;
        self.model.saved_start = checkpoint.start_offset;
        delete_segments(&running.store, &std::mem::take(&mut running.doomed)).map_err(Stopped::from)
    }

    fn delete_records(&mut self, running: &mut Running, before: i64) {
        running.doomed.extend(running.log.advance_start(before));
        self.model.start_offset = before;
    }
}

fn every_operation_fails(fault: Fault, count: u64) {
    for at in 0.. {
        let root = memory_dir();
        let fs = FaultyFs::new();
        let mut life = Life { root: root.path(), fs: Arc::new(fs.clone()), model: Model::default() };
        fs.fail(fault, at, count);
        let outcome = life.live();
        let operations = fs.operations();
        life.fs = Arc::new(RealFs);
        let mut running =
            life.start().unwrap_or_else(|error| panic!("{fault:?} at {at}, then {outcome:?}: {error:?}"));
        life.model.take_over(&Content::of(&running.log).unwrap());
        life.append(&mut running, 3).unwrap();
        life.sync(&mut running).unwrap();
        drop(running);
        let running = life.start().unwrap();
        life.model.take_over(&Content::of(&running.log).unwrap());
        if operations <= at {
            outcome.unwrap();
            assert!(200 < at, "the life is long enough to mean something");
            return;
        }
    }
}

#[test]
fn an_io_error_anywhere() {
    every_operation_fails(Fault::Eio, 1);
}

#[test]
fn a_device_that_dies_anywhere() {
    every_operation_fails(Fault::Eio, u64::MAX);
}

#[test]
fn a_full_disk_anywhere() {
    every_operation_fails(Fault::Enospc, 1);
}

#[test]
fn a_disk_that_stays_full_anywhere() {
    every_operation_fails(Fault::Enospc, u64::MAX);
}

#[test]
fn a_short_write_anywhere() {
    every_operation_fails(Fault::ShortWrite, 1);
}
