//! The system calls of a broker, counted, ordered, delayed or made to fail by `strace`.
//!
//! Attaching works for root and where the kernel lets a process trace others; elsewhere the scenario says aloud that it
//! is skipped.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::broker::Broker;
use crate::broker_binary;
use crate::process::Process;
use crate::workshop;

/// Ends a test whose `strace` hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// The system calls that write to files.
pub const WRITES: &[&str] = &["write", "pwrite64", "pwritev", "pwritev2"];
/// The system calls that make files durable.
pub const SYNCS: &[&str] = &["fdatasync", "fsync"];

/// Whether system calls can be traced; says so when they cannot.
pub fn is_usable() -> bool {
    static USABLE: OnceLock<bool> = OnceLock::new();
    *USABLE.get_or_init(|| {
        let works = workshop::has("strace") && attaches();
        if !works {
            eprintln!("skipped: strace is not there or must not trace other processes");
        }
        works
    })
}

fn attaches() -> bool {
    let Ok(traced) = Process::spawn(Command::new("sleep").arg("60")) else { return false };
    let id = traced.id().to_string();
    let Ok(tracer) = Process::spawn(Command::new("strace").args(["-p", &id])) else { return false };
    tracer.stderr().wait_for(LIMIT, |text| text.contains("attached").then_some(())).is_some()
}

/// A running `strace` of a broker.
#[derive(Debug)]
pub struct Strace {
    process: Process,
}

impl Strace {
    /// Traces all threads of `broker` with these options, such as `-e trace=fdatasync`. On return it is attached.
    ///
    /// # Panics
    /// When it does not attach; ask [`is_usable`] first.
    pub fn attach<const N: usize>(broker: &Broker, options: [&str; N]) -> Self {
        let id = broker.process_id().to_string();
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "8", "-p", &id]).args(options);
        let strace = Self { process: Process::spawn(&mut command).expect("strace can be run") };
        strace.wait_for("attached");
        strace
    }

    /// Waits until it has printed `text`.
    ///
    /// # Panics
    /// When it ends without.
    pub fn wait_for(&self, text: &str) {
        let stderr = self.process.stderr();
        let found = stderr.wait_for(LIMIT, |output| output.contains(text).then_some(()));
        assert!(found.is_some(), "no {text:?} from strace:\n{}", stderr.text());
    }

    /// Waits until what was seen satisfies `is_enough`.
    ///
    /// # Panics
    /// When it ends without.
    pub fn wait_until(&self, mut is_enough: impl FnMut(&Trace) -> bool) {
        let stderr = self.process.stderr();
        let found = stderr.wait_for(LIMIT, |output| is_enough(&Trace::parse(output)).then_some(()));
        assert!(found.is_some(), "strace did not see what it should:\n{}", stderr.text());
    }

    /// Lets the broker go on untraced, and returns what was seen.
    ///
    /// # Panics
    /// When strace does not end.
    pub fn detach(mut self) -> Trace {
        self.process.signal(Signal::INT).expect("a child process takes signals");
        self.finish()
    }

    /// Waits for the broker's end, and returns what was seen.
    ///
    /// # Panics
    /// When strace does not end.
    pub fn finish(&mut self) -> Trace {
        let ended = self.process.wait(LIMIT).expect("a child process can be waited for");
        assert!(ended.is_some(), "strace ends with the broker or when told to");
        Trace::parse(&self.process.stderr().text())
    }
}

/// Starts a broker on `data_dir` as a child of this `strace` command, and waits for its end. Breaks if it becomes ready
/// instead; it is killed then.
///
/// # Panics
/// When it neither ends nor becomes ready.
pub fn run_broker(mut strace: Command, data_dir: &Path) -> ControlFlow<()> {
    strace.arg(broker_binary::path()).arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0"]);
    let mut process = Process::spawn(&mut strace).expect("strace can be run");
    let ready = process.stdout().wait_for(LIMIT, |output| output.contains("address").then_some(()));
    if ready.is_some() {
        kill_child_of(process.id());
    }
    let ended = process.wait(LIMIT).expect("a child process can be waited for");
    assert!(ended.is_some(), "the broker goes on:\n{}", process.stderr().text());
    if ready.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Kills the traced process: a tracer that is killed would leave it behind.
fn kill_child_of(tracer: u32) {
    let path = format!("/proc/{tracer}/task/{tracer}/children");
    let children = std::fs::read_to_string(path).expect("the kernel lists children");
    for child in children.split_whitespace().filter_map(|id| id.parse().ok()).filter_map(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(child, Signal::KILL);
    }
}

/// System calls in the order in which they began and returned.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Every beginning and every return.
    pub events: Vec<Event>,
}

/// The beginning or the return of a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub call: String,
    /// Its arguments, descriptors with their paths.
    pub arguments: String,
    /// What it returned; `None` at its beginning.
    pub result: Option<String>,
}

