//! Kafka Connect, standalone, with its file source and sink: the lines of a file come out of the topic into another file,
//! each once and in order, with a restart of Connect and one of the broker on the way.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sendlog_tests::conformance::{self, Client};
use sendlog_tests::process::Process;
use sendlog_tests::{Broker, BrokerOptions, real_logs, workshop};

/// The newest of which both the runtime and the file connectors are published and agree.
const VERSION: &str = "4.3.1";
/// Ends what hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// How often the file is looked at while Connect runs.
const LOOK: Duration = Duration::from_millis(50);
const LINES: usize = 3000;

#[test]
fn lines_go_from_file_to_file() {
    let client = Client { name: "Kafka Connect", tools: &["java", "mvn"] };
    conformance::run(client, |report| {
        let jars = workshop::jars("kafka-connect", VERSION)?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut broker =
            Broker::start(BrokerOptions::with_args(["--set", "group.initial.rebalance.delay.ms=0"]));
        let connect = Connect::prepare(jars, folder.path(), &broker.bootstrap())?;
        let lines = lines()?;
        let (first, rest) = lines.split_at(LINES / 3);
        let (second, third) = rest.split_at(LINES / 3);
        connect.append(first)?;
        let mut run = connect.start()?;
        report.check("the first lines", connect.wait_for(&mut run, first));
        report.check("it stops", connect.stop(&mut run));
        connect.append(second)?;
        run = connect.start()?;
        report.check(
            "the next, after a restart of Connect",
            connect.wait_for(&mut run, &lines[..2 * LINES / 3]),
        );
        broker.restart_on_same_port();
        connect.append(third)?;
        report.check("all, after a kill of the broker", connect.wait_for(&mut run, &lines));
        report.check("it stops again", connect.stop(&mut run));
        let stopped = broker.terminate();
        let log = broker.stderr().text();
        let is_clean = stopped.success() && !log.contains("panicked");
        report.check("the broker stops cleanly", if is_clean { Ok(()) } else { Err(log) });
        Ok(())
    });
}

/// Real lines, numbered so that each is another; the source ends a line at a carriage return too.
fn lines() -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for file in real_logs::files() {
        let text = fs::read(&file).map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&text).replace('\r', " ");
        lines.extend(text.lines().map(str::to_owned));
    }
    if lines.len() < LINES {
        return Err(format!("only {} lines", lines.len()));
    }
    lines.truncate(LINES);
    Ok(lines.iter().enumerate().map(|(number, line)| format!("{number} {line}\n")).collect())
}

struct Connect {
    jars: PathBuf,
    folder: PathBuf,
}

impl Connect {
    fn prepare(jars: PathBuf, folder: &Path, bootstrap: &str) -> Result<Self, String> {
        let path = |name: &str| folder.join(name).display().to_string();
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let worker = format!(
            "bootstrap.servers={bootstrap}\nkey.converter={converter}\nvalue.converter={converter}\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=500\nlisteners=http://127.0.0.1:0\n",
            path("offsets")
        );
        let connector = |name: &str, class: &str, more: &str| {
            let class = format!("org.apache.kafka.connect.file.{class}");
            format!("name={name}\nconnector.class={class}\ntasks.max=1\nfile={}\n{more}\n", path(name))
        };
        let files = [
            ("worker.properties", worker),
            ("source.properties", connector("source", "FileStreamSourceConnector", "topic=connect-lines")),
            ("sink.properties", connector("sink", "FileStreamSinkConnector", "topics=connect-lines")),
        ];
        for (name, content) in files {
            fs::write(folder.join(name), content).map_err(|error| error.to_string())?;
        }
        Ok(Self { jars, folder: folder.to_path_buf() })
    }

    fn append(&self, lines: &[String]) -> Result<(), String> {
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(self.folder.join("source"));
        file.and_then(|mut file| file.write_all(lines.concat().as_bytes())).map_err(|error| error.to_string())
    }

    fn start(&self) -> Result<Process, String> {
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg("-cp").arg(self.jars.join("*"));
        command.arg("org.apache.kafka.connect.cli.ConnectStandalone");
        for file in ["worker.properties", "source.properties", "sink.properties"] {
            command.arg(self.folder.join(file));
        }
        Process::spawn(&mut command).map_err(|error| error.to_string())
    }

    /// Waits until the sink's file is as long as these lines, and compares it.
    fn wait_for(&self, run: &mut Process, lines: &[String]) -> Result<(), String> {
        let expected = lines.concat();
        let started = Instant::now();
        loop {
            let found = fs::read(self.folder.join("sink")).unwrap_or_default();
            if expected.len() <= found.len() {
                let is_same = found == expected.as_bytes();
                return if is_same { Ok(()) } else { Err("the lines are not the same".to_owned()) };
            }
            let ended = run.wait(LOOK).map_err(|error| error.to_string())?;
            if ended.is_some() || LIMIT < started.elapsed() {
                let (found, wanted) = (found.len(), expected.len());
                return Err(format!("{found} bytes of {wanted}; {ended:?}:\n{}", run.stderr().text()));
            }
        }
    }

    fn stop(&self, run: &mut Process) -> Result<(), String> {
        run.signal(Signal::TERM).map_err(|error| error.to_string())?;
        let ended = run.wait(LIMIT).map_err(|error| error.to_string())?;
        if ended.is_some() { Ok(()) } else { Err(run.stderr().text()) }
    }
}
