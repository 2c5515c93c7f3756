//! The house rules, as a test: layers, unsafe, file sizes, dependencies explained.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file before its tests.
const FILE_LINES_MAX: usize = 500;

/// Files that may contain unsafe code, each with a reason.
const UNSAFE_ALLOWED: &[&str] = &[
    // The memory map of an index: docs/decisions/0002.
    "broker/src/storage/index_file.rs",
    // A counting global allocator is unsafe by its trait.
    "protocol/tests/decode_hostile.rs",
];

/// `(folder or file under broker/src, modules of the crate that it must not name)`.
const BROKER_LAYERS: &[(&str, &[&str])] = &[
    ("storage", &["api", "catalog", "config", "housekeeping", "net", "partition", "producer_ids"]),
    ("storage", &["scrubber", "server", "stop"]),
    ("storage", TOP),
    ("partition", &["api", "catalog", "housekeeping", "net", "producer_ids", "scrubber", "server"]),
    ("partition", TOP),
    ("producer_ids.rs", &["api", "catalog", "housekeeping", "net", "server"]),
    ("checkpoint", &["api", "catalog", "housekeeping", "net", "server"]),
    ("checkpoint", TOP),
    ("scrubber.rs", &["api", "housekeeping", "net", "server"]),
    ("cleaner", &["api", "housekeeping", "net", "server"]),
    ("cleaner", TOP),
    ("storage", &["cleaner"]),
    ("partition", &["cleaner"]),
    ("scrubber.rs", TOP),
    ("catalog", &["api", "housekeeping", "net", "scrubber", "server"]),
    ("catalog", TOP),
    ("coordinator", &["api", "housekeeping", "net", "producer_ids", "scrubber", "server"]),
    ("coordinator", TOP),
    ("config", &["api", "catalog", "housekeeping", "net", "partition", "producer_ids", "server", "storage"]),
    ("config", TOP),
    ("api", &["housekeeping", "net", "server"]),
    ("api", TOP),
    ("net", &["catalog", "config", "housekeeping", "partition", "producer_ids", "server"]),
    ("net", TOP),
    ("housekeeping", &["net", "server"]),
    ("housekeeping", TOP),
    ("server.rs", TOP),
    ("check", &["adopt", "api", "command", "config", "housekeeping", "net", "partition", "server"]),
    ("adopt", &["api", "check", "housekeeping", "net", "server"]),
];

/// What only the program itself uses.
const TOP: &[&str] = &["adopt", "check", "command"];

/// `(folder, words that must not stand in its code)`.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("broker/src/storage", &["tokio::", "error_code", "ErrorCode", "tracing::", "std::net"]),
    ("broker/src/net", &["storage::Log", "storage::segment", "storage::log"]),
    ("protocol/src", &["tokio::", "std::fs", "std::net", "std::io::stdout", "std::time::Instant"]),
    ("client/src", &["sendlog_broker"]),
];

/// Only this file may name the encoding of the state files.
const BINCODE_HOME: &str = "broker/src/storage/state_file.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

struct Source {
    path: String,
    /// The text before the unit tests, without comments.
    code: Vec<String>,
    whole: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["protocol", "broker", "client", "tests"] {
        collect(&root().join(folder), &mut found);
    }
    assert!(50 < found.len(), "the sources were not found");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", "fuzz"].contains(&name.as_str()) {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") {
            let whole = fs::read_to_string(&path).expect("a readable source");
            let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            let code = whole
                .lines()
                .take_while(|line| !line.starts_with("#[cfg(test)]"))
                .map(|line| line.split("//").next().unwrap_or_default().to_owned())
                .collect();
            found.push(Source { path: relative, code, whole });
        }
    }
}

fn complain(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn files_stay_small() {
    let long = |source: &Source| {
        let lines = source.whole.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        (FILE_LINES_MAX < lines).then(|| format!("{} has {lines} lines before its tests", source.path))
    };
    complain("at most 500 lines", &sources().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn unsafe_stays_where_it_is_allowed() {
    let mut findings = Vec::new();
    for source in sources() {
        if UNSAFE_ALLOWED.contains(&source.path.as_str()) {
            continue;
        }
        for (number, line) in source.whole.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
            if !source.path.ends_with("tidy.rs") && words.iter().any(|word| code.contains(word)) {
                findings.push(format!("{}:{}", source.path, number + 1));
            }
        }
    }
    complain("unsafe code outside of its files", &findings);
    for allowed in UNSAFE_ALLOWED {
        assert!(root().join(allowed).exists(), "{allowed} is gone: take it off the list");
    }
}

#[test]
fn layers_hold_in_the_broker() {
    let sources = sources();
    let mut findings = Vec::new();
    for (layer, forbidden) in BROKER_LAYERS {
        let folder = format!("broker/src/{layer}");
        let inside = |path: &str| {
            path == folder || path.starts_with(&format!("{folder}/")) || path == format!("{folder}.rs")
        };
        let files: Vec<&Source> = sources.iter().filter(|source| inside(&source.path)).collect();
        assert!(!files.is_empty(), "layer {layer} has no files: mend the table");
        for source in files {
            for (number, line) in source.code.iter().enumerate() {
                for module in *forbidden {
                    let names = [
                        format!("crate::{module}::"),
                        format!("crate::{module};"),
                        format!("crate::{{{module}"),
                    ];
                    if names.iter().any(|name| line.contains(name.as_str())) {
                        findings.push(format!("{}:{} uses {module}", source.path, number + 1));
                    }
                }
            }
        }
    }
    complain("imports against the layers of docs/ARCHITECTURE.md", &findings);
}

#[test]
fn folders_do_not_know_what_they_must_not() {
    let sources = sources();
    let mut findings = Vec::new();
    for (folder, words) in FORBIDDEN {
        for source in sources.iter().filter(|source| source.path.starts_with(&format!("{folder}/"))) {
            for (number, line) in source.code.iter().enumerate() {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    findings.push(format!("{}:{} names {word}", source.path, number + 1));
                }
            }
        }
    }
    let elsewhere = |source: &&Source| source.path.contains("/src/") && source.path != BINCODE_HOME;
    for source in sources.iter().filter(elsewhere) {
        if source.code.iter().any(|line| line.contains("bincode::")) {
            findings.push(format!("{} names bincode", source.path));
        }
    }
    complain("words that a folder must not know", &findings);
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let mut findings = Vec::new();
    for manifest in ["Cargo.toml", "protocol/Cargo.toml", "broker/Cargo.toml", "client/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
        let mut in_dependencies = false;
        let mut explained = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if line.starts_with('#') {
                explained = true;
            } else if line.is_empty() {
                explained = false;
            } else if in_dependencies && !explained && !line.starts_with("sendlog-") {
                findings.push(format!("{manifest}: {line}"));
            }
        }
    }
    complain("dependencies without a comment above them", &findings);
}

#[test]
fn the_lock_file_keeps_what_was_decided() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is committed");
    assert!(lock.contains("name = \"bincode\"\nversion = \"2.0.1\""), "bincode is pinned at 2.0.1");
    for unwanted in ["openssl-sys", "aws-lc-sys"] {
        assert!(!lock.contains(&format!("name = \"{unwanted}\"")), "{unwanted} came in");
    }
}
