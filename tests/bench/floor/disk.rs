//! The bare disk: append and fdatasync without any socket.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::meter::{Latencies, Meter, no_latencies, record};
use crate::process::SharpTimers;

/// One writer that appends `bytes` and syncs, over and over.
#[derive(Clone, Copy)]
pub struct DiskLoop<'a> {
    /// The file, made anew.
    pub path: &'a Path,
    pub bytes: usize,
}

impl DiskLoop<'_> {
    /// As fast as it goes, until the meter is stopped. The file is removed afterwards.
    pub fn run(&self, meter: &Meter) -> io::Result<Latencies> {
        let mut file = File::create(self.path)?;
        let block = vec![b'x'; self.bytes];
        let mut latencies = no_latencies();
        while !meter.is_stopped() {
            let start = Instant::now();
            file.write_all(&block)?;
            file.sync_data()?;
            if meter.is_measuring() {
                record(&mut latencies, start.elapsed());
            }
            meter.add_bytes(block.len());
            meter.add_operation();
        }
        std::fs::remove_file(self.path)?;
        Ok(latencies)
    }

    /// At `rate` a second for `length`, latencies from the intended moment.
    pub fn run_paced(&self, rate: f64, length: Duration) -> io::Result<Latencies> {
        let mut file = File::create(self.path)?;
        let block = vec![b'x'; self.bytes];
        let _timers = SharpTimers::set();
        let mut latencies = no_latencies();
        let gap = Duration::from_secs_f64(1.0 / rate);
        let start = Instant::now();
        let mut intended = start;
        while intended < start + length {
            thread::sleep(intended.saturating_duration_since(Instant::now()));
            file.write_all(&block)?;
            file.sync_data()?;
            record(&mut latencies, intended.elapsed());
            intended += gap;
        }
        std::fs::remove_file(self.path)?;
        Ok(latencies)
    }
}

/// Rounds of appending `bytes` to each of `files` files and syncing all of them with `threads` threads.
#[derive(Clone, Copy)]
pub struct ManyFiles<'a> {
    /// An empty folder.
    pub folder: &'a Path,
    pub files: usize,
    pub threads: usize,
    pub bytes: usize,
}

impl ManyFiles<'_> {
    /// Until the meter is stopped; latencies are those of whole rounds.
    pub fn run(&self, meter: &Meter) -> io::Result<Latencies> {
        let block = vec![b'x'; self.bytes];
        let files: io::Result<Vec<File>> =
            (0..self.files).map(|index| File::create(self.folder.join(format!("file-{index}")))).collect();
        let files = files?;
        let mut latencies = no_latencies();
        while !meter.is_stopped() {
            let start = Instant::now();
            for mut file in &files {
                file.write_all(&block)?;
            }
            self.sync(&files)?;
            if meter.is_measuring() {
                record(&mut latencies, start.elapsed());
            }
            meter.add_bytes(block.len() * files.len());
            meter.add_operation();
        }
        Ok(latencies)
    }

    fn sync(&self, files: &[File]) -> io::Result<()> {
        let share = files.len().div_ceil(self.threads.max(1));
        thread::scope(|scope| {
            let sync_all = |files: &[File]| files.iter().try_for_each(File::sync_data);
            let threads: Vec<_> =
                files.chunks(share).map(|files| scope.spawn(move || sync_all(files))).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().map_err(|_| io::Error::other("a sync thread panicked"))?
            })
        })
    }
}
