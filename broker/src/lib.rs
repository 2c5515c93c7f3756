//! The sendlog broker as a library, so that programs and tests can embed it.
//!
//! ```text
//! main -> server -> net -> api -> coordinator -> {catalog, partition} -> storage -> protocol::records
//! main -> check -> {catalog, checkpoint} -> storage
//! ```
//!
//! The two paths, each from the socket to the disk and back:
//!
//! ```text
//! PRODUCE                                               FETCH
//! net/connection      read a frame                      net/connection    read a frame
//! api/dispatch        decode; records stay one slice    api/dispatch      decode
//! api/produce         find the partition, check batch   api/fetch         find the partition, budget the bytes
//! partition/appender  queue, group commit               partition/read    bound by the high watermark
//! partition/write     sequence, offsets, patch header     nothing yet: park in partition/waiters
//! storage/log         roll if full                      storage/log       segment by base offset
//! storage/segment     write, index                      storage/segment   index look-up, walk to the batch
//! storage/flush       one sync for many                   -> FileSlice { file, position, length }
//! partition/write     watermark, wake fetches           protocol          encode -> [bytes, records, bytes ...]
//! api/produce         answer, in request order          net/transmit      bytes: send; records: sendfile
//! ```

pub mod adopt;
pub mod api;
pub mod catalog;
pub mod check;
pub mod checkpoint;
pub mod cleaner;
pub mod clock;
pub mod command;
pub mod config;
pub mod coordinator;
pub mod housekeeping;
pub mod net;
mod opened;
pub mod partition;
pub mod producer_ids;
pub mod retention_clock;
pub mod scrubber;
pub mod server;
pub mod stop;
pub mod storage;
mod sync;
mod throttle;
