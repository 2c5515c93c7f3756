//! What a broker answered, step by step, as text: `step NAME`, then the lines of the step.

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
