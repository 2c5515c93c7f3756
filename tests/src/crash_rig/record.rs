//! Runs a workload on a recording disk, twice: the first broker is killed at work, the second stops in peace.

use std::io;
use std::sync::mpsc;
use std::thread;

use super::image::Image;
use super::recording::Recording;
use super::trial::Setup;
use super::volume::{FileSystemKind, Volume};
use super::workload::{Stage, Workload};

/// Records one run of a workload on an empty file system.
///
/// # Errors
/// When the file system cannot be mounted or unmounted.
///
/// # Panics
/// When the broker does not start, or answers what it must not.
pub fn record(
    workload: &Workload,
    kind: FileSystemKind,
    empty: &Image,
    setup: &Setup,
    seed: u64,
) -> io::Result<Recording> {
    let mut volume = Volume::new(kind, empty.clone())?;
    volume.mount()?;
    for session in 0..2 {
        let mut broker = setup.start(&volume).unwrap_or_else(|breach| panic!("{}: {breach}", workload.name));
        let (acked, acks) = mpsc::channel();
        let stage = Stage { address: broker.address(), disk: volume.disk().clone(), seed, session, acked };
        let working = thread::spawn({
            let run = workload.run;
            // Its end is a stage that is dropped: nobody waits for acknowledgements that do not come.
            move || run(&stage)
        });
        if session == 0 {
            acks.iter().take(workload.acks_until_kill).for_each(drop);
            broker.kill();
        }
        let ended = working.join().expect("a workload does not panic");
        if session == 1 {
            assert!(ended.is_ok(), "{}: the broker is gone:\n{}", workload.name, broker.stderr().text());
            let status = broker.terminate();
            assert!(status.success(), "{}: {status}:\n{}", workload.name, broker.stderr().text());
        }
    }
    let recording = volume.disk().recording(empty.clone());
    volume.unmount()?;
    Ok(recording)
}
