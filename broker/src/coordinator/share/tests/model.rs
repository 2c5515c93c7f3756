//! Random lives of a share partition, with crashes, beside a model of single offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::delivery::State;
use super::*;

/// An offset in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Available,
    Held { member: usize, until_ms: i64 },
    Done,
}

#[derive(Debug, Clone)]
enum Step {
    Fetch { member: usize, records_max: i64, is_strict: bool },
    Say { member: usize, from: i64, len: i64, verdict: Verdict },
    Pass { ms: i64 },
    Leave { member: usize },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![
        4 => Just(Verdict::Accept),
        2 => Just(Verdict::Release),
        1 => Just(Verdict::Reject),
        1 => Just(Verdict::Renew),
    ];
    prop_oneof![
        5 => (0..3usize, 1..12i64, any::<bool>())
            .prop_map(|(member, records_max, is_strict)| Step::Fetch { member, records_max, is_strict }),
        6 => (0..3usize, 0..60i64, 1..10i64, verdict)
            .prop_map(|(member, from, len, verdict)| Step::Say { member, from, len, verdict }),
        2 => (1..40_000i64).prop_map(|ms| Step::Pass { ms }),
        1 => (0..3usize).prop_map(|member| Step::Leave { member }),
        1 => Just(Step::Crash),
    ]
}

/// Batches with holes between them.
fn logs() -> impl Strategy<Value = Vec<LogBatch>> {
    prop::collection::vec((0..3i64, 1..7i64), 1..12).prop_map(|sizes| {
        let mut base = 0;
        let batches = sizes.into_iter().map(|(hole, size)| {
            let batch = LogBatch { base: base + hole, last: base + hole + size - 1 };
            base = batch.last + 1;
            batch
        });
        batches.collect()
    })
}

const LIMITS: Limits = Limits { lock_ms: 30_000, deliveries_max: 3, in_flight_max: 16, may_renew: true };
const MEMBERS: [&str; 3] = ["a", "b", "c"];

/// The partition, its model and its disk.
struct Life {
    log: Vec<LogBatch>,
    partition: SharePartition,
    model: BTreeMap<i64, (Fate, i16)>,
    snapshot: (i64, Vec<StateBatch>),
    updates: Vec<(i64, Vec<StateBatch>)>,
    now_ms: i64,
}

impl Life {
    fn new(log: Vec<LogBatch>) -> Self {
        let offsets = log.iter().flat_map(|batch| batch.base..=batch.last);
        Self {
            model: offsets.map(|offset| (offset, (Fate::Available, 0))).collect(),
            log,
            partition: SharePartition::new(0),
            snapshot: (0, Vec::new()),
            updates: Vec::new(),
            now_ms: 0,
        }
    }

    fn write(&mut self, changed: Vec<StateBatch>) {
        self.updates.push((self.partition.start_offset(), changed));
        if 4 < self.updates.len() {
            self.snapshot = (self.partition.start_offset(), self.partition.snapshot());
            self.updates.clear();
        }
    }

    fn fetch(&mut self, member: usize, records_max: i64, is_strict: bool) -> usize {
        let want = Want { member: Arc::from(MEMBERS[member]), records_max, is_strict, batch_size: 4 };
        let ranges = fetch_with(&mut self.partition, &self.log, &want, self.now_ms, &LIMITS);
        let mut count = 0;
        for &(first, last, deliveries) in &ranges {
            for offset in first..=last {
                count += 1;
                // Offsets in holes are handed out with their neighbours.
                let Some((fate, before)) = self.model.get_mut(&offset) else { continue };
                assert_eq!(*fate, Fate::Available, "offset {offset} was not to be had");
                *before += 1;
                assert_eq!(*before, deliveries, "deliveries of offset {offset}");
                *fate = Fate::Held { member, until_ms: self.now_ms + LIMITS.lock_ms };
            }
        }
        assert!(!is_strict || i64::try_from(count).unwrap() <= records_max);
        count
    }

    fn say(&mut self, member: usize, first: i64, last: i64, verdict: Verdict) {
        let said = [Acknowledgement { first, last, verdicts: vec![verdict] }];
        let answer = self.partition.acknowledge(&Arc::from(MEMBERS[member]), &said, &LIMITS, self.now_ms);
        let is_held = |fate: &Fate| matches!(fate, Fate::Held { member: holder, .. } if *holder == member);
        let start = self.partition.start_offset();
        let mut known = self.model.range(first..=last).filter(|(offset, _)| start <= **offset);
        match answer {
            Err(AcknowledgeError::NotHeld { .. }) | Err(AcknowledgeError::NoRenewal) => {}
            Err(AcknowledgeError::NothingHandedOut) => {
                assert_eq!(start, self.partition.end_offset());
            }
            Err(AcknowledgeError::NotHandedOut { .. }) => assert!(self.partition.end_offset() <= last),
            Ok(changed) => {
                assert!(known.all(|(_, (fate, _))| is_held(fate) || *fate != Fate::Available));
                let now_ms = self.now_ms;
                for (fate, count) in self.model.range_mut(first..=last).map(|(_, value)| value) {
                    if is_held(fate) {
                        *fate = match verdict {
                            Verdict::Release if *count < LIMITS.deliveries_max => Fate::Available,
                            Verdict::Renew => Fate::Held { member, until_ms: now_ms + LIMITS.lock_ms },
                            _ => Fate::Done,
                        };
                    }
                }
                self.write(changed);
            }
        }
    }

