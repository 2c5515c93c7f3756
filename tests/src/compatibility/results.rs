//! The results of runs as JSON lines, one file for each program: `{"client", "version", "check", "result"}`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::features::placed;
use crate::broker_binary;

/// The features of one client with one protocol that passed and that did not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Column {
    /// Every check passed.
    pub passed: BTreeSet<&'static str>,
    /// A check failed, or was left out.
    pub failed: BTreeSet<&'static str>,
}

/// Results of one or of all runs.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// By client and protocol.
    pub columns: BTreeMap<(String, &'static str), Column>,
    /// The versions of the clients.
    pub versions: BTreeMap<String, String>,
    lines: Vec<Value>,
}

impl Results {
    /// Adds the result of a check.
    ///
    /// # Errors
    /// When no table has a row for it.
    pub fn add(&mut self, client: &str, version: &str, check: &str, passed: bool) -> Result<(), String> {
        let result = if passed { "passed" } else { "failed" };
        self.lines.push(json!({"client": client, "version": version, "check": check, "result": result}));
        self.versions.insert(client.to_owned(), version.to_owned());
        if let Some((protocol, feature)) = placed(check)? {
            let column = self.columns.entry((client.to_owned(), protocol)).or_default();
            if !passed {
                column.passed.remove(feature);
                column.failed.insert(feature);
            } else if !column.failed.contains(feature) {
                column.passed.insert(feature);
            }
        }
        Ok(())
    }

    /// Writes them to the file of a program.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, program: &str) -> Result<(), String> {
        let folder = folder();
        let lines: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        let name = program.replace(['/', ' '], "-");
        let path = folder.join(format!("{name}.jsonl"));
        let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, lines));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Those of the last run of every program.
    ///
    /// # Errors
    /// When a file cannot be read or is not of this form.
    pub fn read_all() -> Result<Self, String> {
        let mut all = Self::default();
        let told = |error: std::io::Error| format!("{}: {error}", folder().display());
        for entry in fs::read_dir(folder()).map_err(told)? {
            let path = entry.map_err(told)?.path();
            for line in fs::read_to_string(&path).map_err(told)?.lines() {
                let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
                let text = |name: &str| value[name].as_str().ok_or_else(|| format!("{line:?}: no {name}"));
                all.add(text("client")?, text("version")?, text("check")?, text("result")? == "passed")?;
            }
        }
        Ok(all)
    }
}

fn folder() -> PathBuf {
    broker_binary::target_dir().join("conformance/results")
}
