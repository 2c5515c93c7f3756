//! What a broker has: every topic, and every batch that it gives out.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use uuid::Uuid;

use crate::batches;
use crate::kafka::{Kafka, error_name};

/// Kafka's code for an offset below the log's start, or behind its end.
const OFFSET_OUT_OF_RANGE: i16 = 1;
/// Kafka's code for a range that cannot be read.
const CORRUPT_MESSAGE: i16 = 2;

/// All that a broker has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Topics by name.
    pub topics: BTreeMap<String, FoundTopic>,
    /// Committed offsets by group, topic and partition.
    pub offsets: BTreeMap<(String, String, i32), i64>,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTopic {
    /// Its id.
    pub id: Uuid,
    /// One for each partition.
    pub logs: Vec<FoundLog>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundLog {
    /// Log start offset.
    pub start: i64,
    /// High watermark.
    pub end: i64,
    /// The batches, as they are stored.
    pub batches: Vec<Bytes>,
    /// Offsets that are set aside: damage that is answered as such, or passed over.
    pub holes: Vec<Range<i64>>,
}

impl Survey {
    /// Reads everything.
    ///
    /// # Errors
    /// When the broker ends, or answers a fetch with an error that is not about damage.
    pub fn of(kafka: &mut Kafka) -> io::Result<Self> {
        let mut topics = BTreeMap::new();
        // What is in the broker's own topics is asked for as what it means.
        for topic in kafka.all_topics().into_iter().filter(|topic| !topic.is_internal) {
            let name = topic.name.unwrap_or_default();
            let mut logs = Vec::new();
            for partition in 0..i32::try_from(topic.partitions.len()).map_err(io::Error::other)? {
                logs.push(read(kafka, &name, partition)?);
            }
            topics.insert(name, FoundTopic { id: topic.topic_id, logs });
        }
        Ok(Self { topics, offsets: kafka.all_offsets() })
    }

    /// How many ranges are set aside.
    pub fn holes(&self) -> usize {
        self.topics.values().flat_map(|topic| &topic.logs).map(|log| log.holes.len()).sum()
    }
}

/// Reads a partition; once more where retention overtakes it.
fn read(kafka: &mut Kafka, topic: &str, partition: i32) -> io::Result<FoundLog> {
    let mut start = -1;
    loop {
        let found = read_once(kafka, topic, partition)?;
        match found {
            Ok(log) => return Ok(log),
            Err(overtaken) if start < overtaken => start = overtaken,
            Err(_) => {
                return Err(io::Error::other(format!("{topic}-{partition}: out of range within the log")));
            }
        }
    }
}

/// The log, or the start that was overtaken.
fn read_once(kafka: &mut Kafka, topic: &str, partition: i32) -> io::Result<Result<FoundLog, i64>> {
    let (start, end) = (kafka.offset_in(topic, partition, -2), kafka.offset_in(topic, partition, -1));
    let mut log = FoundLog { start, end, ..FoundLog::default() };
    let mut next = start;
    // Where damage began that nothing readable has followed yet.
    let mut damage = None;
    while next < end {
        let fetched = kafka.fetch(topic, partition, next)?;
        let what = || format!("{topic}-{partition} at {next} of {start}..{end}");
        match fetched.error_code {
            0 if fetched.batches.is_empty() => {
                return Err(io::Error::other(format!("{}: nothing is answered", what())));
            }
            0 => {}
            OFFSET_OUT_OF_RANGE => return Ok(Err(start)),
            CORRUPT_MESSAGE => {
                damage = damage.or(Some(next));
                next += 1;
                continue;
            }
            code => return Err(io::Error::other(format!("{}: {}", what(), error_name(code)))),
        }
        for batch in fetched.batches {
            let header = batches::header(&batch);
            if let Some(from) = damage.take() {
                log.holes.push(from..header.base_offset);
            }
            next = header.next_offset();
            match header.record_count {
                0 => log.holes.push(header.base_offset..next),
                _ => log.batches.push(batch),
            }
        }
    }
    log.holes.extend(damage.map(|from| from..end));
    Ok(Ok(log))
}
