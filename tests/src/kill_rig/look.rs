//! Reads that are recorded: all of a log after a restart, and its tail while it grows.

use std::io;

use sendlog_protocol::messages::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic, OffsetForLeaderEpochRequest,
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use super::failures::Failures;
use super::plan::Target;
use crate::batches;
use crate::checker::payload;
use crate::checker::{Event, Fetched, PositionKind, Recorder};
use crate::kafka::{self, Kafka, error_name};

const OFFSET_OUT_OF_RANGE: i16 = 1;

/// What a look at a whole log found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Base offsets of its batches.
    pub offsets: Vec<i64>,
    /// Their bytes.
    pub bytes: usize,
}

/// Reads a whole log, its leader epochs, and both of its ends.
///
/// # Errors
/// When the broker closes the connection.
pub fn at_all(
    kafka: &mut Kafka,
    recorder: &Recorder,
    failures: &Failures,
    target: &Target,
    client: u32,
) -> io::Result<Found> {
    let Target { log, topic, partition } = target;
    let since = recorder.now();
    let described = kafka.describe_topic(topic);
    let Some(known) = described.partitions.iter().find(|known| known.partition_index == *partition) else {
        failures.add(format!("{topic}-{partition} is not there: {}", error_name(described.error_code)));
        return Ok(Found::default());
    };
    let epoch = known.leader_epoch;
    recorder.record(&Event::Leader { log: *log, since, epoch });
    let since = recorder.now();
    let start = kafka.offset_in(topic, *partition, -2);
    recorder.record(&Event::Position { log: *log, since, kind: PositionKind::Start, offset: start });
    let mut found = Found::default();
    let mut next = start;
    loop {
        let since = recorder.now();
        let fetched = kafka.fetch(topic, *partition, next)?;
        if fetched.error_code != 0 {
            let why = error_name(fetched.error_code);
            failures.add(format!("{topic}-{partition} cannot be read at {next}: {why}"));
            return Ok(found);
        }
        found.bytes += fetched.batches.iter().map(bytes::Bytes::len).sum::<usize>();
        found.offsets.extend(fetched.batches.iter().map(|batch| batches::header(batch).base_offset));
        let from = next;
        next = record(recorder, target, (client, since, next), &fetched);
        if fetched.high_watermark <= next || next <= from {
            break;
        }
    }
    for asked in [epoch - 1, epoch].into_iter().filter(|epoch| 0 <= *epoch) {
        epoch_end(kafka, recorder, target, asked)?;
    }
    Ok(found)
}

/// Follows the tail of a log from an offset until the broker is gone; returns where it got to.
pub fn follow(
    kafka: &mut Kafka,
    recorder: &Recorder,
    failures: &Failures,
    target: &Target,
    (client, from): (u32, i64),
) -> i64 {
    let mut next = from;
    loop {
        let since = recorder.now();
        let Ok(fetched) = kafka.fetch_when_there(&target.topic, target.partition, next) else { return next };
        match fetched.error_code {
            0 => next = record(recorder, target, (client, since, next), &fetched),
            // Deleted meanwhile?
            OFFSET_OUT_OF_RANGE => {
                let Ok(start) = kafka.try_offset_in(&target.topic, target.partition, -2) else { return next };
                if start <= next {
                    failures.add(format!("{target:?} has no offset {next}, though it starts at {start}"));
                    return next;
                }
                next = start;
            }
            code => {
                failures.add(format!("{target:?} cannot be followed at {next}: {}", error_name(code)));
                return next;
            }
        }
    }
}

/// Deletes the records below an offset.
///
/// # Errors
/// When the broker closes the connection.
pub fn delete_below(
    kafka: &mut Kafka,
    recorder: &Recorder,
    failures: &Failures,
    target: &Target,
    below: i64,
) -> io::Result<()> {
    let request = recorder.record(&Event::DeleteRecords { log: target.log, below });
    let partitions = vec![DeleteRecordsPartition { partition_index: target.partition, offset: below }];
    let topics = vec![DeleteRecordsTopic { name: target.topic.clone(), partitions }];
    let answer = kafka.call(2, &DeleteRecordsRequest { topics, timeout_ms: 30_000 })?;
    let result = &answer.topics[0].partitions[0];
    if result.error_code == 0 {
        recorder.record(&Event::RecordsDeleted { request, start: result.low_watermark });
    } else {
        failures.add(format!("{target:?} below {below}: {}", error_name(result.error_code)));
    }
    Ok(())
}

fn record(
    recorder: &Recorder,
    target: &Target,
    (client, since, from): (u32, u64, i64),
    fetched: &kafka::Fetched,
) -> i64 {
    let seen: Vec<_> =
        fetched.batches.iter().map(|batch| payload::seen(batch, recorder.run(), target.log)).collect();
    let (start, end) = (fetched.log_start_offset, fetched.high_watermark);
    let event = Fetched { client, log: target.log, since, from, start, end, batches: 0 };
    recorder.record_fetch(event, &seen);
    fetched.batches.last().map_or(from, |last| batches::header(last).next_offset())
}

fn epoch_end(kafka: &mut Kafka, recorder: &Recorder, target: &Target, epoch: i32) -> io::Result<()> {
    let since = recorder.now();
    let partition = OffsetForLeaderPartition {
        partition: target.partition,
        leader_epoch: epoch,
        ..OffsetForLeaderPartition::default()
    };
    let topic = OffsetForLeaderTopic { topic: target.topic.clone(), partitions: vec![partition] };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] };
    let mut answer = kafka.call(4, &request)?;
    let found = answer.topics.swap_remove(0).partitions.swap_remove(0);
    // An epoch that never was has no end.
    if found.error_code == 0 && 0 <= found.end_offset {
        recorder.record(&Event::EpochEnd { log: target.log, since, epoch, end: found.end_offset });
    }
    Ok(())
}
