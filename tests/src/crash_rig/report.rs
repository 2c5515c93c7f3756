//! What a run of the rig showed, as a table for people and the same as JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use super::promises::Promises;
use super::recording::{Event, Recording};
use super::trial::Outcome;
use super::verdict::BreachKind;

/// The sums of one workload on one file system, or of all.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Operations of the disk in the recording.
    pub operations: usize,
    /// Records acknowledged, in strict topics.
    pub acknowledged: u64,
    /// Power cuts tried, but for second ones.
    pub points: usize,
    /// Those among them that lost something of the disk's.
    pub lossy: usize,
    /// Second power cuts, during a recovery or the appends that follow it.
    pub second_points: usize,
    /// Acknowledged records that had to be there, summed over all trials.
    pub checked: u64,
    /// Starts that found a crash before them.
    pub recoveries: usize,
    /// Torn ends that were cut.
    pub cuts: usize,
    /// Ranges that were set aside; none of them had anything acknowledged, or it counts as lost.
    pub set_aside: usize,
    /// Trials that show nothing, because torn sectors have cost the file system itself.
    pub unmountable: usize,
    /// Trials with a broken promise.
    pub failed: usize,
    /// Broken promises, by kind.
    pub breaches: BTreeMap<BreachKind, usize>,
    /// The first failures.
    pub failures: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Tally {
    /// Of a recording that is not tried yet.
    pub fn of(recording: &Recording) -> Self {
        let mut promises = Promises::default();
        promises.learn(recording.events.iter().filter_map(|event| match event {
            Event::Mark(mark) => Some(mark),
            Event::Write { .. } | Event::Flush => None,
        }));
        let operations = recording.events.iter().filter(|event| event.is_of_disk()).count();
        Self { operations, acknowledged: promises.acknowledged_records(), ..Self::default() }
    }

    /// Counts a trial.
    pub fn count(&mut self, promises: &Promises, outcome: &Outcome, is_second: bool, is_lossy: bool) {
        if outcome.unmountable.is_some() {
            self.unmountable += 1;
            return;
        }
        match is_second {
            true => self.second_points += 1,
            false => self.points += 1,
        }
        self.lossy += usize::from(is_lossy && !is_second);
        self.checked += promises.acknowledged_records();
        self.recoveries += usize::from(outcome.is_ready);
        self.cuts += outcome.cuts;
        self.set_aside += outcome.holes;
        self.failed += usize::from(!outcome.breaches.is_empty());
        for breach in &outcome.breaches {
            *self.breaches.entry(breach.kind).or_default() += 1;
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.points += other.points;
        self.lossy += other.lossy;
        self.second_points += other.second_points;
        self.checked += other.checked;
        self.recoveries += other.recoveries;
        self.cuts += other.cuts;
        self.set_aside += other.set_aside;
        self.unmountable += other.unmountable;
        self.failed += other.failed;
        self.elapsed += other.elapsed;
        for (kind, count) in &other.breaches {
            *self.breaches.entry(*kind).or_default() += count;
        }
    }

    /// Broken promises of a kind.
    pub fn broken(&self, kind: BreachKind) -> usize {
        self.breaches.get(&kind).copied().unwrap_or_default()
    }

    fn others(&self) -> usize {
        let all: usize = self.breaches.values().sum();
        all - self.broken(BreachKind::Lost) - self.broken(BreachKind::Vanished)
    }

    fn json(&self) -> Value {
        json!({
            "operations": self.operations,
            "acknowledged": self.acknowledged,
            "points": self.points,
            "lossy_points": self.lossy,
            "second_points": self.second_points,
            "acknowledged_checked": self.checked,
            "lost": self.broken(BreachKind::Lost),
            "vanished_reads": self.broken(BreachKind::Vanished),
            "other_breaches": self.others(),
            "failed_points": self.failed,
            "recoveries": self.recoveries,
            "torn_ends": self.cuts,
            "set_aside": self.set_aside,
            "file_system_lost": self.unmountable,
            "seconds": self.elapsed.as_secs_f64(),
        })
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Workload.
    pub workload: String,
    /// File system.
    pub file_system: String,
    /// Its sums.
    pub tally: Tally,
}

impl Row {
    /// The names of the columns.
    pub fn head() -> String {
        let mut head = format!("{:<12} {:<14}", "workload", "fs");
        for (name, width) in COLUMNS {
            let _ = write!(head, " {name:>width$}");
        }
        head
    }
}

const COLUMNS: [(&str, usize); 14] = [
    ("ops", 7),
    ("acked", 7),
    ("points", 7),
    ("lossy", 6),
    ("second", 7),
    ("checked", 10),
    ("lost", 5),
    ("vanished", 8),
    ("other", 5),
    ("recoveries", 10),
    ("torn", 6),
    ("set-aside", 9),
    ("no-mount", 8),
    ("seconds", 8),
];

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        write!(out, "{:<12} {:<14}", self.workload, self.file_system)?;
        let values = [
            tally.operations.to_string(),
            tally.acknowledged.to_string(),
            tally.points.to_string(),
            tally.lossy.to_string(),
            tally.second_points.to_string(),
            tally.checked.to_string(),
            tally.broken(BreachKind::Lost).to_string(),
            tally.broken(BreachKind::Vanished).to_string(),
            tally.others().to_string(),
            tally.recoveries.to_string(),
            tally.cuts.to_string(),
            tally.set_aside.to_string(),
            tally.unmountable.to_string(),
            format!("{:.1}", tally.elapsed.as_secs_f64()),
        ];
        for (value, (_, width)) in values.iter().zip(COLUMNS) {
            write!(out, " {value:>width$}")?;
        }
        Ok(())
    }
}

/// All rows, for machines.
pub fn json(seed: u64, rows: &[Row], total: &Tally, control: &[Row]) -> Value {
    let row = |row: &Row| {
        let mut value = row.tally.json();
        value["workload"] = row.workload.clone().into();
        value["fs"] = row.file_system.clone().into();
        value
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "seed": seed,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "total": total.json(),
        "known_bad": control.iter().map(row).collect::<Vec<_>>(),
    })
}
