//! The commit journal: one aligned write makes a round of all partitions durable; their segments follow in the background.
//!
//! Syncing many segment files costs a sync each, and each has to wait for the file system's own journal, because the files
//! have grown. The commit journal is written over blocks that exist: neither is needed. It holds a second copy of what was
//! acknowledged until the segments are synced, from which recovery fills what a crash has torn.
//!
//! [`ring`] has the files, [`block`] the bytes, [`replay`] reads them after a crash. Which rounds go here is decided by
//! [`super::commit`].

pub mod block;
pub mod buffer;
pub mod file_header;
pub mod replay;
pub mod ring;
pub mod writer;
