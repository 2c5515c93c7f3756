//! Rounds over many active partitions: one request with a 4 KiB batch for each of 256, acks=all.

use std::io;

use crate::batch::Batch;
use crate::bench::{Bench, OWN};
use crate::contender::Contender;
use crate::floor::disk::{DiskLoop, ManyFiles};
use crate::meter::{Measured, measure};
use crate::report::Case;
use crate::scenario::loops::ClosedLoop;

const PARTITIONS: i32 = 256;
const BATCH_BYTES: usize = 4096;
const SYNC_THREADS: usize = 64;
const FILES: &str = "bare disk, 256 files, 64 threads";
const ONE_FILE: &str = "bare disk, 1 file";
const P50: &str = "round p50 ms";

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::brokers(bench)?;
    let batch = Batch::exact(BATCH_BYTES, bench.options.record_bytes);
    let rounds = ClosedLoop { partitions: PARTITIONS, batch: &batch, in_flight: 1 };
    let mut case = Case::new("a round of 4 KiB for each of 256 partitions, one at a time");
    for run in 0..bench.options.runs {
        for index in bench.order(run, contenders.len() + 2) {
            match contenders.get(index) {
                Some(contender) => add(&mut case, &contender.name, &rounds.run(bench, contender, None)?),
                None if index == contenders.len() => add(&mut case, FILES, &many_files(bench)?),
                None => add(&mut case, ONE_FILE, &one_file(bench)?),
            }
        }
    }
    for floor in [FILES, ONE_FILE] {
        let ratio = case.ratio(OWN, floor, P50);
        case.note_ratio(&format!("p50 of {OWN} over {floor}"), &ratio);
    }
    Ok(vec![case])
}

fn many_files(bench: &Bench) -> io::Result<Measured> {
    let folder = bench.new_folder()?;
    let files = usize::try_from(PARTITIONS).map_err(io::Error::other)?;
    let disk = ManyFiles { folder: &folder, files, threads: SYNC_THREADS, bytes: BATCH_BYTES };
    let measured = measure(vec![Box::new(move |meter| disk.run(meter))], None, bench.write_window(), None)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(measured)
}

fn one_file(bench: &Bench) -> io::Result<Measured> {
    let path = bench.new_path();
    let files = usize::try_from(PARTITIONS).map_err(io::Error::other)?;
    let disk = DiskLoop { path: &path, bytes: BATCH_BYTES * files };
    measure(vec![Box::new(move |meter| disk.run(meter))], None, bench.write_window(), None)
}

fn add(case: &mut Case, name: &str, measured: &Measured) {
    case.add(name, P50, measured.latency_ms(0.5));
    case.add(name, "round p99 ms", measured.latency_ms(0.99));
    case.add(name, "MB/s", measured.megabytes_per_second());
    case.add_known(name, "server CPU s/GiB", measured.cpu_seconds_per_gib());
}
