//! Names of the files in a partition folder, as Apache Kafka has them.

use std::path::{Path, PathBuf};

/// Record batches.
pub(crate) const LOG: &str = "log";
/// Offset index.
pub(crate) const INDEX: &str = "index";
/// Time index.
pub(crate) const TIME_INDEX: &str = "timeindex";
/// What is known of a sealed segment; ours, Kafka ignores it.
pub(crate) const SEAL: &str = "seal";
/// Added to the name of a file that is about to be removed.
pub(crate) const DELETED: &str = "deleted";
/// Which segments a compacted one replaces; ours, and there only while it does.
pub(crate) const REPLACES: &str = "replaces";
/// Added to the name of a compacted segment before it has taken the place of others, as Kafka does.
pub(crate) const CLEANED: &str = "cleaned";
/// Topic id of the folder.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";

const DIGITS: usize = 20;

/// `00000000000000000042.log` and the like.
pub(crate) fn segment_file(dir: &Path, base_offset: i64, extension: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}.{extension}"))
}

/// The base offset of a file with that extension; none if the name is not exactly of that form.
pub(crate) fn base_offset_of(name: &str, extension: &str) -> Option<i64> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Whether a name is one that we give to a file about to be removed, or not yet finished.
pub(crate) fn is_leftover(name: &str) -> bool {
    let is_ours = |stem: &str, extensions: &[&str]| {
        extensions.iter().any(|extension| base_offset_of(stem, extension).is_some())
    };
    let deleted = name.strip_suffix(DELETED).and_then(|stem| stem.strip_suffix('.'));
    let temporary = name.strip_suffix(".tmp");
    let cleaned = name.strip_suffix(CLEANED).and_then(|stem| stem.strip_suffix('.'));
    deleted.is_some_and(|stem| is_ours(stem, &[LOG, INDEX, TIME_INDEX, SEAL]))
        || temporary.is_some_and(|stem| is_ours(stem, &[LOG, INDEX, TIME_INDEX, SEAL, REPLACES]))
        || cleaned.is_some_and(|stem| is_ours(stem, &[LOG]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas_and_foreign_ones_are_not_ours() {
        let path = segment_file(Path::new("data/t-0"), 42, LOG);
        assert_eq!(path, Path::new("data/t-0/00000000000000000042.log"));
        assert_eq!(base_offset_of("00000000000000000042.log", LOG), Some(42));
        assert_eq!(base_offset_of(&format!("{:020}.log", i64::MAX), LOG), Some(i64::MAX));
        for name in [
            "42.log",
            "00000000000000000042.log.deleted",
            "00000000000000000042.index",
            "0000000000000000004x.log",
            "+0000000000000000042.log",
            "99999999999999999999.log",
            ".log",
            "",
        ] {
            assert_eq!(base_offset_of(name, LOG), None, "{name}");
        }
    }
}
