//! The broker as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Transfer;
use super::usage::{self, Usage};
use crate::error::CliError;

const PROGRAM: &str = "broker";
/// A broker that has to recover may take a while.
const START_MAX: Duration = Duration::from_secs(60);
/// It syncs before it stops.
const STOP_MAX: Duration = Duration::from_secs(60);
/// What is shown of the log of a broker that failed.
const LOG_LINES_SHOWN: usize = 10;

/// The program to start: as told, or beside this one, or in PATH.
pub(super) fn find(given: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(program) = given {
        return Ok(program.to_owned());
    }
    let beside = std::env::current_exe().ok().and_then(|this| Some(this.parent()?.join(PROGRAM)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|directory| directory.join(PROGRAM));
    let candidates = beside.clone().into_iter().chain(in_path);
    candidates.into_iter().find(|candidate| candidate.is_file()).ok_or_else(|| {
        let beside = beside.map_or_else(|| PROGRAM.to_owned(), |path| path.display().to_string());
        CliError::NoBroker { tried: format!("{beside}, and {PROGRAM} in PATH") }
    })
}

/// A running broker; killed when dropped.
pub(super) struct Broker {
    program: PathBuf,
    child: Child,
    address: String,
    /// What it writes to standard error; gone with the handle.
    log: tempfile::NamedTempFile,
}

impl Broker {
    /// Starts a broker on a free port and waits until it is ready.
    pub(super) fn start(program: &Path, data: &Path, transfer: Transfer) -> Result<Self, CliError> {
        let log = tempfile::NamedTempFile::new()
            .map_err(|source| CliError::File { path: std::env::temp_dir(), source })?;
        let stderr = log.reopen().map_err(|source| CliError::File { path: log.path().to_owned(), source })?;
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(data).args(["--listen", "127.0.0.1:0"]);
        if transfer == Transfer::ReadAndWrite {
            command.arg("--no-sendfile");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let start_error = |source| CliError::Start { program: program.to_owned(), source };
        let mut child = command.spawn().map_err(start_error)?;
        let lines = stdout_lines(&mut child);
        let mut broker = Self { program: program.to_owned(), child, address: String::new(), log };
        broker.address = broker.wait_for_address(&lines)?;
        Ok(broker)
    }

    fn wait_for_address(&mut self, lines: &mpsc::Receiver<String>) -> Result<String, CliError> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(address) = address_in(&line) {
                        return Ok(address.to_owned());
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(self.failure(format!("was not ready within {} s", START_MAX.as_secs())));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().map_or_else(|error| error.to_string(), show_status);
                    return Err(self.failure(format!("did not start ({status})")));
                }
            }
        }
    }

    /// `HOST:PORT`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// CPU time and memory so far.
    pub(super) fn usage(&self) -> Result<Usage, CliError> {
        usage::of_process(self.child.id()).map_err(|error| self.failure(format!("has gone ({error})")))
    }

    /// Stops the broker in good order.
    pub(super) fn stop(mut self) -> Result<(), CliError> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // If it has gone already, its exit status tells.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_MAX;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(self.failure(format!("did not stop in good order ({})", show_status(status))));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => return Err(self.failure(format!("cannot be waited for ({error})"))),
            }
        }
        Err(self.failure(format!("did not stop within {} s", STOP_MAX.as_secs())))
    }

    fn failure(&self, what: String) -> CliError {
        CliError::Broker { program: self.program.clone(), what, log: tail_of(self.log.path()) }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of its standard output, read on as long as it writes.
fn stdout_lines(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // After the start nobody listens; the pipe must be emptied all the same.
                let _ = sender.send(line);
            }
        });
    }
    receiver
}

/// The address in the line `  address     127.0.0.1:9092` of its start message.
fn address_in(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| *word == "address")?;
    words.next()
}

fn show_status(status: ExitStatus) -> String {
    status.to_string()
}

fn tail_of(log: &Path) -> String {
    let Ok(file) = File::open(log) else { return String::new() };
    let mut lines = std::collections::VecDeque::new();
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        lines.push_back(line);
        if LOG_LINES_SHOWN < lines.len() {
            lines.pop_front();
        }
    }
    lines.into_iter().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_start_message() {
        let message = "sendlog 0.1.0, ready in 3.2 ms\n  address     127.0.0.1:9092\n  data        data";
        let found: Vec<_> = message.lines().filter_map(address_in).collect();
        assert_eq!(found, ["127.0.0.1:9092"]);
    }

    #[test]
    fn a_broker_that_does_not_start_is_explained() {
        let data = tempfile::tempdir().unwrap();
        let missing = data.path().join("no-such-program");
        let Err(error) = Broker::start(&missing, data.path(), Transfer::Sendfile) else { panic!("started") };
        assert!(error.to_string().contains("no-such-program"), "{error}");
        let Err(error) = Broker::start(Path::new("/bin/ls"), data.path(), Transfer::Sendfile) else {
            panic!("started")
        };
        assert!(error.to_string().contains("did not start"), "{error}");
        assert!(error.to_string().contains("--data-dir") || error.to_string().contains("option"), "{error}");
    }
}
