//! A broker that is killed before it serves, or at a system call of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::broker::printed_address;
use crate::broker_binary;
use crate::process::Process;

/// Ends a test whose broker neither serves nor ends.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a broker on a directory and kills it after this time, whether it serves by then or not.
///
/// # Panics
/// When the program cannot be run.
pub fn start_and_kill_after(data_dir: &Path, after: Duration) {
    let mut command = Command::new(broker_binary::path());
    command.arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0"]);
    let mut process = Process::spawn(&mut command).expect("the broker program can be run");
    process.wait(after).expect("a child process can be waited for");
    process.kill().expect("a child process can be killed");
}

/// A broker that runs under `strace`, which kills it before its nth system call of some kinds. The count is one for each
/// thread. Nothing of it is left when this is dropped.
#[derive(Debug)]
pub struct TracedBroker {
    strace: Process,
    address: Option<SocketAddr>,
}

impl TracedBroker {
    /// Starts it, and waits until it serves or is dead.
    ///
    /// # Panics
    /// When strace cannot be run.
    pub fn start(data_dir: &Path, args: &[String], calls: &str, nth: u64) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null"]);
        command.args(["-e", &format!("trace={calls}"), "-e", "signal=none"]);
        command.args(["-e", &format!("inject={calls}:signal=SIGKILL:when={nth}")]);
        // A tracer that dies leaves its tracee behind; this one dies with it.
        command.args(["setpriv", "--pdeathsig", "KILL"]).arg(broker_binary::path());
        command.arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0"]).args(args);
        let strace = Process::spawn(&mut command).expect("strace can be run");
        let address = strace.stdout().wait_for(LIMIT, printed_address);
        Self { strace, address }
    }

    /// Where it listens, if it got that far.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.strace.stderr().text()
    }

    /// Asks it to stop.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Waits for its end; `None` when it does not come.
    ///
    /// # Panics
    /// When the operating system cannot tell.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        self.strace.wait(LIMIT).expect("a child process can be waited for")
    }

    /// To the broker itself; it may have ended.
    fn signal(&self, signal: Signal) {
        let tracer = self.strace.id();
        let path = format!("/proc/{tracer}/task/{tracer}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()).filter_map(Pid::from_raw) {
            let _ = kill_process(child, signal);
        }
    }
}

impl Drop for TracedBroker {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // Ends with the broker; dropping the process kills it if it does not.
        let _ = self.strace.wait(LIMIT);
    }
}
