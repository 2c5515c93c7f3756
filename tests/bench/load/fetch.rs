//! Closed-loop fetch: one request at a time, as consumers do, round and round through a partition of equal batches.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::net::{RecvFlags, recv};

use crate::connection::Endpoint;
use crate::meter::{Latencies, Meter, no_latencies};
use crate::request::{FetchFrame, FetchPlan};

/// Fits the L2 cache, so that a copy is read once and written once.
const COPY_BYTES: usize = 256 << 10;
/// Never touched: the kernel discards.
const DISCARD_BYTES: usize = 4 << 20;

/// A partition filled with equal batches.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub topic: String,
    pub batches: i64,
    pub batch_bytes: usize,
    pub batch_records: i64,
}

impl Loaded {
    fn end_offset(&self) -> i64 {
        self.batches * self.batch_records
    }
}

/// How a reader takes the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Copies them out of the socket, as a real client does.
    Copy,
    /// Lets the kernel discard them (MSG_TRUNC): the sender's upper bound.
    Discard,
}

/// One reader.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub endpoint: &'a Endpoint,
    pub loaded: &'a Loaded,
    pub request_bytes: i32,
    pub take: Take,
    /// First batch to read: readers are spread over the log, so that none lives off another's cache lines.
    pub first_batch: i64,
}

impl Reader<'_> {
    /// Reads until the meter is stopped.
    pub fn run(&self, meter: &Meter) -> io::Result<Latencies> {
        let plan = FetchPlan { bytes_max: self.request_bytes, wait_ms_max: 500, bytes_min: 1 };
        let mut stream = self.endpoint.connect()?;
        let mut frame = FetchFrame::new(&self.loaded.topic, 0, plan);
        let mut buffer = match self.take {
            Take::Copy => vec![0; COPY_BYTES],
            Take::Discard => vec![0; DISCARD_BYTES],
        };
        let end = self.loaded.end_offset();
        let mut offset = self.first_batch * self.loaded.batch_records % end;
        while !meter.is_stopped() {
            frame.set(0, offset);
            stream.write_all(&frame.bytes)?;
            let records = frame.read_answer_head(&mut stream)?;
            self.take_records(&mut stream, &mut buffer, records, meter)?;
            meter.add_operation();
            // Kafka may cut the last batch short; the next request then starts with that batch.
            let batches = i64::try_from(records / self.loaded.batch_bytes).map_err(io::Error::other)?;
            if batches == 0 {
                return Err(io::Error::other(format!("nothing answered at offset {offset}, end {end}")));
            }
            offset = (offset + batches * self.loaded.batch_records) % end;
        }
        Ok(no_latencies())
    }

    fn take_records(
        &self,
        stream: &mut TcpStream,
        buffer: &mut [u8],
        mut left: usize,
        meter: &Meter,
    ) -> io::Result<()> {
        while 0 < left {
            let want = left.min(buffer.len());
            let got = match self.take {
                Take::Copy => stream.read(&mut buffer[..want])?,
                Take::Discard => recv(&mut *stream, &mut buffer[..want], RecvFlags::TRUNC)?.0,
            };
            if got == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "connection closed inside an answer",
                ));
            }
            left -= got;
            meter.add_bytes(got);
        }
        Ok(())
    }
}

/// A consumer at the tail: long polls from `offset` on and says what it saw when. Ends once it has seen `until`.
pub struct Tail<'a> {
    pub endpoint: &'a Endpoint,
    pub loaded: &'a Loaded,
    pub offset: i64,
    pub until: i64,
}

/// Batches that arrived together.
pub struct Seen {
    /// Offset behind the last record seen.
    pub end: i64,
    pub at: std::time::Instant,
}

impl Tail<'_> {
    /// Runs to the end; gives up when nothing came for ten polls of half a second.
    pub fn run(&self) -> io::Result<Vec<Seen>> {
        let plan = FetchPlan { bytes_max: 1 << 20, wait_ms_max: 500, bytes_min: 1 };
        let mut stream = self.endpoint.connect()?;
        let mut frame = FetchFrame::new(&self.loaded.topic, 0, plan);
        let mut buffer = vec![0; 1 << 20];
        let mut seen = Vec::new();
        let mut offset = self.offset;
        let mut empty_polls = 0;
        while offset < self.until && empty_polls < 10 {
            frame.set(0, offset);
            stream.write_all(&frame.bytes)?;
            let records = frame.read_answer_head(&mut stream)?;
            let target =
                buffer.get_mut(..records).ok_or_else(|| io::Error::other("answer above the limit"))?;
            stream.read_exact(target)?;
            let batches = i64::try_from(records / self.loaded.batch_bytes).map_err(io::Error::other)?;
            empty_polls = if batches == 0 { empty_polls + 1 } else { 0 };
            offset += batches * self.loaded.batch_records;
            seen.push(Seen { end: offset, at: std::time::Instant::now() });
        }
        Ok(seen)
    }
}
