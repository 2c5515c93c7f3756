//! Runs the program of a real client against a broker and says how it went, in one line that the test runner's capture
//! of output does not swallow: `conformance CLIENT VERSION: passed (N checks)`, `failed` or `skipped: no TOOL`.
//!
//! A program finds the broker in the environment variable `SENDLOG_TEST_BOOTSTRAP` and prints a line
//! `client NAME VERSION`, then `ok CHECK` or `FAIL CHECK: REASON` for each check; its exit code is 0 when all passed.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::Process;
use crate::stored_codecs;
use crate::target::Target;
use crate::workshop;

/// Ends a program that hangs.
const PROGRAM_LIMIT: Duration = Duration::from_secs(300);
/// Set to make a test fail whose client cannot be had here.
const NO_SKIP: &str = "SENDLOG_TEST_NO_SKIP";

/// A client and what must be on the machine to run it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// As in the line that says how it went.
    pub name: &'a str,
    /// Commands that must be found, such as `java`.
    pub tools: &'a [&'a str],
}

/// Runs the program that `prepare` makes ready, against a fresh broker or the one of [`Target::open`].
///
/// # Panics
/// When a check of the program fails, it ends otherwise than by saying so, or the broker does not survive it. Also when
/// the client cannot be installed.
pub fn run(client: Client<'_>, prepare: impl FnOnce() -> Result<Command, String>) {
    let _one_at_a_time = one_at_a_time();
    if let Some(missing) = client.tools.iter().find(|tool| !workshop::has(tool)) {
        return skipped(client.name, &format!("no {missing}"));
    }
    let mut command = prepare().unwrap_or_else(|reason| failed(client.name, &reason));
    let mut target = Target::open();
    target.announce_to(&mut command);
    let mut program = Process::spawn(&mut command)
        .unwrap_or_else(|error| failed(client.name, &format!("{command:?}: {error}")));
    let status = program.wait(PROGRAM_LIMIT).expect("a child process can be waited for");
    program.kill().expect("a child process can be killed");
    let mut report = Report::read(client.name, &program.stdout().text());
    report.program_ended(status, &program.stderr().text());
    if let Some(data_dir) = target.data_dir() {
        report.check("codecs as stored", stored_codecs::check(data_dir));
    }
    report.check("broker stops cleanly", target.close());
    report.finish();
}

/// Runs checks that are part of the test program itself, against a fresh broker or the one of [`Target::open`].
///
/// # Panics
/// When a check fails or the broker does not survive.
pub fn run_here(client: Client<'_>, version: &str, checks: impl FnOnce(&Target, &mut Report)) {
    let _one_at_a_time = one_at_a_time();
    if let Some(missing) = client.tools.iter().find(|tool| !workshop::has(tool)) {
        return skipped(client.name, &format!("no {missing}"));
    }
    let mut target = Target::open();
    let mut report = Report::new(client.name, version);
    checks(&target, &mut report);
    if let Some(data_dir) = target.data_dir() {
        report.check("codecs as stored", stored_codecs::check(data_dir));
    }
    report.check("broker stops cleanly", target.close());
    report.finish();
}

/// What a client's checks gave.
#[derive(Debug)]
pub struct Report {
    client: String,
    version: String,
    passed: usize,
    failures: Vec<String>,
}

impl Report {
    /// A report without checks.
    pub fn new(client: &str, version: &str) -> Self {
        Self { client: client.into(), version: version.into(), passed: 0, failures: Vec::new() }
    }

    /// Adds the result of a check.
    pub fn check(&mut self, name: &str, result: Result<(), impl Display>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(reason) => self.failures.push(format!("{name}: {reason}")),
        }
    }

    fn read(client: &str, stdout: &str) -> Self {
        let mut report = Self::new(client, "");
        for line in stdout.lines() {
            if let Some(version) = line.strip_prefix("client ") {
                report.version = version.strip_prefix(client).unwrap_or(version).trim().into();
            } else if line.starts_with("ok ") {
                report.passed += 1;
            } else if let Some(failure) = line.strip_prefix("FAIL ") {
                report.failures.push(failure.into());
            }
        }
        report
    }

    fn program_ended(&mut self, status: Option<ExitStatus>, stderr: &str) {
        let told = match status {
            None => format!("goes on after {} s", PROGRAM_LIMIT.as_secs()),
            Some(status) if !status.success() => status.to_string(),
            Some(_) if self.passed == 0 => "no check ran".into(),
            Some(_) => return,
        };
        let last_lines: Vec<_> = stderr.lines().rev().take(60).collect();
        let last_lines: Vec<_> = last_lines.into_iter().rev().collect();
        self.failures.push(format!("program: {told}; it wrote last:\n{}", last_lines.join("\n")));
    }

    fn finish(self) {
        let Self { client, version, passed, failures } = self;
        if failures.is_empty() {
            return say(&format!("conformance {client} {version}: passed ({passed} checks)"));
        }
        say(&format!("conformance {client} {version}: failed ({passed} checks passed)"));
        panic!("{client} {version}:\n{}", failures.join("\n"));
    }
}

/// Clients run one after the other: they are heavy, and a failure is easier to read.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn skipped(client: &str, reason: &str) {
    say(&format!("conformance {client}: skipped: {reason}"));
    assert!(env::var_os(NO_SKIP).is_none(), "{client} is skipped ({reason}), which {NO_SKIP} forbids");
}

fn failed(client: &str, reason: &str) -> ! {
    say(&format!("conformance {client}: failed"));
    panic!("{client}: {reason}");
}

/// Prints a line past the capture of the test runner, which only catches the print macros.
pub fn say(line: &str) {
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
