//! Compares what a broker has with what it owes.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;

use super::compacted;
use super::promises::{LogPromise, Presence, Promises, TopicPromise};
use super::survey::{FoundLog, Survey};
use crate::batches;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// What kind.
    pub kind: BreachKind,
    /// Where, and the details.
    pub text: String,
}

/// The kinds of broken promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BreachKind {
    /// An acknowledged batch is not at its offset with its bytes.
    Lost,
    /// What was read before is not read any more.
    Vanished,
    /// A batch that nobody sent.
    Invented,
    /// A batch that is there twice.
    Duplicate,
    /// Offsets do not follow one another, or begin where they must not.
    Offsets,
    /// A topic that must be there is not, or one that must not be is.
    Topic,
    /// The file system cannot be mounted: the rig is wrong, or the kernel.
    FileSystem,
    /// The broker does not start, stop or answer as it should.
    Broker,
}

impl Breach {
    /// A breach.
    pub fn new(kind: BreachKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}: {}", self.kind, self.text)
    }
}

/// All promises that are not kept.
pub fn judge(promises: &Promises, survey: &Survey) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (name, promise) in &promises.topics {
        let found = survey.topics.get(&**name);
        let is_right = match (promise.presence, found) {
            (Presence::Open | Presence::Leaving(_), None)
            | (Presence::Gone, None)
            | (Presence::Open, Some(_)) => true,
            (Presence::There(id) | Presence::Leaving(id), Some(found)) => found.id == id,
            (Presence::There(_), None) | (Presence::Gone, Some(_)) => false,
        };
        let right_size = found.is_none_or(|found| found.logs.len() == promise.logs.len());
        if !is_right || !right_size {
            let text = format!("{name}: {:?} was promised, it is {found:?}", promise.presence);
            breaches.push(Breach::new(BreachKind::Topic, text));
            continue;
        }
        let logs = found.into_iter().flat_map(|found| &found.logs).zip(&promise.logs);
        for ((found, owed), partition) in logs.zip(0..) {
            let judging = Judging { name: format!("{name}-{partition}"), promise, owed, found };
            judging.judge(&mut breaches);
        }
    }
    for name in survey.topics.keys().filter(|name| !promises.topics.contains_key(name.as_str())) {
        breaches.push(Breach::new(BreachKind::Topic, format!("{name}: nobody asked for it")));
    }
    judge_offsets(promises, survey, &mut breaches);
    breaches
}

/// What a group has committed is there, or something that it sent after it.
fn judge_offsets(promises: &Promises, survey: &Survey, breaches: &mut Vec<Breach>) {
    let mut unknown = survey.offsets.clone();
    for ((group, place), promise) in &promises.offsets {
        let key = (group.to_string(), place.topic.to_string(), place.partition);
        let found = unknown.remove(&key).unwrap_or(0);
        let kind = match found {
            _ if found < promise.committed => BreachKind::Lost,
            _ if promise.sent < found => BreachKind::Invented,
            _ => continue,
        };
        breaches.push(Breach::new(kind, format!("{group} is at {found} of {place:?}, owed {promise:?}")));
    }
    for (key, offset) in unknown {
        breaches.push(Breach::new(BreachKind::Invented, format!("nobody committed {offset} as {key:?}")));
    }
}

struct Judging<'a> {
    name: String,
    promise: &'a TopicPromise,
    owed: &'a LogPromise,
    found: &'a FoundLog,
}

