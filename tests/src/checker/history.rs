//! A history file: a first line with the run, then one event a line. The number of an event is that of its line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::event::{Event, ParseError};

/// Begins the first line; the run follows.
pub(super) const FIRST_LINE: &str = "sendlog-history 1 ";

/// Why a history cannot be read on.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: not a history: its first line is not {FIRST_LINE:?} and a number", path.display())]
    NotAHistory {
        /// Which file.
        path: PathBuf,
    },
    /// A line is no event.
    #[error("{}: line {line}: {source}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: u64,
        /// Why not.
        source: ParseError,
    },
}

/// The events of a history file. A last line without its end is left out: its writer was interrupted.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    input: BufReader<File>,
    line: String,
    number: u64,
    run: u64,
}

impl History {
    /// Opens a history.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let io_error = |source| HistoryError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io_error)?;
        let mut input = BufReader::with_capacity(1 << 20, file);
        let mut line = String::new();
        input.read_line(&mut line).map_err(io_error)?;
        let run = line.strip_prefix(FIRST_LINE).and_then(|rest| rest.trim_end().parse().ok());
        let run = run.ok_or_else(|| HistoryError::NotAHistory { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), input, line, number: 1, run })
    }

    /// The number of the run.
    pub fn run(&self) -> u64 {
        self.run
    }

    fn read(&mut self) -> Result<Option<(u64, Event)>, HistoryError> {
        self.line.clear();
        let read = self.input.read_line(&mut self.line);
        read.map_err(|source| HistoryError::Io { path: self.path.clone(), source })?;
        let Some(line) = self.line.strip_suffix('\n') else { return Ok(None) };
        self.number += 1;
        match line.parse() {
            Ok(event) => Ok(Some((self.number, event))),
            Err(source) => Err(HistoryError::Line { path: self.path.clone(), line: self.number, source }),
        }
    }
}

impl Iterator for History {
    type Item = Result<(u64, Event), HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Event, History};

    #[test]
    fn a_history_is_read_up_to_its_last_whole_line() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("history");
        fs::write(&path, "sendlog-history 1 42\ncrash\nstart\ncra").expect("a file");
        let history = History::open(&path).expect("a history");
        assert_eq!(history.run(), 42);
        let events: Vec<_> = history.map(|event| event.expect("an event")).collect();
        assert_eq!(events, [(2, Event::Crash), (3, Event::Start)]);
    }

    #[test]
    fn what_is_no_history_is_said_with_file_and_line() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("history");
        fs::write(&path, "hello\n").expect("a file");
        let error = History::open(&path).expect_err("no history").to_string();
        assert!(error.contains("history: not a history"), "{error}");
        fs::write(&path, "sendlog-history 1 42\ncrash\na x 1\n").expect("a file");
        let error = History::open(&path).expect("a history").last().expect("a line").expect_err("no event");
        assert!(error.to_string().ends_with("line 3: \"x\" is no line of a send"), "{error}");
    }
}
