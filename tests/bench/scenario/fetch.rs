//! Fetch of warm data: the broker by sendfile, the broker with --no-sendfile, a foreign broker, the bare sendfile loop.

use std::fs::File;
use std::io::{self, Write};

use crate::batch::Batch;
use crate::bench::{Bench, OWN, gib_to_bytes};
use crate::connection::Endpoint;
use crate::contender::{Contender, fill};
use crate::load::fetch::{Loaded, Reader, Take};
use crate::machine::observed_congestion;
use crate::meter::{Measured, Worker, measure};
use crate::report::{Bound, Case};
use crate::server::Server;

const COPYING: &str = "sendlog --no-sendfile";
const FLOOR: &str = "bare sendfile loop";
const MB_S: &str = "MB/s";
const CPU: &str = "server CPU s/GiB";
/// Data per contender: several are in the page cache side by side.
const GIB_MAX: f64 = 1.0;
/// A whole number of these makes up each request, so that every contender sends the same ranges.
const BATCH_BYTES: usize = 16 << 10;

/// Requests of many megabytes, of librdkafka's default, of little.
const LARGE: i32 = 50_000_000;
const SIZES: [(i32, &str); 3] = [(LARGE, "50 MB"), (1 << 20, "1 MiB"), (64 << 10, "64 KiB")];
const READERS: [i64; 3] = [1, 4, 8];

/// Somebody who has the data.
struct Source {
    name: String,
    endpoint: Endpoint,
    loaded: Loaded,
    /// Kept running.
    _server: Option<Server>,
}

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let contenders = Contender::brokers(bench)?;
    let mut sources = sources(bench, &contenders)?;
    sources.push(floor(bench)?);
    let mut cases = Vec::new();
    for (request_bytes, size) in SIZES {
        for readers in READERS {
            cases.push(measure_case(bench, &sources, request_bytes, size, readers, Take::Copy)?);
        }
    }
    for readers in READERS {
        cases.push(measure_case(bench, &sources, LARGE, "50 MB", readers, Take::Discard)?);
    }
    flatness(&mut cases);
    if let Some(first) = cases.first_mut() {
        for source in &sources {
            let congestion = observed_congestion(&source.endpoint);
            first.note(format!("congestion control of {}'s sockets: {congestion}", source.name));
        }
    }
    Ok(cases)
}

fn sources(bench: &Bench, contenders: &[Contender]) -> io::Result<Vec<Source>> {
    let batch = Batch::exact(BATCH_BYTES, bench.options.record_bytes);
    let bytes = gib_to_bytes(bench.options.gib.min(GIB_MAX));
    let mut sources = Vec::new();
    for contender in contenders {
        let session = contender.begin(bench, 1)?;
        let loaded = fill(&session.endpoint, &session.topic, &batch, bytes)?;
        sources.push(Source {
            name: contender.name.clone(),
            endpoint: session.endpoint,
            loaded,
            _server: None,
        });
    }
    if bench.starts_brokers() {
        let server = bench.start_broker(&bench.new_folder()?, &["--no-sendfile"])?;
        let topic = bench.new_topic();
        crate::admin::Admin::connect(&server.endpoint)?.create_topic(&topic, 1)?;
        let loaded = fill(&server.endpoint, &topic, &batch, bytes)?;
        let endpoint = server.endpoint.clone();
        sources.push(Source { name: COPYING.to_owned(), endpoint, loaded, _server: Some(server) });
    }
    Ok(sources)
}

/// The floor has the same batches in a plain file.
fn floor(bench: &Bench) -> io::Result<Source> {
    let batch = Batch::exact(BATCH_BYTES, bench.options.record_bytes);
    let bytes = gib_to_bytes(bench.options.gib.min(GIB_MAX));
    let batches = (bytes / BATCH_BYTES as u64).max(1);
    let path = bench.new_path();
    let mut file = File::create(&path)?;
    for _ in 0..batches {
        file.write_all(&batch.bytes)?;
    }
    file.sync_all()?;
    let topic = bench.new_topic();
    let (size, records) = (BATCH_BYTES.to_string(), batch.records.to_string());
    let kind = ["sendfile", "--batch-bytes", &size, "--batch-records", &records];
    let server = bench.start_floor(&kind, &path, &topic)?;
    let batches = i64::try_from(batches).map_err(io::Error::other)?;
    let loaded = Loaded { topic, batches, batch_bytes: BATCH_BYTES, batch_records: batch.records };
    Ok(Source { name: FLOOR.to_owned(), endpoint: server.endpoint.clone(), loaded, _server: Some(server) })
}

fn measure_case(
    bench: &Bench,
    sources: &[Source],
    request_bytes: i32,
    size: &str,
    readers: i64,
    take: Take,
) -> io::Result<Case> {
    let kind = if take == Take::Copy { "copying" } else { "discarding (MSG_TRUNC)" };
    let mut case = Case::new(format!("{size} requests, {readers} {kind} reader(s)"));
    for run in 0..bench.options.runs {
        for index in bench.order(run, sources.len()) {
            let source = &sources[index];
            let measured = read(bench, source, request_bytes, readers, take)?;
            case.add(&source.name, MB_S, measured.megabytes_per_second());
            case.add_known(&source.name, CPU, measured.cpu_seconds_per_gib());
            case.add(&source.name, "requests/s", measured.operations_per_second());
        }
    }
    if request_bytes == LARGE {
        case.target("MB/s over the bare loop", case.ratio(OWN, FLOOR, MB_S), Bound::AtLeast(0.85));
        case.target("CPU over --no-sendfile", case.ratio(OWN, COPYING, CPU), Bound::AtMost(0.5));
        case.target("CPU over the bare loop", case.ratio(OWN, FLOOR, CPU), Bound::AtMost(1.5));
    } else if readers == 1 {
        case.target("MB/s over the bare loop", case.ratio(OWN, FLOOR, MB_S), Bound::AtLeast(0.75));
    }
    Ok(case)
}

fn read(
    bench: &Bench,
    source: &Source,
    request_bytes: i32,
    readers: i64,
    take: Take,
) -> io::Result<Measured> {
    let workers = (0..readers).map(|index| {
        let first_batch = index * source.loaded.batches / readers;
        let (endpoint, loaded) = (&source.endpoint, &source.loaded);
        let reader = Reader { endpoint, loaded, request_bytes, take, first_batch };
        Box::new(move |meter: &_| reader.run(meter)) as Worker<'_>
    });
    measure(workers.collect(), source.endpoint.pid, bench.read_window(), None)
}

/// CPU per GiB with eight copying readers of large requests over that with one.
fn flatness(cases: &mut [Case]) {
    let [one, _, eight, ..] = cases else {
        return;
    };
    let growth = eight.samples(OWN, CPU).over(&one.samples(OWN, CPU));
    eight.target("CPU with 8 readers over CPU with 1 (flat)", growth, Bound::AtMost(1.2));
}
