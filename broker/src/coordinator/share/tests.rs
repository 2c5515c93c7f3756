//! A share partition by scenarios, and against a model that keeps every offset for itself.

use std::sync::Arc;

use super::*;

mod model;

const LIMITS: Limits = Limits { lock_ms: 30_000, deliveries_max: 5, in_flight_max: 200, may_renew: true };

fn want(member: &str, records_max: i64) -> Want {
    Want { member: Arc::from(member), records_max, is_strict: false, batch_size: i64::MAX }
}

fn strictly(member: &str, records_max: i64) -> Want {
    Want { is_strict: true, ..want(member, records_max) }
}

/// Batches of these sizes, one behind the other.
fn log(sizes: &[i64]) -> Vec<LogBatch> {
    let mut base = 0;
    let batches = sizes.iter().map(|size| {
        let batch = LogBatch { base, last: base + size - 1 };
        base += size;
        batch
    });
    batches.collect()
}

/// Reads where the partition wants to, and acquires.
fn fetch(partition: &mut SharePartition, log: &[LogBatch], want: &Want, now_ms: i64) -> Vec<(i64, i64, i16)> {
    fetch_with(partition, log, want, now_ms, &LIMITS)
}

fn fetch_with(
    partition: &mut SharePartition,
    log: &[LogBatch],
    want: &Want,
    now_ms: i64,
    limits: &Limits,
) -> Vec<(i64, i64, i16)> {
    if !partition.can_acquire(limits) {
        return Vec::new();
    }
    let offset = partition.next_fetch_offset();
    let at = log.partition_point(|batch| batch.last < offset);
    let ranges = partition.acquire(Fetched { offset, batches: &log[at..] }, want, limits, now_ms);
    ranges.iter().map(|range| (range.first, range.last, range.deliveries)).collect()
}

fn say(first: i64, last: i64, verdict: Verdict) -> Acknowledgement {
    Acknowledgement { first, last, verdicts: vec![verdict] }
}

fn acknowledge(
    partition: &mut SharePartition,
    member: &str,
    said: &[Acknowledgement],
) -> Result<Vec<StateBatch>, AcknowledgeError> {
    partition.acknowledge(&Arc::from(member), said, &LIMITS, 0)
}

#[test]
fn members_get_different_records_of_one_partition() {
    let (mut partition, log) = (SharePartition::new(0), log(&[10, 10, 10]));
    assert_eq!(fetch(&mut partition, &log, &want("a", 10), 0), [(0, 9, 1)]);
    assert_eq!(fetch(&mut partition, &log, &want("b", 5), 0), [(10, 19, 1)], "to the end of the batch");
    assert_eq!(fetch(&mut partition, &log, &strictly("c", 4), 0), [(20, 23, 1)], "and no further");
    assert_eq!(fetch(&mut partition, &log, &want("d", 100), 0), [(24, 29, 1)]);
    assert_eq!((partition.start_offset(), partition.end_offset()), (0, 30));
}

#[test]
fn accepted_records_are_done_and_the_start_follows_them() {
    let (mut partition, log) = (SharePartition::new(0), log(&[10, 10]));
    fetch(&mut partition, &log, &want("a", 20), 0);
    let changed = acknowledge(&mut partition, "a", &[say(5, 14, Verdict::Accept)]).unwrap();
    assert_eq!(changed, [StateBatch { first: 5, last: 14, state: DurableState { code: 2, count: 1 } }]);
    assert_eq!((partition.start_offset(), partition.delivery_complete_count()), (0, 10));
    let rejected = acknowledge(&mut partition, "a", &[say(0, 4, Verdict::Reject)]).unwrap();
    assert_eq!(rejected[0].state, DurableState { code: 4, count: 1 });
    assert_eq!((partition.start_offset(), partition.delivery_complete_count()), (15, 0));
    assert_eq!(acknowledge(&mut partition, "a", &[say(0, 3, Verdict::Accept)]), Ok(vec![]), "done already");
    acknowledge(&mut partition, "a", &[say(15, 19, Verdict::Gap)]).unwrap();
    assert_eq!((partition.start_offset(), partition.end_offset()), (20, 20));
}

