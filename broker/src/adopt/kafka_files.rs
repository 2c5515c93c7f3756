//! Kafka's text files: `log-start-offset-checkpoint` of a log directory, `leader-epoch-checkpoint` of a partition.
//!
//! Both are a version (0), a count, and as many lines (`org.apache.kafka.server.common.CheckpointFile`).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use super::error::AdoptError;

/// Larger files are none of these.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// First offsets by topic and partition, where they are not those of the first segments. Empty if there is no file.
pub(super) fn log_start_offsets(dir: &Path) -> Result<HashMap<(String, i32), i64>, AdoptError> {
    let mut starts = HashMap::new();
    read(&dir.join("log-start-offset-checkpoint"), |words| {
        let [topic, partition, offset] = words else { return None };
        starts.insert(((*topic).to_owned(), partition.parse().ok()?), offset.parse().ok()?);
        Some(())
    })?;
    Ok(starts)
}

/// Leader epochs with their first offsets, in the order of the file. None if there is no file.
pub(super) fn leader_epochs(folder: &Path) -> Result<Option<Vec<(i32, i64)>>, AdoptError> {
    let mut epochs = Vec::new();
    let is_there = read(&folder.join("leader-epoch-checkpoint"), |words| {
        let [epoch, start] = words else { return None };
        epochs.push((epoch.parse().ok()?, start.parse().ok()?));
        Some(())
    })?;
    Ok(is_there.then_some(epochs))
}

/// Calls `entry` with the words of each line; whether there is such a file.
fn read(path: &Path, mut entry: impl FnMut(&[&str]) -> Option<()>) -> Result<bool, AdoptError> {
    let size = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(AdoptError::io(path, "stat")(error)),
    };
    let wrong = |line, reason: &str| AdoptError::KafkaFile {
        path: path.to_path_buf(),
        line,
        reason: reason.to_owned(),
    };
    if FILE_BYTES_MAX < size {
        return Err(wrong(1, "the file is larger than any of its kind"));
    }
    let text = fs::read_to_string(path).map_err(AdoptError::io(path, "read"))?;
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(wrong(1, "the version is not 0"));
    }
    let count: Option<usize> = lines.next().and_then(|line| line.trim().parse().ok());
    let count = count.ok_or_else(|| wrong(2, "there is no count"))?;
    let mut found = 0;
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        found += 1;
        entry(&words).ok_or_else(|| wrong(found + 2, "the line is not as it must be"))?;
    }
    if found != count {
        return Err(wrong(2, "the count is not that of the lines"));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_read_and_wrong_ones_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        assert!(log_start_offsets(dir.path()).unwrap().is_empty());
        assert_eq!(leader_epochs(dir.path()).unwrap(), None);
        let starts = dir.path().join("log-start-offset-checkpoint");
        fs::write(&starts, "0\n2\na-b 0 17\nc 12 9\n").unwrap();
        let found = log_start_offsets(dir.path()).unwrap();
        assert_eq!((found[&("a-b".to_owned(), 0)], found[&("c".to_owned(), 12)]), (17, 9));
        fs::write(dir.path().join("leader-epoch-checkpoint"), "0\n2\n0 0\n3 50\n").unwrap();
        assert_eq!(leader_epochs(dir.path()).unwrap(), Some(vec![(0, 0), (3, 50)]));
        let wrong = [("", 1), ("1\n0\n", 1), ("0\nx\n", 2), ("0\n2\na 0 1\n", 2), ("0\n2\na 0 1\nb 1\n", 4)];
        for (text, at) in wrong {
            fs::write(&starts, text).unwrap();
            let Err(AdoptError::KafkaFile { line, .. }) = log_start_offsets(dir.path()) else {
                panic!("{text:?} was read")
            };
            assert_eq!(line, at, "{text:?}");
        }
    }
}
