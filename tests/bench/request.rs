//! The two hot requests as prebuilt frames, and their answers read at fixed places: Produce 7 and Fetch 11, which every
//! Kafka since 2.1 and every broker of today serves, and which name topics by name.

use std::io::{self, Read};

use crate::batch::Batch;
use crate::wire::{FrameReader, FrameWriter, check, patch_correlation};

/// Size of [`ProduceFrame`] without its record batch, for one partition of a topic of that name: what the append floor skips.
pub fn produce_prefix(topic: &str) -> usize {
    produce_frame(topic, &[0], &[], -1).len()
}

/// A Produce request that is sent again and again.
pub struct ProduceFrame {
    pub bytes: Vec<u8>,
}

impl ProduceFrame {
    /// The same batch for each of `partitions`, acks=all.
    pub fn new(topic: &str, partitions: &[i32], batch: &Batch) -> Self {
        Self { bytes: produce_frame(topic, partitions, &batch.bytes, -1) }
    }

    pub fn set_correlation(&mut self, correlation_id: i32) {
        patch_correlation(&mut self.bytes, correlation_id);
    }
}

fn produce_frame(topic: &str, partitions: &[i32], batch: &[u8], acks: i16) -> Vec<u8> {
    let mut frame = FrameWriter::request(0, 7);
    frame.i16(-1); // no transaction
    frame.i16(acks);
    frame.i32(30_000);
    frame.count(1);
    frame.string(topic);
    frame.count(partitions.len());
    for partition in partitions {
        frame.i32(*partition);
        frame.bytes(batch);
    }
    frame.finish()
}

/// What a Produce answer says.
pub struct ProduceAnswer {
    pub correlation_id: i32,
    /// Of the first partition named.
    pub base_offset: i64,
}

/// Reads a Produce 7 answer (without the 4-byte length); any error code in it is an error.
pub fn read_produce_answer(frame: &[u8]) -> io::Result<ProduceAnswer> {
    let mut frame = FrameReader::new(frame);
    let correlation_id = frame.i32()?;
    let mut first_offset = None;
    for _ in 0..frame.count()? {
        frame.string()?;
        for _ in 0..frame.count()? {
            frame.i32()?;
            check(frame.i16()?, "a produce request")?;
            let base_offset = frame.i64()?;
            first_offset.get_or_insert(base_offset);
            frame.i64()?;
            frame.i64()?;
        }
    }
    let base_offset = first_offset.ok_or_else(|| io::Error::other("produce answer without a partition"))?;
    Ok(ProduceAnswer { correlation_id, base_offset })
}

/// What a fetch asks for.
#[derive(Clone, Copy)]
pub struct FetchPlan {
    pub bytes_max: i32,
    pub wait_ms_max: i32,
    pub bytes_min: i32,
}

/// A Fetch request for one partition that is sent again and again, with another offset each time.
pub struct FetchFrame {
    pub bytes: Vec<u8>,
    topic: String,
}

impl FetchFrame {
    /// Bytes after the fetch offset: log start, partition bytes, forgotten topics, rack.
    pub const OFFSET_FROM_END: usize = 26;
    /// Bytes from the partition's maximum to the end.
    pub const BYTES_MAX_FROM_END: usize = 10;

    pub fn new(topic: &str, partition: i32, plan: FetchPlan) -> Self {
        let mut frame = FrameWriter::request(1, 11);
        frame.i32(-1); // a consumer, no replica
        frame.i32(plan.wait_ms_max);
        frame.i32(plan.bytes_min);
        frame.i32(plan.bytes_max);
        frame.i8(0);
        frame.i32(0); // no session
        frame.i32(-1);
        frame.count(1);
        frame.string(topic);
        frame.count(1);
        frame.i32(partition);
        frame.i32(-1);
        frame.i64(0);
        frame.i64(-1);
        frame.i32(plan.bytes_max);
        frame.count(0);
        frame.string("");
        Self { bytes: frame.finish(), topic: topic.to_owned() }
    }

    pub fn set(&mut self, correlation_id: i32, offset: i64) {
        patch_correlation(&mut self.bytes, correlation_id);
        let at = self.bytes.len() - Self::OFFSET_FROM_END;
        self.bytes[at..at + 8].copy_from_slice(&offset.to_be_bytes());
    }

