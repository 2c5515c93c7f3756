//! What a broker answered, step by step, as text: `step NAME`, then the lines of the step.

use std::path::Path;
use std::{env, fs, io};

/// Names a folder in which the transcripts of a run are kept.
const FOLDER: &str = "SENDLOG_TEST_TRANSCRIPTS";

/// One step and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Unique in its script.
    pub name: String,
    /// In normal form: without ids, times and addresses.
    pub lines: Vec<String>,
}

/// The steps of a transcript.
pub fn steps(transcript: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in transcript.lines() {
        if let Some(name) = line.strip_prefix("step ") {
            steps.push(Step { name: name.to_owned(), lines: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            step.lines.push(line.to_owned());
        }
    }
    steps
}

/// Keeps a transcript where the environment says so, to be read.
///
/// # Errors
/// When it cannot be written.
pub fn keep(name: &str, steps: &[Step]) -> io::Result<()> {
    let Some(folder) = env::var_os(FOLDER) else { return Ok(()) };
    let text: String =
        steps.iter().map(|step| format!("step {}\n{}\n", step.name, step.lines.join("\n"))).collect();
    fs::write(Path::new(&folder).join(name), text)
}
