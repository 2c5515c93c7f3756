//! A file of a [`SimDisk`](super::SimDisk): what the disk has of it for sure, and what is on the way.

use super::crash::Crash;

/// What a disk writes as one.
pub(super) const SECTOR_BYTES: usize = 512;

/// An unsynced change and its number among all changes of the disk.
#[derive(Debug)]
struct Pending {
    number: u64,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SimFile {
    /// What the disk has.
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// What was written, durable or not; without what came through a map.
    cache: Vec<u8>,
    /// A sync has failed: what is in memory is no longer on its way to the disk.
    has_lost: bool,
}

impl SimFile {
    /// A file that is on the disk.
    pub(super) fn durable(content: Vec<u8>) -> Self {
        Self { cache: content.clone(), durable: content, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.cache.len()
    }

    /// The number of the first unsynced change.
    pub(super) fn first_pending(&self) -> Option<u64> {
        self.pending.first().map(|pending| pending.number)
    }

    pub(super) fn write(&mut self, number: u64, position: usize, bytes: Vec<u8>) {
        let change = Change::Write { position, bytes };
        change.apply(&mut self.cache);
        self.pending.push(Pending { number, change });
    }

    pub(super) fn resize(&mut self, number: u64, len: usize) {
        let change = Change::Resize(len);
        change.apply(&mut self.cache);
        self.pending.push(Pending { number, change });
    }

    /// Everything is on the disk now; `live` is what the file holds, including what came through a map.
    pub(super) fn sync(&mut self, live: &[u8]) {
        if self.has_lost {
            // What a failed sync has lost stays lost, whatever this one answers; but the file is as long as it seems.
            self.pending.drain(..).for_each(|pending| pending.change.apply(&mut self.durable));
            self.durable.resize(self.cache.len(), 0);
            return;
        }
        self.pending.clear();
        self.durable = live.to_vec();
        self.cache = live.to_vec();
    }

    /// A sync fails: some of the changes reached the disk, and the system takes all of them for written.
    pub(super) fn fail_sync(&mut self, crash: &mut Crash, live: &[u8]) {
        self.durable = self.after(crash, Some(live));
        self.pending.clear();
        self.has_lost = true;
    }

    /// Memory forgets what is not on its way to the disk; returns what the file holds from `position` on then.
    pub(super) fn forget(&mut self, position: usize) -> Option<&[u8]> {
        if !self.has_lost || !self.pending.is_empty() || self.cache.len() <= position {
            return None;
        }
        for (at, byte) in self.cache.iter_mut().enumerate().skip(position) {
            *byte = self.durable.get(at).copied().unwrap_or(0);
        }
        Some(&self.cache[position..])
    }

    /// What the disk may have after a crash. `live` as for [`SimFile::sync`], if it can be had.
    pub(super) fn after(&self, crash: &mut Crash, live: Option<&[u8]>) -> Vec<u8> {
        let sizes = self.sizes();
        let numbers: Vec<u64> = sizes.iter().map(|(number, _)| *number).collect();
        let len = crash.reached(&numbers).checked_sub(1).map_or(self.durable.len(), |at| sizes[at].1);
        let mut image = self.sectors(crash);
        if let Some(live) = live.filter(|_| !self.has_lost) {
            self.overlay_mapped(crash, live, &mut image);
        }
        image.resize(len, 0);
        image
    }

    /// Every change of the length: its number, and the length after it.
    fn sizes(&self) -> Vec<(u64, usize)> {
        let mut len = self.durable.len();
        let mut sizes = Vec::new();
        for Pending { number, change } in &self.pending {
            let next = change.len_after(len);
            if next != len {
                sizes.push((*number, next));
                len = next;
            }
        }
        sizes
    }

    /// Every sector as it was after one of the changes that touched it, or before all of them.
    fn sectors(&self, crash: &mut Crash) -> Vec<u8> {
        let len = self.pending.iter().fold(self.durable.len(), |len, pending| len.max(pending.change.end()));
        let mut touching: Vec<Vec<usize>> = vec![Vec::new(); len.div_ceil(SECTOR_BYTES)];
        for (at, Pending { change, .. }) in self.pending.iter().enumerate() {
            let (first, end) = change.sectors(touching.len());
            touching[first..end].iter_mut().for_each(|sector| sector.push(at));
        }
        let mut image = self.durable.clone();
        image.resize(len, 0);
        let mut due: Vec<Vec<usize>> = vec![Vec::new(); self.pending.len()];
        for (sector, changes) in touching.iter().enumerate() {
            let numbers: Vec<u64> = changes.iter().map(|at| self.pending[*at].number).collect();
            if let Some(last) = crash.reached(&numbers).checked_sub(1) {
                due[changes[last]].push(sector);
            }
        }
        let mut history = self.durable.clone();
        for (Pending { change, .. }, sectors) in self.pending.iter().zip(due) {
            change.apply(&mut history);
            for sector in sectors {
                let (start, end) = (sector * SECTOR_BYTES, ((sector + 1) * SECTOR_BYTES).min(len));
                image[start..end].fill(0);
                let end = end.min(history.len());
                if start < end {
                    image[start..end].copy_from_slice(&history[start..end]);
                }
            }
        }
        image
    }

    /// What came through a map may be there or not, in any sector.
    fn overlay_mapped(&self, crash: &mut Crash, live: &[u8], image: &mut [u8]) {
        for ((new, old), out) in
            live.chunks(SECTOR_BYTES).zip(self.cache.chunks(SECTOR_BYTES)).zip(image.chunks_mut(SECTOR_BYTES))
        {
            if new != old {
                let len = crash.mapped(new.len().min(out.len()));
                out[..len].copy_from_slice(&new[..len]);
            }
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => {
                let end = position + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*position..end].copy_from_slice(bytes);
            }
            Self::Resize(len) => content.resize(*len, 0),
        }
    }

    fn end(&self) -> usize {
        match self {
            Self::Write { position, bytes } => position + bytes.len(),
            Self::Resize(len) => *len,
        }
    }

    fn len_after(&self, len: usize) -> usize {
        match self {
            Self::Write { .. } => len.max(self.end()),
            Self::Resize(new) => *new,
        }
    }

    /// The sectors whose content it changes; a cut zeroes what lies behind it.
    fn sectors(&self, count: usize) -> (usize, usize) {
        match self {
            Self::Write { position, bytes } if bytes.is_empty() => {
                (position / SECTOR_BYTES, position / SECTOR_BYTES)
            }
            Self::Write { position, .. } => (position / SECTOR_BYTES, self.end().div_ceil(SECTOR_BYTES)),
            Self::Resize(len) => ((len / SECTOR_BYTES).min(count), count),
        }
    }
}
