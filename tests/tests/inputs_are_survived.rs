//! Bytes from sockets and disks, whatever they are, cause no panic and no wrong belief: the entry points of the fuzz targets
//! with the inputs that fuzzing has found worth keeping, and seeded mutations of them.

#[path = "../fuzz/src/entry_points.rs"]
mod entry_points;

use std::path::Path;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use entry_points::{ENTRY_POINTS, EntryPoint};

/// Mutations of an entry point that works in memory, and of one that writes files.
const RUNS_IN_MEMORY: usize = 200_000;
const RUNS_ON_DISK: usize = 600;
const ON_DISK: [&str; 4] = ["state_file", "index", "journal", "recovery"];

/// Multiplies them.
const FACTOR_VARIABLE: &str = "SENDLOG_INPUTS_FACTOR";

const MUTATIONS_MAX: usize = 4;
const INPUT_BYTES_MAX: usize = 1 << 16;

#[test]
fn any_bytes_are_survived() {
    let factor: usize =
        std::env::var(FACTOR_VARIABLE).ok().map_or(1, |factor| factor.parse().expect("a number"));
    std::thread::scope(|scope| {
        for entry in ENTRY_POINTS {
            scope.spawn(move || survives(entry, factor));
        }
    });
}

fn survives(entry: &EntryPoint, factor: usize) {
    let started = Instant::now();
    let corpus = corpus(entry.name);
    for (name, input) in &corpus {
        run(entry, input, name);
    }
    let runs = factor * if ON_DISK.contains(&entry.name) { RUNS_ON_DISK } else { RUNS_IN_MEMORY };
    for seed in 0..runs {
        let mut rng = SmallRng::seed_from_u64(seed as u64);
        let input = mutated(&mut rng, &corpus);
        run(entry, &input, &format!("seed {seed}"));
    }
    println!("{}: {} inputs and {runs} mutations in {:?}", entry.name, corpus.len(), started.elapsed());
}

/// The inputs in tests/fuzz/corpus; there is at least one.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.expect("a readable folder").path();
            (path.display().to_string(), std::fs::read(&path).expect("a readable file"))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

fn run(entry: &EntryPoint, input: &[u8], origin: &str) {
    let failed_at = FailedAt { entry: entry.name, origin };
    (entry.run)(input);
    std::mem::forget(failed_at);
}

/// Says which input it was when an entry point panics.
struct FailedAt<'a> {
    entry: &'a str,
    origin: &'a str,
}

impl Drop for FailedAt<'_> {
    fn drop(&mut self) {
        eprintln!("failed at {} with {}", self.entry, self.origin);
    }
}

fn mutated(rng: &mut SmallRng, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    const INTERESTING: [&[u8]; 8] = [
        &[0x00],
        &[0xff],
        &[0x7f, 0xff],
        &[0x00, 0x00, 0x00, 0x00],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
    ];
    let pick = |rng: &mut SmallRng| corpus[rng.random_range(0..corpus.len())].1.clone();
    let mut input = pick(rng);
    for _ in 0..rng.random_range(1..=MUTATIONS_MAX) {
        let at = rng.random_range(0..=input.len());
        let end = rng.random_range(at..=input.len().min(at + 64));
        match rng.random_range(0..7) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let copied = input[at..end].to_vec();
                let to = rng.random_range(0..=input.len());
                input.splice(to..to, copied).for_each(drop);
            }
            3 => {
                let pattern = INTERESTING[rng.random_range(0..INTERESTING.len())];
                let end = input.len().min(at + pattern.len());
                input.splice(at..end, pattern.iter().copied()).for_each(drop);
            }
            4 => {
                let other = pick(rng);
                let from = rng.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => input[at..end].iter_mut().for_each(|byte| *byte = rng.random()),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}
