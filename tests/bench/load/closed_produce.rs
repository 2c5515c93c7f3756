//! Closed-loop produce on one connection: a fixed number of requests in flight, a new one for each answer.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::batch::Batch;
use crate::connection::{Answers, Endpoint};
use crate::meter::{Latencies, Meter, no_latencies, record};
use crate::request::{ProduceFrame, read_produce_answer};

/// What one connection sends.
#[derive(Clone, Copy)]
pub struct ClosedProduce<'a> {
    pub endpoint: &'a Endpoint,
    pub topic: &'a str,
    /// Every request carries the batch once for each of these.
    pub partitions: &'a [i32],
    pub batch: &'a Batch,
    pub in_flight: usize,
}

impl ClosedProduce<'_> {
    /// Sends until the meter is stopped, then waits for the answers that are due.
    pub fn run(&self, meter: &Meter) -> io::Result<Latencies> {
        self.send_while(meter, |_| !meter.is_stopped())
    }

    /// Sends exactly `requests` requests and waits for their answers.
    pub fn run_count(&self, requests: u64) -> io::Result<Latencies> {
        self.send_while(&Meter::default(), |sent| sent < requests)
    }

    fn send_while(&self, meter: &Meter, goes_on: impl Fn(u64) -> bool) -> io::Result<Latencies> {
        let mut connection = Pipe {
            stream: self.endpoint.connect()?,
            answers: Answers::new(),
            frame: ProduceFrame::new(self.topic, self.partitions, self.batch),
            sent: VecDeque::with_capacity(self.in_flight),
            requests: 0,
        };
        let bytes = self.batch.bytes.len() * self.partitions.len();
        let mut latencies = no_latencies();
        loop {
            while connection.sent.len() < self.in_flight && goes_on(connection.requests) {
                connection.send()?;
            }
            let Some(sent) = connection.receive()? else {
                return Ok(latencies);
            };
            if meter.is_measuring() {
                record(&mut latencies, sent.elapsed());
            }
            meter.add_bytes(bytes);
            meter.add_operation();
        }
    }
}

struct Pipe {
    stream: TcpStream,
    answers: Answers,
    frame: ProduceFrame,
    /// When each request in flight was sent, with its correlation id.
    sent: VecDeque<(i32, Instant)>,
    requests: u64,
}

impl Pipe {
    fn send(&mut self) -> io::Result<()> {
        let correlation_id = i32::try_from(self.requests & 0x7FFF_FFFF).expect("masked to 31 bits");
        self.frame.set_correlation(correlation_id);
        self.sent.push_back((correlation_id, Instant::now()));
        self.stream.write_all(&self.frame.bytes)?;
        self.requests += 1;
        Ok(())
    }

    /// When the request now answered was sent; `None` with nothing in flight.
    fn receive(&mut self) -> io::Result<Option<Instant>> {
        let Some((correlation_id, sent)) = self.sent.pop_front() else {
            return Ok(None);
        };
        let answer = read_produce_answer(self.answers.next(&mut self.stream)?)?;
        if answer.correlation_id != correlation_id {
            return Err(io::Error::other("answers do not come in the order of the requests"));
        }
        Ok(Some(sent))
    }
}
