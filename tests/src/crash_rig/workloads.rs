//! The workloads themselves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mark::Keeping;
use super::workload::{Client, Workload, compacted, places, strict};
use crate::batches;

/// All of them.
pub const ALL: &[Workload] =
    &[STEADY, SMALL, LARGE, ROLLS, TOPICS, IDEMPOTENT, CHECKPOINTS, RETENTION, RELAXED, OFFSETS, COMPACTION];

const STEADY: Workload = Workload {
    name: "steady",
    about: "four producers to four partitions, batches of up to 4 KiB",
    settings: &[],
    acks_until_kill: 60,
    run: |stage| {
        let topic = stage.witness().topic("steady", strict(4), &[])?;
        let places = places(&topic, 4);
        let produce = |client: usize| -> Client<'_> {
            let (place, mut source) = (&places[client], stage.source(client, None));
            Box::new(move |mut witness| {
                for _ in 0..25 {
                    witness.send(place, source.batch(3, 1500), 3)?;
                }
                witness.settle(0)
            })
        };
        stage.run(&places[..2], (0..4).map(produce).collect())
    },
};

const SMALL: Workload = Workload {
    name: "small",
    about: "many small appends to twelve topics in turn, many at a time",
    settings: &[],
    acks_until_kill: 150,
    run: |stage| {
        let mut admin = stage.witness();
        let mut all = Vec::new();
        for index in 0..12 {
            let topic = admin.topic(&format!("small-{index}"), strict(1), &[])?;
            all.extend(places(&topic, 1));
        }
        let produce = |client: usize| -> Client<'_> {
            let (all, mut source) = (&all, stage.source(client, None));
            Box::new(move |mut witness| {
                for index in 0..120 {
                    let place = &all[(index + client * 6) % all.len()];
                    witness.send(place, source.batch(1, 120), 12)?;
                }
                witness.settle(0)
            })
        };
        stage.run(&all[..1], (0..2).map(produce).collect())
    },
};

const LARGE: Workload = Workload {
    name: "large",
    about: "batches of up to 400 KiB, with small ones between",
    settings: &[],
    acks_until_kill: 16,
    run: |stage| {
        let topic = stage.witness().topic("large", strict(2), &[])?;
        let places = places(&topic, 2);
        let produce = |client: usize| -> Client<'_> {
            let (place, mut source) = (&places[client % 2], stage.source(client, None));
            Box::new(move |mut witness| {
                for _ in 0..8 {
                    witness.send(place, source.batch(4, 100_000), 2)?;
                    witness.send(place, source.batch(1, 500), 2)?;
                }
                witness.settle(0)
            })
        };
        stage.run(&places[..1], (0..3).map(produce).collect())
    },
};

const ROLLS: Workload = Workload {
    name: "rolls",
    about: "segments of 4 KiB and an index entry for nearly every batch",
    settings: &["sendlog.checkpoint.interval.ms=150"],
    acks_until_kill: 50,
    run: |stage| {
        let configs = [("segment.bytes", "4096"), ("index.interval.bytes", "512")];
        let topic = stage.witness().topic("rolls", strict(2), &configs)?;
        let places = places(&topic, 2);
        let produce = |client: usize| -> Client<'_> {
            let (place, mut source) = (&places[client % 2], stage.source(client, None));
            Box::new(move |mut witness| {
                for _ in 0..25 {
                    witness.send(place, source.batch(2, 900), 2)?;
                }
                witness.settle(0)
            })
        };
        stage.run(&places[..1], (0..3).map(produce).collect())
    },
};

const TOPICS: Workload = Workload {
    name: "topics",
    about: "topics created, written to, deleted, and created again under the same name",
    settings: &[],
    acks_until_kill: 24,
    run: |stage| {
        let administrate = |client: usize| -> Client<'_> {
            let mut source = stage.source(client, None);
            Box::new(move |mut witness| {
                for index in 0..8 {
                    let name = format!("topic-{}-{client}-{index}", stage.session);
                    let topic = witness.topic(&name, strict(2), &[])?;
                    for place in places(&topic, 2) {
                        witness.send(&place, source.batch(2, 300), 2)?;
                    }
                    witness.settle(0)?;
                    if index % 2 == 0 {
                        witness.delete_topic(&topic)?;
                    }
                    if index % 4 == 0 {
                        witness.topic(&name, strict(1), &[])?;
                        witness.send(&places(&topic, 1)[0], source.batch(2, 300), 0)?;
                    }
                }
                Ok(())
            })
        };
        stage.run(&[], (0..2).map(administrate).collect())
    },
};

