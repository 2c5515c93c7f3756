//! Closed-loop produce over one connection, five requests in flight, acks=all: the brokers, the append floor, the bare disk.

use std::io;

use crate::batch::Batch;
use crate::bench::{Bench, OWN};
use crate::contender::{APPEND_FLOOR, Contender};
use crate::floor::disk::DiskLoop;
use crate::meter::{Measured, measure};
use crate::pool::Pool;
use crate::report::{Bound, Case};
use crate::scenario::loops::ClosedLoop;

const DISK: &str = "bare disk, 1 writer";
const IN_FLIGHT: usize = 5;
const MB_S: &str = "MB/s";
const CPU: &str = "server CPU s/GiB";

struct Size {
    bytes: usize,
    name: &'static str,
    mb_s_min: f64,
    /// A third of what Apache Kafka 4.4 takes without syncing.
    cpu_max: Option<f64>,
}

const SIZES: [Size; 3] = [
    Size { bytes: 16 << 10, name: "16 KiB", mb_s_min: 150.0, cpu_max: Some(3.8) },
    Size { bytes: 64 << 10, name: "64 KiB", mb_s_min: 220.0, cpu_max: Some(1.75) },
    Size { bytes: 1 << 20, name: "1 MiB", mb_s_min: 550.0, cpu_max: None },
];

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::with_append_floor(bench)?;
    let mut pool = bench.pool()?;
    SIZES.iter().map(|size| measure_size(bench, &contenders, &mut pool, size)).collect()
}

fn measure_size(bench: &Bench, contenders: &[Contender], pool: &mut Pool, size: &Size) -> io::Result<Case> {
    let batch = Batch::exact(size.bytes, bench.options.record_bytes);
    let load = ClosedLoop { partitions: 1, batch: &batch, in_flight: IN_FLIGHT };
    let mut case = Case::new(format!("{} batches, 1 connection, {IN_FLIGHT} in flight, acks=all", size.name));
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len() + 1) {
            let Some(contender) = contenders.get(index) else {
                pool.fill()?;
                add(&mut case, DISK, &disk(bench, pool, size.bytes)?);
                continue;
            };
            add(&mut case, &contender.name, &load.run(bench, contender, Some(pool))?);
        }
    }
    judge(&mut case, size);
    case.note(format!("memory is kept warm by a pool of {} GiB", bench.options.pool_gib));
    Ok(case)
}

fn disk(bench: &Bench, pool: &mut Pool, bytes: usize) -> io::Result<Measured> {
    let path = bench.new_path();
    let disk = DiskLoop { path: &path, bytes };
    measure(vec![Box::new(move |meter| disk.run(meter))], None, bench.write_window(), Some(pool))
}

fn add(case: &mut Case, name: &str, measured: &Measured) {
    case.add(name, MB_S, measured.megabytes_per_second());
    case.add_known(name, CPU, measured.cpu_seconds_per_gib());
    case.add(name, "acks/s", measured.operations_per_second());
    case.add(name, "p50 ms", measured.latency_ms(0.5));
    case.add(name, "p99 ms", measured.latency_ms(0.99));
}

fn judge(case: &mut Case, size: &Size) {
    case.target("MB/s", case.samples(OWN, MB_S), Bound::AtLeast(size.mb_s_min));
    let disk = case.samples(DISK, MB_S).median();
    if disk < size.mb_s_min {
        case.note(format!("one writer on the bare disk gave {disk:.0} MB/s, less than the target"));
    }
    if let Some(cpu_max) = size.cpu_max {
        case.target(
            "CPU s/GiB (a third of Kafka's, not synced)",
            case.samples(OWN, CPU),
            Bound::AtMost(cpu_max),
        );
    }
    for other in [APPEND_FLOOR, DISK] {
        let ratio = case.ratio(OWN, other, MB_S);
        case.note_ratio(&format!("MB/s of {OWN} over {other}"), &ratio);
    }
}
