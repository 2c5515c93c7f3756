//! Open-loop produce of 100 B records at 1,000 a second over 4 connections, acks=all, against the bare disk in the same run.

use std::io;

use crate::bench::{Bench, OWN};
use crate::contender::Contender;
use crate::floor::disk::DiskLoop;
use crate::meter::{Latencies, Window, measure, quantile_ms};
use crate::report::{Bound, Case};
use crate::scenario::loops::{CONNECTIONS, open_loop};

const DISK: &str = "bare disk 4 KiB, back to back";
const DISK_PACED: &str = "bare disk 4 KiB, paced alike";
const DISK_BYTES: usize = 4096;
const P50: &str = "p50 ms";
const P99: &str = "p99 ms";

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::with_append_floor(bench)?;
    let mut case = Case::new(format!(
        "100 B at {}/s over {CONNECTIONS} connections, from the intended send time",
        bench.options.rate
    ));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len() + 2) {
            match contenders.get(index) {
                Some(contender) => add(&mut case, &contender.name, &open_loop(bench, contender)?),
                None if index == contenders.len() => add(&mut case, DISK, &disk(bench)?),
                None => add(&mut case, DISK_PACED, &disk_paced(bench)?),
            }
        }
    }
    case.target("p50 over the bare disk's", case.ratio(OWN, DISK, P50), Bound::AtMost(2.0));
    case.target("p99 over the bare disk's", case.ratio(OWN, DISK, P99), Bound::AtMost(3.0));
    let paced = (case.ratio(OWN, DISK_PACED, P50), case.ratio(OWN, DISK_PACED, P99));
    case.note_ratio("p50 over the paced bare disk's", &paced.0);
    case.note_ratio("p99 over the paced bare disk's", &paced.1);
    Ok(vec![case])
}

fn disk(bench: &Bench) -> io::Result<Latencies> {
    let path = bench.new_path();
    let disk = DiskLoop { path: &path, bytes: DISK_BYTES };
    let window = Window { length: bench.open_length(), ..bench.write_window() };
    Ok(measure(vec![Box::new(move |meter| disk.run(meter))], None, window, None)?.latencies)
}

fn disk_paced(bench: &Bench) -> io::Result<Latencies> {
    DiskLoop { path: &bench.new_path(), bytes: DISK_BYTES }.run_paced(bench.options.rate, bench.open_length())
}

fn add(case: &mut Case, name: &str, latencies: &Latencies) {
    case.add(name, P50, quantile_ms(latencies, 0.5));
    case.add(name, P99, quantile_ms(latencies, 0.99));
    case.add(name, "p99.9 ms", quantile_ms(latencies, 0.999));
}