impl Event {
    /// Whether it is the beginning of such a call on a file whose path ends like this.
    pub fn begins(&self, calls: &[&str], path_end: &str) -> bool {
        self.result.is_none() && self.is(calls, path_end)
    }

    /// Whether it is the return of such a call on a file whose path ends like this.
    pub fn returns(&self, calls: &[&str], path_end: &str) -> bool {
        self.result.is_some() && self.is(calls, path_end)
    }

    fn is(&self, calls: &[&str], path_end: &str) -> bool {
        calls.contains(&self.call.as_str()) && self.path().is_some_and(|path| path.ends_with(path_end))
    }

    /// The path of the descriptor that is the first argument.
    pub fn path(&self) -> Option<&str> {
        let (_, rest) = self.arguments.split_once('<')?;
        rest.split_once('>').map(|(path, _)| path)
    }

    /// Whether it concerns a socket.
    pub fn is_socket(&self) -> bool {
        self.path().is_some_and(|path| path.starts_with("socket:") || path.starts_with("TCP"))
    }
}

impl Trace {
    /// How many such calls began on a file whose path ends like this.
    pub fn count(&self, calls: &[&str], path_end: &str) -> usize {
        self.events.iter().filter(|event| event.begins(calls, path_end)).count()
    }

    /// How many bytes were written to files whose path ends like this.
    pub fn bytes_written(&self, path_end: &str) -> usize {
        let writes = self.events.iter().filter(|event| event.returns(WRITES, path_end));
        writes
            .filter_map(|event| event.result.as_deref()?.split_whitespace().next()?.parse::<usize>().ok())
            .sum()
    }

    fn parse(output: &str) -> Self {
        let mut trace = Self::default();
        let mut unfinished: HashMap<String, Event> = HashMap::new();
        for line in output.lines() {
            let (thread, text) = match line.strip_prefix("[pid").and_then(|rest| rest.split_once(']')) {
                Some((thread, text)) => (thread.trim().to_owned(), text.trim()),
                None => (String::new(), line),
            };
            if text.starts_with("<... ") {
                let result = text.rsplit_once("= ").map(|(_, result)| result.to_owned()).unwrap_or_default();
                trace.events.extend(unfinished.remove(&thread).map(|event| event.returned(result)));
            } else if let Some((call, rest)) = text.split_once('(') {
                let (arguments, result) = match rest.split_once(" <unfinished") {
                    Some((arguments, _)) => (arguments, None),
                    None => rest.rsplit_once(" = ").map_or((rest, None), |(a, r)| (a, Some(r))),
                };
                let event = Event { call: call.to_owned(), arguments: arguments.to_owned(), result: None };
                trace.events.push(event.clone());
                match result {
                    Some(result) => trace.events.push(event.returned(result.to_owned())),
                    None => drop(unfinished.insert(thread, event)),
                }
            }
        }
        trace
    }
}

impl Event {
    fn returned(mut self, result: String) -> Self {
        self.result = Some(result);
        self
    }
}

/// The bytes that a process has read from files and sockets since its start, from the page cache or the disk.
///
/// # Panics
/// When the kernel does not count them.
pub fn bytes_read(broker: &Broker) -> u64 {
    let path = Path::new("/proc").join(broker.process_id().to_string()).join("io");
    let counters = std::fs::read_to_string(path).expect("the kernel counts a child's reads");
    let rchar = counters.lines().find_map(|line| line.strip_prefix("rchar: "));
    rchar.and_then(|count| count.parse().ok()).expect("a number of bytes")
}

#[cfg(test)]
mod tests {
    use super::Trace;

    #[test]
    fn calls_that_overlap_are_put_together() {
        let trace = Trace::parse(
            "strace: Process 7 attached with 3 threads\n\
             [pid    8] pwritev(3</d/t-0/0.log>, [{iov_base=\"x\"..., iov_len=61}], 1, 0) = 61\n\
             [pid    8] fdatasync(3</d/t-0/0.log> <unfinished ...>\n\
             [pid    9] sendto(9<socket:[77]>, \"a\"..., 4, MSG_NOSIGNAL, NULL, 0) = 4\n\
             [pid    8] <... fdatasync resumed>)     = -1 EIO (Input/output error) (INJECTED)\n\
             [pid    9] fdatasync(4</d/c.state>)  = 0\n",
        );
        let seen: Vec<_> = trace
            .events
            .iter()
            .map(|event| (event.call.as_str(), event.result.as_deref().map(|result| &result[..1])))
            .collect();
        let expected = [
            ("pwritev", None),
            ("pwritev", Some("6")),
            ("fdatasync", None),
            ("sendto", None),
            ("sendto", Some("4")),
            ("fdatasync", Some("-")),
            ("fdatasync", None),
            ("fdatasync", Some("0")),
        ];
        assert_eq!(seen, expected);
        assert_eq!(trace.count(&["fdatasync"], ".log"), 1);
        assert_eq!(trace.bytes_written(".log"), 61);
        assert!(trace.events[3].is_socket());
        assert!(trace.events[5].returns(&["fdatasync"], ".log"));
    }
}
