//! `broker check`: every kind of damage is found, and nothing else, with file, position and offsets. A repair says what it
//! would do and changes nothing; when it is applied, the next check is content, the broker starts, and all that was not damaged
//! is there.

use std::fs;
use std::path::Path;

use sendlog_tests::data_check::CheckRun;
use sendlog_tests::planted_damage::{
    BATCHES, End, Expected, Original, TOPIC, WIDTH, damage, found_exactly, goes_the_whole_way, original,
    originals, snapshot, warning,
};
use sendlog_tests::{Broker, BrokerOptions, Kafka, data_files};

#[test]
fn a_directory_without_damage_is_good() {
    for original in originals() {
        for args in [&[][..], &["--records"]] {
            let before = snapshot(&original.path());
            let found = CheckRun::on(&original.path(), args);
            assert_eq!((found.code, found.bad()), (0, vec![]));
            if original.end == End::Stopped {
                assert_eq!(found.findings, [], "an orderly stop leaves nothing undone");
            }
            assert_eq!(found.summary["batches"], BATCHES + 1);
            assert_eq!(found.summary["segments"], original.segments.len() + 1);
            assert_eq!(snapshot(&original.path()), before);
        }
        if original.end == End::Killed {
            let plan = CheckRun::on(&original.path(), &["--repair"]);
            assert_eq!(plan.steps.len(), 0, "what the next start finishes is left to it: {plan:?}");
        }
        let nothing = CheckRun::on(&original.path(), &["--repair", "--apply"]);
        assert_eq!((nothing.code, nothing.done.len()), (0, 0), "{nothing:?}");
    }
}

#[test]
fn flipped_bits_are_found_and_set_aside() {
    for original in originals() {
        let last = original.segments.len() - 1;
        // Base offset, length, magic, checksum, last offset delta, payload.
        let flips = match original.end {
            End::Stopped => [(1, 7), (1, 10), (1, 18), (1, 100), (last, 100)],
            End::Killed => [(1, 7), (1, 16), (1, 25), (0, 200), (last, 100)],
        };
        for (segment, at) in flips {
            let batch = original.middle_of(segment);
            let (base, position) = original.places[batch];
            let offsets = Original::offset(batch)..Original::offset(batch + 1);
            goes_the_whole_way(
                original,
                &format!("flip of byte {at} in segment {segment}"),
                |dir| data_files::flip(&dir.join(Original::file(base, "log")), position + at),
                &[damage("batch", Original::file(base, "log"), position, offsets.clone())],
                offsets,
            );
        }
    }
}

#[test]
fn truncated_segments_are_found_and_filled() {
    for original in originals() {
        let last = original.segments.len() - 1;
        for (segment, inside, kind) in [(1, 70, "batch"), (1, 0, "missing-offsets"), (last, 70, "batch")] {
            if segment == last && original.end == End::Killed {
                // Behind the checkpoint this is a torn tail.
                continue;
            }
            let batch = original.middle_of(segment);
            let (base, position) = original.places[batch];
            let offsets = Original::offset(batch)..original.range(segment).end;
            goes_the_whole_way(
                original,
                &format!("cut {inside} bytes into a batch of segment {segment}"),
                |dir| data_files::truncate(&dir.join(Original::file(base, "log")), position + inside),
                &[damage(kind, Original::file(base, "log"), position, offsets.clone())],
                offsets,
            );
        }
    }
}

#[test]
fn lost_segments_are_found_and_their_offsets_kept() {
    for original in originals() {
        let last = original.segments.len() - 1;
        let lost = match original.end {
            End::Stopped => vec![0, 2, last],
            // The last one was behind the checkpoint: nothing tells of it.
            End::Killed => vec![0, 2],
        };
        for segment in lost {
            let range = original.range(segment);
            let file = Original::file(range.start, "log");
            let expected = Expected {
                severity: "damage",
                kind: "missing-offsets",
                file: file.clone(),
                position: None,
                offsets: Some(range.clone()),
            };
            goes_the_whole_way(
                original,
                &format!("lost segment {segment}"),
                |dir| fs::remove_file(dir.join(&file)).expect("it is there"),
                &[expected],
                range,
            );
        }
    }
}

/// A file of a segment, its damage, and the kind of the finding.
type FileDamage = (&'static str, fn(&Path), &'static str);

