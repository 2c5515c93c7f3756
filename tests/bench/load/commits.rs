//! Groups that commit offsets, each over a connection of its own and one request at a time.

use std::io::{self, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::{Answers, Endpoint, exchange};
use crate::meter::{Latencies, Meter, no_latencies, record};
use crate::wire::{FrameReader, FrameWriter, check};

/// From the offset in a frame to its end: offset, leader epoch, no metadata.
const OFFSET_FROM_END: usize = 14;
/// A coordinator that is not there yet, or still reads its groups.
const TRY_AGAIN: [i16; 3] = [14, 15, 16];
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// What one thread commits.
#[derive(Clone)]
pub struct Commits<'a> {
    pub endpoint: &'a Endpoint,
    pub topic: &'a str,
    /// Numbers of its groups.
    pub groups: Range<usize>,
}

struct Group {
    stream: TcpStream,
    answers: Answers,
    frame: Vec<u8>,
    sent: Instant,
}

impl Commits<'_> {
    /// Commits once for every group, until the broker takes it: its coordinator needs a while.
    pub fn prepare(&self) -> io::Result<()> {
        let (mut stream, mut answers) = (self.endpoint.connect()?, Answers::new());
        let deadline = Instant::now() + READY_TIMEOUT;
        for number in self.groups.clone() {
            find_coordinator(&mut stream, &mut answers, &name(number))?;
            let frame = frame(&name(number), self.topic);
            while let code @ 1.. = read_answer(exchange(&mut stream, &mut answers, &frame)?)? {
                if !TRY_AGAIN.contains(&code) || deadline < Instant::now() {
                    return check(code, "OffsetCommit");
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Commits until the meter is stopped: all groups at once, and again when all are answered.
    pub fn run(&self, meter: &Meter) -> io::Result<Latencies> {
        let open = |number| -> io::Result<Group> {
            Ok(Group {
                stream: self.endpoint.connect()?,
                answers: Answers::new(),
                frame: frame(&name(number), self.topic),
                sent: Instant::now(),
            })
        };
        let mut groups = self.groups.clone().map(open).collect::<io::Result<Vec<Group>>>()?;
        let mut latencies = no_latencies();
        let mut offset: i64 = 1;
        while !meter.is_stopped() {
            for group in &mut groups {
                let at = group.frame.len() - OFFSET_FROM_END;
                group.frame[at..at + 8].copy_from_slice(&offset.to_be_bytes());
                group.sent = Instant::now();
                group.stream.write_all(&group.frame)?;
            }
            for group in &mut groups {
                check(read_answer(group.answers.next(&mut group.stream)?)?, "OffsetCommit")?;
                if meter.is_measuring() {
                    record(&mut latencies, group.sent.elapsed());
                }
                meter.add_operation();
            }
            offset += 1;
        }
        Ok(latencies)
    }
}

fn name(number: usize) -> String {
    format!("bench-group-{number:05}")
}

/// OffsetCommit 7 of partition 0, by nobody's member.
fn frame(group: &str, topic: &str) -> Vec<u8> {
    let mut frame = FrameWriter::request(8, 7);
    frame.string(group);
    frame.i32(-1);
    frame.string("");
    frame.i16(-1);
    frame.count(1);
    frame.string(topic);
    frame.count(1);
    frame.i32(0);
    frame.i64(0);
    frame.i32(-1);
    frame.i16(-1);
    frame.finish()
}

/// The error code of the one partition.
fn read_answer(frame: &[u8]) -> io::Result<i16> {
    let mut answer = FrameReader::new(frame);
    answer.i32()?;
    answer.i32()?;
    answer.count()?;
    answer.string()?;
    answer.count()?;
    answer.i32()?;
    answer.i16()
}

/// Asks for the coordinator of a group, which makes the topic of the groups.
pub fn find_coordinator(stream: &mut TcpStream, answers: &mut Answers, group: &str) -> io::Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let mut frame = FrameWriter::request(10, 1);
        frame.string(group);
        frame.i8(0);
        let mut answer = FrameReader::new(exchange(stream, answers, &frame.finish())?);
        answer.i32()?;
        answer.i32()?;
        let code = answer.i16()?;
        if !TRY_AGAIN.contains(&code) || deadline < Instant::now() {
            return check(code, "FindCoordinator");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
