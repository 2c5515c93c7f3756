//! Runs the program of a real client against a broker and says how it went, in one line that the test runner's capture
//! of output does not swallow: `conformance CLIENT VERSION: passed (N checks)`, `failed` or `skipped: no TOOL`.
//!
//! A program finds the broker in the environment variable `SENDLOG_TEST_BOOTSTRAP` and prints a line
//! `client NAME VERSION`, then `ok CHECK`, `FAIL CHECK: REASON` or `skip CHECK: REASON` for each check; its exit code is 0
//! when none failed. With a line `want restart` or `want kill` it asks for the broker to end and to start again, and reads
//! `done` or `no`. The results go to the [table of features](crate::compatibility).

use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::broker::BrokerOptions;
use crate::compatibility::{self, Results, Table};
use crate::process::Process;
use crate::stored_codecs;
use crate::target::{Restart, Target};
use crate::workshop;

/// Ends a program that hangs.
const PROGRAM_LIMIT: Duration = Duration::from_secs(900);
/// Clients that run at a time.
const AT_A_TIME: usize = 2;
/// Set to make a test fail whose client cannot be had here.
const NO_SKIP: &str = "SENDLOG_TEST_NO_SKIP";

/// Groups whose members are missed, and whose locks expire, after seconds instead of a minute.
const GROUP_SETTINGS: &[&str] = &[
    "group.initial.rebalance.delay.ms=0",
    "group.consumer.min.session.timeout.ms=1000",
    "group.consumer.session.timeout.ms=6000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=500",
    "group.share.min.session.timeout.ms=1000",
    "group.share.session.timeout.ms=6000",
    "group.share.min.heartbeat.interval.ms=100",
    "group.share.heartbeat.interval.ms=500",
    "group.share.min.record.lock.duration.ms=1000",
];

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
        attended(report, prepare()?, Target::open())?;
        report.publish(client.name)
    });
}

/// As [`run_program`], for a program whose checks are of the broker and not of a client: they have no place in the table.
///
/// # Panics
/// As [`run_program`].
pub fn run_scenario(client: Client<'_>, prepare: impl FnOnce() -> Result<Command, String>) {
    run(client, |report| attended(report, prepare()?, Target::open()));
}

/// As [`run_program`], for a client's checks of groups: the broker has short time-outs, and restarts when it is asked to.
///
/// # Panics
/// As [`run_program`].
pub fn run_groups(client: Client<'_>, prepare: impl FnOnce() -> Result<Command, String>) {
    run(client, |report| {
        report.part = " groups";
        let command = prepare()?;
        let args = GROUP_SETTINGS.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]);
        let options = BrokerOptions { args: args.collect(), ..BrokerOptions::default() };
        attended(report, command, Target::open_with(options))?;
        report.publish(&format!("{} groups", client.name))
    });
}

fn attended(report: &mut Report, mut command: Command, mut target: Target) -> Result<(), String> {
    target.announce_to(&mut command);
    report.is_ours = !target.is_eventual();
    let started = Process::spawn_with_input(&mut command);
    let mut program = started.map_err(|error| format!("{command:?}: {error}"))?;
    attend(&mut program, &mut target);
    report.add_program(&mut program);
    close(target, report);
    Ok(())
}

/// Does what a program asks for, until it ends.
fn attend(program: &mut Process, target: &mut Target) {
    for met in 0.. {
        let wish = |text: &str| {
            let (complete, _) = text.rsplit_once('\n')?;
            complete.lines().filter_map(|line| line.strip_prefix("want ")).nth(met).map(str::to_owned)
        };
        let Some(wish) = program.stdout().wait_for(PROGRAM_LIMIT, wish) else {
            return;
        };
        let done = match wish.as_str() {
            "restart" => target.restart(Restart::Stop),
            "kill" => target.restart(Restart::Kill),
            _ => false,
        };
        // A program that has ended meanwhile does not read: its exit code says enough.
        let _ = program.tell(if done { "done" } else { "no" });
    }
}

