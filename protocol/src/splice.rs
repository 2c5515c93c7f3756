//! Fetch responses whose record sets are not in memory.
//!
//! The broker answers a fetch from files by `sendfile`. A response is therefore encoded into pieces: bytes,
//! and record sets that whoever sends the response puts between them.

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::field::Layout;
use crate::header::ResponseHeader;
use crate::message::{begin_frame, finish_frame, layout_to_encode};
use crate::messages::FetchResponse;
use crate::wire::EncodeError;

/// Record batches of one partition, wherever they are.
pub trait RecordSet {
    /// Bytes that it takes on the wire.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RecordSet for Bytes {
    fn len(&self) -> usize {
        Bytes::len(self)
    }
}

/// A part of an encoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<R> {
    /// Send these bytes.
    Bytes(Bytes),
    /// Send these records.
    Records(R),
}

/// A Fetch response frame, length and header included, with its record sets spliced in uncopied. No piece is
/// empty and no two `Bytes` are adjacent.
///
/// # Errors
/// The version is unknown, a field is null where the version has no null, or the frame is over 2 GiB.
pub fn encode_fetch_response<R: RecordSet>(
    version: i16,
    correlation_id: i32,
    response: FetchResponse<R>,
) -> Result<Vec<Piece<R>>, EncodeError> {
    let layout: Layout = layout_to_encode::<FetchResponse<Bytes>>(version)?;
    let mut out = begin_frame();
    ResponseHeader { correlation_id }.encode(&mut out, ApiKey::Fetch, version);
    let mut spliced = 0usize;
    let mut splits = Vec::new();
    response.write(&mut out, layout, |out, records| {
        spliced = spliced.saturating_add(records.len());
        splits.push(out.len());
    })?;
    let mut rest = finish_frame(out, spliced)?;
    let mut pieces = Vec::with_capacity(2 * splits.len() + 1);
    let mut position = 0;
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    let records = partitions.filter_map(|partition| partition.records).filter(|records| !records.is_empty());
    for (split, records) in splits.into_iter().zip(records) {
        pieces.push(Piece::Bytes(rest.split_to(split - position)));
        pieces.push(Piece::Records(records));
        position = split;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Bytes(rest));
    }
    Ok(pieces)
}
