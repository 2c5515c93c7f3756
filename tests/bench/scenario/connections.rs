//! What group commit gains: acks a second of 64 connections with one 1 KiB batch in flight each, over those of one.

use std::io;

use crate::batch::Batch;
use crate::bench::{Bench, OWN};
use crate::contender::Contender;
use crate::load::swarm::Swarm;
use crate::meter::{Measured, Worker, measure};
use crate::report::{Bound, Case};

const MANY: usize = 64;
const ACKS_S: &str = "acks/s";

struct Setup {
    name: &'static str,
    connections: usize,
    partitions: i32,
}

const ONE: &str = "1 connection";
const SHARED: &str = "64 connections, 1 partition";
const SPREAD: &str = "64 connections, 64 partitions";
const SETUPS: [Setup; 3] = [
    Setup { name: ONE, connections: 1, partitions: 1 },
    Setup { name: SHARED, connections: MANY, partitions: 1 },
    Setup { name: SPREAD, connections: MANY, partitions: 64 },
];

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::brokers(bench)?;
    let batch = Batch::exact(1024, 1024);
    let mut cases: Vec<Case> = contenders
        .iter()
        .map(|who| Case::new(format!("{}: one 1 KiB batch in flight each, acks=all", who.name)))
        .collect();
    for run in 0..bench.options.runs {
        for (contender, case) in contenders.iter().zip(&mut cases) {
            for index in bench.order(run, SETUPS.len()) {
                let setup = &SETUPS[index];
                let measured = measure_setup(bench, contender, setup, &batch)?;
                case.add(setup.name, ACKS_S, measured.operations_per_second());
                case.add(setup.name, "p50 ms", measured.latency_ms(0.5));
                case.add(setup.name, "p99 ms", measured.latency_ms(0.99));
                case.add_known(setup.name, "server CPU us/ack", cpu_us_per_ack(&measured));
            }
        }
    }
    for (contender, case) in contenders.iter().zip(&mut cases) {
        let shared = case.ratio(SHARED, ONE, ACKS_S);
        if contender.name == OWN {
            case.target("acks/s of 64 over 1 connection", shared, Bound::AtLeast(20.0));
        } else {
            case.note_ratio("acks/s of 64 over 1 connection", &shared);
        }
        let spread = case.ratio(SPREAD, ONE, ACKS_S);
        case.note_ratio("acks/s of 64 over 1 connection, over 64 partitions", &spread);
    }
    Ok(cases)
}

fn measure_setup(bench: &Bench, contender: &Contender, setup: &Setup, batch: &Batch) -> io::Result<Measured> {
    let session = contender.begin(bench, setup.partitions)?;
    let swarm = Swarm {
        endpoint: &session.endpoint,
        topic: &session.topic,
        connections: setup.connections,
        partitions: setup.partitions,
        batch,
    };
    let worker: Worker<'_> = Box::new(move |meter| swarm.run(meter));
    let measured = measure(vec![worker], session.endpoint.pid, bench.write_window(), None)?;
    session.end()?;
    Ok(measured)
}

fn cpu_us_per_ack(measured: &Measured) -> Option<f64> {
    measured.cpu_seconds.map(|seconds| seconds * 1e6 / measured.operations.max(1) as f64)
}