/// Runs checks of the test itself against a fresh broker or the one of [`Target::open`].
///
/// # Panics
/// When a check fails or the broker does not survive.
pub fn run_on_target(client: Client<'_>, version: &str, checks: impl FnOnce(&Target, &mut Report)) {
    run(client, |report| {
        report.version = version.into();
        let target = Target::open();
        report.is_ours = !target.is_eventual();
        checks(&target, report);
        close(target, report);
        report.publish(client.name)
    });
}

/// Runs checks, unless a tool is missing, and says how they went.
///
/// # Panics
/// When a check fails, or the checks cannot go on.
pub fn run(client: Client<'_>, checks: impl FnOnce(&mut Report) -> Result<(), String>) {
    let _turn = turn();
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
    if let Some(data_dir) = target.data_dir().filter(|_| report.part.is_empty()) {
        report.check("codecs as stored", stored_codecs::check(data_dir));
    }
    report.check("broker stops cleanly", target.close());
}

/// What a client's checks gave.
#[derive(Debug)]
pub struct Report {
    client: String,
    part: &'static str,
    version: String,
    is_ours: bool,
    passed: Vec<String>,
    skipped: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    fn new(client: &str) -> Self {
        Self {
            client: client.into(),
            part: "",
            version: String::new(),
            is_ours: false,
            passed: Vec::new(),
            skipped: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds the result of a check.
    pub fn check(&mut self, name: &str, result: Result<(), impl Display>) {
        match result {
            Ok(()) => self.passed.push(name.to_owned()),
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
            } else if let Some(check) = line.strip_prefix("ok ") {
                self.passed.push(check.into());
            } else if let Some(skipped) = line.strip_prefix("skip ") {
                self.skipped.push(skipped.into());
            } else if let Some(failure) = line.strip_prefix("FAIL ") {
                self.failures.push(failure.into());
            }
        }
        let told = match status {
            None => format!("goes on after {} s", PROGRAM_LIMIT.as_secs()),
            Some(status) if !status.success() => status.to_string(),
            Some(_) if self.passed.is_empty() => "no check ran".into(),
            Some(_) => return,
        };
        let stderr = program.stderr().text();
        let lines: Vec<_> = stderr.lines().collect();
        let last_lines = lines[lines.len().saturating_sub(60)..].join("\n");
        self.failures.push(format!("program: {told}; it wrote last:\n{last_lines}"));
    }

    /// Writes the results for the table of features, and compares them with the table that is committed.
    fn publish(&mut self, program: &str) -> Result<(), String> {
        if !self.is_ours {
            return Ok(());
        }
        let mut results = Results::default();
        let checks = self.passed.iter().map(|check| (check, true));
        for (check, passed) in
            checks.chain(self.failures.iter().chain(&self.skipped).map(|check| (check, false)))
        {
            let added = results.add(&self.client, &self.version, check, passed);
            if passed {
                added?;
            }
        }
        results.write(program)?;
        if !self.failures.is_empty() {
            return Ok(());
        }
        let path = compatibility::path();
        if !path.exists() {
            return Ok(());
        }
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let table = Table::parse(&text);
        for ((client, protocol), column) in &results.columns {
            table.compare(client, protocol, column)?;
        }
        Ok(())
    }

    fn finish(self) {
        let Self { client, part, version, passed, skipped, failures, .. } = self;
        let client = format!("{client}{part} {version}").trim().to_owned();
        let passed = passed.len();
        if failures.is_empty() && skipped.is_empty() {
            return say(&format!("conformance {client}: passed ({passed} checks)"));
        }
        if failures.is_empty() {
            return say(&format!(
                "conformance {client}: passed ({passed} checks), skipped: {}",
                skipped.join("; ")
            ));
        }
        say(&format!("conformance {client}: failed ({passed} checks passed)"));
        panic!("{client}:\n{}", failures.join("\n"));
    }
}

/// Two clients run at a time: they wait far more than they compute, and more of them would wait for the processors.
fn turn() -> Turn {
    let mut running = lock_running();
    while AT_A_TIME <= *running {
        running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    *running += 1;
    Turn
}

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

fn lock_running() -> MutexGuard<'static, usize> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to run a client; ends when it is dropped.
struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        *lock_running() -= 1;
        ENDED.notify_one();
    }
}

/// Prints a line past the capture of the test runner, which only catches the print macros.
pub fn say(line: &str) {
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(io::stdout().lock(), "{line}");
}
