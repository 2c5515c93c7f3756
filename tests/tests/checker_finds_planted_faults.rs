//! The checker finds every fault that is planted in a model broker, and none where there is none.

use sendlog_tests::checker::model::{self, Fault, Plan};
use sendlog_tests::checker::{Checker, CheckerOptions, Report};

const SEEDS: u64 = 8;

fn report(plan: &Plan) -> (Report, u64) {
    let mut checker = Checker::new(CheckerOptions { all_read_again: true });
    let planted = model::play(plan, &mut |number, event| checker.observe(number, event));
    (checker.verdict(), planted)
}

#[test]
fn a_sane_broker_is_not_blamed() {
    for seed in 0..4 * SEEDS {
        let (report, _) = report(&Plan { seed, ..Plan::default() });
        assert!(report.is_clean(), "seed {seed}: {report}");
        assert!(500 < report.batches_acknowledged && 0 < report.repetitions, "seed {seed}: {report}");
        assert!(0 < report.batches_unanswered && 1 < report.crashes, "seed {seed}: {report}");
    }
}

#[test]
fn every_fault_is_found() {
    for fault in Fault::ALL {
        let mut planted_once = 0;
        for seed in 0..SEEDS {
            let plan = Plan { seed, fault: Some((*fault, seed % 3)), ..Plan::default() };
            let (report, planted) = report(&plan);
            assert!(planted <= 1);
            let is_found = fault.complaints().iter().any(|kind| report.has(*kind));
            assert_eq!(is_found, planted == 1, "{fault:?}, seed {seed}, planted {planted}: {report}");
            planted_once += planted;
        }
        assert!(SEEDS / 2 <= planted_once, "{fault:?} was planted {planted_once} times");
    }
}

#[test]
fn one_dropped_batch_in_a_hundred_thousand_is_found() {
    let plan = Plan {
        batches: 100_000,
        steps_between_crashes: 50_000,
        fault: Some((Fault::DroppedBatch, 30_000)),
        ..Plan::default()
    };
    let (report, planted) = report(&plan);
    assert_eq!(planted, 1);
    assert!(90_000 < report.batches_acknowledged, "{report}");
    let lost =
        report.violations.iter().find(|violation| violation.kind.eq(&Fault::DroppedBatch.complaints()[0]));
    let lost = lost.unwrap_or_else(|| panic!("{report}"));
    assert!(lost.producers.len() == 1 && lost.log.starts_with("model-"), "{lost}");
    assert!(1 < lost.events.len() && lost.offsets.start < lost.offsets.end, "{lost}");
}
