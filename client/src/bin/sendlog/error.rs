//! What can go wrong, in sentences for people.

use std::io;
use std::path::PathBuf;

use sendlog_client::ClientError;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("standard input: {0}")]
    Input(io::Error),
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error("{name}, line {number}: {source}")]
    Line { name: String, number: u64, source: Box<ClientError> },
    #[error("{0}")]
    Usage(String),
    #[error("no readable text files in {0}; name files or directories to ship")]
    NoFiles(String),
    #[error(
        "there is no broker program: looked for {tried}. Build it (cargo build --release --bin broker) or name it with --broker"
    )]
    NoBroker { tried: String },
    #[error("cannot start {}: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{} {what}{}", program.display(), said(log))]
    Broker { program: PathBuf, what: String, log: String },
    #[error("what was read is not what was shipped: {0}")]
    Different(String),
    #[error("interrupted")]
    Interrupted,
}

/// What a broker wrote to its log, if anything.
fn said(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; it said:\n{}", log.trim_end()) }
}

impl CliError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    /// Whether the reader of standard output went away, as `head` does: no failure.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
