//! What the broker knows, or can fill from its journal, and what it leaves beside its logs.

use super::*;
use crate::storage::holes::Quarantined;
use crate::storage::journal::block::{BlockBuilder, Extent, ExtentBatch, ExtentPlace};
use crate::storage::journal::ring::Ring;
use crate::storage::journal::writer::JournalWriter;

/// Puts batches that follow each other into the commit journal, in one block, as for a segment's position.
fn journal(fixture: &Fixture, segment_base: i64, position: usize, batches: &[Vec<u8>]) {
    let ring = Ring::new(Arc::new(RealFs), fixture.dir.path(), DIRECTORY, 4 << 20, 1);
    ring.prepare(0, &|| true).unwrap();
    let headers: Vec<_> = batches.iter().map(|batch| BatchHeader::read(batch).unwrap()).collect();
    let place = ExtentPlace {
        topic_id: TOPIC,
        partition: 0,
        leader_epoch: 0,
        segment_base,
        position: position as u64,
        base_offset: headers[0].base_offset,
        end_offset: headers.last().unwrap().next_offset(),
    };
    let stored = |batch: &Vec<u8>| ExtentBatch {
        header: batch[..BATCH_HEADER_SIZE].try_into().unwrap(),
        records: batch[BATCH_HEADER_SIZE..].to_vec().into(),
    };
    let len = u32::try_from(batches.concat().len()).unwrap();
    let mut block = BlockBuilder::new(1 << 20);
    assert!(block.push(&Extent { place, batches: batches.iter().map(stored).collect(), len }));
    assert_eq!(JournalWriter::default().write(&ring, &mut block).unwrap(), Some(1));
}

fn summary(base: i64, size: usize, next_offset: i64) -> SegmentSummary {
    SegmentSummary { size: size as u64, next_offset, ..SegmentSummary::new(base, 0) }
}

/// After a crash, with a checkpoint behind the first batch of the last segment.
fn crashed() -> Fixture {
    let fixture = three_segments();
    fs::remove_file(fixture.dir.path().join("clean-shutdown")).unwrap();
    fixture.checkpoint(PartitionCheckpoint {
        start_offset: 0,
        end_offset: 27,
        active: Some(summary(24, size(), 27)),
        sealed: None,
        quarantined: Vec::new(),
    });
    fixture
}

#[test]
fn what_the_journal_fills_is_a_crashs_leaving() {
    let fixture = crashed();
    let last = fixture.path("00000000000000000024.log");
    let whole = fs::read(&last).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at + DAMAGED_AT] ^= 1;
        bytes
    };
    let found = |bytes: &[u8]| {
        fs::write(&last, bytes).unwrap();
        let found = fixture.repair();
        assert_eq!(fs::read(&last).unwrap(), bytes, "a repair leaves it to the next start");
        (found.short(), found.code)
    };
    // Two of the three batches behind the checkpoint.
    journal(&fixture, 24, size(), &batches(27, 2));
    let [one, two, three] = [1, 2, 3].map(|count| count * size());
    let unfinished = |at: usize, offset: i64, end: i64| {
        (vec![format!("unfinished torn-tail t-0/024.log @{at} {offset}..{end}")], EXIT_GOOD)
    };
    assert_eq!(found(&flipped(one)), unfinished(one, 27, 30), "torn in the middle");
    assert_eq!(found(&whole[..two]), unfinished(two, 30, 33), "short");
    assert_eq!(found(&whole[..two + 10]), unfinished(two, 30, 33), "torn at the end");
    assert_eq!(found(&whole[..one]), unfinished(one, 27, 33), "both are gone");
    let damage = |at: usize, offset: i64| {
        (vec![format!("damage batch t-0/024.log @{at} {offset}..{}", offset + 3)], EXIT_FINDINGS)
    };
    assert_eq!(found(&flipped(0)), damage(0, 24), "nobody looks below the checkpoint");
    fs::write(fixture.path("00000000000000000036.log"), batches(36, 1).concat()).unwrap();
    assert_eq!(found(&flipped(three)).0[0], damage(three, 33).0[0], "the journal does not have that one");
}

#[test]
fn a_journal_that_cannot_be_read_is_damage_after_a_crash() {
    for (is_clean, expected) in [(true, "warning journal"), (false, "damage journal")] {
        let fixture = if is_clean { three_segments() } else { crashed() };
        journal(&fixture, 24, size(), &batches(27, 3));
        let file = fixture.dir.path().join("journal/0.journal");
        let mut bytes = fs::read(&file).unwrap();
        bytes[10] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(fixture.run().short(), NONE, "the other copy is good");
        bytes[4096 + 10] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(fixture.run().short(), [format!("{expected} journal/0.journal @- -..-")]);
        // Of another directory, and with a block that is not whole.
        fs::remove_file(&file).unwrap();
        journal(&fixture, 24, size(), &batches(27, 3));
        let mut bytes = fs::read(&file).unwrap();
        bytes[2 * 4096 + 100] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let other = Ring::new(Arc::new(RealFs), fixture.dir.path(), Uuid::from_u128(9), 4 << 20, 1);
        fs::rename(&file, fixture.dir.path().join("journal/1.journal")).unwrap();
        other.prepare(0, &|| true).unwrap();
        let found = fixture.run();
        assert_eq!(
            (found.short(), found.code),
            (
                vec![
                    "info journal journal/0.journal @- -..-".to_owned(),
                    "info journal journal @- -..-".to_owned()
                ],
                EXIT_GOOD
            )
        );
    }
}

