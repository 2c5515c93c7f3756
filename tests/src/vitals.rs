//! What a process holds: memory and descriptors, as the kernel counts them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Ends a test whose broker does not come to rest.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// Memory of a process, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// In memory now.
    pub resident: u64,
    /// Most that ever was in memory.
    pub resident_peak: u64,
    /// Most address space that ever was in use.
    pub virtual_peak: u64,
}

/// Memory of a process.
///
/// # Panics
/// When there is no such process.
pub fn memory(process_id: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).expect("the process lives");
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux has this line");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib * 1024
    };
    Memory { resident: bytes("VmRSS:"), resident_peak: bytes("VmHWM:"), virtual_peak: bytes("VmPeak:") }
}

/// Forgets the peaks of resident memory seen so far.
///
/// # Panics
/// When the kernel does not allow it.
pub fn forget_peak(process_id: u32) {
    fs::write(format!("/proc/{process_id}/clear_refs"), "5").expect("the process is ours");
}

/// Open descriptors of a process, without those of the commit journal: it is made ready in the background, at a moment that no
/// client decides, and its files stay open.
///
/// # Panics
/// When there is no such process.
pub fn descriptors(process_id: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{process_id}/fd")).expect("the process lives").flatten();
    let is_journal = |target: PathBuf| target.parent().is_some_and(|folder| folder.ends_with("journal"));
    open.filter(|descriptor| !fs::read_link(descriptor.path()).is_ok_and(is_journal)).count()
}

/// Waits until `is_so`, trying again after each `step`, which is what gives the broker time: a request that it
/// answers.
///
/// # Panics
/// When it never becomes so.
pub fn eventually(what: &str, mut step: impl FnMut(), mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + REST_LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        step();
    }
}
