//! Fetch and ShareFetch responses whose record sets are not in memory.
//!
//! The broker answers a fetch from files by `sendfile`. A response is therefore encoded into pieces: bytes,
//! and record sets that whoever sends the response puts between them.

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::field::Layout;
use crate::header::ResponseHeader;
use crate::message::{begin_frame, finish_frame, layout_to_encode};
use crate::messages::{FetchResponse, ShareFetchResponse};
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

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
    let layout = layout_to_encode::<FetchResponse<Bytes>>(version)?;
    let mut body = Spliced::begin(ApiKey::Fetch, version, correlation_id);
    response.write(&mut body.out, layout, |out, records| body.gaps.note(out, records))?;
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    body.finish(partitions.filter_map(|partition| partition.records))
}

/// A ShareFetch response frame, in the same form.
///
/// # Errors
/// As [`encode_fetch_response`].
pub fn encode_share_fetch_response<R: RecordSet>(
    version: i16,
    correlation_id: i32,
    response: ShareFetchResponse<R>,
) -> Result<Vec<Piece<R>>, EncodeError> {
    let layout = layout_to_encode::<ShareFetchResponse<Bytes>>(version)?;
    let mut body = Spliced::begin(ApiKey::ShareFetch, version, correlation_id);
    response.write(&mut body.out, layout, |out, records| body.gaps.note(out, records))?;
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    body.finish(partitions.filter_map(|partition| partition.records))
}

/// Writes the length of a record set and has `put` write the set, unless it is empty. None is written as an empty set.
pub(crate) fn write_records<R: RecordSet>(
    records: Option<&R>,
    out: &mut Writer,
    layout: Layout,
    put: impl FnOnce(&mut Writer, &R),
) -> Result<(), EncodeError> {
    let records = records.filter(|records| !records.is_empty());
    out.nullable_count(Some(records.map_or(0, R::len)), layout.flexible)?;
    if let Some(records) = records {
        put(out, records);
    }
    Ok(())
}

/// A record set that is in the frame; none if it is empty or null.
pub(crate) fn read_records(input: &mut Reader, layout: Layout) -> Result<Option<Bytes>, DecodeError> {
    Ok(input.nullable_bytes(layout.flexible)?.filter(|records| !records.is_empty()))
}

/// A frame with gaps for record sets.
struct Spliced {
    out: Writer,
    gaps: Gaps,
}

/// Where record sets belong.
#[derive(Default)]
struct Gaps {
    positions: Vec<usize>,
    bytes: usize,
}

impl Gaps {
    fn note<R: RecordSet>(&mut self, out: &Writer, records: &R) {
        self.bytes = self.bytes.saturating_add(records.len());
        self.positions.push(out.len());
    }
}

impl Spliced {
    fn begin(key: ApiKey, version: i16, correlation_id: i32) -> Self {
        let mut out = begin_frame();
        ResponseHeader { correlation_id }.encode(&mut out, key, version);
        Self { out, gaps: Gaps::default() }
    }

