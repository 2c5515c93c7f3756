//! A pool of touched memory that is given up as the page cache grows. On a virtual machine that hands free memory back to
//! its host, a page-cache write into memory that has to be fetched again measures the host (about 3 s per GiB), not the
//! broker. The pool is a memory file; giving up is a hole punched into it, ahead of what the load writes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, memfd_create};

const STEP: u64 = 8 << 20;
/// How far ahead of the load memory is given up.
const AHEAD: u64 = 96 << 20;

/// Memory held for the page cache to grow into.
pub struct Pool {
    file: File,
    bytes: u64,
    /// `[0, given)` is a hole.
    given: u64,
}

impl Pool {
    /// An empty pool for `bytes`; [`Pool::fill`] before each run.
    pub fn new(bytes: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("sendlog-bench-pool", MemfdFlags::CLOEXEC)?);
        Ok(Self { file, bytes, given: bytes })
    }

    /// Touches again what was given up. Takes seconds per GiB where the host took the memory back; never timed.
    pub fn fill(&mut self) -> io::Result<()> {
        let chunk = vec![1; STEP as usize];
        let mut position = 0;
        while position < self.given {
            self.file.write_all_at(&chunk, position)?;
            position += STEP;
        }
        self.given = 0;
        Ok(())
    }

    /// Gives up memory for a load that has written `written` bytes since the pool was filled.
    pub fn give(&mut self, written: u64) -> io::Result<()> {
        let wanted = (written + AHEAD).min(self.bytes) / STEP * STEP;
        if self.given < wanted {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&self.file, hole, self.given, wanted - self.given)?;
            self.given = wanted;
        }
        Ok(())
    }
}
