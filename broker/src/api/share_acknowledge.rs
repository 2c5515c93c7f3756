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
    for topic in &request.topics {
        for partition in &topic.partitions {
            let at = TopicPartition { topic_id: topic.topic_id, partition: partition.partition_index };
            taken.take(context, &session, at, &partition.acknowledgement_batches, rules).await;
        }
    }
    let results = taken.stored().await;
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
