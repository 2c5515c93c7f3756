//! Runs the program of a real client against a broker and says how it went, in one line that the test runner's capture
//! of output does not swallow: `conformance CLIENT VERSION: passed (N checks)`, `failed` or `skipped: no TOOL`.
//!
//! A program finds the broker in the environment variable `SENDLOG_TEST_BOOTSTRAP` and prints a line
//! `client NAME VERSION`, then `ok CHECK` or `FAIL CHECK: REASON` for each check; its exit code is 0 when all passed.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::process::Process;
use crate::stored_codecs;
use crate::target::Target;
use crate::workshop;

/// Ends a program that hangs.
const PROGRAM_LIMIT: Duration = Duration::from_secs(900);
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
pub fn run_program(client: Client<'_>, prepare: impl FnOnce() -> Result<Command, String>) {
    run(client, |report| {
        let mut command = prepare()?;
        let target = Target::open();
        target.announce_to(&mut command);
        let mut program = Process::spawn(&mut command).map_err(|error| format!("{command:?}: {error}"))?;
        report.add_program(&mut program);
        close(target, report);
        Ok(())
    });
}

/// Runs checks of the test itself against a fresh broker or the one of [`Target::open`].
///
/// # Panics
/// When a check fails or the broker does not survive.
pub fn run_on_target(client: Client<'_>, version: &str, checks: impl FnOnce(&Target, &mut Report)) {
    run(client, |report| {
        report.version = version.into();
        let target = Target::open();
        checks(&target, report);
        close(target, report);
        Ok(())
    });
}

/// Runs checks, unless a tool is missing, and says how they went.
///
/// # Panics
/// When a check fails, or the checks cannot go on.
pub fn run(client: Client<'_>, checks: impl FnOnce(&mut Report) -> Result<(), String>) {
    let _one_at_a_time = one_at_a_time();
    if let Some(missing) = client.tools.iter().find(|tool| !workshop::has(tool)) {
        say(&format!("conformance {}: skipped: no {missing}", client.name));
        assert!(env::var_os(NO_SKIP).is_none(), "{} is skipped, which {NO_SKIP} forbids", client.name);
        return;
    }
    let mut report = Report::new(client.name);
    if let Err(reason) = checks(&mut report) {
        report.failures.push(reason);
    }
    report.finish();
}

fn close(mut target: Target, report: &mut Report) {
    if let Some(data_dir) = target.data_dir() {
        report.check("codecs as stored", stored_codecs::check(data_dir));
    }
    report.check("broker stops cleanly", target.close());
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
    fn new(client: &str) -> Self {
        Self { client: client.into(), version: String::new(), passed: 0, failures: Vec::new() }
    }

    /// Adds the result of a check.
    pub fn check(&mut self, name: &str, result: Result<(), impl Display>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(reason) => self.failures.push(format!("{name}: {reason}")),
        }
    }

    /// Waits for the end of a program and adds the results of its checks.
    ///
    /// # Panics
    /// When the operating system does not tell about its child.
    pub fn add_program(&mut self, program: &mut Process) {
        let status = program.wait(PROGRAM_LIMIT).expect("a child process can be waited for");
        program.kill().expect("a child process can be killed");
        for line in program.stdout().text().lines() {
            if let Some(version) = line.strip_prefix("client ") {
                self.version = version.strip_prefix(&self.client).unwrap_or(version).trim().into();
            } else if line.starts_with("ok ") {
                self.passed += 1;
            } else if let Some(failure) = line.strip_prefix("FAIL ") {
                self.failures.push(failure.into());
            }
        }
        let told = match status {
            None => format!("goes on after {} s", PROGRAM_LIMIT.as_secs()),
            Some(status) if !status.success() => status.to_string(),
            Some(_) if self.passed == 0 => "no check ran".into(),
            Some(_) => return,
        };
        let stderr = program.stderr().text();
        let lines: Vec<_> = stderr.lines().collect();
        let last_lines = lines[lines.len().saturating_sub(60)..].join("\n");
        self.failures.push(format!("program: {told}; it wrote last:\n{last_lines}"));
    }

    fn finish(self) {
        let Self { client, version, passed, failures } = self;
        let client = format!("{client} {version}").trim().to_owned();
        if failures.is_empty() {
            return say(&format!("conformance {client}: passed ({passed} checks)"));
        }
        say(&format!("conformance {client}: failed ({passed} checks passed)"));
        panic!("{client}:\n{}", failures.join("\n"));
    }
}

/// Clients run one after the other: they are heavy, and a failure is easier to read.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a line past the capture of the test runner, which only catches the print macros.
pub fn say(line: &str) {
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
