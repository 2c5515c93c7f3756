//! The commit journal against what was there before it, in one run: a broker with it, and one that syncs segment files.

use std::io;

use crate::batch::Batch;
use crate::bench::Bench;
use crate::contender::Contender;
use crate::meter::quantile_ms;
use crate::pool::Pool;
use crate::report::{Bound, Case};
use crate::scenario::loops::{CONNECTIONS, ClosedLoop, open_loop};

const WITH: &str = "journal";
const WITHOUT: &str = "segment syncs";
const OFF: &str = "sendlog.journal.bytes=0";
const PARTITIONS: i32 = 256;
const P50: &str = "p50 ms";
const P99: &str = "p99 ms";
const P999: &str = "p99.9 ms";
const MB_S: &str = "MB/s";

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    if !bench.starts_brokers() {
        return Ok(super::skipped("the commit journal"));
    }
    let contenders =
        [Contender::started(bench, WITH, &[])?, Contender::started(bench, WITHOUT, &["--set", OFF])?];
    // The first appends make the broker write its journal's files; what is measured comes after that.
    for contender in &contenders {
        open_loop(bench, contender)?;
    }
    let mut pool = bench.pool()?;
    let mut cases = vec![latency(bench, &contenders)?, partitions(bench, &contenders)?];
    for (name, bytes, least) in
        [("16 KiB", 16 << 10, None), ("64 KiB", 64 << 10, Some(1.5)), ("1 MiB", 1 << 20, Some(0.9))]
    {
        cases.push(throughput(bench, &contenders, &mut pool, name, bytes, least)?);
    }
    Ok(cases)
}

fn latency(bench: &Bench, contenders: &[Contender]) -> io::Result<Case> {
    let rate = bench.options.rate;
    let mut case = Case::new(format!("100 B at {rate}/s over {CONNECTIONS} connections, open loop"));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len()) {
            measure_latency(bench, &contenders[index], &mut case)?;
        }
    }
    case.target("p99 over that of segment syncs", case.ratio(WITH, WITHOUT, P99), Bound::AtMost(0.5));
    let ratio = case.ratio(WITH, WITHOUT, P999);
    case.note_ratio("p99.9 over that of segment syncs", &ratio);
    Ok(case)
}

fn measure_latency(bench: &Bench, contender: &Contender, case: &mut Case) -> io::Result<()> {
    let latencies = open_loop(bench, contender)?;
    for (metric, quantile) in [(P50, 0.5), (P99, 0.99), (P999, 0.999)] {
        case.add(&contender.name, metric, quantile_ms(&latencies, quantile));
    }
    Ok(())
}

fn partitions(bench: &Bench, contenders: &[Contender]) -> io::Result<Case> {
    let batch = Batch::exact(4096, bench.options.record_bytes);
    let load = ClosedLoop { partitions: PARTITIONS, batch: &batch, in_flight: 1 };
    let mut case = Case::new(format!("a round of 4 KiB for each of {PARTITIONS} partitions, one at a time"));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len()) {
            let measured = load.run(bench, &contenders[index], None)?;
            case.add(&contenders[index].name, P50, measured.latency_ms(0.5));
            case.add(&contenders[index].name, P99, measured.latency_ms(0.99));
        }
    }
    case.target("p50 ms", case.samples(WITH, P50), Bound::AtMost(5.0));
    let ratio = case.ratio(WITH, WITHOUT, P50);
    case.note_ratio("p50 over that of segment syncs", &ratio);
    Ok(case)
}

fn throughput(
    bench: &Bench,
    contenders: &[Contender],
    pool: &mut Pool,
    name: &str,
    bytes: usize,
    least: Option<f64>,
) -> io::Result<Case> {
    let batch = Batch::exact(bytes, bench.options.record_bytes);
    let load = ClosedLoop { partitions: 1, batch: &batch, in_flight: 5 };
    let mut case = Case::new(format!("{name} batches, 1 connection, 5 in flight, acks=all"));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len()) {
            let measured = load.run(bench, &contenders[index], Some(pool))?;
            let name = &contenders[index].name;
            case.add(name, MB_S, measured.megabytes_per_second());
            case.add(name, P50, measured.latency_ms(0.5));
            case.add(name, P99, measured.latency_ms(0.99));
            case.add(name, P999, measured.latency_ms(0.999));
            case.add_known(name, "server CPU s/GiB", measured.cpu_seconds_per_gib());
        }
    }
    let ratio = case.ratio(WITH, WITHOUT, MB_S);
    match least {
        Some(least) => case.target("MB/s over that of segment syncs", ratio, Bound::AtLeast(least)),
        None => case.note_ratio("MB/s over that of segment syncs", &ratio),
    }
    Ok(case)
}
