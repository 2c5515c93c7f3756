//! A member of a share group over the wire, step by step: what a share consumer does, with each answer to look at.

use std::net::SocketAddr;

use bytes::Bytes;
use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsRequestPartition,
    AlterShareGroupOffsetsRequestTopic, ShareAcknowledgePartition, ShareAcknowledgeRequest,
    ShareAcknowledgeResponse, ShareAcknowledgeTopic, ShareAcknowledgementBatch, ShareFetchPartition,
    ShareFetchRequest, ShareFetchResponse, ShareFetchTopic, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse,
};

use crate::wire_client::{Due, WireClient};
use crate::wire_requests::Topic;

/// Version in which scenarios fetch and acknowledge.
pub const SHARE_VERSION: i16 = 2;

/// An offset is done with, may be had by others, or is to be left.
pub const ACCEPT: i8 = 1;
/// Somebody else may try.
pub const RELEASE: i8 = 2;
/// Nobody should.
pub const REJECT: i8 = 3;
/// It takes longer.
pub const RENEW: i8 = 4;

/// A member with a connection of its own, reading partition 0 of a topic.
#[derive(Debug)]
pub struct ShareMember {
    /// Its connection.
    pub client: WireClient,
    group: String,
    id: String,
    epoch: i32,
    session_epoch: i32,
    topic: Topic,
}

/// What an answer says a member has: first and last offset, and deliveries.
pub type Acquired = Vec<(i64, i64, i16)>;

impl ShareMember {
    /// Connects and joins.
    ///
    /// # Panics
    /// When it is not let in, or is not given the partition.
    pub fn join(address: SocketAddr, group: &str, id: &str, topic: &Topic) -> Self {
        let client = WireClient::connect(address);
        let mut member = Self {
            client,
            group: group.to_owned(),
            id: id.to_owned(),
            epoch: 0,
            session_epoch: 0,
            topic: topic.clone(),
        };
        let answer = loop {
            let answer = member.heartbeat(Some(vec![topic.name.clone()]));
            // As clients do: a broker that was just started reads its groups first.
            if answer.error_code != ErrorCode::CoordinatorLoadInProgress.code() {
                break answer;
            }
        };
        assert_eq!(answer.error_code, ErrorCode::None.code(), "{:?}", answer.error_message);
        let assignment = answer.assignment.expect("an assignment for a member that joins");
        assert!(assignment.topic_partitions.iter().any(|given| given.topic_id == topic.id));
        member
    }

    /// Reports; with topics they are set.
    pub fn heartbeat(&mut self, topics: Option<Vec<String>>) -> ShareGroupHeartbeatResponse {
        let request = ShareGroupHeartbeatRequest {
            group_id: self.group.clone(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            subscribed_topic_names: topics,
            ..Default::default()
        };
        let answer = self.client.call(1, &request);
        if answer.error_code == ErrorCode::None.code() {
            self.epoch = answer.member_epoch;
        }
        answer
    }

    /// The next fetch of the session, which may be changed.
    pub fn fetch_request(&mut self, records_max: i32, max_wait_ms: i32) -> ShareFetchRequest {
        let partitions = vec![ShareFetchPartition::default()];
        let topics = match self.session_epoch {
            0 => vec![ShareFetchTopic { topic_id: self.topic.id, partitions }],
            _ => Vec::new(),
        };
        let request = ShareFetchRequest {
            group_id: Some(self.group.clone()),
            member_id: Some(self.id.clone()),
            share_session_epoch: self.session_epoch,
            max_wait_ms,
            min_bytes: 1,
            max_bytes: 1 << 20,
            max_records: records_max,
            batch_size: records_max,
            topics,
            ..Default::default()
        };
        self.session_epoch += 1;
        request
    }

    /// Fetches what is there.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn fetch(&mut self, records_max: i32) -> Acquired {
        self.fetch_for(records_max, 0)
    }

