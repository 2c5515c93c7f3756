//! Debian's kcat, built on the old librdkafka 2.0.2: it makes topics by producing, and asks little of a broker but asks
//! it the old way.

use std::fs;
use std::process::Command;
use std::time::Duration;

use sendlog_tests::conformance::{self, Client, Report};
use sendlog_tests::process::Process;
use sendlog_tests::target::Target;
use sendlog_tests::workshop;
use tempfile::TempDir;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(60);
/// Offset, timestamp, headers, key length, key, value length, value.
const FORMAT: &str = "%o|%T|%h|%K|%k|%S|%s\\n";

type Outcome = Result<(), String>;

#[test]
fn kcat() {
    workshop::install_kcat();
    let version = version().unwrap_or_default();
    conformance::run_on_target(Client { name: "kcat", tools: &["kcat"] }, &version, checks);
}

/// As in `Version 1.7.1 (JSON, ..., librdkafka 2.0.2 builtin...)`.
fn version() -> Option<String> {
    let mut process = Process::spawn(Command::new("kcat").arg("-V")).ok()?;
    process.wait(LIMIT).ok()??;
    let text = process.stdout().text() + &process.stderr().text();
    let kcat = text.split("Version ").nth(1)?.split_whitespace().next()?;
    let library = text.split("librdkafka ").nth(1)?.split_whitespace().next()?;
    Some(format!("{kcat} (librdkafka {library})"))
}

fn checks(target: &Target, report: &mut Report) {
    let files = TempDir::new().expect("a temporary directory can be made");
    let kcat = Kcat { bootstrap: target.bootstrap(), files };
    report.check("metadata", kcat.metadata());
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        report.check(&format!("round trip, offsets and times: {codec}"), kcat.round_trip(codec, &[]));
    }
    report.check("idempotent producer", kcat.round_trip("none", &["-X", "enable.idempotence=true"]));
    report.check("acks 0, 1 and all", kcat.acknowledgements());
    report.check("null keys and values", kcat.nulls());
    report.check("whole files as messages", kcat.files());
    report.check("unknown topic", kcat.unknown_topic());
    report.check("invalid topic", kcat.invalid_topic());
}

struct Kcat<'a> {
    bootstrap: &'a str,
    files: TempDir,
}

