//! What a compacted partition owes: of every key the last record that anybody was told of, or read, or a later one; nothing that was
//! deleted, and nothing that nobody sent.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;

use super::promises::LogPromise;
use super::survey::FoundLog;
use super::verdict::BreachKind;
use crate::batches;
use crate::keyed::{self, Keyed};

/// Complains about every promise that is not kept.
pub fn judge(owed: &LogPromise, found: &FoundLog, complain: &mut impl FnMut(BreachKind, String)) {
    judge_order(found, complain);
    let records = keyed::records(&found.batches);
    judge_origin(owed, &records, complain);
    let mut present: HashMap<&Bytes, Vec<&Keyed>> = HashMap::new();
    for record in &records {
        present.entry(&record.key).or_default().push(record);
    }
    for (key, last) in last_known(owed) {
        let of_key = present.get(&key).map_or(&[][..], Vec::as_slice);
        if of_key.iter().any(|record| last.offset <= record.offset) {
            continue;
        }
        if last.value.is_some() {
            complain(
                BreachKind::Lost,
                format!("the last value of {key:?}, acknowledged or read at {}", last.offset),
            );
        } else if let Some(older) = of_key.last() {
            let text = format!("{key:?} was deleted at {} and is there at {}", last.offset, older.offset);
            complain(BreachKind::Vanished, text);
        }
    }
}

/// Batches rise, from the start to the end. Between them offsets may be missing.
fn judge_order(found: &FoundLog, complain: &mut impl FnMut(BreachKind, String)) {
    let mut next = 0;
    for header in found.batches.iter().map(|batch| batches::header(batch)) {
        if header.base_offset < next {
            complain(BreachKind::Offsets, format!("{} comes behind {next}", header.base_offset));
        }
        next = header.next_offset();
    }
    // Batches without records are among them: the last of a segment, or of a producer.
    let end = found.holes.iter().map(|hole| hole.end).max().unwrap_or(0).max(next);
    if found.start != 0 || end != found.end {
        complain(
            BreachKind::Offsets,
            format!("{}..{} ends with a batch before {end}", found.start, found.end),
        );
    }
}

/// Every record was sent, and lies where it was acknowledged.
fn judge_origin(owed: &LogPromise, records: &[Keyed], complain: &mut impl FnMut(BreachKind, String)) {
    let mut places: HashMap<(Bytes, Option<Bytes>), HashSet<Option<i64>>> = HashMap::new();
    for (batch, offset) in &owed.sent {
        for record in keyed::records(std::slice::from_ref(batch)) {
            let at = offset.map(|offset| offset + record.offset);
            places.entry((record.key, record.value)).or_default().insert(at);
        }
    }
    for record in records {
        let known = places.get(&(record.key.clone(), record.value.clone()));
        match known {
            None => complain(BreachKind::Invented, format!("nobody sent what is at {}", record.offset)),
            Some(at) if at.contains(&Some(record.offset)) || at.contains(&None) => {}
            Some(at) => {
                complain(BreachKind::Lost, format!("what was acknowledged at {at:?} is at {}", record.offset))
            }
        }
    }
}

/// The last record of each key that was acknowledged, or read.
fn last_known(owed: &LogPromise) -> BTreeMap<Bytes, Keyed> {
    let acknowledged = owed.sent.iter().filter_map(|(batch, offset)| Some((batch, (*offset)?)));
    let of_batch = |(batch, offset): (&Bytes, i64)| {
        let records = keyed::records(std::slice::from_ref(batch)).into_iter();
        records.map(move |record| Keyed { offset: offset + record.offset, ..record }).collect::<Vec<_>>()
    };
    let read = owed.read.values().flat_map(|batch| keyed::records(std::slice::from_ref(batch)));
    let mut last: BTreeMap<Bytes, Keyed> = BTreeMap::new();
    for record in acknowledged.flat_map(of_batch).chain(read) {
        if last.get(&record.key).is_none_or(|known| known.offset < record.offset) {
            last.insert(record.key.clone(), record);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::records::{
        BatchBuilder, Compression, NewRecord, ProducerStamp, patch_offset_and_epoch,
    };

    use super::*;

    fn batch(key: &str, value: Option<&str>) -> Bytes {
        let mut builder = BatchBuilder::new();
        let value = value.map(str::as_bytes);
        builder.add(&NewRecord { timestamp: 1, key: Some(key.as_bytes()), value, headers: &[] }).unwrap();
        builder.build(Compression::None, ProducerStamp::NONE).unwrap()
    }

    fn stored(batch: &Bytes, offset: i64) -> Bytes {
        let mut bytes = batch.to_vec();
        patch_offset_and_epoch(&mut bytes, offset, 0);
        bytes.into()
    }

    fn breaches(owed: &LogPromise, batches: Vec<Bytes>, end: i64) -> Vec<BreachKind> {
        let found = FoundLog { start: 0, end, batches, holes: Vec::new() };
        let mut kinds = Vec::new();
        judge(owed, &found, &mut |kind, _| kinds.push(kind));
        kinds
    }

    #[test]
    fn the_last_record_of_a_key_is_owed_and_nothing_that_was_deleted() {
        let (one, two, gone) = (batch("a", Some("1")), batch("a", Some("2")), batch("a", None));
        let other = batch("b", Some("3"));
        let mut owed = LogPromise::default();
        for (batch, offset) in [(&one, 0), (&two, 1), (&other, 3)] {
            owed.sent.insert(batch.clone(), Some(offset));
        }
        let at = stored;
        assert_eq!(breaches(&owed, vec![at(&two, 1), at(&other, 3)], 4), []);
        assert_eq!(breaches(&owed, vec![at(&one, 0), at(&other, 3)], 4), [BreachKind::Lost]);
        assert_eq!(
            breaches(&owed, vec![at(&two, 0), at(&other, 3)], 4),
            [BreachKind::Lost, BreachKind::Lost]
        );
        assert_eq!(breaches(&owed, vec![at(&two, 1), at(&other, 3)], 5), [BreachKind::Offsets]);
        let stranger = at(&batch("c", Some("4")), 2);
        assert_eq!(breaches(&owed, vec![at(&two, 1), stranger, at(&other, 3)], 4), [BreachKind::Invented]);
        owed.sent.insert(gone.clone(), Some(2));
        assert_eq!(breaches(&owed, vec![at(&gone, 2), at(&other, 3)], 4), []);
        assert_eq!(breaches(&owed, vec![at(&other, 3)], 4), []);
        assert_eq!(breaches(&owed, vec![at(&two, 1), at(&other, 3)], 4), [BreachKind::Vanished]);
        // What was read counts, and what was sent and not answered may be there.
        owed.sent.insert(batch("b", Some("5")), None);
        owed.read.insert(4, at(&batch("b", Some("5")), 4));
        assert_eq!(breaches(&owed, vec![at(&other, 3)], 4), [BreachKind::Lost]);
        assert_eq!(breaches(&owed, vec![at(&batch("b", Some("5")), 4)], 5), []);
    }
}
