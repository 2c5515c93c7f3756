//! What a crash leaves of what was not synced: a choice by seed, for [`SimDisk`](super::SimDisk).

use super::random::Random;

/// How a crash deals with unsynced changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// None of them reached the disk.
    Nothing,
    /// All of them did.
    Everything,
    /// All before a moment, none after it.
    UpTo(u64),
    /// Any, in any order; the newest state of a sector or a size with this chance in a hundred, else any that it had.
    Any { newest: u64 },
}

/// Decides for every sector, size and name. The same seed decides the same, if asked the same.
#[derive(Debug)]
pub(super) struct Crash {
    random: Random,
    mood: Mood,
}

impl Crash {
    /// `first` and `end` bound the numbers of the unsynced changes.
    pub(super) fn new(seed: u64, first: u64, end: u64) -> Self {
        let mut random = Random::new(seed);
        let mood = match random.below(8) {
            0 => Mood::Nothing,
            1 => Mood::Everything,
            2 => Mood::UpTo(first + random.below(end.saturating_sub(first) + 1)),
            3 => Mood::Any { newest: 0 },
            4 | 5 => Mood::Any { newest: 50 },
            _ => Mood::Any { newest: 90 },
        };
        Self { random, mood }
    }

    /// Which of the changes with these numbers is the last one that the disk has of something: 0 for none, n for the nth.
    pub(super) fn reached(&mut self, numbers: &[u64]) -> usize {
        match self.mood {
            Mood::Nothing => 0,
            Mood::Everything => numbers.len(),
            Mood::UpTo(end) => numbers.partition_point(|number| *number < end),
            Mood::Any { newest } if self.random.percent(newest) => numbers.len(),
            Mood::Any { .. } => self.random.index(numbers.len() + 1),
        }
    }

    /// Whether a change that is there or not reached the disk.
    pub(super) fn keeps(&mut self, number: u64) -> bool {
        self.reached(&[number]) == 1
    }

    /// How much of a sector's mapped content is as new as memory, the rest being older: a length up to `len`.
    pub(super) fn mapped(&mut self, len: usize) -> usize {
        const WORD: usize = 4;
        match self.mood {
            Mood::Nothing => 0,
            Mood::Everything => len,
            Mood::UpTo(_) | Mood::Any { .. } => match self.random.below(3) {
                0 => 0,
                1 => len,
                _ => self.random.index(len / WORD + 1) * WORD,
            },
        }
    }
}
