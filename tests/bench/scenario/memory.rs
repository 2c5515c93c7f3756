//! Resident memory: idle, at most while data goes in, at most while 1 to 8 readers read it, afterwards.

use std::io;
use std::thread;
use std::time::Duration;

use crate::batch::Batch;
use crate::bench::{Bench, OWN, gib_to_bytes};
use crate::connection::Endpoint;
use crate::contender::{Contender, fill};
use crate::load::fetch::{Loaded, Reader, Take};
use crate::meter::{Window, Worker, measure};
use crate::process::{Memory, read_memory, watch_memory};
use crate::report::{Bound, Case};

const RESIDENT_MB: &str = "resident MB";
const READERS: [u32; 4] = [1, 2, 4, 8];
/// Nothing is timed here; a reader that has not read it all by then is stuck.
const READ_TIME_MAX: Duration = Duration::from_secs(600);

pub fn run(bench: &Bench) -> io::Result<Vec<Case>> {
    let mut cases = Vec::new();
    if bench.starts_brokers() {
        cases.push(idle(bench)?);
    }
    for contender in Contender::brokers(bench)? {
        if let Some(endpoint) = contender.endpoint().filter(|endpoint| endpoint.pid.is_some()) {
            cases.push(loaded(bench, &contender, endpoint)?);
        }
    }
    Ok(cases)
}

fn idle(bench: &Bench) -> io::Result<Case> {
    let mut case = Case::new("idle: a fresh broker one second after its first answer");
    for _ in 0..bench.options.runs {
        let server = bench.start_broker(&bench.new_folder()?, &[])?;
        server.wait_ready()?;
        thread::sleep(Duration::from_secs(1));
        add(&mut case, OWN, read_memory(server.pid())?);
        server.stop()?;
    }
    case.target("resident MB", case.samples(OWN, RESIDENT_MB), Bound::AtMost(12.0));
    Ok(case)
}

fn loaded(bench: &Bench, contender: &Contender, endpoint: &Endpoint) -> io::Result<Case> {
    let pid = endpoint.pid.unwrap_or_default();
    let bytes = gib_to_bytes(bench.options.gib);
    let mut case =
        Case::new(format!("{}: {} GiB in, and out again per row", contender.name, bench.options.gib));
    let session = contender.begin(bench, 1)?;
    let batch = Batch::exact(64 << 10, bench.options.record_bytes);
    add(&mut case, "before", read_memory(pid)?);
    let (loaded, most) = watch_memory(pid, || fill(endpoint, &session.topic, &batch, bytes))?;
    add(&mut case, "most while writing", most);
    for readers in READERS {
        let ((), most) = watch_memory(pid, || read_all(endpoint, &loaded, readers, bytes))?;
        add(&mut case, reading(readers), most);
    }
    thread::sleep(Duration::from_secs(1));
    add(&mut case, "one second after", read_memory(pid)?);
    session.end()?;
    if contender.name == OWN {
        judge(&mut case, bench.options.gib);
    }
    Ok(case)
}

fn judge(case: &mut Case, gib: f64) {
    let after = case.samples("one second after", RESIDENT_MB);
    case.target(format!("resident MB after {gib} GiB in and out"), after, Bound::AtMost(40.0));
    let growth = case.ratio(reading(8), reading(1), RESIDENT_MB);
    case.target("most with 8 readers over most with 1 (flat)", growth, Bound::AtMost(1.2));
    if gib < 10.0 {
        case.note("the target is for --gib 10");
    }
}

fn read_all(endpoint: &Endpoint, loaded: &Loaded, readers: u32, bytes: u64) -> io::Result<()> {
    let window = Window { warm_up: Duration::ZERO, length: READ_TIME_MAX, bytes_max: bytes };
    let readers = i64::from(readers);
    let workers = (0..readers).map(|index| {
        let first_batch = index * loaded.batches / readers;
        let reader = Reader { endpoint, loaded, request_bytes: 50_000_000, take: Take::Copy, first_batch };
        Box::new(move |meter: &_| reader.run(meter)) as Worker<'_>
    });
    measure(workers.collect(), None, window, None).map(drop)
}

fn reading(readers: u32) -> &'static str {
    match readers {
        1 => "most with 1 reader",
        2 => "most with 2 readers",
        4 => "most with 4 readers",
        _ => "most with 8 readers",
    }
}

fn add(case: &mut Case, row: &str, memory: Memory) {
    case.add(row, RESIDENT_MB, memory.resident);
    case.add(row, "heap and stacks MB", memory.anonymous);
    case.add(row, "mapped files MB", memory.file);
}