    /// Puts the sets that are not empty into the gaps, in order.
    fn finish<R: RecordSet>(self, sets: impl Iterator<Item = R>) -> Result<Vec<Piece<R>>, EncodeError> {
        let Gaps { positions, bytes } = self.gaps;
        let mut rest = finish_frame(self.out, bytes)?;
        let mut pieces = Vec::with_capacity(2 * positions.len() + 1);
        let mut done = 0;
        for (position, records) in positions.into_iter().zip(sets.filter(|records| !records.is_empty())) {
            pieces.push(Piece::Bytes(rest.split_to(position - done)));
            pieces.push(Piece::Records(records));
            done = position;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Bytes(rest));
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{
        AcquiredRecords, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
        ShareFetchableTopicResponse, SharePartitionData,
    };
    use crate::{Message as _, encode_response};

    /// Records that are somewhere else.
    #[derive(Debug, Clone, PartialEq)]
    struct Elsewhere {
        name: char,
        size: usize,
    }

    impl RecordSet for Elsewhere {
        fn len(&self) -> usize {
            self.size
        }
    }

    /// Two topics; partitions with records, without, with an empty set, and with tagged fields.
    fn response<R>(mut records: impl FnMut(char, usize) -> R) -> FetchResponse<R> {
        let mut partition = |partition_index, name, size: Option<usize>| PartitionData {
            partition_index,
            high_watermark: 7,
            records: size.map(|size| records(name, size)),
            ..PartitionData::default()
        };
        let mut moved = partition(2, '-', None);
        moved.error_code = 6;
        moved.current_leader = LeaderIdAndEpoch { leader_id: 2, leader_epoch: 3 };
        FetchResponse {
            throttle_time_ms: 1,
            responses: vec![
                FetchableTopicResponse {
                    topic: "a".to_owned(),
                    partitions: vec![partition(0, 'x', Some(300)), partition(1, 'y', Some(1)), moved],
                    ..FetchableTopicResponse::default()
                },
                FetchableTopicResponse {
                    topic: "b".to_owned(),
                    partitions: vec![partition(0, 'e', Some(0)), partition(1, 'z', Some(20_000))],
                    ..FetchableTopicResponse::default()
                },
            ],
            node_endpoints: vec![NodeEndpoint { node_id: 2, port: 9092, ..NodeEndpoint::default() }],
            ..FetchResponse::default()
        }
    }

    fn bytes_of(name: char, size: usize) -> Bytes {
        name.to_string().repeat(size).into()
    }

    /// The frame as the receiver sees it.
    fn joined(pieces: Vec<Piece<Elsewhere>>) -> Bytes {
        let pieces = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Records(records) => bytes_of(records.name, records.size),
        });
        Bytes::from(pieces.collect::<Vec<u8>>())
    }

    #[test]
    fn spliced_frames_equal_whole_ones_in_every_version() {
        for version in FetchResponse::VERSIONS {
            let pieces = encode_fetch_response(version, 9, response(|name, size| Elsewhere { name, size }));
            let pieces = pieces.expect("encodes");
            let sets = pieces.iter().filter(|piece| matches!(piece, Piece::Records(_))).count();
            assert_eq!(sets, 3);
            assert!(pieces.windows(2).all(|pair| !matches!(pair, [Piece::Bytes(_), Piece::Bytes(_)])));
            let whole = encode_response(ApiKey::Fetch, version, 9, &response(bytes_of)).expect("encodes");
            assert_eq!(joined(pieces), whole, "version {version}");
        }
    }

    #[test]
    fn share_fetches_are_spliced_the_same() {
        fn response<R>(mut records: impl FnMut(char, usize) -> R) -> ShareFetchResponse<R> {
            let partition = |partition_index, records: Option<R>| SharePartitionData {
                partition_index,
                records,
                acquired_records: vec![AcquiredRecords {
                    first_offset: 1,
                    last_offset: 2,
                    delivery_count: 1,
                }],
                ..SharePartitionData::default()
            };
            let partitions = vec![
                partition(0, Some(records('x', 300))),
                partition(1, None),
                partition(2, Some(records('e', 0))),
                partition(3, Some(records('y', 1))),
            ];
            let topic = ShareFetchableTopicResponse { partitions, ..ShareFetchableTopicResponse::default() };
            ShareFetchResponse { responses: vec![topic], ..ShareFetchResponse::default() }
        }
        for version in ShareFetchResponse::VERSIONS {
            let away = response(|name, size| Elsewhere { name, size });
            let pieces = encode_share_fetch_response(version, 9, away).expect("encodes");
            assert_eq!(pieces.len(), 5);
            let whole =
                encode_response(ApiKey::ShareFetch, version, 9, &response(bytes_of)).expect("encodes");
            assert_eq!(joined(pieces), whole, "version {version}");
        }
    }

    #[test]
    fn a_frame_over_2_gib_is_refused() {
        let records = |name, size: usize| Elsewhere { name, size: size << 20 };
        let error = encode_fetch_response(12, 9, response(records)).expect_err("too long");
        assert!(
            matches!(error, EncodeError::TooLong { what: "byte string or array" | "frame", .. }),
            "{error}"
        );
        let mut large = response(|name, size| Elsewhere { name, size });
        for topic in &mut large.responses {
            topic.partitions[1].records = Some(Elsewhere { name: 'l', size: 1 << 30 });
        }
        let error = encode_fetch_response(12, 9, large).expect_err("too long");
        assert!(matches!(error, EncodeError::TooLong { what: "frame", .. }), "{error}");
    }

    #[test]
    fn partitions_without_records_have_an_empty_set_not_a_null() {
        let nothing = FetchResponse::<Bytes> {
            responses: vec![FetchableTopicResponse {
                partitions: vec![PartitionData::default()],
                ..FetchableTopicResponse::default()
            }],
            ..FetchResponse::default()
        };
        let classic = encode_response(ApiKey::Fetch, 11, 9, &nothing).expect("encodes");
        assert!(classic.ends_with(&[0, 0, 0, 0]));
        let flexible = encode_response(ApiKey::Fetch, 12, 9, &nothing).expect("encodes");
        // Length 0 in compact form, then no tagged fields of partition, topic and body.
        assert!(flexible.ends_with(&[1, 0, 0, 0]));
        let pieces = encode_fetch_response(12, 9, nothing).expect("encodes");
        assert_eq!(pieces, [Piece::Bytes(flexible)]);
    }
}