impl Kcat<'_> {
    fn call(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("kcat");
        command.args(["-b", self.bootstrap]).args(arguments);
        let mut process = Process::spawn(&mut command).map_err(|error| error.to_string())?;
        let status = process.wait(LIMIT).map_err(|error| error.to_string())?;
        let status = status.ok_or_else(|| format!("{arguments:?} goes on: {}", process.stderr().text()))?;
        match status.success() {
            true => Ok(process.stdout().text()),
            false => Err(format!("{arguments:?}: {status}: {}", process.stderr().text().trim())),
        }
    }

    /// Produces the lines, of which each is `key=value`.
    fn produce(&self, topic: &str, lines: &[String], settings: &[&str]) -> Outcome {
        let path = self.files.path().join("lines");
        fs::write(&path, lines.join("\n")).map_err(|error| error.to_string())?;
        let path = path.to_string_lossy();
        self.call(&[&["-P", "-t", topic, "-p", "0", "-K", "=", "-l", &path], settings].concat()).map(drop)
    }

    fn read(&self, topic: &str, settings: &[&str]) -> Result<Vec<Message>, String> {
        let arguments = ["-C", "-q", "-e", "-t", topic, "-p", "0", "-f", FORMAT];
        let text = self.call(&[&arguments, settings].concat())?;
        text.lines().map(Message::parse).collect()
    }

    fn metadata(&self) -> Outcome {
        let text = self.call(&["-L", "-J"])?;
        let metadata: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let brokers = metadata["brokers"].as_array().ok_or("no brokers")?;
        let addresses: Vec<_> = brokers.iter().filter_map(|broker| broker["name"].as_str()).collect();
        equal(&addresses, &vec![self.bootstrap], "advertised addresses")?;
        equal(&metadata["controllerid"], &brokers[0]["id"], "controller")
    }

    fn round_trip(&self, codec: &str, settings: &[&str]) -> Outcome {
        let topic = unique(&format!("kcat-codec-{codec}"));
        let headers = ["-H", "one=1", "-H", "twice=first", "-H", "twice=second", "-H", "empty="];
        let mut expected = Vec::new();
        for round in 0..3 {
            let lines: Vec<_> = (0..20).map(|i| line(codec, round * 20 + i)).collect();
            self.produce(&topic, &lines, &[&["-z", codec], &headers[..], settings].concat())?;
            expected.extend(lines);
        }
        let messages = self.read(&topic, &["-o", "beginning"])?;
        let found: Vec<_> =
            messages.iter().map(|message| format!("{}={}", message.key, message.value)).collect();
        equal(&found, &expected, "messages")?;
        equal(
            &messages.iter().map(|message| message.offset).collect(),
            &(0..60).collect::<Vec<_>>(),
            "offsets",
        )?;
        for message in &messages {
            equal(&message.headers.as_str(), &"one=1,twice=first,twice=second,empty=", "headers")?;
        }
        equal(&self.read(&topic, &["-o", "47"])?, &messages[47..].to_vec(), "messages from an offset")?;
        equal(&self.read(&topic, &["-o", "-5"])?, &messages[55..].to_vec(), "the last messages")?;
        self.times(&topic, &messages)
    }

    fn times(&self, topic: &str, messages: &[Message]) -> Outcome {
        for message in [&messages[0], &messages[20], &messages[59]] {
            let time = message.timestamp;
            let first = messages.iter().position(|m| time <= m.timestamp).ok_or("no such message")?;
            let found = self.call(&["-Q", "-t", &format!("{topic}:0:{time}")])?;
            equal(&found.trim(), &format!("{topic} [0] offset {first}").as_str(), "offset for a time")?;
            let read = self.read(topic, &["-o", &format!("s@{time}")])?;
            equal(&read, &messages[first..].to_vec(), "messages from a time")?;
        }
        Ok(())
    }

    fn acknowledgements(&self) -> Outcome {
        for acks in ["0", "1", "all"] {
            let topic = unique(&format!("kcat-acks-{acks}"));
            let lines: Vec<_> = (0..20).map(|i| line("acks", i)).collect();
            self.produce(&topic, &lines, &["-X", &format!("acks={acks}")])?;
            let messages = self.read(&topic, &["-o", "beginning", "-c", "20"])?;
            let found: Vec<_> = messages.iter().map(|m| format!("{}={}", m.key, m.value)).collect();
            equal(&found, &lines, "messages")?;
        }
        Ok(())
    }

    fn nulls(&self) -> Outcome {
        let topic = unique("kcat-nulls");
        let lines = ["key=".to_owned(), "=value".to_owned(), "both=there".to_owned()];
        self.produce(&topic, &lines, &["-Z"])?;
        let lengths: Vec<_> =
            self.read(&topic, &["-o", "beginning"])?.into_iter().map(|m| m.lengths).collect();
        equal(&lengths, &vec![(3, -1), (-1, 5), (4, 5)], "lengths of keys and values, -1 for null")
    }

    fn files(&self) -> Outcome {
        let topic = unique("kcat-files");
        let path = self.files.path().join("file");
        let content: String =
            (0..60_000).map(|i| char::from(b'a' + u8::try_from(i % 26).unwrap_or(0))).collect();
        fs::write(&path, &content).map_err(|error| error.to_string())?;
        let path = path.to_string_lossy().into_owned();
        self.call(&["-P", "-t", &topic, "-p", "0", &path, &path])?;
        let messages = self.read(&topic, &["-o", "beginning"])?;
        let values: Vec<_> = messages.iter().map(|message| message.value.as_str()).collect();
        equal(&values, &vec![content.as_str(); 2], "contents")
    }

    fn unknown_topic(&self) -> Outcome {
        let told = self.call(&["-C", "-e", "-t", &unique("kcat-absent"), "-o", "beginning"]);
        refused(told, "Unknown topic or partition")
    }

    fn invalid_topic(&self) -> Outcome {
        refused(self.produce("not a name", &["key=value".to_owned()], &[]), "Invalid topic")
    }
}

/// One line of [`FORMAT`].
#[derive(Clone, Debug, PartialEq)]
struct Message {
    offset: i64,
    timestamp: i64,
    headers: String,
    lengths: (i64, i64),
    key: String,
    value: String,
}

impl Message {
    fn parse(line: &str) -> Result<Self, String> {
        let parts: Vec<_> = line.split('|').collect();
        let [offset, timestamp, headers, key_length, key, value_length, value] = parts[..] else {
            return Err(format!("kcat printed {line:?}"));
        };
        let number = |text: &str| text.parse::<i64>().map_err(|_| format!("kcat printed {line:?}"));
        Ok(Self {
            offset: number(offset)?,
            timestamp: number(timestamp)?,
            headers: headers.into(),
            lengths: (number(key_length)?, number(value_length)?),
            key: key.into(),
            value: value.into(),
        })
    }
}

fn line(what: &str, i: usize) -> String {
    format!("key-{i}={}", format!("{what} {i} grüße ").repeat(1 + i % 7 * 10))
}

fn unique(name: &str) -> String {
    format!("conformance-{name}-{}", &Uuid::new_v4().simple().to_string()[..8])
}

fn equal<T: PartialEq + std::fmt::Debug>(actual: &T, expected: &T, what: &str) -> Outcome {
    if actual == expected {
        return Ok(());
    }
    let short = |value: &T| format!("{value:?}").chars().take(300).collect::<String>();
    Err(format!("{what}: {}, expected {}", short(actual), short(expected)))
}

fn refused<T>(result: Result<T, String>, reason: &str) -> Outcome {
    match result {
        Err(told) if told.contains(reason) => Ok(()),
        Err(told) => Err(told),
        Ok(_) => Err(format!("no error, expected {reason:?}")),
    }
}
