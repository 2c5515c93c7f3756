//! One function for every way in which bytes of strangers, or of a damaged disk, get in.
//!
//! Each takes any bytes and must return: no panic, no endless loop, no memory out of proportion. Where a result can be
//! checked cheaply, it is. Shared by the fuzz targets and by the test `inputs_are_survived`, which compiles this file.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sendlog_broker::checkpoint::Checkpointer;
use sendlog_broker::coordinator::group::testing as group_testing;
use sendlog_broker::producer_ids::ProducerIds;
use sendlog_broker::storage::data_dir::{DataDir, LastEnd};
use sendlog_broker::storage::error::ReadError;
use sendlog_broker::storage::files::{FileSystem, IoMode, RealFs};
use sendlog_broker::storage::log::{Log, LogPlace, Resume};
use sendlog_broker::storage::state_file::{self, StateKind};
use sendlog_broker::storage::store::Store;
use sendlog_broker::storage::summary::{LogConfig, SegmentSummary};
use sendlog_broker::storage::testing;
use sendlog_protocol::api_key::ApiKey;
use sendlog_protocol::header::RequestHeader;
use sendlog_protocol::records::{
    BATCH_HEADER_SIZE, BatchHeader, Compression, ProduceLimits, check_stored, crc32c,
    first_record_at_or_after, max_timestamp_record, read_records, validate_produced,
};
use sendlog_protocol::wire::{Reader, Writer};
use sendlog_protocol::{Message, decode_body_and_rest, decode_response_header, frame, messages};
use uuid::Uuid;

/// Most that a batch may decompress to: small enough that a fuzzer's memory limit is far away.
const DECOMPRESSED_MAX: usize = 1 << 20;