#[test]
fn indexes_and_seals_are_compared_with_the_log() {
    let damages: [FileDamage; 8] = [
        ("index", |path| data_files::flip(path, 11), "offset-index"),
        ("index", |path| data_files::truncate(path, 16), "offset-index"),
        ("index", |path| fs::remove_file(path).expect("it is there"), "offset-index"),
        ("index", |path| fs::write(path, vec![0; 4096]).expect("it can be written"), "offset-index"),
        ("timeindex", |path| data_files::flip(path, 31), "time-index"),
        ("timeindex", |path| data_files::truncate(path, 13), "time-index"),
        ("seal", |path| data_files::flip(path, 30), "seal"),
        ("seal", |path| data_files::truncate(path, 30), "seal"),
    ];
    for original in originals() {
        let base = original.base(1);
        let is_turn = |number: usize| number % 2 == usize::from(original.end == End::Killed);
        for (number, (extension, plant, kind)) in
            damages.into_iter().enumerate().filter(|(at, _)| is_turn(*at))
        {
            let file = Original::file(base, extension);
            goes_the_whole_way(
                original,
                &format!("{extension} damaged, way {number}"),
                |dir| plant(&dir.join(&file)),
                &[warning(kind, file.clone())],
                0..0,
            );
        }
        let two = [original.base(1), original.base(2)];
        goes_the_whole_way(
            original,
            "two indexes swapped",
            |dir| {
                let [one, other] = two.map(|base| dir.join(Original::file(base, "index")));
                let aside = dir.join("aside");
                fs::rename(&one, &aside).expect("it is there");
                fs::rename(&other, &one).expect("it is there");
                fs::rename(&aside, &other).expect("it is there");
            },
            &two.map(|base| warning("offset-index", Original::file(base, "index"))),
            0..0,
        );
    }
}

#[test]
fn a_wrong_entry_of_an_index_is_named() {
    let original = original(End::Stopped);
    let base = original.base(1);
    let dir = original.copy("entry");
    data_files::flip(&dir.join(Original::file(base, "index")), 8 * 3 + 7);
    let found = CheckRun::on(&dir, &[]).bad();
    assert_eq!((found.len(), found[0].position), (1, Some(8 * 3)), "{found:?}");
    assert!(found[0].reason.contains("position"), "{found:?}");
}

#[test]
fn several_damages_of_a_log_are_repaired_at_once() {
    for original in originals() {
        let batches: Vec<usize> =
            vec![0, original.middle_of(1), original.middle_of(1) + 2, original.middle_of(2)];
        let plant = |dir: &Path| {
            for batch in &batches {
                let (base, position) = original.places[*batch];
                data_files::flip(&dir.join(Original::file(base, "log")), position + 80);
            }
        };
        let dir = original.copy("several");
        plant(&dir);
        let expected: Vec<Expected> = batches
            .iter()
            .map(|batch| {
                let (base, position) = original.places[*batch];
                let offsets = Original::offset(*batch)..Original::offset(*batch + 1);
                damage("batch", Original::file(base, "log"), position, offsets)
            })
            .collect();
        found_exactly(&dir, &expected, "several");
        CheckRun::on(&dir, &["--repair", "--apply"]);
        let again = CheckRun::on(&dir, &[]);
        assert_eq!((again.code, again.bad()), (0, vec![]));
        let mut broker = Broker::start(BrokerOptions { data_dir: Some(dir), ..BrokerOptions::default() });
        let mut kafka = Kafka::open(broker.address());
        for (index, batch) in original.log.iter().enumerate().filter(|(index, _)| !batches.contains(index)) {
            let fetched = kafka.fetch(TOPIC, 0, Original::offset(index)).expect("it is answered");
            assert_eq!(fetched.batches.first(), Some(batch), "{:?} {index}", original.end);
        }
        assert!(broker.terminate().success());
    }
}

/// The checkpoint of another moment: a backup of the log that is older, or newer, than the state files.
#[test]
fn a_checkpoint_that_contradicts_the_log_is_found() {
    let original = original(End::Stopped);
    let (base, position) = original.places[BATCHES - 1];
    let file = Original::file(base, "log");
    let end = Original::offset(BATCHES);
    goes_the_whole_way(
        original,
        "a last batch less",
        |dir| data_files::truncate(&dir.join(&file), position),
        &[damage("missing-offsets", file.clone(), position, end - WIDTH..end)],
        end - WIDTH..end,
    );
    let mut more = original.log[BATCHES - 1].to_vec();
    more[..8].copy_from_slice(&end.to_be_bytes());
    let dir = original.copy("a batch more");
    data_files::append(&dir.join(&file), &more);
    let size = position + more.len() as u64;
    found_exactly(&dir, &[damage("checkpoint", file.clone(), size, end..end + WIDTH)], "a batch more");
    CheckRun::on(&dir, &["--repair", "--apply"]);
    assert_eq!(CheckRun::on(&dir, &[]).code, 0);
    let mut broker = Broker::start(BrokerOptions { data_dir: Some(dir), ..BrokerOptions::default() });
    let found = Kafka::open(broker.address()).fetch(TOPIC, 0, end).expect("it is answered");
    assert_eq!(found.batches[0], more, "it is served");
    assert!(broker.terminate().success());
}
