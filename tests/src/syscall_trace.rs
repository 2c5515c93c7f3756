//! System calls of a running broker, as strace sees them: the proof of what the broker does and does not do.
//!
//! A machine without strace, or that forbids tracing, skips these proofs with a loud line.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::conformance::say;
use crate::process::Process;

/// Ends a test whose strace neither attaches nor ends.
const STRACE_LIMIT: Duration = Duration::from_secs(30);

/// A strace that is attached to a process and all its threads.
#[derive(Debug)]
pub struct SyscallTrace {
    strace: Process,
    folder: TempDir,
}

/// A finished system call.
#[derive(Clone, Debug)]
pub struct Syscall {
    /// The thread that made it.
    pub thread_id: u32,
    /// Its name.
    pub name: String,
    /// Its arguments as strace prints them, descriptors with their paths.
    pub arguments: String,
    /// What it returned; -1 for an error.
    pub result: i64,
    /// The error's name, `EAGAIN` for instance; empty without one.
    pub error: String,
}

impl SyscallTrace {
    /// Attaches to a process with further options of strace (`-e trace=...`); returns once all its threads are traced.
    /// `None`, after a line on standard error, where that is not possible.
    pub fn attach(process_id: u32, options: &[&str]) -> Option<Self> {
        let folder = TempDir::with_prefix("sendlog-trace-").expect("a temporary directory can be made");
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "0", "-o"]).arg(folder.path().join("trace"));
        command.args(options).args(["-p", &process_id.to_string()]);
        let strace = match Process::spawn(&mut command) {
            Ok(strace) => strace,
            Err(error) => {
                say(&format!("skipped: no strace, so the proof by system calls is left out ({error})"));
                return None;
            }
        };
        let attached = |text: &str| text.contains("attached").then_some(());
        if strace.stderr().wait_for(STRACE_LIMIT, attached).is_none() {
            say(&format!("skipped: strace cannot trace here: {}", strace.stderr().text()));
            return None;
        }
        Some(Self { strace, folder })
    }

    /// Detaches, and returns all calls that ended meanwhile, in the order of their ends.
    ///
    /// # Panics
    /// When strace does not end.
    pub fn finish(mut self) -> Vec<Syscall> {
        self.strace.signal(Signal::INT).expect("a child process takes signals");
        let ended = self.strace.wait(STRACE_LIMIT).expect("a child process can be waited for");
        assert!(ended.is_some(), "strace goes on: {}", self.strace.stderr().text());
        let trace = fs::read_to_string(self.folder.path().join("trace")).expect("strace wrote its output");
        parse(&trace)
    }
}

impl Syscall {
    /// What it moved, bytes; 0 for an error.
    pub fn moved(&self) -> u64 {
        u64::try_from(self.result).unwrap_or(0)
    }

    /// Whether an argument is a file whose path ends like this.
    pub fn names_file(&self, ending: &str) -> bool {
        self.arguments.contains(&format!("{ending}>"))
    }

    /// Whether its first argument is a socket.
    pub fn is_to_socket(&self) -> bool {
        let first = self.arguments.split(',').next().unwrap_or_default();
        first.contains("<socket:") || first.contains("<TCP")
    }

    /// The descriptor in its first argument.
    pub fn descriptor(&self) -> &str {
        self.arguments.split(['<', ',']).next().unwrap_or_default()
    }

    /// The number in its last argument: the count of `sendfile`, for instance.
    pub fn last_number(&self) -> Option<u64> {
        self.arguments.rsplit(", ").next()?.parse().ok()
    }

    /// Whether it reads a file.
    pub fn is_read(&self) -> bool {
        matches!(self.name.as_str(), "read" | "readv" | "pread64" | "preadv" | "preadv2")
    }

    /// Whether it writes bytes of the process's own memory.
    pub fn is_write(&self) -> bool {
        matches!(
            self.name.as_str(),
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" | "sendto" | "sendmsg" | "sendmmsg"
        )
    }
}

/// Threads that wait for sockets: the async workers. (Threads of a blocking pool never poll.)
pub fn workers(calls: &[Syscall]) -> BTreeSet<u32> {
    calls.iter().filter(|call| call.name.starts_with("epoll_")).map(|call| call.thread_id).collect()
}

fn parse(trace: &str) -> Vec<Syscall> {
    let mut begun: HashMap<u32, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread_id, text)) = line.split_once(' ') else { continue };
        let Ok(thread_id) = thread_id.parse() else { continue };
        let text = text.trim_start();
        if let Some(beginning) = text.strip_suffix("<unfinished ...>") {
            begun.insert(thread_id, beginning.to_owned());
        } else if let Some((_, end)) = text.strip_prefix("<... ").and_then(|rest| rest.split_once("resumed>"))
        {
            let beginning = begun.remove(&thread_id).unwrap_or_default();
            calls.extend(parse_call(thread_id, &format!("{beginning}{end}")));
        } else {
            calls.extend(parse_call(thread_id, text));
        }
    }
    calls
}

/// `name(arguments) = result`; lines about signals and exits are none.
fn parse_call(thread_id: u32, text: &str) -> Option<Syscall> {
    let (call, outcome) = text.rsplit_once(" = ")?;
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    let (result, rest) = outcome.split_once([' ', '<']).unwrap_or((outcome, ""));
    Some(Syscall {
        thread_id,
        name: name.to_owned(),
        arguments: arguments.trim_end().to_owned(),
        result: result.parse().ok()?,
        error: rest.split(' ').next().filter(|word| word.starts_with('E')).unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::{parse, workers};

    const TRACE: &str = "\
11 sendfile(7<socket:[9]>, 5</d/t-0/00.log>, [0] => [1000], 1048576 <unfinished ...>
12 epoll_wait(3<anon_inode:[eventpoll]>, [], 1024, 0) = 0
11 <... sendfile resumed>)              = 1000 (DELAYED)
12 preadv2(5</d/t-0/00.log>, [{iov_base=\"\"..., iov_len=1}], 1, 77, RWF_NOWAIT) = -1 EAGAIN (Resource temporarily unavailable)
11 --- SIGCHLD {si_signo=SIGCHLD} ---
11 +++ exited with 0 +++
";

    #[test]
    fn calls_are_joined_and_read() {
        let calls = parse(TRACE);
        let names: Vec<_> =
            calls.iter().map(|call| (call.thread_id, call.name.as_str(), call.result)).collect();
        assert_eq!(names, [(12, "epoll_wait", 0), (11, "sendfile", 1000), (12, "preadv2", -1)]);
        let sendfile = &calls[1];
        assert!(sendfile.is_to_socket() && sendfile.names_file("t-0/00.log") && sendfile.error.is_empty());
        assert_eq!((sendfile.last_number(), sendfile.descriptor()), (Some(1_048_576), "7"));
        assert_eq!(calls[2].error, "EAGAIN");
        assert_eq!(workers(&calls).into_iter().collect::<Vec<_>>(), [12]);
    }
}
