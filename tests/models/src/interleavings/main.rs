//! The hand-off between producers, commit threads and parked fetches, under random interleavings (shuttle).
//!
//! Shuttle and not loom: everything here is locks and condition variables, so there are no memory orders to explore, and
//! two commit threads with two producers have far more interleavings than can be enumerated.
// The unit tests of the broker's files need the broker's locks.
#![cfg(not(test))]

mod commit;
mod fetch;
mod ghost;
mod planted;
mod sync;

// The broker's own files; each leaves something unused here.
#[path = "../../../../broker/src/partition/commit_queue.rs"]
mod commit_queue;
#[path = "../../../../broker/src/partition/offsets.rs"]
#[allow(dead_code, reason = "the model uses a part of it")]
mod offsets;
#[path = "../../../../broker/src/partition/waiters.rs"]
#[allow(dead_code, reason = "the model uses a part of it")]
mod waiters;

/// What they import.
mod storage {
    pub(crate) mod view {
        /// As `storage/view.rs` has it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct Bound {
            pub(crate) offset: i64,
            pub(crate) segment_base: i64,
            pub(crate) position: u64,
        }
    }
}

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;
use sendlog_models::{Options, Scenario};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};

use planted::Planted;

/// Priority changes that the probabilistic scheduler places: how many "and just then" a fault may need.
const PCT_DEPTH: usize = 4;

/// How often each scheduler runs a scenario, and what it runs.
struct Runs {
    count: usize,
    run: fn(),
}

const SCENARIOS: &[Scenario<Planted, Runs>] = &[
    Scenario {
        name: "commit",
        shows: "every append is answered once, in order, after its sync; the watermark never passes it; no fetch sleeps on",
        run: Runs { count: 10_000, run: commit::all_is_acknowledged },
        faults: &[
            Planted::CallLost,
            Planted::CloseCallLost,
            Planted::StageNotLeft,
            Planted::NoSyncStage,
            Planted::AckBeforeSync,
            Planted::WatermarkBeforeSync,
        ],
    },
    Scenario {
        name: "close",
        shows: "what was queued before the close is done, what comes later is dropped, and the threads end",
        run: Runs { count: 10_000, run: commit::closing_drains },
        faults: &[Planted::CloseCallLost, Planted::StageNotLeft],
    },
    Scenario {
        name: "failure",
        shows: "after a failed sync nothing is acknowledged, and everybody is told",
        run: Runs { count: 10_000, run: commit::a_failure_ends_acknowledgements },
        faults: &[Planted::FailureForgotten],
    },
    Scenario {
        name: "panic",
        shows: "a commit thread that breaks off anywhere leaves no append waiting",
        run: Runs { count: 10_000, run: commit::a_broken_thread_leaves_nothing_waiting },
        faults: &[Planted::TurnLost],
    },
    Scenario {
        name: "fetch",
        shows: "a parked fetch is woken by the watermark that it waits for",
        run: Runs { count: 10_000, run: fetch::a_parked_fetch_is_woken },
        faults: &[Planted::LookBeforePark, Planted::WakeBeforeMove],
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
        match &options.replay {
            Some(schedule) => shuttle::replay(scenario.run.run, schedule),
            None => run(&scenario.run, &options),
        }
        println!("{}: {} in {:.1} s", scenario.name, ghost::reached(), started.elapsed().as_secs_f64());
    }
    ExitCode::SUCCESS
}

fn run(scenario: &Runs, options: &Options) {
    let runs = scenario.count * options.factor;
    check(RandomScheduler::new_from_seed(options.seed, runs), scenario.run);
    check(PctScheduler::new_from_seed(options.seed, PCT_DEPTH, runs), scenario.run);
}

fn check(scheduler: impl Scheduler + 'static, run: fn()) {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::Print;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(run);
}
