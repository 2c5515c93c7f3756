//! All that reached a disk, in order, with what clients knew in between; and every state that a power cut could have left.

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

use super::image::Image;
use super::mark::Mark;

/// The least that a disk writes as a whole, or not at all.
const SECTOR_BYTES: usize = 512;
/// What most disks really write as a whole.
const BLOCK_BYTES: usize = 4096;

/// Something that happened at the disk, or to a client.
#[derive(Clone, Debug)]
pub enum Event {
    /// A write.
    Write {
        /// Where, in bytes.
        position: u64,
        /// What.
        bytes: Bytes,
    },
    /// All writes before it are on the disk.
    Flush,
    /// What a client knows from now on. It may have come over the disk's last operation a moment later than noted.
    Mark(Mark),
}

impl Event {
    /// Whether the disk did something.
    pub fn is_of_disk(&self) -> bool {
        !matches!(self, Self::Mark(_))
    }
}

/// What happened to a disk.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The disk before.
    pub start: Image,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// A moment: so many events of a recording have happened, and the next is one of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashPoint(pub usize);

/// What a power cut does to writes that no flush has followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the disk has all that reached it.
    Nothing,
    /// Each write is kept, dropped, or torn into pieces that are kept or not, as the seed says: into sectors if it is odd,
    /// into blocks of 4 KiB if it is even. File systems do not promise to survive the first everywhere.
    Seeded(u64),
}

impl Recording {
    /// Every moment that has a state of the disk of its own: before its first operation, and behind each. All that
    /// clients learned before the next operation counts.
    pub fn points(&self) -> Vec<CrashPoint> {
        let next = self.events.iter().enumerate().filter(|(_, event)| event.is_of_disk());
        next.map(|(index, _)| CrashPoint(index)).chain([CrashPoint(self.events.len())]).collect()
    }

    /// Which event tells of the first batch that was acknowledged; the end, if none does.
    pub fn first_acknowledgement(&self) -> usize {
        let is_one = |event: &Event| matches!(event, Event::Mark(Mark::Acknowledged(..)));
        self.events.iter().position(is_one).unwrap_or(self.events.len())
    }

    /// The states of the disk, to be taken in the order of time.
    pub fn replay(&self) -> Replay<'_> {
        Replay { recording: self, durable: self.start.clone(), next: 0, pending: Vec::new() }
    }
}

/// A disk on its way through a recording.
#[derive(Debug)]
pub struct Replay<'a> {
    recording: &'a Recording,
    /// As of the last flush.
    durable: Image,
    next: usize,
    /// The writes since then.
    pending: Vec<(u64, &'a [u8])>,
}

impl Replay<'_> {
    /// Goes on to a moment that is not before the last one, and returns what clients learned on the way.
    ///
    /// # Panics
    /// When a write is not within the disk, which the recorder refuses.
    pub fn advance(&mut self, to: CrashPoint) -> impl Iterator<Item = &Mark> {
        let passed = &self.recording.events[self.next..self.next.max(to.0)];
        self.next = self.next.max(to.0);
        for event in passed {
            match event {
                Event::Write { position, bytes } => self.pending.push((*position, bytes)),
                Event::Flush => {
                    for (position, bytes) in self.pending.drain(..) {
                        self.durable.write(position, bytes).expect("the recorder took this write");
                    }
                }
                Event::Mark(_) => {}
            }
        }
        passed.iter().filter_map(|event| match event {
            Event::Mark(mark) => Some(mark),
            Event::Write { .. } | Event::Flush => None,
        })
    }

    /// The disk after a power cut at this moment.
    ///
    /// # Panics
    /// As [`advance`](Self::advance).
    pub fn image(&self, loss: Loss) -> Image {
        let mut image = self.durable.clone();
        let mut keep = |position, bytes: &[u8]| image.write(position, bytes).expect("the recorder took it");
        match loss {
            Loss::Nothing => self.pending.iter().for_each(|(position, bytes)| keep(*position, bytes)),
            Loss::Seeded(seed) => {
                let mut random = SmallRng::seed_from_u64(seed);
                let unit = if seed.is_multiple_of(2) { BLOCK_BYTES } else { SECTOR_BYTES };
                for (position, bytes) in &self.pending {
                    match random.random_range(0..3) {
                        0 => {}
                        1 => keep(*position, bytes),
                        _ => {
                            let pieces = (*position..).step_by(unit).zip(bytes.chunks(unit));
                            let kept = pieces.filter(|_| random.random());
                            kept.for_each(|(position, piece)| keep(position, piece));
                        }
                    }
                }
            }
        }
        image
    }

    /// Whether a loss could change anything here.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;

    use super::{CrashPoint, Event, Loss, Recording};
    use crate::crash_rig::image::Image;
    use crate::crash_rig::mark::Mark;

    fn write(sector: u64, byte: u8) -> Event {
        Event::Write { position: 512 * sector, bytes: Bytes::from(vec![byte; 1024]) }
    }

    fn recording() -> Recording {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, [0; 8192]).unwrap();
        let mark = Event::Mark(Mark::TopicGone("t".into()));
        let events = vec![write(0, 1), mark.clone(), Event::Flush, mark, write(2, 2), write(4, 3)];
        Recording { start: Image::from_file(&path).unwrap(), events }
    }

    #[test]
    fn every_state_of_the_disk_has_a_point_with_all_marks_before_the_next() {
        let recording = recording();
        let points = recording.points();
        assert_eq!(points, [0, 2, 4, 5, 6].map(CrashPoint));
        let mut replay = recording.replay();
        let marks: Vec<usize> = points.iter().map(|point| replay.advance(*point).count()).collect();
        assert_eq!(marks, [0, 1, 1, 0, 0]);
    }

    #[test]
    fn without_loss_all_writes_are_there() {
        let recording = recording();
        let mut replay = recording.replay();
        let _ = replay.advance(CrashPoint(5));
        let image = replay.image(Loss::Nothing);
        assert_eq!(image.read(1023, 2), [1, 2]);
        assert_eq!(image.read(2048, 1), [0]);
    }

    #[test]
    fn a_loss_takes_only_what_no_flush_followed() {
        let recording = recording();
        let mut replay = recording.replay();
        let _ = replay.advance(CrashPoint(6));
        let mut seen = HashSet::new();
        for seed in 0..4000 {
            let image = replay.image(Loss::Seeded(seed));
            assert_eq!(image.read(0, 1024), [1; 1024]);
            let sectors: Vec<u8> = (2..6).map(|sector| image.read(512 * sector, 1)[0]).collect();
            assert_eq!(image.read(0, 8192), replay.image(Loss::Seeded(seed)).read(0, 8192), "seed {seed}");
            seen.insert(sectors);
        }
        assert_eq!(seen.len(), 16, "any sector may be there or not");
    }
}
