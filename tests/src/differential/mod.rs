//! What two brokers answer to the same steps, compared line by line with the differences that docs/protocol.md lists.
//!
//! A difference that is not listed is a failure, and so is a listed one that does not occur.

pub mod listed;
pub mod requests;
pub mod session;
pub mod transcript;
pub mod values;

use std::collections::BTreeMap;

use listed::{Listed, Side};
use transcript::Step;

/// A line that only one of the brokers printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    step: String,
    side: Side,
    line: String,
}

/// Compares what Apache Kafka and sendlog printed.
///
/// # Errors
/// With every difference that is not listed, and every listed one that did not occur.
pub fn compare(kafka: &[Step], ours: &[Step], listed: &[Listed]) -> Result<(), String> {
    let found = differences(kafka, ours);
    let mut complaints: Vec<String> = Vec::new();
    for difference in &found {
        let is_listed =
            listed.iter().any(|entry| entry.covers(&difference.step, difference.side, &difference.line));
        if !is_listed {
            complaints.push(format!("{}: {}: {}", difference.step, difference.side, difference.line));
        }
    }
    for entry in listed {
        let occurs =
            found.iter().any(|difference| entry.covers(&difference.step, difference.side, &difference.line));
        if !occurs {
            complaints.push(format!("listed, but does not occur: {entry}"));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn differences(kafka: &[Step], ours: &[Step]) -> Vec<Difference> {
    let mut found = Vec::new();
    let names = |steps: &[Step]| steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>();
    if names(kafka) != names(ours) {
        let line = format!("steps {:?} and {:?}", names(kafka), names(ours));
        found.push(Difference { step: "all".to_owned(), side: Side::Both, line });
    }
    for (kafka, ours) in kafka.iter().zip(ours) {
        differences_of_step(kafka, ours, &mut found);
    }
    found
}

fn differences_of_step(kafka: &Step, ours: &Step, found: &mut Vec<Difference>) {
    let mut balance: BTreeMap<&str, i64> = BTreeMap::new();
    for line in &kafka.lines {
        *balance.entry(line).or_default() += 1;
    }
    for line in &ours.lines {
        *balance.entry(line).or_default() -= 1;
    }
    let step = || kafka.name.clone();
    let before = found.len();
    for (line, count) in balance {
        let side = if 0 < count { Side::Kafka } else { Side::Sendlog };
        for _ in 0..count.unsigned_abs() {
            found.push(Difference { step: step(), side, line: line.to_owned() });
        }
    }
    if before == found.len() && kafka.lines != ours.lines {
        found.push(Difference { step: step(), side: Side::Both, line: "the order of lines".to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use super::listed::{Listed, table};
    use super::transcript::{Step, steps};

    const KAFKA: &str = "step one\nout a\nout b\nexit 0\nstep two\nout c\nexit 0\n";
    const TABLE: &str = "<!-- here -->\n\n| step | printed by | lines with | why |\n|---|---|---|---|\n\
                         | `one` | Kafka | `b` | sendlog has no b |\n| `t*` | both | `ex` | it fails |\n\n| x |\n";

    fn listed() -> Vec<Listed> {
        table(TABLE, "here").expect("a table")
    }

    fn parsed(text: &str) -> Vec<Step> {
        steps(text)
    }

    #[test]
    fn equal_transcripts_need_no_list() {
        assert_eq!(compare(&parsed(KAFKA), &parsed(KAFKA), &[]), Ok(()));
    }

    #[test]
    fn what_is_listed_may_differ_and_must() {
        let ours = parsed(&KAFKA.replace("out b\n", "").replace("out c\nexit 0", "out c\nexit 1"));
        assert_eq!(compare(&parsed(KAFKA), &ours, &listed()), Ok(()));
        let complaint = compare(&parsed(KAFKA), &parsed(KAFKA), &listed()).expect_err("nothing differs");
        assert_eq!(complaint.matches("listed, but does not occur").count(), 2, "{complaint}");
    }

    #[test]
    fn what_is_not_listed_is_a_failure() {
        let ours = parsed(&KAFKA.replace("out a", "out z"));
        let complaint = compare(&parsed(KAFKA), &ours, &[]).expect_err("a line differs");
        assert_eq!(complaint, "one: Kafka: out a\none: sendlog: out z");
        let swapped = parsed(&KAFKA.replace("out a\nout b", "out b\nout a"));
        let complaint = compare(&parsed(KAFKA), &swapped, &[]).expect_err("the order differs");
        assert_eq!(complaint, "one: both: the order of lines");
        let shorter = parsed("step one\nout a\nout b\nexit 0\n");
        assert!(compare(&parsed(KAFKA), &shorter, &[]).is_err());
    }
}