#[test]
fn ranges_that_the_broker_knows_are_no_findings() {
    let fixture = three_segments();
    let first = fixture.path("00000000000000000000.log");
    let good = StoredCheckpoint::load(&RealFs, fixture.dir.path()).unwrap().unwrap();
    let good = good.log(TOPIC, 0).unwrap().clone();
    let know = |position: usize, bytes: usize, offset: i64| {
        let (position, bytes, next_offset) = (position as u64, bytes as u64, offset + 3);
        let range = Quarantined { segment_base: 0, position, bytes, offset, next_offset };
        fixture.checkpoint(PartitionCheckpoint { quarantined: vec![range], ..good.clone() });
    };
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..3 * size()]).unwrap();
    know(3 * size(), size(), 9);
    let at = 3 * size();
    assert_eq!(
        fixture.run().short(),
        [format!("info quarantined t-0/000.log @{at} 9..12")],
        "its end is gone"
    );

    let mut bytes = whole.clone();
    bytes[DAMAGED_AT] ^= 1;
    fs::write(&first, &bytes).unwrap();
    know(0, size() - 1, 0);
    assert_eq!(fixture.run().short(), ["damage batch t-0/000.log @0 0..3"], "more than is known");
    know(0, size(), 0);
    let found = fixture.repair();
    assert_eq!(
        (found.short(), found.code),
        (vec!["info quarantined t-0/000.log @0 0..3".to_owned()], EXIT_GOOD)
    );
    assert_eq!(fs::read(&first).unwrap(), bytes, "it stays");

    // Other damage has the whole log scanned: then the known range must not become one that readers pass over.
    let second = fixture.path("00000000000000000012.log");
    let mut bytes = fs::read(&second).unwrap();
    bytes[size() + DAMAGED_AT] ^= 1;
    fs::write(&second, &bytes).unwrap();
    fixture.repair();
    let saved = StoredCheckpoint::load(&RealFs, fixture.dir.path()).unwrap().unwrap();
    let ranges = saved.log(TOPIC, 0).unwrap().quarantined.clone();
    let short: Vec<_> =
        ranges.iter().map(|range| (range.segment_base, range.position, range.bytes, range.offset)).collect();
    assert_eq!(short, [(0, 0, 61, 0), (12, size() as u64, 61, 15)], "each is marked as a loss");
    assert_eq!(
        fixture.run().short(),
        [
            "info set-aside t-0/000.log.damaged-0 @0 -..-".to_owned(),
            format!("info set-aside t-0/012.log.damaged-{} @0 -..-", size()),
            "info quarantined t-0/000.log @0 0..3".to_owned(),
            format!("info quarantined t-0/012.log @{} 15..18", size()),
        ]
    );
}

#[test]
fn what_other_commands_and_the_scrub_leave_is_known() {
    let fixture = three_segments();
    fs::create_dir(fixture.dir.path().join("adopt.tmp")).unwrap();
    fs::write(fixture.dir.path().join("scrub.state"), "x").unwrap();
    fs::write(fixture.dir.path().join("clock.state"), "x").unwrap();
    fs::create_dir(fixture.dir.path().join("journal")).unwrap();
    for name in ["0.journal", "1.journal.tmp", "0.journal.of-7", "notes"] {
        fs::write(fixture.dir.path().join("journal").join(name), "").unwrap();
    }
    assert_eq!(
        fixture.run().short(),
        [
            "warning state-file scrub.state @0 -..-",
            "warning state-file clock.state @0 -..-",
            "info set-aside journal/0.journal.of-7 @0 -..-",
            "unfinished leftover journal/1.journal.tmp @0 -..-",
            "info foreign journal/notes @- -..-",
            "unfinished leftover adopt.tmp @- -..-",
        ]
    );
}

#[test]
fn a_last_segment_without_a_batch_need_not_be_there() {
    let fixture = crashed();
    for (base, expected) in [(36, 0), (37, 1)] {
        fixture.checkpoint(PartitionCheckpoint {
            start_offset: 0,
            end_offset: base,
            active: Some(summary(base, 0, base)),
            sealed: None,
            quarantined: Vec::new(),
        });
        let found = fixture.run().short();
        let bad = found.iter().filter(|line| line.starts_with("damage")).count();
        assert_eq!(bad, expected, "{found:?}");
    }
}
