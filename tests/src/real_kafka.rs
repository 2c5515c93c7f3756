//! A real Apache Kafka: one node, broker and controller in one process, started and stopped as a user would.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::workshop;

/// The version of Kafka and its tools.
pub const VERSION: &str = "4.4.0";

/// Ends a tool that hangs.
const TOOL_LIMIT: Duration = Duration::from_secs(180);
/// Ends a Kafka that does not stop.
const STOP_LIMIT: Duration = Duration::from_secs(120);

/// Kafka's jars, and the classes of our program that fills and prints topics.
#[derive(Debug, Clone)]
pub struct KafkaJars {
    jars: PathBuf,
    classes: PathBuf,
}

impl KafkaJars {
    /// Downloads and compiles what is not there yet.
    ///
    /// # Errors
    /// With what Maven or the compiler says.
    pub fn install() -> Result<Self, String> {
        let jars = workshop::jars("kafka-tools", VERSION)?;
        let classes = workshop::java_classes("kafka-tools", VERSION, &jars)?;
        Ok(Self { jars, classes })
    }

    /// The command that runs a class of Kafka's or of our programs.
    pub fn java(&self, main: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp"]);
        command.arg(format!("{}:{}", self.classes.display(), self.jars.join("*").display())).arg(main);
        command
    }

    /// Runs `KafkaData` against a broker; what it prints.
    ///
    /// # Errors
    /// With all output if it fails.
    pub fn data(&self, bootstrap: &str, commands: &[&str]) -> Result<String, String> {
        self.run("KafkaData", &[&[bootstrap], commands].concat())
    }

    /// Runs a class of our programs to its end; what it prints.
    ///
    /// # Errors
    /// With all output if it fails.
    pub fn run(&self, main: &str, arguments: &[&str]) -> Result<String, String> {
        let mut command = self.java(main);
        command.args(arguments);
        run(&mut command)
    }
}

/// A Kafka and its directory. Dropping it kills the process.
#[derive(Debug)]
pub struct RealKafka {
    jars: KafkaJars,
    dir: TempDir,
    bootstrap: String,
    process: Option<Process>,
}

impl RealKafka {
    /// A Kafka with an empty, formatted log directory, not yet started.
    ///
    /// # Errors
    /// With what the storage tool says.
    pub fn format(jars: &KafkaJars) -> Result<Self, String> {
        Self::format_with(jars, &["log.retention.ms=-1"])
    }

    /// As [`format`](Self::format), with further settings, each `NAME=VALUE`.
    ///
    /// # Errors
    /// With what the storage tool says.
    pub fn format_with(jars: &KafkaJars, settings: &[&str]) -> Result<Self, String> {
        let dir = TempDir::with_prefix("kafka-").map_err(|error| error.to_string())?;
        let [port, controller_port] = free_ports()?;
        let log_dir = dir.path().join("logs");
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller_port}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.num.partitions=1\n\
             transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.num.partitions=1\n\
             share.coordinator.state.topic.min.isr=1\nlog.cleaner.backoff.ms=100\n{}\n",
            log_dir.display(),
            settings.join("\n")
        );
        let kafka = Self { jars: jars.clone(), bootstrap: format!("127.0.0.1:{port}"), process: None, dir };
        fs::write(kafka.properties(), properties).map_err(|error| error.to_string())?;
        let mut tool = jars.java("kafka.tools.StorageTool");
        tool.args(["format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qk", "--config"]).arg(kafka.properties());
        run(&mut tool)?;
        Ok(kafka)
    }

    fn properties(&self) -> PathBuf {
        self.dir.path().join("server.properties")
    }

    /// Where it listens, as clients take it.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Its log directory.
    pub fn log_dir(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    /// Starts it; clients wait until it is ready.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(&mut self) -> Result<(), String> {
        let mut command = self.jars.java("kafka.Kafka");
        command.arg(self.properties());
        self.process = Some(Process::spawn(&mut command).map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Starts it and waits until it answers, for what does not wait by itself.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start_and_wait(&mut self) -> Result<(), String> {
        self.start()?;
        self.data(&["ready"]).map(drop)
    }

    /// Runs `KafkaData` against it; what it prints.
    ///
    /// # Errors
    /// With all output if it fails.
    pub fn data(&self, commands: &[&str]) -> Result<String, String> {
        self.jars.data(&self.bootstrap, commands).map_err(|error| {
            let output =
                self.process.as_ref().map(|process| process.stdout().text() + &process.stderr().text());
            format!("{error}\n--- Kafka\n{}", output.unwrap_or_default())
        })
    }

    /// Stops it with SIGTERM, as cleanly as it can.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.signal(Signal::TERM).map_err(|error| error.to_string())?;
        let ended = process.wait(STOP_LIMIT).map_err(|error| error.to_string())?;
        ended.map(drop).ok_or_else(|| "Kafka does not stop".to_owned())
    }

    /// Puts the segments of a stopped sendlog in the place of those of a stopped Kafka, as docs/migration.md has it.
    ///
    /// # Errors
    /// When a file cannot be copied.
    pub fn take_segments(
        &self,
        data_dir: &Path,
        folders: &[&str],
        starts: &[(&str, i64)],
    ) -> Result<(), String> {
        let told = |error: std::io::Error| error.to_string();
        for folder in folders {
            let (from, to) = (data_dir.join(folder), self.log_dir().join(folder));
            for old in fs::read_dir(&to).map_err(told)?.flatten().map(|entry| entry.path()) {
                if !old.ends_with("partition.metadata") {
                    fs::remove_file(old).map_err(told)?;
                }
            }
            for new in fs::read_dir(&from).map_err(told)?.flatten().map(|entry| entry.path()) {
                let is_segment = new
                    .extension()
                    .is_some_and(|found| ["log", "index", "timeindex"].iter().any(|e| found == *e));
                if is_segment {
                    fs::copy(&new, to.join(new.file_name().unwrap_or_default())).map_err(told)?;
                }
            }
        }
        for state in [".kafka_cleanshutdown", "recovery-point-offset-checkpoint"] {
            fs::remove_file(self.log_dir().join(state)).map_err(told)?;
        }
        let lines: String = starts.iter().map(|(topic, start)| format!("{topic} 0 {start}\n")).collect();
        let starts = format!("0\n{}\n{lines}", starts.len());
        fs::write(self.log_dir().join("log-start-offset-checkpoint"), starts).map_err(told)
    }
}

/// Ports that nobody has, at this moment: Kafka must know its own before it starts.
fn free_ports() -> Result<[u16; 2], String> {
    let told = |error: std::io::Error| error.to_string();
    let listeners =
        [TcpListener::bind("127.0.0.1:0").map_err(told)?, TcpListener::bind("127.0.0.1:0").map_err(told)?];
    let [one, other] =
        listeners.each_ref().map(|listener| listener.local_addr().map(|address| address.port()));
    Ok([one.map_err(told)?, other.map_err(told)?])
}

fn run(command: &mut Command) -> Result<String, String> {
    let mut process = Process::spawn(command).map_err(|error| format!("{command:?}: {error}"))?;
    let status = process.wait(TOOL_LIMIT).map_err(|error| error.to_string())?;
    let (stdout, stderr) = (process.stdout().text(), process.stderr().text());
    if status.is_some_and(|status| status.success()) {
        return Ok(stdout);
    }
    let shown: Vec<&str> = stderr.lines().chain(stdout.lines()).take(60).collect();
    Err(format!("{:?}: {status:?}\n{}", command.get_args().last(), shown.join("\n")))
}