impl Judging<'_> {
    fn judge(&self, breaches: &mut Vec<Breach>) {
        let mut complain =
            |kind, text: String| breaches.push(Breach::new(kind, format!("{}: {text}", self.name)));
        if self.promise.keeping.is_compacted {
            return compacted::judge(self.owed, self.found, &mut complain);
        }
        self.judge_start(&mut complain);
        self.judge_order(&mut complain);
        let present = self.judge_batches(&mut complain);
        if !self.promise.keeping.is_strict {
            return;
        }
        for (batch, offset) in &self.owed.sent {
            let Some(offset) = offset else { continue };
            let next = offset + i64::from(batches::header(batch).last_offset_delta) + 1;
            let was_deleted = next <= self.found.start;
            if !was_deleted && !present.contains(batch) {
                complain(
                    BreachKind::Lost,
                    format!("the batch acknowledged at {offset} of {}", self.extent()),
                );
            }
        }
        let stored: HashSet<&Bytes> = self.found.batches.iter().collect();
        for (offset, read) in &self.owed.read {
            let was_deleted = batches::header(read).next_offset() <= self.found.start;
            if !was_deleted && !stored.contains(read) {
                complain(BreachKind::Vanished, format!("what was read at {offset} of {}", self.extent()));
            }
        }
    }

    /// The log may begin later than it did only where somebody, or retention, has deleted.
    fn judge_start(&self, complain: &mut impl FnMut(BreachKind, String)) {
        let Self { owed, found, .. } = self;
        let kept: usize = found.batches.iter().map(Bytes::len).sum();
        let has_retention = self.promise.keeping.retention_bytes.is_some_and(|least| least <= kept as u64);
        let is_early = found.start < owed.start_min;
        let is_late = owed.start_max < found.start && !has_retention;
        if is_early || is_late {
            let (least, most) = (owed.start_min, owed.start_max);
            let text = format!("begins at {}, should at {least} to {most}; {kept} bytes kept", found.start);
            complain(BreachKind::Offsets, text);
        }
    }

    /// Batches and holes, taken together, follow one another from the start to the end.
    fn judge_order(&self, complain: &mut impl FnMut(BreachKind, String)) {
        let batches = self.found.batches.iter().map(|batch| batches::header(batch));
        let batches = batches.map(|header| header.base_offset..header.next_offset());
        let mut ranges: Vec<_> = batches.chain(self.found.holes.iter().cloned()).collect();
        ranges.sort_by_key(|range| range.start);
        let mut expected = ranges.first().map_or(self.found.start, |first| first.start.min(self.found.start));
        for range in ranges {
            if range.start != expected {
                complain(BreachKind::Offsets, format!("{range:?} follows {expected} of {}", self.extent()));
            }
            expected = range.end;
        }
        if expected != self.found.end {
            complain(
                BreachKind::Offsets,
                format!("the last offset is before {expected} of {}", self.extent()),
            );
        }
    }

    /// No batch was invented, moved or repeated. Returns those that are there.
    fn judge_batches(&self, complain: &mut impl FnMut(BreachKind, String)) -> HashSet<Bytes> {
        let mut present = HashSet::new();
        for stored in &self.found.batches {
            let (batch, at) = (batches::as_sent(stored), batches::header(stored).base_offset);
            match self.owed.sent.get(&batch) {
                None => complain(
                    BreachKind::Invented,
                    format!("nobody sent what is at {at} of {}", self.extent()),
                ),
                Some(Some(promised)) if *promised != at && self.promise.keeping.is_strict => {
                    complain(BreachKind::Lost, format!("the batch acknowledged at {promised} is at {at}"));
                }
                Some(_) => {}
            }
            if !present.insert(batch) {
                complain(BreachKind::Duplicate, format!("the batch at {at} is there twice"));
            }
        }
        present
    }

    fn extent(&self) -> String {
        let FoundLog { start, end, batches, holes } = self.found;
        format!("{start}..{end} ({} batches, set aside {holes:?})", batches.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use uuid::Uuid;

    use super::{BreachKind, judge};
    use crate::batches;
    use crate::crash_rig::mark::{Keeping, Mark, Place};
    use crate::crash_rig::promises::Promises;
    use crate::crash_rig::survey::{FoundLog, FoundTopic, Survey};

    const ID: Uuid = Uuid::from_u128(1);

    fn stored(name: &str, offset: u8) -> Bytes {
        let mut bytes = batches::of(&[name]).to_vec();
        bytes[7] = offset;
        bytes[12..16].fill(0);
        Bytes::from(bytes)
    }

    fn promises(more: &[Mark]) -> Promises {
        promises_of(
            Keeping { partitions: 1, is_strict: true, retention_bytes: None, is_compacted: false },
            more,
        )
    }

    /// Two batches, acknowledged at 0 and 1, and one that is not.
    fn promises_of(keeping: Keeping, more: &[Mark]) -> Promises {
        let place = place();
        let mut promises = Promises::default();
        promises.learn(&[Mark::TopicAsked("t".into(), keeping), Mark::TopicThere("t".into(), ID)]);
        for (name, offset) in [("one", Some(0)), ("two", Some(1)), ("three", None)] {
            promises.learn(&[Mark::Sent(place.clone(), batches::of(&[name]))]);
            if let Some(offset) = offset {
                promises.learn(&[Mark::Acknowledged(place.clone(), batches::of(&[name]), offset)]);
            }
        }
        promises.learn(more);
        promises
    }

    fn place() -> Place {
        Place { topic: Arc::from("t"), partition: 0 }
    }

    fn survey(start: i64, end: i64, batches: &[Bytes]) -> Survey {
        let log = FoundLog { start, end, batches: batches.to_vec(), holes: Vec::new() };
        let topics = [("t".to_owned(), FoundTopic { id: ID, logs: vec![log] })].into();
        Survey { topics, ..Survey::default() }
    }

    fn kinds(promises: &Promises, survey: &Survey) -> Vec<BreachKind> {
        judge(promises, survey).into_iter().map(|breach| breach.kind).collect()
    }

    #[test]
    fn what_was_promised_and_what_may_be_are_right() {
        let (one, two, three) = (stored("one", 0), stored("two", 1), stored("three", 2));
        let promises = promises(&[Mark::Read(place(), one.clone())]);
        assert_eq!(kinds(&promises, &survey(0, 2, &[one.clone(), two.clone()])), []);
        assert_eq!(kinds(&promises, &survey(0, 3, &[one.clone(), two.clone(), three])), []);
        let mut with_hole = survey(0, 5, &[one, two]);
        with_hole.topics.get_mut("t").unwrap().logs[0].holes.push(2..5);
        assert_eq!(kinds(&promises, &with_hole), [], "what nobody acknowledged may be set aside");
    }

    #[test]
    fn every_broken_promise_is_found() {
        let (one, two) = (stored("one", 0), stored("two", 1));
        let plain = promises(&[]);
        assert_eq!(kinds(&plain, &survey(0, 1, std::slice::from_ref(&one))), [BreachKind::Lost]);
        let mut with_hole = survey(0, 2, std::slice::from_ref(&one));
        with_hole.topics.get_mut("t").unwrap().logs[0].holes.push(1..2);
        assert_eq!(kinds(&plain, &with_hole), [BreachKind::Lost], "it must not be set aside");
        let moved = survey(0, 2, &[stored("two", 0), stored("one", 1)]);
        assert_eq!(kinds(&plain, &moved), [BreachKind::Lost; 2]);
        let all = [one.clone(), two.clone()];
        let invented = survey(0, 3, &[one.clone(), two.clone(), stored("four", 2)]);
        assert_eq!(kinds(&plain, &invented), [BreachKind::Invented]);
        let twice = survey(0, 4, &[one.clone(), two.clone(), stored("three", 2), stored("three", 3)]);
        assert_eq!(kinds(&plain, &twice), [BreachKind::Duplicate]);
        let gap = survey(0, 4, &[one.clone(), two.clone(), stored("three", 3)]);
        assert_eq!(kinds(&plain, &gap), [BreachKind::Offsets]);
        assert_eq!(kinds(&plain, &survey(0, 3, &all)), [BreachKind::Offsets], "an end that nothing reaches");
        assert_eq!(kinds(&plain, &survey(1, 2, &[two])), [BreachKind::Offsets], "nobody deleted anything");
        assert_eq!(kinds(&plain, &Survey::default()), [BreachKind::Topic]);
        let read = promises(&[Mark::Read(place(), stored("three", 2))]);
        assert_eq!(kinds(&read, &survey(0, 2, &all)), [BreachKind::Vanished]);
        let gone = promises(&[Mark::TopicUnwanted("t".into()), Mark::TopicGone("t".into())]);
        assert_eq!(kinds(&gone, &survey(0, 2, &all)), [BreachKind::Topic]);
        let mut other = survey(0, 2, &all);
        other.topics.insert("other".to_owned(), other.topics["t"].clone());
        assert_eq!(kinds(&plain, &other), [BreachKind::Topic]);
    }

    #[test]
    fn offsets_never_go_back() {
        let found = |offset: i64| {
            let offsets = [(("g".to_owned(), "t".to_owned(), 0), offset)].into();
            Survey { offsets, ..Survey::default() }
        };
        let group: Arc<str> = Arc::from("g");
        let mut promises = Promises::default();
        promises.learn(&[
            Mark::OffsetSent(Arc::clone(&group), place(), 5),
            Mark::OffsetCommitted(Arc::clone(&group), place(), 5),
            Mark::OffsetSent(group, place(), 7),
        ]);
        for offset in 5..=7 {
            assert_eq!(kinds(&promises, &found(offset)), []);
        }
        assert_eq!(kinds(&promises, &found(4)), [BreachKind::Lost]);
        assert_eq!(kinds(&promises, &found(8)), [BreachKind::Invented]);
        assert_eq!(kinds(&promises, &Survey::default()), [BreachKind::Lost]);
        assert_eq!(kinds(&Promises::default(), &found(1)), [BreachKind::Invented]);
    }

    #[test]
    fn deletion_is_kept_to_its_limits() {
        let (one, two) = (stored("one", 0), stored("two", 1));
        let asked = [Mark::RecordsUnwanted(place(), 1)];
        let both = survey(0, 2, &[one, two.clone()]);
        let rest = survey(1, 2, std::slice::from_ref(&two));
        assert_eq!(kinds(&promises(&asked), &both), []);
        assert_eq!(kinds(&promises(&asked), &rest), []);
        let [asked] = asked;
        let answered = promises(&[asked, Mark::RecordsGone(place(), 1)]);
        assert_eq!(kinds(&answered, &both), [BreachKind::Offsets], "what was deleted comes back");
        assert_eq!(kinds(&answered, &rest), []);
        for (retention_bytes, expected) in [(two.len() as u64, vec![]), (1000, vec![BreachKind::Offsets])] {
            let keeping = Keeping {
                partitions: 1,
                is_strict: true,
                retention_bytes: Some(retention_bytes),
                is_compacted: false,
            };
            assert_eq!(kinds(&promises_of(keeping, &[]), &rest), expected, "{retention_bytes}");
        }
    }

    #[test]
    fn a_relaxed_topic_owes_order_and_truth_only() {
        let keeping = Keeping { partitions: 1, is_strict: false, retention_bytes: None, is_compacted: false };
        let relaxed = promises_of(keeping, &[Mark::Read(place(), stored("two", 1))]);
        assert_eq!(kinds(&relaxed, &survey(0, 1, &[stored("one", 0)])), []);
        assert_eq!(kinds(&relaxed, &survey(0, 1, &[stored("four", 0)])), [BreachKind::Invented]);
        let mut settled = relaxed.settled();
        settled.learn(&[Mark::Read(place(), stored("one", 0))]);
        assert_eq!(
            kinds(&settled, &survey(0, 1, &[stored("one", 0)])),
            [],
            "what was lost before is forgotten"
        );
        assert_eq!(kinds(&settled, &survey(0, 0, &[])), [BreachKind::Vanished]);
    }
}
