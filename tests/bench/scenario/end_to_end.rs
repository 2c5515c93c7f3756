//! From the intended send to the arrival at a consumer that long polls the tail, at 1,000 records a second.

use std::io;
use std::thread;

use crate::admin::Admin;
use crate::batch::Batch;
use crate::bench::{Bench, OWN};
use crate::contender::{Contender, Session};
use crate::load::fetch::{Loaded, Seen, Tail};
use crate::load::open_produce::{Acked, ack_latencies};
use crate::meter::{Latencies, no_latencies, quantile_ms, record};
use crate::report::{Bound, Case};
use crate::scenario::loops::{CONNECTIONS, VALUE_BYTES, by_the_clock};

const P99: &str = "seen p99 ms";

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::brokers(bench)?;
    let mut case = Case::new(format!(
        "100 B at {}/s over {CONNECTIONS} connections into one partition, one long-polling consumer",
        bench.options.rate
    ));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len()) {
            let contender = &contenders[index];
            let session = contender.begin(bench, 1)?;
            let (acked, seen) = produce_and_consume(bench, &session)?;
            let latencies = seen_latencies(&acked, &seen)?;
            case.add(&contender.name, "seen p50 ms", quantile_ms(&latencies, 0.5));
            case.add(&contender.name, P99, quantile_ms(&latencies, 0.99));
            let acks = ack_latencies(&acked);
            case.add(&contender.name, "ack p50 ms", quantile_ms(&acks, 0.5));
            case.add(&contender.name, "ack p99 ms", quantile_ms(&acks, 0.99));
            session.end()?;
        }
    }
    case.target("seen p99 ms", case.samples(OWN, P99), Bound::AtMost(5.0));
    Ok(vec![case])
}

fn produce_and_consume(bench: &Bench, session: &Session) -> io::Result<(Vec<Acked>, Vec<Seen>)> {
    let batch = Batch::single(VALUE_BYTES);
    let load = by_the_clock(bench, session, &batch);
    let loaded = Loaded {
        topic: session.topic.clone(),
        batches: i64::from(load.requests()),
        batch_bytes: batch.bytes.len(),
        batch_records: batch.records,
    };
    let offset = Admin::connect(&session.endpoint)?.end_offset(&session.topic, 0)?;
    let tail = Tail { endpoint: &session.endpoint, loaded: &loaded, offset, until: offset + loaded.batches };
    thread::scope(|scope| {
        let consumer = scope.spawn(|| tail.run());
        let acked = load.run();
        let seen = consumer.join().map_err(|_| io::Error::other("the consumer panicked"))?;
        Ok((acked?, seen?))
    })
}

/// Joins the two sides by offset: a record was seen when the answer that carried it had been read.
fn seen_latencies(acked: &[Acked], seen: &[Seen]) -> io::Result<Latencies> {
    let mut latencies = no_latencies();
    for ack in acked.iter().filter(|ack| ack.counts) {
        let answer = seen.partition_point(|answer| answer.end <= ack.base_offset);
        let Some(answer) = seen.get(answer) else {
            return Err(io::Error::other(format!(
                "offset {} was acknowledged but never seen",
                ack.base_offset
            )));
        };
        record(&mut latencies, answer.at.saturating_duration_since(ack.intended));
    }
    Ok(latencies)
}
