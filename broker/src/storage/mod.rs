//! Logs on disk: segments of record batches, their indexes, and the state beside them.
//!
//! A partition folder `TOPIC-PARTITION/` has, as Apache Kafka's, for every segment a `.log` of record batches as they came
//! in, a sparse `.index` by offset and a `.timeindex` by timestamp. Only the `.log` is the truth. `docs/storage-format.md`
//! has every byte.
//!
//! ```text
//! log           segments in order: append, roll, advance the start        <- one writer
//! view          read by offset, batches whole                              <- any number of readers, no lock
//! time_lookup   read by timestamp
//! segment       one segment's files, and whether its indexes are believed
//! index_file    memory-mapped entries (the only unsafe code)
//! commit        makes a round durable: in the commit journal, or by syncing segments
//! journal       the commit journal: files, blocks, replay
//! destage       segments that the journal stands in for, synced in the background
//! recovery      after a crash: from the checkpoint on
//! import        segments that Apache Kafka wrote
//! examine       which ranges of a segment are damaged; scrub: the same, slowly, in the background
//! holes         what is known to be damaged, and answers an error
//! state_file    typed, checksummed, atomically replaced files
//! files         the seam to the file system
//! ```
//!
//! Everything here is synchronous, and knows no tokio, no socket and no Kafka error code. Nothing syncs on its own, except state
//! files: an append hands its files out as [`dirty::Dirty`].

pub mod checkpoint;
pub mod commit;
pub mod compaction;
pub mod data_dir;
pub mod destage;
pub mod dirty;
pub mod error;
pub mod file_slice;
pub mod files;
pub mod flush;
pub mod heal;
pub mod holes;
pub mod import;
pub mod journal;
pub mod leader_epochs;
pub mod log;
pub mod partition_metadata;
pub mod recovery;
pub mod retention;
pub mod scrub;
pub mod segment;
pub mod segment_damage;
pub mod segment_files;
pub mod segment_list;
pub mod state_file;
pub mod store;
pub mod summary;
#[doc(hidden)]
pub mod testing;
pub mod time_lookup;
pub mod torn_tail;
pub mod view;

pub(crate) mod batch_scan;
mod blank_segment;
mod examine;
pub(crate) mod file_names;
mod header_walk;
mod index_file;
pub(crate) mod offset_index;
pub(crate) mod quarantine;
mod segment_append;
mod segment_indexes;
pub(crate) mod time_index;

#[cfg(test)]
mod tests;
