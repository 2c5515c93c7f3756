//! The table at the end.

use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use super::plan::Total;
use super::usage::Usage;
use crate::size::show_size;

const BYTES_PER_GIB: f64 = 1_073_741_824.0;

/// One measured run.
#[derive(Debug)]
pub(super) struct Row {
    what: &'static str,
    clients: u32,
    total: Total,
    took: Duration,
    /// Of the broker, during the run.
    cpu: Duration,
    /// Of the broker, after it.
    resident: u64,
}

impl Row {
    pub(super) fn new(
        what: &'static str,
        clients: u32,
        total: Total,
        took: Duration,
        before: Usage,
        after: Usage,
    ) -> Self {
        let cpu = after.cpu.saturating_sub(before.cpu);
        Self { what, clients, total, took, cpu, resident: after.resident }
    }
}

/// All runs, in order.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout();
        writeln!(out, "{}", self.table())?;
        writeln!(
            out,
            "Every line was compared with what was shipped. MB are 10^6 bytes of lines; broker CPU seconds are for each \
             GiB of lines; memory is the broker's resident set after the run. Readers run on the same machine."
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "run",
            "clients",
            "data",
            "seconds",
            "lines/s",
            "MB/s",
            "broker CPU s/GiB",
            "broker memory",
        ]);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            table.add_row(cells(row));
        }
        table
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn cells(row: &Row) -> [String; 8] {
    let seconds = row.took.as_secs_f64().max(1e-9);
    let (lines, bytes) = (row.total.lines as f64, row.total.bytes as f64);
    [
        row.what.to_owned(),
        row.clients.to_string(),
        show_size(row.total.bytes),
        format!("{seconds:.2}"),
        group_thousands(&format!("{:.0}", lines / seconds)),
        format!("{:.0}", bytes / seconds / 1e6),
        format!("{:.3}", row.cpu.as_secs_f64() / (bytes / BYTES_PER_GIB).max(1e-9)),
        show_size(row.resident),
    ]
}

/// `1234567` as `1,234,567`.
fn group_thousands(digits: &str) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_second_and_per_gib() {
        assert_eq!(group_thousands("1234567"), "1,234,567");
        assert_eq!(group_thousands("123"), "123");
        let usage = |ms, resident| Usage { cpu: Duration::from_millis(ms), resident };
        let total = Total { lines: 10_000_000, bytes: 2 << 30 };
        let row = Row::new("read", 4, total, Duration::from_secs(4), usage(500, 1), usage(900, 8 << 20));
        let wanted = ["read", "4", "2.00 GiB", "4.00", "2,500,000", "537", "0.200", "8.0 MiB"];
        assert_eq!(cells(&row), wanted);
    }
}
