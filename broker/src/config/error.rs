//! What can be wrong with a configuration, in sentences for the person who wrote it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In a file, on this line, from one.
    File {
        /// The file, as given.
        path: Arc<Path>,
        /// The line, from one.
        line: usize,
    },
    /// By this flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Flag(flag) => out.write_str(flag),
        }
    }
}

/// Why the broker cannot start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: the configuration file cannot be read: {source}", path.display())]
    Read {
        /// As given to `--config`.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{}: more than {limit} bytes are too many for a configuration file", path.display())]
    FileTooLarge {
        /// As given to `--config`.
        path: PathBuf,
        /// The largest that is read, in bytes.
        limit: u64,
    },
    /// A line or a `--set` that is not `key=value`.
    #[error("{at}: {problem}")]
    Malformed {
        /// Where.
        at: Origin,
        /// What is wrong.
        problem: String,
    },
    /// No setting has this name.
    #[error("{at}: unknown setting {name}{}", suggestion(*nearest))]
    Unknown {
        /// Where.
        at: Origin,
        /// As written.
        name: String,
        /// The known name most like it.
        nearest: Option<&'static str>,
    },
    /// A setting of Kafka's that sendlog cannot serve.
    #[error("{at}: {name} cannot be set: {reason}")]
    NotServed {
        /// Where.
        at: Origin,
        /// As written.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A value that the setting cannot have.
    #[error("{at}: invalid value {value} for {name}: {reason}")]
    Invalid {
        /// Where.
        at: Origin,
        /// The setting.
        name: &'static str,
        /// As written.
        value: String,
        /// Why.
        reason: String,
    },
    /// A setting that the file has twice.
    #[error("{at}: {name} is already set on line {first}")]
    Twice {
        /// The second time.
        at: Origin,
        /// The setting.
        name: &'static str,
        /// Line of the first time.
        first: usize,
    },
    /// Settings that contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// Nobody said where the data is.
    #[error("no data directory: give --data-dir DIR, for example `broker --data-dir data`")]
    NoDataDir,
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; docs/configuration.md lists them all".to_owned(),
    }
}
