//! What a check prints: a line a finding, the steps of a repair, a summary. Text for people, or one JSON object a line.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::storage::data_dir::LastEnd;

use super::args::Format;
use super::finding::{Finding, Remedy, Severity};

/// Totals of a check.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) partitions: u64,
    pub(super) segments: u64,
    pub(super) batches: u64,
    pub(super) bytes: u64,
}

/// Prints, and counts by severity.
pub(super) struct Reporter<W> {
    out: W,
    format: Format,
    counts: [u64; Severity::ALL.len()],
}

#[derive(Serialize)]
struct JsonFinding<'a> {
    #[serde(rename = "type")]
    kind_of_line: &'static str,
    severity: &'static str,
    kind: &'static str,
    file: &'a str,
    position: Option<u64>,
    bytes: Option<u64>,
    offset: Option<i64>,
    next_offset: Option<i64>,
    reason: &'a str,
    remedy: &'static str,
    remedy_text: &'a str,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    #[serde(rename = "type")]
    kind_of_line: &'static str,
    what: &'a str,
}

#[derive(Serialize)]
struct JsonSummary {
    #[serde(rename = "type")]
    kind_of_line: &'static str,
    last_end: &'static str,
    partitions: u64,
    segments: u64,
    batches: u64,
    bytes: u64,
    seconds: f64,
    mb_per_second: f64,
    damage: u64,
    unreadable: u64,
    warning: u64,
    unfinished: u64,
    info: u64,
}

impl<W: Write> Reporter<W> {
    pub(super) fn new(out: W, format: Format) -> Self {
        Self { out, format, counts: [0; Severity::ALL.len()] }
    }

    pub(super) fn count(&self, severity: Severity) -> u64 {
        let at = Severity::ALL.iter().position(|other| *other == severity);
        at.map_or(0, |at| self.counts[at])
    }

    /// # Errors
    /// The output's.
    pub(super) fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        if let Some(at) = Severity::ALL.iter().position(|other| *other == finding.severity) {
            self.counts[at] += 1;
        }
        let file = finding.file.to_string_lossy();
        let (remedy, remedy_text) = match &finding.remedy {
            Remedy::None => ("none", ""),
            Remedy::NextStart(what) => ("next-start", *what),
            Remedy::Repair(what) => ("repair", *what),
            Remedy::ByHand(what) => ("by-hand", what.as_str()),
        };
        if self.format == Format::Json {
            return self.json(&JsonFinding {
                kind_of_line: "finding",
                severity: finding.severity.name(),
                kind: finding.kind.name(),
                file: &file,
                position: finding.position,
                bytes: finding.bytes,
                offset: finding.offsets.as_ref().map(|offsets| offsets.start),
                next_offset: finding.offsets.as_ref().map(|offsets| offsets.end),
                reason: &finding.reason,
                remedy,
                remedy_text,
            });
        }
        writeln!(self.out, "{}", text(finding, &file, remedy, remedy_text))
    }

    /// A step of a repair, to be done or done.
    ///
    /// # Errors
    /// The output's.
    pub(super) fn step(&mut self, is_done: bool, what: &str) -> io::Result<()> {
        let word = if is_done { "done" } else { "step" };
        match self.format {
            Format::Json => self.json(&JsonStep { kind_of_line: word, what }),
            Format::Text => writeln!(self.out, "{word}: {}", printable(what)),
        }
    }

    /// A remark for people.
    ///
    /// # Errors
    /// The output's.
    pub(super) fn remark(&mut self, text: &str) -> io::Result<()> {
        match self.format {
            Format::Json => Ok(()),
            Format::Text => writeln!(self.out, "{text}"),
        }
    }

    /// # Errors
    /// The output's.
    pub(super) fn summary(&mut self, last_end: LastEnd, totals: Totals, time: Duration) -> io::Result<()> {
        let seconds = time.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let mb = totals.bytes as f64 / 1e6;
        let mb_per_second = mb / seconds.max(1e-6);
        let (code, words) = end(last_end);
        let [damage, unreadable, warning, unfinished, info] = self.counts;
        let Totals { partitions, segments, batches, bytes } = totals;
        if self.format == Format::Json {
            return self.json(&JsonSummary {
                kind_of_line: "summary",
                last_end: code,
                partitions,
                segments,
                batches,
                bytes,
                seconds,
                mb_per_second,
                damage,
                unreadable,
                warning,
                unfinished,
                info,
            });
        }
        let out = &mut self.out;
        writeln!(out, "{words}")?;
        writeln!(
            out,
            "checked {partitions} partitions, {segments} segments, {batches} batches: {mb:.1} MB in {seconds:.2} s, \
             {mb_per_second:.0} MB/s"
        )?;
        let counts = Severity::ALL
            .iter()
            .zip(self.counts)
            .map(|(severity, count)| format!("{} {count}", severity.name()));
        writeln!(out, "findings: {}", counts.collect::<Vec<_>>().join(", "))
    }

    /// # Errors
    /// The output's.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn json<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

fn text(finding: &Finding, file: &str, remedy: &str, remedy_text: &str) -> String {
    let mut line = format!("{}: {}", finding.severity.name(), printable(file));
    if let Some(position) = finding.position {
        line += &format!(", position {position}");
    }
    if let Some(bytes) = finding.bytes {
        line += &format!(", {bytes} bytes");
    }
    match finding.offsets.as_ref() {
        Some(offsets) if offsets.is_empty() => line += &format!(", offset {}", offsets.start),
        Some(offsets) => line += &format!(", offsets {} to {}", offsets.start, offsets.end - 1),
        None => {}
    }
    line += &format!(": {}", printable(&finding.reason));
    if !remedy_text.is_empty() {
        line += &format!(" [{}: {remedy_text}]", remedy.replace('-', " "));
    }
    line
}

/// Names may have anything in them; a finding is one line.
fn printable(text: &str) -> String {
    let shown = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

fn end(last_end: LastEnd) -> (&'static str, &'static str) {
    match last_end {
        LastEnd::New => ("new", "no broker has used the directory"),
        LastEnd::Clean => ("clean", "the last broker was stopped in order"),
        LastEnd::Crash => ("crash", "the last broker was not stopped in order: the next start recovers"),
        LastEnd::WriteFailed => {
            ("write-failed", "the last broker stopped because a write had failed: the next start recovers")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Kind;

    fn lines(format: Format, finding: &Finding) -> String {
        let mut out = Vec::new();
        Reporter::new(&mut out, format).finding(finding).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_finding_is_one_line_in_both_forms() {
        let finding = Finding::new(Severity::Damage, Kind::Batch, "t-0/a\nb.log", "it is bad")
            .at(17, 4)
            .offsets(3..6)
            .remedy(Remedy::Repair("mends it"));
        assert_eq!(
            lines(Format::Text, &finding),
            "damage: t-0/a\\nb.log, position 17, 4 bytes, offsets 3 to 5: it is bad [repair: mends it]\n"
        );
        assert_eq!(
            lines(Format::Json, &finding),
            "{\"type\":\"finding\",\"severity\":\"damage\",\"kind\":\"batch\",\"file\":\"t-0/a\\nb.log\",\"position\":17,\
             \"bytes\":4,\"offset\":3,\"next_offset\":6,\"reason\":\"it is bad\",\"remedy\":\"repair\",\
             \"remedy_text\":\"mends it\"}\n"
        );
    }
}
