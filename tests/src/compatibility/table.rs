//! The tables as Markdown, written and read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::features::{CLIENTS, Section, sections};
use super::results::{Column, Results};

const INTRODUCTION: &str = "# Compatibility

What the conformance runs show, client by client: every `yes` is at least one check of `tests/conformance`, run against
the broker by `cargo test` ([testing](testing.md#conformance-real-clients-against-the-broker)). An empty cell: the client
has no such call, or its program no such check.

This file is made by `cargo run -p sendlog-tests --bin compatibility-table` from the results of
`cargo test -p sendlog-tests --test 'conformance_*'`. Runs and the test `compatibility_table_is_current` compare it with
what they do.
";

/// Where the committed table is.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md")
}

/// Section by section, client by client: the features that work.
#[derive(Debug, Eq, PartialEq)]
pub struct Table {
    sections: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Table {
    /// The text of `docs/compatibility.md`.
    ///
    /// # Errors
    /// With the clients that have no results.
    pub fn render(results: &Results) -> Result<String, String> {
        let missing: Vec<_> = CLIENTS
            .iter()
            .map(|(client, _)| *client)
            .filter(|c| !results.versions.contains_key(*c))
            .collect();
        if !missing.is_empty() {
            return Err(format!("no results of {}: run the conformance tests", missing.join(", ")));
        }
        let mut text = INTRODUCTION.to_owned();
        for section in sections() {
            text += &rendered(&section, results);
        }
        text += "\n## Versions\n\n| client | version |\n| --- | --- |\n";
        for (client, _) in CLIENTS {
            text += &format!("| {client} | {} |\n", results.versions[*client]);
        }
        Ok(text)
    }

    /// Reads such a text.
    pub fn parse(text: &str) -> Self {
        let mut sections = BTreeMap::new();
        for part in text.split("\n## ").skip(1) {
            let (title, rest) = part.split_once('\n').unwrap_or((part, ""));
            let mut rows = rest.lines().filter(|line| line.starts_with('|')).map(cells);
            let clients = rows.next().unwrap_or_default();
            let mut columns: BTreeMap<String, BTreeSet<String>> =
                clients.iter().skip(1).map(|client| (client.clone(), BTreeSet::new())).collect();
            for row in rows.skip(1) {
                let Some((feature, values)) = row.split_first() else { continue };
                for (client, _) in clients.iter().skip(1).zip(values).filter(|(_, value)| *value == "yes") {
                    columns.entry(client.clone()).or_default().insert(feature.clone());
                }
            }
            sections.insert(title.to_owned(), columns);
        }
        Self { sections }
    }

    /// Where a column of a run differs from this table.
    ///
    /// # Errors
    /// With the features on either side.
    pub fn compare(&self, client: &str, protocol: &str, column: &Column) -> Result<(), String> {
        let section = sections().into_iter().find(|section| section.protocol == protocol);
        let title = section.map(|section| section.title).unwrap_or_default();
        let committed = self.sections.get(title).and_then(|clients| clients.get(client)).cloned();
        let found: BTreeSet<String> = column.passed.iter().map(|feature| (*feature).to_owned()).collect();
        if committed.as_ref() == Some(&found) {
            return Ok(());
        }
        let committed = committed.unwrap_or_default();
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
        Err(format!(
            "docs/compatibility.md, {title}, {client}: only in the table {:?}, only in the run {:?}; \
             cargo run -p sendlog-tests --bin compatibility-table",
            only(&committed, &found),
            only(&found, &committed),
        ))
    }
}

fn rendered(section: &Section, results: &Results) -> String {
    let clients: Vec<_> = section.clients().collect();
    let mut text = format!("\n## {}\n\n| | {} |\n", section.title, clients.join(" | "));
    text += &format!("|{}\n", " --- |".repeat(clients.len() + 1));
    for feature in section.features() {
        let shown = |client: &&str| {
            let column = results.columns.get(&((*client).to_owned(), section.protocol));
            column.map_or("", |column| {
                match (column.passed.contains(feature), column.failed.contains(feature)) {
                    (true, _) => "yes",
                    (_, true) => "no",
                    _ => "",
                }
            })
        };
        let cells: Vec<_> = clients.iter().map(shown).collect();
        // A row that is empty everywhere is a feature that nobody has.
        if cells.iter().any(|cell| !cell.is_empty()) {
            text += &format!("| {feature} | {} |\n", cells.join(" | "));
        }
    }
    text
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::features::CLIENTS;
    use super::super::results::Results;
    use super::Table;

    fn results() -> Results {
        let mut results = Results::default();
        for (client, protocols) in CLIENTS {
            results.add(client, "1", "delete topics", true).expect("a known check");
            for protocol in *protocols {
                let kill = format!("{protocol}/broker killed under a group");
                results.add(client, "1", &kill, *client != "sarama").expect("a known check");
            }
        }
        results
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let results = results();
        let text = Table::render(&results).expect("all clients have results");
        let table = Table::parse(&text);
        for ((client, protocol), column) in &results.columns {
            if !(protocol.is_empty() && client == "kafka-go") {
                assert_eq!(table.compare(client, protocol, column), Ok(()), "{client} {protocol}\n{text}");
            }
        }
        let mut more = results.clone();
        more.add("kcat", "1", "unknown topic", true).expect("a known check");
        let column = &more.columns[&("kcat".to_owned(), "")];
        assert!(table.compare("kcat", "", column).is_err_and(|told| told.contains("unknown topics")));
        assert!(text.contains("| broker killed under a group | yes | yes | yes | no |"), "{text}");
    }

    #[test]
    fn a_client_without_results_is_named() {
        assert!(Table::render(&Results::default()).is_err_and(|told| told.contains("rskafka")));
    }
}