    /// Fetches, waiting for so long.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn fetch_for(&mut self, records_max: i32, max_wait_ms: i32) -> Acquired {
        let request = self.fetch_request(records_max, max_wait_ms);
        acquired(&self.client.call(SHARE_VERSION, &request))
    }

    /// Sends a fetch that waits.
    pub fn send_fetch(&mut self, records_max: i32, max_wait_ms: i32) -> Due<ShareFetchRequest> {
        let request = self.fetch_request(records_max, max_wait_ms);
        self.client.send(SHARE_VERSION, &request)
    }

    /// Says the same of a run of records; returns the error code of the partition.
    ///
    /// # Panics
    /// When the broker refuses the request.
    pub fn say(&mut self, first: i64, last: i64, verdict: i8) -> i16 {
        let request = self.acknowledge_request(first, last, verdict);
        let answer: ShareAcknowledgeResponse = self.client.call(SHARE_VERSION, &request);
        assert_eq!(answer.error_code, ErrorCode::None.code(), "{:?}", answer.error_message);
        answer.responses[0].partitions[0].error_code
    }

    /// The next acknowledgement of the session, which may be changed.
    pub fn acknowledge_request(&mut self, first: i64, last: i64, verdict: i8) -> ShareAcknowledgeRequest {
        let batch = acknowledgement(first, last, verdict);
        let partition =
            ShareAcknowledgePartition { partition_index: 0, acknowledgement_batches: vec![batch] };
        let request = ShareAcknowledgeRequest {
            group_id: Some(self.group.clone()),
            member_id: Some(self.id.clone()),
            share_session_epoch: self.session_epoch,
            is_renew_ack: verdict == RENEW,
            topics: vec![ShareAcknowledgeTopic { topic_id: self.topic.id, partitions: vec![partition] }],
        };
        self.session_epoch += 1;
        request
    }

    /// Leaves the group.
    pub fn leave(&mut self) {
        self.epoch = -1;
        let answer = self.heartbeat(None);
        assert_eq!(answer.error_code, ErrorCode::None.code(), "{:?}", answer.error_message);
    }
}

/// The same verdict for a run of records.
pub fn acknowledgement(first_offset: i64, last_offset: i64, verdict: i8) -> ShareAcknowledgementBatch {
    ShareAcknowledgementBatch { first_offset, last_offset, acknowledge_types: vec![verdict] }
}

/// What the member has by an answer.
///
/// # Panics
/// When the answer has an error, or acquired records that are not in its batches.
pub fn acquired(answer: &ShareFetchResponse<Bytes>) -> Acquired {
    assert_eq!(answer.error_code, ErrorCode::None.code(), "{:?}", answer.error_message);
    let mut acquired = Vec::new();
    for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
        assert_eq!((partition.error_code, partition.acknowledge_error_code), (0, 0), "{partition:?}");
        let records = partition.records.clone().unwrap_or_default();
        let offsets = crate::sample_batches::split(&records).into_iter().flat_map(|batch| {
            let header = sendlog_protocol::records::BatchHeader::read(&batch).expect("a batch of the log");
            header.base_offset..=header.last_offset()
        });
        let offsets: Vec<i64> = offsets.collect();
        for range in &partition.acquired_records {
            assert!((range.first_offset..=range.last_offset).all(|offset| offsets.contains(&offset)));
            acquired.push((range.first_offset, range.last_offset, range.delivery_count));
        }
    }
    acquired
}

/// Has a group without members begin a topic's partition 0 at an offset.
///
/// # Panics
/// When the broker refuses.
pub fn begin_at(client: &mut WireClient, group: &str, topic: &Topic, start_offset: i64) {
    let partition = AlterShareGroupOffsetsRequestPartition { partition_index: 0, start_offset };
    let topic =
        AlterShareGroupOffsetsRequestTopic { topic_name: topic.name.clone(), partitions: vec![partition] };
    let request = AlterShareGroupOffsetsRequest { group_id: group.to_owned(), topics: vec![topic] };
    let answer = client.call(0, &request);
    assert_eq!(answer.error_code, ErrorCode::None.code(), "{:?}", answer.error_message);
    assert_eq!(answer.responses[0].partitions[0].error_code, ErrorCode::None.code());
}