const CODECS: [Compression; 4] =
    [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// An entry point.
pub struct EntryPoint {
    /// Name of the fuzz target, and of the folder with its first inputs.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const ENTRY_POINTS: &[EntryPoint] = &[
    EntryPoint { name: "frame", run: frame_decoder },
    EntryPoint { name: "request", run: request },
    EntryPoint { name: "response", run: response },
    EntryPoint { name: "batch", run: batch },
    EntryPoint { name: "codec", run: codec },
    EntryPoint { name: "state_file", run: state_files },
    EntryPoint { name: "index", run: index },
    EntryPoint { name: "journal", run: journal },
    EntryPoint { name: "recovery", run: recovery },
    EntryPoint { name: "groups", run: groups },
];

/// Frames as they arrive, in pieces of a size that the first byte gives.
pub fn frame_decoder(data: &[u8]) {
    let Some((&piece, stream)) = data.split_first() else { return };
    let (mut buffer, mut taken) = (BytesMut::new(), 0);
    for piece in stream.chunks(usize::from(piece) + 1) {
        buffer.extend_from_slice(piece);
        loop {
            match frame::take(&mut buffer, 4096) {
                Ok(Some(frame)) => taken += frame::PREFIX_SIZE + frame.len(),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    assert_eq!(taken + buffer.len(), stream.len(), "bytes went missing between frames");
}

/// Checks a body as the message that the key stands for.
macro_rules! round_trip_by_key {
    ($key:expr, $body:expr, $version:expr, $($api:ident => $message:ident $(<$records:ty>)?,)*) => {
        match $key {
            $(ApiKey::$api => round_trip::<messages::$message $(<$records>)?>($body, $version),)*
        }
    };
}

/// A request frame, in the version that it claims.
pub fn request(data: &[u8]) {
    let mut reader = Reader::new(Bytes::copy_from_slice(data));
    let Ok(header) = RequestHeader::decode(&mut reader) else { return };
    let Some(key) = ApiKey::from_code(header.api_key) else { return };
    let (body, version) = (reader.into_remaining(), header.api_version);
    round_trip_by_key!(key, body, version,
        Produce => ProduceRequest, Fetch => FetchRequest, ListOffsets => ListOffsetsRequest,
        Metadata => MetadataRequest, OffsetCommit => OffsetCommitRequest, OffsetFetch => OffsetFetchRequest,
        FindCoordinator => FindCoordinatorRequest, JoinGroup => JoinGroupRequest,
        Heartbeat => HeartbeatRequest, LeaveGroup => LeaveGroupRequest, SyncGroup => SyncGroupRequest,
        DescribeGroups => DescribeGroupsRequest, ListGroups => ListGroupsRequest,
        ApiVersions => ApiVersionsRequest, CreateTopics => CreateTopicsRequest,
        DeleteTopics => DeleteTopicsRequest, DeleteRecords => DeleteRecordsRequest,
        InitProducerId => InitProducerIdRequest, OffsetForLeaderEpoch => OffsetForLeaderEpochRequest,
        CreateAcls => CreateAclsRequest, DeleteAcls => DeleteAclsRequest,
        DescribeAcls => DescribeAclsRequest, DescribeConfigs => DescribeConfigsRequest,
        AlterConfigs => AlterConfigsRequest, AlterReplicaLogDirs => AlterReplicaLogDirsRequest,
        DescribeLogDirs => DescribeLogDirsRequest, CreatePartitions => CreatePartitionsRequest,
        DeleteGroups => DeleteGroupsRequest, ElectLeaders => ElectLeadersRequest,
        IncrementalAlterConfigs => IncrementalAlterConfigsRequest,
        AlterPartitionReassignments => AlterPartitionReassignmentsRequest,
        ListPartitionReassignments => ListPartitionReassignmentsRequest, OffsetDelete => OffsetDeleteRequest,
        DescribeClientQuotas => DescribeClientQuotasRequest, AlterClientQuotas => AlterClientQuotasRequest,
        DescribeUserScramCredentials => DescribeUserScramCredentialsRequest,
        DescribeQuorum => DescribeQuorumRequest, UpdateFeatures => UpdateFeaturesRequest,
        DescribeCluster => DescribeClusterRequest, DescribeProducers => DescribeProducersRequest,
        DescribeTransactions => DescribeTransactionsRequest, ListTransactions => ListTransactionsRequest,
        ConsumerGroupHeartbeat => ConsumerGroupHeartbeatRequest,
        ConsumerGroupDescribe => ConsumerGroupDescribeRequest,
        ListConfigResources => ListConfigResourcesRequest,
        DescribeTopicPartitions => DescribeTopicPartitionsRequest,
        ShareGroupHeartbeat => ShareGroupHeartbeatRequest, ShareGroupDescribe => ShareGroupDescribeRequest,
        ShareFetch => ShareFetchRequest, ShareAcknowledge => ShareAcknowledgeRequest,
        DescribeShareGroupOffsets => DescribeShareGroupOffsetsRequest,
        AlterShareGroupOffsets => AlterShareGroupOffsetsRequest,
        DeleteShareGroupOffsets => DeleteShareGroupOffsetsRequest,
    );
}

/// A response frame; two bytes before it say what the client had asked for.
pub fn response(data: &[u8]) {
    let [api, version, frame @ ..] = data else { return };
    let Some(key) = ApiKey::ALL.get(usize::from(*api) % ApiKey::ALL.len()).copied() else { return };
    let version = i16::from(*version);
    let mut reader = Reader::new(Bytes::copy_from_slice(frame));
    if decode_response_header(key, version, &mut reader).is_err() {
        return;
    }
    let body = reader.into_remaining();
    round_trip_by_key!(key, body, version,
        Produce => ProduceResponse, Fetch => FetchResponse<Bytes>, ListOffsets => ListOffsetsResponse,
        Metadata => MetadataResponse, OffsetCommit => OffsetCommitResponse, OffsetFetch => OffsetFetchResponse,
        FindCoordinator => FindCoordinatorResponse, JoinGroup => JoinGroupResponse,
        Heartbeat => HeartbeatResponse, LeaveGroup => LeaveGroupResponse, SyncGroup => SyncGroupResponse,
        DescribeGroups => DescribeGroupsResponse, ListGroups => ListGroupsResponse,
        ApiVersions => ApiVersionsResponse, CreateTopics => CreateTopicsResponse,
        DeleteTopics => DeleteTopicsResponse, DeleteRecords => DeleteRecordsResponse,
        InitProducerId => InitProducerIdResponse, OffsetForLeaderEpoch => OffsetForLeaderEpochResponse,
        CreateAcls => CreateAclsResponse, DeleteAcls => DeleteAclsResponse,
        DescribeAcls => DescribeAclsResponse, DescribeConfigs => DescribeConfigsResponse,
        AlterConfigs => AlterConfigsResponse, AlterReplicaLogDirs => AlterReplicaLogDirsResponse,
        DescribeLogDirs => DescribeLogDirsResponse, CreatePartitions => CreatePartitionsResponse,
        DeleteGroups => DeleteGroupsResponse, ElectLeaders => ElectLeadersResponse,
        IncrementalAlterConfigs => IncrementalAlterConfigsResponse,
        AlterPartitionReassignments => AlterPartitionReassignmentsResponse,
        ListPartitionReassignments => ListPartitionReassignmentsResponse, OffsetDelete => OffsetDeleteResponse,
        DescribeClientQuotas => DescribeClientQuotasResponse, AlterClientQuotas => AlterClientQuotasResponse,
        DescribeUserScramCredentials => DescribeUserScramCredentialsResponse,
        DescribeQuorum => DescribeQuorumResponse, UpdateFeatures => UpdateFeaturesResponse,
        DescribeCluster => DescribeClusterResponse, DescribeProducers => DescribeProducersResponse,
        DescribeTransactions => DescribeTransactionsResponse, ListTransactions => ListTransactionsResponse,
        ConsumerGroupHeartbeat => ConsumerGroupHeartbeatResponse,
        ConsumerGroupDescribe => ConsumerGroupDescribeResponse,
        ListConfigResources => ListConfigResourcesResponse,
        DescribeTopicPartitions => DescribeTopicPartitionsResponse,
        ShareGroupHeartbeat => ShareGroupHeartbeatResponse, ShareGroupDescribe => ShareGroupDescribeResponse,
        ShareFetch => ShareFetchResponse<Bytes>, ShareAcknowledge => ShareAcknowledgeResponse,
        DescribeShareGroupOffsets => DescribeShareGroupOffsetsResponse,
        AlterShareGroupOffsets => AlterShareGroupOffsetsResponse,
        DeleteShareGroupOffsets => DeleteShareGroupOffsetsResponse,
    );
}

/// What was decoded says the same when it is encoded and decoded again.
fn round_trip<M: Message + PartialEq + std::fmt::Debug>(body: Bytes, version: i16) {
    let Ok(message) = decode_body_and_rest::<M>(body, version) else { return };
    let mut out = Writer::new();
    if message.encode(&mut out, version).is_err() {
        return;
    }
    let again = decode_body_and_rest::<M>(out.into_bytes().freeze(), version);
    assert_eq!(again.as_ref(), Ok(&message), "another message after a round trip");
}

/// A record batch, from a producer or from disk. The first byte says whether its CRC is put right, without which no
/// fuzzer gets behind it.
pub fn batch(data: &[u8]) {
    let Some((&flags, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if flags & 1 == 1 {
        seal_batches(&mut bytes, None);
    }
    let limits = ProduceLimits {
        batch_bytes_max: 1 << 16,
        decompressed_bytes_max: DECOMPRESSED_MAX,
        keys_required: flags & 2 == 2,
        ..ProduceLimits::default()
    };
    let produced = validate_produced(&bytes, &limits);
    let stored = check_stored(&bytes);
    let (earliest, _) = (
        first_record_at_or_after(&bytes, i64::MIN, i64::MIN, DECOMPRESSED_MAX),
        max_timestamp_record(&bytes, i64::MIN, DECOMPRESSED_MAX),
    );
    let records = read_records(&Bytes::from(bytes), DECOMPRESSED_MAX);
    if let Ok(header) = produced {
        assert!(stored.is_ok(), "a batch that is accepted can be stored");
        let read = records.map(|records| records.collect::<Result<Vec<_>, _>>());
        let read = read.and_then(|read| read).expect("a batch that is accepted can be read");
        assert_eq!(usize::try_from(header.record_count), Ok(read.len()), "not all records were read");
        assert!(earliest.is_ok_and(|found| found.is_some()), "no first record");
    } else if let Ok(records) = records {
        records.for_each(drop);
    }
}

/// Compressed bytes of the codec that the first byte gives.
pub fn codec(data: &[u8]) {
    let Some((&which, bytes)) = data.split_first() else { return };
    let codec = CODECS[usize::from(which) % CODECS.len()];
    if let Ok(plain) = codec.decompress(bytes, DECOMPRESSED_MAX) {
        assert!(plain.len() <= DECOMPRESSED_MAX, "the limit of the output was not kept");
    }
}

/// Makes lengths, magic and CRCs of the batches in `bytes` right, and from `offset` on, if given, their base offsets.
fn seal_batches(bytes: &mut [u8], mut offset: Option<i64>) {
    const LENGTH: std::ops::Range<usize> = 8..12;
    const CRC: std::ops::Range<usize> = 17..21;
    let mut rest = bytes;
    while BATCH_HEADER_SIZE <= rest.len() {
        let claimed = i32::from_be_bytes(rest[LENGTH].try_into().expect("four bytes"));
        let size = usize::try_from(claimed).unwrap_or(0).saturating_add(LENGTH.end);
        let size = if (BATCH_HEADER_SIZE..=rest.len()).contains(&size) { size } else { rest.len() };
        let (batch, behind) = std::mem::take(&mut rest).split_at_mut(size);
        batch[LENGTH].copy_from_slice(&i32::try_from(size - LENGTH.end).expect("small").to_be_bytes());
        batch[16] = 2;
        if let Some(offset) = &mut offset {
            batch[..8].copy_from_slice(&offset.to_be_bytes());
        }
        let crc = crc32c(&batch[CRC.end..]);
        batch[CRC].copy_from_slice(&crc.to_be_bytes());
        if let (Some(offset), Ok(header)) = (&mut offset, BatchHeader::read(batch)) {
            *offset = header.next_offset().max(*offset);
        }
        rest = behind;
    }
}

/// A topic as `catalog/state.rs` stores it: name, id, partitions, settings.
type StoredTopic = (String, [u8; 16], i32, Vec<(String, String)>);

/// A state file. The first byte says which, the second whether a right header and checksum are put around the rest.
pub fn state_files(data: &[u8]) {
    let [which, flags, payload @ ..] = data else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let files: Arc<dyn FileSystem> = Arc::new(RealFs);
    let write = |name: &str, tag: [u8; 4]| {
        let bytes = if flags & 1 == 1 { sealed_state(tag, payload) } else { payload.to_vec() };
        std::fs::write(dir.path().join(name), bytes).expect("a temporary file");
    };
    match which % 5 {
        0 => {
            write("checkpoint.state", *b"CKPT");
            let opened = Checkpointer::open(&files, dir.path(), LastEnd::Crash, 0);
            assert!(opened.is_ok(), "a bad checkpoint counts as none");
        }
        1 => {
            write("producer-ids.state", *b"PIDS");
            if let Ok(ids) = ProducerIds::open(&files, dir.path(), 7) {
                assert!(ids.next().is_ok_and(|id| 7 <= id), "an id that is in use");
            }
        }
        2 => {
            write("sendlog.meta", *b"META");
            let _ = DataDir::open(files, dir.path(), Uuid::from_u128(1));
        }
        3 => {
            write("catalog.state", *b"CATA");
            let kind = StateKind { tag: *b"CATA", version: 1 };
            let path = dir.path().join("catalog.state");
            let _ = state_file::load::<(Vec<StoredTopic>, Vec<StoredTopic>)>(&RealFs, &path, kind);
        }
        _ => {
            write("0.seal", *b"SEAL");
            let kind = StateKind { tag: *b"SEAL", version: 1 };
            let _ = state_file::load::<SegmentSummary>(&RealFs, &dir.path().join("0.seal"), kind);
        }
    }
}

/// docs/storage-format.md, "State files".
fn sealed_state(tag: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"SLST".to_vec();
    bytes.extend_from_slice(&tag);
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

/// An index file. The first byte says how many entries are claimed, the second whether the checksum is right.
pub fn index(data: &[u8]) {
    let [entries, flags, bytes @ ..] = data else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    testing::load_index(dir.path(), bytes, u32::from(*entries), flags & 1 == 1);
}

/// A file of the commit journal. The first byte says whether its header, and the first block's, are put right.
pub fn journal(data: &[u8]) {
    let [flags, bytes @ ..] = data else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    testing::load_journal(dir.path(), bytes, flags & 1 == 1, flags & 2 == 2);
}

/// Records of `__consumer_offsets`, one after the other: the lengths of key and value, 16 bits each, then both. A length of
/// 0xffff is a tombstone.
pub fn groups(data: &[u8]) {
    let mut rest = Bytes::copy_from_slice(data);
    let mut records = Vec::new();
    while let [k0, k1, v0, v1, ..] = rest[..] {
        let (key, value) = (u16::from_be_bytes([k0, k1]), u16::from_be_bytes([v0, v1]));
        let mut body = rest.split_off(4);
        let key = body.split_to(usize::from(key).min(body.len()));
        let value = (value != u16::MAX).then(|| body.split_to(usize::from(value).min(body.len())));
        records.push((key, value));
        rest = body;
    }
    let count = records.len();
    assert!(group_testing::replay(records) <= count, "groups that nobody wrote of");
}

/// A partition folder after a crash: the bytes are the segments and their indexes. The first byte says what is put right,
/// the second where the segments are cut from each other.
pub fn recovery(data: &[u8]) {
    let [flags, cut, bytes @ ..] = data else { return };
    let parent = tempfile::tempdir().expect("a temporary folder");
    let dir = parent.path().join("t-0");
    std::fs::create_dir(&dir).expect("a temporary folder");
    let mut bytes = bytes.to_vec();
    if flags & 1 == 1 {
        seal_batches(&mut bytes, (flags & 2 == 2).then_some(0));
    }
    let cut = bytes.len() * usize::from(*cut) / 256;
    let (first, second) = bytes.split_at(cut);
    let file = |base: i64, extension: &str| dir.join(format!("{base:020}.{extension}"));
    std::fs::write(file(0, "log"), first).expect("a temporary file");
    if flags & 4 == 4 {
        let base = BatchHeader::read(second).map_or(1, |header| header.base_offset).clamp(1, i64::MAX);
        std::fs::write(file(base, "log"), second).expect("a temporary file");
    }
    if flags & 8 == 8 {
        std::fs::write(file(0, "index"), second).expect("a temporary file");
        std::fs::write(file(0, "timeindex"), second).expect("a temporary file");
    }
    let Some(recovered) = recover(&dir, &bytes) else { return };
    assert_eq!(recover(&dir, &bytes), Some(recovered), "a second recovery comes to something else");
}

/// Where the log starts and ends, and the offsets of its batches; every one of them is read and checked.
fn recover(dir: &Path, bytes: &[u8]) -> Option<(i64, i64, Vec<i64>)> {
    let store = Store::new(Arc::new(RealFs), 4);
    let place = LogPlace { dir: dir.to_path_buf(), topic_id: Uuid::from_u128(1), partition: 0 };
    let resume = Resume::Dirty { checkpoint: None, distrust_cache: false, now_ms: 0 };
    let opened = Log::open(&store, place, LogConfig::default(), resume, &mut |_| {});
    let (log, _) = opened.ok()?;
    let (view, end) = (log.view(), log.end());
    let (mut offset, mut found) = (view.start_offset(), Vec::new());
    while offset < end.offset {
        let read = view.read_ahead(offset, &end, 0, true, IoMode::Blocking);
        // Damage in the middle was set aside, and says so.
        if let Err(ReadError::Quarantined { next_offset, .. }) = read {
            assert!(offset < next_offset, "a reader gets past it");
            offset = next_offset;
            continue;
        }
        let read = read.expect("what recovery left can be read");
        let Some(slice) = read.records else { break };
        let mut batch = vec![0; slice.len()];
        slice.read_at(0, &mut batch).expect("what recovery left can be read");
        let header = check_stored(&batch).expect("recovery left a bad batch");
        assert!(offset <= header.last_offset(), "the reader goes back");
        offset = header.next_offset();
        found.push(header.base_offset);
        assert!(found.len() <= bytes.len() + 64, "more batches than there were bytes");
    }
    Some((view.start_offset(), end.offset, found))
}
