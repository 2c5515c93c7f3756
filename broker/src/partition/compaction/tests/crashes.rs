//! Random appends, compactions and restarts, on a disk that loses its power at any moment.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::storage::testing::SimDisk;

#[derive(Debug, Clone)]
enum Operation {
    Append {
        keys: String,
        codec: usize,
        has_producer: bool,
    },
    Checkpoint,
    Compact {
        forgets: bool,
    },
    Wait {
        ms: i64,
    },
    CleanRestart,
    /// The power goes after so many operations of the disk.
    PowerOff {
        after: u64,
        seed: u64,
        loses_checkpoint: bool,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let append = ("[a-fa-fA-D]{1,8}", 0..5usize, any::<bool>());
    prop_oneof![
        12 => append.prop_map(|(keys, codec, has_producer)| Operation::Append { keys, codec, has_producer }),
        3 => Just(Operation::Checkpoint),
        4 => any::<bool>().prop_map(|forgets| Operation::Compact { forgets }),
        1 => (1..3000i64).prop_map(|ms| Operation::Wait { ms }),
        1 => Just(Operation::CleanRestart),
        2 => (0..60u64, any::<u64>(), 0..6u8).prop_map(|(after, seed, checkpoint)| {
            Operation::PowerOff { after, seed, loses_checkpoint: checkpoint == 0 }
        }),
    ]
}

struct Run {
    root: TempDir,
    disk: SimDisk,
    life: Life,
    /// Of the power cut that was announced.
    cut: Option<(u64, bool)>,
    sequence: i32,
}

fn memory_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Run {
    fn new() -> Self {
        let root = memory_dir();
        let disk = SimDisk::new(root.path()).unwrap();
        let life = Life::new(Arc::new(disk.clone()), root.path(), settings(&[]));
        Self { root, disk, life, cut: None, sequence: 0 }
    }

    /// False if the power is off.
    fn attempt(&mut self, operation: &Operation) -> bool {
        match operation {
            Operation::Append { keys, codec, has_producer } => {
                let stamp = match has_producer {
                    true => ProducerStamp { producer_id: 3, producer_epoch: 0, base_sequence: self.sequence },
                    false => ProducerStamp::NONE,
                };
                let batch = build(keys, self.life.now_ms, Compression::ALL[*codec], stamp);
                if self.life.append_batch(&batch).is_err() {
                    return false;
                }
                if *has_producer {
                    self.sequence += i32::try_from(keys.len()).unwrap();
                }
                true
            }
            Operation::Checkpoint => self.life.checkpoint(false).is_ok(),
            Operation::Compact { forgets } => {
                if *forgets {
                    self.life.cleaned_to = None;
                }
                match self.life.compact() {
                    Ok(_) | Err(CompactionError::Gone) => true,
                    Err(error) => {
                        assert!(self.disk.is_off(), "{error}");
                        false
                    }
                }
            }
            Operation::Wait { ms } => {
                self.life.now_ms += ms;
                true
            }
            Operation::CleanRestart => {
                if self.life.checkpoint(true).is_err() {
                    return false;
                }
                let resume = match &self.life.saved {
                    Some(saved) => Resume::Clean(saved.log.clone()),
                    None => Resume::Fresh,
                };
                self.life.restart(self.root.path(), resume).is_ok()
            }
            Operation::PowerOff { after, seed, loses_checkpoint } => {
                if self.cut.is_none() {
                    self.disk.power_off_after(*after);
                    self.cut = Some((*seed, *loses_checkpoint));
                }
                true
            }
        }
    }

    fn recover(&mut self) {
        let (seed, loses_checkpoint) = self.cut.take().expect("nothing else fails");
        for again in 0..2 {
            let after = memory_dir();
            self.disk.crash(seed.wrapping_add(again), after.path()).unwrap();
            self.disk = SimDisk::new(after.path()).unwrap();
            self.root = after;
            self.life.fs = Arc::new(self.disk.clone());
            if again == 0 {
                // And once more while the log is being recovered.
                self.disk.power_off_after(seed % 40);
                let resume = dirty(self.life.saved.as_ref());
                let _ = self.life.restart(self.root.path(), resume);
            }
        }
        if loses_checkpoint {
            self.life.saved = None;
        }
        self.life.restart(self.root.path(), dirty(self.life.saved.as_ref())).unwrap();
        self.take_over();
    }

    /// An append that was not acknowledged may be there.
    fn take_over(&mut self) {
        let end = self.life.appended.last().map_or(0, |last| last.offset + 1);
        let extra: Vec<Entry> = self.life.read().into_iter().filter(|entry| end <= entry.offset).collect();
        self.life.appended.extend(extra);
        self.life.check();
        self.life.check_look_ups();
        assert!(self.life.partition.quarantined().is_empty());
        let producers = self.life.partition.producers();
        let known = producers.iter().find(|(id, _)| *id == 3).and_then(|(_, entry)| entry.batches.last());
        let next = known.map_or(0, |last| last.last_sequence + 1);
        assert!(self.sequence <= next, "what was acknowledged is known of the producer");
        self.sequence = next;
    }
}

fn run(operations: &[Operation]) {
    let mut run = Run::new();
    for operation in operations {
        if !run.attempt(operation) {
            run.recover();
        }
    }
    if run.cut.is_some() {
        run.recover();
    }
    run.life.check();
    run.life.check_look_ups();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_last_value_of_every_key_survives_every_crash(operations in prop::collection::vec(operation(), 1..80)) {
        run(&operations);
    }
}

/// What a compaction has left of its marker does not make a beginning of the next segment pass for the whole.
#[test]
fn the_power_goes_while_a_segment_is_compacted_once_more() {
    for after in 0..60 {
        for seed in 0..8 {
            let mut run = Run::new();
            for keys in ["abcdefghi", "abcAbcabc", "gbcabcabc", "zzzz"] {
                run.life.append(keys).unwrap();
            }
            run.life.checkpoint(false).unwrap();
            run.life.compact().unwrap();
            run.life.now_ms += 2 * DELETE_RETENTION_MS;
            run.life.cleaned_to = None;
            assert!(run.attempt(&Operation::PowerOff { after, seed, loses_checkpoint: false }));
            let _ = run.life.compact();
            run.recover();
        }
    }
}