    /// Reads what precedes the records of the answer and returns how many bytes of records follow on the stream.
    pub fn read_answer_head(&self, stream: &mut impl Read) -> io::Result<usize> {
        let mut head = vec![0; answer_head_bytes(&self.topic)];
        stream.read_exact(&mut head)?;
        let mut frame = FrameReader::new(&head);
        let length = frame.count()?;
        frame.i32()?;
        frame.i32()?;
        check(frame.i16()?, "a fetch request")?;
        frame.i32()?;
        let topics = frame.count()?;
        frame.string()?;
        let partitions = frame.count()?;
        frame.i32()?;
        check(frame.i16()?, "a fetch of a partition")?;
        for _ in 0..3 {
            frame.i64()?;
        }
        let aborted = frame.count()?;
        frame.i32()?;
        let records = frame.count()?;
        if topics != 1 || partitions != 1 || aborted != 0 || length + 4 != head.len() + records {
            return Err(io::Error::other("fetch answer of another shape than one partition, none aborted"));
        }
        Ok(records)
    }
}

/// What precedes the records in a Fetch 11 answer with one partition and no aborted transaction.
pub fn fetch_answer_head(topic: &str) -> Vec<u8> {
    let mut head = vec![0; 4 + 4 + 4 + 2 + 4];
    head.extend_from_slice(&1i32.to_be_bytes());
    let topic_bytes = i16::try_from(topic.len()).expect("the bench's topic names are short");
    head.extend_from_slice(&topic_bytes.to_be_bytes());
    head.extend_from_slice(topic.as_bytes());
    head.extend_from_slice(&1i32.to_be_bytes());
    head.extend_from_slice(&[0; 4 + 2 + 3 * 8 + 4]);
    head.extend_from_slice(&(-1i32).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    head
}

fn answer_head_bytes(topic: &str) -> usize {
    fetch_answer_head(topic).len()
}

/// A Produce 7 answer for one partition, frame length included; correlation id at 4, base offset at [`PRODUCE_OFFSET_FROM_END`].
pub fn produce_answer(topic: &str) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend_from_slice(&1i32.to_be_bytes());
    let topic_bytes = i16::try_from(topic.len()).expect("the bench's topic names are short");
    body.extend_from_slice(&topic_bytes.to_be_bytes());
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(&1i32.to_be_bytes());
    body.extend_from_slice(&[0; 4 + 2 + 8]);
    body.extend_from_slice(&(-1i64).to_be_bytes());
    body.extend_from_slice(&[0; 8 + 4]);
    let length = i32::try_from(body.len() - 4).expect("an answer is short");
    body[..4].copy_from_slice(&length.to_be_bytes());
    body
}

/// From the base offset of a [`produce_answer`] to its end.
pub const PRODUCE_OFFSET_FROM_END: usize = 28;

#[cfg(test)]
mod tests {
    use super::{
        FetchFrame, FetchPlan, PRODUCE_OFFSET_FROM_END, fetch_answer_head, produce_answer,
        read_produce_answer,
    };

    #[test]
    fn produce_answers_of_the_floor_are_read_by_the_generator() {
        let mut answer = produce_answer("bench-000001");
        answer[4..8].copy_from_slice(&7i32.to_be_bytes());
        let at = answer.len() - PRODUCE_OFFSET_FROM_END;
        answer[at..at + 8].copy_from_slice(&99i64.to_be_bytes());
        let read = read_produce_answer(&answer[4..]).expect("well formed");
        assert_eq!((read.correlation_id, read.base_offset), (7, 99));
    }

    #[test]
    fn fetch_answers_of_the_floor_are_read_by_the_generator() {
        let plan = FetchPlan { bytes_max: 1 << 20, wait_ms_max: 0, bytes_min: 1 };
        let frame = FetchFrame::new("bench-000001", 0, plan);
        let mut head = fetch_answer_head("bench-000001");
        let end = head.len();
        head[end - 4..].copy_from_slice(&500i32.to_be_bytes());
        let length = i32::try_from(end - 4 + 500).expect("small");
        head[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(frame.read_answer_head(&mut head.as_slice()).expect("well formed"), 500);
    }
}
