//! `docs/configuration.md` has one row for every setting, and no other.

use super::broker_scope::is_dynamic;
use super::broker_table::SECTIONS;
use super::client_metrics::CLIENT_METRICS_SETTINGS;
use super::elsewhere::{REFUSED, WITHOUT_EFFECT};
use super::group_config::GROUP_SETTINGS;
use super::setting::Setting;
use super::topic_table::{Support, TOPIC_SETTINGS, TopicSetting};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");

fn row(setting: &Setting, doc: &str) -> String {
    let default = match setting.default {
        None => "unset".to_owned(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    };
    let unit = if setting.unit.is_empty() { String::new() } else { format!(", {}", setting.unit) };
    let kind = setting.kind.type_name().to_lowercase();
    format!("| `{}` | {kind}{unit} | {default} | {} | {doc} |", setting.name, setting.kind.bounds())
}

fn broker_row(setting: &Setting) -> String {
    match is_dynamic(setting.name) {
        true => row(setting, &format!("{} *Dynamic.*", setting.doc)),
        false => row(setting, setting.doc),
    }
}

fn topic_row(known: &TopicSetting) -> String {
    let doc = match known.support {
        Support::Full => known.setting.doc.to_owned(),
        Support::Accepted(note) => format!("{} *{note}*", known.setting.doc),
        Support::DefaultOnly(why) => format!("{} *Only the default: {why}.*", known.setting.doc),
    };
    row(&known.setting, &doc)
}

/// Every row that the tables of the document must have, in order.
fn expected() -> Vec<String> {
    let mut rows = Vec::new();
    for section in SECTIONS {
        rows.extend(section.settings.iter().map(broker_row));
    }
    rows.extend(TOPIC_SETTINGS.iter().map(topic_row));
    rows.extend(GROUP_SETTINGS.iter().map(|known| row(&known.setting, known.setting.doc)));
    rows.extend(CLIENT_METRICS_SETTINGS.iter().map(|setting| row(setting, setting.doc)));
    for (name, why) in WITHOUT_EFFECT.iter().chain(REFUSED) {
        rows.push(format!("| `{name}` | {why} |"));
    }
    rows
}

#[test]
fn the_document_lists_every_setting_and_no_other() {
    let text = std::fs::read_to_string(DOCUMENT).expect("docs/configuration.md is in the repository");
    let documented: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected = expected();
    for row in &expected {
        assert!(documented.contains(&row.as_str()), "docs/configuration.md should have the line\n{row}\n");
    }
    for row in &documented {
        let is_known = expected.iter().any(|known| known == row);
        assert!(is_known, "docs/configuration.md has a row that no setting has\n{row}\n");
    }
    assert_eq!(documented.len(), expected.len(), "a row of docs/configuration.md is there twice");
    for section in SECTIONS {
        assert!(text.contains(&format!("## {}", section.title)), "no section {}", section.title);
    }
}
