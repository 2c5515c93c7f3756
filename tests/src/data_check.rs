//! `broker check` on a data directory, and what it said.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::broker_binary;

/// What a check came to.
#[derive(Debug)]
pub struct CheckRun {
    /// The exit code.
    pub code: i32,
    /// All findings, in order.
    pub findings: Vec<CheckFinding>,
    /// Steps of a repair that it announced.
    pub steps: Vec<String>,
    /// Files that it has repaired.
    pub done: Vec<String>,
    /// The summary line.
    pub summary: Value,
    /// What it said beside the report.
    pub stderr: String,
}

/// A finding; `docs/checking.md` says what the fields mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFinding {
    /// How bad.
    pub severity: String,
    /// What.
    pub kind: String,
    /// Where, below the data directory.
    pub file: String,
    /// Where in the file.
    pub position: Option<u64>,
    /// The offsets: first, and the one behind the last.
    pub offsets: Option<(i64, i64)>,
    /// Why.
    pub reason: String,
    /// Who does something about it.
    pub remedy: String,
}

impl CheckRun {
    /// Runs it with `--format json` and these arguments.
    ///
    /// # Panics
    /// When it cannot be run, panics, or prints something else than JSON lines.
    pub fn on(data_dir: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(broker_binary::path());
        command.args(["check", "--format", "json", "--data-dir"]).arg(data_dir).args(args);
        let output = command.output().expect("the broker program can be run");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or_else(|| panic!("{}: {stderr}", output.status));
        assert!(!stderr.contains("panicked"), "{stderr}");
        let stdout = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let lines: Vec<Value> = stdout.lines().map(line).collect();
        let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).cloned().collect::<Vec<_>>();
        let texts = |kind: &str| of(kind).iter().map(|line| text(&line["what"])).collect();
        Self {
            code,
            findings: of("finding").iter().map(CheckFinding::parse).collect(),
            steps: texts("step"),
            done: texts("done"),
            summary: of("summary").pop().unwrap_or_default(),
            stderr,
        }
    }

    /// Findings that are no mere information and nothing that the next start finishes.
    pub fn bad(&self) -> Vec<CheckFinding> {
        let is_bad = |finding: &&CheckFinding| !["info", "unfinished"].contains(&finding.severity.as_str());
        self.findings.iter().filter(is_bad).cloned().collect()
    }
}

impl CheckFinding {
    fn parse(line: &Value) -> Self {
        let offset = |name: &str| line[name].as_i64();
        Self {
            severity: text(&line["severity"]),
            kind: text(&line["kind"]),
            file: text(&line["file"]),
            position: line["position"].as_u64(),
            offsets: offset("offset").zip(offset("next_offset")),
            reason: text(&line["reason"]),
            remedy: text(&line["remedy"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}
