//! The differences that are known, with their reasons: tables in docs/protocol.md, each behind a comment with its name.

use std::fmt;

/// The document with the tables.
pub const DOCUMENT: &str = include_str!("../../../docs/protocol.md");

/// Who printed a line that the other did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Apache Kafka.
    Kafka,
    /// sendlog.
    Sendlog,
    /// In a list, either of them; of a difference, both, in another order.
    Both,
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Kafka => "Kafka",
            Self::Sendlog => "sendlog",
            Self::Both => "both",
        })
    }
}

/// A row of a table: lines of some steps that may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Names of steps; one that ends with `*` stands for all that begin so.
    steps: Vec<String>,
    side: Side,
    /// A part of the line; empty for any line.
    fragment: String,
}

impl Listed {
    /// Whether it is about this line.
    pub fn covers(&self, step: &str, side: Side, line: &str) -> bool {
        (self.side == Side::Both || self.side == side)
            && line.contains(&self.fragment)
            && self.steps.iter().any(|name| match name.strip_suffix('*') {
                Some(beginning) => step.starts_with(beginning),
                None => step == name,
            })
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}: {:?}", self.steps, self.side, self.fragment)
    }
}

/// The rows of the table that follows the comment `<!-- NAME -->` in a document. Cells hold words in back quotes: names of
/// steps, and parts of lines.
///
/// # Errors
/// When there is no such table, or a row cannot be read or has no reason.
pub fn table(document: &str, name: &str) -> Result<Vec<Listed>, String> {
    let (_, behind) =
        document.split_once(&format!("<!-- {name} -->")).ok_or_else(|| format!("no table {name:?}"))?;
    let rows =
        behind.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows: Result<Vec<Vec<Listed>>, String> = rows
        .skip(2)
        .map(|row| parse(row).ok_or_else(|| format!("not a difference with its reason: {row}")))
        .collect();
    Ok(rows?.concat())
}

/// One for each part of a line that the row names: each of them must occur.
fn parse(row: &str) -> Option<Vec<Listed>> {
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    let [steps, side, fragment, reason] = cells.as_slice() else { return None };
    let side = match *side {
        "Kafka" => Side::Kafka,
        "sendlog" => Side::Sendlog,
        "both" => Side::Both,
        _ => return None,
    };
    let steps = quoted(steps);
    let mut fragments = quoted(fragment);
    if fragments.is_empty() {
        fragments.push(String::new());
    }
    let of_fragment = |fragment| Listed { steps: steps.clone(), side, fragment };
    (!steps.is_empty() && !reason.is_empty()).then(|| fragments.into_iter().map(of_fragment).collect())
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{DOCUMENT, Side, table};

    #[test]
    fn the_documents_tables_can_be_read() {
        for name in ["differences: tools", "differences: requests"] {
            table(DOCUMENT, name).expect(name);
        }
    }

    #[test]
    fn rows_without_a_reason_are_refused() {
        let document = "<!-- t -->\n| a | b | c | d |\n|---|---|---|---|\n| `s` | Kafka | `x` | |\n";
        assert!(table(document, "t").is_err());
        assert!(table(document, "u").is_err());
    }

    #[test]
    fn a_row_stands_for_steps_and_lines() {
        let document =
            "<!-- t -->\n| a | b | c | d |\n|---|---|---|---|\n| `one`, `two *` | sendlog | any | why |\n";
        let listed = table(document, "t").expect("a table");
        let covers = |step, side| listed.iter().any(|entry| entry.covers(step, side, "out x"));
        assert!(covers("one", Side::Sendlog) && covers("two or more", Side::Sendlog));
        assert!(!covers("one more", Side::Sendlog) && !covers("one", Side::Kafka));
    }
}
