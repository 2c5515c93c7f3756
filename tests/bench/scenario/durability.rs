//! The price of durability: the same load with the sync before the acknowledgement, with flush.ms=100, and with none.

use std::io;

use crate::batch::Batch;
use crate::bench::Bench;
use crate::contender::Contender;
use crate::meter::quantile_ms;
use crate::report::Case;
use crate::scenario::loops::{CONNECTIONS, ClosedLoop, open_loop};

const SYNC: &str = "sync before the ack";
const INTERVAL: &str = "flush.ms=100";
const NONE: &str = "no sync";
const MB_S: &str = "MB/s";
const P50: &str = "p50 ms";
const P99: &str = "p99 ms";

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    if !bench.starts_brokers() {
        return Ok(super::skipped("the price of durability"));
    }
    let contenders = [
        Contender::started(bench, SYNC, &[])?,
        Contender::started(bench, INTERVAL, &["--flush", "interval:100"])?,
        Contender::started(bench, NONE, &["--flush", "os"])?,
    ];
    for contender in &contenders {
        open_loop(bench, contender)?;
    }
    let mut latency = Case::new(format!("100 B at {}/s over {CONNECTIONS} connections", bench.options.rate));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len()) {
            measure_latency(bench, &contenders[index], &mut latency)?;
        }
    }
    note(&mut latency, P50);
    let mut cases = vec![latency];
    for (name, bytes) in [("16 KiB", 16 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)] {
        cases.push(throughput(bench, &contenders, name, bytes)?);
    }
    Ok(cases)
}

fn measure_latency(bench: &Bench, contender: &Contender, case: &mut Case) -> io::Result<()> {
    let latencies = open_loop(bench, contender)?;
    case.add(&contender.name, P50, quantile_ms(&latencies, 0.5));
    case.add(&contender.name, P99, quantile_ms(&latencies, 0.99));
    Ok(())
}

fn throughput(bench: &Bench, contenders: &[Contender], name: &str, bytes: usize) -> io::Result<Case> {
    let batch = Batch::exact(bytes, bench.options.record_bytes);
    let load = ClosedLoop { partitions: 1, batch: &batch, in_flight: 5 };
    let mut pool = bench.pool()?;
    let mut case = Case::new(format!("{name} batches, 1 connection, 5 in flight, acks=all"));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len()) {
            let measured = load.run(bench, &contenders[index], Some(&mut pool))?;
            let name = &contenders[index].name;
            case.add(name, MB_S, measured.megabytes_per_second());
            case.add(name, P50, measured.latency_ms(0.5));
            case.add(name, P99, measured.latency_ms(0.99));
            case.add_known(name, "server CPU s/GiB", measured.cpu_seconds_per_gib());
        }
    }
    note(&mut case, MB_S);
    Ok(case)
}

fn note(case: &mut Case, metric: &'static str) {
    for other in [INTERVAL, NONE] {
        let ratio = case.ratio(SYNC, other, metric);
        case.note_ratio(&format!("{metric} of {SYNC} over {other}"), &ratio);
    }
}
