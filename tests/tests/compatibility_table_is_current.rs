//! The rows and columns of `docs/compatibility.md` are those of the programs. Their cells are compared by the runs themselves.

use std::collections::BTreeSet;
use std::fs;

use sendlog_tests::compatibility::{self, sections};

#[test]
fn the_table_has_the_features_and_clients_of_the_programs() {
    let text = fs::read_to_string(compatibility::path()).expect("docs/compatibility.md is there");
    for section in sections() {
        let (_, rest) = text.split_once(&format!("\n## {}\n", section.title)).expect(section.title);
        let part = rest.split("\n## ").next().unwrap_or_default();
        let mut rows = part.lines().filter(|line| line.starts_with('|'));
        let heading = rows.next().expect("a heading");
        let clients: Vec<_> = section.clients().collect();
        assert_eq!(heading, format!("| | {} |", clients.join(" | ")), "{}", section.title);
        let features: BTreeSet<_> = section.features().collect();
        for row in rows.skip(1) {
            let feature = row.trim_matches('|').split('|').next().unwrap_or_default().trim();
            assert!(features.contains(feature), "{}: no program has {feature:?}", section.title);
            assert!(!row.contains("| no |"), "{feature} does not work");
        }
    }
}