const IDEMPOTENT: Workload = Workload {
    name: "idempotent",
    about: "idempotent producers that send what was acknowledged again",
    settings: &["sendlog.checkpoint.interval.ms=200"],
    acks_until_kill: 60,
    run: |stage| {
        let topic = stage.witness().topic("idempotent", strict(2), &[("segment.bytes", "16384")])?;
        let places = places(&topic, 2);
        let produce = |client: usize| -> Client<'_> {
            let place = &places[client % 2];
            Box::new(move |mut witness| {
                let identity = witness.producer()?;
                let mut source = stage.source(client, Some(identity));
                for index in 0..25 {
                    let batch = source.batch(3, 700);
                    // No more than a broker remembers of a producer, with one for the retry of the last.
                    witness.send(place, batch.clone(), 3)?;
                    if index % 5 == 0 {
                        witness.send(place, batch, 3)?;
                    }
                }
                witness.settle(0)
            })
        };
        stage.run(&places[1..], (0..3).map(produce).collect())
    },
};

const CHECKPOINTS: Workload = Workload {
    name: "checkpoints",
    about: "a checkpoint every 100 ms under a steady load of idempotent and plain producers",
    settings: &["sendlog.checkpoint.interval.ms=100"],
    acks_until_kill: 200,
    run: |stage| {
        let topic = stage.witness().topic("checkpoints", strict(3), &[("segment.bytes", "32768")])?;
        let places = places(&topic, 3);
        let produce = |client: usize| -> Client<'_> {
            let place = &places[client];
            Box::new(move |mut witness| {
                let identity = if client == 0 { Some(witness.producer()?) } else { None };
                let mut source = stage.source(client, identity);
                // As long as it takes for some checkpoints; how many there are is not asserted.
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(500) {
                    witness.send(place, source.batch(2, 400), 1)?;
                }
                witness.settle(0)
            })
        };
        stage.run(&[], (0..3).map(produce).collect())
    },
};

const RETENTION: Workload = Workload {
    name: "retention",
    about: "segments deleted by size and by DeleteRecords while more is written",
    settings: &["log.retention.check.interval.ms=25", "sendlog.checkpoint.interval.ms=100"],
    acks_until_kill: 60,
    run: |stage| {
        const RETAINED: u64 = 20_000;
        let mut admin = stage.witness();
        let keeping = Keeping { retention_bytes: Some(RETAINED), ..strict(1) };
        let retained = RETAINED.to_string();
        // The records of scenarios are old.
        let configs =
            [("segment.bytes", "4096"), ("retention.ms", "-1"), ("retention.bytes", retained.as_str())];
        let by_size = admin.topic("by-size", keeping, &configs)?;
        let on_demand = admin.topic("on-demand", strict(1), &configs[..2])?;
        let places = [&by_size, &on_demand].map(|topic| places(topic, 1).remove(0));
        let fill: Client<'_> = {
            let (place, mut source) = (&places[0], stage.source(0, None));
            Box::new(move |mut witness| {
                for _ in 0..60 {
                    witness.send(place, source.batch(2, 1200), 2)?;
                }
                witness.settle(0)
            })
        };
        let delete: Client<'_> = {
            let (topic, place, mut source) = (Arc::clone(&on_demand), &places[1], stage.source(1, None));
            Box::new(move |mut witness| {
                for _ in 0..6 {
                    for _ in 0..8 {
                        witness.send(place, source.batch(1, 1200), 2)?;
                    }
                    witness.settle(0)?;
                    // Not all: the last segment stays, the cut is within one.
                    let last = witness.last_offset();
                    witness.delete_records(&topic, last - 2)?;
                }
                Ok(())
            })
        };
        stage.run(&places[..1], vec![fill, delete])
    },
};

