//! Open-loop produce: requests leave by the clock, whether or not answers come, and a latency counts from the moment the
//! request was meant to leave. A stall of the broker thus shows in every request that it delayed (no coordinated omission).

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::connection::{Answers, Endpoint};
use crate::meter::{Latencies, no_latencies, record};
use crate::process::SharpTimers;
use crate::request::{ProduceFrame, read_produce_answer};

/// How requests leave.
#[derive(Clone, Copy)]
pub struct OpenProduce<'a> {
    pub endpoint: &'a Endpoint,
    pub topic: &'a str,
    pub batch: &'a Batch,
    /// Requests a second, over all connections, evenly interleaved.
    pub rate: f64,
    pub connections: u32,
    pub warm_up: Duration,
    pub length: Duration,
}

/// One acknowledged request.
#[derive(Clone, Copy)]
pub struct Acked {
    pub base_offset: i64,
    pub intended: Instant,
    pub acked: Instant,
    /// Sent after the warm-up.
    pub counts: bool,
}

impl OpenProduce<'_> {
    /// How many requests a run sends.
    pub fn requests(&self) -> u32 {
        self.requests_each() * self.connections
    }

    fn requests_each(&self) -> u32 {
        let each = (self.warm_up + self.length).as_secs_f64() * self.rate / f64::from(self.connections);
        each.clamp(1.0, 1e6) as u32
    }

    /// Sends everything and waits for every answer.
    pub fn run(&self) -> io::Result<Vec<Acked>> {
        let streams: io::Result<Vec<TcpStream>> =
            (0..self.connections).map(|_| self.endpoint.connect()).collect();
        let streams = streams?;
        let _timers = SharpTimers::set();
        let gap = Duration::from_secs_f64(1.0 / self.rate);
        let start = Instant::now() + Duration::from_millis(20);
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (index, stream) in (0u32..).zip(&streams) {
                let schedule = Schedule {
                    first: start + gap * index,
                    gap: gap * self.connections,
                    count: self.requests_each(),
                };
                let writer = scope.spawn(move || self.send(stream, schedule));
                let reader = scope.spawn(move || self.receive(stream, schedule, start + self.warm_up));
                threads.push((writer, reader));
            }
            let mut acked = Vec::new();
            for (writer, reader) in threads {
                writer.join().map_err(|_| io::Error::other("a sender panicked"))??;
                acked.extend(reader.join().map_err(|_| io::Error::other("a receiver panicked"))??);
            }
            Ok(acked)
        })
    }

    fn send(&self, mut stream: &TcpStream, schedule: Schedule) -> io::Result<()> {
        let mut frame = ProduceFrame::new(self.topic, &[0], self.batch);
        for index in 0..schedule.count {
            thread::sleep(schedule.at(index).saturating_duration_since(Instant::now()));
            frame.set_correlation(i32::try_from(index).map_err(io::Error::other)?);
            stream.write_all(&frame.bytes)?;
        }
        Ok(())
    }

    fn receive(&self, mut stream: &TcpStream, schedule: Schedule, warm: Instant) -> io::Result<Vec<Acked>> {
        let mut answers = Answers::new();
        let mut acked = Vec::with_capacity(schedule.count as usize);
        for index in 0..schedule.count {
            let answer = read_produce_answer(answers.next(&mut stream)?)?;
            if i64::from(answer.correlation_id) != i64::from(index) {
                return Err(io::Error::other("answers do not come in the order of the requests"));
            }
            let intended = schedule.at(index);
            let counts = warm <= intended;
            acked.push(Acked { base_offset: answer.base_offset, intended, acked: Instant::now(), counts });
        }
        Ok(acked)
    }
}

/// From intended send to ack, without the warm-up.
pub fn ack_latencies(acked: &[Acked]) -> Latencies {
    let mut latencies = no_latencies();
    for ack in acked.iter().filter(|ack| ack.counts) {
        record(&mut latencies, ack.acked - ack.intended);
    }
    latencies
}

/// When each request of one connection is meant to leave.
#[derive(Clone, Copy)]
struct Schedule {
    first: Instant,
    gap: Duration,
    count: u32,
}

impl Schedule {
    fn at(&self, index: u32) -> Instant {
        self.first + self.gap * index
    }
}