    fn take_back(&mut self, is_taken: impl Fn(usize, i64) -> bool, changed: Vec<StateBatch>) {
        for (fate, count) in self.model.values_mut() {
            if let Fate::Held { member, until_ms } = *fate
                && is_taken(member, until_ms)
            {
                *fate = if *count < LIMITS.deliveries_max { Fate::Available } else { Fate::Done };
            }
        }
        self.write(changed);
    }

    fn crash(&mut self) {
        let (start, batches) = &self.snapshot;
        self.partition = SharePartition::restored(*start, batches);
        for (start, batches) in &self.updates {
            self.partition.replay(*start, batches);
        }
        for (fate, count) in self.model.values_mut() {
            if matches!(fate, Fate::Held { .. }) {
                *fate = Fate::Available;
                *count -= 1;
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Fetch { member, records_max, is_strict } => {
                let _ = self.fetch(member, records_max, is_strict);
            }
            Step::Say { member, from, len, verdict } => self.say(member, from, from + len - 1, verdict),
            Step::Pass { ms } => {
                self.now_ms += ms;
                let now_ms = self.now_ms;
                let changed = self.partition.expire(now_ms, &LIMITS);
                self.take_back(|_, until_ms| until_ms <= now_ms, changed);
            }
            Step::Leave { member } => {
                let changed = self.partition.release(MEMBERS[member], &LIMITS);
                self.take_back(|holder, _| holder == member, changed);
            }
            Step::Crash => self.crash(),
        }
        self.check();
    }

    /// The invariants that the partition's module names, and the model's view.
    fn check(&self) {
        let (start, end) = (self.partition.start_offset(), self.partition.end_offset());
        let mut next = start;
        let mut done = 0;
        for span in self.partition.in_flight.iter() {
            assert_eq!(span.first, next, "offsets in flight are in one span each");
            next = span.last + 1;
            done += if span.value.is_final() { span.len() } else { 0 };
            for offset in span.first..=span.last {
                let Some((fate, count)) = self.model.get(&offset) else { continue };
                let expected = match &span.value.state {
                    State::Available => Fate::Available,
                    State::Acquired { holder, until_ms } => Fate::Held {
                        member: MEMBERS.iter().position(|member| **member == **holder).unwrap(),
                        until_ms: *until_ms,
                    },
                    State::Acknowledged | State::Archived => Fate::Done,
                };
                assert_eq!((*fate, *count), (expected, span.value.count), "offset {offset}");
            }
        }
        assert_eq!((next, done), (end, self.partition.delivery_complete_count()));
        assert!(self.partition.in_flight.first().is_none_or(|span| !span.value.is_final()));
        assert!(end - start < LIMITS.in_flight_max * 2 + 3);
        assert!(self.model.range(..start).all(|(_, (fate, _))| *fate == Fate::Done), "nothing is lost");
        assert!(self.model.range(end..).all(|(_, (fate, count))| (*fate, *count) == (Fate::Available, 0)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_record_has_one_holder_and_none_is_lost(
        log in logs(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut life = Life::new(log);
        for step in steps {
            life.run(&step);
        }
        // Whoever is left over takes the rest.
        for member in 0..MEMBERS.len() {
            life.run(&Step::Leave { member });
        }
        let all = life.log.last().unwrap().last + 1;
        for _ in 0..200 {
            if life.fetch(0, 5, false) == 0 {
                break;
            }
            life.check();
            let held: Vec<i64> = life.model.iter()
                .filter(|(_, (fate, _))| matches!(fate, Fate::Held { .. }))
                .map(|(offset, _)| *offset)
                .collect();
            // Holes in between are acknowledged as such by a real client; the model's are of no consequence.
            let changed = life.partition.release("a", &Limits { deliveries_max: 0, ..LIMITS });
            life.write(changed);
            for offset in held {
                life.model.get_mut(&offset).unwrap().0 = Fate::Done;
            }
            life.run(&Step::Crash);
        }
        prop_assert_eq!(life.partition.start_offset(), all);
    }
}
