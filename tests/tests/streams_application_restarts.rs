//! A Kafka Streams application with a state store, its changelog and a repartition topic, over real log lines: its result
//! is the computed one after it was stopped, the broker was killed, and it was killed and has lost its state.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sendlog_tests::conformance::{self, Client};
use sendlog_tests::process::Process;
use sendlog_tests::real_kafka::KafkaJars;
use sendlog_tests::{Broker, BrokerOptions, real_logs};

/// Ends what hangs.
const LIMIT: Duration = Duration::from_secs(180);
/// Enough for some thousand words, and small enough that a set of them fits a record.
const LINES: usize = 1500;

#[test]
fn a_streams_application_counts_every_line_once() {
    let client = Client { name: "Kafka Streams", tools: &["java", "javac", "mvn"] };
    conformance::run(client, |report| {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut broker =
            Broker::start(BrokerOptions::with_args(["--set", "group.initial.rebalance.delay.ms=0"]));
        let application = Application {
            jars: KafkaJars::install()?,
            bootstrap: broker.bootstrap(),
            lines: lines(folder.path())?,
        };
        let state = folder.path().join("state");
        application.feed(0, LINES / 3)?;
        let mut run = application.start(&state)?;
        report.check("a third", application.check(LINES / 3));
        report.check("it stops", stop(&mut run));
        run = application.start(&state)?;
        application.feed(LINES / 3, LINES / 2)?;
        broker.restart_on_same_port();
        application.feed(LINES / 2, 2 * LINES / 3)?;
        report.check("two thirds, the broker killed within", application.check(2 * LINES / 3));
        application.feed(2 * LINES / 3, 5 * LINES / 6)?;
        run.kill().map_err(|error| error.to_string())?;
        run = application.start(&folder.path().join("lost"))?;
        application.feed(5 * LINES / 6, LINES)?;
        report.check("all, the application killed within", application.check(LINES));
        report.check("the topics of the application", application.has_topics());
        report.check("it stops again", stop(&mut run));
        let stopped = broker.terminate();
        let log = broker.stderr().text();
        let is_clean = stopped.success() && !log.contains("panicked");
        report.check("the broker stops cleanly", if is_clean { Ok(()) } else { Err(log) });
        Ok(())
    });
}

/// The first lines of the first log that has so many.
fn lines(folder: &Path) -> Result<PathBuf, String> {
    for file in real_logs::files() {
        let text = fs::read(&file).map_err(|error| error.to_string())?;
        let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').take(LINES).collect();
        if let (LINES, Ok(text)) = (lines.len(), String::from_utf8(lines.concat())) {
            let copy = folder.join("lines.txt");
            fs::write(&copy, text).map_err(|error| error.to_string())?;
            return Ok(copy);
        }
    }
    Err(format!("no file has {LINES} lines of text"))
}

struct Application {
    jars: KafkaJars,
    bootstrap: String,
    lines: PathBuf,
}

impl Application {
    fn start(&self, state: &Path) -> Result<Process, String> {
        let mut command = self.jars.java("StreamsLines");
        command.args(["run", &self.bootstrap]).arg(state);
        Process::spawn(&mut command).map_err(|error| error.to_string())
    }

    fn feed(&self, from: usize, to: usize) -> Result<(), String> {
        let lines = self.lines.display().to_string();
        self.jars
            .run("StreamsLines", &["feed", &self.bootstrap, &lines, &from.to_string(), &to.to_string()])
            .map(drop)
    }

    fn check(&self, to: usize) -> Result<(), String> {
        let lines = self.lines.display().to_string();
        self.jars.run("StreamsLines", &["check", &self.bootstrap, &lines, &to.to_string()]).map(drop)
    }

    fn has_topics(&self) -> Result<(), String> {
        let found = self.jars.run("StreamsLines", &["topics", &self.bootstrap])?;
        let expected = "words-by-word-repartition delete -1\nwords-sets-changelog compact 604800000\n";
        if found == expected { Ok(()) } else { Err(found) }
    }
}

fn stop(run: &mut Process) -> Result<(), String> {
    run.signal(Signal::TERM).map_err(|error| error.to_string())?;
    let ended = run.wait(LIMIT).map_err(|error| error.to_string())?;
    let printed = run.stdout().text();
    if ended.is_some() && printed.ends_with("state NOT_RUNNING\n") && !printed.contains("ERROR") {
        return Ok(());
    }
    Err(format!("{ended:?}: {printed}\n{}", run.stderr().text()))
}
