//! Acknowledgements of records, as ShareFetch and ShareAcknowledge bring them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::ShareAcknowledgementBatch;
use uuid::Uuid;

use super::{Context, error};
use crate::coordinator::share::{
    AcknowledgeError, Acknowledged, Acknowledgement, SessionKey, ShareKey, TopicPartition, Verdict,
};

/// Longest id of a member, as Kafka has it.
const MEMBER_ID_CHARS_MAX: usize = 36;

/// What a request may say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// It announces renewals (KIP-1222).
    pub(super) is_renewal: bool,
}

/// Why acknowledgements of a partition are not taken, with a message for the client.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// The results of a request's acknowledgements, by partition.
pub(super) type Results = BTreeMap<TopicPartition, Result<(), Refused>>;

/// Acknowledgements that were taken over, on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Taken(Vec<(TopicPartition, Result<Acknowledged, Refused>)>);

/// Whose request it is.
pub(super) fn session_key(
    group_id: Option<&String>,
    member_id: Option<&String>,
) -> Result<SessionKey, &'static str> {
    let group_id = group_id.filter(|id| !id.is_empty()).ok_or("Invalid group id in the request.")?;
    let member_id = member_id.filter(|id| is_member_id(id)).ok_or("Invalid member id in the request.")?;
    Ok(SessionKey { group_id: group_id.as_str().into(), member_id: member_id.as_str().into() })
}

/// Whether a member may have this id.
pub(super) fn is_member_id(id: &str) -> bool {
    !id.is_empty() && id.encode_utf16().count() <= MEMBER_ID_CHARS_MAX
}

impl Taken {
    /// Takes over what a member says of one partition.
    pub(super) async fn take(
        &mut self,
        context: &Context,
        session: &SessionKey,
        at: TopicPartition,
        batches: &[ShareAcknowledgementBatch],
        rules: Rules,
    ) {
        let taken = take(context, session, at, batches, rules).await;
        self.0.push((at, taken));
    }

    /// Waits until all of it is durable.
    pub(super) async fn stored(self) -> Results {
        let mut results = Results::new();
        for (at, taken) in self.0 {
            let result = match taken {
                Ok(acknowledged) => acknowledged.stored().await.map_err(|failure| Refused {
                    code: error::of_share(&failure),
                    message: Some(failure.to_string()),
                }),
                Err(refused) => Err(refused),
            };
            results.insert(at, result);
        }
        results
    }
}

async fn take(
    context: &Context,
    session: &SessionKey,
    at: TopicPartition,
    batches: &[ShareAcknowledgementBatch],
    rules: Rules,
) -> Result<Acknowledged, Refused> {
    context.catalog.topic_by_id(at.topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    let said = read(batches, rules).ok_or(ErrorCode::InvalidRequest)?;
    check_partition(context, at.topic_id, at.partition)?;
    let key = ShareKey { group_id: Arc::clone(&session.group_id), at };
    let of_failure =
        |failure| Refused { code: error::of_share(&failure), message: Some(failure.to_string()) };
    let slot = context.shares.find(&key).await.map_err(of_failure)?;
    let slot = slot.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let answer = context.shares.acknowledge(&slot, &session.member_id, &said).map_err(of_failure)?;
    answer.map_err(|refusal| {
        let code = match refusal {
            AcknowledgeError::NotHandedOut { .. } => ErrorCode::InvalidRequest,
            AcknowledgeError::NothingHandedOut
            | AcknowledgeError::NotHeld { .. }
            | AcknowledgeError::NoRenewal => ErrorCode::InvalidRecordState,
        };
        Refused { code, message: Some(refusal.to_string()) }
    })
}

/// Whether there is such a partition.
pub(super) fn check_partition(context: &Context, topic_id: Uuid, partition: i32) -> Result<(), ErrorCode> {
    let topic = context.catalog.topic_by_id(topic_id).ok_or(ErrorCode::UnknownTopicId)?;
    topic.partition(partition).map(drop).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// In ascending order and without overlaps, each with one verdict or one for each offset.
fn read(batches: &[ShareAcknowledgementBatch], rules: Rules) -> Option<Vec<Acknowledgement>> {
    // A batch that begins below 0 is one that begins below the start, as for Kafka.
    let mut behind = -1;
    let mut read = Vec::with_capacity(batches.len());
    for batch in batches {
        let (first, last) = (batch.first_offset, batch.last_offset);
        if first < behind || last < first || last == i64::MAX {
            return None;
        }
        behind = last + 1;
        let verdicts: Option<Vec<Verdict>> =
            batch.acknowledge_types.iter().map(|code| Verdict::from_code(*code)).collect();
        let verdicts = verdicts.filter(|verdicts| {
            let count = i64::try_from(verdicts.len()).unwrap_or(i64::MAX);
            count == 1 || count == last - first + 1
        })?;
        if verdicts.contains(&Verdict::Renew) && !rules.is_renewal {
            return None;
        }
        read.push(Acknowledgement { first, last, verdicts });
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(first_offset: i64, last_offset: i64, types: &[i8]) -> ShareAcknowledgementBatch {
        ShareAcknowledgementBatch { first_offset, last_offset, acknowledge_types: types.to_vec() }
    }

    #[test]
    fn acknowledgements_are_ordered_and_complete() {
        let plain = Rules { is_renewal: false };
        let good = [batch(0, 4, &[1]), batch(5, 6, &[0, 3]), batch(9, 9, &[2])];
        assert_eq!(read(&good, plain).unwrap().len(), 3);
        assert_eq!(read(&[], plain), Some(vec![]));
        assert!(read(&[batch(-1, 2, &[1])], plain).is_some());
        for wrong in [
            [batch(3, 2, &[1])].as_slice(),
            &[batch(-2, 2, &[1])],
            &[batch(0, 4, &[1]), batch(4, 5, &[1])],
            &[batch(5, 6, &[1]), batch(0, 1, &[1])],
            &[batch(0, 2, &[])],
            &[batch(0, 2, &[1, 1])],
            &[batch(0, 0, &[5])],
            &[batch(0, 0, &[-1])],
            &[batch(0, 0, &[4])],
            &[batch(0, i64::MAX, &[1])],
        ] {
            assert_eq!(read(wrong, plain), None, "{wrong:?}");
        }
        assert!(read(&[batch(0, 0, &[4])], Rules { is_renewal: true }).is_some());
    }

    #[test]
    fn a_session_has_a_group_and_a_member() {
        let id = |text: &str| text.to_owned();
        assert!(session_key(Some(&id("g")), Some(&id("m"))).is_ok());
        assert!(session_key(None, Some(&id("m"))).is_err());
        assert!(session_key(Some(&id("g")), None).is_err());
        assert!(session_key(Some(&id("g")), Some(&id(""))).is_err());
        assert!(session_key(Some(&id("g")), Some(&"m".repeat(36))).is_ok());
        assert!(session_key(Some(&id("g")), Some(&"m".repeat(37))).is_err());
    }
}
