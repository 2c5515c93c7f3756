//! The publication of index entries, under every interleaving and memory order of small models (loom).
//!
//! Loom and not shuttle: what is at stake is which store another core may see first, and only loom explores that. The
//! models are small enough to be enumerated; three threads with a bounded number of preemptions where they are not.
// The unit tests of the broker's files need the broker's locks.
#![cfg(not(test))]

mod disk;
mod planted;
mod sync;

/// The broker's own file, and what it imports.
mod storage {
    pub(crate) mod files {
        pub(crate) use crate::disk::{FileSystem, IoMode, OpenMode, StoredFile, write_all_at};
    }
    #[path = "../../../../../broker/src/storage/index_file.rs"]
    #[allow(dead_code, reason = "the model uses a part of it")]
    mod index_file;
    pub(crate) mod publication;
}

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser as _;
use sendlog_models::{Options, Scenario};
use storage::publication;

use planted::Planted;

/// Steps of one run.
const BRANCHES_MAX: usize = 10_000;

/// Models of a scenario.
struct Models {
    /// How often a thread that could go on is interrupted, at most; `None` for every interleaving there is.
    preemptions: Option<usize>,
    runs: &'static [fn()],
}

const SCENARIOS: &[Scenario<Planted, Models>] = &[
    Scenario {
        name: "publish",
        shows: "a reader sees whole entries, and none before it is written",
        run: Models { preemptions: None, runs: &[publication::entries_are_whole] },
        faults: &[Planted::RelaxedPublish, Planted::RelaxedLook],
    },
    Scenario {
        name: "growth",
        shows: "the same while the file grows and is mapped anew",
        run: Models { preemptions: None, runs: &[publication::growth_hides_nothing] },
        faults: &[Planted::RelaxedPublish, Planted::RelaxedLook],
    },
    Scenario {
        name: "unmap",
        shows: "the same while the map is let go and comes back",
        run: Models { preemptions: Some(3), runs: &[publication::the_map_may_go_at_any_time] },
        faults: &[Planted::RelaxedPublish],
    },
    Scenario {
        name: "trim",
        shows: "no reader touches what is cut from a file",
        run: Models { preemptions: Some(3), runs: &[publication::a_trimmed_file_faults_nobody] },
        faults: &[Planted::TrimBlindly],
    },
    Scenario {
        name: "replace",
        shows: "readers see the old index or the new one, and in the end the new one",
        run: Models {
            preemptions: Some(3),
            runs: &[
                publication::a_shorter_index_replaces_the_old_one,
                publication::a_shorter_index_replaces_the_old_one_and_grows,
                publication::a_longer_index_replaces_the_old_one,
            ],
        },
        faults: &[Planted::RelaxedPublish],
    },
];

fn main() -> ExitCode {
    let options = Options::parse();
    let chosen = match options.choose(SCENARIOS, &planted::FAULTS) {
        Ok(chosen) => chosen,
        Err(code) => return code,
    };
    planted::plant(chosen.planted);
    for scenario in chosen.scenarios {
        let started = Instant::now();
        let runs: usize =
            scenario.run.runs.iter().map(|run| check(*run, &scenario.run, options.factor)).sum();
        println!("{}: {runs} runs in {:.1} s", scenario.name, started.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}

/// Returns how many interleavings there were.
fn check(run: fn(), scenario: &Models, factor: usize) -> usize {
    let runs = Arc::new(AtomicUsize::new(0));
    let mut model = loom::model::Builder::new();
    // One more interruption is some ten times as many runs.
    let more = factor.checked_ilog10().and_then(|more| usize::try_from(more).ok()).unwrap_or(0);
    model.preemption_bound = scenario.preemptions.map(|preemptions| preemptions + more);
    model.max_branches = BRANCHES_MAX;
    let counted = Arc::clone(&runs);
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run();
    });
    runs.load(Ordering::Relaxed)
}
