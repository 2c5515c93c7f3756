//! 10,000 partitions, made by one CreateTopics: creation, memory, Metadata answers, restart clean and after kill -9; without data
//! and with a batch in each.

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

const PARTITIONS: usize = 10_000;
/// Metadata requests whose times are reported, each for all topics.
const ANSWERS: usize = 20;
const CREATE_MS: &str = "create ms";
const CREATED_MB: &str = "resident MB";
const ANSWER_MS: &str = "Metadata ms";
const CLEAN_MS: &str = "restart ms";
const KILLED_MS: &str = "after kill -9 ms";
const RESTARTED_MB: &str = "restarted MB";

/// How the partitions are divided.
struct Shape {
    name: &'static str,
    topics: usize,
    with_data: bool,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "1 topic", topics: 1, with_data: false },
    Shape { name: "100 topics", topics: 100, with_data: false },
    Shape { name: "100 topics, a 1 KiB batch in each partition", topics: 100, with_data: true },
];

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    if !bench.starts_brokers() {
        return Ok(skipped("10,000 partitions"));
    }
    let mut case = Case::new("10,000 partitions, made by one request");
    for _ in 0..bench.options.runs {
        for shape in &SHAPES {
            one_life(bench, &mut case, shape)?;
        }
    }
    for Shape { name, .. } in &SHAPES {
        let mut target = |column, limit| {
            case.target(format!("{name}: {column}"), case.samples(name, column), Bound::AtMost(limit));
        };
        target(CREATE_MS, 10_000.0);
        target(CREATED_MB, 150.0);
        target(ANSWER_MS, 50.0);
        target(CLEAN_MS, 3000.0);
        target(KILLED_MS, 3000.0);
        target(RESTARTED_MB, 150.0);
    }
    Ok(vec![case])
}

fn one_life(bench: &Bench, case: &mut Case, shape: &Shape) -> io::Result<()> {
    let row = shape.name;
    let data = bench.new_folder()?;
    let names: Vec<String> = (0..shape.topics).map(|_| bench.new_topic()).collect();
    let partitions = i32::try_from(PARTITIONS / shape.topics).map_err(io::Error::other)?;
    let server = bench.start_broker(&data, &[])?;
    server.wait_ready()?;
    let start = Instant::now();
    Admin::connect(&server.endpoint)?.create_topics(&names, partitions)?;
    case.add(row, CREATE_MS, start.elapsed().as_secs_f64() * 1e3);
    if shape.with_data {
        fill_all(&server.endpoint, &names, partitions)?;
    }
    ask_all(case, row, &server.endpoint, shape)?;
    case.add(row, CREATED_MB, read_memory(server.pid())?.resident);
    server.stop()?;

    let server = bench.start_broker(&data, &[])?;
    case.add(row, CLEAN_MS, server.wait_ready()?.as_secs_f64() * 1e3);
    ask_all(case, row, &server.endpoint, shape)?;
    server.kill()?;

    let server = bench.start_broker(&data, &[])?;
    case.add(row, KILLED_MS, server.wait_ready()?.as_secs_f64() * 1e3);
    ask_all(case, row, &server.endpoint, shape)?;
    case.add(row, RESTARTED_MB, read_memory(server.pid())?.resident);
    server.stop()?;
    std::fs::remove_dir_all(&data)
}

fn fill_all(endpoint: &Endpoint, names: &[String], partitions: i32) -> io::Result<()> {
    let batch = Batch::exact(1024, 1024);
    let all: Vec<i32> = (0..partitions).collect();
    for topic in names {
        ClosedProduce { endpoint, topic, partitions: &all, batch: &batch, in_flight: 1 }.run_count(1)?;
    }
    Ok(())
}

/// Asks for all topics, checks that they are there, and notes the times.
fn ask_all(case: &mut Case, row: &str, endpoint: &Endpoint, shape: &Shape) -> io::Result<()> {
    let mut admin = Admin::connect(endpoint)?;
    for _ in 0..ANSWERS {
        let start = Instant::now();
        let found = admin.topic_count()?;
        case.add(row, ANSWER_MS, start.elapsed().as_secs_f64() * 1e3);
        if found < shape.topics {
            return Err(io::Error::other(format!("{found} of {} topics are there", shape.topics)));
        }
    }
    Ok(())
}