#[test]
fn each_record_may_have_a_verdict_of_its_own() {
    let (mut partition, log) = (SharePartition::new(0), log(&[5]));
    fetch(&mut partition, &log, &want("a", 5), 0);
    let verdicts =
        vec![Verdict::Accept, Verdict::Release, Verdict::Release, Verdict::Reject, Verdict::Accept];
    acknowledge(&mut partition, "a", &[Acknowledgement { first: 0, last: 4, verdicts }]).unwrap();
    assert_eq!(partition.start_offset(), 1);
    assert_eq!(fetch(&mut partition, &log, &want("b", 5), 0), [(1, 2, 2)]);
}

#[test]
fn only_the_holder_decides_and_a_refusal_changes_nothing() {
    let (mut partition, log) = (SharePartition::new(0), log(&[10, 10]));
    fetch(&mut partition, &log, &want("a", 10), 0);
    let before = partition.clone();
    let refused = acknowledge(&mut partition, "b", &[say(0, 3, Verdict::Accept)]);
    assert_eq!(refused, Err(AcknowledgeError::NotHeld { offset: 0 }));
    let refused =
        acknowledge(&mut partition, "a", &[say(0, 3, Verdict::Accept), say(8, 12, Verdict::Accept)]);
    assert_eq!(refused, Err(AcknowledgeError::NotHandedOut { offset: 10 }));
    let refused = acknowledge(&mut SharePartition::new(0), "a", &[say(0, 3, Verdict::Accept)]);
    assert_eq!(refused, Err(AcknowledgeError::NothingHandedOut));
    assert_eq!(partition, before);
    acknowledge(&mut partition, "a", &[say(0, 3, Verdict::Accept), say(6, 6, Verdict::Accept)]).unwrap();
    let again = acknowledge(&mut partition, "a", &[say(6, 6, Verdict::Release)]);
    assert_eq!(again, Err(AcknowledgeError::NotHeld { offset: 6 }), "what is accepted stays so");
}

#[test]
fn a_lock_runs_out_and_a_renewed_one_later() {
    let (mut partition, log) = (SharePartition::new(0), log(&[10]));
    fetch(&mut partition, &log, &want("a", 10), 1000);
    assert_eq!(partition.next_deadline_ms(), Some(31_000));
    let member = Arc::from("a");
    partition.acknowledge(&member, &[say(5, 9, Verdict::Renew)], &LIMITS, 20_000).unwrap();
    assert!(partition.expire(30_999, &LIMITS).is_empty());
    let returned = partition.expire(31_000, &LIMITS);
    assert_eq!(returned, [StateBatch { first: 0, last: 4, state: DurableState { code: 0, count: 1 } }]);
    assert_eq!(partition.next_deadline_ms(), Some(50_000));
    assert_eq!(fetch(&mut partition, &log, &want("b", 10), 31_000), [(0, 4, 2)]);
    let late = acknowledge(&mut partition, "a", &[say(0, 9, Verdict::Accept)]);
    assert_eq!(late, Err(AcknowledgeError::NotHeld { offset: 0 }));
    let limits = Limits { may_renew: false, ..LIMITS };
    let refused = partition.acknowledge(&member, &[say(5, 5, Verdict::Renew)], &limits, 32_000);
    assert_eq!(refused, Err(AcknowledgeError::NoRenewal));
}

#[test]
fn a_record_is_handed_out_so_often_and_no_more() {
    let (mut partition, log) = (SharePartition::new(0), log(&[8]));
    let mut seen = Vec::new();
    loop {
        let ranges = fetch(&mut partition, &log, &want("a", 8), 0);
        let Some(&(first, last, count)) = ranges.first() else { break };
        assert_eq!(ranges.len(), 1);
        seen.push((last - first + 1, count));
        partition.release("a", &LIMITS);
    }
    // Three times all of them; then the batch's halves, each with its records alone at last.
    assert_eq!(seen[..3], [(8, 1), (8, 2), (8, 3)]);
    let half = [(4, 4), (1, 5), (1, 5), (1, 5), (1, 5)];
    assert_eq!(seen[3..], [half, half].concat());
    assert_eq!((partition.start_offset(), partition.end_offset()), (8, 8));
}

