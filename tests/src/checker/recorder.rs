//! Writes a history while clients make it, and shows it to a checker at the same time.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::check::{Checker, CheckerOptions};
use super::event::{Event, Fetched, SeenBatch};
use super::history::FIRST_LINE;
use super::report::Report;

/// A history that clients of several threads write. Each event is in the file when the call returns.
#[derive(Debug)]
pub struct Recorder {
    inner: Mutex<Inner>,
    run: u64,
}

#[derive(Debug)]
struct Inner {
    file: BufWriter<File>,
    last: u64,
    checker: Checker,
}

impl Recorder {
    /// Begins a history in a new file, which should not be on the disk under test.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, run: u64, options: CheckerOptions) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 16, File::create_new(path)?);
        writeln!(file, "{FIRST_LINE}{run}")?;
        file.flush()?;
        Ok(Self { inner: Mutex::new(Inner { file, last: 1, checker: Checker::new(options) }), run })
    }

    /// The number of the run, for [`Identity`](super::payload::Identity).
    pub fn run(&self) -> u64 {
        self.run
    }

    /// The last event: what a request that is sent now comes after.
    pub fn now(&self) -> u64 {
        self.lock().last
    }

    /// Writes an event and returns its number.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn record(&self, event: &Event) -> u64 {
        self.record_all(std::slice::from_ref(event))
    }

    /// Writes the answer to a fetch.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn record_fetch(&self, fetched: Fetched, batches: &[SeenBatch]) {
        let mut events = Vec::with_capacity(1 + batches.len());
        let count = u32::try_from(batches.len()).expect("an answer has a bounded size");
        events.push(Event::Fetched(Fetched { batches: count, ..fetched }));
        events.extend(batches.iter().copied().map(Event::Batch));
        self.record_all(&events);
    }

    /// How many complaints there are by now.
    pub fn complaints(&self) -> u64 {
        self.lock().checker.complaints()
    }

    /// Judges all of it.
    pub fn verdict(&self) -> Report {
        self.lock().checker.verdict()
    }

    fn record_all(&self, events: &[Event]) -> u64 {
        let mut inner = self.lock();
        for event in events {
            inner.last += 1;
            writeln!(inner.file, "{event}").expect("the history can be written");
            let number = inner.last;
            inner.checker.observe(number, event);
        }
        inner.file.flush().expect("the history can be written");
        inner.last
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked meanwhile is reported anyway.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
