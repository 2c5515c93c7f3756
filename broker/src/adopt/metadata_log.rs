//! What the cluster's metadata log (KRaft) says of topics: ids, partitions, settings.
//!
//! `__cluster_metadata-0` lies in a log directory of every broker and controller. Its records are framed messages
//! (KIP-631): version of the frame, type and version of the record as unsigned varints, then the record in the flexible
//! encoding of the protocol. Of the types only those that make and unmake topics and settings are looked at. A snapshot
//! (`OFFSET-EPOCH.checkpoint`) has batches of the same records, which stand for the log up to its offset.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sendlog_protocol::records::{BATCH_HEADER_SIZE, BatchHeader, check_stored, read_records};
use sendlog_protocol::wire::{DecodeError, Reader};
use uuid::Uuid;

use super::error::AdoptError;

/// Folder of the metadata log.
pub(super) const FOLDER: &str = "__cluster_metadata-0";

/// Larger batches are not written there (the controller's are at most 8 MiB).
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Record types (`metadata/src/main/resources/common/metadata`).
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const REMOVE_TOPIC: u32 = 9;

/// Type of a topic's settings (`org.apache.kafka.common.config.ConfigResource`).
const TOPIC_RESOURCE: i8 = 2;

/// A topic of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClusterTopic {
    pub(super) name: String,
    pub(super) partitions: i32,
}

/// Topics and their settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) topics: HashMap<Uuid, ClusterTopic>,
    settings: HashMap<String, BTreeMap<String, String>>,
}

impl Cluster {
    /// What a topic sets itself.
    pub(super) fn settings_of(&self, topic: &str) -> BTreeMap<String, String> {
        self.settings.get(topic).cloned().unwrap_or_default()
    }

