//! Power cuts at every operation of the disk: docs/testing.md.
//!
//! ```text
//! workload(s)  what clients do           \
//! witness      notes what they know       >  record: one recording of disk and clients
//! recorder     notes what the disk gets  /
//! recording    every state that a power cut could have left
//! promises     what was promised by then; compacted: of a compacted topic
//! trial        broker started on such a state: survey, verdict
//! sweep        many trials, of a crash during recovery too; report
//! ```

pub mod compacted;
pub mod image;
pub mod mark;
pub mod promises;
pub mod record;
pub mod recorder;
pub mod recording;
pub mod report;
pub mod survey;
pub mod sweep;
pub mod trial;
pub mod verdict;
pub mod volume;
pub mod witness;
pub mod workload;
pub mod workloads;
