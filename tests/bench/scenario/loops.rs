//! The loads that several scenarios put on a contender, each on a topic of its own.

use std::io;
use std::time::Duration;

use crate::batch::Batch;
use crate::bench::Bench;
use crate::contender::{Contender, Session};
use crate::load::closed_produce::ClosedProduce;
use crate::load::open_produce::{OpenProduce, ack_latencies};
use crate::meter::{Latencies, Measured, Worker, measure};
use crate::pool::Pool;

/// Connections of the open loop.
pub const CONNECTIONS: u32 = 4;
/// Bytes of its records' values.
pub const VALUE_BYTES: usize = 100;

const WARM_UP: Duration = Duration::from_secs(1);

/// Requests that leave by the clock, at the rate of the command line.
pub fn by_the_clock<'a>(bench: &Bench, session: &'a Session, batch: &'a Batch) -> OpenProduce<'a> {
    OpenProduce {
        endpoint: &session.endpoint,
        topic: &session.topic,
        batch,
        rate: bench.options.rate,
        connections: CONNECTIONS,
        warm_up: WARM_UP,
        length: bench.open_length(),
    }
}

/// Small records by the clock, until their acknowledgements.
pub fn open_loop(bench: &Bench, contender: &Contender) -> io::Result<Latencies> {
    let session = contender.begin(bench, 1)?;
    let batch = Batch::single(VALUE_BYTES);
    let acked = by_the_clock(bench, &session, &batch).run()?;
    session.end()?;
    Ok(ack_latencies(&acked))
}

/// Requests with a batch for each partition, the next one when an answer has come.
pub struct ClosedLoop<'a> {
    pub partitions: i32,
    pub batch: &'a Batch,
    pub in_flight: usize,
}

impl ClosedLoop<'_> {
    /// One connection, for the window of a load that writes.
    pub fn run(
        &self,
        bench: &Bench,
        contender: &Contender,
        mut pool: Option<&mut Pool>,
    ) -> io::Result<Measured> {
        if let Some(pool) = pool.as_deref_mut() {
            pool.fill()?;
        }
        let session = contender.begin(bench, self.partitions)?;
        let partitions: Vec<i32> = (0..self.partitions).collect();
        let (endpoint, topic) = (&session.endpoint, session.topic.as_str());
        let load = ClosedProduce {
            endpoint,
            topic,
            partitions: &partitions,
            batch: self.batch,
            in_flight: self.in_flight,
        };
        let worker: Worker<'_> = Box::new(move |meter| load.run(meter));
        let measured = measure(vec![worker], endpoint.pid, bench.write_window(), pool)?;
        session.end()?;
        Ok(measured)
    }
}
