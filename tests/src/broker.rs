//! A broker process on a data directory: started on a free port, killed, stopped, restarted.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::broker_binary;
use crate::output::Output;
use crate::process::Process;

/// Ends a test whose broker neither becomes ready nor exits.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Ends a test whose broker does not stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How to start a broker. The default is an empty temporary data directory, a free port of 127.0.0.1 and no other
/// option.
#[derive(Clone, Debug, Default)]
pub struct BrokerOptions {
    /// The data directory; without one a temporary directory is made, which goes away with the [`Broker`].
    pub data_dir: Option<PathBuf>,
    /// The port to listen on; without one the operating system picks a free one.
    pub port: Option<u16>,
    /// Further arguments, as on the command line.
    pub args: Vec<String>,
    /// Environment variables on top of those of the test.
    pub env: Vec<(String, String)>,
    /// Another program that takes the broker's arguments, and prints what it prints.
    pub program: Option<PathBuf>,
}

impl BrokerOptions {
    /// A broker without the commit journal: for scenarios that damage segments, which it would mend.
    pub fn without_journal() -> Self {
        Self::with_args(["--set", "sendlog.journal.bytes=0"])
    }

    /// Options with these arguments and everything else by default.
    pub fn with_args<const N: usize>(args: [&str; N]) -> Self {
        Self { args: args.map(str::to_owned).to_vec(), ..Self::default() }
    }
}

/// A broker that ended, or said nothing, instead of becoming ready.
#[derive(Debug)]
pub struct StartFailure {
    /// How it ended; `None` when it had to be killed.
    pub status: Option<ExitStatus>,
    /// What it had printed.
    pub stdout: String,
    /// What it had logged.
    pub stderr: String,
}

impl fmt::Display for StartFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, stdout, stderr } = self;
        write!(out, "broker not ready: {status:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// A broker process, running or ended, and its data directory. Dropping it kills the process.
#[derive(Debug)]
pub struct Broker {
    process: Process,
    address: SocketAddr,
    data_dir: PathBuf,
    options: BrokerOptions,
    temporary: Option<TempDir>,
}

impl Broker {
    /// Starts a broker and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; the message has all that it printed.
    pub fn start(options: BrokerOptions) -> Self {
        Self::try_start(options).unwrap_or_else(|failure| panic!("{failure}"))
    }

    /// Starts a broker and waits until it is ready or has ended.
    ///
    /// # Errors
    /// When it does not become ready, as with a data directory that it refuses.
    ///
    /// # Panics
    /// When the program cannot be run at all.
    pub fn try_start(options: BrokerOptions) -> Result<Self, StartFailure> {
        let temporary = match options.data_dir {
            Some(_) => None,
            None => Some(TempDir::with_prefix("sendlog-").expect("a temporary directory can be made")),
        };
        let data_dir = match (&options.data_dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(dir)) => dir.path().join("data"),
            (None, None) => unreachable!("made above"),
        };
        let (process, address) = launch(&data_dir, &options)?;
        Ok(Self { process, address, data_dir, options, temporary })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as clients take it: `127.0.0.1:PORT`.
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The id of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it printed.
    pub fn stdout(&self) -> &Output {
        self.process.stdout()
    }

    /// What it logged.
    pub fn stderr(&self) -> &Output {
        self.process.stderr()
    }

    /// Waits until its log has a line that contains `text`, and returns the line.
    ///
    /// # Panics
    /// When the broker ends or a generous time passes without such a line.
    pub fn wait_for_log(&self, text: &str) -> String {
        let line = |log: &str| log.lines().find(|line| line.contains(text)).map(str::to_owned);
        let found = self.stderr().wait_for(START_LIMIT, line);
        found.unwrap_or_else(|| panic!("no {text:?} in the log:\n{}", self.stderr().text()))
    }

    /// Kills it as a crash of the process does: SIGKILL, no last word.
    pub fn kill(&mut self) {
        self.process.kill().expect("a child process can be killed");
    }

    /// Asks it to stop with SIGTERM and waits for its end.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn terminate(&mut self) -> ExitStatus {
        self.stop_with(Signal::TERM)
    }

    /// Asks it to stop with a signal (SIGTERM, SIGINT) and waits for its end.
    ///
    /// # Panics
    /// When it does not stop.
    pub fn stop_with(&mut self, signal: Signal) -> ExitStatus {
        self.process.signal(signal).expect("a child process takes signals");
        self.wait_for_exit()
    }

    /// Sends a signal and does not wait for anything: SIGSTOP and SIGCONT make it hang and go on.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("a child process takes signals");
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let ended = self.process.wait(STOP_LIMIT).expect("a child process can be waited for");
        ended.unwrap_or_else(|| panic!("the broker goes on:\n{}", self.stderr().text()))
    }

    /// Kills it where it still runs, and starts it again with the same options on the same data directory. The port is
    /// that of the options, by default another free one.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn restart(&mut self) {
        self.kill();
        let launched = launch(&self.data_dir, &self.options);
        (self.process, self.address) = launched.unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// As [`restart`](Self::restart), on the port that it had, so that connected clients find it again.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn restart_on_same_port(&mut self) {
        self.options.port = Some(self.address.port());
        self.restart();
    }

    /// The options of the next [`restart`](Self::restart).
    pub fn options_mut(&mut self) -> &mut BrokerOptions {
        &mut self.options
    }

    /// Ends the process and hands over the temporary data directory, to look at it or to start another broker there;
    /// `None` when the data directory was given.
    pub fn into_data_dir(mut self) -> Option<TempDir> {
        self.kill();
        self.temporary.take()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if thread::panicking() {
            // The broker's log goes where the test's own message goes: together they tell what went wrong.
            eprintln!("--- log of the broker at {}\n{}", self.address, self.stderr().text());
        }
    }
}

fn launch(data_dir: &Path, options: &BrokerOptions) -> Result<(Process, SocketAddr), StartFailure> {
    let listen = format!("127.0.0.1:{}", options.port.unwrap_or(0));
    let program = options.program.as_deref().unwrap_or_else(|| broker_binary::path());
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(data_dir).args(["--listen", &listen]).args(&options.args);
    command.envs(options.env.iter().map(|(name, value)| (name, value)));
    let mut process = Process::spawn(&mut command).expect("the broker program can be run");
    match process.stdout().wait_for(START_LIMIT, printed_address) {
        Some(address) => Ok((process, address)),
        None => Err(failure(&mut process)),
    }
}

/// The address in a complete line `  address     HOST:PORT` of what the broker prints when it is ready.
pub(crate) fn printed_address(stdout: &str) -> Option<SocketAddr> {
    let (complete, _) = stdout.rsplit_once('\n')?;
    let address = complete.lines().find_map(|line| line.trim_start().strip_prefix("address "))?;
    address.trim().parse().ok()
}

/// Standard output has ended without an address, or nothing came for too long.
fn failure(process: &mut Process) -> StartFailure {
    let status = process.wait(Duration::from_secs(10)).expect("a child process can be waited for");
    process.kill().expect("a child process can be killed");
    StartFailure { status, stdout: process.stdout().text(), stderr: process.stderr().text() }
}

#[cfg(test)]
mod tests {
    use super::printed_address;

    #[test]
    fn the_address_is_read_from_a_complete_line_only() {
        assert_eq!(printed_address("sendlog 0.1.0, ready in 3.2 ms\n  address     127.0.0.1:90"), None);
        let printed = "sendlog 0.1.0, ready in 3.2 ms\n  address     127.0.0.1:9092\n  data        data\n";
        assert_eq!(printed_address(printed), Some(([127, 0, 0, 1], 9092).into()));
    }
}