    fn apply(&mut self, value: Bytes) -> Result<(), DecodeError> {
        let mut reader = Reader::new(value);
        let _frame_version = reader.unsigned_varint()?;
        let kind = reader.unsigned_varint()?;
        let _version = reader.unsigned_varint()?;
        match kind {
            TOPIC => {
                let name = reader.nullable_string(true)?.unwrap_or_default();
                let id = reader.uuid()?;
                self.topics.insert(id, ClusterTopic { name, partitions: 0 });
            }
            PARTITION => {
                let partition = reader.i32()?;
                if let Some(topic) = self.topics.get_mut(&reader.uuid()?) {
                    topic.partitions = topic.partitions.max(partition.saturating_add(1));
                }
            }
            CONFIG => {
                let resource = reader.i8()?;
                let name = reader.nullable_string(true)?.unwrap_or_default();
                let key = reader.nullable_string(true)?.unwrap_or_default();
                let value = reader.nullable_string(true)?;
                if resource == TOPIC_RESOURCE {
                    let settings = self.settings.entry(name).or_default();
                    match value {
                        Some(value) => settings.insert(key, value),
                        None => settings.remove(&key),
                    };
                }
            }
            REMOVE_TOPIC => {
                if let Some(topic) = self.topics.remove(&reader.uuid()?) {
                    self.settings.remove(&topic.name);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads the newest snapshot and the log behind it. None if `dir` has no metadata log. With `is_torn_end_allowed` it ends
/// before the first bad batch of the last segment.
pub(super) fn read(dir: &Path, is_torn_end_allowed: bool) -> Result<Option<Cluster>, AdoptError> {
    let folder = dir.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries.collect::<Result<Vec<_>, _>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error),
    };
    let entries = entries.map_err(AdoptError::io(&folder, "list"))?;
    let names: Vec<String> =
        entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let mut cluster = Cluster::default();
    let mut from_offset = 0;
    let snapshots = names.iter().filter_map(|name| Some((snapshot_offset(name)?, name)));
    if let Some((end_offset, name)) = snapshots.max() {
        read_file(&folder.join(name), 0, false, &mut cluster)?;
        from_offset = end_offset;
    }
    let mut segments: Vec<&String> = names.iter().filter(|name| segment_base(name).is_some()).collect();
    segments.sort();
    for (at, name) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        read_file(&folder.join(name), from_offset, is_last && is_torn_end_allowed, &mut cluster)?;
    }
    Ok(Some(cluster))
}

/// The offset up to which a snapshot stands for the log.
fn snapshot_offset(name: &str) -> Option<i64> {
    let (offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
    epoch.parse::<i32>().ok()?;
    offset.parse().ok()
}

fn segment_base(name: &str) -> Option<i64> {
    name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok()
}

fn read_file(
    path: &Path,
    from_offset: i64,
    may_be_torn: bool,
    cluster: &mut Cluster,
) -> Result<(), AdoptError> {
    let file = File::open(path).map_err(AdoptError::io(path, "open"))?;
    let mut batches = Batches { path: path.to_path_buf(), input: BufReader::new(file), position: 0 };
    loop {
        let batch = match batches.next() {
            Ok(Some(batch)) => batch,
            Err(AdoptError::Metadata { .. }) if may_be_torn => return Ok(()),
            other => match other? {
                Some(batch) => batch,
                None => return Ok(()),
            },
        };
        let header = BatchHeader::read(&batch).map_err(|error| batches.damaged(error.to_string()))?;
        if header.attributes.is_control() || header.last_offset() < from_offset {
            continue;
        }
        let records =
            read_records(&batch, BATCH_BYTES_MAX).map_err(|error| batches.damaged(error.to_string()))?;
        for record in records {
            let record = record.map_err(|error| batches.damaged(error.to_string()))?;
            let value = record.value.unwrap_or_default();
            cluster.apply(value).map_err(|error| batches.damaged(format!("{error} in a metadata record")))?;
        }
    }
}

/// The batches of a file, each checked.
struct Batches {
    path: PathBuf,
    input: BufReader<File>,
    position: u64,
}

impl Batches {
    fn next(&mut self) -> Result<Option<Bytes>, AdoptError> {
        let mut bytes = Vec::new();
        self.read_to(&mut bytes, BATCH_HEADER_SIZE)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let size = BatchHeader::read(&bytes).map_err(|error| self.damaged(error.to_string()))?.size();
        if BATCH_BYTES_MAX < size {
            return Err(self.damaged(format!("a batch of {size} bytes")));
        }
        self.read_to(&mut bytes, size)?;
        check_stored(&bytes).map_err(|error| self.damaged(error.to_string()))?;
        self.position += size as u64;
        Ok(Some(bytes.into()))
    }

    /// Extends `bytes` to `len`, or less at the end of the file.
    fn read_to(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<(), AdoptError> {
        let missing = (len - bytes.len()) as u64;
        let read = self.input.by_ref().take(missing).read_to_end(bytes);
        read.map(drop).map_err(AdoptError::io(&self.path, "read"))
    }

    fn damaged(&self, reason: String) -> AdoptError {
        AdoptError::Metadata { path: self.path.clone(), position: self.position, reason }
    }
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::records::{
        BatchBuilder, Compression, NewRecord, ProducerStamp, patch_offset_and_epoch,
    };
    use sendlog_protocol::wire::Writer;

    use super::*;

    fn framed(kind: u32, write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::new();
        for word in [1, kind, 0] {
            writer.unsigned_varint(word);
        }
        write(&mut writer);
        // No tagged fields.
        writer.unsigned_varint(0);
        writer.into_bytes().to_vec()
    }

    fn topic(name: &str, id: u128) -> Vec<u8> {
        framed(TOPIC, |out| {
            out.nullable_string(Some(name), true).unwrap();
            out.uuid(Uuid::from_u128(id));
        })
    }

    fn partition(index: i32, id: u128) -> Vec<u8> {
        framed(PARTITION, |out| {
            out.i32(index);
            out.uuid(Uuid::from_u128(id));
        })
    }

    fn config(resource: i8, name: &str, value: Option<&str>) -> Vec<u8> {
        framed(CONFIG, |out| {
            out.i8(resource);
            out.nullable_string(Some(name), true).unwrap();
            out.nullable_string(Some("retention.ms"), true).unwrap();
            out.nullable_string(value, true).unwrap();
        })
    }

    fn remove(id: u128) -> Vec<u8> {
        framed(REMOVE_TOPIC, |out| out.uuid(Uuid::from_u128(id)))
    }

    fn batch(base_offset: i64, values: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for value in values {
            builder.add(&NewRecord { value: Some(value), ..NewRecord::default() }).unwrap();
        }
        let mut bytes = builder.build(Compression::None, ProducerStamp::NONE).unwrap().to_vec();
        patch_offset_and_epoch(&mut bytes, base_offset, 0);
        bytes
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(FOLDER)).unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(FOLDER).join(name), bytes).unwrap();
        }
        dir
    }

    #[test]
    fn topics_and_settings_are_those_that_are_left() {
        let records = [
            topic("a", 1),
            partition(0, 1),
            partition(2, 1),
            config(TOPIC_RESOURCE, "a", Some("7")),
            config(4, "a", Some("9")),
            topic("b", 2),
            config(TOPIC_RESOURCE, "b", Some("8")),
            remove(2),
            topic("c", 3),
            config(TOPIC_RESOURCE, "c", Some("8")),
            config(TOPIC_RESOURCE, "c", None),
            framed(99, |out| out.i32(5)),
        ];
        let dir = folder(&[("00000000000000000000.log", batch(0, &records))]);
        let cluster = read(dir.path(), false).unwrap().unwrap();
        assert_eq!(cluster.topics.len(), 2);
        let a = ClusterTopic { name: "a".into(), partitions: 3 };
        assert_eq!(cluster.topics[&Uuid::from_u128(1)], a);
        assert_eq!(cluster.settings_of("a"), [("retention.ms".into(), "7".into())].into());
        assert!(cluster.settings_of("b").is_empty() && cluster.settings_of("c").is_empty());
        assert_eq!(read(tempfile::tempdir().unwrap().path(), false).unwrap(), None);
    }

    #[test]
    fn a_snapshot_stands_for_the_log_before_it() {
        let dir = folder(&[
            ("00000000000000000003-0000000001.checkpoint", batch(0, &[topic("gone", 9)])),
            ("00000000000000000005-0000000001.checkpoint", batch(0, &[topic("new", 1)])),
            (
                "00000000000000000000.log",
                [batch(0, &[topic("old", 2)]), batch(5, &[topic("newer", 3)])].concat(),
            ),
        ]);
        let cluster = read(dir.path(), false).unwrap().unwrap();
        let mut names: Vec<_> = cluster.topics.values().map(|topic| topic.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["new", "newer"]);
    }

    #[test]
    fn a_torn_end_is_passed_over_only_after_a_crash() {
        let whole = batch(0, &[topic("a", 1)]);
        for torn in [&whole[..30], &whole[..whole.len() - 1]] {
            let dir = folder(&[("00000000000000000000.log", [&whole[..], torn].concat())]);
            assert_eq!(read(dir.path(), true).unwrap().unwrap().topics.len(), 1);
            let Err(AdoptError::Metadata { position, .. }) = read(dir.path(), false) else {
                panic!("a torn end was read")
            };
            assert_eq!(position, whole.len() as u64);
        }
    }
}
