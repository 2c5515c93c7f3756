//! Start after kill -9 with much data in one partition. Every run appends a little more, so that there is something to recover.

use std::io;
use std::path::Path;

use crate::admin::Admin;
use crate::batch::Batch;
use crate::bench::{Bench, gib_to_bytes};
use crate::contender::fill;
use crate::report::{Bound, Case};
use crate::scenario::skipped;

const KILLED: &str = "after kill -9";
const CLEAN: &str = "after SIGTERM";
const READY_MS: &str = "ready ms";
/// Appended between two kills.
const MORE_BYTES: u64 = 64 << 20;

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    if !bench.starts_brokers() {
        return Ok(skipped("restart"));
    }
    let gib = bench.options.gib;
    let mut case = Case::new(format!("{gib} GiB in one partition, 64 MiB appended just before each stop"));
    let data = bench.new_folder()?;
    let topic = bench.new_topic();
    let batch = Batch::exact(64 << 10, bench.options.record_bytes);
    let mut server = bench.start_broker(&data, &[])?;
    Admin::connect(&server.endpoint)?.create_topic(&topic, 1)?;
    let mut acked = fill(&server.endpoint, &topic, &batch, gib_to_bytes(gib))?.batches * batch.records;
    for _ in 0..bench.options.runs {
        for kills in [true, false] {
            acked += fill(&server.endpoint, &topic, &batch, MORE_BYTES)?.batches * batch.records;
            if kills {
                server.kill()?;
            } else {
                server.stop()?;
            }
            server = restart(bench, &mut case, if kills { KILLED } else { CLEAN }, &data)?;
            check_end(&server.endpoint, &topic, acked)?;
        }
    }
    server.stop()?;
    std::fs::remove_dir_all(&data)?;
    case.target(format!("ready ms with {gib} GiB"), case.samples(KILLED, READY_MS), Bound::AtMost(500.0));
    if gib < 4.0 {
        case.note("the target is for --gib 4");
    }
    Ok(vec![case])
}

/// Starts again and waits for the first answer.
fn restart(bench: &Bench, case: &mut Case, row: &str, data: &Path) -> io::Result<crate::server::Server> {
    let server = bench.start_broker(data, &[])?;
    case.add(row, READY_MS, server.wait_ready()?.as_secs_f64() * 1e3);
    Ok(server)
}

/// A restart that forgets acknowledged records is not fast, it is wrong.
fn check_end(endpoint: &crate::connection::Endpoint, topic: &str, acked: i64) -> io::Result<()> {
    let end = Admin::connect(endpoint)?.end_offset(topic, 0)?;
    if end < acked {
        return Err(io::Error::other(format!(
            "the log ends at {end} after the restart, {acked} were acknowledged"
        )));
    }
    Ok(())
}
