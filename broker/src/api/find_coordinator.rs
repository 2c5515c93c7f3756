//! FindCoordinator (key 10), versions 0 to 6.
//!
//! This broker coordinates every group. Asking for a group's coordinator makes `__consumer_offsets`, if it is not there, as
//! with Apache Kafka. There are no transactions yet: whoever asks for theirs is refused as by InitProducerId, and gives up.
//! At `COORDINATOR_NOT_AVAILABLE` clients would ask again until their time is over, Java's Admin without a pause. The state
//! of share partitions is kept by this broker too; clients have no reason to ask for it.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use sendlog_protocol::error_code::ErrorCode;
use sendlog_protocol::messages::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Context, Session, error};

/// Advertised and served.
pub(super) const VERSIONS: RangeInclusive<i16> = 0..=6;

/// The first version that asks for several.
const FIRST_WITH_LIST: i16 = 4;

/// The first version that may ask for share partitions (KIP-932).
const FIRST_WITH_SHARE: i16 = 6;

/// What a key is.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Why there is no coordinator.
struct Refusal {
    code: ErrorCode,
    message: &'static str,
}

/// Names this broker, if it coordinates what is asked for.
pub(super) async fn handle(
    context: &Context,
    session: &Session,
    version: i16,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let found = find(context, version, request.key_type).await;
    // Kafka's words for success.
    let success = if FIRST_WITH_LIST <= version { "" } else { "NONE" };
    let describe = |key: String| {
        let is_well_formed = request.key_type != SHARE || is_share_key(&key);
        match &found {
            Ok(()) if is_well_formed => Coordinator {
                key,
                node_id: context.config.node_id,
                host: session.advertised_host.clone(),
                port: i32::from(session.advertised_port),
                error_code: ErrorCode::None.code(),
                error_message: Some(success.to_owned()),
            },
            // Without words, as Kafka's.
            Ok(()) => refused(key, ErrorCode::InvalidRequest, ""),
            Err(refusal) => refused(key, refusal.code, refusal.message),
        }
    };
    if FIRST_WITH_LIST <= version {
        // A key that is named thousands of times is not answered in kind.
        let mut seen = HashSet::new();
        let keys = request.coordinator_keys.into_iter().filter(|key| seen.insert(key.clone()));
        let coordinators = keys.map(describe).collect();
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } = describe(request.key);
    FindCoordinatorResponse { error_code, error_message, node_id, host, port, ..Default::default() }
}

async fn find(context: &Context, version: i16, key_type: i8) -> Result<(), Refusal> {
    match key_type {
        GROUP => context.groups.make_topic().await.map_err(|failure| Refusal {
            code: error::of_coordinator(&failure),
            message: "the topic of the groups cannot be made; the broker's log says why",
        }),
        SHARE if FIRST_WITH_SHARE <= version => Ok(()),
        TRANSACTION => Err(Refusal {
            code: ErrorCode::TransactionalIdAuthorizationFailed,
            message: "sendlog does not serve transactions yet",
        }),
        _ => Err(Refusal { code: ErrorCode::InvalidRequest, message: "no coordinator is of this type" }),
    }
}

/// `GROUP:TOPIC-ID:PARTITION`, where the group may have colons.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().is_some_and(|partition| partition.parse::<u32>().is_ok());
    let topic = parts.next().is_some_and(|topic| !topic.is_empty());
    partition && topic && parts.next().is_some_and(|group| !group.is_empty())
}

fn refused(key: String, code: ErrorCode, message: &str) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        host: String::new(),
        port: -1,
        error_code: code.code(),
        error_message: Some(message.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Fixture;
    use crate::coordinator::group::offsets_topic;

    async fn ask(fixture: &Fixture, version: i16, key_type: i8, keys: &[&str]) -> FindCoordinatorResponse {
        let request = FindCoordinatorRequest {
            key: keys[0].to_owned(),
            key_type,
            coordinator_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        handle(&fixture.context, &fixture.session, version, request).await
    }

    #[tokio::test]
    async fn asking_for_a_group_makes_the_topic_of_the_groups() {
        let fixture = Fixture::with(&["offsets.topic.num.partitions=3"]);
        assert!(fixture.context.catalog.topic(offsets_topic::NAME).is_none());
        let answer = ask(&fixture, 6, GROUP, &["a", "b"]).await;
        assert_eq!(answer.coordinators.len(), 2);
        for found in &answer.coordinators {
            assert_eq!((found.error_code, found.node_id, found.port), (0, 1, 9092), "{found:?}");
            assert_eq!(found.host, "192.0.2.7");
        }
        let topic = fixture.context.catalog.topic(offsets_topic::NAME).unwrap();
        assert_eq!(topic.partitions().len(), 3);
        assert!(topic.config().cleanup.compact && !topic.config().cleanup.delete);
        assert_eq!(topic.config().segment_bytes, 104_857_600);
        let answer = ask(&fixture, 0, GROUP, &["a"]).await;
        assert_eq!((answer.error_code, answer.node_id, answer.port), (0, 1, 9092));
    }

    #[tokio::test]
    async fn transactions_have_no_coordinator_yet() {
        let fixture = Fixture::new();
        let answer = ask(&fixture, 4, TRANSACTION, &["t"]).await;
        assert_eq!(answer.coordinators[0].error_code, ErrorCode::TransactionalIdAuthorizationFailed.code());
        assert_eq!(ask(&fixture, 1, 7, &["t"]).await.error_code, ErrorCode::InvalidRequest.code());
        assert!(fixture.context.catalog.topic(offsets_topic::NAME).is_none());
    }

    #[tokio::test]
    async fn share_partitions_go_by_a_key_of_three_parts() {
        let fixture = Fixture::new();
        let answer = ask(&fixture, 6, SHARE, &["g:h:AAAAAAAAAAAAAAAAAAAAAA:0", "g:0", "g:id:x"]).await;
        let codes: Vec<i16> = answer.coordinators.iter().map(|found| found.error_code).collect();
        assert_eq!(codes, [0, ErrorCode::InvalidRequest.code(), ErrorCode::InvalidRequest.code()]);
        let answer = ask(&fixture, 5, SHARE, &["g:id:0"]).await;
        assert_eq!(answer.coordinators[0].error_code, ErrorCode::InvalidRequest.code());
    }
}
