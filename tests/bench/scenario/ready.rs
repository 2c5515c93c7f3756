//! From just before the start of the process to the first answered ApiVersions, on an empty directory and with 1,000
//! partitions of one batch each, after a clean shutdown.

use std::io;
use std::path::Path;

use crate::admin::Admin;
use crate::batch::Batch;
use crate::bench::Bench;
use crate::load::closed_produce::ClosedProduce;
use crate::report::{Bound, Case};
use crate::scenario::skipped;

const TOPICS: usize = 10;
const PARTITIONS: i32 = 100;
const READY_MS: &str = "ready ms";

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    if !bench.starts_brokers() {
        return Ok(skipped("start to first answered ApiVersions"));
    }
    let loaded = bench.new_folder()?;
    prepare(bench, &loaded)?;
    let mut case = Case::new("start to first answered ApiVersions");
    for _ in 0..bench.options.runs * 4 + 1 {
        let fresh = bench.new_folder()?;
        for (name, folder) in [("empty directory", &fresh), ("1,000 partitions", &loaded)] {
            let server = bench.start_broker(folder, &[])?;
            case.add(name, READY_MS, server.wait_ready()?.as_secs_f64() * 1e3);
            server.stop()?;
        }
        std::fs::remove_dir_all(fresh)?;
    }
    case.target("empty directory, ms", case.samples("empty directory", READY_MS), Bound::AtMost(10.0));
    case.target("1,000 partitions, ms", case.samples("1,000 partitions", READY_MS), Bound::AtMost(100.0));
    Ok(vec![case])
}

/// A batch in every partition: folders are made by the first append.
fn prepare(bench: &Bench, folder: &Path) -> io::Result<()> {
    let server = bench.start_broker(folder, &[])?;
    let batch = Batch::exact(1024, 1024);
    let partitions: Vec<i32> = (0..PARTITIONS).collect();
    for _ in 0..TOPICS {
        let topic = bench.new_topic();
        Admin::connect(&server.endpoint)?.create_topic(&topic, PARTITIONS)?;
        let endpoint = &server.endpoint;
        ClosedProduce { endpoint, topic: &topic, partitions: &partitions, batch: &batch, in_flight: 1 }
            .run_count(1)?;
    }
    server.stop().map(drop)
}
