//! ShareAcknowledge (key 79), versions 1 and 2 (KIP-932, KIP-1222).
//!
//! Answered when what was acknowledged is on disk.

use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{
    ShareAcknowledgePartitionData, ShareAcknowledgeRequest, ShareAcknowledgeResponse,
    ShareAcknowledgeTopicResponse,
};

use super::share_acks::{self, Results, Rules, Taken};
use super::share_fetch::{FINAL_EPOCH, FIRST_EPOCH};
use super::{Context, Session, error};
use crate::coordinator::share::{SessionKey, TopicPartition};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 1..=2;

/// Takes acknowledgements over, and ends the session if the member says so.
pub(super) async fn handle(
    context: &Context,
    _session: &Session,
    _version: i16,
    request: ShareAcknowledgeRequest,
) -> ShareAcknowledgeResponse {
    let session = match share_acks::session_key(request.group_id.as_ref(), request.member_id.as_ref()) {
        Ok(session) => session,
        Err(message) => return refused(ErrorCode::InvalidRequest, Some(message.to_owned())),
    };
    if let Err(code) = proceed(context, &session, request.share_session_epoch) {
        return refused(code, None);
    }
    let rules = Rules { is_renewal: request.is_renew_ack };
    let mut taken = Taken::default();
    let mut silent = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let at = TopicPartition { topic_id: topic.topic_id, partition: partition.partition_index };
            let is_there = share_acks::check_partition(context, at.topic_id, at.partition).is_ok();
            if is_there && partition.acknowledgement_batches.is_empty() {
                // That is no error, whether it was ever fetched or not.
                silent.push(at);
                continue;
            }
            taken.take(context, &session, at, &partition.acknowledgement_batches, rules).await;
        }
    }
    let mut results = taken.stored().await;
    for at in silent {
        results.entry(at).or_insert(Ok(()));
    }
    if request.share_session_epoch == FINAL_EPOCH {
        context.shares.close_session(&session);
    }
    let lock_ms = context.shares.limits(&session.group_id).lock_ms;
    ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms: i32::try_from(lock_ms).unwrap_or(i32::MAX),
        responses: respond(results),
        ..Default::default()
    }
}

fn proceed(context: &Context, session: &SessionKey, epoch: i32) -> Result<(), ErrorCode> {
    match epoch {
        // Only a fetch begins a session.
        FIRST_EPOCH => Err(ErrorCode::InvalidShareSessionEpoch),
        FINAL_EPOCH if context.shares.sessions().has(session) => Ok(()),
        FINAL_EPOCH => Err(ErrorCode::ShareSessionNotFound),
        epoch => {
            let answer = context.shares.sessions().acknowledge(session, epoch);
            answer.map_err(|failure| error::of_share_session(&failure))
        }
    }
}

fn refused(code: ErrorCode, error_message: Option<String>) -> ShareAcknowledgeResponse {
    ShareAcknowledgeResponse { error_code: code.code(), error_message, ..Default::default() }
}

fn respond(results: Results) -> Vec<ShareAcknowledgeTopicResponse> {
    let mut responses: Vec<ShareAcknowledgeTopicResponse> = Vec::new();
    for (TopicPartition { topic_id, partition }, result) in results {
        let refused = result.err();
        let data = ShareAcknowledgePartitionData {
            partition_index: partition,
            error_code: refused.as_ref().map_or(ErrorCode::None, |refused| refused.code).code(),
            error_message: refused.and_then(|refused| refused.message),
            ..Default::default()
        };
        match responses.last_mut() {
            Some(topic) if topic.topic_id == topic_id => topic.partitions.push(data),
            _ => responses.push(ShareAcknowledgeTopicResponse { topic_id, partitions: vec![data] }),
        }
    }
    responses
}

#[cfg(test)]
mod tests {
    use sendlog_protocol::messages::{
        ShareAcknowledgePartition, ShareAcknowledgeTopic, ShareAcknowledgementBatch,
    };
    use uuid::Uuid;

    use super::*;
    use crate::api::testing::Fixture;

    fn said(topic_id: Uuid, partition_index: i32, batches: &[(i64, i64)]) -> ShareAcknowledgeTopic {
        let batch = |&(first_offset, last_offset)| ShareAcknowledgementBatch {
            first_offset,
            last_offset,
            acknowledge_types: vec![1],
        };
        let acknowledgement_batches = batches.iter().map(batch).collect();
        let partition = ShareAcknowledgePartition { partition_index, acknowledgement_batches };
        ShareAcknowledgeTopic { topic_id, partitions: vec![partition] }
    }

    #[tokio::test]
    async fn what_is_wrong_first_is_told_and_saying_nothing_is_not_wrong() {
        let fixture = Fixture::new();
        let topic_id = fixture.create("t", 1).await;
        let key = SessionKey { group_id: "g".into(), member_id: "m".into() };
        fixture.context.shares.sessions().open(key, 1, [].into(), 10).unwrap();
        let elsewhere = Uuid::from_u128(7);
        let (fine, odd) = ((0, 1), (1, 0));
        let mut told = Vec::new();
        let steps = [
            said(topic_id, 0, &[]),
            said(topic_id, 9, &[]),
            said(elsewhere, 0, &[odd]),
            said(topic_id, 9, &[odd]),
            said(topic_id, 0, &[fine]),
        ];
        for (share_session_epoch, topic) in (1..).zip(steps) {
            let request = ShareAcknowledgeRequest {
                group_id: Some("g".to_owned()),
                member_id: Some("m".to_owned()),
                share_session_epoch,
                topics: vec![topic],
                ..Default::default()
            };
            let answer = handle(&fixture.context, &fixture.session, 2, request).await;
            assert_eq!(answer.error_code, 0);
            told.push(answer.responses.first().map(|topic| topic.partitions[0].error_code));
        }
        let codes = [
            ErrorCode::None,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::UnknownTopicId,
            ErrorCode::InvalidRequest,
            ErrorCode::UnknownTopicOrPartition,
        ];
        assert_eq!(told, codes.map(|code| Some(code.code())));
    }
}
