//! What is printed and what goes into the JSON file: cases with a row per contender, a column per metric, and targets.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::machine::{self, Load};
use crate::samples::Samples;

/// One thing measured, for several contenders, in interleaved runs.
pub struct Case {
    name: String,
    /// In the order of first mention: contender, metric, one sample per run.
    figures: Vec<(String, &'static str, Samples)>,
    verdicts: Vec<Verdict>,
    notes: Vec<String>,
}

/// What a target asks of a figure.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

struct Verdict {
    claim: String,
    samples: Samples,
    bound: Bound,
}

impl Case {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), figures: Vec::new(), verdicts: Vec::new(), notes: Vec::new() }
    }

    /// Adds one run's figure. The metric's name carries its unit.
    pub fn add(&mut self, contender: &str, metric: &'static str, value: f64) {
        let known = self.figures.iter_mut().find(|(who, what, _)| who == contender && *what == metric);
        match known {
            Some((_, _, samples)) => samples.0.push(value),
            None => self.figures.push((contender.to_owned(), metric, Samples(vec![value]))),
        }
    }

    /// Adds a figure if there is one.
    pub fn add_known(&mut self, contender: &str, metric: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.add(contender, metric, value);
        }
    }

    /// The runs of one figure; none if it was not measured.
    pub fn samples(&self, contender: &str, metric: &str) -> Samples {
        let found = self.figures.iter().find(|(who, what, _)| who == contender && *what == metric);
        found.map(|(_, _, samples)| samples.clone()).unwrap_or_default()
    }

    /// Run by run, one contender's figure over another's.
    pub fn ratio(&self, contender: &str, other: &str, metric: &str) -> Samples {
        self.samples(contender, metric).over(&self.samples(other, metric))
    }

    /// Puts a target beside a figure; nothing is said where the figure was not measured.
    pub fn target(&mut self, claim: impl Into<String>, samples: Samples, bound: Bound) {
        if !samples.0.is_empty() {
            self.verdicts.push(Verdict { claim: claim.into(), samples, bound });
        }
    }

    /// A ratio worth seeing that has no target; nothing is said where it was not measured.
    pub fn note_ratio(&mut self, what: &str, samples: &Samples) {
        if !samples.0.is_empty() {
            self.note(format!("{what}: {samples}"));
        }
    }

    /// A sentence below the table.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn contenders(&self) -> Vec<&str> {
        distinct(self.figures.iter().map(|(contender, _, _)| contender.as_str()))
    }

    fn metrics(&self) -> Vec<&str> {
        distinct(self.figures.iter().map(|(_, metric, _)| *metric))
    }

    fn print(&self) {
        println!("\n  {}", self.name);
        let metrics = self.metrics();
        let mut rows =
            vec![std::iter::once(String::new()).chain(metrics.iter().map(|&name| name.to_owned())).collect()];
        for contender in self.contenders() {
            let cells = metrics.iter().map(|metric| self.samples(contender, metric).to_string());
            rows.push(std::iter::once(contender.to_owned()).chain(cells).collect::<Vec<String>>());
        }
        for line in aligned(&rows).iter().filter(|line| !line.is_empty()) {
            println!("    {line}");
        }
        for verdict in &self.verdicts {
            println!("    {}", verdict.describe());
        }
        for note in &self.notes {
            println!("    note: {note}");
        }
    }

    fn to_json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|(contender, metric, samples)| {
                json!({
                    "contender": contender, "metric": metric, "runs": samples.0,
                    "median": samples.median(), "min": samples.min(), "max": samples.max(),
                })
            })
            .collect();
        let targets: Vec<Value> = self.verdicts.iter().map(Verdict::to_json).collect();
        json!({ "case": self.name, "figures": figures, "targets": targets, "notes": self.notes })
    }
}

impl Verdict {
    fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(limit) => limit <= self.samples.median(),
            Bound::AtMost(limit) => self.samples.median() <= limit,
        }
    }

    fn describe(&self) -> String {
        let (words, limit) = match self.bound {
            Bound::AtLeast(limit) => ("at least", limit),
            Bound::AtMost(limit) => ("at most", limit),
        };
        let met = if self.is_met() { "met" } else { "NOT MET" };
        format!("target: {} {words} {limit}: {} {met}", self.claim, self.samples)
    }

    fn to_json(&self) -> Value {
        let (kind, limit) = match self.bound {
            Bound::AtLeast(limit) => ("at_least", limit),
            Bound::AtMost(limit) => ("at_most", limit),
        };
        json!({
            "claim": self.claim, "bound": kind, "limit": limit, "median": self.samples.median(),
            "runs": self.samples.0, "met": self.is_met(),
        })
    }
}

/// Everything one invocation measured.
pub struct Report {
    settings: Value,
    scenarios: Vec<Value>,
}

impl Report {
    /// Prints the machine and how the bench was called.
    pub fn new(settings: Value) -> Self {
        let settings = json!({ "machine": machine::describe(), "options": settings });
        for part in ["machine", "options"] {
            println!("{part}");
            for (name, value) in
                settings[part].as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
            {
                println!("  {name:<24}{value}");
            }
        }
        let default = settings["machine"]["tcp_congestion_default"].as_str().unwrap_or("unknown");
        let chosen = settings["options"]["congestion"].as_str().unwrap_or(default);
        println!("congestion control in force: {chosen} (clients, floors, brokers that the bench starts)");
        Self { settings, scenarios: Vec::new() }
    }

    /// Prints one scenario's cases with the load that the machine was under.
    pub fn add(&mut self, scenario: &str, before: &Load, cases: &[Case]) {
        let after = Load::read();
        println!("\n{scenario}: {}", after.describe_since(before));
        if before.is_busy() {
            println!("  WARNING: the machine was busy with something else when this scenario began");
        }
        for case in cases {
            case.print();
        }
        let cases: Vec<Value> = cases.iter().map(Case::to_json).collect();
        self.scenarios
            .push(json!({ "scenario": scenario, "load": after.to_json_since(before), "cases": cases }));
    }

    /// Writes the raw figures.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let document = json!({ "format": 1, "settings": self.settings, "scenarios": self.scenarios });
        fs::write(path, serde_json::to_string_pretty(&document)?)
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let pad = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(pad).collect()
}
