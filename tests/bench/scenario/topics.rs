//! 5,000 topics: creation by hundreds, memory, stop, restart clean and after kill -9; without data and with a batch in each.

use std::io;
use std::time::Instant;

use crate::admin::Admin;
use crate::batch::Batch;
use crate::bench::Bench;
use crate::connection::Endpoint;
use crate::load::closed_produce::ClosedProduce;
use crate::process::read_memory;
use crate::report::{Bound, Case};
use crate::scenario::skipped;

const TOPICS: usize = 5000;
const TOPICS_PER_REQUEST: usize = 100;
const CREATE_MS: &str = "create ms";
const CREATED_MB: &str = "resident MB";
const STOP_MS: &str = "stop ms";
const CLEAN_MS: &str = "restart ms";
const CLEAN_MB: &str = "restarted MB";
const KILLED_MS: &str = "after kill -9 ms";

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    if !bench.starts_brokers() {
        return Ok(skipped("5,000 topics"));
    }
    let (empty, filled) = ("without data", "a 1 KiB batch in each");
    let mut case = Case::new("5,000 topics of one partition, 100 a request");
    for _ in 0..bench.options.runs {
        one_life(bench, &mut case, empty, false)?;
        one_life(bench, &mut case, filled, true)?;
    }
    for row in [empty, filled] {
        case.target(format!("{row}: create ms"), case.samples(row, CREATE_MS), Bound::AtMost(2000.0));
        case.target(format!("{row}: resident MB"), case.samples(row, CREATED_MB), Bound::AtMost(100.0));
        case.target(format!("{row}: restart ms"), case.samples(row, CLEAN_MS), Bound::AtMost(1000.0));
        case.target(
            format!("{row}: restart after kill -9 ms"),
            case.samples(row, KILLED_MS),
            Bound::AtMost(1000.0),
        );
    }
    Ok(vec![case])
}

fn one_life(bench: &Bench, case: &mut Case, row: &str, with_data: bool) -> io::Result<()> {
    let data = bench.new_folder()?;
    let names: Vec<String> = (0..TOPICS).map(|_| bench.new_topic()).collect();
    let server = bench.start_broker(&data, &[])?;
    server.wait_ready()?;
    let start = Instant::now();
    let mut admin = Admin::connect(&server.endpoint)?;
    for hundred in names.chunks(TOPICS_PER_REQUEST) {
        admin.create_topics(hundred, 1)?;
    }
    case.add(row, CREATE_MS, start.elapsed().as_secs_f64() * 1e3);
    if with_data {
        fill_all(&server.endpoint, &names)?;
    }
    case.add(row, CREATED_MB, read_memory(server.pid())?.resident);
    case.add(row, STOP_MS, server.stop()?.as_secs_f64() * 1e3);

    let server = bench.start_broker(&data, &[])?;
    case.add(row, CLEAN_MS, server.wait_ready()?.as_secs_f64() * 1e3);
    case.add(row, CLEAN_MB, read_memory(server.pid())?.resident);
    check_count(&server.endpoint)?;
    server.kill()?;

    let server = bench.start_broker(&data, &[])?;
    case.add(row, KILLED_MS, server.wait_ready()?.as_secs_f64() * 1e3);
    check_count(&server.endpoint)?;
    server.stop()?;
    std::fs::remove_dir_all(&data)
}

fn fill_all(endpoint: &Endpoint, names: &[String]) -> io::Result<()> {
    let batch = Batch::exact(1024, 1024);
    for topic in names {
        ClosedProduce { endpoint, topic, partitions: &[0], batch: &batch, in_flight: 1 }.run_count(1)?;
    }
    Ok(())
}

fn check_count(endpoint: &Endpoint) -> io::Result<()> {
    let found = Admin::connect(endpoint)?.topic_count()?;
    if found < TOPICS {
        return Err(io::Error::other(format!("{found} of {TOPICS} topics are there after the restart")));
    }
    Ok(())
}