const RELAXED: Workload = Workload {
    name: "relaxed",
    about: "topics that are synced later beside one that is not",
    settings: &[],
    acks_until_kill: 120,
    run: |stage| {
        let mut admin = stage.witness();
        let relaxed = Keeping { is_strict: false, ..strict(1) };
        let mut all = Vec::new();
        for (name, keeping, configs) in [
            ("by-count", relaxed, [("flush.messages", "20")]),
            ("by-time", relaxed, [("flush.ms", "20")]),
            ("at-once", strict(1), [("segment.bytes", "16384")]),
        ] {
            all.extend(places(&admin.topic(name, keeping, &configs)?, 1));
        }
        let produce = |client: usize| -> Client<'_> {
            let (place, mut source) = (&all[client], stage.source(client, None));
            Box::new(move |mut witness| {
                for _ in 0..80 {
                    witness.send(place, source.batch(2, 700), 2)?;
                }
                witness.settle(0)
            })
        };
        stage.run(&all[1..], (0..3).map(produce).collect())
    },
};

const OFFSETS: Workload = Workload {
    name: "offsets",
    about: "groups that commit the offsets of two partitions, beside a producer",
    settings: &[
        "offsets.topic.num.partitions=2",
        "offsets.topic.segment.bytes=4096",
        "sendlog.checkpoint.interval.ms=150",
    ],
    acks_until_kill: 90,
    run: |stage| {
        let topic = stage.witness().topic("offsets", strict(2), &[])?;
        let places = places(&topic, 2);
        let commit = |client: usize| -> Client<'_> {
            let places = &places;
            Box::new(move |mut witness| {
                let group: Arc<str> = format!("session {} group {client}", stage.session).into();
                for offset in 1..=25 {
                    witness.commit(&group, &places[offset % 2], i64::try_from(offset).unwrap_or(0))?;
                }
                Ok(())
            })
        };
        let produce: Client<'_> = {
            let (place, mut source) = (&places[0], stage.source(9, None));
            Box::new(move |mut witness| {
                for _ in 0..20 {
                    witness.send(place, source.batch(2, 700), 2)?;
                }
                witness.settle(0)
            })
        };
        stage.run(&places[..1], (0..4).map(commit).chain([produce]).collect())
    },
};

const COMPACTION: Workload = Workload {
    name: "compaction",
    about: "compacted topics, whose segments are replaced all the time, while they are written and read",
    settings: &[
        "log.cleaner.backoff.ms=10",
        "log.cleaner.min.cleanable.ratio=0.01",
        "log.cleaner.delete.retention.ms=0",
        "sendlog.checkpoint.interval.ms=100",
    ],
    acks_until_kill: 150,
    run: |stage| {
        let configs = [("cleanup.policy", "compact"), ("segment.bytes", "3000")];
        let topic = stage.witness().topic("compacted", compacted(2), &configs)?;
        let places = places(&topic, 2);
        let produce = |client: usize| -> Client<'_> {
            let place = &places[client % 2];
            Box::new(move |mut witness| {
                let identity = if client == 0 { Some(witness.producer()?) } else { None };
                let mut source = stage.source(client, identity);
                for _ in 0..80 {
                    witness.send(place, source.keyed_batch(4, 300, 10), 2)?;
                }
                witness.settle(0)
            })
        };
        let read: Client<'_> = {
            let place = &places[0];
            Box::new(move |mut witness| {
                let mut next = 0;
                for _ in 0..60 {
                    let fetched = witness.read(place, next)?;
                    let read_to =
                        fetched.batches.last().map_or(0, |last| batches::header(last).next_offset());
                    // From the start again, where most is replaced.
                    next = if read_to < fetched.high_watermark { read_to } else { 0 };
                }
                Ok(())
            })
        };
        let mut clients: Vec<Client<'_>> = (0..3).map(produce).collect();
        clients.push(read);
        stage.run(&[], clients)
    },
};