#[test]
fn the_window_is_bounded_and_opens_at_its_start() {
    let limits = Limits { in_flight_max: 20, ..LIMITS };
    let (mut partition, log) = (SharePartition::new(0), log(&[8, 8, 8, 8, 100]));
    assert_eq!(fetch_with(&mut partition, &log, &want("a", 500), 0, &limits), [(0, 23, 1)]);
    assert!(!partition.can_acquire(&limits));
    acknowledge(&mut partition, "a", &[say(10, 23, Verdict::Accept)]).unwrap();
    assert!(!partition.can_acquire(&limits), "the first record is still out");
    partition.acknowledge(&Arc::from("a"), &[say(0, 9, Verdict::Accept)], &limits, 0).unwrap();
    assert_eq!(
        fetch_with(&mut partition, &log, &want("a", 500), 0, &limits),
        [(24, 43, 1)],
        "a batch too large"
    );
    partition.release("a", &limits);
    assert_eq!(fetch_with(&mut partition, &log, &want("b", 500), 0, &limits), [(24, 43, 2)]);
}

#[test]
fn ranges_have_the_size_that_the_client_likes() {
    let (mut partition, log) = (SharePartition::new(0), log(&[3, 3, 3, 3, 3]));
    let want = Want { batch_size: 5, ..want("a", 15) };
    assert_eq!(fetch(&mut partition, &log, &want, 0), [(0, 5, 1), (6, 11, 1), (12, 14, 1)]);
}

#[test]
fn offsets_that_the_log_lost_are_done_with() {
    let mut partition = SharePartition::new(0);
    let log = [LogBatch { base: 5, last: 7 }, LogBatch { base: 20, last: 22 }];
    assert_eq!(fetch(&mut partition, &log, &strictly("a", 2), 0), [(5, 6, 1)]);
    assert_eq!(partition.start_offset(), 5);
    partition.release("a", &LIMITS);
    // Compaction took the first batch.
    assert_eq!(fetch(&mut partition, &log[1..], &want("a", 10), 0), [(20, 22, 1)]);
    assert_eq!((partition.start_offset(), partition.end_offset()), (20, 23));
}

#[test]
fn a_log_start_that_moves_takes_records_with_it() {
    let (mut partition, log) = (SharePartition::new(0), log(&[10, 10]));
    fetch(&mut partition, &log, &want("a", 15), 0);
    partition.advance_log_start(12);
    assert_eq!(partition.start_offset(), 12);
    acknowledge(&mut partition, "a", &[say(0, 19, Verdict::Accept)]).unwrap();
    assert_eq!(partition.start_offset(), 20);
    partition.advance_log_start(50);
    assert_eq!((partition.start_offset(), partition.end_offset()), (50, 50));
}

#[test]
fn a_log_that_lost_its_end_takes_its_records_out_of_flight() {
    let (mut partition, log) = (SharePartition::new(0), log(&[10, 10]));
    fetch(&mut partition, &log, &want("a", 20), 0);
    acknowledge(&mut partition, "a", &[say(0, 2, Verdict::Accept), say(15, 19, Verdict::Accept)]).unwrap();
    partition.cut(12);
    assert_eq!((partition.start_offset(), partition.end_offset()), (3, 12));
    assert_eq!(partition.delivery_complete_count(), 0);
    assert_eq!(fetch(&mut partition, &log, &want("b", 20), 0), [(12, 19, 1)]);
    partition.cut(1);
    assert_eq!((partition.start_offset(), partition.next_fetch_offset()), (1, 1));
}

#[test]
fn a_crash_forgets_locks_and_nothing_else() {
    let (mut partition, log) = (SharePartition::new(0), log(&[10]));
    fetch(&mut partition, &log, &want("a", 10), 0);
    let mut written = acknowledge(&mut partition, "a", &[say(2, 3, Verdict::Accept)]).unwrap();
    written.extend(acknowledge(&mut partition, "a", &[say(5, 5, Verdict::Release)]).unwrap());
    let mut after = SharePartition::new(0);
    after.replay(0, &written);
    assert_eq!(after, SharePartition::restored(0, &partition.snapshot()));
    assert_eq!(fetch(&mut after, &log, &want("b", 10), 0), [(0, 1, 1), (4, 4, 1), (5, 5, 2), (6, 9, 1)]);
}

#[test]
fn a_file_may_say_anything() {
    let state = DurableState { code: 99, count: -3 };
    let batches = [
        StateBatch { first: 5, last: 4, state },
        StateBatch { first: 0, last: i64::MAX, state },
        StateBatch { first: -7, last: 3, state },
        StateBatch { first: i64::MIN, last: i64::MIN, state },
    ];
    let mut partition = SharePartition::restored(0, &batches);
    assert_eq!((partition.start_offset(), partition.end_offset(), partition.next_fetch_offset()), (0, 4, 0));
}
