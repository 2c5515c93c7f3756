//! Many connections with one small request in flight each, driven by one thread through epoll: with a thread for each, the
//! generator's own context switches would be what is measured.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::batch::Batch;
use crate::connection::{Answers, Endpoint};
use crate::meter::{Latencies, Meter, no_latencies, record};
use crate::request::{ProduceFrame, read_produce_answer};

/// `connections` connections, of which number `i` sends to partition `i % partitions`.
#[derive(Clone, Copy)]
pub struct Swarm<'a> {
    pub endpoint: &'a Endpoint,
    pub topic: &'a str,
    pub connections: usize,
    pub partitions: i32,
    pub batch: &'a Batch,
}

struct Member {
    stream: TcpStream,
    answers: Answers,
    frame: ProduceFrame,
    sent: Instant,
}

impl Swarm<'_> {
    /// Runs until the meter is stopped, then waits for the answers that are due.
    pub fn run(&self, meter: &Meter) -> io::Result<Latencies> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut members = Vec::with_capacity(self.connections);
        for (index, partition) in (0..self.connections).zip((0..self.partitions).cycle()) {
            let stream = self.endpoint.connect()?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
            let frame = ProduceFrame::new(self.topic, &[partition], self.batch);
            members.push(Member { stream, answers: Answers::new(), frame, sent: Instant::now() });
        }
        for member in &mut members {
            member.send()?;
        }
        let mut latencies = no_latencies();
        let mut events = Vec::with_capacity(self.connections);
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        while !meter.is_stopped() {
            epoll::wait(&epoll, spare_capacity(&mut events), Some(&second))?;
            for event in events.drain(..) {
                let index = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
                let sent = members[index].turn()?;
                if meter.is_measuring() {
                    record(&mut latencies, sent.elapsed());
                }
                meter.add_bytes(self.batch.bytes.len());
                meter.add_operation();
            }
        }
        for member in &mut members {
            member.receive()?;
        }
        Ok(latencies)
    }
}

impl Member {
    fn send(&mut self) -> io::Result<()> {
        self.sent = Instant::now();
        self.stream.write_all(&self.frame.bytes)
    }

    /// Takes the answer and sends the next request; says when the answered one was sent.
    fn turn(&mut self) -> io::Result<Instant> {
        self.receive()?;
        let sent = self.sent;
        self.send()?;
        Ok(sent)
    }

    fn receive(&mut self) -> io::Result<()> {
        read_produce_answer(self.answers.next(&mut self.stream)?).map(drop)
    }
}
